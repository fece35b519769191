# SPDX-License-Identifier: Apache-2.0
"""Workflow engines as Debian has them run their steps through our `singularity`, which is all that they find on the PATH."""
import json
import os
import textwrap

import pytest

from beds import debian_tree
from beds.node import Node, write

pytest_plugins = ("beds.cluster",)
# setuptools: cwltool asks for it, its package does not.
PACKAGES = ("toil", "cwltool", "snakemake", "nodejs", "python3-setuptools")


@pytest.fixture(scope="module")
def node(scratch, share, home):
    folder = scratch / "engines"
    folder.mkdir()
    with Node(debian_tree.debian("bookworm", PACKAGES), folder, [share], home) as running:
        yield running


@pytest.fixture(scope="module")
def run(node, home):
    def in_path(*argv, env=None, **options):
        return node.run(argv, env={"PATH": f"{home}/bin:/usr/bin:/bin", **(env or {})}, timeout=300, **options)
    return in_path


def test_snakemake(run, work, debian_sif):
    """Three steps, two of them in the image, one of these with a script's quoting."""
    write(work, "Snakefile", textwrap.dedent(f'''
        rule all:
            input: "report.txt"
        rule first:
            output: "first.txt"
            container: "{debian_sif}"
            shell: "cat /srv/replaced > {{output}}; echo \\"$GREETING 'quoted'\\" >> {{output}}"
        rule second:
            input: "first.txt"
            output: "second.txt"
            container: "{debian_sif}"
            shell: "wc -l < {{input}} > {{output}}; test ! -e /usr/bin/snakemake"
        rule report:
            input: "first.txt", "second.txt"
            output: "report.txt"
            shell: "cat {{input}} > {{output}}; test -e /usr/bin/snakemake"
        '''))
    done = run("snakemake", "--use-singularity", "--cores", "2", cwd=work)
    assert done.returncode == 0, done.stderr
    assert (work / "report.txt").read_text() == "new\nhello world 'quoted'\n2\n"


def test_a_failing_step_of_snakemake(run, work, debian_sif):
    write(work, "Snakefile", f'rule all:\n    output: "out.txt"\n    container: "{debian_sif}"\n    shell: "echo x > {{output}}; exit 3"\n')
    done = run("snakemake", "--use-singularity", "--cores", "1", cwd=work)
    assert done.returncode != 0 and not (work / "out.txt").exists()


STEP = {"cwlVersion": "v1.0", "class": "CommandLineTool", "requirements": {"ShellCommandRequirement": {}}}


def cwl_workflow(work, image):
    """Two steps in the image: one writes what the image has, the other counts its lines."""
    container = {"DockerRequirement": {"dockerPull": str(image), **({"dockerImageId": str(image)} if "/" not in str(image) else {})}}
    show = {**STEP, "hints": container, "inputs": {"word": {"type": "string"}}, "stdout": "shown.txt",
            "outputs": {"shown": {"type": "stdout"}},
            "arguments": [{"shellQuote": False, "valueFrom": "cat /srv/replaced; echo $(inputs.word); id -u"}]}
    count = {**STEP, "hints": container, "inputs": {"file": {"type": "File"}}, "stdout": "count.txt",
             "outputs": {"count": {"type": "stdout"}}, "baseCommand": ["wc", "-l"], "stdin": "$(inputs.file.path)"}
    steps = {"show": {"run": show, "in": {"word": "word"}, "out": ["shown"]},
             "count": {"run": count, "in": {"file": "show/shown"}, "out": ["count"]}}
    workflow = {"cwlVersion": "v1.0", "class": "Workflow", "inputs": {"word": "string"}, "steps": steps,
                "outputs": {"shown": {"type": "File", "outputSource": "show/shown"},
                            "count": {"type": "File", "outputSource": "count/count"}}}
    write(work, "flow.cwl", json.dumps(workflow))
    write(work, "job.json", '{"word": "two words"}')


