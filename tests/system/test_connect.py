# SPDX-License-Identifier: MIT
"""Starting and ending: what fails is one clear line and an exit status, and leaves nothing behind."""
import base64
import contextlib
import os
import re
import shutil
import signal
import subprocess

import pytest

import dovecot
import mounting
from dovecot import Mail
from fakeimap import FakeImap
from mounting import Mount, guardian_of, is_mounted, run, wait_until
from programs import APART, PROGRAM

USAGE, CONNECT, TLS, LOGIN, MOUNT = 1, 2, 3, 4, 5
TEXT = b"Subject: x\r\n\r\nbody\r\n"
NOBODY = 65534


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    # Without Dovecot's penalty, which makes everyone wait after a wrong password.
    return start_server([Mail("INBOX", TEXT)], extra=(
        "service anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}\n"))


def write_secret(path, text, mode=0o600):
    with open(path, "w", encoding="utf-8") as out:
        os.fchmod(out.fileno(), mode)
        out.write(text)
    return path


def refused(mount, server, status, pattern, *options, **keywords):
    """It ends with the status and says one line, which the pattern matches; nothing is mounted, and no
    cache is left that was not there."""
    m = mount(server, *options, ready=False, **keywords)
    m.expect("^imapfs: " + pattern)
    m.finished(status)
    assert not os.path.exists(m.cache)
    assert m.said().count("\n") == 1, m.said()
    return m.said()


# The command line


@pytest.mark.parametrize("options, source, pattern", [
    (("chache=/x",), "u@h", r"unknown option 'chache' \(did you mean cache=\?\)"),
    (("passfil=/x",), "u@h", r"unknown option 'passfil' \(did you mean passfile=\?\)"),
    (("xyzzy",), "u@h", "unknown option 'xyzzy'"),
    (("connections=0",), "u@h", "connections= is a number"),
    (("timeout=1h",), "u@h", "timeout= is a number"),
    (("umask=9",), "u@h", "umask="),
    (("suffix=eml",), "u@h", "suffix="),
    (("suffix=.12",), "u@h", "suffix="),
    (("tls=maybe",), "u@h", "tls="),
    (("tls=none",), "imaps://u@localhost/", "tls= contradicts"),
    (("allow_other", "allow_root"), "u@h", "allow_other and allow_root exclude each other"),
    ((), "imaps://u@localhost/%00", "the mailbox in SOURCE"),
    ((), "imaps://u@localhost:99999/", ".*port"),
    ((), "http://u@localhost/", "."),
])
def test_usage(server, mount, options, source, pattern):
    refused(mount, server, USAGE, pattern, *options, source=source)


@pytest.mark.parametrize("source", ["imaps://user:geheim@localhost/", "user:geheim@localhost"])
def test_password_in_source(server, mount, source):
    """What to do instead, and the secret is not repeated."""
    said = refused(mount, server, USAGE, ".*never put a password on the command line.*passfile=", source=source)
    assert "geheim" not in said


def test_help_and_version():
    assert run(PROGRAM, "-V").stdout.startswith("imapfs ")
    assert "usage: imapfs" in run(PROGRAM, "-h").stdout
    for arguments in ((), ("u@h",), ("u@h", "/tmp", "more"), ("-z", "u@h", "/tmp")):
        result = run(PROGRAM, *arguments, check=False)
        assert result.returncode == USAGE and result.stderr.count("\n") == 1


def test_words_of_fstab(server, mount):
    m = mount(server, "rw", "_netdev", "nofail", "noauto", "users", "x-systemd.automount", "noatime")
    assert os.listdir(m.path("INBOX")) == ["1"]


def test_s_is_accepted(server, mount):
    m = mount(server, flags=("-f", "-s"))
    assert m.read("INBOX", 1) == TEXT


# Connecting


def test_refused_port(server, mount):
    port, = dovecot.free_ports(1)
    refused(mount, server, CONNECT, f"localhost:{port}: .*refused", port=port)


