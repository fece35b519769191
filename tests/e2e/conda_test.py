# SPDX-License-Identifier: Apache-2.0
"""The host's conda environments inside containers of three kinds: a newer and an older Debian, and one without a C library.

The installation is a stand-in made of Debian's packages (tests/beds/conda.py).
"""
import os
import shutil
import subprocess

import pytest

from beds import cache, debian_tree, images, made_once
from beds.conda import Conda
from conftest import convert

ASK = "import sys, ssl, sqlite3; print(sys.prefix)"


@pytest.fixture(autouse=True)
def needs_fuse(fuse_device):
    """The usual way to run."""


def _debian_tar(suite, target, extra):
    """A `docker save` archive of a minimal Debian, with a layer of `extra` on top."""
    base = cache() / f"{suite}.tar"
    with made_once(base) as part:
        if part:
            debian_tree.bootstrap(suite, part)
    return images.write_docker20(target, [base.read_bytes(), extra.bytes()], f"bed/{suite}:1", Env=["PATH=/usr/bin:/bin"])


@pytest.fixture(scope="session")
def new_sif(debian, sifconv, user, scratch, sif_folder):
    """bookworm, with a `python` of its own and a conda of its own at /opt/conda."""
    own = images.Layer().file("usr/bin/python", "#!/bin/sh\necho image\n", mode=0o755)
    own.folder("opt").folder("opt/conda").folder("opt/conda/bin").folder("opt/conda/conda-meta").file("opt/conda/own", "image\n")
    return convert(sifconv, user, _debian_tar("bookworm", scratch / "new.tar", own), sif_folder / "new.sif")


@pytest.fixture(scope="session")
def old_sif(debian, sifconv, user, scratch, sif_folder):
    return convert(sifconv, user, _debian_tar("bullseye", scratch / "old.tar", images.Layer().folder("srv")), sif_folder / "old.sif")


@pytest.fixture(scope="session")
def at_home(user):
    """An installation in the home directory."""
    return Conda(user.home / "miniconda3", user)


@pytest.fixture(scope="session")
def elsewhere(unbound, user):
    return Conda(unbound / "conda", user)


@pytest.fixture(params=["at_home", "elsewhere"])
def conda(request):
    return request.getfixturevalue(request.param)


def script(conda, name="my_env"):
    return f". {conda.root}/etc/profile.d/conda.sh && conda activate {name} && python -c '{ASK}'"


def test_a_activated_outside(user, sifrun, new_sif, conda):
    done = user.run([sifrun, "exec", new_sif, "python", "-c", ASK], env=conda.active())
    assert (done.stdout, done.stderr) == (f"{conda.root}/envs/my_env\n", "")


def test_b_prepended_by_the_user(user, sifrun, new_sif, at_home):
    env = at_home.active(APPTAINERENV_PREPEND_PATH=f"{at_home.root}/bin")
    assert user.run([sifrun, "exec", new_sif, "python", "-c", ASK], env=env).stdout == f"{at_home.root}\n"


def test_c_activated_outside_and_inside(user, sifrun, new_sif, conda):
    done = user.run([sifrun, "exec", new_sif, "bash", "-c", script(conda)], env=conda.active())
    assert (done.stdout, done.stderr) == (f"{conda.root}/envs/my_env\n", "")


def test_d_activated_inside_only(user, sifrun, new_sif, at_home):
    assert user.run([sifrun, "exec", new_sif, "sh", "-c", script(at_home)]).stdout == f"{at_home.root}/envs/my_env\n"


def test_d_known_by_its_list_only(user, sifrun, new_sif, elsewhere):
    known = user.home / ".conda"
    known.mkdir(exist_ok=True)
    (known / "environments.txt").write_text(f"{elsewhere.root}\n{elsewhere.root}/envs/my_env\n")
    try:
        done = user.run([sifrun, "exec", new_sif, "sh", "-c", script(elsewhere)])
    finally:
        (known / "environments.txt").unlink()
    assert done.stdout == f"{elsewhere.root}/envs/my_env\n", done.stderr


