# SPDX-License-Identifier: MIT
"""A mount that was taken away lazily (umount -l, fusermount3 -z) while files in it were open: its daemon
lives on, and what is mounted in its place meanwhile is not the daemon's to unmount. And what takes its
place at once: it gets the cache."""
import os
import signal

import pytest

from fakeimap import FakeImap
from mounting import guardian_of, is_alive, is_mounted, run, wait_until
from ordinary import User
from servers import FakeMount, errno_of, mount

TEXT = b"Subject: %d\r\n\r\n"


def account(count=8):
    return {"INBOX": [TEXT % n for n in range(1, count + 1)]}


def end_of(m, number):
    """How the daemon ends: by a signal, by both processes' death, or because nobody uses it any more."""
    guardian = guardian_of(m.pid)
    if number is None:
        m.file.close()
    else:
        os.kill(m.pid, number)
    m.process.wait(20)
    wait_until(lambda: not is_alive(guardian), "the guardian ends")


@pytest.fixture(name="old")
def taken_away():
    """A mount that was taken away while a file was open."""
    with FakeImap(account()) as server, mount(server, says=None) as m:
        m.file = open(m.path("INBOX", 1), "rb", buffering=0)
        run("umount", "-l", m.point)
        assert m.process.poll() is None
        yield m
        m.file.close()
        m.kill()


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL, None])
def test_another_filesystem(old, number, guarded):
    run("mount", "-t", "tmpfs", "tmpfs", old.point)
    try:
        with open(old.path("work"), "w", encoding="ascii") as out:
            out.write("not mail")
        if not guarded:
            os.kill(guardian_of(old.pid), signal.SIGKILL)
            old.wait_said("the guardian was killed")
            wait_until(lambda: guardian_of(old.pid) is None, "it is reaped")
        if guarded:
            end_of(old, number)
        else:
            old.file.close() if number is None else os.kill(old.pid, number)
            old.process.wait(20)
        assert is_mounted(old.point) and os.listdir(old.point) == ["work"]
        # Whoever has a file of the old mount open gets an error, and does not wait.
        if number is not None:
            assert errno_of(os.pread, old.file.fileno(), 1, 0) in ("ENOTCONN", "ECONNABORTED", "EIO")
    finally:
        run("umount", old.point)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, None])
def test_another_imapfs(old, number, directory):
    with FakeImap(account(3)) as server:
        new = FakeMount(server, directory)
        new.point = old.point
        new.command[-1] = old.point
        with new:
            end_of(old, number)
            assert is_mounted(new.point) and len(os.listdir(new.path("INBOX"))) == 3
            assert new.process.poll() is None
            assert new.read("INBOX", 3) == TEXT % 3


def test_mounted_over():
    """Not even when ours is still there, below."""
    with FakeImap(account()) as server, mount(server, says=None) as m:
        # Once it answers it has seen what its own mount is.
        assert m.read(".imapfs", "status")
        run("mount", "-t", "tmpfs", "tmpfs", m.point)
        try:
            end_of(m, signal.SIGTERM)
            assert is_mounted(m.point)
            open(m.path("file"), "w", encoding="ascii").close()
        finally:
            run("umount", m.point)
        run("fusermount3", "-u", m.point)


AS_USER = """
mount() {{ exec ./imapfs $2 -o tls=none,timeout=10,passfile=password,cache=$1,statedir=$1/state imap://{user}@127.0.0.1:{port}/ mail; }}
mount first -f 2>/dev/null &
daemon=$!
while ! [ -e mail/INBOX ]; do sleep 0.05; done
exec 7< mail/INBOX/1
fusermount3 -u -z mail
(mount second)
kill {signal} $daemon
{{ wait $daemon || true; }} 2>&-
sleep 0.5
cat mail/INBOX/2
fusermount3 -u mail
"""


@pytest.mark.parametrize("number", ["-TERM", "-KILL"])
def test_ordinary_user(directory, number):
    with FakeImap(account()) as server:
        user = User(directory, server.password)
        said = user.run(AS_USER.format(user=server.user, port=server.port, signal=number))
        assert TEXT % 2 == said.replace("\n", "\r\n").encode(), said


def test_mounted_again_at_once():
    """The next mount waits for the cache that the one before is just closing."""
    with FakeImap(account()) as server, mount(server) as m:
        slow = server.rule("LOGOUT", stall=True)
        for _ in range(5):
            assert m.read("INBOX", 1) == TEXT % 1
            old = m.process
            run("fusermount3", "-u", m.point)
            m.start()
            assert old.wait(10) == 0
        assert b"in memory" not in m.read(".imapfs", "status")
        slow.release()


def test_mounted_twice(directory):
    """Where the other one stays, who it is, is said."""
    with FakeImap(account()) as server, mount(server) as m:
        with FakeMount(server, directory, says=[f"PID {m.pid};"]) as second:
            second.command = [word.replace(second.cache, m.cache) for word in second.command]
            second.stop()
            second.start()
            second.wait_said(f"warning: cache: {m.cache} is in use by another process, PID {m.pid}; "
                             "keeping mail in memory")
            assert second.read("INBOX", 8) == TEXT % 8
