# SPDX-License-Identifier: Apache-2.0
"""Registries: a login that one program keeps serves the other, and both forget it; SIFs that one pushes, the other pulls."""
import pytest

from beds.registry import PASSWORD, USER


@pytest.fixture
def run(apptainer, sifrun, registry):
    """A script of both programs, A and S, in an empty home."""

    def run(script):
        script = f"export HOME=$(mktemp -d) SSL_CERT_FILE=/ca.crt; cd; A() {{ apptainer \"$@\"; }}; S() {{ {sifrun} \"$@\"; }}; {script}"
        return apptainer.command(["sh", "-c", script], binds=[f"{registry.folder}/ca.crt:/ca.crt"], env={"R": f"docker://{registry.host}", "P": PASSWORD})

    return run


@pytest.mark.parametrize("first, second", ["SA", "AS"])
def test_logins_are_shared(run, first, second):
    login = f'registry login --username {USER} --password "$P" $R'
    done = run(f"{first} {login} 2>&1; {second} pull x.sif $R/bed/busybox:1.0 2>errors || cat errors; ls; cat .docker/config.json; "
               f"{second} registry logout $R; cat .docker/config.json; {first} pull y.sif $R/bed/busybox:1.0 || ls")
    assert "Token stored in" in done.stdout and "x.sif" in done.stdout and "y.sif" not in done.stdout, (done.stdout, done.stderr)
    assert done.stdout.count('"auths": {}') == 1


def test_both_keep_and_list_the_same(run):
    script = (f'echo "$P" | PROGRAM registry login -u {USER} --password-stdin $R; PROGRAM registry list; cat .docker/config.json; '
              'stat -c "%a %n" .docker/*; PROGRAM registry logout $R; PROGRAM registry list; cat .docker/config.json')
    reference, done = (run(script.replace("PROGRAM", program)).stdout for program in "AS")
    assert done.strip() == reference.strip() != "", (done, reference)


@pytest.mark.parametrize("first, second", ["SA", "AS"])
def test_pushed_sifs_are_shared(run, busybox_sif, first, second):
    """The second starts what the first left in the cache."""
    done = run(f'echo "$P" | A registry login -u {USER} --password-stdin $R 2>&1; O=oras${{R#docker}}/bed/{first.lower()}:1; {first} push {busybox_sif} $O; '
               f"{second} pull x.sif $O; cmp x.sif {busybox_sif} && echo same; {first} exec $O echo first; {second} exec $O echo second")
    assert done.stdout.split()[-3:] == ["same", "first", "second"], (done.stdout, done.stderr)
    assert "Using cached SIF image" in done.stderr


def test_pulled_names(run, busybox_sif):
    script = (f'echo "$P" | PROGRAM registry login -u {USER} --password-stdin $R; O=oras${{R#docker}}/bed/names; A push {busybox_sif} $O:a.b; A push {busybox_sif} $O; '
              "PROGRAM pull $O; PROGRAM pull $O:a.b; PROGRAM pull $O:a.b; echo $?; PROGRAM pull --dir . --force $O; ls")
    reference, done = (run(script.replace("PROGRAM", program)).stdout for program in "AS")
    assert done == reference and "names_a.b.sif" in done
