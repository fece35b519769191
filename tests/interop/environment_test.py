# SPDX-License-Identifier: Apache-2.0
"""The payload's whole environment, and what `run` makes of ENTRYPOINT and CMD, are the same under Apptainer and under sifrun."""
import pytest

# Paths and users of the two trees differ.
OWN = {"APPTAINER_CONTAINER", "SINGULARITY_CONTAINER", "HOME", "PWD", "OLDPWD", "USER_PATH"}


@pytest.fixture(autouse=True)
def needs_fuse(fuse_device):
    """Both mount images through it."""


@pytest.fixture(scope="module")
def image(docker, apptainer, sif_folder, scratch):
    """An image with every awkward kind of ENV, built and converted by the peers."""
    folder = scratch / "environment"
    folder.mkdir(exist_ok=True)
    (folder / "busybox").write_bytes(open("/bin/busybox", "rb").read())
    (folder / "busybox").chmod(0o755)
    (folder / "Dockerfile").write_text(r"""FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
ENV PLAIN=value QUOTES="a \"b\" 'c'" DOLLAR="pay \$5 \${X}" BACK="a\\b\\\\c" EMPTY="" SPACES="  x  y  "
ENV PATH=/opt/tool/bin:/usr/bin:/bin LD_LIBRARY_PATH=/opt/lib NL="line1\nline2" GLOB="*.txt ~ #x"
ENTRYPOINT ["/bin/echo","ep one","two"]
CMD ["cmd a","$HOME"]
""")
    docker.build("environment:1", folder)
    archive = folder / "environment.tar"
    docker.run("save", "environment:1", "-o", archive)
    archive.chmod(0o644)
    target = sif_folder / "environment.sif"
    done = apptainer.run("build", "--force", target, f"docker-archive:{archive}", user=False)
    assert done.returncode == 0, done.stderr
    return target


HOST = {
    "nothing": ({}, []),
    "host variables": ({"FOO": "bar", "PLAIN": "host", "MULTI": "a\nb", "ESCAPED": "a\\nb", "LD_LIBRARY_PATH": "/host", "NONE": ""}, []),
    "cleanenv": ({"FOO": "bar", "TERM": "xt", "http_proxy": "p", "LANG": "de", "APPTAINERENV_Q": "1"}, ["--cleanenv"]),
    "--env": ({}, ["--env", "A=1,B=two words", "--env", "PLAIN=opt", "--env", "EMPTY=x", "--env", "E2="]),
    "prefixes": ({"APPTAINERENV_PLAIN": "a", "SINGULARITYENV_CE": "1", "APPTAINERENV_B": "2", "SINGULARITYENV_B": "3"}, []),
    "evaluated": ({"APPTAINERENV_X": "$(echo sub)", "APPTAINERENV_Y": "\\$HOME", "APPTAINERENV_Z": '"$UID"', "APPTAINERENV_W": "'$UID'"}, []),
    "literal": ({"APPTAINERENV_X": "$(echo sub)", "APPTAINERENV_Y": "\\$HOME", "APPTAINERENV_Z": '"$UID"'}, ["--no-eval"]),
    "path ends": ({"APPTAINERENV_PREPEND_PATH": "/p", "APPTAINERENV_APPEND_PATH": "/a"}, []),
    "path": ({"APPTAINERENV_PATH": "/only:/bin"}, []),
    "path with itself": ({}, ["--env", "PATH=$PATH:/more"]),
    "library path": ({"APPTAINERENV_LD_LIBRARY_PATH": "/u"}, []),
    "home": ({"APPTAINERENV_HOME": "/x"}, ["--env", "HOME=/y"]),
    "emptied": ({"APPTAINERENV_PLAIN": ""}, []),
    "prompt": ({"PS1": "mine", "PROMPT_COMMAND": "foo"}, []),
    "backslashes": ({"APPTAINERENV_A": "a\\\\b", "APPTAINERENV_B": "a`echo q`", "APPTAINERENV_C": "a\\b", "APPTAINERENV_D": "a\nb"}, []),
}


def variables(done):
    assert done.returncode == 0, done.stderr
    pairs = dict(entry.split("=", 1) for entry in done.stdout.split("\0") if "=" in entry)
    return {name: value for name, value in pairs.items() if name not in OWN}


@pytest.mark.parametrize("name", HOST)
def test_environment(name, image, apptainer, user, sifrun, tmp_path):
    environment, options = HOST[name]
    line = ["exec", *options, str(image), "cat", "/proc/self/environ"]
    reference = variables(apptainer.run(*line, cwd=tmp_path, env=environment))
    assert variables(user.run([sifrun, "--silent", *line], cwd=tmp_path, env=environment)) == reference


@pytest.mark.parametrize("options", [[], ["--no-eval"]], ids=["evaluated", "literal"])
@pytest.mark.parametrize("arguments", [[], ["x y", "$PLAIN", "$(echo e)"], ["a  b", "*", "'q'"]], ids=["none", "shell", "blanks"])
def test_run(arguments, options, image, apptainer, user, sifrun, tmp_path):
    line = ["run", *options, str(image), *arguments]
    reference = apptainer.run(*line, cwd=tmp_path)
    done = user.run([sifrun, "--silent", *line], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (reference.returncode, reference.stdout), (done.stderr, reference.stderr)
