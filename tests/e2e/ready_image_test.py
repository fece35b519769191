# SPDX-License-Identifier: Apache-2.0
"""Images that are ready to run, from web servers and registries: they arrive as they are, or not at all; and SIFs pushed to a registry."""
import base64
import hashlib
import http.server
import json
import ssl
import stat
import subprocess
import threading
import urllib.request

import pytest

from beds.registry import PASSWORD, USER

LOGIN = {"APPTAINER_DOCKER_USERNAME": USER, "APPTAINER_DOCKER_PASSWORD": PASSWORD}


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        server = self.server
        server.seen.append((self.command, self.path, self.headers.get("Range")))
        if self.path.startswith("/moved"):
            return self.head(302, Location="/image.sif")
        if self.path.startswith("/private") and self.headers.get("Authorization") != "Basic " + base64.b64encode(b"me:p:w@x").decode():
            return self.head(401)
        if self.path not in server.files:
            return self.head(404)
        data, start = server.files[self.path], 0
        fields = {"ETag": f'"{hashlib.md5(data).hexdigest()}"'} if server.has_versions else {}
        if self.headers.get("Range") and server.knows_ranges and self.headers.get("If-Range") in (None, fields.get("ETag")):
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")) + server.lie
            fields["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        if self.command == "HEAD" and server.refuses_head:
            return self.head(403)
        self.head(206 if start else 200, **fields, Content_Length=len(data) - start)
        if self.command == "HEAD":
            return
        if server.breaks:
            server.breaks -= 1
            self.wfile.write(data[start:start + 100_000])
            self.connection.close()
            server.files.update(server.then)
        else:
            self.wfile.write(data[start:])

    def head(self, status, **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()


@pytest.fixture
def web(busybox_sif):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.seen, server.breaks, server.knows_ranges = {"/image.sif": busybox_sif.read_bytes(), "/page": b"<html>"}, [], 0, True
    server.lie, server.then, server.has_versions, server.refuses_head = 0, {}, True, False
    server.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture
def run(user, sifrun, tmp_path, registry):
    def run(*words, env=(), **options):
        env = {"SSL_CERT_FILE": f"{registry.folder}/ca.crt", "APPTAINER_CACHEDIR": tmp_path / "cache", **dict(env)}
        return user.run([sifrun, *words], cwd=tmp_path, env=env, **options)

    return run


def test_a_web_servers_file_is_pulled_as_it_is(run, web, tmp_path, busybox_sif):
    for words, name in ((["pull", f"{web.address}/image.sif"], "image.sif"), (["pull", "x.sif", f"{web.address}/moved"], "x.sif"),
                        (["build", "y.sif", f"{web.address}/image.sif"], "y.sif")):
        done = run(*words)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / name).read_bytes() == busybox_sif.read_bytes() and stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o755
    assert run("build", "--sandbox", "folder", f"{web.address}/image.sif").returncode == 0
    assert (tmp_path / "folder/bin/busybox").is_file()


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_broken_connection_is_gone_on_from(run, web, tmp_path, busybox_sif, knows_ranges):
    web.breaks, web.knows_ranges = 2, knows_ranges
    done = run("pull", f"{web.address}/image.sif")
    assert done.returncode == 0 and (tmp_path / "image.sif").read_bytes() == busybox_sif.read_bytes(), done.stderr
    assert [asked[2] is not None for asked in web.seen] == [False, True, True]


def test_pieces_of_two_versions_are_not_mixed(run, web, tmp_path, busybox_sif):
    other = busybox_sif.read_bytes().replace(b"run-singularity", b"run-SINGULARITY") + b"other"
    for name, has_versions, then in (("a", True, {}), ("b", False, {}), ("c", True, {"/image.sif": other})):
        web.breaks, web.has_versions, web.then = 1, has_versions, then
        done = run("pull", f"{name}.sif", f"{web.address}/image.sif")
        assert done.returncode == 0 and (tmp_path / f"{name}.sif").read_bytes() == web.files["/image.sif"], done.stderr


def test_another_part_than_asked_for(run, web, tmp_path):
    web.breaks, web.lie = 1, -1000
    done = run("pull", "x.sif", f"{web.address}/image.sif")
    assert done.returncode == 255 and "another part" in done.stderr and not (tmp_path / "x.sif").exists()


@pytest.mark.parametrize("change", [{"has_versions": False}, {"refuses_head": True}])
def test_what_has_no_version_is_fetched_each_time(run, web, fuse_device, change):
    vars(web).update(change)
    for _ in range(2):
        web.seen.clear()
        assert run("exec", f"{web.address}/image.sif", "echo", "hello").stdout == "hello\n"
        assert [asked[0] for asked in web.seen] == ["HEAD", "GET"]


def test_starts_at_once_after_a_failed_one(user, sifrun, web, tmp_path, fuse_device):
    """Those that wait for it each try themselves, and all succeed."""
    vars(web).update({"breaks": 5, "knows_ranges": True, "has_versions": True})
    env = {"APPTAINER_CACHEDIR": tmp_path / "cache"}
    starts = [user.popen([sifrun, "exec", f"{web.address}/image.sif", "echo", "hello"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
              for _ in range(4)]
    answers = [start.communicate(timeout=120) for start in starts]
    assert [start.returncode for start in starts] == [0] * 4, answers


def test_a_cache_that_others_may_write_to_is_not_used(run, user, web, tmp_path, busybox_sif, fuse_device):
    """Nor one whose parent is: the folder could be exchanged."""
    start = ["exec", f"{web.address}/image.sif", "echo", "hello"]
    for open_to_all in ("cache/cache", "cache/cache/net"):
        assert run(*start).stdout == "hello\n"
        (tmp_path / open_to_all).chmod(0o777)
        done = run(*start)
        assert done.stdout == "hello\n" and "is writable for other users" in done.stderr, done.stderr
        (tmp_path / open_to_all).chmod(0o700)


def test_names_that_pull_gives(run, web, tmp_path, registry, busybox_sif):
    done = run("pull", web.address + "/")
    assert done.returncode == 255 and "names no file" in done.stderr and "FILE.sif" in done.stderr
    digest = "0" * 64
    (tmp_path / f"x_1@sha256_{digest}.sif").touch()
    done = run("pull", f"oras://{registry.host}/bed/x:1@sha256:{digest}")
    assert done.returncode == 255 and f'already exists: "x_1@sha256_{digest}.sif"' in done.stderr, done.stderr


def test_password_in_the_address(run, web, tmp_path, busybox_sif):
    web.files["/private.sif"] = web.files["/image.sif"]
    done = run("pull", "x.sif", web.address.replace("://", "://me:p%3Aw%40x@") + "/private.sif")
    assert done.returncode == 0 and (tmp_path / "x.sif").read_bytes() == busybox_sif.read_bytes() and "p%3A" not in done.stderr, done.stderr
    done = run("pull", "y.sif", web.address.replace("://", "://me:wrong@") + "/private.sif")
    assert done.returncode == 255 and "StatusCode: 401" in done.stderr and "wrong" not in done.stderr, done.stderr


@pytest.mark.parametrize("path, said", [("page", "is no image to run: it is neither a SIF nor a squashfs"), ("none", "StatusCode: 404")])
def test_what_is_no_image_is_not_kept(run, web, tmp_path, path, said):
    for words in (["pull", "x.sif"], ["build", "x.sif"], ["exec"]):
        done = run(*words, f"{web.address}/{path}", *(["true"] if words == ["exec"] else []))
        assert done.returncode == 255 and said in done.stderr, done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_web_servers_file_is_fetched_once_and_again_when_it_is_another(run, web, fuse_device):
    start = ["exec", f"{web.address}/image.sif", "echo", "hello"]
    for expected in (["HEAD", "GET"], ["HEAD"]):
        web.seen.clear()
        assert run(*start).stdout == "hello\n" and [asked[0] for asked in web.seen] == expected
    web.files["/image.sif"] += b"\0"
    web.seen.clear()
    assert run(*start).stdout == "hello\n" and [asked[0] for asked in web.seen] == ["HEAD", "GET"]


def test_a_pushed_sif_comes_back(run, registry, tmp_path, busybox_sif, fuse_device):
    address = f"oras://{registry.host}/bed/sif:v1"
    done = run("push", busybox_sif, address)
    assert done.returncode == 255 and "wants to know who you are" in done.stderr
    for _ in range(2):  # the second finds all of it there
        done = run("push", busybox_sif, address, env=LOGIN)
        assert (done.returncode, done.stderr) == (0, "INFO:    Upload complete\n")
    done = run("pull", address, env=LOGIN)
    assert done.returncode == 0 and (tmp_path / "sif_v1.sif").read_bytes() == busybox_sif.read_bytes(), done.stderr
    done = run("exec", address, "echo", "hello", env=LOGIN)
    assert done.stdout == "hello\n" and "Downloading oras image" in done.stderr
    digest = hashlib.sha256(busybox_sif.read_bytes()).hexdigest()
    assert (tmp_path / f"cache/cache/oras/sha256:{digest}").exists()
    assert "Using cached SIF image" in run("exec", address, "true", env=LOGIN).stderr


@pytest.mark.parametrize("words, said", [
    (["pull", "x.sif", "oras://HOST/bed/busybox:1.0"], "holds no SIF"), (["pull", "x.sif", "oras://HOST/bed/none:1"], "manifest unknown"),
    (["push", "/etc/passwd", "oras://HOST/bed/x"], "/etc/passwd"), (["push", "none.sif", "oras://HOST/bed/x"], "No such file"),
    (["push", "SIF", "docker://HOST/bed/x"], "oras://HOST/NAME is needed"), (["push", "SIF", "library://x/y"], "oras://HOST/NAME is needed"),
    (["push", "SIF", "oras://localhost:1/x"], "Connection refused")])
def test_what_cannot_be(run, registry, busybox_sif, tmp_path, words, said):
    done = run(*[word.replace("HOST/b", f"{registry.host}/b").replace("SIF", str(busybox_sif)) for word in words], env=LOGIN)
    assert done.returncode == 255 and said in done.stderr, done.stderr
    assert not (tmp_path / "x.sif").exists()


def test_a_registry_that_gives_other_bytes(run, web, tmp_path, busybox_sif):
    """The manifest's digest decides; no_https speaks to the web server as to a registry."""
    data = busybox_sif.read_bytes()
    layer = {"mediaType": "application/vnd.sylabs.sif.layer.v1.sif", "size": len(data), "digest": "sha256:" + hashlib.sha256(data).hexdigest()}
    web.files["/v2/x/y/manifests/1"] = json.dumps({"schemaVersion": 2, "layers": [layer]}).encode()
    web.files[f"/v2/x/y/blobs/{layer['digest']}"] = data[:-1] + b"x"
    address = f"oras://{web.address.removeprefix('http://')}/x/y:1"
    done = run("pull", "--no-https", "x.sif", address)
    assert done.returncode == 255 and "is corrupt" in done.stderr and not (tmp_path / "x.sif").exists()
    web.files[f"/v2/x/y/blobs/{layer['digest']}"] = data
    assert run("pull", "--no-https", "x.sif", address).returncode == 0 and (tmp_path / "x.sif").read_bytes() == data
    assert run("pull", "found-out.sif", address).returncode == 0  # as it is this machine


def test_no_registry_speaks_for_another(run, web, tmp_path, busybox_sif, fuse_device):
    """One that names the digest of a good image first and gives its own then: the cache is everyone's."""
    good, evil = busybox_sif.read_bytes(), busybox_sif.read_bytes() + b"evil"
    manifests = [json.dumps({"schemaVersion": 2, "layers": [{"mediaType": "application/vnd.sylabs.sif.layer.v1.sif", "size": len(data),
                                                            "digest": "sha256:" + hashlib.sha256(data).hexdigest()}]}).encode() for data in (good, evil)]
    web.files["/v2/x/y/manifests/1"], web.then = manifests[0], {}
    web.files["/v2/x/y/blobs/sha256:" + hashlib.sha256(evil).hexdigest()] = evil

    class Changing(dict):
        def __getitem__(self, path):
            data = super().__getitem__(path)
            if path.endswith("manifests/1"):
                self["/v2/x/y/manifests/1"] = manifests[1]
            return data

    web.files = Changing(web.files)
    done = run("exec", "--no-https", f"oras://{web.address.removeprefix('http://')}/x/y:1", "true")
    assert done.returncode == 255 and "has become another image" in done.stderr, done.stderr
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_the_manifest_is_that_of_apptainer(run, registry, busybox_sif):
    assert run("push", busybox_sif, f"oras://{registry.host}/bed/manifest", env=LOGIN).returncode == 0
    question = urllib.request.Request(f"https://{registry.host}/v2/bed/manifest/manifests/latest", headers={
        "Accept": "application/vnd.oci.image.manifest.v1+json", "Authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()})
    answer = json.load(urllib.request.urlopen(question, context=ssl.create_default_context(cafile=f"{registry.folder}/ca.crt")))
    data = busybox_sif.read_bytes()
    assert answer == {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.sylabs.sif.config.v1+json", "size": 2, "digest": "sha256:" + hashlib.sha256(b"{}").hexdigest()},
        "layers": [{"mediaType": "application/vnd.sylabs.sif.layer.v1.sif", "size": len(data), "digest": "sha256:" + hashlib.sha256(data).hexdigest(),
                    "annotations": {"org.opencontainers.image.title": busybox_sif.name}}]}
