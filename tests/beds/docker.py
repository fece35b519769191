# SPDX-License-Identifier: Apache-2.0
"""A Docker engine of our own: a private dockerd without networks, its storage in the cache, that ends with the session."""
import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from . import Missing, cache
from .kernel import die_with_parent

# Debian's programs first: a client of another version may stand before them in PATH.
SEARCH = "/usr/sbin:/usr/bin:" + os.environ.get("PATH", "")
START_SECONDS = 60


class _Connection(http.client.HTTPConnection):
    """To a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=600)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


class Docker:
    """Use as a context manager. One session at a time uses the storage in the cache, where images are built; others wait."""

    def __init__(self, storage=None):
        self.storage = storage or cache() / "docker"

    def __enter__(self):
        daemon = shutil.which("dockerd", path=SEARCH)
        self.client = shutil.which("docker", path=SEARCH)
        if os.geteuid() != 0:
            raise Missing("starting dockerd needs root")
        if not daemon or not self.client:
            raise Missing("dockerd is not installed (scripts/install-deps peers)")
        self.run_dir = tempfile.mkdtemp(prefix="bed-", dir="/tmp")  # short: the names of sockets are limited to 107 bytes
        self.lock = open(self.storage.with_name(f".{self.storage.name}.lock"), "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.log = open(os.path.join(self.run_dir, "dockerd.log"), "w+")
        self.socket_path = f"{self.run_dir}/docker.sock"
        self.socket = f"unix://{self.socket_path}"
        self.daemon = subprocess.Popen(
            [daemon, "--iptables=false", "--ip6tables=false", "--bridge=none", "--data-root", str(self.storage),
             "--exec-root", f"{self.run_dir}/exec", "--pidfile", f"{self.run_dir}/pid", "--host", self.socket],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=die_with_parent)
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.daemon.poll() is not None:
                break
            if subprocess.run([self.client, "--host", self.socket, "version"], capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
        self.log.seek(0)
        raise Missing("dockerd does not start here: " + self.log.read()[-800:])

    def __exit__(self, *_):
        self.daemon.send_signal(signal.SIGTERM)
        try:
            self.daemon.wait(30)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
        self.log.close()
        self.lock.close()
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def run(self, *arguments, **options):
        """`docker ARGUMENTS...`; raises with the client's own words where it fails."""
        done = subprocess.run([self.client, "--host", self.socket, *map(str, arguments)], stdin=options.pop("stdin", subprocess.DEVNULL),
                              stdout=options.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE, **options)
        if done.returncode != 0:
            raise RuntimeError(f"docker {' '.join(map(str, arguments))}: {done.stderr.decode(errors='replace')[-2000:]}")
        return done.stdout.decode(errors="replace") if done.stdout else ""

    def api(self, method, path, body=None, headers=None, to=None):
        """What the client would ask, without the time it takes to start; the answer's JSON documents, or its bytes in the file `to`."""
        connection = _Connection(self.socket_path)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            if to and answer.status < 300:
                with open(to, "wb") as file:
                    return shutil.copyfileobj(answer, file)
            documents = [json.loads(line) for line in answer.read().splitlines()]
        finally:
            connection.close()
        if answer.status >= 300 or any("error" in document for document in documents):
            raise RuntimeError(f"dockerd: {method} {path}: {documents}")
        return documents

    def build(self, tag, folder):
        """Builds with the machine's network: our engine has none of its own."""
        environment = dict(os.environ, DOCKER_BUILDKIT="0")
        return self.run("build", "--quiet", "--network", "host", "--tag", tag, folder, env=environment)

    def save(self, tag, path):
        part = f"{path}.part"
        self.run("save", "--output", part, tag)
        os.chmod(part, 0o644)
        os.rename(part, path)

    def export(self, tag, path):
        """The engine's own flattened tree of the image as a tar file: the oracle for every flattening."""
        container = self.run("create", tag, "/x").strip()
        try:
            self.run("export", "--output", path, container)
        finally:
            self.run("rm", container)
