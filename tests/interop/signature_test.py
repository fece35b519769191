# SPDX-License-Identifier: Apache-2.0
"""What one program signs the other verifies, and both find the same wrong with what was changed."""
import re
import shutil
import subprocess

import pytest

KINDS = {"rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "p256": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
         "p384": ["EC", "-pkeyopt", "ec_paramgen_curve:P-384"], "ed25519": ["ED25519"]}


@pytest.fixture(scope="module")
def keys(scratch):
    folder = scratch / "keys"
    folder.mkdir()
    for name, options in KINDS.items():
        private, public = folder / f"{name}.pem", folder / f"{name}.pub"
        subprocess.run(["openssl", "genpkey", "-algorithm", *options, "-out", private], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
        private.chmod(0o644)
    return folder


@pytest.fixture
def image(busybox_sif, tmp_path):
    path = tmp_path / "image.sif"
    shutil.copy(busybox_sif, path)
    path.chmod(0o666)
    return path


@pytest.fixture
def both(apptainer, sifrun):
    return {name: lambda *line, program=program: apptainer.command([program, *map(str, line)]) for name, program in
            (("apptainer", "apptainer"), ("sifrun", str(sifrun)))}


def same_verdict(both, *line):
    """Both say the same of a signature; the reason in Apptainer's words but for what its libraries say."""
    theirs, ours = (both[name]("verify", *line) for name in ("apptainer", "sifrun"))

    def normal(done):
        return done.returncode, re.sub(r"(signature object \d+ not valid): .*", r"\1", done.stdout)

    assert normal(ours) == normal(theirs), (ours.stderr, theirs.stderr)
    return ours


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("signer", ["apptainer", "sifrun"])
def test_each_verifies_the_other(signer, kind, both, keys, image):
    done = both[signer]("sign", "--key", keys / f"{kind}.pem", image)
    assert done.returncode == 0, done.stderr
    assert same_verdict(both, "--key", keys / f"{kind}.pub", image).returncode == 0
    assert same_verdict(both, "--json", "--key", keys / f"{kind}.pub", image).returncode == 0
    other = "rsa" if kind != "rsa" else "p256"
    assert same_verdict(both, "--key", keys / f"{other}.pub", image).returncode == 255
    assert same_verdict(both, "--json", "--key", keys / f"{other}.pub", image).returncode == 255


@pytest.mark.parametrize("signer", ["apptainer", "sifrun"])
def test_groups_and_objects(signer, both, apptainer, keys, image, tmp_path):
    (tmp_path / "data").write_text("data")
    assert apptainer.siftool("add", "--datatype", "7", "--groupid", "2", image, tmp_path / "data").returncode == 0
    key, public = ("--key", keys / "rsa.pem"), ("--key", keys / "rsa.pub")
    assert both[signer]("sign", *key, "-i", "2", image).returncode == 0
    for part in ([], ["-i", "2"], ["-i", "1"], ["-g", "1"], ["-g", "2"], ["-g", "9"], ["-i", "99"]):
        same_verdict(both, *public, *part, image)
    assert both[signer]("sign", *key, "-g", "2", image).returncode == 0
    for part in (["-g", "2"], ["-i", "5"], []):
        same_verdict(both, *public, *part, image)
    for part in (["-g", "9"], ["-i", "99"]):
        assert both[signer]("sign", *key, *part, image).returncode == 255


@pytest.mark.parametrize("place", [10, 50, 4096 + 20, 4096 + 80, 32200, 4096 + 3 * 585 + 201])
def test_changes_are_found(place, both, keys, image):
    """In the launch line, UUID, a descriptor, an object, the partition's own fields."""
    assert both["sifrun"]("sign", "--key", keys / "ed25519.pem", image).returncode == 0
    with open(image, "r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))
    theirs, ours = (both[name]("verify", "--key", keys / "ed25519.pub", image) for name in ("apptainer", "sifrun"))
    assert ours.returncode == theirs.returncode, (ours.stderr, theirs.stderr)


def test_unsigned_and_ungrouped(both, apptainer, keys, image, tmp_path):
    public = ("--key", keys / "rsa.pub")
    same_verdict(both, *public, image)
    same_verdict(both, "--json", *public, image)
    (tmp_path / "data").write_text("data")
    apptainer.siftool("add", "--datatype", "7", image, tmp_path / "data")
    same_verdict(both, *public, image)


def make_certificate(folder, name, issuer, usage):
    """NAME.crt for NAME.pem, signed by ISSUER (itself: a root)."""
    subprocess.run(["openssl", "genpkey", "-algorithm", "ED25519", "-out", folder / f"{name}.pem"], check=True)
    request = ["openssl", "req", "-new", "-key", folder / f"{name}.pem", "-subj", f"/CN={name}", "-x509", "-days", "9", "-out", folder / f"{name}.crt",
               "-config", folder / "empty.cnf", "-addext", f"basicConstraints=critical,CA:{'TRUE' if not usage else 'FALSE'}"]
    if usage:
        request += ["-addext", "keyUsage=digitalSignature", "-addext", f"extendedKeyUsage={usage}"]
    if issuer != name:
        request += ["-CA", folder / f"{issuer}.crt", "-CAkey", folder / f"{issuer}.pem"]
    (folder / "empty.cnf").write_text("[req]\ndistinguished_name=dn\n[dn]\n")
    subprocess.run(request, check=True, capture_output=True)
    (folder / f"{name}.pem").chmod(0o644)


def test_certificates(both, image, tmp_path):
    for name, issuer, usage in (("root", "root", ""), ("between", "root", ""), ("leaf", "between", "codeSigning"), ("web", "between", "serverAuth"),
                                ("other", "other", "")):
        make_certificate(tmp_path, name, issuer, usage)
    assert both["sifrun"]("sign", "--key", tmp_path / "leaf.pem", image).returncode == 0
    roots, between = ("--certificate-roots", tmp_path / "root.crt"), ("--certificate-intermediates", tmp_path / "between.crt")
    for options, code in (([*roots, *between], 0), ([*roots], 255), (["--certificate-roots", tmp_path / "other.crt", *between], 255), ([*between], 255)):
        assert same_verdict(both, "--certificate", tmp_path / "leaf.crt", *options, image).returncode == code, options
    assert same_verdict(both, "--certificate", tmp_path / "web.crt", *roots, *between, image).returncode == 255


def test_refusals(both, keys, image):
    for line in (["sign", "--key", keys / "rsa.pub", image], ["sign", "--key", "/no/such", image], ["sign", "--key", keys / "rsa.pem", "/no/such"],
                 ["verify", "--key", keys / "rsa.pem", image], ["verify", "--key", "/etc/passwd", image], ["verify", "--key", keys / "rsa.pub", "/etc"],
                 ["verify"], ["sign"]):
        theirs, ours = (both[name](*line) for name in ("apptainer", "sifrun"))
        assert ours.returncode == theirs.returncode != 0, (line, ours.stderr, theirs.stderr)
    for line in (["sign", image], ["verify", image]):
        done = both["sifrun"](*line)
        assert done.returncode == 255 and "PGP keys are not supported" in done.stderr
