# SPDX-License-Identifier: MIT
"""Read-ahead: what is fetched before it is asked for, what is not, and what the kernel has before its reader."""
import os
import re
import subprocess
import time

import pytest

import mailgen
from dovecot import Mail
from mounting import live, run, sent, wait_until

KIB = 1 << 10
MIB = 1 << 20
COUNT = 600
SIZE = 4 * KIB
BIG_COUNT = 30
BIG_SIZE = 600 * KIB
PLAIN = "compress=off"  # or the server writes down what nobody can read, where it was too slow


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    generator = mailgen.Generator(8)
    mails = [Mail(box, generator.message(SIZE)[0], 1700000000) for box in ("INBOX", "Other") for _ in range(COUNT)]
    mails += [Mail("Halves", generator.message(SIZE)[0], 1700000000, () if i % 8 == 0 else ("\\Seen",))
              for i in range(COUNT)]
    mails += [Mail("Large", generator.message(20 * MIB)[0], 1700000000)]
    mails += [Mail("Big", generator.message(BIG_SIZE)[0], 1700000000) for _ in range(BIG_COUNT)]
    return start_server(mails, rawlog=True)


@pytest.fixture(name="far")
def fixture_far(server, proxy):
    """A line that takes 50 ms. Where a read of one message is quicker than the look into the cache for the
    next ones, as on a busy machine without such a line, readers overtake what is fetched for them."""
    line = proxy(server)
    line.ask("rtt 50")
    return line


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
    return sorted(names) if order == "names" else sorted(names, key=int, reverse=order == "UIDs backwards")


@pytest.mark.parametrize("order", ["UIDs", "UIDs backwards", "names"])
def test_orders(server, mount, far, order):
    """All messages come once, by few commands, whichever of the orders they are read in."""
    before = time.time()
    m = mount(server, PLAIN, port=far.port)
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


def test_readers_of_one_mailbox(server, mount, far):
    """Two in the two orders, and one that reads here and there: none takes the read-ahead from another."""
    before = time.time()
    m = mount(server, PLAIN, port=far.port)
    bodies = server.fetch_all("INBOX")
    names = os.listdir(m.path("INBOX"))
    here_and_there = shuffled(names)
    for turn, three in enumerate(zip(in_order(names, "UIDs"), in_order(names, "names"), here_and_there)):
        for name in three[:3 if turn % 50 == 0 else 2]:
            assert m.read("INBOX", name) == bodies[int(name)]
    commands = all_fetched(server, m, before, COUNT)
    assert sorted(uid for command in commands for uid in command) == sorted(bodies)
    assert len(commands) <= 2 * (3 + COUNT * SIZE // (128 * KIB)) + COUNT // 50


@pytest.mark.parametrize("half", ["new", "cur"])
def test_halves(server, mount, far, half):
    """Who reads one half of a Maildir gets that by few commands; of new messages that lie far apart nothing else is fetched."""
    before = time.time()
    m = mount(server, PLAIN, port=far.port)
    bodies = server.fetch_all("Halves")
    directory = m.path(".maildir", "Halves", half)
    uids = {int(name.rpartition("U=")[2].partition(":")[0]): name for name in os.listdir(directory)}
    assert list(uids) == [uid for uid in sorted(bodies) if (uid % 8 == 1) == (half == "new")]
    for uid in sorted(uids):
        assert m.read(directory, uids[uid]) == bodies[uid]
    m.stop()
    wait_until(lambda: set(uids) <= set(sum(fetched(server, before), [])), "all were asked for")
    commands = fetched(server, before)
    assert len(commands) <= 3 + COUNT * SIZE // (128 * KIB)
    assert half == "cur" or sorted(sum(commands, [])) == sorted(uids)


def shuffled(names):
    return [names[i * 7919 % COUNT] for i in range(COUNT)]


def nearly_backwards(names):
    """As threads take them that share a stack."""
    backwards = in_order(names, "UIDs backwards")
    return [backwards[i ^ 3] for i in range(COUNT)]


def blocks(names):
    """As xargs -P 8 -n 20 has them read."""
    ascending = in_order(names, "UIDs")
    return [ascending[i] for start in range(0, COUNT, 160) for offset in range(20)
            for i in range(start + offset, min(start + 160, COUNT), 20)]


@pytest.mark.parametrize("order", [shuffled, nearly_backwards, blocks])
def test_no_order(server, mount, far, order):
    """All messages come once, and most of them many at a time."""
    before = time.time()
    m = mount(server, PLAIN, port=far.port)
    bodies = server.fetch_all("INBOX")
    names = order(os.listdir(m.path("INBOX")))
    assert len(set(names)) == COUNT
    for name in names:
        assert m.read("INBOX", name) == bodies[int(name)]
    commands = all_fetched(server, m, before, COUNT)
    assert sorted(uid for command in commands for uid in command) == sorted(bodies)
    assert len(commands) <= COUNT // 6


def test_a_few_here(server, mount, far):
    """Three near each other may be the first of many; but not much is spent on it."""
    before = time.time()
    m = mount(server, PLAIN, port=far.port)
    os.listdir(m.path("INBOX"))
    received = far.received()
    for uid in (300, 311, 289):
        run("cat", m.path("INBOX", uid))
    wait_until(lambda: far.received() - received > 6 * SIZE, "others came")
    m.stop()
    wait_until(lambda: len(fetched(server, before)) > 3, "others were asked for")
    others = sum(map(len, fetched(server, before))) - 3
    assert 0 < others <= 512 * KIB // SIZE


def read_beginning(m, name, octets):
    with open(m.path("Big", name), "rb", buffering=0) as source:
        os.posix_fadvise(source.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        return source.read(octets)


@pytest.mark.parametrize("order", ["UIDs", "UIDs backwards", "shuffled"])
def test_beginnings(server, mount, far, order):
    """Of who looks at the beginnings of large messages only, little more than those is fetched."""
    m = mount(server, PLAIN, port=far.port)
    bodies = server.fetch_all("Big")
    names = in_order(os.listdir(m.path("Big")), order)
    if order == "shuffled":
        names = [names[i * 7 % BIG_COUNT] for i in range(BIG_COUNT)]
    before = far.received()
    for name in names:
        assert read_beginning(m, name, 12 * KIB) == bodies[int(name)][:12 * KIB]
    assert far.received() - before <= 3 * 256 * KIB * 11 // 10 + BIG_COUNT * 20 * KIB


def test_more_than_beginnings(server, mount):
    """A reader who goes on after all gets all, now and from the cache."""
    m = mount(server, PLAIN)
    bodies = server.fetch_all("Big")
    names = in_order(os.listdir(m.path("Big")), "UIDs")
    for name in names:
        assert read_beginning(m, name, 4 * KIB) == bodies[int(name)][:4 * KIB]
    for name in names[::2]:
        assert m.read("Big", name) == bodies[int(name)]
    m.restart()
    for name in names:
        assert m.read("Big", name) == bodies[int(name)]


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


def test_readers_of_several_mailboxes(server, mount, far):
    before = time.time()
    m = mount(server, PLAIN, port=far.port)
    readers = [subprocess.Popen(["grep", "-rc", "no such line", m.path(box)], stdout=subprocess.DEVNULL)
               for box in ("INBOX", "Other")]
    live.update(readers)
    for reader in readers:
        assert reader.wait(50) == 1
        live.discard(reader)
    commands = all_fetched(server, m, before, 2 * COUNT)
    assert len(commands) <= 2 * (3 + COUNT * SIZE // (128 * KIB))
