"""A listing is complete or an error, in whatever order the rows of a mailbox come, and whatever happens
between them.

The server numbers and sends rows as it likes: newest first, at random, some of them late; messages go
and come between (EXPUNGE, EXISTS). Several readers list at once, by various tools. What was there all the
time is in each of their listings, once.
"""
import ctypes
import errno
import os
import random
import struct
import threading
import time

import pytest

from fakeimap import Message
from mounting import run
from servers import FakeImap, errno_of, mount, uids

COUNT = 3_000
DATE = b"17-Jul-2023 12:30:05 +0200"
LIBC = ctypes.CDLL(None, use_errno=True)
GETDENTS64 = {"x86_64": 217, "aarch64": 61}[os.uname().machine]


def bodies(count):
    return [b"Subject: %d\r\n\r\n" % n + b"x" * (n % 50) for n in range(1, count + 1)]


def getdents(descriptor, size):
    """[(position behind it, name)] of one call with a buffer of so many octets."""
    buffer = ctypes.create_string_buffer(size)
    count = LIBC.syscall(GETDENTS64, descriptor, buffer, size)
    if count < 0:
        raise OSError(ctypes.get_errno(), "getdents64")
    found, at = [], 0
    while at < count:
        _, position, length, _ = struct.unpack_from("QqHB", buffer, at)
        found.append((position, buffer.raw[at + 19:at + length].split(b"\0")[0].decode()))
        at += length
    return found


def by_small_buffers(directory):
    """With pauses, so that rows overtake the reader."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        names = []
        while some := getdents(descriptor, 280):
            names += [name for _, name in some]
            if len(names) % 97 == 0:
                time.sleep(0.001)
        return [n for n in names if n not in (".", "..")]
    finally:
        os.close(descriptor)


def by_find(directory):
    return run("find", directory, "-type", "f", "-printf", "%f\n").stdout.split()


def by_rsync(directory):
    copy = f"{os.path.dirname(os.path.dirname(directory))}/copy"
    # Where one goes meanwhile it says so, by status 23 or 24, and copies the others.
    run("rsync", "-a", f"{directory}/", copy, check=False)
    return os.listdir(copy)


def listdir(directory):
    return os.listdir(directory)


READERS = [listdir, listdir, by_small_buffers, by_small_buffers, by_find, by_rsync]


class Shuffled:
    """Sends rows in an order of its own, in blocks with pauses, and has messages go and come between."""

    def __init__(self, server, seed, order, changes):
        self.server, self.random, self.order, self.changes = server, random.Random(seed), order, changes
        self.gone, self.came = set(), set()

    def ordered(self, messages):
        if self.order == "descending":
            return messages[::-1]
        if self.order == "late":
            # All but some, which come at the end.
            late = set(self.random.sample(range(len(messages)), len(messages) // 20))
            return ([m for i, m in enumerate(messages) if i not in late] +
                    [m for i, m in enumerate(messages) if i in late])
        if self.order == "blocks":
            blocks = [messages[i:i + 100] for i in range(0, len(messages), 100)]
            self.random.shuffle(blocks)
            return [m for block in blocks for m in block]
        self.random.shuffle(messages)
        return messages

    def change(self, session, messages):
        """One goes, one comes, as other clients' doing."""
        with self.server.account.lock:
            box = self.server.mailbox("INBOX")
            victim = self.random.choice(session.view)
            number = session.view.index(victim) + 1
            del session.view[number - 1]
            box.expunge([victim.uid])
            self.gone.add(victim.uid)
            messages.discard(victim)
            new = box.add(Message(b"new"))
            self.came.add(new.uid)
            session.view.append(new)
            session.send(b"* %d EXPUNGE\r\n* %d EXISTS\r\n" % (number, len(session.view)))

    def __call__(self, session):
        rows = self.ordered(list(session.view))
        left = set(rows)
        for start in range(0, len(rows), 150):
            numbers = {m: n for n, m in enumerate(session.view, 1)}
            for message in rows[start:start + 150]:
                if message in left:
                    session.send(b'* %d FETCH (UID %d RFC822.SIZE %d INTERNALDATE "%b")\r\n' % (
                        numbers[message], message.uid, len(message.body), DATE))
            session.flush()
            time.sleep(0.01)
            if self.changes:
                self.change(session, left)
        return b"{tag} OK done\r\n"


def start_readers(directory, results):
    def read(reader, index):
        try:
            results[index] = reader(directory)
        except OSError as error:
            results[index] = error
    threads = [threading.Thread(target=read, args=(reader, i)) for i, reader in enumerate(READERS)]
    for thread in threads:
        thread.start()
    return threads


@pytest.mark.limit(120)
@pytest.mark.parametrize("changes", [False, True], ids=["quiet", "busy"])
@pytest.mark.parametrize("order", ["shuffled", "descending", "late", "blocks"])
def test_any_order(order, changes, tmp_path):
    with FakeImap({"INBOX": bodies(COUNT)}) as server:
        shuffled = Shuffled(server, f"{order}{changes}", order, changes)
        server.rule("UID FETCH", match=rb" 1:\* .*RFC822.SIZE", times=1, raw=shuffled)
        with mount(server, tmp_path, sizes="trust", timeout=30) as m:
            results = {}
            for thread in start_readers(str(m.root / "INBOX"), results):
                thread.join()
            lasting = set(range(1, COUNT + 1)) - shuffled.gone
            for index, names in sorted(results.items()):
                assert not isinstance(names, OSError), (READERS[index].__name__, names)
                listed = sorted(map(int, names))
                assert len(set(listed)) == len(listed), READERS[index].__name__
                missing = lasting - set(listed)
                # rsync reads the messages too, and those may have gone by then.
                assert not missing, (READERS[index].__name__, len(missing), sorted(missing)[:9])
                assert set(listed) <= lasting | shuffled.gone | shuffled.came
            with server.account.lock:
                there = [x.uid for x in server.mailbox("INBOX").messages]
            assert uids(m.root / "INBOX") == there
        # As it was kept.
        with mount(server, tmp_path, sizes="trust") as m:
            assert uids(m.root / "INBOX") == there


