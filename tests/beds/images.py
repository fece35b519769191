# SPDX-License-Identifier: Apache-2.0
"""Image archives for the tests: written here byte by byte (no engine needed), or built and saved by a real Docker engine."""
import hashlib
import io
import json
import pathlib
import shutil
import tarfile
import tempfile

from . import Missing, cache, debian_tree, made_once

BASE_TAG = "bed/debian:bookworm"
CREATED = "2024-02-03T04:05:06Z"
MTIME = 1700000000


class Layer:
    """One layer's tar file, entry by entry."""

    def __init__(self):
        self.buffer = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.buffer, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name, kind=tarfile.REGTYPE, data=b"", mode=0o644, target="", uid=0, gid=0, mtime=MTIME):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.uid, info.gid, info.mtime = kind, mode, uid, gid, mtime
        info.linkname, info.size = target, len(data)
        self.tar.addfile(info, io.BytesIO(data))
        return self

    def folder(self, name, mode=0o755, **more):
        return self.add(name, tarfile.DIRTYPE, mode=mode, **more)

    def file(self, name, data, **more):
        return self.add(name, data=data if isinstance(data, bytes) else data.encode(), **more)

    def symlink(self, name, target, **more):
        return self.add(name, tarfile.SYMTYPE, target=target, mode=0o777, **more)

    def hardlink(self, name, target, **more):
        return self.add(name, tarfile.LNKTYPE, target=target, **more)

    def bytes(self):
        self.tar.close()
        return self.buffer.getvalue()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def _entry(name, size):
    info = tarfile.TarInfo(name)
    info.size, info.mtime = size, MTIME
    return info


def _write(path, files):
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files:
            tar.addfile(_entry(name, len(data)), io.BytesIO(data))


def image_config(layers, architecture="amd64", **config):
    """`config` as in a Dockerfile's result: Env, Entrypoint, Cmd, WorkingDir, Labels..."""
    return {"architecture": architecture, "os": "linux", "created": CREATED, "config": config,
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha256(layer) for layer in layers]},
            "history": [{"created": CREATED, "created_by": "test"} for _ in layers]}


def write_docker20(path, layers, tag="bed/test:1", **config):
    """The archive as Docker up to 24 saves it: ID/layer.tar beside the configuration and manifest.json."""
    body = json.dumps(image_config(layers, **config)).encode()
    names = [f"{sha256(b'id' + layer)}/layer.tar" for layer in layers]
    manifest = [{"Config": sha256(body) + ".json", "RepoTags": [tag] if tag else None, "Layers": names}]
    _write(path, [*zip(names, layers), (sha256(body) + ".json", body), ("manifest.json", json.dumps(manifest).encode())])
    return path


def wrap_layer(layer, archive, tag="bed/test:1", **config):
    """As write_docker20, of one layer that is a file and not read into memory."""
    with open(layer, "rb") as data, tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
        digest = hashlib.sha256()
        while chunk := data.read(1 << 20):
            digest.update(chunk)
        body = image_config([], **config)
        body["rootfs"]["diff_ids"] = ["sha256:" + digest.hexdigest()]
        manifest = [{"Config": "config.json", "RepoTags": [tag], "Layers": ["layer.tar"]}]
        data.seek(0)
        tar.addfile(_entry("layer.tar", layer.stat().st_size), data)
        for name, value in (("config.json", body), ("manifest.json", manifest)):
            text = json.dumps(value).encode()
            tar.addfile(_entry(name, len(text)), io.BytesIO(text))
    return archive