@pytest.mark.parametrize("command", [["python", "-V"], ["conda", "--version"]])
def test_e_newer_glibc_is_one_line(user, sifrun, old_sif, conda, command):
    done = user.run([sifrun, "exec", old_sif, *command], env=conda.active())
    assert done.returncode == 127
    fatal, hint = done.stderr.splitlines()
    assert "needs glibc 2.3" in fatal and fatal.endswith("the image has 2.31")
    assert hint.startswith("hint:")


def test_e_a_shell_is_started_with_a_warning(user, sifrun, old_sif, at_home):
    done = user.run([sifrun, "exec", old_sif, "bash", "-c", "echo fine"], env=at_home.active())
    assert (done.returncode, done.stdout) == (0, "fine\n")
    assert "will not start" in done.stderr
    assert user.run([sifrun, "exec", old_sif, "cat", "/etc/debian_version"], env=at_home.active()).stderr == ""


def test_e_a_missing_libpython_is_one_line(user, sifrun, new_sif, at_home):
    """Builds of python with a shared library of their own, which nothing has here."""
    prefix = at_home.environment("shared_build")
    subprocess.run(["patchelf", "--add-needed", "libpython3.11.so.1.0", prefix / "bin/python3.11"], check=True)
    done = user.run([sifrun, "exec", new_sif, "python", "-V"], env=at_home.active("shared_build"))
    assert done.returncode == 127
    fatal, hint = done.stderr.splitlines()
    assert f"{prefix}/bin/python" in fatal and "needs libpython3.11.so.1.0, which neither its environment nor the image has" in fatal
    assert hint.startswith("hint:")


def test_f_no_loader_is_one_line(user, sifrun, busybox_sif, conda):
    done = user.run([sifrun, "exec", busybox_sif, "python", "-V"], env=conda.active())
    assert done.returncode == 127
    assert "needs the loader" in done.stderr.splitlines()[0]


def test_base_goes_behind(user, sifrun, new_sif, old_sif, at_home):
    assert user.run([sifrun, "exec", new_sif, "python"], env=at_home.active("base")).stdout == "image\n"


def test_called_as_singularity_it_goes_behind(user, sifrun, new_sif, at_home, tmp_path):
    (tmp_path / "singularity").symlink_to(sifrun)
    command = [tmp_path / "singularity", "exec", new_sif]
    assert user.run([*command, "python"], env=at_home.active()).stdout == "image\n"
    assert user.run([*command, "python3", "-c", ASK], env=at_home.active()).stdout == f"{at_home.root}/envs/my_env\n"


@pytest.mark.parametrize("option, expected", [("front", "env"), ("back", "image"), ("bind", "image"), ("off", "image")])
def test_the_option_decides(user, sifrun, new_sif, elsewhere, option, expected):
    done = user.run([sifrun, "exec", f"--conda={option}", new_sif, "python", "-c", "print('env')"], env=elsewhere.active())
    assert done.stdout == expected + "\n"
    seen = user.run([sifrun, "exec", f"--conda={option}", new_sif, "ls", elsewhere.root], env=elsewhere.active())
    assert (seen.returncode == 0) == (option != "off")


def test_variable_decides_too(user, sifrun, new_sif, at_home):
    env = at_home.active(SIFRUN_CONDA="back")
    assert user.run([sifrun, "exec", new_sif, "python"], env=env).stdout == "image\n"
    assert user.run([sifrun, "exec", "--conda=front", new_sif, "python", "-c", "print(1)"], env=env).stdout == "1\n"


def test_a_word_that_is_none(user, sifrun, new_sif):
    for options, env in ((["--conda=maybe"], {}), ([], {"SIFRUN_CONDA": "maybe"})):
        done = user.run([sifrun, "exec", *options, new_sif, "true"], env=env)
        assert (done.returncode, "maybe is none of auto, front, back, bind and off" in done.stderr) == (255, True)