@pytest.mark.parametrize("engine", [["cwltool", "--singularity", "--disable-pull"], ["toil-cwl-runner", "--singularity"]], ids=lambda e: e[0])
def test_common_workflow_language(run, work, small_sif, engine):
    (work / "image.sif").symlink_to(small_sif)
    cwl_workflow(work, "image.sif")
    done = run(*engine, "--outdir", work / "out", "flow.cwl", "job.json", cwd=work, env={"CWL_SINGULARITY_CACHE": work})
    assert done.returncode == 0, done.stderr[-3000:]
    assert (work / "out/shown.txt").read_text() == "new\ntwo words\n1000\n"
    assert (work / "out/count.txt").read_text().split()[0] == "3"


@pytest.fixture(scope="module")
def registry(new_registry, node, share, scratch, busybox_tar, debian_sif):
    """On the node's own network: bed/small of busybox and bed/debian, which Snakemake's bash needs."""
    with new_registry(share / "registry", password=False, within=["nsenter", "--target", node.init, "--net"]) as server:
        server.push(f"docker-archive:{busybox_tar}", "bed/small:1.0")
        server.push(f"docker-archive:{scratch}/debian.tar", "bed/debian-docker:1.0")
        server.trusted = {"SSL_CERT_FILE": f"{server.folder}/ca.crt"}
        yield server


@pytest.mark.parametrize("transport", ["docker", "oras"])
def test_snakemake_with_a_registry(run, work, registry, debian_sif, transport):
    """It pulls the image once, and both steps run in that."""
    image = f"{transport}://{registry.host}/bed/debian-{transport}:1.0"
    if transport == "oras":
        assert run("singularity", "push", debian_sif, image, env=registry.trusted).returncode == 0
    write(work, "Snakefile", textwrap.dedent(f'''
        rule all:
            input: "second.txt"
        rule first:
            output: "first.txt"
            container: "{image}"
            shell: "cat /srv/replaced > {{output}}"
        rule second:
            input: "first.txt"
            output: "second.txt"
            container: "{image}"
            shell: "cat {{input}} /srv/replaced > {{output}}; test ! -e /usr/bin/snakemake"
        '''))
    done = run("snakemake", "--use-singularity", "--cores", "2", cwd=work, env=registry.trusted)
    assert done.returncode == 0, done.stderr
    assert (work / "second.txt").read_text() == "new\nnew\n"
    assert len(list((work / ".snakemake/singularity").glob("*.simg"))) == 1


@pytest.mark.parametrize("engine", [["cwltool", "--singularity"], ["toil-cwl-runner", "--singularity"]], ids=lambda e: e[0])
def test_common_workflow_language_with_a_registry(run, work, registry, engine):
    cwl_workflow(work, f"{registry.host}/bed/small:1.0")
    (work / "cache").mkdir()
    os.chown(work / "cache", work.stat().st_uid, work.stat().st_gid)
    done = run(*engine, "--outdir", work / "out", "flow.cwl", "job.json", cwd=work, env={"CWL_SINGULARITY_CACHE": work / "cache", **registry.trusted})
    assert done.returncode == 0, done.stderr[-3000:]
    assert (work / "out/shown.txt").read_text() == "new\ntwo words\n1000\n"
    assert (work / "out/count.txt").read_text().split()[0] == "3"
    assert [path for path in (work / "cache").iterdir() if path.read_bytes()[32:41] == b"SIF_MAGIC"]


def test_nextflows_command_line(node, home, work, small_sif):
    """Its own package is not in Debian; this is what its wrapper of a step does."""
    line = (f"set +u; env - PATH=\"$PATH\" ${{TMP:+SINGULARITYENV_TMP=\"$TMP\"}} SINGULARITYENV_NXF_TASK_WORKDIR={work} "
            f"singularity exec --no-home --pid -B {work} {small_sif} /bin/sh -c \"cd {work}; cat /srv/replaced > out; echo $NXF_TASK_WORKDIR\"")
    done = node.run(["bash", "-c", line], env={"PATH": f"{home}/bin:/usr/bin:/bin", "TMP": "/tmp"})
    assert done.returncode == 0, done.stderr
    assert (work / "out").read_text() == "new\n"
