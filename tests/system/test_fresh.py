# SPDX-License-Identifier: MIT
"""What other clients do shows in the mount, and the mount shows what it does.

Each test runs with a server that tells of everything (NOTIFY), of one mailbox (IDLE), and of nothing,
where it is looked at every second. Where the server tells, nothing else can: refresh= is an hour.
"""
import contextlib
import errno
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

import pytest

from dovecot import Mail
from mounting import is_mounted, live, run, wait_until
from patience import late
from programs import PROGRAM

HIDDEN = {"NOTIFY": (), "IDLE": ("NOTIFY",), "polling": ("NOTIFY", "IDLE")}
# Told of within 2 s, or seen with the next look: the rest is for a machine that is busy.
SECONDS = 8


def text(number):
    return b"Subject: number %d\r\n\r\nThis is message %d.\r\n" % (number, number)


def large(number):
    return text(number) + (b"%07d\r\n" % number) * 70000


@pytest.fixture(name="servers", scope="module")
def fixture_servers(start_server):
    made = {}

    def get(mode):
        if mode not in made:
            made[mode] = start_server([Mail("INBOX", text(1))], hide=HIDDEN[mode])
        return made[mode]
    return get


@pytest.fixture(name="mode", params=HIDDEN)
def fixture_mode(request):
    return request.param


@pytest.fixture(name="server")
def fixture_server(servers, mode):
    return servers(mode)


@pytest.fixture(name="box")
def fixture_box(server, own_name):
    """A mailbox of its own for a test, with 5 messages."""
    with server.client() as client:
        client.create(own_name)
        client.append(own_name, [Mail(own_name, text(i), 1700000000 + i) for i in range(1, 6)])
    return own_name


@pytest.fixture(name="watch")
def fixture_watch(server, mode, mount):
    """watch(box): a mount where the mailbox was listed, its names are in the kernel, and its changes
    are told of. everything: those of other mailboxes, and their names, too."""
    def start(box, everything=False):
        pushed = mode == "NOTIFY" or (mode == "IDLE" and not everything)
        m = mount(server, f"refresh={3600 if pushed else 1}")
        for name in os.listdir(m.path(box)):
            os.stat(m.path(box, name))
        wait_until(lambda: status(m)["watching"] == [mode], f"watching by {mode}")
        return m
    return start


def status(m):
    """{word: [the rest of each line that starts with it]} of the hidden file."""
    found = {}
    for line in m.read(".imapfs", "status").decode().splitlines():
        word, _, rest = line.partition(": ")
        found.setdefault(word, []).append(rest)
    return found


def missing(*names):
    return lambda: not os.path.lexists(os.path.join(*map(str, names)))


def exists(*names):
    return lambda: os.path.lexists(os.path.join(*map(str, names)))


def soon(condition, what):
    """Waits for what the server tells of, or the next look shows."""
    wait_until(condition, what, SECONDS)


# Messages


def test_delivered(server, box, watch):
    m = watch(box)
    uid = server.deliver(box, text(6))
    soon(exists(m.path(box, uid)), "the new name by itself")
    assert m.read(box, uid) == text(6)
    uid = server.deliver(box, text(7))
    soon(lambda: str(uid) in os.listdir(m.path(box)), "the new name in a listing")


def test_expunged(server, box, watch):
    m = watch(box)
    server.expunge(box, [2, 4])
    soon(missing(m.path(box, 2)), "the end of a name that the kernel knew")
    soon(missing(m.path(box, 4)), "the end of the other")
    assert os.listdir(m.path(box)) == ["1", "3", "5"]
    with pytest.raises(FileNotFoundError):
        m.read(box, 2)
    assert m.read(box, 3) == text(3)


def test_expunged_and_delivered(server, box, watch):
    """The count is the same, the mailbox is another."""
    m = watch(box)
    with server.client() as client:
        client.select(box)
        client.store([5], "+", ["\\Deleted"])
        client.uid_expunge([5])
        client.append(box, [Mail(box, text(9))])
    soon(missing(m.path(box, 5)), "the end of the old name")
    soon(exists(m.path(box, 6)), "the new name")
    assert m.read(box, 6) == text(9)


def test_moved(server, box, watch, mode):
    target = f"target of {box}"
    server.create(target)
    m = watch(box, everything=True)
    assert os.listdir(m.path(target)) == []
    os.listdir(m.path(box))
    wait_until(lambda: status(m)["watching"] == [mode], f"watching by {mode}")
    server.move(box, [3], target)
    soon(missing(m.path(box, 3)), "the end of the name where it was")
    soon(lambda: os.listdir(m.path(target)) == ["1"], "the name where it is")
    assert m.read(target, 1) == text(3)


