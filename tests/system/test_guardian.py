# SPDX-License-Identifier: MIT
"""What is left when the daemon dies: nothing. Its mount is gone, nobody waits in it, and the next mount
just works."""
import errno
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from fakeimap import FakeImap
from held import hold, is_blocked
from mounting import guardian_of, is_alive, is_mounted, live, process_status, run, wait_until
from patience import late
from servers import errno_of, mount

# The errors that the readers of a dead filesystem see.
DEAD = {errno.ENOTCONN, errno.ECONNABORTED, errno.ENOENT}
UNMOUNTED = r"the daemon died; unmounting .*/mail"


def account(count=8):
    return {"INBOX": [b"Subject: %d\r\n\r\n" % n for n in range(1, count + 1)]}


class Worker:
    """A call in another process, whose end and error number can be waited for."""

    def __init__(self, call, path):
        code = f"import os, sys\ntry:\n    os.{call}(sys.argv[1])\nexcept OSError as e:\n    sys.exit(e.errno)"
        self.process = subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.DEVNULL)
        live.add(self.process)

    def error(self, seconds):
        try:
            return self.process.wait(seconds)
        finally:
            live.discard(self.process)


def test_killed_in_the_kernel():
    """Without the guardian, for ever: nothing but an abort of the connection helps."""
    with FakeImap(account()) as server, mount(server, says=[UNMOUNTED]) as m:
        stalled, holder = hold(server, m)
        # One that wants the same lock.
        waiting = Worker("listdir", m.path("INBOX"))
        guardian = guardian_of(m.pid)
        begin = time.monotonic()
        m.process.kill()
        assert holder.wait(20) in DEAD and waiting.error(20) in DEAD
        live.discard(holder)
        m.process.wait(20)
        wait_until(lambda: not is_mounted(m.point), "unmounted")
        assert time.monotonic() - begin < 1.5 + late()
        wait_until(lambda: not is_alive(guardian), "the guardian ends")
        stalled.release()
        m.wait_said(UNMOUNTED)
        assert os.listdir(m.point) == []
        m.start()
        assert m.root.joinpath("INBOX", "8").read_bytes() == b"Subject: 8\r\n\r\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGXCPU])
def test_killed(number):
    """By whatever signal: the mountpoint is what it was."""
    with FakeImap(account()) as server, mount(server, says=None) as m:
        os.listdir(m.root / "INBOX")
        guardian = guardian_of(m.pid)
        os.kill(m.pid, number)
        m.process.wait(20)
        wait_until(lambda: not is_alive(guardian), "the guardian ends", 5)
        assert not is_mounted(m.point)
        m.wait_said(UNMOUNTED)
        m.start()
        assert len(os.listdir(m.root / "INBOX")) == 8


def test_killed_and_mounted_at_once():
    """Whoever mounts again does not need to know about the guardian."""
    with FakeImap(account()) as server, mount(server, says=[UNMOUNTED]) as m:
        for _ in range(5):
            m.process.kill()
            m.process.wait()
            m.start()
            # The old mount may still be there for a moment.
            wait_until(lambda: errno_of(os.listdir, m.root / "INBOX") is None, "mounted again")


def test_killed_at_once():
    """Perhaps before it could tell its guardian that it is mounted."""
    with FakeImap(account()) as server, mount(server, says=None) as m:
        for _ in range(10):
            m.process.kill()
            m.process.wait()
            wait_until(lambda: not is_mounted(m.point), "unmounted", 5)
            m.start()


def test_busy_when_killed():
    """Open files get errors; the directory is free all the same."""
    with FakeImap(account()) as server, mount(server, says=[UNMOUNTED]) as m:
        file = os.open(m.root / "INBOX" / "1", os.O_RDONLY)
        m.process.kill()
        m.process.wait()
        wait_until(lambda: not is_mounted(m.point), "unmounted")
        assert errno_of(os.read, file, 1) in ("ENOTCONN", "ECONNABORTED", "EIO")
        errno_of(os.close, file)
        m.start()


def test_signals_to_the_group():
    """Ctrl-C at a terminal, or systemd, ends the daemon; the guardian stays to see it."""
    with FakeImap(account()) as server, mount(server) as m:
        guardian = guardian_of(m.pid)
        assert os.getsid(guardian) == guardian
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGRTMIN):
            os.kill(guardian, number)
        wait_until(lambda: process_status(guardian)["State"][0] == "S", "it sleeps again")
        os.listdir(m.root / "INBOX")
        os.kill(m.pid, signal.SIGTERM)
        m.finished(0)
        assert not is_alive(guardian)


