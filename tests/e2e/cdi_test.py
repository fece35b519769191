# SPDX-License-Identifier: Apache-2.0
"""Devices that the host describes in CDI files: what of them is applied, imitated, and named as left out; and files that mean harm.

The files have the shape that NVIDIA's toolkit writes, for the stand-in of its driver and nodes that every machine has.
"""
import json
import os

import pytest

from beds import nvidia
from nvidia_test import NODES, compat_sif, driver, probe_sif, with_nodes  # noqa: F401 (fixtures)

FOLDERS = {32: "/usr/lib/i386-linux-gnu", 64: "/usr/lib/x86_64-linux-gnu"}


@pytest.fixture(autouse=True)
def needs_fuse(fuse_device):
    """The usual way to run."""


def node(name, host="/dev/null", **more):
    return {"path": f"/dev/{name}", "hostPath": host, **more}


def hook(*words):
    return {"hookName": "createContainer", "path": "/usr/bin/nvidia-cdi-hook", "args": ["nvidia-cdi-hook", *words]}


def device(name, **edits):
    return {"name": name, "containerEdits": edits}


def spec(*devices, version="0.5.0", kind="vendor.com/thing", **edits):
    return {"cdiVersion": version, "kind": kind, "devices": list(devices), "containerEdits": edits}