@pytest.mark.parametrize("option", ["--no-conda", "--cleanenv", "--contain", "--containall"])
def test_left_alone(user, sifrun, new_sif, elsewhere, option):
    done = user.run([sifrun, "exec", option, new_sif, "sh", "-c", "echo $PATH; python"], env=elsewhere.active())
    assert done.stdout.splitlines()[-1] == "image"
    assert "conda" not in done.stdout.splitlines()[0]


def test_own_path_wins(user, sifrun, new_sif, at_home):
    done = user.run([sifrun, "exec", "--env", "PATH=/usr/bin:/bin", new_sif, "sh", "-c", "echo $PATH"], env=at_home.active())
    assert done.stdout == "/usr/bin:/bin\n"


def test_symlinked_installation(user, sifrun, new_sif, elsewhere, unbound):
    hop, link = unbound / "hop", user.home / "linked"
    hop.symlink_to(elsewhere.root)
    link.symlink_to(hop)
    env = {k: v.replace(str(elsewhere.root), str(link)) for k, v in elsewhere.active().items()}
    try:
        done = user.run([sifrun, "exec", new_sif, "python", "-c", ASK], env=env)
    finally:
        hop.unlink(), link.unlink()
    assert done.stdout == f"{link}/envs/my_env\n", done.stderr


def test_environment_by_path(user, sifrun, new_sif, at_home, unbound):
    prefix = at_home.environment(unbound / "by-path")
    assert user.run([sifrun, "exec", new_sif, "python", "-c", ASK], env=at_home.active(prefix)).stdout == f"{prefix}\n"
    done = user.run([sifrun, "exec", new_sif, "sh", "-c", script(at_home, prefix)], env=at_home.active(prefix))
    assert done.stdout == f"{prefix}\n", done.stderr


def test_nested_activation(user, sifrun, new_sif, at_home):
    inner = f". {at_home.root}/etc/profile.d/conda.sh; conda activate base; conda deactivate; echo $CONDA_PREFIX; python -c '{ASK}'"
    done = user.run([sifrun, "exec", new_sif, "sh", "-c", inner], env=at_home.active())
    assert done.stdout.splitlines() == [f"{at_home.root}/envs/my_env"] * 2


def test_nested_activation_outside(user, sifrun, new_sif, elsewhere, unbound):
    """base, my_env on top of it, one made by path on top of that; `conda deactivate` inside goes back down."""
    prefix = elsewhere.environment(unbound / "third")
    env = elsewhere.active(prefix, shlvl=3, CONDA_PREFIX_1=str(elsewhere.root), CONDA_PREFIX_2=f"{elsewhere.root}/envs/my_env")
    ask = f"python -c '{ASK}'"
    inner = f"{ask}; . {elsewhere.root}/etc/profile.d/conda.sh; conda deactivate; {ask}; echo $CONDA_SHLVL; conda deactivate; echo $CONDA_PREFIX"
    done = user.run([sifrun, "exec", new_sif, "sh", "-c", inner], env=env)
    assert done.stdout.splitlines() == [str(prefix), f"{elsewhere.root}/envs/my_env", "2", str(elsewhere.root)], done.stderr


def test_stacked_activation(user, sifrun, new_sif, at_home, unbound):
    """`conda activate --stack`: programs that the upper environment lacks come from the lower, which is outside the home."""
    upper, lower = at_home.root / "envs/my_env", at_home.environment(unbound / "lower")
    (lower / "bin/only-here").write_text(f"#!{lower}/bin/python\nprint('lower')\n")
    (lower / "bin/only-here").chmod(0o755)
    env = at_home.active(shlvl=2, CONDA_PREFIX_1=str(lower), CONDA_STACKED_2="true", path=f"{lower}/bin:/usr/bin:/bin")
    done = user.run([sifrun, "exec", new_sif, "sh", "-c", f"only-here; python -c '{ASK}'"], env=env)
    assert done.stdout.splitlines() == ["lower", str(upper)], done.stderr


