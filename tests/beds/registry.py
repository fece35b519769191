# SPDX-License-Identifier: Apache-2.0
"""A registry of our own on loopback: Debian's docker-registry with TLS by an authority made here, and passwords. skopeo pushes into it."""
import pathlib
import shutil
import socket
import subprocess
import time

from . import Missing
from .kernel import die_with_parent

START_SECONDS = 60
USER, PASSWORD = "reader", "secret:with colon"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _run(*argv, **options):
    return subprocess.run(list(map(str, argv)), check=True, capture_output=True, **options)


def make_certificate(folder):
    """ca.crt, and server.crt with server.key for localhost and registry.test."""
    _run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650", "-subj", "/CN=test authority",
         "-keyout", folder / "ca.key", "-out", folder / "ca.crt")
    _run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
         "-keyout", folder / "server.key", "-out", folder / "server.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost,DNS:registry.test,IP:127.0.0.1\n")
    _run("openssl", "x509", "-req", "-days", "3650", "-in", folder / "server.csr", "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key",
         "-CAcreateserial", "-extfile", folder / "names", "-out", folder / "server.crt")
    (folder / "ca.crt").chmod(0o644)


class Registry:
    """Use as a context manager. `tls` and `password` as the name says; `host` is "localhost:PORT". `within` is a command that enters another
    network, where it is localhost then."""

    def __init__(self, folder, tls=True, password=True, within=()):
        self.folder, self.tls, self.password, self.within = pathlib.Path(folder), tls, password, list(map(str, within))

    def __enter__(self):
        for program in ("docker-registry", "skopeo", "htpasswd", "openssl"):
            if not shutil.which(program):
                raise Missing(f"{program} is not installed (scripts/install-deps peers)")
        self.folder.mkdir(exist_ok=True)
        self.port = free_port()
        self.host = f"localhost:{self.port}"
        lines = ["version: 0.1", "log: {level: error}", f"storage: {{filesystem: {{rootdirectory: {self.folder}/data}}}}",
                 "http:", f"  addr: 127.0.0.1:{self.port}"]
        if self.tls:
            make_certificate(self.folder)
            lines.append(f"  tls: {{certificate: {self.folder}/server.crt, key: {self.folder}/server.key}}")
        if self.password:
            passwords = _run("htpasswd", "-nbB", USER, PASSWORD).stdout
            (self.folder / "htpasswd").write_bytes(passwords)
            lines.append(f"auth: {{htpasswd: {{realm: test, path: {self.folder}/htpasswd}}}}")
        (self.folder / "config.yml").write_text("\n".join([*lines, ""]))
        self.log = open(self.folder / "log", "w")
        self.server = subprocess.Popen([*self.within, "docker-registry", "serve", self.folder / "config.yml"], stdout=self.log, stderr=self.log,
                                       preexec_fn=die_with_parent)
        end = time.monotonic() + START_SECONDS
        while self.server.poll() is None and time.monotonic() < end:
            if subprocess.run([*self.within, "bash", "-c", f": < /dev/tcp/127.0.0.1/{self.port}"], capture_output=True).returncode == 0:
                return self
            time.sleep(0.05)
        self.__exit__()
        raise Missing("docker-registry does not start: " + (self.folder / "log").read_text()[-500:])

    def __exit__(self, *_):
        self.server.kill()
        self.server.wait()
        self.log.close()

    def push(self, source, name, *options):
        """`skopeo copy SOURCE docker://HOST/NAME`."""
        login = ["--dest-creds", f"{USER}:{PASSWORD}"] if self.password else []
        done = subprocess.run([*self.within, "skopeo", "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false", *login, *options, str(source),
                               f"docker://{self.host}/{name}"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