def test_unknown_host(server, mount):
    said = refused(mount, server, CONNECT, "no-such-host.invalid:993: ", source="user@no-such-host.invalid",
                   environment={"RES_OPTIONS": "timeout:1 attempts:1"})
    assert "no-such-host.invalid" in said


def test_no_answer(server, mount, proxy):
    """A server that accepts and says nothing: an end within the timeout."""
    line = proxy(server)
    line.ask("stall")
    refused(mount, server, CONNECT, f"localhost:{line.port}: ", "timeout=1", port=line.port)


def test_starttls(server, mount):
    m = mount(server, source=f"imap://{server.user}@localhost:{server.imap_port}/")
    assert m.read("INBOX", 1) == TEXT


@pytest.mark.parametrize("behaviour", [{"starttls": "missing"}, {"starttls": "refuse"}, {"starttls": "inject"},
                                       {"preauth": True}])
def test_starttls_is_required(server, mount, directory, behaviour):
    """Without it nothing is sent in the clear, least of all the password; nor is anything believed."""
    dovecot.make_authority(directory)
    dovecot.make_certificate(directory)
    with FakeImap(certificate=(directory + "/server.pem", directory + "/server.key"), **behaviour) as fake:
        refused(mount, server, TLS, "localhost:", f"cafile={directory}/ca.pem",
                source=f"imap://user@localhost:{fake.port}/")
        assert not {"LOGIN", "AUTHENTICATE"} & set(fake.names())


def test_plain_text_when_asked_for(server, mount):
    m = mount(server, "tls=none", source=f"imap://{server.user}@localhost:{server.imap_port}/")
    assert m.read("INBOX", 1) == TEXT


def test_tls_to_a_plain_port(server, mount):
    refused(mount, server, TLS, "localhost:", port=server.imap_port)


# Passwords


def test_wrong_password(server, mount, directory):
    path = write_secret(os.path.join(directory, "wrong"), "not the word\n")
    said = refused(mount, server, LOGIN, "localhost:", f"passfile={path}")
    assert "not the word" not in said


def test_unknown_user(server, mount):
    refused(mount, server, LOGIN, "localhost:", user="nobody-here")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o602, 0o620])
def test_passfile_of_all(server, mount, directory, mode):
    path = write_secret(os.path.join(directory, "open"), server.password + "\n", mode)
    refused(mount, server, LOGIN, f".*{path}.*chmod", f"passfile={path}")


def test_passfile_is_missing_or_empty(server, mount, directory):
    refused(mount, server, LOGIN, ".*/nowhere: No such file", "passfile=/nowhere")
    refused(mount, server, LOGIN, ".*empty", f"passfile={write_secret(directory + '/empty', '')}")


def test_passfile_first_line(server, mount, directory):
    path = write_secret(os.path.join(directory, "lines"), f"{server.password}\r\nnot this\n")
    m = mount(server, f"passfile={path}")
    assert m.read("INBOX", 1) == TEXT


def test_passcmd(server, mount, directory):
    """Words as quoted; no shell looks at them."""
    path = write_secret(os.path.join(directory, "a $HOME; file"), f"{server.password}\nsecond line\n")
    m = mount(server, f"passcmd=cat '{path}'")
    assert m.read("INBOX", 1) == TEXT


@pytest.mark.parametrize("command, pattern", [
    ("false", ".*exit status 1"), ("/nowhere/command", ".*/nowhere/command"), ("true", "."),
])
def test_passcmd_fails(server, mount, command, pattern):
    refused(mount, server, LOGIN, pattern, f"passcmd={command}")


def test_no_password_and_no_terminal(server, mount):
    m = mount(server, "passcmd=true", ready=False)
    m.expect("")
    m.finished(LOGIN)
    command = [word.replace(",passcmd=true", "").replace("passcmd=true,", "") for word in m.command]
    result = run(*command, check=False, start_new_session=True)
    assert result.returncode == LOGIN and result.stderr.count("\n") == 1


