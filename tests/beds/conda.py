# SPDX-License-Identifier: Apache-2.0
"""A conda-shaped installation made of Debian's packages, since conda itself is no package: a relocatable interpreter with its
libraries below one prefix, `conda-meta`, `etc/profile.d/conda.sh` with the shell function, and a `conda` program in Python that
answers as conda does on `activate` and `deactivate`. The same names and variables, a hundredth of the code.
"""
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile

from . import Missing, cache, made_once

PACKAGES = ("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "zlib1g", "libexpat1", "libssl3", "libffi8",
            "libsqlite3-0", "libbz2-1.0", "liblzma5", "libuuid1", "libncursesw6", "libtinfo6", "libreadline8")
PYTHON = "python3.11"

PROFILE = r"""
export CONDA_EXE='@ROOT@/bin/conda'
export _CE_M=''
export _CE_CONDA=''
export CONDA_PYTHON_EXE='@ROOT@/bin/python'
if [ -z "${CONDA_SHLVL+x}" ]; then
  export CONDA_SHLVL=0
  PATH="@ROOT@/condabin:$PATH"
  export PATH
fi
conda() {
  case "$1" in
    activate|deactivate)
      __conda_answer="$("$CONDA_EXE" shell.posix "$@")" || return $?
      eval "$__conda_answer"
      hash -r
      ;;
    *) "$CONDA_EXE" "$@" ;;
  esac
}
"""

PROGRAM = r"""#!@ROOT@/bin/python
import os, shlex, sys

ROOT = '@ROOT@'

def places():
    for line in os.environ.get('CONDA_ENVS_PATH', '').split(':'):
        if line:
            yield line
    yield ROOT + '/envs'
    yield os.path.expanduser('~/.conda/envs')

def locate(name):
    if '/' in name:
        found = os.path.abspath(name)
    elif name == 'base':
        found = ROOT
    else:
        found = next((f'{p}/{name}' for p in places() if os.path.isdir(f'{p}/{name}/conda-meta')), '')
    if not os.path.isdir(found + '/conda-meta'):
        sys.exit(f'EnvironmentNameNotFound: Could not find conda environment: {name}')
    return found

def export(name, value):
    print(f'export {name}={shlex.quote(value)}')

def path_without(*prefixes):
    gone = [p + '/bin' for p in prefixes if p]
    return [e for e in os.environ['PATH'].split(':') if e not in gone]

def activate(name):
    prefix = locate(name)
    level = int(os.environ.get('CONDA_SHLVL') or 0)
    old = os.environ.get('CONDA_PREFIX', '')
    if old != prefix and level > 0:
        export(f'CONDA_PREFIX_{level}', old)
    export('PATH', ':'.join([prefix + '/bin', *path_without(prefix, old)]))
    export('CONDA_SHLVL', str(level if old == prefix else level + 1))
    export('CONDA_PREFIX', prefix)
    export('CONDA_DEFAULT_ENV', name if '/' in name or prefix == ROOT else os.path.basename(prefix))
    export('CONDA_PROMPT_MODIFIER', f'({name}) ')

def deactivate():
    level = int(os.environ.get('CONDA_SHLVL') or 0)
    old = os.environ.get('CONDA_PREFIX', '')
    below = os.environ.get(f'CONDA_PREFIX_{level - 1}', '')
    export('PATH', ':'.join(([below + '/bin'] if below else []) + path_without(old)))
    export('CONDA_SHLVL', str(max(level - 1, 0)))
    if below:
        export('CONDA_PREFIX', below)
    else:
        print('unset CONDA_PREFIX CONDA_DEFAULT_ENV CONDA_PROMPT_MODIFIER')

words = sys.argv[1:]
if words[:2] == ['shell.posix', 'activate']:
    activate(words[2] if len(words) > 2 else 'base')
elif words[:2] == ['shell.posix', 'deactivate']:
    deactivate()
elif words == ['--version']:
    print('conda 24.1.0')
else:
    sys.exit('conda: not in this stand-in: ' + ' '.join(words))
"""