def oci_layout(body, layers, tag):
    """The files of Docker 25's archive around the blobs; `layers` are (SHA-256, size)."""
    media = "application/vnd.oci.image."

    def descriptor(kind, digest, size):
        return {"mediaType": media + kind, "digest": "sha256:" + digest, "size": size}

    manifest = json.dumps({"schemaVersion": 2, "mediaType": media + "manifest.v1+json",
                           "config": descriptor("config.v1+json", sha256(body), len(body)),
                           "layers": [descriptor("layer.v1.tar", *layer) for layer in layers]}).encode()
    entry = descriptor("manifest.v1+json", sha256(manifest), len(manifest))
    entry["annotations"] = {"io.containerd.image.name": "docker.io/" + tag, "org.opencontainers.image.ref.name": tag.rpartition(":")[2]}
    index = {"schemaVersion": 2, "mediaType": media + "index.v1+json", "manifests": [entry]}
    legacy = [{"Config": "blobs/sha256/" + sha256(body), "RepoTags": [tag], "Layers": ["blobs/sha256/" + layer[0] for layer in layers]}]
    return [("blobs/sha256/" + sha256(body), body), ("blobs/sha256/" + sha256(manifest), manifest),
            ("index.json", json.dumps(index).encode()), ("manifest.json", json.dumps(legacy).encode()),
            ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')]


def write_docker25(path, layers, tag="bed/test:1", **config):
    """The archive as Docker from 25 on saves it: an OCI layout with a manifest.json for older readers."""
    body = json.dumps(image_config(layers, **config)).encode()
    blobs = {"blobs/sha256/" + sha256(layer): layer for layer in layers}
    _write(path, [*blobs.items(), *oci_layout(body, [(sha256(layer), len(layer)) for layer in layers], tag)])
    return path


def docker20_to_docker25(source, target):
    """The same image in the other layout, layer by layer and not through memory."""
    with tarfile.open(source) as old, tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as new:
        entry = json.loads(old.extractfile("manifest.json").read())[0]
        body = old.extractfile(entry["Config"]).read()
        layers = []
        for diff_id, name in zip(json.loads(body)["rootfs"]["diff_ids"], entry["Layers"]):
            data = old.extractfile(name)  # through a symlink where two layers are the same
            size = data.seek(0, io.SEEK_END)
            data.seek(0)
            digest = diff_id.partition(":")[2]
            if digest not in dict(layers):
                new.addfile(_entry("blobs/sha256/" + digest, size), data)
            layers.append((digest, size))
        for name, data in oci_layout(body, layers, entry["RepoTags"][0]):
            new.addfile(_entry(name, len(data)), io.BytesIO(data))
    return target


def busybox_program():
    program = shutil.which("busybox")
    if not program:
        raise Missing("busybox-static is not installed (scripts/install-deps test)")
    return pathlib.Path(program).read_bytes()


def busybox_layer(*programs):
    """A static busybox with links for its programs, all of root's."""
    layer = Layer().folder("bin").file("bin/busybox", busybox_program(), mode=0o755)
    for name in ("sh", "cat", "echo", "env", "false", "id", "ls", "mount", "pwd", "readlink", "sleep", "stat", "touch", "true", "wc", *programs):
        layer.symlink(f"bin/{name}", "busybox")
    return layer


def busybox_layers():
    """Two layers: a static busybox with links for its programs, then changes, removals and links in a newer layer."""
    first = busybox_layer()
    first.folder("etc").file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n").file("etc/group", "root:x:0:\n")
    first.folder("tmp", mode=0o1777).folder("root", mode=0o700).folder("srv").file("srv/replaced", "old\n").file("srv/gone", "gone\n")
    second = Layer().folder("srv").file("srv/.wh.gone", "").file("srv/replaced", "new\n").symlink("srv/link", "replaced")
    second.hardlink("srv/hard", "srv/replaced").folder("srv/private", mode=0o700).file("srv/private/key", "secret\n", mode=0o600)
    second.file("srv/owned", "owned\n", uid=1234, gid=70000)
    return [first.bytes(), second.bytes()]


BUSYBOX_CONFIG = {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "GREETING=hello world"], "Cmd": ["sh", "-c", "echo $GREETING"],
                  "WorkingDir": "/srv", "Labels": {"maintainer": "a researcher"}}

