# SPDX-License-Identifier: MIT
"""A server that stops, comes back, or keeps silent: nothing hangs, and nothing wrong is shown."""
import errno
import os
import signal
import subprocess
import time

import pytest

import mailgen
import tree
from dovecot import Mail
from mounting import live, wait_until, waits
from patience import late

TEXT = b"Subject: x\r\n\r\nbody\r\n"
MIB = 1 << 20


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    mails = [Mail("INBOX", mail.body, mail.date) for mail in mailgen.messages(60)]
    large = next(mailgen.messages(1, size=3 * MIB)).body
    return start_server(mails + [Mail("Large", large, 1700000000)] * 3 + [Mail("Other", TEXT)])


def tolerate_trouble(m):
    """What a user must know of a server that went away and came back."""
    m.tolerate(r"localhost:\d+: |localhost: connected again|took longer than|going on with")


def test_delivered_and_expunged(server, mount):
    """By another client: seen by ls and by name at the next look."""
    m = mount(server)
    before = os.listdir(m.path("Other"))
    new = server.deliver("Other", TEXT + b"new")
    wait_until(lambda: str(new) in os.listdir(m.path("Other")), "it is listed")
    assert m.read("Other", new) == TEXT + b"new" == server.fetch_all("Other")[new]
    newer = server.deliver("Other", TEXT + b"newer")
    wait_until(lambda: os.path.exists(m.path("Other", newer)), "it is there by name")
    assert m.read("Other", newer) == TEXT + b"newer"
    server.expunge("Other", [new, newer])
    wait_until(lambda: os.listdir(m.path("Other")) == before, "they are gone from the list")
    wait_until(lambda: not os.path.exists(m.path("Other", new)), "and by name")


def test_restart(server, mount):
    """Between two looks: the next one needs no help."""
    m = mount(server)
    tolerate_trouble(m)
    bodies = server.fetch_all("INBOX")
    assert m.read("INBOX", 1) == bodies[1]
    for round_ in range(2, 5):
        server.restart()
        assert m.read("INBOX", round_) == bodies[round_]
        assert len(os.listdir(m.path("INBOX"))) == len(bodies)


def test_restart_while_copying(server, mount):
    """All connections are cut again and again under a reader of everything."""
    m = mount(server)
    tolerate_trouble(m)
    target = os.path.join(m.directory, "copy")
    with subprocess.Popen(["cp", "-a", m.point, target]) as copying:
        live.add(copying)
        for _ in range(5):
            if copying.poll() is None:
                server.kick()
                time.sleep(0.05)
        assert copying.wait(50) == 0
        live.discard(copying)
    assert tree.compare(server, target) == []


def test_server_is_away(server, mount):
    """What is cached can still be listed and read; what is not comes when it is back."""
    m = mount(server, "timeout=3")
    tolerate_trouble(m)
    bodies = server.fetch_all("INBOX")
    names = os.listdir(m.path("INBOX"))
    assert m.read("INBOX", 9) == bodies[9]
    server.stop()
    try:
        assert m.read("INBOX", 9) == bodies[9]
        assert os.listdir(m.path("INBOX")) == names
        assert os.stat(m.path("INBOX", 20)).st_size == len(bodies[20])
        with pytest.raises(OSError) as caught:
            m.read("Large", 1)
        assert caught.value.errno in (errno.EIO, errno.ETIMEDOUT, errno.ENETDOWN, errno.ENOENT)
        assert os.statvfs(m.point).f_blocks > 0
    finally:
        server.start()

    def is_back():
        try:
            return m.read("INBOX", 40) == bodies[40]
        except OSError:
            return False
    wait_until(is_back, "mail is read again", 40)


@pytest.mark.parametrize("call", ["read", "list", "lookup", "unlink"])
def test_stalled(server, mount, proxy, call):
    """No octet comes any more: ETIMEDOUT within timeout= and a second; then all is well again."""
    line = proxy(server)
    m = mount(server, "timeout=2", port=line.port)
    tolerate_trouble(m)
    bodies = server.fetch_all("Large")
    assert len(os.listdir(m.path("Large"))) == len(bodies)
    line.ask("stall")
    start = time.monotonic()
    calls = {"read": lambda: m.read("Large", 1), "list": lambda: os.listdir(m.path("INBOX")),
             "lookup": lambda: os.stat(m.path("Other/1")), "unlink": lambda: os.unlink(m.path("Large", 3))}
    with pytest.raises(OSError) as caught:
        calls[call]()
    assert time.monotonic() - start <= 2 + 1 + late()
    assert caught.value.errno in (errno.ETIMEDOUT, errno.EIO, errno.ENETDOWN)
    line.ask("resume")

    def is_well():
        try:
            return m.read("Large", 2) == bodies[2]
        except OSError:
            return False
    wait_until(is_well, "mail is read again", 40)
    assert server.uids("Large") == sorted(bodies)


@pytest.mark.parametrize("command", ["cat {0}/Large/1", "ls {0}/INBOX", "stat {0}/Other/1", "ls -l {0}/Other"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_waiting_reader_can_be_killed(server, mount, proxy, command, number):
    """Ctrl-C is enough, long before the timeout of 30 s."""
    line = proxy(server)
    m = mount(server, port=line.port)
    tolerate_trouble(m)
    os.stat(m.path("Large/1"))
    line.ask("stall")
    with subprocess.Popen(command.format(m.point).split(), stdout=subprocess.DEVNULL) as reader:
        live.add(reader)
        wait_until(lambda: waits(reader), "the reader waits for the mount")
        os.kill(reader.pid, number)
        assert reader.wait(10) == -number
        live.discard(reader)
    line.ask("resume")


def test_unmount_while_stalled(server, mount, proxy):
    """Nobody has to wait for a dead line to get rid of a mount; who waits for it gets an error."""
    line = proxy(server)
    m = mount(server, port=line.port)
    os.stat(m.path("Large/1"))
    line.ask("stall")
    with subprocess.Popen(["cat", m.path("Large/1")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as reader:
        live.add(reader)
        wait_until(lambda: waits(reader), "the reader waits for the mount")
        os.kill(m.pid, signal.SIGTERM)
        assert reader.wait(10) == 1
        live.discard(reader)
    m.finished(0)


def test_cut_in_a_body(server, mount, proxy):
    """The connection breaks in the middle of a message again and again: never a wrong octet."""
    line = proxy(server)
    m = mount(server, port=line.port)
    tolerate_trouble(m)
    body = server.fetch_all("Large")[1]
    os.stat(m.path("Large/1"))
    for octets in (1000, 100_000, 700_000):
        line.ask(f"cut-after {octets}")
        try:
            found = m.read("Large", 1)
        except OSError as error:
            assert error.errno in (errno.EIO, errno.ENETDOWN, errno.ETIMEDOUT)
        else:
            assert found == body
        line.ask("resume")

    def is_right():
        try:
            return m.read("Large", 1) == body
        except OSError:
            return False
    wait_until(is_right, "the message is read", 40)
