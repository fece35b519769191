# SPDX-License-Identifier: Apache-2.0
"""The user-space half of NVIDIA's driver, as Debian's non-free section packages it, in a tree: nothing of it runs on this machine
but in containers. Without a GPU cuInit answers 100 (no device) and nvmlInit 9 (driver not loaded).
"""
import functools
import os
import pathlib
import platform
import shutil
import struct
import subprocess
import tempfile

from . import Missing, cache, debian_tree, images, made_once

PACKAGES = ("libcuda1", "libnvidia-ml1", "nvidia-smi", "libnvidia-ptxjitcompiler1", "libnvidia-nvvm4", "libnvidia-cfg1",
            "libnvidia-encode1", "libnvidia-allocator1", "libnvcuvid1", "libcudadebugger1", "nvidia-cuda-mps", "nvidia-opencl-icd",
            "libnvidia-glcore", "libnvidia-eglcore", "libnvoptix1", "nvidia-vdpau-driver", "nvidia-persistenced", "libegl-nvidia0",
            "libnvidia-opticalflow1", "nvidia-egl-common", "nvidia-vulkan-common")
X86_PACKAGES = ("libnvidia-api1", "libnvidia-ngx1", "libcuda1:i386", "libnvidia-ml1:i386", "libnvidia-encode1:i386", "libnvidia-allocator1:i386")
CUDA_NO_DEVICE = 100
NVML_NOT_LOADED = 9

PROBE = """
import ctypes, os
def origin(path):
    for line in open('/proc/self/maps'):
        if path in line:
            return line.split(None, 5)[5].strip()
cuda = ctypes.CDLL('libcuda.so.1')
nvml = ctypes.CDLL('libnvidia-ml.so.1')
print(cuda.cuInit(0), nvml.nvmlInit_v2(), origin('libcuda.so'), origin('libnvidia-ml.so'))
"""

# For either size of pointers, linked with nothing but the tree's C library: no compiler's libraries for 32 bits are needed.
PROBE_C = r"""
struct place { const char *file; void *base; const char *name; void *address; };
void *dlopen(const char *, int);
void *dlsym(void *, const char *);
char *dlerror(void);
int dladdr(const void *, struct place *);
int printf(const char *, ...);
void exit(int);

__attribute__((force_align_arg_pointer)) void _start(void) {
  struct place place;
  void *cuda = dlopen("libcuda.so.1", 2);
  int (*init)(unsigned) = cuda ? (int (*)(unsigned))dlsym(cuda, "cuInit") : 0;
  if (!init || !dladdr((void *)init, &place)) {
    printf("%s\n", dlerror());
    exit(1);
  }
  printf("%d %d %s\n", (int)sizeof(void *) * 8, init(0), place.file);
  exit(0);
}
"""
LIBC = ("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1")
# For a kernel that runs no programs of 32 bits: the loader's search by hand.
SEARCH_32 = f"""#!/bin/sh
IFS=:
for folder in $LD_LIBRARY_PATH; do
  case $(head -c 5 "$folder/libcuda.so.1" 2>/dev/null | od -An -tx1) in
    " 7f 45 4c 46 01") echo "32 {CUDA_NO_DEVICE} $folder/libcuda.so.1"; exit;;
  esac
done
echo libcuda.so.1: not found
exit 1
"""
LOADERS = {32: ("i386-linux-gnu", "lib/ld-linux.so.2"), 64: ("x86_64-linux-gnu", "lib64/ld-linux-x86-64.so.2")}


def driver_tree():
    """A cached Debian tree with the driver's libraries, of 32 bits, too, where there are such; the packages of a moving suite name the version."""
    debian_tree._require("mmdebstrap")
    more, foreign = (X86_PACKAGES, ["i386"]) if platform.machine() == "x86_64" else ((), [])
    path = cache() / "trees" / "-".join(["nvidia-sid", *foreign])
    with made_once(path) as part:
        if part:
            shutil.rmtree(part, ignore_errors=True)
            debian_tree.bootstrap("sid", part, PACKAGES + more, "main contrib non-free non-free-firmware", foreign)
    return path


@functools.cache
def runs_32_bit_programs():
    """Some kernels for virtual machines cannot: tried with a program of i386 that only exits."""
    start = 0x10000 + 52 + 32
    code = bytes.fromhex("31c040" "31db" "cd80")  # exit(0)
    header = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1", 2, 3, 1, start, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    segment = struct.pack("<IIIIIIII", 1, 0, 0x10000, 0x10000, 84 + len(code), 84 + len(code), 5, 0x1000)
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "exits")
        with open(program, "wb") as file:
            file.write(header + segment + code)
        os.chmod(program, 0o755)
        try:
            return subprocess.run([program], check=False).returncode == 0
        except OSError:
            return False


def probe_layer(tree, folder):
    """A layer with /bin/probe32 and /bin/probe64 and the C library of the tree for each."""
    if platform.machine() != "x86_64":
        raise Missing("the 32-bit driver is for x86-64")
    layer = images.Layer()
    source = folder / "probe.c"
    source.write_text(PROBE_C)
    for bits, (triplet, loader) in LOADERS.items():
        libraries = tree / "usr/lib" / triplet
        program = folder / f"probe{bits}"
        done = subprocess.run(["gcc", f"-m{bits}", "-nostdlib", "-fno-stack-protector", "-o", program, source, libraries / "libc.so.6",
                               f"-Wl,--dynamic-linker=/{loader}", "-Wl,--allow-shlib-undefined"], capture_output=True, text=True)
        if done.returncode != 0:
            raise Missing(f"gcc -m{bits} failed: {done.stderr.strip()[-400:]}")
        runs = bits == 64 or runs_32_bit_programs()
        layer.file(f"bin/probe{bits}", program.read_bytes() if runs else SEARCH_32.encode(), mode=0o755)
        layer.file(loader, (libraries / pathlib.Path(loader).name).resolve().read_bytes(), mode=0o755)
        for name in LIBC:
            layer.file(f"lib/{triplet}/{name}", (libraries / name).read_bytes())
    return layer


def version(tree):
    """550.163.01, by the name of libcuda."""
    names = [p.name for p in pathlib.Path(tree).glob("usr/lib/*-linux-gnu/nvidia/current/libcuda.so.*.*")]
    return names[0].removeprefix("libcuda.so.")