def test_names_stream():
    """In order they are handed out while the others are still to come."""
    with FakeImap({"INBOX": bodies(COUNT)}) as server:
        hold = threading.Event()

        def wait(session):
            session.flush()
            hold.wait(20)
            return b""
        server.rule("UID FETCH", match=rb"RFC822.SIZE", times=1, middle=wait, middle_after=2_000)
        with mount(server, sizes="trust") as m:
            descriptor = os.open(m.root / "INBOX", os.O_RDONLY | os.O_DIRECTORY)
            names = []
            while len(names) < 1_900:
                names += [name for _, name in getdents(descriptor, 4096)]
            hold.set()
            while some := getdents(descriptor, 4096):
                names += [name for _, name in some]
            os.close(descriptor)
            assert [n for n in names if n.isdecimal()] == [str(n) for n in range(1, COUNT + 1)]


def test_cut_off_with_gaps(tmp_path):
    """The line breaks when some rows have come, in no order, and as many messages have gone since: the
    counts agree, and the lists do not."""
    with FakeImap({"INBOX": bodies(100)}) as server:
        def half(session):
            server.expunge("INBOX", *range(81, 101))
            return b"".join(b'* %d FETCH (UID %d RFC822.SIZE 5 INTERNALDATE "%b")\r\n' % (n, n, DATE)
                            for n in range(100, 20, -1))
        server.rule("UID FETCH", match=rb" 1:\* .*RFC822.SIZE", times=1, raw=half, drop="fin")
        with mount(server, tmp_path, says=None, sizes="trust") as m:
            errno_of(os.listdir, m.root / "INBOX")
            assert uids(m.root / "INBOX") == list(range(1, 81))


def test_numbers_do_not_rise_with_the_uids():
    """RFC 3501 section 2.3.1.2 says that they do. Who has gone by where a name comes is told so."""
    with FakeImap({"INBOX": bodies(200)}) as server:
        there, passed = threading.Event(), threading.Event()

        def rows(session):
            order = [n for n in range(1, 201) if n != 7] + [7]
            lines = [b'* %d FETCH (UID %d RFC822.SIZE 5 INTERNALDATE "%b")\r\n' % (number, uid, DATE)
                     for number, uid in enumerate(order, 1)]
            session.send(b"".join(lines[:150]), now=True)
            there.set()
            passed.wait(20)
            return b"".join(lines[150:]) + b"{tag} OK done\r\n"
        server.rule("UID FETCH", match=rb" 1:\* .*RFC822.SIZE", times=1, raw=rows)
        with mount(server, sizes="trust") as m:
            descriptor = os.open(m.root / "INBOX", os.O_RDONLY | os.O_DIRECTORY)
            names = []
            while len(names) < 100:
                names += [name for _, name in getdents(descriptor, 4096)]
            passed.set()
            with pytest.raises(OSError) as error:
                while getdents(descriptor, 4096):
                    pass
            assert error.value.errno == errno.EIO
            os.close(descriptor)
            assert uids(m.root / "INBOX") == list(range(1, 201))


def test_a_position_is_kept():
    """telldir and seekdir: from each position the same names follow."""
    with FakeImap({"INBOX": bodies(300)}) as server, mount(server, sizes="trust") as m:
        descriptor = os.open(m.root / "INBOX", os.O_RDONLY | os.O_DIRECTORY)
        entries = []
        while some := getdents(descriptor, 512):
            entries += some
        names = [name for _, name in entries]
        for index in (0, 1, 2, 57, 150, 298):
            os.lseek(descriptor, entries[index][0], os.SEEK_SET)
            found = []
            while some := getdents(descriptor, 700):
                found += [name for _, name in some]
            assert found == names[index + 1:]
        os.close(descriptor)


@pytest.mark.limit(60)
def test_readdir_ends_in_time():
    """Newest first and a row now and then: no name is certain before the end. The call ends by its own
    deadline, and the listing is whole when the rows are."""
    with FakeImap({"INBOX": bodies(40)}) as server:
        def drip(session):
            for n in range(40, 0, -1):
                session.send(b'* %d FETCH (UID %d RFC822.SIZE 5 INTERNALDATE "%b")\r\n' % (n, n, DATE), now=True)
                server.stopping.wait(0.25)
            return b"{tag} OK done\r\n"
        server.rule("UID FETCH", match=rb" 1:\* .*RFC822.SIZE", times=1, raw=drip)
        with mount(server, says=["took longer than"], sizes="trust", timeout=3) as m:
            start = time.monotonic()
            assert errno_of(os.listdir, m.root / "INBOX") == "ETIMEDOUT"
            # Not when all rows are here, which is after 10 s.
            assert time.monotonic() - start < 8
            end = time.monotonic() + 30
            while errno_of(os.listdir, m.root / "INBOX"):
                assert time.monotonic() < end
            assert uids(m.root / "INBOX") == list(range(1, 41))
