# SPDX-License-Identifier: MIT
"""The octets of messages: each is what the server holds, however it is read."""
import hashlib
import os
import random
import sys
import threading

import pytest

import mailgen
import tree
from dovecot import Mail
from mounting import run, sent

MIB = 1 << 20
HEAD = b"Subject: x\r\nMessage-ID: <same@example.org>\r\n\r\n"
AWKWARD = {
    "no header": b"\r\njust text\r\n",
    "no header, no blank line": b"just text without an end of line",
    "no Message-ID": b"Subject: x\r\n\r\nbody\r\n",
    "twice": HEAD + b"body\r\n",
    "twice, again": HEAD + b"body\r\n",
    "one octet": b"x",
    "one line end": b"\r\n",
    "NUL octets": HEAD + b"a\0b\0\0c\r\n" + bytes(range(256)) * 3 + b"\r\n",
    "bare CR and LF": HEAD + b"a\rb\nc\n\rd\r\r\n\n\n\r\r",
    "one long line": HEAD + b"x" * MIB + b"\r\n",
    "no last line end": HEAD + b"end",
    "looks like IMAP": HEAD + b")\r\n* 1 EXPUNGE\r\nA1 OK done\r\n{10}\r\n\"\\\r\n",
    "dots and From": HEAD + b".\r\n..\r\nFrom me\r\n",
}
# Around the borders of windows and pages.
SIZES = [4095, 4096, 4097, 131072, 262143, 262144, 262145, 524288, 786433, 1310721]


