# SPDX-License-Identifier: MIT
"""mv of messages from mailbox to mailbox: each is in one place, nothing is lost, and its name goes on working."""
import errno
import os
import signal
import subprocess
import sys

import pytest

from dovecot import Mail
from mounting import live, process_status, run, wait_until, waits
from programs import PROGRAM

TEXT = b"Subject: x\r\n\r\nbody\r\n"
KINDS = {"MOVE": (), "without MOVE": ("MOVE",)}


@pytest.fixture(name="server", scope="module", params=KINDS)
def fixture_server(request, start_server):
    return start_server([Mail("INBOX", TEXT)], rawlog=True, hide=KINDS[request.param])


@pytest.fixture(name="boxes")
def fixture_boxes(server, own_name):
    """Two of a test's own, the first with 12 messages, the second with 3."""
    with server.client() as client:
        for box, count in ((own_name + "A", 12), (own_name + "B", 3)):
            client.create(box)
            client.append(box, [Mail(box, TEXT + b"%s %d\r\n" % (box[-1:].encode(), i), 1700000000 + i,
                                     ["\\Seen"] if i % 3 else []) for i in range(1, count + 1)])
    return own_name + "A", own_name + "B"


def bodies(server, box):
    return sorted(server.fetch_all(box).values())


def sync(m):
    run(PROGRAM, "--sync", m.point)


def test_mv(server, boxes, mount):
    """Messages keep what they are; mv looks at each new name, before it is done and after."""
    a, b = boxes
    before, flags = server.fetch_all(a), server.flags(a)
    there = bodies(server, b)
    m = mount(server, "async")
    assert len(os.listdir(m.path(a))) == 12 and len(os.listdir(m.path(b))) == 3
    run("mv", m.path(a, 7), m.path(b))
    assert not os.path.exists(m.path(a, 7))
    assert m.read(b, 7) == before[7]
    sync(m)
    assert sorted(server.uids(a)) == [uid for uid in range(1, 13) if uid != 7]
    assert server.fetch_all(b)[4] == before[7] and bodies(server, b) == sorted(there + [before[7]])
    assert server.flags(b)[4] - {"\\Recent"} == flags[7] - {"\\Recent"}
    assert m.read(b, 7) == before[7]
    assert os.listdir(m.path(b)) == ["1", "2", "3", "4"]
    assert m.read(b, 4) == before[7]


def test_mv_many_onto_names_that_are_there(server, boxes, mount):
    """1, 2 and 3 are in both: all stay, whichever way mv asks."""
    a, b = boxes
    everything = sorted(bodies(server, a) + bodies(server, b))
    of_b = server.fetch_all(b)
    m = mount(server, "async")
    assert len(os.listdir(m.path(a))) == 12 and len(os.listdir(m.path(b))) == 3
    run("mv", "-f", *(m.path(a, uid) for uid in range(1, 13)), m.path(b))
    assert os.listdir(m.path(a)) == []
    sync(m)
    assert server.uids(a) == []
    assert bodies(server, b) == everything
    wait_until(lambda: len(os.listdir(m.path(b))) == 15, "all are listed")
    assert {uid: m.read(b, uid) for uid in (1, 2, 3)} == of_b


def test_mv_n(server, boxes, mount):
    a, b = boxes
    m = mount(server, "async")
    before = server.fetch_all(a), server.fetch_all(b)
    assert len(os.listdir(m.path(a))) == 12
    run("mv", "-n", m.path(a, 2), m.path(b))
    sync(m)
    assert (server.fetch_all(a), server.fetch_all(b)) == before


def test_what_cannot_be(server, boxes, mount):
    a, b = boxes
    m = mount(server, "async")
    assert len(os.listdir(m.path(a))) == 12
    for target, error in ((a, "40"), "EPERM"), ((a, "new"), "EPERM"), ((a, "3"), "EPERM"), (("x",), "ENOTSUP"):
        with pytest.raises(OSError) as caught:
            os.rename(m.path(a, 2), m.path(*target))
        assert caught.value.errno == getattr(errno, error)
    with pytest.raises(FileNotFoundError):
        os.rename(m.path(a, 99), m.path(b, 99))
    sync(m)
    assert len(server.uids(a)) == 12 and len(server.uids(b)) == 3


