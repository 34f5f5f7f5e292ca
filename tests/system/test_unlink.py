# SPDX-License-Identifier: MIT
"""rm: what it removes is gone on the server, and nothing else is."""
import errno
import os
import threading
import time

import pytest

from dovecot import Dovecot, Mail
from mounting import run, sent, wait_until

TEXT = b"Subject: x\r\n\r\nbody\r\n"


@pytest.fixture(name="servers", scope="module")
def fixture_servers(start_server):
    """By whether UID EXPUNGE is offered."""
    made = {}

    def get(uidplus):
        if uidplus not in made:
            hide = () if uidplus else ("UIDPLUS",)
            made[uidplus] = start_server([Mail("INBOX", TEXT)], rawlog=True, hide=hide)
        return made[uidplus]
    return get


@pytest.fixture(name="mount")
def fixture_mount(mount):
    """Where UIDPLUS is lacking nothing is removed without that."""
    return lambda server, *options: mount(server, "expunge=force", *options)


@pytest.fixture(name="server", params=[True, False], ids=["UIDPLUS", "without UIDPLUS"])
def fixture_server(servers, request):
    return servers(request.param)


@pytest.fixture(name="box")
def fixture_box(server, own_name):
    """A mailbox of its own for a test, with 30 messages."""
    with server.client() as client:
        client.create(own_name)
        client.append(own_name, [Mail(own_name, TEXT + b"%d\r\n" % i, 1700000000 + i, ["\\Seen"] if i % 3 else []) for i in range(30)])
    return own_name


def changes(server, since=0.0):
    """Only what can change something."""
    return [line for line in sent(server, since=since)
            if any(word in line for word in (b" STORE ", b" EXPUNGE", b" CLOSE", b" APPEND", b" COPY ", b" MOVE ",
                                             b" CREATE", b" DELETE", b" RENAME", b" SETACL", b"SUBSCRIBE"))]


def snapshot(server):
    """All that a change could change."""
    return server.flags_snapshot(), set(server.mailboxes())


def test_rm(server, box, mount):
    before = server.flags(box)
    m = mount(server)
    run("rm", "-f", m.path(box, 3))
    assert not os.path.lexists(m.path(box, 3))
    assert server.flags(box) == {uid: flags for uid, flags in before.items() if uid != 3}
    run("rm", "-f", *(m.path(box, uid) for uid in (1, 30, 17)))
    left = [str(uid) for uid in before if uid not in (1, 3, 17, 30)]
    assert os.listdir(m.path(box)) == left
    assert server.flags(box) == {uid: before[uid] for uid in map(int, left)}
    m.restart()
    assert os.listdir(m.path(box)) == left
    assert m.read(box, 4) == server.fetch_all(box)[4]


def test_confirmed_when_rm_returns(server, box, mount):
    m = mount(server)
    os.unlink(m.path(box, 5))
    assert 5 not in server.uids(box)


def test_rm_of_what_is_not_there(server, box, mount):
    m = mount(server)
    with pytest.raises(FileNotFoundError):
        os.unlink(m.path(box, 31))
    with pytest.raises(FileNotFoundError):
        os.unlink(m.path(box, "01"))
    with pytest.raises(IsADirectoryError):
        os.unlink(m.path(box))
    assert server.uids(box) == list(range(1, 31))


def test_rm_after_another(server, box, mount):
    """Another client was faster: what was wanted has come true, and nothing else goes."""
    m = mount(server)
    assert len(os.listdir(m.path(box))) == 30
    server.expunge(box, [9])
    try:
        os.unlink(m.path(box, 9))
    except FileNotFoundError:
        pass
    assert not os.path.lexists(m.path(box, 9))
    assert server.uids(box) == [uid for uid in range(1, 31) if uid != 9]


def test_rm_r(server, box, mount):
    """The messages go, and the directory, and what is not in it stays."""
    others = set(server.mailboxes()) - {box}
    m = mount(server)
    run("rm", "-rf", m.path(box))
    assert not os.path.lexists(m.path(box))
    assert set(server.mailboxes()) == others


def test_find_delete(server, box, mount):
    m = mount(server)
    run("find", m.path(box), "-type", "f", "-name", "*5", "-delete")
    assert server.uids(box) == [uid for uid in range(1, 31) if uid % 10 != 5]