def test_expunged_while_open(server, box, watch):
    uid = server.deliver(box, large(1))
    m = watch(box)
    with open(m.path(box, uid), "rb", buffering=0) as source:
        assert source.read(10) == large(1)[:10]
        server.expunge(box, [uid])
        soon(missing(m.path(box, uid)), "the end of the name")
        with pytest.raises(OSError) as caught:
            os.pread(source.fileno(), 100, len(large(1)) - 100)
        assert caught.value.errno == errno.ESTALE


# Mailboxes


def test_created(server, box, watch):
    m = watch(box, everything=True)
    os.listdir(m.point)
    server.create(f"{box}/made/below")
    soon(server.names(exists(m.path(box, "made", "below"))), "the new mailbox by name")
    soon(server.names(lambda: "made" in os.listdir(m.path(box))), "the new mailbox in a listing")
    server.deliver(f"{box}/made/below", text(8))
    soon(server.names(lambda: os.listdir(m.path(box, "made", "below")) == ["1"]), "its message")
    assert m.read(box, "made", "below", 1) == text(8)


def test_names_that_are_each_others_encoding(server, watch):
    """Dovecot's NOTIFY gives the text of a name, and that of the one is the raw name of the other."""
    names = ["at&t", "at&-t"]
    with server.client() as client:
        for count, name in enumerate(names, 1):
            if client.status(name) is None:
                client.create(name)
                client.append(name, [Mail(name, text(i)) for i in range(count)])
    m = watch(names[0], everything=True)
    before = {name: (identity(m, name), os.listdir(m.path(name))) for name in names}
    for name in names:
        uid = server.deliver(name, text(9))
        soon(exists(m.path(name, uid)), "the new message")
        assert m.read(name, uid) == text(9)
        os.listdir(m.point)
    for name in names:
        assert (identity(m, name), os.listdir(m.path(name))[:-1]) == before[name]


def test_renamed(server, box, watch):
    """Dovecot's NOTIFY tells of it only when somebody lists its mailboxes: imapfs does while names are used."""
    m = watch(box, everything=True)
    assert box in os.listdir(m.point)
    server.rename(box, f"{box} of late")
    soon(server.names(missing(m.path(box))), "the end of the old name")
    soon(server.names(exists(m.path(f"{box} of late"))), "the new name")
    listed = os.listdir(m.point)
    assert box not in listed and f"{box} of late" in listed
    assert m.read(f"{box} of late", 2) == text(2)
    with pytest.raises(FileNotFoundError):
        m.read(box, 2)


def test_deleted(server, box, watch):
    m = watch(box, everything=True)
    server.delete(box)
    soon(server.names(missing(m.path(box, 1))), "the end of a message's name")
    assert not os.path.lexists(m.path(box))
    assert box not in os.listdir(m.point)


# The same name for something else


def identity(m, box):
    status = os.stat(m.path(box))
    return status.st_ino


