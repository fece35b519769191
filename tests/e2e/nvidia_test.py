# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's driver inside containers, without a GPU: Debian's packages of its user-space half in a tree stand in for a host's.

cuInit answers 100 (no device) and nvmlInit 9 (driver not loaded) if and only if the libraries are the host's and can be loaded.
"""
import glob
import os
import pathlib
import shutil
import subprocess

import pytest

from beds import cache, debian_tree, images, made_once, nvidia
from conftest import convert

LIBS = "/.singularity.d/libs"


@pytest.fixture(autouse=True)
def needs_fuse(fuse_device):
    """The usual way to run."""


@pytest.fixture(scope="session")
def driver(debian):
    return nvidia.driver_tree()


def _image(sifconv, user, suite, folder, extra):
    base = cache() / f"{suite}-gpu.tar"
    with made_once(base) as part:
        if part:
            debian_tree.bootstrap(suite, part.with_suffix(".part.tar"), ["python3", "libgbm1", "libvulkan1"])
            part.with_suffix(".part.tar").rename(part)
    archive = images.write_docker20(folder / f"{suite}.tar", [base.read_bytes(), extra.bytes()], Env=["PATH=/usr/bin:/bin"])
    return convert(sifconv, user, archive, folder / f"{suite}.sif")


@pytest.fixture(scope="session", params=["bookworm", "bullseye"])
def image(request, debian, sifconv, user, sif_folder):
    """With a libGL and a stale, unusable driver library of its own."""
    own = images.Layer().folder("usr/lib/x86_64-linux-gnu").file("usr/lib/x86_64-linux-gnu/libGL.so.1", "image's\n")
    own.file("usr/lib/x86_64-linux-gnu/libcuda.so.1", "")
    folder = sif_folder / request.param
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, user.uid, user.gid)
    return _image(sifconv, user, request.param, folder, own)


@pytest.fixture(scope="session")
def probe_sif(driver, sifconv, user, scratch, sif_folder):
    """A static shell, and a probe of 32 and one of 64 bits with a C library each."""
    layers = [images.busybox_layer("head", "od").bytes(), nvidia.probe_layer(driver, scratch).bytes()]
    archive = images.write_docker20(scratch / "probe.tar", layers, Env=["PATH=/bin"])
    return convert(sifconv, user, archive, sif_folder / "probe.sif")


@pytest.fixture(scope="session")
def compat_sif(sifconv, user, scratch, sif_folder):
    """With CUDA's forward-compatibility package of a newer driver than any host has."""
    layer = images.busybox_layer().folder("usr").folder("usr/local").folder("usr/local/cuda-99").folder("usr/local/cuda-99/compat")
    layer.file("usr/local/cuda-99/compat/libcuda.so.999.1", "").symlink("usr/local/cuda", "cuda-99")
    archive = images.write_docker20(scratch / "compat.tar", [layer.bytes()], Env=["PATH=/bin"])
    return convert(sifconv, user, archive, sif_folder / "compat.sif")


@pytest.fixture
def gpu(user, sifrun, driver, image):
    """Runs in the container with the driver in reach."""
    def run(*argv, options=("--nv",), env=None, **more):
        return user.run([sifrun, "exec", *options, image, *argv], env={"SIFRUN_NV_ROOT": driver, **(env or {})}, **more)
    return run


def test_the_hosts_libraries_load(gpu, driver):
    done = gpu("python3", "-c", nvidia.PROBE)
    assert done.returncode == 0, done.stderr
    cuda, nvml, *origins = done.stdout.split()
    assert (int(cuda), int(nvml)) == (nvidia.CUDA_NO_DEVICE, nvidia.NVML_NOT_LOADED)
    assert all(origin.startswith(LIBS) and origin.endswith(nvidia.version(driver)) for origin in origins)


def test_nvidia_smi_is_there(gpu):
    done = gpu("/usr/bin/nvidia-smi")
    assert "couldn't communicate with the NVIDIA driver" in done.stdout


def test_only_driver_files(gpu, driver):
    names = gpu("ls", LIBS).stdout.split()
    assert {"libcuda.so", "libcuda.so.1", "libnvidia-ml.so.1", "libnvidia-ptxjitcompiler.so.1", "libnvidia-nvvm.so.4"} <= set(names)
    assert not [name for name in names if name.startswith(("libGL.", "libEGL.", "libOpenCL.", "libc.", "libstdc++"))]


