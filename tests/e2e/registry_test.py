# SPDX-License-Identifier: Apache-2.0
"""docker:// from a registry: TLS, passwords, tokens, platforms, broken connections, and servers that mean ill."""
import base64
import http.server
import json
import os
import socket
import threading
import urllib.parse
import urllib.request

import pytest

from beds.archive import OciArchive, one_file_layer
from beds.images import sha256
from beds.registry import PASSWORD, USER
from conftest import CLEAN_PATH

LOGIN = {"APPTAINER_DOCKER_USERNAME": USER, "APPTAINER_DOCKER_PASSWORD": PASSWORD}


@pytest.fixture
def convert(user, sifconv, tmp_path):
    def run(source, *options, name="out.sif", **more):
        return user.run([sifconv, *options, source, tmp_path / name], cwd=tmp_path, **more)

    return run


def trusting(registry, **more):
    return {"SSL_CERT_FILE": f"{registry.folder}/ca.crt", **more}


def test_image_is_that_of_the_archive(convert, registry, busybox_tar, user, sifconv, tmp_path):
    done = convert(f"docker://{registry.host}/bed/busybox:1.0", env=trusting(registry, **LOGIN))
    assert done.returncode == 0, done.stderr
    assert convert(busybox_tar, name="archive.sif").returncode == 0
    for name in ("srv/replaced", "bin/busybox"):
        one, other = (user.run(["unsquashfs", "-cat", "-o", str((tmp_path / sif).read_bytes().index(b"hsqs", 32176)), tmp_path / sif, name],
                               text=False).stdout for sif in ("out.sif", "archive.sif"))
        assert one == other != b""
    done = user.run([sifconv, f"docker://{registry.host}/bed/busybox:1.0"], cwd=tmp_path, env=trusting(registry, **LOGIN))
    assert done.returncode == 0 and (tmp_path / "busybox_1.0.sif").read_bytes() == (tmp_path / "out.sif").read_bytes()


