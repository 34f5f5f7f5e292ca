# SPDX-License-Identifier: MIT
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
import re
import struct
import threading
import time

import pytest

from fakeimap import CAPABILITIES, Message
from mounting import run, wait_until
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


# The server does some messages of a command only (RFC 9738), or speaks of UIDs alone (RFC 9586).

LIMITED = CAPABILITIES + ("MESSAGELIMIT=100",)
NO_SEARCH_RANGES = tuple(c for c in LIMITED if c != "ESEARCH")


@pytest.mark.parametrize("capabilities", [LIMITED, LIMITED + ("UIDONLY",), NO_SEARCH_RANGES],
                         ids=["numbers", "uidonly", "no-esearch"])
def test_message_limit(capabilities, tmp_path):
    """The first listing, news of each kind, and a mount that has to find out what vanished."""
    texts = bodies(850)
    with FakeImap({"INBOX": texts}, capabilities=capabilities, message_limit=100) as server:
        def there():
            return [x.uid for x in server.mailbox("INBOX").messages]
        with mount(server, tmp_path) as m:
            assert uids(m.root / "INBOX") == there()
            for uid in (1, 2, 430, 850):
                assert (m.root / "INBOX" / str(uid)).read_bytes() == texts[uid - 1]
                assert (m.root / "INBOX" / str(uid)).stat().st_size == len(texts[uid - 1])
            server.append("INBOX", b"new")
            server.expunge("INBOX", 3, 500)
            (m.root / "INBOX" / "7").unlink()
            wait_until(lambda: uids(m.root / "INBOX") == there(), "the news")
            assert 7 not in there() and 3 not in there() and there()[-1] == 851
            assert (m.root / "INBOX" / "851").read_bytes() == b"new"
        server.expunge("INBOX", *range(100, 300))
        for _ in range(150):
            server.append("INBOX", b"later")
        server.expunge("INBOX", *range(840, 860))
        with mount(server, tmp_path) as m:
            assert uids(m.root / "INBOX") == there()
        if "UIDONLY" in capabilities:
            assert not [n for n in server.names() if n in ("FETCH", "SEARCH", "STORE")]


@pytest.mark.parametrize("line", [b"OK [MESSAGELIMIT 100 999999] in part", b"OK [MESSAGELIMIT 100] in part",
                                  b"OK [MESSAGELIMIT 100 851] in part"])
def test_a_limit_that_leads_nowhere(line):
    """All the same to each question: what is not known to be all is an error, once in the log."""
    with FakeImap({"INBOX": bodies(850)}) as server:
        server.rule("UID FETCH", match=rb"RFC822.SIZE", raw=b"{tag} " + line + b"\r\n")
        server.rule("UID SEARCH", raw=b"{tag} " + line + b"\r\n")
        with mount(server, says=["in part only"], sizes="trust") as m:
            for _ in range(3):
                assert errno_of(os.listdir, m.root / "INBOX") == "EIO"
            assert m.said().count("in part only") == 1


def test_a_view_that_is_limited():
    """As many messages as the limit, and not one more: the server may hide the older ones."""
    with FakeImap({"INBOX": bodies(100)}, capabilities=LIMITED) as server:
        with mount(server, says=["may hide"], sizes="trust") as m:
            assert uids(m.root / "INBOX") == list(range(1, 101))
            m.wait_said("INBOX has exactly 100 messages")


def test_more_without_rows_than_are_believed():
    """SEARCH names them, and nothing more is said of any: no listing that lacks them, but an error, told once."""
    with FakeImap({"INBOX": [b"x"] * 100_001}) as server:
        for name in ("FETCH", "UID FETCH"):
            server.rule(name, raw=b"{tag} OK done\r\n")
        with mount(server, says=["tells nothing of 100001 messages"], sizes="trust", timeout=60) as m:
            for _ in range(2):
                assert errno_of(os.listdir, m.root / "INBOX") == "EIO"
            assert m.said().count("tells nothing") == 1
            # Not one by one, nor two by two.
            assert len(server.names()) < 1000
            server.rules.clear()
            assert len(os.listdir(m.root / "INBOX")) == 100_001


# One message spoils the answer for others.