# A definition file with every section that inspect shows.
SCRIPTED = r"""Bootstrap: localimage
From: {base}

%labels
  A b
  Several words of value
  Special <&>"\
%help
  Help me
    indented
%environment
  export FOO="<bar>"
%runscript
  echo run "$@"
%startscript
  trap 'echo got INT; exit 3' INT
  trap 'echo got TERM; exit 4' TERM
  trap 'echo got USR1' USR1
  echo start "$@"
  echo problem >&2
  while true; do sleep 0.1; done
%test
  true
%apphelp foo
  help of foo
%applabels foo
  X y
%appenv foo
  export Q=1
%apprun foo
  echo foo run
%apptest foo
  true
%appinstall foo
  touch a
%appinstall bar
  touch b
"""

USER_DOCKERFILE = f"""FROM {BASE_TAG}
ENV LANG=C.UTF-8
RUN apt-get update -q && apt-get install -q -y --no-install-recommends libjpeg-dev python3 python3-pip
RUN apt-get install -q -y --no-install-recommends python3-numpy
RUN rm -rf /var/lib/apt/lists
LABEL maintainer="a researcher" org.opencontainers.image.title="training"
ENV GREETING="hello world" APP_MODE=training
RUN mkdir -p /srv/data && echo shared > /srv/data/one && ln /srv/data/one /srv/data/two && ln -s one /srv/data/link \\
 && mkdir -m 0700 /srv/private && echo secret > /srv/private/key && chown -R 1234:2345 /srv/data
COPY train.py /srv/train.py
WORKDIR /srv
ENTRYPOINT ["python3"]
CMD ["/srv/train.py"]
"""
# As a user's image for GPUs: a framework, the vendor's libraries, lists removed by a layer of their own, owners and modes that matter.
TORCH_DOCKERFILE = f"""FROM {BASE_TAG}
RUN sed -i 's/ main$/ main contrib non-free/' /etc/apt/sources.list && apt-get update -q \\
 && apt-get install -q -y --no-install-recommends libjpeg-dev python3 python3-pip
RUN apt-get install -q -y --no-install-recommends python3-torch python3-torchvision
RUN apt-get install -q -y --no-install-recommends libcudart11.0 libcublas11
RUN rm -rf /var/lib/apt/lists
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN mkdir -p /srv/data && echo shared > /srv/data/one && ln /srv/data/one /srv/data/two && ln -s one /srv/data/link \\
 && mkdir -m 0700 /srv/private && echo secret > /srv/private/key && chown -R 1234:2345 /srv/data
WORKDIR /srv
ENTRYPOINT ["python3"]
"""
TRAIN = """import sys
import numpy
print("mean", numpy.arange(10).mean(), *sys.argv[1:])
"""


def import_base(docker):
    """A minimal Debian in the engine, as `debian:bookworm-slim` is where a registry can be reached."""
    if docker.run("images", "--quiet", BASE_TAG).strip():
        return
    base = cache() / "bookworm.tar"
    with made_once(base) as part:
        if part:
            debian_tree.bootstrap("bookworm", part)
    docker.run("import", base, BASE_TAG)


def _built_archive(engine, name, tag, files):
    """What the engine saves of the image that `files` (Dockerfile and what it copies) describe; cached. `engine` makes the context in which
    there is one, where it is needed.
    """
    path = cache() / "images" / f"{name}-{sha256(''.join(files.values()).encode())[:12]}.tar"
    with made_once(path) as part:
        if part:
            with engine() as docker, tempfile.TemporaryDirectory() as folder:
                import_base(docker)
                for file, text in files.items():
                    pathlib.Path(folder, file).write_text(text)
                docker.build(tag, folder)
                docker.save(tag, part)
    return path


def user_archive(engine):
    """What a researcher saves: a Debian base, libjpeg, python3, pip, numpy, built and saved by the engine."""
    return _built_archive(engine, "user", "bed/user:1.0", {"Dockerfile": USER_DOCKERFILE, "train.py": TRAIN})


def torch_archive(engine):
    """The same with PyTorch and CUDA's cuBLAS: some gigabytes."""
    return _built_archive(engine, "torch", "bed/torch:1.0", {"Dockerfile": TORCH_DOCKERFILE})