def test_pixi(user, sifrun, new_sif, at_home, unbound):
    """A project's environment; there is no installation of conda at all."""
    prefix = at_home.environment(unbound / "project/.pixi/envs/default")
    env = {"PIXI_PROJECT_ROOT": f"{unbound}/project", "PIXI_PROJECT_NAME": "project", "PIXI_ENVIRONMENT_NAME": "default", "PIXI_IN_SHELL": "1",
           "PIXI_EXE": "/nowhere/pixi", "CONDA_PREFIX": str(prefix), "CONDA_DEFAULT_ENV": "project", "PATH": f"{prefix}/bin:/usr/bin:/bin"}
    done = user.run([sifrun, "exec", new_sif, "python", "-c", ASK], env=env)
    assert (done.stdout, done.stderr) == (f"{prefix}\n", "")


@pytest.fixture
def micromamba(unbound, at_home):
    """One static program, a root without packages of its own, and the variables after `micromamba activate my_env`."""
    folder = unbound / "mamba"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/micromamba").write_text("#!/bin/sh\necho micromamba $1\n")
    (folder / "bin/micromamba").chmod(0o755)
    prefix = at_home.environment(folder / "root/envs/my_env")
    yield prefix, {"MAMBA_EXE": f"{folder}/bin/micromamba", "MAMBA_ROOT_PREFIX": f"{folder}/root", "CONDA_SHLVL": "1", "CONDA_PREFIX": str(prefix),
                   "CONDA_DEFAULT_ENV": "my_env", "CONDA_PROMPT_MODIFIER": "(my_env) ", "PATH": f"{prefix}/bin:{folder}/root/condabin:/usr/bin:/bin"}
    shutil.rmtree(folder)


def test_micromamba(user, sifrun, new_sif, micromamba):
    """Its shell function calls the program by MAMBA_EXE."""
    prefix, env = micromamba
    done = user.run([sifrun, "exec", new_sif, "sh", "-c", f'python -c "{ASK}"; "$MAMBA_EXE" shell; ls "$MAMBA_ROOT_PREFIX"'], env=env)
    assert done.stdout.splitlines() == [str(prefix), "micromamba shell", "envs"], done.stderr


def test_virtual_environment_of_uv(user, sifrun, new_sif, elsewhere, unbound):
    """uv names its interpreters by a link to the release; the environment's python leads there."""
    folder = unbound / "uv/python"
    folder.mkdir(parents=True)
    (folder / "cpython-3.11-linux").symlink_to(elsewhere.root)
    venv = unbound / "uv/project/.venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text(f"home = {folder}/cpython-3.11-linux/bin\nimplementation = CPython\nuv = 0.5.1\nversion_info = 3.11.2\n")
    (venv / "bin/python").symlink_to(f"{folder}/cpython-3.11-linux/bin/python3.11")
    env = {"VIRTUAL_ENV": str(venv), "PATH": f"{venv}/bin:/usr/bin:/bin"}
    done = user.run([sifrun, "exec", new_sif, "python", "-c", ASK], env=env)
    assert (done.stdout, done.stderr) == (f"{venv}\n", "")


def test_environments_of_a_configured_folder(user, sifrun, new_sif, at_home, unbound):
    """envs_dirs of ~/.condarc, on another file system as homes are small; nothing of it is active outside."""
    at_home.environment(unbound / "envs/far")
    (user.home / ".condarc").write_text(f"channels: [conda-forge]\nenvs_dirs:\n  - {unbound}/envs\npkgs_dirs: [$HOME/.pkgs]\n")
    env = at_home.active("base", CONDA_ENVS_PATH=f"{unbound}/envs")
    try:
        done = user.run([sifrun, "exec", new_sif, "sh", "-c", script(at_home, "far")], env=env)
        del env["CONDA_ENVS_PATH"]
        seen = user.run([sifrun, "exec", new_sif, "ls", unbound / "envs"], env=env)
    finally:
        (user.home / ".condarc").unlink()
    assert done.stdout == f"{unbound}/envs/far\n", done.stderr
    assert seen.stdout == "far\n", seen.stderr
    assert user.run([sifrun, "exec", new_sif, "ls", unbound / "envs"], env=env).returncode == 2


