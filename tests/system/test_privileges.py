# SPDX-License-Identifier: MIT
"""What the daemon gives up, what its children get, and that an ordinary user needs no more than
fusermount3."""
import os
import re
import signal

import pytest

from fakeimap import FakeImap
from held import is_blocked, stall_lookups
from mounting import guardian_of, is_alive, is_mounted, process_status, wait_until
from ordinary import User
from servers import mount
from test_guardian import account

MOUNT = "./imapfs {flags} -o {options}tls=none,timeout=20,passfile=password,cache={directory}/cache,statedir={directory}/state " \
        "imap://user@127.0.0.1:{port}/ {directory}/mail"
# Until it is mounted, until it is not; both without touching it.
MOUNTED = "until grep -q ' {directory}/mail ' /proc/self/mountinfo; do sleep 0.01; done"
UNMOUNTED = "n=0; while grep -q ' {directory}/mail ' /proc/self/mountinfo; do n=$((n+1)); test $n -lt 500; sleep 0.01; done"


@pytest.fixture(name="server")
def fixture_server():
    with FakeImap(account()) as server:
        yield server


@pytest.fixture(name="user")
def fixture_user(directory, server):
    return User(directory, server.password)


def script(user, server, text, options="", flags=""):
    """text with MOUNT and so on in it."""
    words = {"directory": user.directory, "port": server.port, "options": options and options + ",", "flags": flags}
    return text.format(MOUNT=MOUNT.format(**words), MOUNTED=MOUNTED.format(**words),
                       UNMOUNTED=UNMOUNTED.format(**words), **words)


def limits(pid, name):
    with open(f"/proc/{pid}/limits", encoding="ascii") as source:
        return re.search(rf"^{name} +(\S+) +(\S+)", source.read(), re.M).groups()


# What it gives up


def test_of_the_daemon(server):
    with mount(server) as m:
        os.listdir(m.root / "INBOX")
        assert process_status(m.pid)["NoNewPrivs"] == "1"
        # It unmounts, by a program that is set-user-ID for ordinary users.
        assert process_status(guardian_of(m.pid))["NoNewPrivs"] == "0"
        assert limits(m.pid, "Max core file size") == ("0", "0")
        assert all(int(limit) <= 1024 for limit in limits(m.pid, "Max open files"))


def test_debugger_of_the_user(server, user):
    """Nobody but root may look into the process: the kernel gives its files in /proc to root."""
    process = user.start(script(user, server, """
        {MOUNT} &
        {MOUNTED}
        ls mail/INBOX >/dev/null
        stat -c %u /proc/$!/environ
        kill $!
        wait $!
        echo $?
    """, flags="-f"))
    assert user.ended(process) == "0\n0\n"


# Its children


def test_password_command(server, tmp_path):
    """Neither our descriptors, nor inherited ones, nor what the service manager wants to tell us alone."""
    command = f"sh -c 'ls -l /proc/self/fd >{tmp_path}/fds; env >{tmp_path}/env; echo {server.password}'"
    with mount(server, directory=tmp_path, passcmd=command) as m:
        m.stop()
        m.environment.update(NOTIFY_SOCKET="/run/x", LISTEN_FDS="1", WATCHDOG_USEC="1", MAIL_SECRET="kept")
        m.command = ["bash", "-c", 'exec 7</etc/passwd; exec "$@"', "bash", *m.command]
        m.start()
        os.listdir(m.root / "INBOX")
    held = re.findall(r" (\d+) -> (\S+)", (tmp_path / "fds").read_text())
    # ls has the directory open.
    assert {int(number) for number, target in held if not target.startswith("/proc/")} == {0, 1, 2}
    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert not names & {"NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC"}
    # What the command needs is the user's affair.
    assert {"MAIL_SECRET", "HOME", "PATH"} <= names


def test_without_standard_streams(server):
    """Nothing else takes their numbers."""
    with mount(server) as m:
        m.stop()
        m.command = ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", *m.command]
        m.start()
        assert len(os.listdir(m.root / "INBOX")) == 8
        assert [os.readlink(f"/proc/{m.pid}/fd/{n}") for n in range(3)] == 3 * ["/dev/null"]
        m.process.kill()
        m.process.wait()
        wait_until(lambda: not is_mounted(m.point), "unmounted by the guardian", 5)
        m.kill()


