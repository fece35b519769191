# SPDX-License-Identifier: Apache-2.0
"""Completion in shells that not every machine has, of which Apptainer serves the same."""
import shutil
import subprocess

import pytest


@pytest.fixture
def script(sifrun, tmp_path):
    shutil.copy(sifrun, tmp_path / "sifrun")

    def of(shell):
        return subprocess.run([tmp_path / "sifrun", "completion", shell], capture_output=True, text=True, check=True).stdout

    return of


def run(argv, tmp_path):
    done = subprocess.run(argv, env={"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)}, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.split()


def test_fish(script, tmp_path):
    (tmp_path / "sifrun.fish").write_text(script("fish"))

    def complete(line):
        return [word.split("\t")[0] for word in run(["fish", "-N", "-c", f"source sifrun.fish; complete -C '{line}'"], tmp_path)]

    assert complete("sifrun ex") == ["exec"]
    assert {"--overlay", "--bind"} <= set(complete("sifrun exec --"))
    assert {"start", "stop"} <= set(complete("sifrun instance st"))
    assert complete("sifrun overlay create --si") == ["--size"]


def test_zsh(script, tmp_path):
    """Bash's functions, by zsh's own layer for them (compgen of bashcompinit, which runs them as those of sh)."""
    (tmp_path / "_sifrun").write_text(script("zsh"))
    asked = """autoload -U compinit && compinit -u -D; source ./_sifrun
      asked() { emulate -L sh; setopt kshglob noshglob braceexpand; COMP_WORDS=(sifrun exec --overl); COMP_CWORD=2; _sifrun; print -l -- "${COMPREPLY[@]}"; }
      asked"""
    found = run(["zsh", "-f", "-c", asked], tmp_path)
    assert "--overlay" in found and "exec" not in found  # it chooses by the word itself


def test_apptainer_has_them_too(apptainer, sifrun):
    for shell in ("bash", "zsh", "fish"):
        assert apptainer.command(["apptainer", "completion", shell]).returncode == apptainer.command([sifrun, "completion", shell]).returncode == 0