def _run(*argv, **options):
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise Missing(f"{argv[0]} failed: {done.stderr.strip()[-400:]}")


def _prefix():
    """The interpreter below a prefix of its own, cached; it runs from wherever it is copied to."""
    if not shutil.which("patchelf"):
        raise Missing("patchelf is not installed (scripts/install-deps peers)")
    path = cache() / f"conda-{PYTHON}"
    with made_once(path) as part:
        if part:
            shutil.rmtree(part, ignore_errors=True)
            _make_prefix(part)
    return path


def _make_prefix(prefix):
    with tempfile.TemporaryDirectory() as folder:
        _run("apt-get", "-o", "APT::Sandbox::User=root", "download", *PACKAGES, cwd=folder)
        tree = pathlib.Path(folder, "tree")
        for package in pathlib.Path(folder).glob("*.deb"):
            _run("dpkg", "-x", package, tree)
        (prefix / "bin").mkdir(parents=True)
        (prefix / "lib").mkdir()
        (prefix / "conda-meta").mkdir()
        (prefix / "conda-meta/history").touch()
        shutil.copy(tree / "usr/bin" / PYTHON, prefix / "bin" / PYTHON)
        shutil.copytree(tree / "usr/lib" / PYTHON, prefix / "lib" / PYTHON, symlinks=True)
        for place in ("lib", "usr/lib"):
            for library in (tree / place).glob("*-linux-gnu/*.so*"):
                shutil.copy(library, prefix / "lib" / library.name, follow_symlinks=False)
    for name in ("python", "python3"):
        (prefix / "bin" / name).symlink_to(PYTHON)
    places = [(prefix / "bin", "$ORIGIN/../lib"), (prefix / "lib" / PYTHON / "lib-dynload", "$ORIGIN/../.."), (prefix / "lib", "$ORIGIN")]
    for folder, search in places:
        for file in folder.iterdir():
            if file.is_file() and not file.is_symlink() and file.read_bytes()[:4] == b"\x7fELF":
                file.chmod(file.stat().st_mode | stat.S_IWUSR)
                _run("patchelf", "--force-rpath", "--set-rpath", search, file)


def _copy(source, target, owner):
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True)
    if owner and os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"{owner.uid}:{owner.gid}", str(target)], check=True)


class Conda:
    """An installation at `root` with the environment `my_env`."""

    def __init__(self, root, owner=None):
        self.root, self.owner = pathlib.Path(root), owner
        _copy(_prefix(), self.root, owner)
        (self.root / "condabin").mkdir()
        (self.root / "etc/profile.d").mkdir(parents=True)
        (self.root / "envs").mkdir()
        self._write("etc/profile.d/conda.sh", PROFILE)
        self._write("bin/conda", PROGRAM, 0o755)
        (self.root / "condabin/conda").symlink_to("../bin/conda")
        self.environment("my_env")
        if owner and os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{owner.uid}:{owner.gid}", str(self.root)], check=True)

    def _write(self, name, text, mode=0o644):
        path = self.root / name
        path.write_text(text.replace("@ROOT@", str(self.root)))
        path.chmod(mode)

    def environment(self, name):
        """A new one: a name, or a path outside the installation."""
        path = pathlib.Path(name) if "/" in str(name) else self.root / "envs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _copy(_prefix(), path, self.owner)
        return path

    def active(self, name="my_env", shlvl=1, path="/usr/local/bin:/usr/bin:/bin", **more):
        """The variables after `conda activate NAME`, as they are recorded from conda."""
        prefix = self.root if name == "base" else pathlib.Path(name) if "/" in str(name) else self.root / "envs" / name
        return {"CONDA_EXE": str(self.root / "bin/conda"), "_CE_M": "", "_CE_CONDA": "",
                "CONDA_PYTHON_EXE": str(self.root / "bin/python"), "CONDA_SHLVL": str(shlvl), "CONDA_PREFIX": str(prefix),
                "CONDA_DEFAULT_ENV": str(name), "CONDA_PROMPT_MODIFIER": f"({name}) ",
                "PATH": f"{prefix}/bin:{self.root}/condabin:{path}", **more}
