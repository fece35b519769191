# SPDX-License-Identifier: Apache-2.0
"""`sifrun completion SHELL`: the script is read by the real shell, and asked to complete lines as that does when the tabulator is pressed."""
import os
import shutil
import subprocess

import pytest

BASH = """
source /dev/stdin <<<"$SCRIPT"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_sifrun
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def complete(sifrun, tmp_path):
    """Words that may stand in the last one's place."""
    program = tmp_path / "sifrun"
    shutil.copy(sifrun, program)
    script = subprocess.run([program, "completion", "bash"], capture_output=True, text=True, check=True).stdout
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SCRIPT": script}

    def words(*line):
        done = subprocess.run(["bash", "-uc", BASH, "bash", *line], env=environment, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0 and not done.stderr, done.stderr
        return done.stdout.split()

    return words


def test_verbs_and_options(complete):
    assert complete("sifrun", "ex") == ["exec"]
    assert {"exec", "run", "instance", "completion"} <= set(complete("sifrun", ""))
    assert "--debug" in complete("sifrun", "--") and "exec" not in complete("sifrun", "-")
    assert {"--overlay", "--bind", "--nv"} <= set(complete("sifrun", "exec", "--"))
    assert complete("sifrun", "--debug", "exec", "--writ") == ["--writable-tmpfs", "--writable"]
    assert set(complete("sifrun", "instance", "st")) == {"start", "stop"}
    assert "--bind" in complete("sifrun", "instance", "start", "-")
    assert complete("sifrun", "overlay", "create", "--si") == ["--size"]


def test_what_is_not_known_is_left_to_the_shell(complete):
    """Which offers files then (complete -o default)."""
    assert complete("sifrun", "exec", "image.si") == []
    assert complete("sifrun", "bogus", "") == []


def test_other_names(sifrun, tmp_path):
    (tmp_path / "apptainer").symlink_to(sifrun)
    done = subprocess.run([tmp_path / "apptainer", "completion", "bash"], capture_output=True, text=True, check=True)
    assert "complete -o default -F _apptainer apptainer" in done.stdout


@pytest.mark.parametrize("words, status", [(["powershell"], 1), ([], 1), (["bash", "zsh"], 1), (["--help"], 0)])
def test_mistakes(sifrun, words, status):
    done = subprocess.run([sifrun, "completion", *words], capture_output=True, text=True)
    assert done.returncode == status and (status == 0 or done.stderr.startswith("FATAL: ")), done.stderr