def write(folder, content, name="spec.json"):
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def yaml(value, indent=0):
    """JSON's kinds of values in YAML's block style, as the toolkit writes its files."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        return "".join(f"{pad}{key}:{block(item, indent)}" for key, item in value.items())
    if isinstance(value, list) and value:
        return "".join(f"{pad}- {yaml(item, indent + 1).lstrip()}" for item in value)
    return f"{pad}{json.dumps(value)}\n"


def block(value, indent):
    return "\n" + yaml(value, indent + 1) if isinstance(value, (dict, list)) and value else f" {json.dumps(value)}\n"


@pytest.fixture
def gpu_spec(driver):  # noqa: F811
    """Libraries of both sizes, as on hosts that have both."""
    version = nvidia.version(driver)
    mounts, links = [], ["../libnvidia-allocator.so.1::/usr/lib/x86_64-linux-gnu/gbm/nvidia-drm_gbm.so", "../../nvidia0::/dev/dri/by-path/gpu"]
    for folder in FOLDERS.values():
        for name in (f"libcuda.so.{version}", f"libnvidia-allocator.so.{version}"):
            mounts.append({"hostPath": f"{driver}{folder}/nvidia/current/{name}", "containerPath": f"{folder}/{name}",
                           "options": ["ro", "nosuid", "nodev", "rbind", "rprivate"]})
        links.append(f"libcuda.so.1::{folder}/libcuda.so")
    hooks = [hook("create-symlinks", *(word for link in links for word in ("--link", link))),
             hook("enable-cuda-compat", "--host-driver-version=" + version),
             hook("update-ldcache", *(word for folder in FOLDERS.values() for word in ("--folder", folder))),
             hook("disable-device-node-modification"), hook("chmod", "--mode", "755", "--path", "/dev/dri")]
    names = {"0": ["nvidia0"], "1": ["nvidia1"], "0:1": ["nvidia0", "nvidia-caps/nvidia-cap3"], "all": ["nvidia0", "nvidia1"]}
    return spec(*(device(name, deviceNodes=[node(n) for n in nodes]) for name, nodes in names.items()), kind="nvidia.com/gpu",
                env=["NVIDIA_VISIBLE_DEVICES=void", "FROM_CDI=yes"], mounts=mounts, hooks=hooks, deviceNodes=[node("nvidiactl")])


@pytest.fixture
def run(user, sifrun, probe_sif, tmp_path):  # noqa: F811
    def run(name, *argv, options=("--contain",), **more):
        return user.run([sifrun, "--verbose", "exec", *options, "--cdi-dirs", tmp_path, "--device", name, probe_sif, *argv], **more)
    return run


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_libraries_of_both_sizes_load(run, gpu_spec, tmp_path, form):
    write(tmp_path, gpu_spec if form == "json" else yaml(gpu_spec), "nvidia." + form)
    done = run("nvidia.com/gpu=0", "sh", "-c", "probe32; probe64; echo $FROM_CDI $NVIDIA_VISIBLE_DEVICES")
    assert done.stdout.splitlines() == ["32 100 /.singularity.d/libs32/libcuda.so.1", "64 100 /.singularity.d/libs/libcuda.so.1", "yes void"], done.stderr


@pytest.mark.parametrize("name, nodes", [("0", ["nvidia0"]), ("1", ["nvidia1"]), ("all", ["nvidia0", "nvidia1"]),
                                         ("0:1", ["nvidia-caps/nvidia-cap3", "nvidia0"])])
def test_names_of_devices(run, gpu_spec, tmp_path, name, nodes):
    write(tmp_path, gpu_spec)
    done = run("nvidia.com/gpu=" + name, "/bin/busybox", "find", "/dev", "-name", "nvidia*[0-9]")
    assert sorted(done.stdout.split()) == [f"/dev/{node}" for node in nodes], done.stderr


def test_several_devices_at_once(run, gpu_spec, tmp_path):
    write(tmp_path, gpu_spec)
    done = run("nvidia.com/gpu=0,nvidia.com/gpu=1", "sh", "-c", "ls -d /dev/nvidia*; : > /dev/nvidia1")
    assert done.stdout.split() == ["/dev/nvidia0", "/dev/nvidia1", "/dev/nvidiactl"] and done.returncode == 0, done.stderr


def test_hooks_are_imitated_or_named(run, gpu_spec, tmp_path, driver):  # noqa: F811
    write(tmp_path, gpu_spec)
    back_end = "/usr/lib/x86_64-linux-gnu/gbm/nvidia-drm_gbm.so"
    done = run("nvidia.com/gpu=0", "sh", "-c", f"wc -c < {back_end}; ls /.singularity.d/libs /dev/dri/by-path")
    library = f"{driver}/usr/lib/x86_64-linux-gnu/nvidia/current/libnvidia-allocator.so.{nvidia.version(driver)}"
    assert int(done.stdout.split()[0]) == os.stat(library).st_size
    assert {"libcuda.so", "libcuda.so.1", "libnvidia-allocator.so.1", "gpu"} <= set(done.stdout.split())
    skipped = [line for line in done.stderr.splitlines() if "is skipped: sifrun runs no programs of the host" in line]
    assert ["disable-device" in skipped[0], "chmod --mode 755" in skipped[1], len(skipped)] == [True, True, 2], done.stderr


def test_a_newer_compatibility_library_of_the_image_is_used(user, sifrun, gpu_spec, tmp_path, compat_sif):  # noqa: F811
    write(tmp_path, gpu_spec)
    command = [sifrun, "exec", "--contain", "--cdi-dirs", tmp_path, "--device", "nvidia.com/gpu=0", compat_sif, "sh", "-c", "echo $LD_LIBRARY_PATH"]
    assert user.run(command).stdout.startswith("/usr/local/cuda/compat:/.singularity.d/libs")


def test_fields_that_need_privileges_are_named(run, tmp_path):
    full = {"deviceNodes": [node("thing", type="c", major=1, minor=3, fileMode=438, permissions="r", uid=1, gid=2)],
            "mounts": [{"hostPath": "/etc/hostname", "containerPath": "/etc/thing", "options": ["ro", "noexec"]},
                       {"hostPath": "tmpfs", "containerPath": "/scratch", "type": "tmpfs", "options": ["size=1m"]},
                       {"hostPath": "proc", "containerPath": "/other", "type": "proc"}],
            "additionalGids": [4], "intelRdt": {"closID": "x"}, "netDevices": [{"hostInterfaceName": "eth7", "name": "eth0"}],
            "hooks": [{"hookName": "prestart", "path": "/bin/some-hook", "env": ["A=b"], "timeout": 3}], "env": ["THING=1 2"]}
    write(tmp_path, {**spec({**device("a", **full), "annotations": {"what": "for"}}, version="1.1.0"), "annotations": {"x.y/z": "w"}})
    done = run("vendor.com/thing=a", "sh", "-c", "stat -c %t:%T:%a /dev/thing; wc -c < /etc/thing; echo $THING; touch /scratch/x && ls / | wc -l")
    assert done.stdout.splitlines()[:3] == ["1:3:666", str(os.stat("/etc/hostname").st_size), "1 2"], done.stderr
    for field in ("fileMode 438 of /dev/thing", "uid 1 of /dev/thing", "gid 2 of /dev/thing", "permissions r of /dev/thing", "option noexec of /etc/thing",
                  "option size=1m of /scratch", "type proc of /other", "additionalGids", "intelRdt", "netDevices"):
        assert f"{field} " in done.stderr and "needs privileges and is skipped" in done.stderr, (field, done.stderr)
    assert "the hook /bin/some-hook" in done.stderr
    plan = run("vendor.com/thing=a", "true", options=["--contain", "--dry-run"]).stdout
    assert "device      /dev/null on /dev/thing" in plan and "variable    THING=1 2" in plan


def test_the_later_folder_wins_and_equals_conflict(user, sifrun, probe_sif, tmp_path):  # noqa: F811
    for folder, value in (("one", 1), ("two", 2)):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, spec(device("a", env=[f"FROM={value}"])))
    command = [sifrun, "exec", "--cdi-dirs", f"{tmp_path}/one,{tmp_path}/two", "--device", "vendor.com/thing=a", probe_sif, "sh", "-c", "echo $FROM"]
    assert user.run(command).stdout == "2\n"
    write(tmp_path / "two", spec(device("a", env=["FROM=3"])), "other.yaml")
    done = user.run(command)
    assert done.returncode == 255
    assert f"both {tmp_path}/two/other.yaml and {tmp_path}/two/spec.json define it" in done.stderr


def test_the_usual_folders(root, user, sifrun, probe_sif, tmp_path):  # noqa: F811
    """The session's own /etc and /run, as /var/run is."""
    for folder, value in (("etc", 1), ("run", 2)):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, spec(device("a", env=[f"{folder.upper()}=1", f"FROM={value}"])), "a.yaml" if folder == "etc" else "a.json")
    write(tmp_path / "etc", spec(device("b", env=["FROM=b"])), "b.json")
    prepare = f"mkdir -p /run/cdi /etc/cdi && mount --bind {tmp_path}/etc /etc/cdi && mount --bind {tmp_path}/run /run/cdi"
    try:
        command = [sifrun, "exec", "--device", "vendor.com/thing=a", "--device", "vendor.com/thing=b", probe_sif, "sh", "-c", "echo $FROM $RUN $ETC"]
        done = with_nodes(user, command, prepare=prepare, nodes=NODES)
    finally:
        for folder in ("/run/cdi", "/etc/cdi"):
            if os.path.isdir(folder) and not os.listdir(folder):
                os.rmdir(folder)
    assert done.stdout == "b 1\n", done.stderr