def test_an_images_own_conda_is_never_covered(root, sifrun, new_sif, elsewhere):
    """The host's installation is at /opt/conda, too; the session has a mount namespace of its own."""
    made = not os.path.isdir("/opt/conda")
    if made:
        os.mkdir("/opt/conda")
    try:
        subprocess.run(["mount", "--bind", elsewhere.root, "/opt/conda"], check=True)
        env = {k: v.replace(str(elsewhere.root), "/opt/conda") for k, v in elsewhere.active().items()}
        done = root.run([sifrun, "exec", new_sif, "sh", "-c", "cat /opt/conda/own; env | grep -c CONDA; python; echo $PATH"], env=env)
        forced = root.run([sifrun, "exec", "--bind", "/opt/conda", new_sif, "python", "-c", "print('host')"], env=env)
    finally:
        subprocess.run(["umount", "/opt/conda"])
        if made:
            os.rmdir("/opt/conda")
    assert done.stdout.splitlines() == ["image", "0", "image", "/usr/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin"]
    assert "the image has its own (--bind /opt/conda to cover it)" in done.stderr
    assert forced.stdout == "host\n", forced.stderr


def test_it_tells_what_it_does(user, sifrun, new_sif, elsewhere):
    told = user.run([sifrun, "--verbose", "exec", new_sif, "true"], env=elsewhere.active()).stderr
    assert f"python is {elsewhere.root}/envs/my_env/bin/python" in told
    assert f"{elsewhere.root} is bound" in told
    assert f"before the image's PATH: {elsewhere.root}/envs/my_env/bin:{elsewhere.root}/condabin\n" in told
    plan = user.run([sifrun, "exec", "--dry-run", new_sif, "true"], env=elsewhere.active()).stdout
    assert f"mount       bind {elsewhere.root} nosuid nodev unless the image has something there\n" in plan
    lines = [line.removeprefix("VERBOSE: ") for line in told.splitlines() if "conda: " in line or "python is " in line]
    assert len(lines) > 3 and all(f"note        {line}\n" in plan for line in lines), plan
    behind = user.run([sifrun, "--verbose", "exec", new_sif, "true"], env=elsewhere.active("base")).stderr
    assert f"python is the image's, or {elsewhere.root}/bin/python if it has none" in behind


def test_virtual_environment_of_a_python_elsewhere(user, sifrun, new_sif, elsewhere, tmp_path):
    made = user.run([elsewhere.root / "bin/python", "-m", "venv", "--without-pip", tmp_path / "venv"])
    assert made.returncode == 0, made.stderr
    env = {"VIRTUAL_ENV": f"{tmp_path}/venv", "PATH": f"{tmp_path}/venv/bin:/usr/bin:/bin"}
    assert user.run([sifrun, "exec", new_sif, "python", "-c", ASK], env=env).stdout == f"{tmp_path}/venv\n"


def test_virtual_environment_of_a_python_that_the_image_lacks(user, sifrun, new_sif, tmp_path):
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/pyvenv.cfg").write_text("home = /usr/bin\n")
    (tmp_path / "venv/bin/python").symlink_to("/usr/bin/python3")
    env = {"VIRTUAL_ENV": f"{tmp_path}/venv", "PATH": f"{tmp_path}/venv/bin:/usr/bin:/bin"}
    assert "which the image does not have" in user.run([sifrun, "exec", new_sif, "true"], env=env).stderr
