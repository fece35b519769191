# SPDX-License-Identifier: Apache-2.0
"""Image archives with every part in the open, so that a test can break any of them."""
import gzip
import io
import json
import tarfile

from .images import MTIME, image_config, sha256


def tar_bytes(members):
    """`members`: (name, data) or (name, tarfile type, link target); ends right after the two zero blocks, as Docker's do."""
    buffer = io.BytesIO()
    tar = tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT)
    for name, *what in members:
        info = tarfile.TarInfo(name)
        info.mtime = MTIME
        if len(what) == 2:
            info.type, info.linkname = what
            tar.addfile(info)
        else:
            info.size = len(what[0])
            tar.addfile(info, io.BytesIO(what[0]))
    end = tar.offset
    tar.close()
    return buffer.getvalue()[:end + 1024]


def one_file_layer(name="srv/file", data=b"content\n"):
    return tar_bytes([(name, data)])


class Archive:
    """A Docker 20 archive in parts: `config` and `manifest` are Python values, `members` name to bytes, all open to changes."""

    def __init__(self, layers=None, tags=("bed/test:1",), **config):
        self.layers = [one_file_layer()] if layers is None else layers
        self.config = image_config(self.layers, **config)
        self.manifest = [{"Config": None, "RepoTags": list(tags), "Layers": []}]
        self.members = []
        for number, layer in enumerate(self.layers):
            name = f"{number}{'a' * 63}/layer.tar"
            self.members.append((name, layer))
            self.manifest[0]["Layers"].append(name)

    def finished(self):
        """All members, the configuration under the name of its digest unless the manifest names another."""
        body = self.config if isinstance(self.config, bytes) else json.dumps(self.config).encode()
        if isinstance(self.manifest, list) and self.manifest and self.manifest[0].get("Config", "") is None:
            self.manifest[0]["Config"] = sha256(body) + ".json"
            self.members.append((self.manifest[0]["Config"], body))
        members = list(self.members)
        if self.manifest is not None:
            manifest = self.manifest if isinstance(self.manifest, bytes) else json.dumps(self.manifest).encode()
            members.append(("manifest.json", manifest))
        return members

    def bytes(self):
        return tar_bytes(self.finished())

    def write(self, path):
        path.write_bytes(self.bytes())
        return path


class OciArchive:
    """An OCI layout without manifest.json, as skopeo writes oci-archive; layers stored as `stored` gives them."""

    def __init__(self, layers=None, tag="bed/test:1", stored=gzip.compress, media_type="tar+gzip", **config):
        self.layers = [one_file_layer()] if layers is None else layers
        self.blobs = {}
        body = json.dumps(image_config(self.layers, **config)).encode()
        media = "application/vnd.oci.image."
        manifest = {"schemaVersion": 2, "mediaType": media + "manifest.v1+json",
                    "config": self.blob(body, media + "config.v1+json"),
                    "layers": [self.blob(stored(layer), media + "layer.v1." + media_type) for layer in self.layers]}
        self.entry = self.blob(json.dumps(manifest).encode(), media + "manifest.v1+json")
        self.entry["annotations"] = {"io.containerd.image.name": "docker.io/" + tag}
        self.index = {"schemaVersion": 2, "manifests": [self.entry]}

    def blob(self, data, media_type):
        self.blobs["blobs/sha256/" + sha256(data)] = data
        return {"mediaType": media_type, "digest": "sha256:" + sha256(data), "size": len(data)}

    def bytes(self):
        return tar_bytes([*self.blobs.items(), ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
                          ("index.json", json.dumps(self.index).encode())])

    def write(self, path):
        path.write_bytes(self.bytes())
        return path
