# SPDX-License-Identifier: MIT
"""The cache over remounts: what is not fetched again, and what happens when it is not what it was."""
import contextlib
import os
import re
import shutil
import sqlite3
import stat
import time

import pytest

import mailgen
import tree
from dovecot import Mail
from mounting import run, sent, wait_until

KIB = 1 << 10
MIB = 1 << 20
TEXT = b"Subject: x\r\n\r\nbody\r\n"


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    mails = [Mail("INBOX", mail.body, mail.date) for mail in mailgen.messages(120)]
    large = next(mailgen.messages(1, size=3 * MIB)).body
    return start_server(mails + [Mail("Large", large, 1700000000), Mail("Changing", TEXT + b"0"), Mail("Changing", TEXT + b"1")],
                        rawlog=True)


def database(m):
    return os.path.join(m.cache, "cache.db")


def test_bodies_are_kept(server, mount):
    """After a remount nothing is fetched again, neither bodies nor attributes."""
    m = mount(server)
    assert tree.compare(server, m.point) == []
    bodies, attributes = len(sent(server, b"BODY.PEEK[]")), len(sent(server, b"RFC822.SIZE"))
    assert bodies and attributes
    m.restart()
    assert tree.compare(server, m.point) == []
    assert len(sent(server, b"BODY.PEEK[]")) == bodies
    assert len(sent(server, b"RFC822.SIZE")) == attributes


def small(count, new):
    return f"Small{count}-{new}"


SMALL = [(count, new) for count in (0, 1, 2) for new in (0, 1, 2)]


@pytest.mark.parametrize("live", [False, True], ids=["between-mounts", "live"])
def test_few_remembered_and_few_new(start_server, mount, live):
    """A mailbox is remembered with none, one or two messages, and gets as many more: what was read
    from the cache has room for exactly what it holds."""
    server = start_server()
    with server.client() as client:
        for count, new in SMALL:
            client.create(small(count, new))
            client.append(small(count, new), [Mail("", TEXT + b"%d" % n) for n in range(count)])
    m = mount(server)
    for count, new in SMALL:
        assert len(os.listdir(m.path(small(count, new)))) == count
    m.stop()
    if live:
        m.start()
        for count, new in SMALL:
            assert len(os.listdir(m.path(small(count, new)))) == count
    with server.client() as client:
        for count, new in SMALL:
            client.append(small(count, new), [Mail("", TEXT + b"new %d" % n) for n in range(new)])
    if not live:
        m.start()
    for count, new in SMALL:
        wait_until(lambda: len(os.listdir(m.path(small(count, new)))) == count + new, "the new are listed")
        wanted = [TEXT + b"%d" % n for n in range(count)] + [TEXT + b"new %d" % n for n in range(new)]
        assert [m.read(small(count, new), str(uid)) for uid in range(1, count + new + 1)] == wanted


def test_little_moves_after_a_remount(server, mount, proxy):
    line = proxy(server)
    m = mount(server, port=line.port)
    run("cp", "-r", m.point, os.path.join(m.directory, "copy"))
    m.stop()
    before = line.received()
    m.start()
    run("diff", "-r", m.point, os.path.join(m.directory, "copy"))
    m.stop()
    assert line.received() - before < 32 * KIB


def test_parts_are_kept(server, mount):
    """What was read of a large message need not come again; what lies behind it may not have come yet."""
    m = mount(server)
    first = run("head", "-c", 200_000, m.path("Large/1")).stdout
    # A chunk is kept once it is whole.
    wait_until(lambda: os.listdir(os.path.join(m.cache, "bodies")), "the beginning is kept")
    m.stop()
    began = time.time()
    m.start()
    assert run("head", "-c", 200_000, m.path("Large/1")).stdout == first
    m.stop()
    asked = [int(re.search(rb"BODY\.PEEK\[\]<(\d+)\.", line)[1]) for line in sent(server, b"BODY", since=began)]
    assert not asked or min(asked) >= 200_000


def test_only_the_new_is_fetched(server, mount):
    m = mount(server)
    for uid in (1, 2):
        m.read("Changing", uid)
    m.stop()
    new = server.deliver("Changing", TEXT + b"new")
    server.expunge("Changing", [1])
    before = len(sent(server, b"BODY.PEEK[]"))
    m.start()
    assert os.listdir(m.path("Changing")) == [str(uid) for uid in server.uids("Changing")]
    assert m.read("Changing", new) == TEXT + b"new" == server.fetch_all("Changing")[new]
    assert m.read("Changing", 2) == TEXT + b"1"
    assert len(sent(server, b"BODY.PEEK[]")) == before + 1