def octets(size, seed=1):
    """Lines of random hexadecimal digits, so that no window looks like another."""
    data = random.Random(seed).randbytes(size // 2 + 1).hex().encode()
    lines = [data[i:i + 76] for i in range(0, size, 76)]
    return (HEAD + b"\r\n".join(lines))[:size - 2] + b"\r\n"


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    mails = [Mail("INBOX", mail.body, mail.date, ()) for mail in mailgen.messages(150)]
    mails += [Mail("Awkward", body, 1700000000) for body in AWKWARD.values()]
    mails += [Mail("Sizes", octets(size, size), 1700000000) for size in SIZES]
    mails += [Mail("Large", octets(25 * MIB), 1700000000)]
    return start_server(mails, rawlog=True)


@pytest.fixture(name="empty_too", scope="module")
def fixture_empty_too(start_server):
    """mdbox keeps messages as they came: the one that is empty, too."""
    return start_server([Mail("Awkward", body) for body in AWKWARD.values()], mail_format="mdbox")


def test_every_octet(server, mount):
    before = server.flags_snapshot()
    m = mount(server)
    assert tree.compare(server, m.point) == []
    assert server.flags_snapshot() == before
    m.restart()
    assert tree.compare(server, m.point) == []


def test_awkward_in_another_store(empty_too, mount):
    with empty_too.client() as client:
        client.append("Awkward", [Mail("", b"\r\n"), Mail("", b"\n")])
    m = mount(empty_too)
    assert tree.compare(empty_too, m.point) == []


def test_empty_message(start_server, mount):
    """A file of no octets in the Maildir: the server gives an empty literal."""
    server = start_server([Mail("INBOX", b"", 1700000000), Mail("INBOX", b"x", 1700000000), Mail("INBOX", b"", 1)])
    m = mount(server)
    assert tree.compare(server, m.point) == []
    assert run("wc", "-c", m.path("INBOX/1")).stdout.split()[0] == "0"


@pytest.mark.parametrize("block", [1, 777, 4096, 100_000, 3 * MIB])
def test_blocks(server, mount, block):
    """Read by blocks of any size, without the page cache's help."""
    m = mount(server)
    bodies = server.fetch_all("Sizes")
    uids = bodies if block > 100 else [1, 3]
    for uid in uids:
        with open(m.path("Sizes", uid), "rb", buffering=0) as source:
            pieces = iter(lambda: source.read(block), b"")
            assert b"".join(pieces) == bodies[uid]


def test_random_access(server, mount):
    """Anywhere in a large message, also across its end."""
    m = mount(server)
    body = server.fetch_all("Large")[1]
    rng = random.Random(7)
    with open(m.path("Large/1"), "rb", buffering=0) as source:
        for _ in range(60):
            offset, size = rng.randrange(len(body) + 5000), rng.choice((1, 1000, 70_000, 600_000))
            assert os.pread(source.fileno(), size, offset) == body[offset:offset + size]
        assert os.pread(source.fileno(), 100, len(body)) == b""
        assert os.pread(source.fileno(), 100, len(body) - 1) == body[-1:]


def test_head_moves_little(server, mount, proxy):
    """The first 1,000 octets of 25 MiB cost at most 300 KiB on the wire, the login included."""
    line = proxy(server)
    m = mount(server, port=line.port)
    os.stat(m.path("Large/1"))
    before = line.received()
    assert run("head", "-c", 1000, m.path("Large/1")).stdout.encode() == octets(25 * MIB)[:1000]
    m.stop()
    assert line.received() - before <= 300 * 1024


def test_tail(server, mount, proxy):
    line = proxy(server)
    m = mount(server, port=line.port)
    os.stat(m.path("Large/1"))
    before = line.received()
    body = octets(25 * MIB)
    assert run("tail", "-c", 1000, m.path("Large/1")).stdout.encode() == body[-1000:]
    assert run("tail", "-n", 3, m.path("Large/1")).stdout.encode() == b"".join(body.splitlines(True)[-3:])
    m.stop()
    assert line.received() - before <= 3 * MIB


def test_mmap(server, mount):
    """In a process of its own: a page that never comes would stop the interpreter."""
    m = mount(server)
    program = ("import hashlib, mmap, sys\n"
               "with open(sys.argv[1], 'rb') as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:\n"
               "    for i in range(len(m) - 1, 0, -65536): m[i]\n"
               "    print(hashlib.sha256(m).hexdigest())\n")
    for path, uid in (("Large", 1), ("Sizes", 9), ("INBOX", 3)):
        wanted = hashlib.sha256(server.fetch_all(path)[uid]).hexdigest()
        assert run(sys.executable, "-c", program, m.path(path, uid)).stdout.strip() == wanted


def test_threads(server, mount):
    """Eight readers at once, each in an order of its own, uncached and cached."""
    m = mount(server)
    bodies = {(box, uid): body for box in ("INBOX", "Sizes", "Awkward")
              for uid, body in server.fetch_all(box).items()}
    wrong = []

    def read_all(seed):
        keys = list(bodies)
        random.Random(seed).shuffle(keys)
        try:
            wrong.extend(key for key in keys if m.read(*key) != bodies[key])
        except OSError as error:
            wrong.append(error)

    threads = [threading.Thread(target=read_all, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_processes_on_one_message(server, mount):
    """All want the same large message, which is fetched for all."""
    m = mount(server)
    wanted = hashlib.sha256(server.fetch_all("Large")[1]).hexdigest()
    script = f"for i in 1 2 3 4 5 6; do sha256sum {m.path('Large/1')} & done; wait"
    sums = [line.split()[0] for line in run("sh", "-c", script).stdout.splitlines()]
    assert sums == [wanted] * 6


def test_is_fetched_once(server, mount, proxy):
    """However many readers a message has, its octets come once."""
    line = proxy(server)
    m = mount(server, "compress=off", port=line.port)
    os.listdir(m.path("Large"))
    before = line.received()
    script = f"for i in 1 2 3 4; do cat {m.path('Large/1')} >{m.directory}/$i & done; wait"
    run("sh", "-c", script)
    run("cmp", os.path.join(m.directory, "1"), os.path.join(m.directory, "4"))
    moved = line.received() - before
    assert 25 * MIB <= moved <= 26 * MIB, moved


@pytest.mark.limit(150)
def test_100_mib(start_server, mount):
    body = octets(100 * MIB)
    server = start_server([Mail("INBOX", body, 1700000000)])
    m = mount(server)
    assert os.stat(m.path("INBOX/1")).st_size == len(body)
    assert run("sha256sum", m.path("INBOX/1")).stdout.split()[0] == hashlib.sha256(body).hexdigest()


def test_nothing_is_seen(server, mount):
    """Neither by reading nor by listing: the commands that could are never sent."""
    m = mount(server)
    for directory in ("INBOX", "Awkward"):
        for name in os.listdir(m.path(directory)):
            m.read(directory, name)
    assert not any(flags for box in server.flags_snapshot().values() for flags in box.values())
    fetches = sent(server, b"FETCH")
    assert [line for line in fetches if b"BODY.PEEK[]" in line]
    assert not [line for line in fetches if b"BODY[" in line or b"RFC822 " in line or b"RFC822)" in line]