def test_holds_nothing():
    """Neither the device nor a socket to the server, no secret, and nothing that the daemon opened."""
    with FakeImap(account()) as server, mount(server) as m:
        os.listdir(m.root / "INBOX")
        guardian = guardian_of(m.pid)
        held = {os.readlink(f"/proc/{guardian}/fd/{n}") for n in os.listdir(f"/proc/{guardian}/fd")}
        kinds = {re.sub(r"(socket:|anon_inode:\[\w+\]).*", r"\1", name) for name in held}
        assert kinds == {"/dev/null", m.errors, "socket:", "anon_inode:[pidfd]", "anon_inode:[signalfd]"}
        assert len(held) == len(kinds)
        assert os.readlink(f"/proc/{guardian}/cwd") == "/"
        with open(f"/proc/{guardian}/cmdline", "rb") as source:
            assert source.read().rstrip(b"\0") == b"imapfs: guardian of " + os.fsencode(m.point)


def test_guardian_killed():
    """All goes on; it is said once."""
    with FakeImap(account()) as server, mount(server, says=["the guardian was killed"]) as m:
        os.kill(guardian_of(m.pid), signal.SIGKILL)
        m.wait_said("warning: the guardian was killed")
        wait_until(lambda: guardian_of(m.pid) is None, "it is reaped")
        assert m.root.joinpath("INBOX", "8").read_bytes() == b"Subject: 8\r\n\r\n"
        os.kill(m.pid, signal.SIGTERM)
        m.finished(0)


def test_another_mount_in_its_place():
    """What somebody else has mounted over it, or in its stead, is left alone."""
    with FakeImap(account()) as server, mount(server, says=None) as m:
        os.listdir(m.root / "INBOX")
        guardian = guardian_of(m.pid)
        run("mount", "-t", "tmpfs", "tmpfs", m.point)
        try:
            m.process.kill()
            m.process.wait()
            wait_until(lambda: not is_alive(guardian), "the guardian ends", 5)
            assert is_mounted(m.point)
            open(os.path.join(m.point, "file"), "w", encoding="ascii").close()
        finally:
            run("umount", m.point)
        run("fusermount3", "-u", m.point)
        m.kill()


def test_unmounted_before_it_was_killed():
    """By somebody who did not wait for the daemon's end: there is nothing to do, and nothing is said."""
    with FakeImap(account()) as server, mount(server) as m:
        file = os.open(m.root / "INBOX" / "1", os.O_RDONLY)
        guardian = guardian_of(m.pid)
        run("fusermount3", "-uz", m.point)
        m.process.kill()
        m.process.wait()
        wait_until(lambda: not is_alive(guardian), "the guardian ends", 5)
        assert errno_of(os.read, file, 1) in ("ENOTCONN", "ECONNABORTED", "EIO")
        errno_of(os.close, file)
        m.kill()
        assert not m.said()


# The server says of messages that they are gone which are there: where one comes back while its directory is
# listed, that listing is EIO.
BUSY = r"""
import errno, os, sys
box, verb = sys.argv[1:]
while True:
    try:
        os.listdir(box)
        break
    except OSError as error:
        if error.errno != errno.EIO:
            raise
sys.stdout.write("x")
sys.stdout.flush()
while True:
    for name in os.listdir(box):
        try:
            os.unlink(os.path.join(box, name)) if verb == "unlink" else os.stat(os.path.join(box, name + "0"))
        except FileNotFoundError:
            os.stat(box + "/..")
"""


def test_killed_in_a_storm():
    """Many wait for the lock of the directory, among them the daemon itself: all of them end."""
    others = iter(range(2000, 0, -1))
    with FakeImap(account(2000)) as server, mount(server, says=None) as m:
        for _ in range(4):
            server.rules.clear()
            server.rule("UID EXPUNGE", delay=0.03,
                        action=lambda session: session.send(b"* VANISHED %d\r\n" % next(others), now=True))
            workers = [subprocess.Popen([sys.executable, "-c", BUSY, m.path("INBOX"), verb], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                       for verb in ("unlink", "unlink", "stat", "stat")]
            live.update(workers)
            for worker in workers:
                assert worker.stdout.read(1) == b"x"
            wait_until(lambda: is_blocked(m.pid), "a thread waits for the lock")
            m.process.kill()
            for worker in workers:
                assert worker.wait(20)
                worker.stdout.close()
                live.discard(worker)
            m.process.wait(20)
            wait_until(lambda: not is_mounted(m.point), "unmounted", 5)
            m.start()
