# SPDX-License-Identifier: Apache-2.0
"""registry login, logout and list, and --docker-login: what is asked, checked, kept and forgotten."""
import base64
import fcntl
import json
import os
import pty
import stat
import subprocess
import termios
import time

import pytest

from beds.registry import PASSWORD, USER
from conftest import CLEAN_PATH

AUTH = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture
def home(tmp_path, user):
    folder = tmp_path / "home"
    folder.mkdir()
    os.chown(folder, user.uid, user.gid)
    return folder


@pytest.fixture
def ask(user, sifrun, registry, home):
    """`sifrun registry ...` in a home of its own; `address` stands for the registry's."""

    def run(*words, env=(), **options):
        words = [f"docker://{registry.host}" if word == "address" else word for word in words]
        return user.run([sifrun, "registry", *words], env={"HOME": home, "SSL_CERT_FILE": f"{registry.folder}/ca.crt", **dict(env)}, cwd=home, **options)

    return run


def kept(file):
    return json.loads(file.read_text())


def test_a_login_serves_until_the_logout(ask, home, registry, user, sifrun):
    config = home / ".docker/config.json"
    done = ask("login", "--username", USER, "--password-stdin", "address", input=PASSWORD + "\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"INFO:    Token stored in {config}\n")
    assert kept(config) == {"auths": {registry.host: {"auth": AUTH}}}
    assert [stat.S_IMODE(path.stat().st_mode) for path in (config, config.parent)] == [0o600, 0o700]
    assert ask("list").stdout.split() == ["URI", "SECURE?", f"docker://{registry.host}", "✓"]
    pull = [sifrun, "pull", "--force", "x.sif", f"docker://{registry.host}/bed/busybox:1.0"]
    env = {"HOME": home, "SSL_CERT_FILE": f"{registry.folder}/ca.crt"}
    assert user.run(pull, env=env, cwd=home).returncode == 0
    assert ask("logout", "address").stderr == f"INFO:    Token removed from {config}\nINFO:    Logout succeeded\n"
    assert kept(config) == {"auths": {}}
    done = user.run(pull, env=env, cwd=home)
    assert done.returncode == 255 and "wants to know who you are" in done.stderr
    done = ask("logout", "address")
    assert done.returncode == 0 and "There is no existing login" in done.stderr


@pytest.mark.parametrize("words, said", [
    (["login", "-u", USER, "-p", "wrong", "address"], "does not take the login"), (["login", "-p", PASSWORD, "address"], "takes a user name"),
    (["login", "-u", "a:b", "-p", PASSWORD, "address"], "takes a user name"), (["login", "-u", USER, "address"], "takes a password or token"),
    (["login", "-u", USER, "-p", PASSWORD, "ghcr.io"], "ghcr.io is no registry"), (["login", "-u", USER, "-p", PASSWORD, "library://x"], "is no registry"),
    (["login", "-u", USER, "-p", PASSWORD, "docker://localhost/x"], "is no registry"),
    (["login", "-u", USER, "-p", PASSWORD, "docker://localhost:1"], "Connection refused"), (["logout", "x"], "x is no registry")])
def test_what_fails_keeps_nothing(ask, home, words, said):
    done = ask(*words)
    assert done.returncode == 255 and said in done.stderr, done.stderr
    assert not any(home.iterdir())


@pytest.mark.parametrize("words", [["login"], ["logout", "a", "b"], ["list", "x"], ["bogus"], ["login", "--bogus", "address"], []])
def test_mistakes(ask, words):
    assert ask(*words).returncode == 1


def test_the_rest_of_the_file_stays(ask, home, registry, user):
    """Also a link to it, and what is older under another name of the registry goes."""
    real = home / "dotfiles.json"
    real.write_text(json.dumps({"psFormat": "x", "auths": {"other": {"auth": "eA=="}, f"https://{registry.host}": {"auth": "b2xk"}}}))
    os.chown(real, user.uid, user.gid)
    (home / "link.json").symlink_to(real)
    done = ask("login", "-u", USER, "-p", PASSWORD, "--authfile", home / "link.json", "address")
    assert done.returncode == 0, done.stderr
    assert (home / "link.json").is_symlink() and kept(real) == {"psFormat": "x", "auths": {"other": {"auth": "eA=="}, registry.host: {"auth": AUTH}}}
    assert ask("logout", "--authfile", home / "link.json", "address").returncode == 0
    assert kept(real) == {"psFormat": "x", "auths": {"other": {"auth": "eA=="}}}


@pytest.mark.parametrize("text", ["garbage", "[]", '{"auths": []}', '{"auths": {"x": 1'])
def test_a_file_that_is_none_stays_as_it_is(ask, home, user, text):
    file = home / "login.json"
    file.write_text(text)
    os.chown(file, user.uid, user.gid)
    for words in (["login", "-u", USER, "-p", PASSWORD], ["logout"]):
        done = ask(*words, "--authfile", file, "address")
        assert done.returncode == 255 and "login.json" in done.stderr and done.stderr.startswith("FATAL:"), done.stderr
        assert file.read_text() == text


def test_other_files_are_listed_in_spite_of_a_broken_one(ask, home):
    for path, text in ((".apptainer/docker-config.json", "garbage"), (".docker/config.json", '{"auths": {"ghcr.io": {}, "https://index.docker.io/v1/": {}}}')):
        (home / path).parent.mkdir()
        (home / path).write_text(text)
    done = ask("list")
    assert done.returncode == 0 and "ignoring" in done.stderr
    assert done.stdout == "\nURI                 SECURE?\ndocker://ghcr.io    ✓\ndocker://docker.io  ✓\n"


def test_apptainers_own_file_goes_first_where_it_is(ask, home, user):
    own = home / ".apptainer/docker-config.json"
    own.parent.mkdir()
    own.write_text("")
    for path in (own, own.parent):
        os.chown(path, user.uid, user.gid)
    assert ask("login", "-u", USER, "-p", PASSWORD, "address").returncode == 0
    assert own.read_text() != "" and not (home / ".docker").exists()
    done = ask("login", "address", env={"APPTAINER_LOGIN_USERNAME": USER, "APPTAINER_LOGIN_PASSWORD": PASSWORD, "APPTAINER_CONFIGDIR": home / "config"})
    assert done.returncode == 0 and (home / "config/config.json").exists(), done.stderr


def test_logins_at_once_are_all_kept(user, sifrun, registry, home):
    env = {"HOME": home, "SSL_CERT_FILE": f"{registry.folder}/ca.crt"}
    hosts = [registry.host, f"127.0.0.1:{registry.port}", f"LOCALHOST:{registry.port}", f"Localhost:{registry.port}"]
    started = [user.popen([sifrun, "registry", "login", "-u", USER, "-p", PASSWORD, f"docker://{host}"], env=env, cwd=home) for host in hosts]
    assert [process.wait(60) for process in started] == [0] * len(hosts)
    assert sorted(kept(home / ".docker/config.json")["auths"]) == sorted(hosts)


def test_odd_files_and_passwords(ask, home, user):
    (home / "dangling.json").symlink_to("real.json")
    assert ask("login", "-u", USER, "-p", PASSWORD, "--authfile", home / "dangling.json", "address").returncode == 0
    assert (home / "dangling.json").is_symlink() and (home / "real.json").is_file()
    os.mkfifo(home / "pipe")
    done = ask("login", "-u", USER, "-p", PASSWORD, "--authfile", home / "pipe", "address", timeout=20)
    assert done.returncode == 255 and "is no regular file" in done.stderr
    done = ask("login", "-u", USER, "--password-stdin", "address", input="a\0b")
    assert done.returncode == 255 and "NUL" in done.stderr


HELPER = """#!/bin/sh
echo "$1 $(cat)" >> $HOME/asked
[ "$1" != erase ] || [ ! -e $HOME/locked ] || { echo it is locked; exit 1; }
"""


def test_a_credential_helper_keeps_it(ask, home, registry, user):
    (home / "docker-credential-bed").write_text(HELPER)
    (home / "docker-credential-bed").chmod(0o755)
    config = home / ".docker/config.json"
    config.parent.mkdir()
    config.write_text('{"credsStore": "bed"}')
    for path in (config, config.parent):
        os.chown(path, user.uid, user.gid)
    env = {"PATH": f"{home}:{CLEAN_PATH}"}
    assert ask("login", "-u", USER, "-p", PASSWORD, "address", env=env).returncode == 0
    assert kept(config) == {"credsStore": "bed", "auths": {registry.host: {}}}
    verb, _, login = (home / "asked").read_text().partition(" ")
    assert verb == "store" and json.loads(login) == {"ServerURL": registry.host, "Username": USER, "Secret": PASSWORD}
    (home / "locked").touch()
    done = ask("logout", "address", env=env)
    assert done.returncode == 255 and "docker-credential-bed erase failed" in done.stderr and "it is locked" in done.stderr
    (home / "locked").unlink()
    assert ask("logout", "address", env=env).returncode == 0 and kept(config)["auths"] == {}
    assert "Token removed" in ask("logout", "address", env=env).stderr, "the helper is asked although the file has no entry"


def type_in(user, argv, env, cwd, lines):
    """What a terminal shows while the lines are typed, each when a question is open; and the exit status."""
    ours, theirs = pty.openpty()
    process = user.popen(argv, env=env, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                         preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    shown = b""
    for question, line in lines:
        while question not in shown:
            shown += os.read(ours, 4096)
        time.sleep(0.2)  # until the answer is waited for
        os.write(ours, line)
    status = process.wait(60)
    os.set_blocking(ours, False)
    try:
        shown += os.read(ours, 65536)
    except OSError:
        pass
    attributes = subprocess.run(["stty", "-a"], stdin=theirs, capture_output=True, text=True).stdout
    os.close(ours)
    os.close(theirs)
    return shown.decode(), status, " echo " in attributes.replace("\n", " ")


def test_a_terminal_does_not_show_the_password(user, sifrun, registry, home):
    env = {"HOME": home, "SSL_CERT_FILE": f"{registry.folder}/ca.crt"}
    argv = [sifrun, "registry", "login", "-u", USER, f"docker://{registry.host}"]
    shown, status, echoes = type_in(user, argv, env, home, [(b"Token: ", PASSWORD.encode() + b"\n")])
    assert status == 0 and PASSWORD not in shown and "Token stored" in shown and echoes
    shown, status, echoes = type_in(user, argv, env, home, [(b"Token: ", b"\x03")])
    assert status != 0 and echoes, "Ctrl-C leaves the terminal as it was"
    argv = [sifrun, "pull", "--docker-login", "asked.sif", f"docker://{registry.host}/bed/busybox:1.0"]
    (home / ".docker/config.json").unlink()
    shown, status, echoes = type_in(user, argv, env, home, [(b"Username: ", USER.encode() + b"\n"), (b"Password: ", PASSWORD.encode() + b"\n")])
    assert status == 0 and PASSWORD not in shown and (home / "asked.sif").exists() and echoes, shown


def test_the_payload_does_not_see_what_was_asked(user, sifrun, registry, home, fuse_device):
    env = {"HOME": home, "SSL_CERT_FILE": f"{registry.folder}/ca.crt"}
    argv = [sifrun, "exec", "--docker-login", f"docker://{registry.host}/bed/busybox:1.0", "env"]
    done = user.run(argv, env=env, cwd=home, input=f"{USER}\n{PASSWORD}\n")
    assert done.returncode == 0 and "PATH=" in done.stdout and PASSWORD not in done.stdout, done.stderr