def test_concurrent_removers(server, box, mount):
    """Each message is removed by exactly one of four; the others hear that it is not there."""
    m = mount(server)
    results, lock = [], threading.Lock()

    def remove_all():
        for uid in range(1, 26):
            try:
                os.unlink(m.path(box, uid))
                result = (uid, 0)
            except OSError as error:
                result = (uid, error.errno)
            with lock:
                results.append(result)

    threads = [threading.Thread(target=remove_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {result for result in results if result[1] not in (0, errno.ENOENT)} == set()
    assert sorted(uid for uid, result in results if result == 0) == list(range(1, 26))
    assert server.uids(box) == [26, 27, 28, 29, 30]
    assert server.flags(box).keys() == {26, 27, 28, 29, 30}


def test_mailboxes_at_once(server, box, mount):
    """Within one directory the kernel lets one unlink in at a time, but there are others."""
    boxes = [box, box + "second", box + "third"]
    for name in boxes[1:]:
        server.create(name)
        with server.client() as client:
            client.append(name, [Mail(name, TEXT)] * 20)
    m = mount(server)
    run("sh", "-c", "; ".join(f"rm -f '{m.path(name)}'/1? &" for name in boxes).replace("&;", "&") + " wait")
    for name in boxes:
        assert server.uids(name) == [uid for uid in server.uids(name) if not 10 <= uid <= 19]
        assert os.listdir(m.path(name)) == [str(uid) for uid in server.uids(name)]
        assert len(server.uids(name)) == (20 if name == box else 10)


def test_marks_of_others_survive(server, box, mount):
    """What another client marked \\Deleted is neither expunged nor unmarked."""
    server.store(box, [2, 4, 29], "+", ["\\Deleted"])
    before = server.flags(box)
    m = mount(server)
    os.unlink(m.path(box, 10))
    assert server.flags(box) == {uid: flags for uid, flags in before.items() if uid != 10}
    # One that they marked may be removed here.
    os.unlink(m.path(box, 4))
    assert server.flags(box) == {uid: flags for uid, flags in before.items() if uid not in (4, 10)}
    m.stop()
    assert server.flags(box) == {uid: flags for uid, flags in before.items() if uid not in (4, 10)}


def test_two_mounts(server, box, mount):
    """Of one account, each with its own cache, at once: the same holds."""
    marked = {1, 8, 15, 22, 29}
    server.store(box, sorted(marked), "+", ["\\Deleted"])
    before = server.flags(box)
    mounts = [mount(server), mount(server)]
    parts = [range(2, 8), range(9, 15)]

    def remove(m, part):
        for uid in part:
            os.unlink(m.path(box, uid))

    threads = [threading.Thread(target=remove, args=pair) for pair in zip(mounts, parts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    removed = {*parts[0], *parts[1]}
    assert server.flags(box) == {uid: flags for uid, flags in before.items() if uid not in removed}


def test_open_message(server, box, mount):
    """What is read of an open message stays right; the rest is gone, and never another's."""
    m = mount(server)
    body = TEXT + b"y" * 2_000_000
    uid = server.deliver(box, body)
    wait_until(lambda: os.path.exists(m.path(box, uid)), "the new message has its name")
    with open(m.path(box, uid), "rb", buffering=0) as source:
        assert os.pread(source.fileno(), 1000, 0) == body[:1000]
        os.unlink(m.path(box, uid))
        assert not os.path.exists(m.path(box, uid))
        run("sh", "-c", "true")
        os.posix_fadvise(source.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with pytest.raises(OSError) as caught:
            os.pread(source.fileno(), 1000, 1_900_000)
        assert caught.value.errno == errno.ESTALE
    assert uid not in server.uids(box)


def opened(path, flags, write=b""):
    """Opening may succeed, but not what it is for."""
    descriptor = os.open(path, flags)
    try:
        os.write(descriptor, write)
    finally:
        os.close(descriptor)


def allocate(path):
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.posix_fallocate(descriptor, 0, 1 << 20)
    finally:
        os.close(descriptor)


def refusals(m, box, readonly):
    """Every way to change something but unlink and directories, as (name, call); on a read-only mount of
    these too."""
    message, directory = m.path(box, 1), m.path(box)
    return [
        ("rename a mailbox", lambda: os.rename(directory, m.path("renamed"))),
        ("mkdir", lambda: os.mkdir(m.path("made"))),
        ("mkdir below", lambda: os.mkdir(m.path(box, "made"))),
    ] * readonly + [
        ("create where no mail can be", lambda: opened(m.path("new"), os.O_CREAT | os.O_WRONLY)),
        ("temporary file", lambda: opened(directory, os.O_TMPFILE | os.O_WRONLY)),
        ("write", lambda: opened(message, os.O_WRONLY, b"x")),
        ("read and write", lambda: opened(message, os.O_RDWR, b"x")),
        ("append", lambda: opened(message, os.O_WRONLY | os.O_APPEND, b"x")),
        ("truncate on open", lambda: opened(message, os.O_WRONLY | os.O_TRUNC)),
        ("truncate", lambda: os.truncate(message, 0)),
        ("allocate", lambda: allocate(message)),
        ("rename", lambda: os.rename(message, m.path(box, "other"))),
        ("rename over", lambda: os.rename(message, m.path(box, 2))),
        ("move in", lambda: os.rename(m.errors, m.path(box, "x"))),
        ("link", lambda: os.link(message, m.path(box, "link"))),
        ("symlink", lambda: os.symlink("1", m.path(box, "link"))),
        ("rmdir", lambda: os.rmdir(directory)),
        ("mknod", lambda: os.mknod(m.path(box, "node"))),
        ("mkfifo", lambda: os.mkfifo(m.path(box, "fifo"))),
        ("setxattr", lambda: os.setxattr(message, "user.x", b"1")),
        ("removexattr", lambda: os.removexattr(message, "user.x")),
    ]


@pytest.mark.parametrize("readonly", [False, True], ids=["rw", "ro"])
def test_every_other_change(servers, mount, readonly):
    server = servers(True)
    if server.mailboxes().get("Refused") is None:
        server.load([Mail("Refused", TEXT), Mail("Refused", TEXT)])
    before = snapshot(server)
    since = time.time()
    m = mount(server, *(("ro",) if readonly else ()))
    assert os.listdir(m.path("Refused")) == ["1", "2"]
    m.tolerate(r"messages cannot be edited")
    wrong = []
    for name, call in refusals(m, "Refused", readonly):
        # Across filesystems the kernel answers by itself.
        allowed = {errno.EROFS, errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.ENOTEMPTY} if name != "move in" else {errno.EXDEV}
        try:
            call()
            wrong.append((name, "succeeds"))
        except OSError as error:
            if error.errno not in allowed:
                wrong.append((name, errno.errorcode[error.errno]))
    assert wrong == []
    assert os.listdir(m.path("Refused")) == ["1", "2"]
    assert m.read("Refused", 1) == TEXT
    m.stop()
    assert snapshot(server) == before
    assert changes(server, since) == []


def test_read_only_mount(server, box, mount):
    before = snapshot(server)
    since = time.time()
    m = mount(server, "ro")
    with pytest.raises(OSError) as caught:
        os.unlink(m.path(box, 1))
    assert caught.value.errno == errno.EROFS
    assert run("rm", "-rf", m.path(box), check=False).returncode == 1
    m.stop()
    assert snapshot(server) == before
    assert changes(server, since) == []


def test_rights(mount):
    """Without the rights to mark and to expunge: EACCES, and nothing has been sent."""
    with Dovecot(acl=True, rawlog=True) as server:
        server.load([Mail("Shared", TEXT)] * 3 + [Mail("INBOX", TEXT)])
        with server.client() as client:
            client.command(b"SETACL Shared owner lr")
        before = server.flags("Shared")
        m = mount(server)
        assert len(os.listdir(m.path("Shared"))) == 3
        assert m.read("Shared", 2) == TEXT
        with pytest.raises(OSError) as caught:
            os.unlink(m.path("Shared", 2))
        assert caught.value.errno in (errno.EACCES, errno.EROFS)
        assert os.listdir(m.path("Shared")) == ["1", "2", "3"]
        os.unlink(m.path("INBOX", 1))
        m.stop()
        assert server.flags("Shared") == before
        assert not [line for line in changes(server) if b"STORE 2 " in line]
