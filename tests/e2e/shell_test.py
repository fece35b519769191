# SPDX-License-Identifier: Apache-2.0
"""The embedded shell against dash and bash: each snippet must give the same output and status as at
least one of them (both, where both agree). Snippets that only bash can do are compared with bash."""

import os
import pathlib
import subprocess

import pytest

BUILD = pathlib.Path(os.environ.get("SIFCONV_BUILD", "build/release")).resolve()
PROBE = BUILD / "bin" / "shell_probe"
SNIPPETS = pathlib.Path(__file__).parent / "shell_snippets"
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/home/someone", "LC_ALL": "C"}


def snippets(name):
    """Snippets of a file, separated by lines of '%%'."""
    text = (SNIPPETS / name).read_text()
    return [part.strip("\n") for part in text.split("\n%%\n")]


def outcome(command, snippet, directory):
    result = subprocess.run(
        [*command, "-c", snippet, "sh", "one", "two words", "three"],
        capture_output=True,
        cwd=directory,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        timeout=20,
        check=False,
    )
    return result.returncode, result.stdout


@pytest.fixture(name="folder")
def fixture_folder(tmp_path):
    for name in ("a.txt", "b.txt", "c.md", ".hidden", "sub/x.txt", "sub/y.txt", "with space.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"text of {name}\n")
    (tmp_path / "lib.sh").write_text("LIB=loaded\nlib_function() { echo lib $1; }\nreturn 3\necho no\n")
    (tmp_path / "run").write_text("echo script $1 $#\n")
    (tmp_path / "run").chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("snippet", snippets("posix.txt"))
def test_posix(snippet, folder):
    expected = {
        outcome(["dash"], snippet, folder),
        outcome(["bash", "--posix"], snippet, folder),
    }
    got = outcome([PROBE], snippet, folder)
    # Where a shell ends a script because of an error, the status is its own choice.
    normal = {(min(status, 1) if status in (1, 2, 127) else status, out) for status, out in expected}
    assert got in expected or (min(got[0], 1) if got[0] in (1, 2, 127) else got[0], got[1]) in normal, (
        got,
        expected,
    )


@pytest.mark.parametrize("snippet", snippets("bash.txt"))
def test_bash(snippet, folder):
    assert outcome([PROBE], snippet, folder) == outcome(["bash"], snippet, folder)


@pytest.mark.parametrize("snippet", snippets("refused.txt"))
def test_refused(snippet, folder):
    """What cannot be done is refused with file and line before anything runs."""
    result = subprocess.run(
        [PROBE, "-c", snippet], capture_output=True, text=True, cwd=folder, timeout=20, check=False
    )
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith("sh:") and ": " in result.stderr