def test_all_driver_files(gpu, driver):
    """Everything of the driver's version that the packages have, whatever the tables know."""
    files = {path.name for path in driver.glob(f"usr/lib/x86_64-linux-gnu/**/*.so.{nvidia.version(driver)}")}
    assert len(files) > 20
    assert not files - set(gpu("ls", LIBS).stdout.split())


def test_the_images_own_libraries_stay(gpu):
    assert gpu("cat", "/usr/lib/x86_64-linux-gnu/libGL.so.1").stdout == "image's\n"
    assert gpu("stat", "-c", "%s", "/usr/lib/x86_64-linux-gnu/libcuda.so.1").stdout == "0\n"


def test_search_path_ends_with_the_driver(gpu):
    assert gpu("sh", "-c", "echo $LD_LIBRARY_PATH").stdout == LIBS + "\n"
    env = {"SINGULARITYENV_LD_LIBRARY_PATH": "/mine"}
    assert gpu("sh", "-c", "echo $LD_LIBRARY_PATH", env=env).stdout == f"/mine:{LIBS}\n"


def test_a_newer_compatibility_library_of_the_image_is_first(user, sifrun, driver, compat_sif):
    for option, front in (("--nv", "/usr/local/cuda/compat:"), ("--no-nv", "")):
        done = user.run([sifrun, "exec", option, compat_sif, "sh", "-c", "echo $LD_LIBRARY_PATH"], env={"SIFRUN_NV_ROOT": driver})
        assert done.stdout == f"{front}{LIBS}\n", done.stderr


def test_files_are_read_only(gpu):
    for path in (f"{LIBS}/x", f"{LIBS}/.0/x"):
        done = gpu("touch", path)
        assert done.returncode == 1 and "Read-only file system" in done.stderr, (path, done.stderr)
    mounts = [line for line in gpu("cat", "/proc/self/mountinfo").stdout.splitlines() if LIBS in line or "nvidia-smi" in line]
    assert len(mounts) >= 3 and all("ro,nosuid,nodev" in line for line in mounts), mounts


def test_capabilities(gpu):
    names = gpu("ls", LIBS, env={"NVIDIA_DRIVER_CAPABILITIES": "compute"}).stdout.split()
    assert "libcuda.so.1" in names and "libnvcuvid.so.1" not in names


def test_vendor_files_for_what_the_image_has(gpu, driver):
    """The image has the loaders of Vulkan and GBM, and not that of EGL."""
    wanted = ["/etc/OpenCL/vendors/nvidia.icd", "/usr/share/vulkan/icd.d/nvidia_icd.json", "/usr/share/vulkan/implicit_layer.d/nvidia_layers.json",
              "/usr/share/nvidia/nvoptix.bin", "/usr/lib/x86_64-linux-gnu/gbm/nvidia-drm_gbm.so"]
    done = gpu("ls", *wanted)
    assert done.stdout.split() == sorted(wanted), done.stderr
    assert gpu("ls", "/usr/share/glvnd", "/usr/share/egl").stdout == ""
    done = gpu("ls", *wanted[1:], options=["--nv", "--share=off"], env={"NVIDIA_DRIVER_CAPABILITIES": "utility"})
    assert (done.returncode, done.stdout) == (2, ""), done.stderr


def test_vendor_files_of_egl(user, sifrun, driver, sifconv, tmp_path):
    """Where an image has the library alone and no folder for vendors."""
    layer = images.busybox_layer().folder("usr").folder("usr/lib64").file("usr/lib64/libEGL.so.1", "")
    image = convert(sifconv, user, images.write_docker20(tmp_path / "egl.tar", [layer.bytes()], Env=["PATH=/bin"]), tmp_path / "egl.sif")
    done = user.run([sifrun, "exec", "--nv", image, "ls", "/usr/share/glvnd/egl_vendor.d", "/usr/share/egl/egl_external_platform.d"],
                    env={"SIFRUN_NV_ROOT": driver})
    assert {"10_nvidia.json", "10_nvidia_wayland.json"} <= set(done.stdout.split()), done.stderr
    assert user.run([sifrun, "exec", "--nv", image, "ls", "/usr/share/vulkan"], env={"SIFRUN_NV_ROOT": driver}).stdout == ""