def rows(m, mailbox):
    """How many rows the cache has of a mailbox, in each table. The daemon lets nobody else in, so of a copy: None where
    it wrote meanwhile and the two files do not fit."""
    wheres = {"mailboxes": "id = ?", "messages": "id >> 25 = ?", "bodies": "mailbox = ?"}
    with tempfile.TemporaryDirectory(dir=m.directory) as copy:
        for name in ("cache.db", "cache.db-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(os.path.join(m.cache, name), copy)
        with contextlib.closing(sqlite3.connect(os.path.join(copy, "cache.db"))) as db, \
                contextlib.suppress(sqlite3.DatabaseError):
            return [db.execute(f"SELECT count(*) FROM {table} WHERE {where}", (mailbox,)).fetchone()[0]
                    for table, where in wheres.items()]


def check_other(m, box, old, bodies):
    """The mailbox is another now, with these bodies; nothing of the old one is left."""
    soon(lambda: identity(m, box) != old, "another inode")
    soon(lambda: os.listdir(m.path(box)) == [str(uid) for uid in bodies], "the new messages")
    for uid, body in bodies.items():
        assert m.read(box, uid) == body
        assert os.stat(m.path(box, uid)).st_ino == identity(m, box) + uid
    wait_until(lambda: rows(m, old >> 32) == [0, 0, 0], "no rows of the old mailbox")
    wait_until(lambda: all(rows(m, identity(m, box) >> 32) or [0]), "rows of the new one")


def open_and_stale(m, box, uid):
    """An open file whose end the kernel has not read, and the check that it is stale."""
    source = open(m.path(box, uid), "rb", buffering=0)
    assert source.read(5) == b"Subje"

    def check():
        with source, pytest.raises(OSError) as caught:
            os.pread(source.fileno(), 100, len(large(1)) - 100)
        assert caught.value.errno == errno.ESTALE
    return check


MAPPED = """
import mmap, sys
with open(sys.argv[1], "rb") as source:
    pages = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)
assert pages[:5] == b"Subje"
print("mapped", flush=True)
sys.stdin.readline()
print(pages[len(pages) - 100:], flush=True)
"""


def map_and_stale(m, box, uid):
    """The same for one that is mapped: what the kernel has not read ends in a signal, not in other octets."""
    process = subprocess.Popen([sys.executable, "-c", MAPPED, m.path(box, uid)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    live.add(process)
    assert process.stdout.readline() == "mapped\n"

    def check():
        out, _ = process.communicate("now\n", timeout=30)
        live.discard(process)
        assert (process.returncode, out) == (-signal.SIGBUS, "")
    return check


def test_uidvalidity(server, box, watch):
    server.deliver(box, large(1))
    m = watch(box, everything=True)
    assert m.read(box, 1) == text(1)
    old = identity(m, box)
    check_stale = open_and_stale(m, box, 6)
    check_mapped = map_and_stale(m, box, 6)
    directory = os.open(m.path(box), os.O_RDONLY)
    m.expect("UIDVALIDITY of .* changed")
    server.set_uidvalidity(box, 1234567)
    check_other(m, box, old, {**{i: text(i) for i in range(1, 6)}, 6: large(1)})
    check_stale()
    check_mapped()
    with pytest.raises(OSError) as caught:
        os.stat("5", dir_fd=directory)
    os.close(directory)
    assert caught.value.errno in (errno.ESTALE, errno.ENOENT)


def test_made_anew(server, box, watch):
    server.deliver(box, large(1))
    m = watch(box, everything=True)
    assert m.read(box, 1) == text(1)
    old = identity(m, box)
    check_stale = open_and_stale(m, box, 6)
    with server.client() as client:
        client.delete(box)
        client.create(box)
        client.append(box, [Mail(box, text(i)) for i in (20, 21)])
    # Whether it is missed for a moment, or found to be another, depends on who looks first.
    m.tolerate("UIDVALIDITY of .* changed")
    check_other(m, box, old, {1: text(20), 2: text(21)})
    check_stale()


# What people ask for


def test_status(servers, mount):
    server = servers("NOTIFY")
    m = mount(server)
    m.read("INBOX", 1)
    wait_until(lambda: status(m)["watching"] == ["NOTIFY"], "watching")
    # Writes of the cache are gathered for a moment.
    wait_until(lambda: not status(m)["cache"][0].startswith("on disk, 0 "), "what was read is in the cache")
    # One message was read; the others' rows are asked for behind that.
    wait_until(lambda: any(re.match("INBOX: .* complete, checked ", line) for line in status(m)["mailbox"]), "the mailbox is known")
    said = run(PROGRAM, "--status", m.point).stdout
    for line in (r"server: user@localhost:\d+", r"state: online", r"capabilities: .*\bNOTIFY\b.*", r"watching: NOTIFY",
                 r"connection: \[\d+\] data: .*INBOX.*", r"connection: \[\d+\] watch: .*",
                 r"wire: [1-9]\d* in, [1-9]\d* out, [1-9]\d* turns", r"cache: on disk, [1-9]\d* of \d+ bytes, .*",
                 r"mailbox: INBOX: 1 messages, UIDVALIDITY \d+, complete, checked \d+ s ago"):
        assert re.search(f"^{line}$", said, re.M), (line, said)
    assert run(PROGRAM, "--status", m.directory, check=False).returncode == 5


def test_status_is_hidden(servers, mount, directory):
    m = mount(servers("NOTIFY"))
    m.read("INBOX", 1)
    assert m.read(".imapfs", "status")
    assert ".imapfs" not in os.listdir(m.point)
    assert ".imapfs" not in run("ls", "-aR", m.point).stdout
    assert ".imapfs" not in run("find", m.point).stdout
    assert "watching" not in run("grep", "-r", "watching", m.point, check=False).stdout
    run("rsync", "-a", m.point + "/", directory + "/copy")
    assert os.path.exists(directory + "/copy/INBOX/1")
    assert not os.path.lexists(directory + "/copy/.imapfs")
    for name, error in (("status", errno.EPERM), ("other", errno.ENOENT)):
        with pytest.raises(OSError) as raised:
            os.unlink(m.path(".imapfs", name))
        assert raised.value.errno == error


def test_status_is_new_each_time(servers, mount):
    m = mount(servers("NOTIFY"))

    def received():
        return int(status(m)["wire"][0].split()[0])
    before = received()
    os.listdir(m.path("INBOX"))
    wait_until(lambda: received() > before, "more octets in a second status")


def test_status_to_the_log(servers, mount):
    m = mount(servers("NOTIFY"))
    m.read("INBOX", 1)
    m.expect("state: online")
    m.expect("mailbox: INBOX: 1 messages")
    m.expect(".")
    os.kill(m.pid, signal.SIGUSR1)
    m.wait_said("mailbox: INBOX: 1 messages")


def daemon_of(m):
    """The process in the background that serves the mount."""
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != m.pid:
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as source:
                    if source.read().endswith(b"\0" + m.point.encode() + b"\0"):
                        return int(entry)
            except OSError:
                pass
    return None


def test_hangup_refreshes(servers, mount):
    server = servers("polling")
    server.create("hangup")
    with server.client() as client:
        client.append("hangup", [Mail("hangup", text(i)) for i in (1, 2)])
    m = mount(server, "refresh=3600", flags=(), ready=False)
    assert m.process.wait(20) == 0 and is_mounted(m.point)
    pid = daemon_of(m)
    assert sorted(os.listdir(m.path("hangup"))) == ["1", "2"]
    server.expunge("hangup", [1])
    server.create("hangup too")
    os.stat(m.path("hangup", 1))
    os.kill(pid, signal.SIGHUP)
    soon(missing(m.path("hangup", 1)), "the end of the name")
    soon(exists(m.path("hangup too")), "the new mailbox")
    m.stop()
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the daemon")


def test_hangup_in_the_foreground_unmounts(servers, mount):
    m = mount(servers("NOTIFY"))
    os.kill(m.pid, signal.SIGHUP)
    m.finished()


def test_another_mailbox_is_watched(servers, mount):
    """IDLE follows whoever lists or reads."""
    server = servers("IDLE")
    with server.client() as client:
        for name in ("first", "second"):
            client.create(name)
            client.append(name, [Mail(name, text(i)) for i in (1, 2)])
    m = mount(server, "refresh=3600")
    for name in ("first", "second", "first"):
        uids = sorted(os.listdir(m.path(name)))
        for uid in uids:
            os.stat(m.path(name, uid))
        wait_until(lambda: status(m)["watching"] == ["IDLE"], "watching")
        server.deliver(name, text(9))
        server.expunge(name, [int(uids[0])])
        soon(missing(m.path(name, uids[0])), f"the end of {name}/{uids[0]}")


@pytest.mark.parametrize("name", ["R&D", "{9} Entw\u00fcrfe", "\u9001\u4fe1"])
def test_told_by_another_name(servers, mount, name):
    """Dovecot's NOTIFY gives names in UTF-8, and its LIST in modified UTF-7."""
    server = servers("NOTIFY")
    server.create(name)
    uid = server.deliver(name, text(1))
    m = mount(server, "refresh=3600")
    os.stat(m.path(name, uid))
    wait_until(lambda: status(m)["watching"] == ["NOTIFY"], "watching")
    server.expunge(name, [uid])
    soon(missing(m.path(name, uid)), "the end of a name that the kernel knew")


def test_time_to_show(servers, mount):
    """Within 2 s where the server pushes; the median, since a machine may be busy for once."""
    server = servers("NOTIFY")
    server.create("times")
    m = mount(server, "refresh=3600")
    assert os.listdir(m.path("times")) == []
    wait_until(lambda: status(m)["watching"] == ["NOTIFY"], "watching")
    times = []
    for _ in range(5):
        uid = server.deliver("times", text(1))
        start = time.monotonic()
        soon(exists(m.path("times", uid)), "the new name")
        times.append(time.monotonic() - start)
    assert sorted(times)[2] < 1.5 + late(), times