def test_there_and_back(server, boxes, mount):
    """By its new name it cannot be moved or removed before the directory was listed."""
    a, b = boxes
    m = mount(server, "async")
    everything = sorted(bodies(server, a) + bodies(server, b))
    assert len(os.listdir(m.path(a))) == 12
    os.rename(m.path(a, 9), m.path(b, 9))
    for call in (lambda: os.unlink(m.path(b, 9)), lambda: os.rename(m.path(b, 9), m.path(a, 9))):
        with pytest.raises(OSError, match="busy"):
            call()
    sync(m)
    assert os.listdir(m.path(b)) == ["1", "2", "3", "4"]
    os.rename(m.path(b, 4), m.path(a, "back.eml"))
    sync(m)
    assert sorted(bodies(server, a) + bodies(server, b)) == everything
    assert len(server.uids(a)) == 12
    assert server.uids(b) == [1, 2, 3]


def test_onto_another(server, boxes, mount):
    """Until the directory is listed the name may mean the one that came: nothing is done to the other."""
    a, b = boxes
    everything = sorted(bodies(server, a) + bodies(server, b))
    m = mount(server, "async")
    assert len(os.listdir(m.path(a))) == 12 and len(os.listdir(m.path(b))) == 3
    os.rename(m.path(a, 2), m.path(b, 2))
    for call in (lambda: os.unlink(m.path(b, 2)), lambda: os.rename(m.path(b, 2), m.path(a, 2))):
        with pytest.raises(OSError, match="busy"):
            call()
    sync(m)
    assert sorted(bodies(server, a) + bodies(server, b)) == everything
    assert os.listdir(m.path(b)) == ["1", "2", "3", "4"]
    os.unlink(m.path(b, 2))
    sync(m)
    assert server.uids(b) == [1, 3, 4]


def test_confirmed(server, boxes, mount):
    """With -o sync it is done when rename returns."""
    a, b = boxes
    m = mount(server, "dirsync")
    assert len(os.listdir(m.path(a))) == 12
    os.rename(m.path(a, 5), m.path(b, 5))
    assert len(server.uids(a)) == 11 and len(server.uids(b)) == 4
    assert m.read(b, 5) == server.fetch_all(b)[4]


@pytest.mark.parametrize("how", ["dirsync", "async"])
def test_open_while_moved(server, boxes, mount, how):
    """Who has it open reads on, where it is now; so does the kernel, which may know the new name by the old inode."""
    a, b = boxes
    m = mount(server, how)
    assert len(os.listdir(m.path(a))) == 12
    text = server.fetch_all(a)[5]
    with open(m.path(a, 5), "rb", buffering=0) as file:
        os.rename(m.path(a, 5), m.path(b, 5))
        sync(m)
        assert len(server.uids(a)) == 11 and len(server.uids(b)) == 4
        assert file.read() == text
        assert os.fstat(file.fileno()).st_size == len(text)


def test_no_such_mailbox_any_more(server, boxes, mount):
    """It is refused: the message is where it was, and that is told."""
    a, b = boxes
    m = mount(server, "async")
    m.expect(r"/6: not moved")
    # Another client has deleted it before we hear of that.
    m.tolerate("cannot select")
    assert len(os.listdir(m.path(a))) == 12
    server.delete(b)
    try:
        os.rename(m.path(a, 6), m.path(b, 6))
        wait_until(lambda: os.path.exists(m.path(a, 6)), "it shows again")
    except FileNotFoundError:
        m.expected.clear()
    assert len(server.uids(a)) == 12
    assert m.read(a, 6) == server.fetch_all(a)[6]