def test_login_files(convert, registry, user, tmp_path):
    entry = {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
    source = f"docker://{registry.host}/bed/busybox:1.0"
    for number, (path, key, variable) in enumerate([
            (".docker/config.json", registry.host, "HOME"), (".apptainer/docker-config.json", registry.host, "HOME"),
            ("containers/auth.json", f"{registry.host}/bed", "XDG_RUNTIME_DIR"), (".docker/config.json", f"https://{registry.host}", "HOME")]):
        home = tmp_path / str(number)
        (home / path).parent.mkdir(parents=True)
        (home / path).write_text(json.dumps({"auths": {"other": {}, key: entry}}))
        done = convert(source, "--force", env=trusting(registry, **{variable: home}))
        assert done.returncode == 0, done.stderr
        named = convert(source, "--force", "--authfile", home / path, env=trusting(registry))
        assert named.returncode == 0, named.stderr


HELPER = """#!/bin/sh
read server
echo "$server $1" >> $HOME/asked
[ "$server" = {host} ] || {{ echo credentials not found in native keychain; exit 1; }}
echo '{{"ServerURL": "x", "Username": "{user}", "Secret": "{password}"}}'
"""


@pytest.mark.parametrize("keys", ["credsStore", "credHelpers"])
def test_credential_helpers(convert, registry, tmp_path, keys):
    """A program that docker knows to keep its logins, for one registry or for all."""
    programs, config = tmp_path / "programs", tmp_path / ".docker/config.json"
    programs.mkdir()
    config.parent.mkdir()
    (programs / "docker-credential-bed").write_text(HELPER.format(host=registry.host, user=USER, password=PASSWORD))
    (programs / "docker-credential-bed").chmod(0o755)
    config.write_text(json.dumps({"auths": {registry.host: {}}, keys: "bed" if keys == "credsStore" else {registry.host: "bed"}}))
    environment = trusting(registry, HOME=tmp_path, PATH=f"{programs}:{CLEAN_PATH}")
    done = convert(f"docker://{registry.host}/bed/busybox:1.0", env=environment)
    assert done.returncode == 0 and done.stderr.count("WARNING") == 0, done.stderr
    assert (tmp_path / "asked").read_text() == f"{registry.host} get\n"
    done = convert(f"docker://127.0.0.1:{registry.port}/bed/busybox:1.0", "--force", env=environment)
    assert done.returncode == 255 and "wants to know who you are" in done.stderr and "native keychain" not in done.stderr


def test_credential_helper_that_fails(convert, registry, tmp_path):
    """Said, and gone on without: the image may be everyone's."""
    (tmp_path / "login.json").write_text(json.dumps({"credsStore": "no-such"}))
    done = convert(f"docker://{registry.host}/bed/busybox:1.0", "--authfile", tmp_path / "login.json", env=trusting(registry))
    assert done.returncode == 255 and "cannot run docker-credential-no-such: No such file or directory" in done.stderr
    assert "wants to know who you are" in done.stderr


class Proxy(http.server.ThreadingHTTPServer):
    """Knows no host but registry.test, which is this machine; insists on a login."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        self.seen = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, login="me:pass%20word@"):
        return f"http://{login}127.0.0.1:{self.server_address[1]}"


class ProxyHandler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def is_allowed(self):
        self.server.seen.append((self.command, self.path))
        if self.headers["Proxy-Authorization"] == "Basic " + base64.b64encode(b"me:pass word").decode():
            return True
        self.send_response(407)
        self.end_headers()
        return False

    def do_CONNECT(self):
        host, _, port = self.path.partition(":")
        if not self.is_allowed() or host != "registry.test":
            return
        with socket.create_connection(("127.0.0.1", int(port))) as server:
            self.send_response(200, "Connection established")
            self.end_headers()
            other = threading.Thread(target=self.pump, args=(self.connection, server), daemon=True)
            other.start()
            self.pump(server, self.connection)
            other.join(10)
        self.close_connection = True

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        if not self.is_allowed() or url.hostname != "registry.test":
            return
        request = urllib.request.Request(f"http://127.0.0.1:{url.port}{url.path}", headers={"Accept": self.headers["Accept"] or "*/*"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            self.send_response(answer.status)
            for name in ("Content-Type", "Content-Length"):
                self.send_header(name, answer.headers[name])
            self.end_headers()
            self.wfile.write(answer.read())

    @staticmethod
    def pump(source, target):
        try:
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.fixture
def proxy():
    with Proxy() as running:
        yield running
        running.shutdown()


def test_tunnel_through_a_proxy(convert, registry, proxy, tmp_path):
    """Which alone knows the registry's name, and sees nothing but that."""
    source = f"docker://registry.test:{registry.port}/bed/busybox:1.0"
    done = convert(source, env=trusting(registry, **LOGIN, https_proxy=proxy.url(), http_proxy="http://no.such:1"))
    assert done.returncode == 0, done.stderr
    assert set(proxy.seen) == {("CONNECT", f"registry.test:{registry.port}")}
    done = convert(source, "--force", env=trusting(registry, **LOGIN, https_proxy=proxy.url(login="")))
    assert done.returncode == 255 and "the proxy 127.0.0.1 does not connect to registry.test: HTTP/1.0 407" in done.stderr, done.stderr


def test_hosts_without_a_proxy(convert, registry, proxy):
    """This machine never needs one; no_proxy exempts others, and the name cannot be found then."""
    done = convert(f"docker://{registry.host}/bed/busybox:1.0", env=trusting(registry, **LOGIN, HTTPS_PROXY=proxy.url()))
    assert done.returncode == 0, done.stderr
    done = convert(f"docker://registry.test:{registry.port}/bed/busybox:1.0", "--force", env=trusting(registry, https_proxy=proxy.url(), no_proxy=".org,test"))
    assert done.returncode == 255 and "cannot find the host registry.test" in done.stderr, done.stderr
    assert proxy.seen == []


def test_proxy_without_https(convert, new_registry, proxy, scratch, busybox_tar):
    with new_registry(scratch / "proxied-registry", tls=False, password=False) as server:
        server.push(f"docker-archive:{busybox_tar}", "x:1")
        done = convert(f"docker://registry.test:{server.port}/x:1", "--no-https", env={"http_proxy": proxy.url()})
        assert done.returncode == 0, done.stderr
        assert ("GET", f"http://registry.test:{server.port}/v2/x/manifests/1") in proxy.seen


REFUSED = {
    "nobody": ({}, "wants to know who you are"),
    "wrong password": ({**LOGIN, "APPTAINER_DOCKER_PASSWORD": "x"}, "does not give"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(convert, registry, tmp_path, name):
    env, said = REFUSED[name]
    done = convert(f"docker://{registry.host}/bed/busybox:1.0", env=trusting(registry, **env))
    assert done.returncode == 255 and said in done.stderr and not (tmp_path / "out.sif").exists()


def test_what_is_not_there(convert, registry):
    for name, said in (("bed/none:1", "manifest unknown"), ("bed/busybox:2", "manifest unknown"), (f"bed/busybox@sha256:{'0' * 64}", "manifest unknown")):
        done = convert(f"docker://{registry.host}/{name}", env=trusting(registry, **LOGIN))
        assert done.returncode == 255 and said in done.stderr, done.stderr
    done = convert("docker://localhost:1/x/y")
    assert done.returncode == 255 and "cannot connect to localhost port 1: Connection refused" in done.stderr
    done = convert("docker://no.such.invalid/x/y")  # or there is no name server
    assert done.returncode == 255 and ("no such host" in done.stderr or "Temporary failure" in done.stderr), done.stderr
    done = convert("docker://Bad/Name")
    assert done.returncode == 255 and "names no image" in done.stderr


def test_unknown_authority(convert, registry):
    done = convert(f"docker://{registry.host}/bed/busybox:1.0", env=LOGIN)
    assert done.returncode == 255 and "the certificate of localhost is not trusted" in done.stderr and "SSL_CERT_FILE" in done.stderr


def test_wrong_name_in_the_certificate(convert, registry):
    done = convert(f"docker://127.0.0.2:{registry.port}/bed/busybox:1.0", env=trusting(registry, **LOGIN))
    assert done.returncode == 255 and ("mismatch" in done.stderr or "Connection refused" in done.stderr), done.stderr


def test_without_https(convert, new_registry, scratch, busybox_tar):
    with new_registry(scratch / "plain-registry", tls=False, password=False) as server:
        server.push(f"docker-archive:{busybox_tar}", "x:1")
        done = convert(f"docker://{server.host}/x:1")
        assert done.returncode == 255 and "localhost does not speak TLS\nhint:    --no-https" in done.stderr, done.stderr
        done = convert(f"docker://{server.host}/x:1", "--no-https")
        assert done.returncode == 0, done.stderr


class FakeRegistry(http.server.ThreadingHTTPServer):
    """Serves an OciArchive by the protocol; `behave(handler, path)` may answer in its place."""

    def __init__(self, archive, behave=lambda handler, path: False):
        super().__init__(("127.0.0.1", 0), Handler)
        self.archive, self.behave, self.seen = archive, behave, []
        self.host = f"localhost:{self.server_address[1]}"
        self.layer = next(name for name, data in archive.blobs.items() if data[:2] == b"\x1f\x8b")
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in fields:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        if self.server.behave(self, self.path):
            return
        name = urllib.parse.urlparse(self.path).path.rpartition("/")[2]
        archive = self.server.archive
        digest = archive.entry["digest"] if not name.startswith("sha256:") else name
        data = archive.blobs.get("blobs/sha256/" + digest.partition(":")[2])
        if data is None:
            self.answer(404, b'{"errors":[{"code":"X","message":"not here"}]}')
        else:
            self.answer(200, data, Content_Type=archive.entry["mediaType"])


@pytest.fixture
def fake():
    servers = []

    def make(archive, behave=lambda handler, path: False):
        servers.append(FakeRegistry(archive, behave))
        return servers[-1]

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def big_archive():
    return OciArchive([one_file_layer("srv/big", os.urandom(3_000_000))])


def test_broken_downloads_continue(convert, fake):
    archive, ranges = big_archive(), []

    def cut_short(handler, path):
        if server.layer.rpartition("/")[2] not in path:
            return False
        data, asked = archive.blobs[server.layer], handler.headers.get("Range")
        start = int(asked[6:-1]) if asked else 0
        ranges.append(start)
        handler.send_response(206 if asked else 200)
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        handler.wfile.write(data[start:start + 1_200_000])
        return True

    server = fake(archive, cut_short)
    done = convert(f"docker://{server.host}/x:1", "--no-https")
    assert done.returncode == 0, done.stderr
    assert ranges == [0, 1_200_000, 2_400_000]


def test_credentials_do_not_follow_redirects(convert, fake):
    store = fake(big_archive())

    def elsewhere(handler, path):
        if handler.headers.get("Authorization") is None:
            handler.answer(401, WWW_Authenticate='Basic realm="x"')
        elif "/blobs/" in path:
            handler.answer(307, Location=f"http://127.0.0.1:{store.server_address[1]}{path}?signed=1")
        else:
            return False
        return True

    server = fake(store.archive, elsewhere)
    done = convert(f"docker://{server.host}/x:1", "--no-https", env=LOGIN)
    assert done.returncode == 0, done.stderr
    assert store.seen and not any("Authorization" in headers for _, headers in store.seen)
    assert all(path.endswith("?signed=1") for path, _ in store.seen)


def test_who_is_redirected_to_learns_no_login(convert, fake):
    """Were it by asking for one."""
    asked = []

    def thief(handler, path):
        asked.append(handler.headers.get("Authorization"))
        handler.answer(401, WWW_Authenticate=f'Bearer realm="http://{other.host}/token",service="s"')
        return True

    other = fake(big_archive(), thief)

    def elsewhere(handler, path):
        if "/blobs/" not in path:
            return False
        handler.answer(307, Location=f"http://127.0.0.1:{other.server_address[1]}{path}")
        return True

    server = fake(big_archive(), elsewhere)
    done = convert(f"docker://{server.host}/x:1", "--no-https", env=LOGIN)
    assert done.returncode == 255 and "which asks for a login" in done.stderr, done.stderr
    assert asked and not any(asked)


def test_token_server(convert, fake):
    def tokens(handler, path):
        url = urllib.parse.urlparse(path)
        if url.path == "/token":
            asked = urllib.parse.parse_qs(url.query)
            basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            right = asked == {"service": ["a service"], "scope": ["repository:x/y:pull"]} and handler.headers["Authorization"] == "Basic " + basic
            handler.answer(200 if right else 401, b'{"token":"T1"}')
        elif handler.headers.get("Authorization") != "Bearer T1":
            handler.answer(401, WWW_Authenticate=f'Bearer realm="http://{server.host}/token",service="a service",scope="repository:x/y:pull"')
        else:
            return False
        return True

    server = fake(big_archive(), tokens)
    done = convert(f"docker://{server.host}/x/y:1", "--no-https", env=LOGIN)
    assert done.returncode == 0, done.stderr
    done = convert(f"docker://{server.host}/x/y:1", "--no-https", name="z.sif")
    assert done.returncode == 255 and "the token server" in done.stderr


def test_a_login_is_checked_with_the_token_server(user, sifconv, fake):
    """Without a repository in the question."""
    def tokens(handler, path):
        if path.startswith("/token"):
            right = handler.headers["Authorization"] == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            handler.answer(200 if right and path == "/token?service=s" else 401, b'{"token":"T1"}')
        elif handler.headers.get("Authorization") != "Bearer T1":
            handler.answer(401, WWW_Authenticate=f'Bearer realm="http://{server.host}/token",service="s"')
        else:
            handler.answer(200 if path == "/v2/" else 404)
        return True

    server = fake(big_archive(), tokens)
    check = [sifconv, "--check-login", "--no-https", f"docker://{server.host}"]
    done = user.run(check, env=LOGIN)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = user.run(check, env={**LOGIN, "APPTAINER_DOCKER_PASSWORD": "wrong"})
    assert done.returncode == 255 and "the user name and the password" in done.stderr


def evil(status=200, body=b"", **fields):
    def behave(handler, path):
        handler.answer(status, body, **fields)
        return True
    return behave


EVIL = {
    "endless redirects": (evil(302, Location="/v2/again"), "redirects more than 10 times"),
    "redirect to a file": (evil(302, Location="file:///etc/passwd"), "neither http nor https"),
    "redirect to nowhere": (evil(302), "redirects to nowhere"),
    "no json": (evil(200, b"<html>"), "is not valid JSON"),
    "endless manifest": (evil(200, b"[" * 9_000_000), "more than 8388608 bytes"),
    "refused": (evil(403, b'{"errors":[{"code":"NOT_YOU","message":"go \\u001b[31maway"},{"code":"X"}]}'), "not you: go \\x1b[31maway, x\n"),
    "refused by a proxy": (evil(404, b"<html>"), ": StatusCode: 404\n"),
    "head without end": (evil(200, X="y" * 60000, Z="y" * 10000), "its head is too large"),
}


@pytest.mark.parametrize("name", EVIL)
def test_evil_server(convert, fake, tmp_path, name):
    behave, said = EVIL[name]
    server = fake(big_archive(), behave)
    done = convert(f"docker://{server.host}/x:1", "--no-https")
    assert done.returncode == 255 and said in done.stderr, done.stderr
    assert not (tmp_path / "out.sif").exists()


@pytest.mark.parametrize("statuses", [[503], [429, 408]])
def test_a_busy_registry_is_asked_again(convert, fake, statuses):
    left = list(statuses)

    def behave(handler, path):
        if "/manifests/" not in path or not left:
            return False
        handler.answer(left.pop(0), b"slow down")
        return True

    done = convert(f"docker://{fake(big_archive(), behave).host}/x:1", "--no-https")
    assert done.returncode == 0 and not left, done.stderr


def test_corrupt_and_oversized_layers(convert, fake):
    archive = big_archive()
    name = next(name for name, data in archive.blobs.items() if data[:2] == b"\x1f\x8b")
    good = archive.blobs[name]
    archive.blobs[name] = good[:-1] + bytes([good[-1] ^ 1])
    assert "is corrupt: its digest is" in convert(f"docker://{fake(archive).host}/x:1", "--no-https").stderr
    archive.blobs[name] = good + b"more"
    assert "bytes that were promised" in convert(f"docker://{fake(archive).host}/x:1", "--no-https").stderr
    manifest = json.loads(archive.blobs["blobs/sha256/" + archive.entry["digest"].removeprefix("sha256:")])
    manifest["layers"][0]["size"] = 2**64 - 1
    archive.entry = archive.blob(json.dumps(manifest).encode(), archive.entry["mediaType"])
    assert "a blob of 18446744073709551615 bytes" in convert(f"docker://{fake(archive).host}/x:1", "--no-https").stderr


def test_only_this_machines_platform_is_fetched(convert, fake, tmp_path):
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    archive = big_archive()
    other = {"mediaType": archive.entry["mediaType"], "digest": "sha256:" + "1" * 64, "size": 5, "platform": {"os": "linux", "architecture": "s390x"}}
    ours = {**archive.entry, "platform": {"os": "linux", "architecture": machine}}
    index = json.dumps({"schemaVersion": 2, "manifests": [other, ours]}).encode()
    archive.entry = archive.blob(index, "application/vnd.oci.image.index.v1+json")
    server = fake(archive)
    done = convert(f"docker://{server.host}/x:1", "--no-https")
    assert done.returncode == 0, done.stderr
    assert not any("1" * 64 in path for path, _ in server.seen)
    pinned = convert(f"docker://{server.host}/x@sha256:{sha256(index)}", "--no-https", name="pinned.sif")
    assert pinned.returncode == 0 and f"from: {server.host}/x@sha256:".encode() in (tmp_path / "pinned.sif").read_bytes()
    done = convert(f"docker://{server.host}/x:1", "--no-https", "--arch", "s390x", name="z.sif")
    assert done.returncode == 255 and "not here" in done.stderr


@pytest.mark.parametrize("attested", [False, True])
def test_an_index_for_another_machine(convert, fake, attested):
    """As `buildx build --platform linux/s390x --push` makes it."""
    archive = OciArchive([one_file_layer()], architecture="s390x")
    note = {"mediaType": archive.entry["mediaType"], "digest": "sha256:" + "1" * 64, "size": 5, "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    entries = [{**archive.entry, "platform": {"os": "linux", "architecture": "s390x"}}, *([note] if attested else [])]
    archive.entry = archive.blob(json.dumps({"schemaVersion": 2, "manifests": entries}).encode(), "application/vnd.oci.image.index.v1+json")
    host = fake(archive).host
    done = convert(f"docker://{host}/x:1", "--no-https")
    assert done.returncode == 255 and ", only for linux/s390x" in done.stderr and "--arch" in done.stderr, done.stderr
    assert convert(f"docker://{host}/x:1", "--no-https", "--arch", "s390x").returncode == 0


def test_the_only_image_is_for_another_machine(convert, fake):
    done = convert(f"docker://{fake(big_archive()).host}/x:1", "--no-https", "--arch", "s390x")
    assert done.returncode == 0 and "WARNING: the only image is for amd64, not for s390x" in done.stderr, done.stderr


def test_schema_1(convert, fake):
    archive = big_archive()
    archive.entry = archive.blob(json.dumps({"schemaVersion": 1, "fsLayers": [], "history": []}).encode(), "application/vnd.docker.distribution.manifest.v1+prettyjws")
    done = convert(f"docker://{fake(archive).host}/x:1", "--no-https")
    assert done.returncode == 255 and "version 2, schema 1" in done.stderr, done.stderr
