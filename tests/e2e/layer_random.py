# SPDX-License-Identifier: Apache-2.0
"""Random layer sequences that Docker accepts. Many independent ones share an image, each below a folder of its own."""
import random

from layer_cases import D, F, H, N, OPAQUE, S, W
import tar_builder as tar

NAMES = ["a", "b", "c"]
KINDS = ["folder"] * 4 + ["file"] * 4 + ["symlink"] * 3 + ["link"] * 3 + ["whiteout"] * 3 + ["opaque"] * 2 + ["zero", "fifo"]


class LayerModel:
    """What Docker has unpacked of one layer so far; just enough to stay clear of what it refuses."""

    def __init__(self, top, rng):
        self.top, self.rng = top, rng
        self.kinds = {top: "folder"}  # path -> kind; "implied" for a parent without an entry of its own
        self.targets, self.spelled, self.members = {}, set(), []
        self.folders = {}  # path as spelled -> real path of each folder entry

    def resolve(self, path, follow_last, depth=0):
        """The path with its links replaced; None where it ends at a file, in a loop or at a missing target."""
        done = ""
        parts = path.split("/")
        for i, part in enumerate(parts):
            done = done + "/" + part if done else part
            kind = self.kinds.get(done)
            if kind == "symlink" and (follow_last or i + 1 < len(parts)):
                if depth > 8:
                    return None
                done = self.resolve(self.targets[done], True, depth + 1)
                if done is None or self.kinds.get(done) not in ("folder", "implied"):
                    return None
            elif i + 1 < len(parts) and kind not in (None, "folder", "implied"):
                return None
        return done

    def drop(self, path):
        for key in [key for key in self.kinds if key == path or key.startswith(path + "/")]:
            del self.kinds[key]

    def put(self, path, kind):
        if kind != "folder" or self.kinds.get(path) not in ("folder", "implied"):
            self.drop(path)
        parts = path.split("/")
        for i in range(1, len(parts)):
            self.kinds.setdefault("/".join(parts[:i]), "implied")
        self.kinds[path] = kind

    def step(self):
        rng = self.rng
        kind = rng.choice(KINDS)
        path = "/".join([self.top] + [rng.choice(NAMES) for _ in range(rng.choice((1, 1, 2, 2, 3)))])
        real = self.resolve(path, False)
        present = self.kinds.get(real)
        if real is None or real == self.top or (present == "symlink" and path != real):  # the last: it may be on its own way
            return
        spelled = path if path not in self.spelled else "/" + path
        if kind not in ("whiteout", "opaque") and spelled in self.spelled:
            return
        fields = dict(mtime=rng.randrange(1, 10 ** 6), uid=rng.randrange(3), gid=rng.randrange(3), mode=rng.choice((0o700, 0o755, 0o4755)))
        before = self.kinds.copy(), self.targets.copy(), self.spelled.copy(), self.folders.copy(), self.members.copy()
        if kind not in ("whiteout", "opaque"):
            self.spelled.add(spelled)
        getattr(self, "add_" + kind)(spelled, real, present, fields)
        # Docker fails when a member removes a link on its own way, and when a folder is gone whose time it sets at the end.
        expected = self.folders if kind == "opaque" else {**self.folders, path: real}
        if any(self.resolve(name, False) != where or (name in self.folders and self.kinds.get(where) != "folder")
               for name, where in expected.items()):
            self.kinds, self.targets, self.spelled, self.folders, self.members = before

    def add_folder(self, path, real, _present, fields):
        self.put(real, "folder")
        self.folders[path.lstrip("/")] = real
        self.members.append(D(path + "/", **fields))

    def add_file(self, path, real, _present, fields):
        self.put(real, "file")
        self.members.append(F(path, str(self.rng.random()), **fields))

    def add_fifo(self, path, real, _present, fields):
        self.put(real, "file")
        self.members.append(N(path, tar.FIFO, **fields))

    def add_zero(self, path, real, _present, fields):
        self.put(real, "whiteout")
        self.members.append(N(path, tar.CHAR, **fields))

    def add_symlink(self, path, real, _present, fields):
        target = "/".join([self.top] + [self.rng.choice(NAMES) for _ in range(self.rng.choice((1, 1, 2)))])
        self.put(real, "symlink")
        self.targets[real] = target
        self.members.append(S(path, "/" + target, **fields))

    def add_link(self, path, real, _present, fields):
        targets = sorted(key for key, kind in self.kinds.items()
                         if kind not in ("folder", "implied") and key != real and not key.startswith(real + "/"))
        if not targets:
            return
        target = self.rng.choice(targets)
        kind = self.kinds[target]
        if kind == "symlink":
            self.targets[real] = self.targets[target]
        self.put(real, kind)
        self.members.append(H(path, target, **fields))

    def add_whiteout(self, path, real, present, fields):
        name = path.rpartition("/")
        marker = name[0].lstrip("/") + "/.wh." + name[2]
        if present is not None or marker in self.spelled:
            return
        self.spelled.add(marker)
        self.put(real, "whiteout")
        self.members.append(W(path.lstrip("/"), **fields))

    def add_opaque(self, path, real, present, fields):
        folder = path.lstrip("/")
        real = self.resolve(folder, True)
        if real is None or self.kinds.get(real) not in (None, "folder", "implied") or folder + "/opq" in self.spelled:
            return
        self.spelled.add(folder + "/opq")
        if self.kinds.get(real) is None:
            self.put(real, "implied")
        self.members.append(OPAQUE(folder, **fields))


def random_layers(seed, sequences, layers=4, operations=14):
    rng = random.Random(seed)
    result = [[] for _ in range(layers)]
    for i in range(sequences):
        for layer in result:
            model = LayerModel("r%d" % i, rng)
            model.members.append(D("r%d/" % i))
            for _ in range(rng.randrange(operations + 1)):
                model.step()
            layer += model.members
    return result