def test_secrets_stay_secret(server, mount):
    """Neither in the arguments, nor in the environment, nor in the log of -d."""
    m = mount(server, flags=("-d",))
    assert m.read("INBOX", 1) == TEXT
    for name in ("cmdline", "environ"):
        with open(f"/proc/{m.pid}/{name}", "rb") as source:
            assert server.password.encode() not in source.read()
    plain = base64.b64encode(f"\0{server.user}\0{server.password}".encode()).decode()
    assert "C: A1 " in m.said() and "fs: lookup" in m.said()
    assert server.password not in m.said() and plain not in m.said()
    assert TEXT.decode().strip().splitlines()[-1] not in m.said()


# The mountpoint


def test_mountpoint(server, mount, directory):
    m = mount(server)
    for name, pattern in (("missing", "No such file or directory; run: mkdir -p '%s'"), ("file", "not a directory")):
        path = os.path.join(directory, name)
        pattern = pattern.replace("%s", path)
        if name == "file":
            write_secret(path, "")
        result = run(*m.command[:-1], path, check=False)
        assert (result.returncode, result.stderr) == (MOUNT, f"imapfs: {path}: {pattern}\n")


def test_stale_mount(server, mount):
    """Of a daemon whose guardian was killed before it. The line says how to clear it, and that works."""
    m = mount(server)
    os.kill(guardian_of(m.pid), signal.SIGKILL)
    m.wait_said("warning: the guardian was killed")
    os.kill(m.pid, signal.SIGKILL)
    m.process.wait()
    with pytest.raises(OSError, match="not connected"):
        os.listdir(m.point)
    result = run(*m.command, check=False)
    assert result.returncode == MOUNT and result.stderr.count("\n") == 1
    command = re.search("'(fusermount3 -u [^']*)'", result.stderr).group(1)
    assert command == f"fusermount3 -u {m.point}"
    for verb in ("--keep", "--unkeep", "--status", "--sync"):
        asked = run(m.command[0], verb, m.path("INBOX") if "keep" in verb else m.point, check=False)
        assert asked.returncode == MOUNT and command in asked.stderr, (verb, asked)
    run(*command.split())
    m.start()
    assert m.read("INBOX", 1) == TEXT


def test_mountpoint_with_odd_name(server, directory):
    place = os.path.join(directory, "a, b\\c d'ü\n")
    os.mkdir(place)
    m = Mount(PROGRAM, server, place, cache=os.path.join(directory, "cache"))
    with m:
        assert m.read("INBOX", 1) == TEXT


# The end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals(server, mount, number):
    m = mount(server)
    assert m.read("INBOX", 1) == TEXT
    os.kill(m.pid, number)
    m.finished(0)
    assert os.listdir(m.point) == []


def test_signal_while_busy(server, mount):
    """Open files and current directories do not hold it up; they get errors, not waits."""
    m = mount(server)
    descriptor = os.open(m.path("INBOX", 1), os.O_RDONLY)
    with subprocess.Popen(["sleep", "1000"], cwd=m.path("INBOX")) as busy:
        os.kill(m.pid, signal.SIGTERM)
        m.finished(0)
        with pytest.raises(OSError):
            os.pread(descriptor, 10, 0)
        with contextlib.suppress(OSError):
            os.close(descriptor)
        busy.kill()


def test_busy_cannot_be_unmounted(server, mount):
    m = mount(server)
    with open(m.path("INBOX", 1), "rb"):
        assert run("fusermount3", "-u", m.point, check=False).returncode != 0
        assert m.process.poll() is None
    m.unmount()
    m.finished(0)


def test_lazy_unmount(server, mount):
    m = mount(server)
    run("fusermount3", "-uz", m.point)
    m.finished(0)


