# SPDX-License-Identifier: Apache-2.0
"""docs/compatibility.md speaks of every verb and option that Apptainer's own help lists, and of no other; and what it says of them, the program does."""
import pathlib
import re

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
FLAG = re.compile(r"^ +(?:-\w, |    )--([a-z0-9-]+)(?: (\w+))?(?: {2,}|$)", re.M)

# By the verb's words: what to say besides one option, so that it does no harm. IMAGE is a SIF.
ACTIONS = {
    **{verb: "--dry-run IMAGE true" for verb in ("exec", "run", "test")}, "shell": "--dry-run IMAGE",
    **{f"instance {verb}": "--dry-run IMAGE name" for verb in ("start", "run")},
    "build": "/no/such/x.sif docker-archive:/no/such.tar", "pull": "/no/such/x.sif docker-archive:/no/such.tar",
    "instance list": "", "instance stop": "no-such", "sign": "/no/such", "verify": "/no/such", "inspect": "IMAGE", "run-help": "IMAGE",
    "cache list": "", "cache clean": "--dry-run", "overlay create": "/no/such/x",
    "registry login": "docker://localhost:1", "registry logout": "docker://localhost:1", "registry list": "",
    "push": "/no/such oras://localhost:1/x",
    "sif header": "IMAGE", "sif list": "IMAGE", "sif info": "1 IMAGE", "sif dump": "1 IMAGE", "sif new": "/no/such/x.sif", "sif add": "/no/such IMAGE",
    "sif del": "99 IMAGE", "sif setprim": "99 IMAGE",
}
# A value that each kind of an option takes, and one that an option of this name does.
VALUES = {"string": "none", "strings": "none", "stringArray": "none", "int": "64", "int32": "1", "uint32": "1", "stringToString": "A=1"}
NAMED = {"network": "none", "mount": "type=bind,src=/tmp,dst=/mnt", "env-file": "/dev/null", "dns": "1.1.1.1", "security": "uid:0", "add-caps": "CAP_CHOWN",
         "drop-caps": "CAP_CHOWN", "type": "net", "sbomformat": "spdx-json", "runscript-timeout": "9s", "bind": "/tmp", "home": "/tmp", "workdir": "/tmp",
         "overlay": "/tmp:ro", "signentity": "433FE984155206BD962725E20E8713472A879943"}
MISTAKE = re.compile("unknown option|is no number|needs a value|must be of the form|neither true nor false|is needed")


def sections():
    """Heading -> {flag: status} of the page's tables of options."""
    text = (REPOSITORY / "docs/compatibility.md").read_text()
    tables = {}
    for heading, body in re.findall(r"^## (Options .*?)\n(.*?)(?=^## |\Z)", text, re.M | re.S):
        rows = re.findall(r"^\| (.*?) \| (yes|differs|refused) \|", body, re.M)
        tables[heading] = {name: status for names, status in rows for name in re.findall(r"--([a-z0-9-]+)", names)}
    return tables


def table_of(verb):
    found = [table for heading, table in sections().items() if verb in re.split(r", | and ", heading.removeprefix("Options of "))]
    assert len(found) == 1, verb
    return found[0]


def listed(apptainer, verb):
    """Name -> kind of value ("" for a flag), of the options that Apptainer's help shows."""
    done = apptainer.command(["apptainer", *verb.split(), "--help"])
    assert done.returncode == 0, done.stderr
    return dict(FLAG.findall(done.stdout.split("\nExamples:")[0]))


def try_option(apptainer, sifrun, verb, name, kind, image):
    option = f"--{name}={NAMED.get(name, VALUES[kind])}" if kind else f"--{name}"
    words = [str(image) if word == "IMAGE" else word for word in ACTIONS[verb].split()]
    return apptainer.command([sifrun, *verb.split(), option, *words], input="")


@pytest.mark.parametrize("verb", ACTIONS)
def test_options_of_a_verb(verb, apptainer, sifrun, busybox_sif, fuse_device):
    """Refused with its reason where the page says so, else accepted."""
    options, documented = listed(apptainer, verb), table_of(verb)
    assert "help" in options and options.keys() <= documented.keys(), options.keys() - documented.keys()
    for name, kind in options.items():
        done = try_option(apptainer, sifrun, verb, name, kind, busybox_sif)
        if documented[name] == "refused":
            assert done.returncode == 255 and re.fullmatch(rf"FATAL:   --{name} is not supported\nhint:    [^\n]+\n", done.stderr), (name, done.stderr)
        else:
            assert f"--{name} is not supported" not in done.stderr and not MISTAKE.search(done.stderr), (name, done.stderr)


@pytest.mark.parametrize("heading", sections())
def test_no_other_option_is_documented(heading, apptainer):
    """What Apptainer does not have is no row of a table."""
    if "before the verb" in heading:
        known = listed(apptainer, "")
    else:
        known = {name for verb in re.split(r", | and ", heading.removeprefix("Options of ")) for name in listed(apptainer, verb)}
    assert sections()[heading].keys() <= set(known), sections()[heading].keys() - set(known)


def test_options_before_the_verb(apptainer, sifrun, busybox_sif, fuse_device):
    documented = sections()["Options before the verb"]
    options = listed(apptainer, "")
    assert options.keys() <= documented.keys()
    for name, kind in options.items():
        done = apptainer.command([sifrun, f"--{name}={VALUES[kind]}" if kind else f"--{name}", "exec", "--dry-run", busybox_sif, "true"])
        assert done.returncode == 0 and "refused" != documented[name], (name, done.stderr)


def test_every_verb_is_documented(apptainer, sifrun):
    """A verb is refused, in one line, exactly where the document says so."""
    text = (REPOSITORY / "docs/compatibility.md").read_text()
    rows = {verb: status for names, status in re.findall(r"^\| (`[^|]*`) \| (yes|differs|refused) \|", text, re.M)
            for verb in re.findall(r"`([a-z-]+)`", names)}
    verbs = re.findall(r"^  ([a-z-]+)  ", apptainer.run("--help").stdout.split("Available Commands")[1], re.M)
    assert len(verbs) > 25
    for verb in verbs:
        assert verb in rows, verb
        done = apptainer.command([sifrun, verb, "--help"])
        assert done.returncode == 0, (verb, done.stderr)
        assert (f"{verb} is not supported" in done.stdout) == (rows[verb] == "refused"), (verb, done.stdout)
