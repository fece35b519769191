# SPDX-License-Identifier: Apache-2.0
"""Podman's service: the Docker engine's interface over a socket. With storage of its own; it runs no containers here."""
import os
import pathlib
import shutil
import subprocess
import tempfile

from beds import Missing
from beds.servers import wait_until


class Podman:
    """Use as a context manager. `socket` is what DOCKER_HOST takes."""

    def __enter__(self):
        if not shutil.which("podman"):
            raise Missing("podman is not installed")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bed-", dir="/tmp"))  # short, for the socket
        storage = self.folder / "storage.conf"
        storage.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{self.folder}/graph"\nrunroot = "{self.folder}/run"\n')
        self.socket = f"unix://{self.folder}/podman.sock"
        environment = {**os.environ, "CONTAINERS_STORAGE_CONF": str(storage)}
        self.service = subprocess.Popen(["podman", "system", "service", "--time=0", self.socket], env=environment,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until((self.folder / "podman.sock").exists)
        return self

    def __exit__(self, *_):
        self.service.terminate()
        self.service.wait()
        shutil.rmtree(self.folder)

    def load(self, archive):
        subprocess.run(["podman", "--url", self.socket, "load", "--input", archive], check=True, stdout=subprocess.DEVNULL)