def test_the_target_is_drained(server, boxes, mount):
    """rmdir and fsync of a directory wait for what is on its way into it, too."""
    a, b = boxes
    m = mount(server, "async")
    server.expunge(b, [1, 2, 3])
    wait_until(lambda: os.listdir(m.path(b)) == [], "it is empty")
    assert len(os.listdir(m.path(a))) == 12
    os.rename(m.path(a, 6), m.path(b, 6))
    with pytest.raises(OSError, match="not empty"):
        os.rmdir(m.path(b))
    assert server.uids(b) == [4]
    os.rename(m.path(a, 7), m.path(b, 7))
    directory = os.open(m.path(b), os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
    assert server.uids(b) == [4, 5]


def test_trash(server, boxes, mount):
    """rm moves to the trash, and there it is final."""
    a, b = boxes
    body = server.fetch_all(a)[3]
    m = mount(server, "async", "delete=trash", f"trash={b}")
    assert len(os.listdir(m.path(a))) == 12
    run("rm", "-f", m.path(a, 3))
    assert not os.path.exists(m.path(a, 3))
    sync(m)
    assert 3 not in server.uids(a) and server.fetch_all(b)[4] == body
    wait_until(lambda: os.path.exists(m.path(b, 4)), "it is in the trash")
    run("rm", "-f", m.path(b, 4))
    sync(m)
    assert server.uids(b) == [1, 2, 3] and len(server.uids(a)) == 11
    m.stop()
    m = mount(server, "dirsync", "delete=trash", f"trash={b}")
    os.unlink(m.path(a, 4))
    assert len(server.uids(b)) == 4 and len(server.uids(a)) == 10


def test_never(server, boxes, mount):
    a, b = boxes
    m = mount(server, "async", "delete=never")
    with pytest.raises(PermissionError):
        os.unlink(m.path(a, 3))
    os.rename(m.path(a, 3), m.path(b, 3))
    sync(m)
    assert len(server.uids(a)) == 11 and len(server.uids(b)) == 4


def test_no_trash(server, mount):
    m = mount(server, "delete=trash", ready=False)
    m.expect(r"there is no mailbox for what is deleted")
    m.finished(5)


def test_tools_that_replace(server, boxes, mount, tmp_path):
    """What they removed in order to make it anew stays, also where they cannot make it."""
    a, _ = boxes
    before = server.fetch_all(a)
    m = mount(server, "async")
    for uid in before:
        (tmp_path / str(uid)).write_bytes(before[uid])
    archive = tmp_path / "a.tar"
    run("tar", "-C", str(tmp_path), "-cf", str(archive), *map(str, before))
    assert len(os.listdir(m.path(a))) == 12
    for command in (["tar", "-C", m.path(a), "-xf", str(archive)],
                    ["cp", "-f", *(str(tmp_path / str(uid)) for uid in before), m.path(a)],
                    ["install", str(tmp_path / "5"), m.path(a, 5)],
                    ["python3", "-c", "import os, sys; os.unlink(sys.argv[1]); open(sys.argv[1], 'xb')", m.path(a, 7)]):
        run(*command, check=False)
    m.expect(r"messages cannot be edited")
    sync(m)
    after = server.fetch_all(a)
    assert {uid: after.get(uid) for uid in before} == before


REPLACE = """
import os, signal, sys
path, daemon = sys.argv[1], int(sys.argv[2])
os.unlink(path)
os.kill(daemon, signal.SIGSTOP)
open(path, "xb")
"""


def test_heard_late(server, boxes, mount, world):
    """What a tool makes in the place of what it removed comes in time, but the mount stands still meanwhile."""
    a, _ = boxes
    before = server.fetch_all(a)
    m = mount(server, "async", environment=world.environment)
    assert len(os.listdir(m.path(a))) == 12
    with subprocess.Popen([sys.executable, "-c", REPLACE, m.path(a, 5), str(m.pid)], stdin=subprocess.DEVNULL) as tool:
        live.add(tool)
        wait_until(lambda: process_status(m.pid)["State"][0] == "T" and waits(tool), "the file is asked for")
        world.wait(5)
        os.kill(m.pid, signal.SIGCONT)
        assert tool.wait(30) == 0
        live.discard(tool)
    sync(m)
    assert server.fetch_all(a) == before


SEPARATE = ("unshare", "--pid", "--fork", "--kill-child")


@pytest.mark.skipif(run(*SEPARATE, "true", check=False).returncode != 0, reason="needs a PID namespace of its own")
def test_tools_that_replace_and_cannot_be_seen(server, boxes, mount, tmp_path):
    """Whose process is in another PID namespace than the mount is nobody known."""
    a, _ = boxes
    before = server.fetch_all(a)
    for uid in before:
        (tmp_path / str(uid)).write_bytes(before[uid])
    archive = tmp_path / "a.tar"
    run("tar", "-C", str(tmp_path), "-cf", str(archive), *map(str, before))
    # Who looks for leaks cannot stop threads there.
    options = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    m = mount(server, "async", prefix=SEPARATE, environment={"ASAN_OPTIONS": options})
    assert len(os.listdir(m.path(a))) == 12
    run("tar", "-C", m.path(a), "-xf", str(archive))
    sync(m)
    assert server.fetch_all(a) == before