@pytest.mark.parametrize("image", ["bookworm"], indirect=True)  # libgbm loads back ends from Mesa 21.2 on
def test_gbm_loads_the_driver(gpu):
    """The image's libgbm, told to use the driver for a node that is no GPU's."""
    script = "import ctypes, os; print(ctypes.CDLL('libgbm.so.1').gbm_create_device(os.open('/dev/null', os.O_RDWR)))"
    done = gpu("python3", "-c", script, env={"GBM_BACKEND": "nvidia-drm", "LD_DEBUG": "files"})
    assert "calling init: /usr/lib/x86_64-linux-gnu/gbm/nvidia-drm_gbm.so" in done.stderr  # it may not survive a node that is no GPU's


@pytest.mark.parametrize("options, env", [(["--no-nv"], {}), (["--nv"], {"NVIDIA_VISIBLE_DEVICES": "void"}),
                                          ([], {"APPTAINER_NO_NV": "1"})])
def test_left_alone(gpu, options, env):
    done = gpu("ls", LIBS, options=options, env=env)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_insisting_without_a_driver_warns_and_runs(user, sifrun, busybox_sif, tmp_path):
    # A machine that has a driver is shown an empty tree instead of it.
    env = {"SIFRUN_NV_ROOT": str(tmp_path)} if os.path.exists("/dev/nvidiactl") else {}
    done = user.run([sifrun, "exec", "--nv", busybox_sif, "echo", "on"], env=env)
    assert (done.returncode, done.stdout) == (0, "on\n")
    assert done.stderr.startswith("WARNING: could not find any NVIDIA driver libraries")
    assert user.run([sifrun, "exec", busybox_sif, "true"], env=env).stderr == ""


NODES = {"nvidia0": "195 0", "nvidia1": "195 1", "nvidiactl": "195 255", "nvidia-uvm": "511 0", "nvidia-modeset": "195 254"}


def with_nodes(user, argv, env=None, nodes=NODES, prepare="true"):
    """Runs with a /dev that has nodes of a driver which this kernel does not have. `prepare` is run in the same mount namespace."""
    made = "; ".join(f"mknod -m 666 /mnt/{name} c {numbers}" for name, numbers in nodes.items())
    script = ("mount -t tmpfs tmpfs /mnt && mkdir /mnt/shm /mnt/pts /mnt/dri /mnt/nvidia-caps /mnt/nvidia-caps-imex-channels /mnt/infiniband && for n in null zero full random urandom tty fuse; do "
              f"touch /mnt/$n; mount --bind /dev/$n /mnt/$n; done; {made}; mount --rbind /mnt /dev; {prepare} && exec \"$@\"")
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *user.command(argv, env)]
    return subprocess.run(command, capture_output=True, text=True, cwd=user.home, stdin=subprocess.DEVNULL, timeout=120)


def listed(done):
    return sorted(name for name in done.stdout.split() if "nvidia" in name)


@pytest.mark.parametrize("visible, expected", [(None, ["nvidia0", "nvidia1"]), ("all", ["nvidia0", "nvidia1"]), ("1", ["nvidia1"]),
                                               ("none", []), ("0,1", ["nvidia0", "nvidia1"])])
def test_contained_devices(root, user, sifrun, driver, busybox_sif, visible, expected):
    env = {"SIFRUN_NV_ROOT": str(driver), **({"NVIDIA_VISIBLE_DEVICES": visible} if visible else {})}
    done = with_nodes(user, [sifrun, "exec", "--contain", "--nv", busybox_sif, "ls", "/dev"], env)
    assert listed(done) == sorted([*expected, "nvidiactl", "nvidia-modeset", "nvidia-uvm"]), done.stderr


GPU = "GPU-aabb3333-4444"
MIG_NODES = {f"nvidia-caps/nvidia-cap{number}": f"237 {number}" for number in (1, 21, 22, 30, 31)}
# GPU 0 is cut in two; of all instances that the driver numbers, those with a node exist.
MIG_PROC = f"""mount -t tmpfs tmpfs /proc/driver && mkdir -p /proc/driver/nvidia-caps /proc/driver/nvidia/gpus/0000:01:00.0 &&
printf 'GPU UUID: \\t {GPU}\\nDevice Minor: \\t 0\\n' > /proc/driver/nvidia/gpus/0000:01:00.0/information &&
printf 'config 1\\nmonitor 2\\ngpu0/gi1/access 21\\ngpu0/gi1/ci0/access 22\\ngpu0/gi2/access 30\\ngpu0/gi2/ci0/access 31\\n' > /proc/driver/nvidia-caps/mig-minors"""