def test_private(server, mount):
    m = mount(server)
    m.read("INBOX", 1)
    assert "cache.db" in os.listdir(m.cache)
    wait_until(lambda: os.listdir(os.path.join(m.cache, "bodies")), "the body is kept")
    for directory, _, names in os.walk(m.cache):
        assert stat.S_IMODE(os.lstat(directory).st_mode) == 0o700, directory
        for name in names:
            status = os.lstat(os.path.join(directory, name))
            assert stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o600, name


def test_second_mount(server, mount):
    """It warns, keeps its cache to itself, and both are right."""
    first = mount(server)
    second = mount(server, cache=first.cache)
    second.expect(f"warning: .*{first.cache} is in use by another process")
    assert tree.compare(server, first.point) == []
    assert tree.compare(server, second.point) == []
    first.stop()
    assert tree.compare(server, second.point) == []
    second.stop()
    third = mount(server, cache=first.cache)
    before = len(sent(server, b"BODY.PEEK[]"))
    assert tree.compare(server, third.point) == []
    assert len(sent(server, b"BODY.PEEK[]")) == before


def test_other_account(server, mount):
    """A directory that holds one account's mail is refused for another, also offline, and kept as it is."""
    first = mount(server)
    first.read("INBOX", 1)
    first.stop()
    other = f"imaps://other@localhost:{server.imaps_port}/"
    for source, options in ((other, "ro"), (other, "offline"), (server.url, "authzid=other,auth=PLAIN")):
        m = mount(server, options, source=source, cache=first.cache, ready=False)
        m.expect(f"cache directory {first.cache} holds the mail of another account, {server.user}@")
        m.finished(6)
    first.start()
    before = len(sent(server, b"BODY.PEEK[]<0."))
    assert first.read("INBOX", 1) == server.fetch_all("INBOX")[1]
    assert len(sent(server, b"BODY.PEEK[]<0.")) == before


