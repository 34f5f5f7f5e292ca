# SPDX-License-Identifier: MIT
"""A disk that takes seconds for each read: what is in memory is answered as ever, and who waits for the
disk gets the right octets, or ETIMEDOUT in time."""
import mmap
import os
import threading
import time

import pytest

from dovecot import Mail
from mounting import wait_until, waits
from patience import late
from servers import errno_of

TIMEOUT = 4
THREADS = 16  # of libuv's pool, see src/app/main.c
LARGE = b"Subject: large\r\n\r\n" + b"".join(b"line %d of many\r\n" % n for n in range(40_000))
TEXT = b"Subject: %d\r\n\r\n" + b"body\r\n" * 2000


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    return start_server([Mail("INBOX", TEXT % n) for n in range(1, 41)] + [Mail("Large", LARGE)] +
                        [Mail("Other", TEXT % n) for n in range(1, 5)], rawlog=True)


class Reader(threading.Thread):
    def __init__(self, call, *arguments):
        super().__init__(daemon=True)
        self.call = lambda: call(*arguments)
        self.result = None
        self.begin = self.end = time.monotonic()
        self.start()

    def run(self):
        try:
            self.result = self.call()
        except OSError as error:
            self.result = error
        self.end = time.monotonic()

    @property
    def pid(self):
        return self.native_id

    def wait(self):
        self.join(30)
        assert not self.is_alive()
        return self.result


@pytest.fixture(name="cached")
def all_cached(server, mount, world):
    """cached(timeout, threads): a mount that has read nothing yet, but whose cache has everything."""
    def start(timeout, **environment):
        m = mount(server, f"timeout={timeout}", environment={**world.environment, **environment})
        for name in ("INBOX", "Large"):
            for uid in os.listdir(m.path(name)):
                m.read(name, uid)
        m.restart()
        m.tolerate("took longer than")
        for name in ("INBOX", "Large"):
            os.listdir(m.path(name))
            os.stat(m.path(name, 1))
        assert m.read("Other", 1) == TEXT % 1
        return m
    return start


@pytest.mark.parametrize("threads", ["4", "1"])
def test_others_go_on(server, cached, world, threads):
    """Whatever needs no disk, also what needs the server, is answered at once."""
    m = cached(30, UV_THREADPOOL_SIZE=threads)
    world.slow_disk(3600)
    readers = [Reader(m.read, "INBOX", 30), Reader(m.read, "Large", 1), Reader(m.read, "INBOX", 12)]
    wait_until(lambda: all(map(waits, readers)), "they wait for the disk")
    begin = time.monotonic()
    for _ in range(5):
        os.statvfs(m.point)
        assert len(os.listdir(m.path("INBOX"))) == 40
        assert os.stat(m.path("INBOX", 1)).st_size == len(TEXT % 1)
        assert not os.path.lexists(m.path("INBOX", 4711))
        assert b"state: online" in m.read(".imapfs", "status")
        assert m.read("Other", 1) == TEXT % 1
    assert time.monotonic() - begin < 2 + late()
    assert all(map(waits, readers))
    world.slow_disk(0)
    assert readers[0].wait() == TEXT % 30
    assert readers[1].wait() == LARGE
    assert readers[2].wait() == TEXT % 12
    for uid in range(1, 41):
        assert m.read("INBOX", uid) == TEXT % uid


def test_in_time(cached, world):
    """The disk is never ready: an error in time, nothing false, and all is well afterwards."""
    m = cached(TIMEOUT)
    world.slow_disk(60)
    readers = [Reader(m.read, "INBOX", uid) for uid in range(20, 30)] + [Reader(m.read, "Large", 1)]
    for reader in readers:
        assert isinstance(reader.wait(), (OSError, bytes))
        assert reader.end - reader.begin < TIMEOUT + 1 + 1 + late()
    world.slow_disk(0)
    # Who asks within a second of a failure may have waited behind it, and is told the same.
    world.wait(2)
    for uid in range(1, 41):
        assert m.read("INBOX", uid) == TEXT % uid
    assert m.read("Large", 1) == LARGE


def test_always_slow(server, cached, world):
    """Slower than is waited for, all the time: all octets are right, none is fetched again."""
    m = cached(30)
    before = len([line for line in server.commands() if b"BODY.PEEK[]" in line])
    world.slow_disk(0.02)
    for uid in range(40, 0, -1):
        assert m.read("INBOX", uid) == TEXT % uid
    assert m.read("Large", 1) == LARGE
    assert len([line for line in server.commands() if b"BODY.PEEK[]" in line]) == before


def test_a_write_that_is_late(server, mount, world):
    """It was given up, and the file begun anew, when the disk writes it at last: none of it is in the message."""
    short = b"Subject: short\r\n\r\n"
    m = mount(server, "async", f"timeout={TIMEOUT}", environment=world.environment)
    m.tolerate("took longer than")
    # What keeps all threads busy: not from the kernel's memory.
    first = os.open(m.path("Other", ".first"), os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600)
    os.pwritev(first, [mmap.mmap(-1, 4096)], 0)
    fd = os.open(m.path("Other", ".new"), os.O_WRONLY | os.O_CREAT, 0o600)
    world.slow_disk(60)
    readers = [Reader(errno_of, os.preadv, first, [mmap.mmap(-1, 4096)], 0) for _ in range(THREADS)]
    wait_until(lambda: all(map(waits, readers)), "all threads wait for the disk")
    with pytest.raises(TimeoutError):
        os.write(fd, TEXT % 77)
    mended = threading.Timer(0.2, world.slow_disk, [0])
    mended.start()
    os.ftruncate(fd, 0)
    os.pwrite(fd, short, 0)
    for thread in (mended, *readers):
        thread.join()
    for descriptor in (first, fd):
        os.close(descriptor)
    os.rename(m.path("Other", ".new"), m.path("Other", "new"))
    uid = max(server.uids("Other"))
    assert server.fetch_all("Other")[uid] == short
    os.unlink(m.path("Other", ".first"))
