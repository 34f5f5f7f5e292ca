"""Read-ahead: what is fetched before it is asked for, what is not, and what the kernel has before its reader."""
import os
import re
import subprocess
import sys
import time

import pytest

import mailgen
from dovecot import Mail
from mounting import live, run, sent, wait_until

KIB = 1 << 10
MIB = 1 << 20
COUNT = 600
SIZE = 4 * KIB
PLAIN = "compress=off"  # or the server writes down what nobody can read, where it was too slow


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    generator = mailgen.Generator(8)
    mails = [Mail(box, generator.message(SIZE)[0], 1700000000) for box in ("INBOX", "Other") for _ in range(COUNT)]
    mails += [Mail("Large", generator.message(20 * MIB)[0], 1700000000)]
    return start_server(mails, rawlog=True)


def fetched(server, since):
    """The UIDs that were asked for, a list for each command, of those since that time."""
    def expand(text):
        for part in text.decode().split(","):
            first, _, last = part.partition(":")
            yield from range(int(first), int(last or first) + 1)
    commands = (re.search(rb"UID FETCH ([\d:,]+) \(UID BODY.PEEK\[\]<0\.", line) for line in sent(server, since=since))
    return [list(expand(match.group(1))) for match in commands if match]


def all_fetched(server, m, since, count):
    """The same when the mount has ended, and the server has written down all it heard: `count` in all."""
    m.stop()
    wait_until(lambda: sum(map(len, fetched(server, since))) >= count, f"{count} were asked for")
    commands = fetched(server, since)
    assert sum(map(len, commands)) == count
    return commands


def counts(m):
    """(reads that reached imapfs, stores into the kernel's cache)"""
    with open(m.path(".imapfs", "status"), encoding="utf-8") as status:
        return tuple(map(int, re.search(r"^kernel: (\d+) reads, (\d+) stores", status.read(), re.M).groups()))


def in_order(names, order):
    return sorted(names, key=int) if order == "UIDs" else sorted(names)


@pytest.mark.parametrize("order", ["UIDs", "names"])
def test_orders(server, mount, order):
    """All messages come once, by few commands, whichever of the two orders they are read in."""
    before = time.time()
    m = mount(server, PLAIN)
    bodies = server.fetch_all("INBOX")
    for name in in_order(os.listdir(m.path("INBOX")), order):
        assert m.read("INBOX", name) == bodies[int(name)]
    commands = all_fetched(server, m, before, COUNT)
    assert sorted(uid for command in commands for uid in command) == sorted(bodies)
    assert len(commands) <= 3 + COUNT * SIZE // (128 * KIB)


@pytest.mark.parametrize("after_remount", [False, True], ids=["from the server", "from the cache"])
def test_reads_do_not_reach_us(server, mount, after_remount):
    """The kernel has what is stored: only messages that are kept back are asked for."""
    m = mount(server, PLAIN)
    if after_remount:
        run("cp", "-r", m.path("INBOX"), os.path.join(m.directory, "copy"))
        m.restart()
    before = time.time()
    bodies = server.fetch_all("INBOX")
    # Until the server's sizes are believed a listing tells names alone, and the kernel knows no inodes.
    os.listdir(m.path("Other"))
    wait_until(lambda: b"right so far" in m.read(".imapfs", "status"), "the sizes are believed")
    names = in_order(os.listdir(m.path("INBOX")), "UIDs")
    for name in names[:3]:
        m.read("INBOX", name)
    # Three of the first window's four batches, which may come in any order; a few are kept back.
    window = MIB // SIZE * 3 // 4
    wait_until(lambda: counts(m)[1] >= window - 8, "the window is stored")
    reads = counts(m)[0]
    for name in names[3:window]:
        assert m.read("INBOX", name) == bodies[int(name)]
    assert counts(m)[0] - reads <= window * SIZE // (128 * KIB) + 8
    assert not after_remount or not fetched(server, before)


def test_one_message(server, mount):
    """Whoever looks at one message, or here and there, or at two neighbours, fetches just those."""
    before = time.time()
    m = mount(server, PLAIN)
    os.listdir(m.path("INBOX"))
    chosen = [5, 300, 6, 77, 301, 550]
    for uid in chosen:
        run("cat", m.path("INBOX", uid))
    assert all_fetched(server, m, before, len(chosen)) == [[uid] for uid in chosen]


def test_readers_of_one_mailbox(server, mount):
    """Two in the two orders, and one that reads here and there: none takes the read-ahead from another."""
    before = time.time()
    m = mount(server, PLAIN)
    bodies = server.fetch_all("INBOX")
    names = os.listdir(m.path("INBOX"))
    here_and_there = [names[i * 7919 % COUNT] for i in range(COUNT)]
    for turn, three in enumerate(zip(in_order(names, "UIDs"), in_order(names, "names"), here_and_there)):
        for name in three[:3 if turn % 50 == 0 else 2]:
            assert m.read("INBOX", name) == bodies[int(name)]
    commands = all_fetched(server, m, before, COUNT)
    assert sorted(uid for command in commands for uid in command) == sorted(bodies)
    assert len(commands) <= 2 * (3 + COUNT * SIZE // (128 * KIB)) + COUNT // 50


def test_seeks_cost_what_they_touch(server, mount, proxy):
    """A reader that jumps about in a large message, as one of archives does."""
    line = proxy(server)
    m = mount(server, PLAIN, port=line.port)
    body = server.fetch_all("Large")[1]
    os.stat(m.path("Large/1"))
    before = line.received()
    offsets = [19 * MIB, 3 * MIB, 11 * MIB, 500, 7 * MIB, 15 * MIB]
    with open(m.path("Large/1"), "rb", buffering=0) as source:
        os.posix_fadvise(source.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        for offset in offsets:
            assert os.pread(source.fileno(), 5000, offset) == body[offset:offset + 5000]
    assert line.received() - before <= len(offsets) * 256 * KIB * 11 // 10


def test_one_more_connection(server, mount):
    """While many are read ahead there is a connection for whoever reads just one."""
    m = mount(server, PLAIN)
    for uid in range(1, 40):
        m.read("INBOX", uid)

    def connections():
        with open(m.path(".imapfs", "status"), encoding="utf-8") as status:
            return re.findall(r"^connection: \S+ data: ready", status.read(), re.M)
    wait_until(lambda: len(connections()) == 2, "a second connection is ready")


def test_readers_of_several_mailboxes(server, mount):
    before = time.time()
    m = mount(server, PLAIN)
    readers = [subprocess.Popen(["grep", "-rc", "no such line", m.path(box)], stdout=subprocess.DEVNULL)
               for box in ("INBOX", "Other")]
    live.update(readers)
    for reader in readers:
        assert reader.wait(50) == 1
        live.discard(reader)
    commands = all_fetched(server, m, before, 2 * COUNT)
    assert len(commands) <= 2 * (3 + COUNT * SIZE // (128 * KIB))