@pytest.mark.parametrize("visible, caps", [(f"MIG-{GPU}/1/0", [21, 22]), ("0:1", [30, 31]), ("all", [21, 22, 30, 31]), ("none", [])])
def test_contained_mig_instances(root, user, sifrun, driver, busybox_sif, visible, caps):
    nodes = {"nvidia0": "195 0", "nvidiactl": "195 255", **MIG_NODES}
    env = {"SIFRUN_NV_ROOT": str(driver), "NVIDIA_VISIBLE_DEVICES": visible}
    done = with_nodes(user, [sifrun, "exec", "--contain", "--nv", busybox_sif, "/bin/busybox", "find", "/dev", "-name", "nvidia*[0-9]"], env, nodes, MIG_PROC)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {*(f"/dev/nvidia-caps/nvidia-cap{cap}" for cap in caps), *(["/dev/nvidia0"] if caps else [])}, done.stderr


def test_contained_imex_channels(root, user, sifrun, driver, busybox_sif):
    nodes = {**NODES, "nvidia-caps-imex-channels/channel0": "234 0"}
    done = with_nodes(user, [sifrun, "exec", "--contain", "--nv", busybox_sif, "ls", "/dev/nvidia-caps-imex-channels"], {"SIFRUN_NV_ROOT": str(driver)}, nodes)
    assert done.stdout == "channel0\n", done.stderr


@pytest.mark.parametrize("options, env, expected", [(["--nv"], {}, True), ([], {"SLURM_STEP_NUM_TASKS": "2"}, True), ([], {}, False)], ids=str)
def test_contained_network_adapters(root, user, sifrun, driver, busybox_sif, options, env, expected):
    """InfiniBand's nodes for users, where there are GPUs or further ranks."""
    fabric = {"infiniband/uverbs0": "231 192", "infiniband/rdma_cm": "10 122", "infiniband/umad0": "231 0"}
    env = {"SIFRUN_NV_ROOT": str(driver if options else "/nowhere"), **env}
    nodes = {**fabric, **(NODES if options else {})}
    done = with_nodes(user, [sifrun, "exec", "--contain", *options, busybox_sif, "ls", "/dev/infiniband"], env, nodes)
    assert done.stdout.split() == (["rdma_cm", "uverbs0"] if expected else []), done.stderr
    assert with_nodes(user, [sifrun, "exec", busybox_sif, "ls", "/dev/infiniband"], env, nodes).stdout.split() == ["rdma_cm", "umad0", "uverbs0"]


def test_a_scheduler_hands_the_choice_over(root, user, sifrun, driver, busybox_sif):
    env = {"SIFRUN_NV_ROOT": str(driver), "SINGULARITYENV_NVIDIA_VISIBLE_DEVICES": "0", "CUDA_VISIBLE_DEVICES": "GPU-1"}
    done = with_nodes(user, [sifrun, "exec", "-C", busybox_sif, "sh", "-c", "ls /dev; echo $CUDA_VISIBLE_DEVICES"], env)
    assert [name for name in listed(done) if name[-1].isdigit()] == ["nvidia0"], done.stderr
    assert done.stdout.endswith("GPU-1\n")


def test_without_a_word_the_driver_comes_along(root, user, sifrun, driver, busybox_sif):
    done = with_nodes(user, [sifrun, "exec", busybox_sif, "ls", LIBS], {"SIFRUN_NV_ROOT": str(driver)})
    assert "libcuda.so.1" in done.stdout, done.stderr


@pytest.fixture
def amd(tmp_path):
    """A library under the name of AMD's, and a cache of the loader that knows it, for the host's to be covered with."""
    folder = tmp_path / "rocm"
    folder.mkdir()
    source = next(path for path in map(pathlib.Path, glob.glob("/lib/*/libz.so.1*")) if not path.is_symlink())
    library = folder / "libhsa-runtime64.so.1.9"
    shutil.copy(source, library)
    subprocess.run(["patchelf", "--set-soname", "libhsa-runtime64.so.1", library], check=True)
    (tmp_path / "ld.so.conf").write_text(f"{folder}\n")
    subprocess.run(["/sbin/ldconfig", "-C", tmp_path / "ld.so.cache", "-f", tmp_path / "ld.so.conf"], check=True, capture_output=True)
    return f"mount --bind {tmp_path / 'ld.so.cache'} /etc/ld.so.cache"


