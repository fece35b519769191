#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The session that scripts/demo shows: docker build, docker save, sifconv, sifrun, every command printed as a user would type it."""
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from beds import Missing, images, kernel  # noqa: E402
from beds.docker import Docker  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
USER = 1000
TAG = "user/train:1.0"
COLOUR = sys.stdout.isatty()
DOCKERFILE = f"""FROM {images.BASE_TAG}
RUN apt-get update -q && apt-get install -q -y --no-install-recommends libjpeg-dev python3 && rm -rf /var/lib/apt/lists
ENV GREETING="hello from the image"
COPY train.py /srv/train.py
ENTRYPOINT ["python3"]
CMD ["/srv/train.py"]
"""
TRAIN = """import os, sys
print(os.environ["GREETING"], "- Python", sys.version.split()[0], "as uid", os.getuid(), "in", os.getcwd())
"""


def say(text):
    print(f"\n\033[1m# {text}\033[0m" if COLOUR else f"\n# {text}", flush=True)


def prompt(argv, mark):
    line = " ".join(shlex.quote(str(word)) for word in argv)
    print(f"\033[32m{mark}\033[0m {line}" if COLOUR else f"{mark} {line}", flush=True)


def as_user(folder, *argv):
    """Shown with the prompt of an ordinary user, run as one: clean environment, no groups, the programs in PATH."""
    prompt(argv, "$")
    environment = {"PATH": f"{folder}/bin:/usr/bin:/bin", "HOME": f"{folder}/home", "LANG": "C.UTF-8", "TERM": os.environ.get("TERM", "dumb")}
    line = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", "env", "-i",
            *(f"{name}={value}" for name, value in environment.items()), *map(str, argv)]
    subprocess.run(line, cwd=f"{folder}/home", check=True)


def docker(engine, *argv, cwd=None):
    prompt(["docker", *argv], "#")
    subprocess.run([engine.client, "--host", engine.socket, *argv], cwd=cwd, check=True, env=dict(os.environ, DOCKER_BUILDKIT="0"),
                   stdout=subprocess.DEVNULL if argv[0] == "build" else None, stderr=subprocess.STDOUT if argv[0] != "build" else None)


def make_account(folder):
    """An ordinary user with a home, seen by this session only; /dev/fuse as machines for users have it."""
    kernel.private_mounts()
    kernel.open_fuse_to_users()
    home = folder / "home"
    home.mkdir()
    os.chown(home, USER, USER)
    passwd = folder / "passwd"
    others = [line for line in open("/etc/passwd") if line.split(":")[2] != str(USER)]
    passwd.write_text("".join(others) + f"researcher:x:{USER}:{USER}::{home}:/bin/sh\n")
    kernel.bind(passwd, "/etc/passwd")
    group = folder / "group"
    others = [line for line in open("/etc/group") if line.split(":")[2] != str(USER)]
    group.write_text("".join(others) + f"researcher:x:{USER}:\n")
    kernel.bind(group, "/etc/group")
    (folder / "bin").mkdir()
    for program in ("sifconv", "sifrun"):
        shutil.copy(REPOSITORY / "build/release/bin" / program, folder / "bin")
    return home


def session(folder):
    home = make_account(folder)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "train.py").write_text(TRAIN)
    say("On the laptop: Docker builds an image and saves it (a minimal Debian is made first; a minute or two)")
    with Docker() as engine:
        images.import_base(engine)
        prompt(["cat", "Dockerfile"], "#")
        print(DOCKERFILE, end="")
        docker(engine, "build", "--quiet", "--network", "host", "--tag", TAG, ".", cwd=folder)
        docker(engine, "save", "--output", "train.tar", TAG, cwd=home)
        os.chown(home / "train.tar", USER, USER)
        os.chmod(home / "train.tar", 0o644)

    say("On the cluster: an ordinary user converts it and runs it")
    as_user(folder, "ls", "-sh", "train.tar")
    as_user(folder, "sifconv", "train.tar")
    as_user(folder, "ls", "-sh", "train.sif")
    as_user(folder, "sifrun", "run", "train.sif")
    as_user(folder, "sifrun", "exec", "train.sif", "python3", "-c", "print(2**64)")
    as_user(folder, "sifrun", "exec", "train.sif", "sh", "-c", "id -un; head -1 /etc/os-release; ls -l /srv")
    say("The programs are build/release/bin/sifconv and build/release/bin/sifrun; nothing else is needed where they go.")


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sifconv-demo-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        session(folder)
    except Missing as reason:
        sys.exit(f"demo: no Docker engine can be had here: {reason}")
    except subprocess.CalledProcessError as failure:
        sys.exit(f"demo: failed with status {failure.returncode}: {shlex.join(map(str, failure.cmd))}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
