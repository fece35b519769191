# SPDX-License-Identifier: Apache-2.0
"""The user-space half of NVIDIA's driver, as Debian's non-free section packages it, in a tree: nothing of it runs on this machine
but in containers. Without a GPU cuInit answers 100 (no device) and nvmlInit 9 (driver not loaded).
"""
import pathlib
import shutil

from . import cache, debian_tree, made_once

PACKAGES = ("libcuda1", "libnvidia-ml1", "nvidia-smi", "libnvidia-ptxjitcompiler1", "libnvidia-nvvm4", "libnvidia-cfg1",
            "libnvidia-encode1", "libnvidia-allocator1", "libnvcuvid1", "libcudadebugger1", "nvidia-cuda-mps", "nvidia-opencl-icd",
            "libnvidia-glcore", "libnvidia-eglcore", "libnvoptix1", "nvidia-vdpau-driver", "nvidia-persistenced")
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


def driver_tree():
    """A cached Debian tree with the driver's libraries; the packages of a moving suite name the version."""
    debian_tree._require("mmdebstrap")
    path = cache() / "trees" / "nvidia-sid"
    with made_once(path) as part:
        if part:
            shutil.rmtree(part, ignore_errors=True)
            debian_tree.bootstrap("sid", part, PACKAGES, "main contrib non-free non-free-firmware")
    return path


def version(tree):
    """550.163.01, by the name of libcuda."""
    names = [p.name for p in pathlib.Path(tree).glob("usr/lib/*-linux-gnu/nvidia/current/libcuda.so.*.*")]
    return names[0].removeprefix("libcuda.so.")