def test_rocm(root, user, sifrun, image, amd):
    nodes = {"kfd": "235 0", "dri/card0": "226 0", "dri/renderD128": "226 128"}
    script = ("import ctypes, os; ctypes.CDLL('libhsa-runtime64.so.1').zlibVersion; print(*sorted(os.listdir('/dev/dri')), os.path.exists('/dev/kfd'), "
              "os.environ['HIP_VISIBLE_DEVICES'])")
    done = with_nodes(user, [sifrun, "exec", "--contain", "--rocm", image, "python3", "-c", script], {"HIP_VISIBLE_DEVICES": "0"}, nodes, amd)
    assert done.stdout.split() == ["card0", "renderD128", "True", "0"], done.stderr
    without = with_nodes(user, [sifrun, "exec", "--contain", image, "ls", "/dev", LIBS], nodes=nodes, prepare=amd)
    assert "kfd" not in without.stdout and "libhsa" not in without.stdout


def test_the_plan_is_told(gpu):
    plan = gpu("true", options=["--nv", "--dry-run"]).stdout
    assert "library     libcuda.so.1 is" in plan and f"mount       host-libraries {LIBS}" in plan


LIBS32 = LIBS + "32"


@pytest.mark.parametrize("options, env, expected",
                         [(["--compat32"], {}, True), ([], {"APPTAINER_COMPAT32": "1"}, True), ([], {"NVIDIA_DRIVER_CAPABILITIES": "compute,compat32"}, True),
                          ([], {"NVIDIA_DRIVER_CAPABILITIES": "all"}, True),
                          ([], {}, False), ([], {"NVIDIA_DRIVER_CAPABILITIES": "compute"}, False), (["--compat32", "--no-nv"], {}, False),
                          (["--compat32"], {"NVIDIA_DRIVER_CAPABILITIES": "utility"}, False)], ids=str)
def test_32_bit_libraries_on_request(user, sifrun, driver, probe_sif, options, env, expected):
    done = user.run([sifrun, "exec", "--nv", *options, probe_sif, "probe32"], env={"SIFRUN_NV_ROOT": driver, **env})
    if expected:
        assert done.stdout == f"32 {nvidia.CUDA_NO_DEVICE} {LIBS32}/libcuda.so.1\n", done.stderr
    else:
        assert (done.returncode, done.stdout[:13]) == (1, "libcuda.so.1:"), done.stderr


def test_both_sizes_in_one_container(user, sifrun, driver, probe_sif):
    env = {"SIFRUN_NV_ROOT": driver, "SINGULARITYENV_LD_LIBRARY_PATH": "/mine"}
    done = user.run([sifrun, "exec", "--nv", "--compat32", probe_sif, "sh", "-c", "probe32; probe64; echo $LD_LIBRARY_PATH"], env=env)
    assert done.stdout.splitlines() == [f"32 100 {LIBS32}/libcuda.so.1", f"64 100 {LIBS}/libcuda.so.1", f"/mine:{LIBS}:{LIBS32}"], done.stderr


def test_32_bit_libraries_are_the_drivers_alone(user, sifrun, driver, probe_sif):
    script = f"cd {LIBS32} && for name in *; do echo $name $(head -c 5 $name | od -An -tx1); done"
    done = user.run([sifrun, "exec", "--nv", "--compat32", probe_sif, "sh", "-c", script], env={"SIFRUN_NV_ROOT": driver})
    seen = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    version = nvidia.version(driver)
    assert {path.name for path in driver.glob(f"usr/lib/i386-linux-gnu/**/*.so.{version}")} <= set(seen), done.stderr
    assert {"libcuda.so", "libcuda.so.1", "libnvidia-ml.so.1"} <= set(seen)
    assert set(seen.values()) == {"7f 45 4c 46 01"}
    assert not [name for name in seen if not name.startswith(("libcuda", "libnvidia-", "libnvcuvid"))]
    plan = user.run([sifrun, "exec", "--nv", "--compat32", "--dry-run", probe_sif, "true"], env={"SIFRUN_NV_ROOT": driver}).stdout
    assert f"library     libcuda.so.1 is {driver}/usr/lib/i386-linux-gnu/nvidia/current/libcuda.so.{version}" in plan