def test_a_node_of_another_name_without_own_devices(root, run, tmp_path, user, sifrun, probe_sif):  # noqa: F811
    """The host's /dev is shown: its own node of that name is covered, and one that it lacks cannot be made there."""
    write(tmp_path, spec(device("covers", deviceNodes=[node("zero")]), device("makes", deviceNodes=[node("nowhere")]),
                         device("elsewhere", deviceNodes=[{"path": "/srv/node", "hostPath": "/dev/null"}])))
    assert run("vendor.com/thing=covers", "sh", "-c", "head -c 3 /dev/zero | wc -c", options=[]).stdout == "0\n"
    done = run("vendor.com/thing=makes", "echo", "on", options=[])
    assert (done.returncode, done.stdout) == (0, "on\n")
    assert "mount point /dev/nowhere does not exist in the container" in done.stderr
    assert run("vendor.com/thing=elsewhere", "sh", "-c", "echo x > /srv/node && stat -c %F /srv/node", options=[]).stdout == "character special file\n"


HOSTILE = {
    "huge.json": ('{"cdiVersion": "' + "x" * (9 << 20) + '"}', "cannot be read"),
    "deep.json": ("[" * 100000, "nesting deeper than 32 levels"),
    "deep-edits.json": ('{"devices": ' * 5000, "nesting deeper than 32 levels"),
    "many.json": (json.dumps(spec(*(device(f"d{i % 60000}", env=["A=b"]) for i in range(60001)))), "device d0 stands there twice"),
    "cut.json": ('{"cdiVersion": "0.5.0", ', "no valid JSON at byte"),
    "overflow.json": ('{"cdiVersion": 1e99999}', "a number is out of range"),
    "bytes.json": ("\x00\x01\x02", "no valid JSON at byte"),
    "number.json": ("7", "expected an object, found number"),
    "kinds.json": (json.dumps(spec(device("a", env=["A=b"]), kind=["x"])), "top level.kind: expected a text, found array"),
    "edits.json": (json.dumps(spec({"name": "a", "containerEdits": [1]})), "containerEdits: expected an object, found array"),
    "mounts.json": (json.dumps(spec(device("a", mounts={"a": 1}))), "mounts: expected a list, found object"),
    "major.json": (json.dumps(spec(device("a", deviceNodes=[node("x", major="one")]))), "major: expected a number, found string"),
    "gids.json": (json.dumps(spec(device("a", additionalGids=["root"]), version="1.0.0")), "additionalGids: not what the specification describes"),
    "newer.json": (json.dumps(spec(device("a", netDevices=[{"name": "x"}]), version="1.0.0")), "netDevices needs cdiVersion 1.1.0"),
    "unknown.json": (json.dumps(spec(device("a", devicesNodes=[]))), 'unknown field "devicesNodes"'),
    "bomb.yaml": ("a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nd: [*c, *c, *c]\n", "an alias is not supported"),
    "deep.yaml": ("- " * 5000 + "x", "nesting this deep is not supported"),
    "flow.yaml": ("[" * 100000, "nesting this deep is not supported"),
    "tab.yaml": ("a:\n\t- b", "tab.yaml, line 2"),
    "empty.yaml": ("", "expected an object, found null"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_line(user, sifrun, probe_sif, tmp_path, name):  # noqa: F811
    content, reason = HOSTILE[name]
    write(tmp_path, content, name)
    done = user.run([sifrun, "exec", "--cdi-dirs", tmp_path, "--device", "vendor.com/thing=a", probe_sif, "true"], timeout=20)
    fatal, hint = done.stderr.splitlines()
    assert done.returncode == 255 and fatal.startswith("FATAL") and hint.startswith("hint:")
    assert reason in fatal, fatal


def test_what_covers_the_root_is_refused(run, tmp_path):
    write(tmp_path, spec(device("a", mounts=[{"hostPath": "/etc", "containerPath": "/srv/.."}])))
    done = run("vendor.com/thing=a", "true")
    assert done.returncode == 255 and "mounts /etc on /: the container's root cannot be covered" in done.stderr


def test_other_files_of_the_folder_do_not_matter(run, tmp_path):
    write(tmp_path, spec(device("a", env=["A=fine"])))
    for name, (content, _) in HOSTILE.items():
        if not name.startswith("huge"):
            write(tmp_path, content, name)
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    write(tmp_path, "not looked at", "spec.json~")
    (tmp_path / "folder.json").mkdir()
    assert run("vendor.com/thing=a", "sh", "-c", "echo $A").stdout == "fine\n"
    done = run("vendor.com/thing=b", "true")
    assert done.returncode == 255 and len(done.stderr.splitlines()) == 2 and "; and " in done.stderr


def test_a_device_that_is_not_there(run, gpu_spec, tmp_path):
    write(tmp_path, gpu_spec)
    done = run("nvidia.com/gpu=9", "true")
    assert done.returncode == 255
    assert f"CDI device nvidia.com/gpu=9 is in no file of {tmp_path}" in done.stderr
    done = run("gpu0", "true")
    assert done.returncode == 255 and "--device gpu0: expected VENDOR/CLASS=NAME, for example nvidia.com/gpu=0" in done.stderr
