# SPDX-License-Identifier: Apache-2.0
"""cache, help and the verbs that are refused, side by side with Apptainer: what the table of verbs does when no image is run."""
import time

import pytest

from differences import VERBS as DIFFERENT

# A cache of files that Apptainer could have left, some of them old, in a folder made anew for each line. Their times are those of
# $FRESH, one hour before the tests, and of long ago: what is listed must not depend on when each program's turn comes.
FRESH = f"@{int(time.time()) - 3600}"
PREPARE = """rm -rf "$HOME/verbs" && mkdir -p "$HOME/verbs/cache/oci-tmp/folder" "$HOME/verbs/cache/blob/blobs/sha256" "$HOME/verbs/cache/net" && cd "$HOME/verbs/cache"
head -c 3000 /dev/zero > oci-tmp/111111111111111111111111111111; head -c 3000000 /dev/zero > oci-tmp/22; ln -s /etc net/link; echo x > net/old
echo x > blob/blobs/sha256/abc; echo x > blob/index.json; echo x > other; find . -exec touch -h -d "$FRESH" {} +; touch -d @1000000000 oci-tmp/22 net/old blob/index.json blob/blobs/sha256/abc
export APPTAINER_CACHEDIR="$HOME/verbs"
"""
CACHE = ["list", "list -v", "list -T oci-tmp", "list --type=blob -v", "list -T library,net --verbose", "list -T all", "list --bogus",
         "clean -n", "clean -n -D 30", "clean --dry-run --days=1 --type blob", "clean -n -T oci-tmp,net", "clean -n -D -1", "clean -D x", "clean -a",
         "clean", "clean -f -D 30", "clean -T net", "clean --force", "bogus", "--help", "list --help", ""]
HELP = ["", "help", "help exec", "help run no-such-image", "help instance start", "help cache clean", "help push", "help overlay", "help overlay create", "overlay", "overlay --help", "overlay bogus", "overlay --bogus", "overlay create -h", "help keys", "help help", "help bogus",
        "exec --help", "instance stop --help", "cache clean -h", "sif list --help", "version --help", "bogus", "--bogus", "cache --bogus", "sif --bogus",
        "instance --bogus", "instance", "sif", "registry", "registry --help", "registry bogus", "registry --bogus", "registry login --help", "registry list --help",
        "registry login", "registry logout", "registry list x", "registry logout x", "registry logout docker://x", "registry login -u a -p b x", "registry login -p b docker://localhost:1",
        "registry login -u a -p b docker://localhost:1", "registry login --bogus docker://x", "remote logout docker://x", "help registry login", "push", "push x", "push x y z", "push --help", "push x docker://y", "push /etc/passwd oras://localhost:1/x", "push none oras://localhost:1/x"]
REFUSED = ["key import x", "keys newpair", "keyserver add x", "remote login", "remote status", "search x", "delete x", "capability list", "caps avail",
           "config global", "oci run x", "plugin install x", "checkpoint list", "confgen x"]


@pytest.fixture
def both(apptainer, sifrun):
    """Runs a script under each program."""

    def run(script):
        return [apptainer.command(["sh", "-c", script], env={"P": program, "FRESH": FRESH}, cwd="/home/user") for program in ("apptainer", sifrun)]

    return run


@pytest.mark.parametrize("line", CACHE)
def test_cache(line, both):
    """The same output, of usage errors and help the same status; and the same is left."""
    script = PREPARE + f'answer=$($P cache {line} 2>&1 </dev/null); status=$?; [ $status$(echo {line} | grep -c -e -h) != 00 ] || echo "$answer"; echo $status; find . ! -type d | sort'
    reference, done = both(script)
    assert done.stdout == reference.stdout and "other" in done.stdout, (done.stdout, reference.stdout)


@pytest.mark.parametrize("answer, removed", [("y", True), ("n", False), ("", False)])
def test_cache_asks(answer, removed, both):
    for done in both(PREPARE + f"echo {answer} | $P cache clean -T net 2>/dev/null; echo; echo $?; find net ! -type d"):
        assert "Do you want to continue?" in done.stdout and ("net/old" not in done.stdout) == removed, done.stdout


def test_cache_follows_no_link_and_leaves_unfinished_files(both):
    """Names that begin with a dot are files that a conversion still writes, and locks."""
    _, done = both(PREPARE + "touch oci-tmp/.1.lock; mkdir $HOME/verbs/kept; touch $HOME/verbs/kept/file; ln -sfn $HOME/verbs/kept net/link; $P cache clean -f; find . ../kept ! -type d")
    assert set(done.stdout.split()) == {"./other", "./oci-tmp/.1.lock", "../kept/file"}


def test_cache_of_an_unknown_type(apptainer, sifrun):
    done = apptainer.command([sifrun, "cache", "clean", "-f", "-T", "../.."])
    assert done.returncode == 1 and "library, oci, shub, blob, net, oras or all is needed" in done.stderr


@pytest.mark.parametrize("line", HELP)
def test_help(line, both):
    """What help there is has other words; asking for it succeeds and mistakes fail on both sides."""
    reference, done = both(f"$P {line} >/dev/null 2>&1; echo $?")
    assert (done.stdout == reference.stdout) == (line not in DIFFERENT), (done.stdout, reference.stdout)


@pytest.mark.parametrize("verb", ["exec", "sign", "pull"])
def test_help_of_a_verb(verb, apptainer, sifrun):
    asked = [apptainer.command([sifrun, *words]).stdout for words in (["help", verb], [verb, "--help"], ["help", verb, "no-such-image"])]
    assert asked[0].startswith(f"Usage: sifrun {verb} [options]") and len(set(asked)) == 1


@pytest.mark.parametrize("line", ["buildcfg", "buildcfg APPTAINER_SUID_INSTALL", "buildcfg NONE", "buildcfg A B", "key list", "key list --secret", "keyserver list",
                                  "plugin list", "remote list", "remote add --no-login SylabsCloud cloud.sycloud.io; $P remote use SylabsCloud"])
def test_queries(line, both):
    """Scripts ask before they start anything: there is nothing, which is no mistake."""
    reference, done = both(f"$P {line}; echo $?")
    assert done.stdout.split()[-1] == reference.stdout.split()[-1], (done.stdout, done.stderr)
    names = [{word.split("=")[0] for word in each.stdout.split() if "=" in word} for each in (reference, done)]
    assert names[1] <= names[0] and ("APPTAINER_SUID_INSTALL" in names[1]) == (line == "buildcfg")
    if "SUID" in line or "plugin" in line:
        assert done.stdout == reference.stdout


@pytest.mark.parametrize("line", REFUSED)
def test_refused(line, apptainer, sifrun):
    """Known to Apptainer; here one line that says why, and a failure."""
    verb = line.split()[0]
    assert apptainer.run(verb, "--help").returncode == 0
    done = apptainer.command([sifrun, *line.split()])
    assert (done.returncode, done.stdout) == (255, "") and done.stderr.startswith(f"FATAL:   sifrun {verb} is not supported: ") and done.stderr.count("\n") == 1
    done = apptainer.command([sifrun, verb, "--help"])
    assert done.returncode == 0 and f"{verb} is not supported: " in done.stdout and done.stderr == ""