@pytest.mark.parametrize("damage", ["noise", "cut", "empty", "foreign", "middle"])
def test_damage(server, mount, damage):
    """One warning, the old database set aside, and everything right."""
    m = mount(server)
    assert tree.compare(server, m.point) == []
    m.stop()
    size = os.path.getsize(database(m))
    for suffix in ("-wal", "-shm"):
        if os.path.exists(database(m) + suffix):
            os.unlink(database(m) + suffix)
    if damage == "noise":
        with open(database(m), "r+b") as file:
            file.write(os.urandom(8192))
    elif damage == "cut":
        os.truncate(database(m), size // 2 // 4096 * 4096)
    elif damage == "empty":
        os.truncate(database(m), 0)
    elif damage == "foreign":
        os.unlink(database(m))
        with contextlib.closing(sqlite3.connect(database(m))) as other:
            other.execute("CREATE TABLE messages(x)")
    else:
        with open(database(m), "r+b") as file:
            for offset in range(size // 4, size // 2, 16384):
                file.seek(offset)
                file.write(b"\xee" * 4096)
    m.start()
    if damage == "middle":
        # Found out at the start or while reading, as it happens.
        m.tolerate("cache: ")
    elif damage != "empty":
        m.expect("warning: cache: .*it is kept as cache.db.damaged, and a new one is begun")
    assert tree.compare(server, m.point) == []
    m.stop()
    if damage not in ("empty", "middle"):
        assert os.path.exists(database(m) + ".damaged")


def test_without_its_files(server, mount):
    """Removed between two mounts: made again."""
    m = mount(server)
    m.read("INBOX", 1)
    m.stop()
    shutil.rmtree(m.cache)
    m.start()
    assert m.read("INBOX", 1) == server.fetch_all("INBOX")[1]


def test_size_bound(start_server, mount):
    """The contents stay within the bound, the files near it, and everything is right all the same."""
    generator = mailgen.Generator(3)
    mails = [Mail("INBOX", generator.message(60_000)[0], 1700000000) for _ in range(250)]
    assert sum(len(mail.body) for mail in mails) > 12 * MIB
    server = start_server(mails)
    m = mount(server, "cache_size=1M")
    assert tree.compare(server, m.point) == []
    assert tree.compare(server, m.point) == []
    m.stop()
    with contextlib.closing(sqlite3.connect(database(m))) as db:
        assert 0 < db.execute("SELECT sum(n) FROM bodies").fetchone()[0] <= MIB
    # Pages that are free are kept for the next, some MiB of them.
    assert sum(os.path.getsize(os.path.join(m.cache, name)) for name in os.listdir(m.cache)) < 8 * MIB
    m.start()
    assert tree.compare(server, m.point) == []


def test_limit_of_file_sizes(server, mount):
    """As by ulimit -f, in a shell or a service: what does not fit is not kept."""
    m = mount(server, prefix=("prlimit", "--fsize=300000"))
    m.tolerate("cache: .*going on without keeping mail")
    assert tree.compare(server, m.point) == []
    m.stop()
    m.start()
    m.tolerate("cache")
    assert tree.compare(server, m.point) == []


def test_least_recently_used_goes(start_server, mount):
    """What is read again and again stays while others come and go."""
    generator = mailgen.Generator(4)
    server = start_server([Mail("INBOX", generator.message(60_000)[0], 1700000000) for _ in range(60)], rawlog=True)
    m = mount(server, "cache_size=1M")
    for uid in range(2, 61):
        m.read("INBOX", 1)
        m.read("INBOX", uid)
        # Or the kernel would answer, and nobody know that it is used.
        with open(m.path("INBOX", 1), "rb") as source:
            os.posix_fadvise(source.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    assert len([line for line in sent(server, b"BODY.PEEK[]") if b"UID FETCH 1 " in line]) == 1


def test_uidvalidity_between_mounts(server, mount):
    """All numbers mean something else now: other inodes, other octets, none of the old."""
    server.load([Mail("Renumbered", TEXT + b"old %d" % i) for i in range(3)])
    m = mount(server)
    before = {name: os.stat(m.path("Renumbered", name)).st_ino for name in os.listdir(m.path("Renumbered"))}
    assert m.read("Renumbered", 2) == TEXT + b"old 1"
    m.stop()
    server.delete("Renumbered")
    server.create("Renumbered")
    with server.client() as client:
        client.append("Renumbered", [Mail("", TEXT + b"new %d" % i) for i in range(3)])
    server.set_uidvalidity("Renumbered", 4_000_000_000)
    m.start()
    m.expect("UIDVALIDITY of Renumbered changed")
    assert sorted(os.listdir(m.path("Renumbered"))) == sorted(before)
    for name, inode in before.items():
        assert os.stat(m.path("Renumbered", name)).st_ino != inode
        assert m.read("Renumbered", name) == TEXT + b"new %d" % (int(name) - 1)
    m.stop()
    m.start()
    assert m.read("Renumbered", 2) == TEXT + b"new 1"


def test_uidvalidity_during_a_mount(server, mount):
    """A message that was open gives ESTALE or what it was; its name leads to the new one."""
    server.create("Replaced")
    with server.client() as client:
        client.append("Replaced", [Mail("", TEXT + b"old %d" % i) for i in range(3)])
    m = mount(server)
    assert m.read("Replaced", 2) == TEXT + b"old 1"
    inode = os.stat(m.path("Replaced", 2)).st_ino
    with open(m.path("Replaced", 3), "rb", buffering=0) as unread:
        server.delete("Replaced")
        server.create("Replaced")
        with server.client() as client:
            client.append("Replaced", [Mail("", TEXT + b"new %d" % i) for i in range(3)])
        server.set_uidvalidity("Replaced", 4_100_000_000)
        server.kick()

        def read_new():
            try:
                return m.read("Replaced", 2) == TEXT + b"new 1"
            except OSError:
                return False
        wait_until(read_new, "the new message has the name")
        assert os.stat(m.path("Replaced", 2)).st_ino != inode
        try:
            assert unread.read() == TEXT + b"old 2"
        except OSError as error:
            assert os.strerror(error.errno) == "Stale file handle"
    m.expect("UIDVALIDITY of Replaced changed")


def test_kill_at_any_moment(server, mount):
    """kill -9 in the middle of filling it: the next mount needs no warning and is right."""
    m = mount(server)
    for count in (5, 40, 90):
        for uid in range(1, count):
            m.read("INBOX", uid)
        m.kill()
        m.start()
    assert tree.compare(server, m.point) == []


def test_directory_of_another(server, mount, directory):
    """Refused, with a status of its own."""
    path = os.path.join(directory, "foreign")
    os.mkdir(path)
    os.chmod(path, 0o777)
    m = mount(server, cache=path, ready=False)
    m.expect(f"{path}")
    m.finished(6)