def spoilt(server, bad, answer, with_rows):
    """Answers questions for rows as ordinarily, until a bad one is among them."""
    def rows(session):
        line = session.line
        chosen = [(n, x) for n, x in session.chosen(re.search(rb"FETCH (\S+)", line)[1], line.startswith(b"UID"))]
        lines = b""
        for n, x in chosen:
            if x.uid in bad and answer is None:
                lines += b"* %d FETCH (UID %d" % (n, x.uid)
            elif x.uid not in bad and (with_rows or not any(y.uid in bad for _, y in chosen)):
                lines += b'* %d FETCH (UID %d RFC822.SIZE %d INTERNALDATE "%02d-Feb-2024 10:00:00 +0000")\r\n' % (
                    n, x.uid, len(x.body), x.uid % 28 + 1)
        refused = answer if any(x.uid in bad for _, x in chosen) else b"OK done"
        return lines + b"{tag} " + (refused or b"OK done") + b"\r\n"
    server.rule("UID FETCH", match=rb"RFC822.SIZE", raw=rows)
    server.rule("FETCH", match=rb"RFC822.SIZE", raw=rows)


@pytest.mark.limit(60)
@pytest.mark.parametrize("with_rows", [True, False], ids=["others-come", "none-comes"])
@pytest.mark.parametrize("answer", [b"NO [UNAVAILABLE] Server error", b"NO cannot read it", None],
                         ids=["unavailable", "no", "broken-row"])
def test_one_spoils_the_others(answer, with_rows):
    texts = bodies(60)
    with FakeImap({"INBOX": texts}) as server:
        spoilt(server, {30, 31, 47}, answer, with_rows)
        with mount(server, says=None, sizes="trust", timeout=20) as m:
            assert uids(m.root / "INBOX") == list(range(1, 61))
            for uid in range(1, 61):
                if uid in (30, 31, 47):
                    continue
                found = (m.root / "INBOX" / str(uid)).stat()
                assert found.st_size == len(texts[uid - 1])
                assert time.gmtime(found.st_mtime)[:3] == (2024, 2, uid % 28 + 1)
            assert len(server.names()) < 60


def test_never_to_be_had():
    """Not one row of any message, for the time being: an error, not a mailbox of nameless sizes."""
    with FakeImap({"INBOX": bodies(60)}) as server:
        server.rule("UID FETCH", match=rb"RFC822.SIZE", raw=b"{tag} NO [UNAVAILABLE] not now\r\n")
        with mount(server, says=None, sizes="trust", timeout=4) as m:
            assert errno_of(os.listdir, m.root / "INBOX") in ("ETIMEDOUT", "EAGAIN")
            assert server.names().count("UID FETCH") < 100


# EXISTS

def test_exists_that_is_wrong():
    """Selecting anew repairs it at once, and one line tells."""
    with FakeImap({"INBOX": bodies(50)}) as server:
        with mount(server, says=["selecting it anew"], sizes="trust", refresh=1) as m:
            assert uids(m.root / "INBOX") == list(range(1, 51))
            server.send_raw(b"* 53 EXISTS\r\n")
            wait_until(lambda: errno_of(os.listdir, m.root / "INBOX") or uids(m.root / "INBOX"), "a listing")
            for _ in range(5):
                assert uids(m.root / "INBOX") == list(range(1, 51))
                time.sleep(0.3)
            assert m.said().count("INBOX") <= 1


# SELECT

@pytest.mark.limit(60)
def test_empty_and_numbered_anew(tmp_path):
    """At every SELECT, as GNU Mailutils does: the directory stays what it is, until there is a message."""
    with FakeImap({"INBOX": bodies(2), "Empty": []}, uidvalidity=lambda name, n: 100 + n if name == "Empty" else 1,
                  hide=("IDLE", "LIST-STATUS")) as server:
        with mount(server, tmp_path, says=["UIDVALIDITY of Empty changed"], refresh=1, connections=1) as m:
            box = m.root / "Empty"
            inode = box.stat().st_ino
            descriptor = os.open(box, os.O_RDONLY | os.O_DIRECTORY)
            for _ in range(8):
                assert os.listdir(m.root / "INBOX") == ["1", "2"]
                time.sleep(1.1)
                assert os.listdir(box) == []
                assert box.stat().st_ino == inode
                assert os.listdir(descriptor) == []
            os.close(descriptor)
            assert server.selects[b"Empty"] > 4
            server.append("Empty", b"the first")
            wait_until(lambda: errno_of(os.listdir, box) is None and os.listdir(box) == ["1"], "the first message", 30)
            assert (box / "1").read_bytes() == b"the first"