# An ordinary user


@pytest.mark.parametrize("end", ["TERM", "KILL", "ABRT"])
@pytest.mark.parametrize("flags, beside", [("-f", "&"), ("", "")], ids=["foreground", "background"])
def test_ends(server, user, flags, beside, end):
    """Of a daemon that may not run set-user-ID programs any more, and of one that was killed."""
    output = user.run(script(user, server, """
        {MOUNT} 2>errors %s
        {MOUNTED}
        ls mail/INBOX | wc -l
        pid=$(grep -lz '^{directory}/mail$' /proc/[0-9]*/cmdline 2>/dev/null | grep -v /$$/ | cut -d/ -f3)
        kill -%s $pid
        {UNMOUNTED}
        while kill -0 $pid 2>/dev/null && ! grep -q 'State:.Z' /proc/$pid/status 2>/dev/null; do sleep 0.01; done
        ls -A mail
        {MOUNT} 2>>errors %s
        {MOUNTED}
        cat mail/INBOX/8 | head -n 1
        fusermount3 -u mail
        grep -v 'the daemon died; unmounting ' errors || true
    """ % (beside, end, beside), flags=flags))
    assert output == "8\nSubject: 8\n"


def test_killed_in_the_kernel(server, user):
    """Where the control files of FUSE are mounted the user may abort the connection."""
    stalled = stall_lookups(server)
    process = user.start(script(user, server, """
        {MOUNT} 2>errors &
        daemon=$!
        {MOUNTED}
        ls mail/INBOX >/dev/null
        while LC_ALL=C stat mail/INBOX/999 2>&1 | grep -q 'No such file'; do sleep 0.1; done &
        echo $daemon
        read answer
        wait $!
        echo lookup failed
        {UNMOUNTED}
        ls -A mail
        wait $daemon || true
        {MOUNT} 2>errors &
        {MOUNTED}
        ls mail/INBOX | wc -l
        fusermount3 -u mail
        wait $!
    """, flags="-f"))
    daemon = int(process.stdout.readline())
    try:
        guardian = guardian_of(daemon)
        wait_until(lambda: stalled.hits and is_blocked(daemon), "a thread waits for the lock")
    finally:
        os.kill(daemon, signal.SIGKILL)
    wait_until(lambda: not is_alive(guardian), "the guardian ends", 5)
    server.rules.remove(stalled)  # or the next mount is told that messages are gone, too
    stalled.release()
    assert User.ended(process, "go\n") == "lookup failed\n8\n"


def test_allow_other(server, directory):
    """Where the administrator lets users do that, the kernel still checks whom the files belong to."""
    user = User(directory, server.password, also=f"""
        echo user_allow_other >{directory}/fuse.conf
        mount --bind {directory}/fuse.conf /etc/fuse.conf
    """)
    output = user.run(script(user, server, """
        {MOUNT}
        grep -o ' fuse.imapfs .*' /proc/self/mountinfo | grep -c 'default_permissions.*allow_other'
        stat -c '%a' mail/INBOX mail/INBOX/1
        fusermount3 -u mail
    """, options="allow_other"))
    assert output == "1\n700\n400\n"


def test_allow_other_is_forbidden(server, user):
    """Where he does not, that is said: the words of fusermount3, in one line of ours."""
    output = user.run(script(user, server, "{MOUNT} || echo $?", options="allow_other"))
    assert re.fullmatch(r"imapfs: \S+/mail: cannot mount: fusermount3: .*user_allow_other.*\n5\n", output), output


def test_mountpoint_of_another(server, user):
    """It may be entered, but not mounted on."""
    output = user.run(script(user, server, "{MOUNT} || echo $?").replace(f"{user.directory}/mail", "/mnt"))
    assert re.fullmatch(r"imapfs: /mnt: cannot mount: fusermount3: .*write access.*\n5\n", output), output


def test_cache_of_another(server, user):
    """A directory that is another's, or that others can write or replace."""
    output = user.run(script(user, server, """
        mkdir -m 777 loose
        {MOUNT} || echo $?
        ls loose
    """.replace("{MOUNT}", MOUNT.replace("/cache,", "/loose/cache,"))))
    assert re.fullmatch(r"imapfs: cache directory .*could be replaced by another user.*\n6\ncache\n", output), output