def test_logs_out(start_server, mount):
    """The connection that was used is not just dropped."""
    server = start_server([Mail("INBOX", TEXT)])
    m = mount(server)
    assert m.read("INBOX", 1) == TEXT
    m.stop()
    wait_until(lambda: ": Logged out" in server.log(), "Dovecot notes the end")


def processes_of(point):
    """Live processes with this mountpoint in their command line."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as source:
                if os.fsencode(point) in source.read().split(b"\0"):
                    found.append(int(entry))
        except OSError:
            continue
    return found


class Daemon:
    """For the watchdog."""

    def __init__(self, pid):
        self.pid = pid


@pytest.mark.parametrize("end", ["fusermount3", "signal"])
def test_background(server, mount, end):
    """It returns when it is mounted, and what stays has let go of everything."""
    m = mount(server, flags=(), ready=False)
    m.process.wait(mounting.START_SECONDS)
    assert m.process.returncode == 0
    assert is_mounted(m.point)
    daemon, = processes_of(m.point)
    watched = Daemon(daemon)
    mounting.live.add(watched)
    try:
        assert m.read("INBOX", 1) == TEXT
        assert os.getsid(daemon) == daemon != os.getsid(0)
        assert os.readlink(f"/proc/{daemon}/cwd") == "/"
        for descriptor in (0, 1, 2):
            assert os.readlink(f"/proc/{daemon}/fd/{descriptor}") == "/dev/null"
        if end == "signal":
            os.kill(daemon, signal.SIGTERM)
        else:
            m.unmount()
        wait_until(lambda: not processes_of(m.point), "the daemon ends")
    finally:
        mounting.live.discard(watched)
    m.finished(0)


def test_background_fails(server, mount):
    """Failures come before it goes to the background: same lines, same status."""
    port, = dovecot.free_ports(1)
    refused(mount, server, CONNECT, f"localhost:{port}: .*refused", port=port, flags=())
    refused(mount, server, USAGE, "unknown option", "xyzzy", flags=())


def test_ordinary_user(server, directory):
    """Without privileges, by fusermount3. Where only root may use /dev/fuse, in a mount namespace that has
    one for all; so it is one script."""
    shutil.copy(PROGRAM, os.path.join(directory, "imapfs"))
    os.mkdir(os.path.join(directory, "mail"))
    secret = write_secret(os.path.join(directory, "password"), server.password + "\n")
    shutil.copy(server.ca_file, os.path.join(directory, "ca.pem"))
    os.chmod(os.path.join(directory, "ca.pem"), 0o644)
    device, user = (), ()
    if os.getuid() == 0:
        for path in (directory, os.path.join(directory, "mail"), secret):
            os.chown(path, NOBODY, NOBODY)
        user = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        device = (*APART, "sh", "-e", "-c", f"mknod -m 666 {directory}/fuse c 10 229\n"
                  f'mount --bind {directory}/fuse /dev/fuse\nexec "$@"', "sh")
    script = f"""
        cd {directory}
        ./imapfs -o passfile=password,cafile=ca.pem,cache={directory}/cache,statedir={directory}/state {server.url} {directory}/mail
        cat mail/INBOX/1
        stat -c '%u %a' mail/INBOX/1 mail/INBOX
        if (echo x >>mail/INBOX/1) 2>/dev/null; then echo written; fi
        rm -f mail/INBOX/2
        ls mail/INBOX
        fusermount3 -u {directory}/mail
    """
    removed = server.deliver("INBOX", TEXT)
    assert removed == 2
    uid = NOBODY if os.getuid() == 0 else os.getuid()
    output = run(*device, *user, "sh", "-e", "-c", script).stdout
    assert output == TEXT.decode() + f"{uid} 400\n{uid} 700\n1\n"
    wait_until(lambda: not processes_of(os.path.join(directory, "mail")), "the daemon ends")
    assert server.uids("INBOX") == [1]
