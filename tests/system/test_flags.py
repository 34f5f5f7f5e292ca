# SPDX-License-Identifier: MIT
"""Flags and other attributes of messages, as extended attributes."""
import errno
import os
import subprocess
import time

import pytest

from dovecot import Mail
from fakeimap import CAPABILITIES, FakeImap, Mailbox, Message
from mounting import run, sent, wait_until
from programs import PROGRAM
from servers import errno_of, mount as fake_mount

TEXT = b"Subject: x\r\n\r\nbody\r\n"
FLAGS = "user.imap.flags"
CONDSTORE = CAPABILITIES + ("CONDSTORE",)


def flags(m, *names):
    return os.getxattr(m.path(*names), FLAGS).decode()


def error_of(f, *arguments):
    with pytest.raises(OSError) as error:
        f(*arguments)
    return error.value.errno


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    return start_server([Mail("INBOX", TEXT, 1700000000)] * 5 + [Mail("Späße", TEXT, 1700000000)] * 1000, rawlog=True)


def fake(**behaviour):
    messages = [Message(TEXT, flags=["\\Seen", "$Work", "\\Flagged"]), Message(TEXT), Message(TEXT, flags=["zeta", "Alpha"])]
    return FakeImap({"INBOX": Mailbox(messages), "Other": [TEXT] * 3}, **behaviour)


def test_names(server, mount):
    m = mount(server)
    path = m.path("Späße", 7)
    assert os.listxattr(path) == [FLAGS]
    assert os.listxattr(m.path("Späße")) == [] == os.listxattr(m.path(".imapfs", "status"))
    assert os.getxattr(path, "user.imap.uid") == b"7"
    assert os.getxattr(path, "user.imap.internaldate") == b"14-Nov-2023 22:13:20 +0000"
    assert os.getxattr(path, "user.imap.mailbox") == os.getxattr(m.path("Späße"), "user.imap.mailbox") == b"Sp&AOQA3w-e"
    assert os.getxattr(path, FLAGS) == b""
    for name in ("user.imap.uid", FLAGS):
        assert error_of(os.getxattr, m.path("Späße"), name) == errno.ENODATA
    assert error_of(os.getxattr, path, "user.imap.nonsense") == errno.ENODATA
    for name in ("user.other", "security.selinux", "system.posix_acl_access", "trusted.x"):
        for where in (path, m.path("Späße"), m.path(".imapfs", "status")):
            assert error_of(os.getxattr, where, name) == errno.EOPNOTSUPP


def test_another_client(server, mount):
    """What another client sets is seen at once, or at the next look, and after a remount."""
    m = mount(server)
    assert flags(m, "INBOX", 1) == flags(m, "INBOX", 2) == ""
    with server.client() as client:
        client.select("INBOX")
        client.store([1], "+", ["\\Seen", "$Work", "alpha"])
        wait_until(lambda: flags(m, "INBOX", 1) == "\\Seen $Work alpha", "they are set")
        client.store([1], "-", ["\\Seen", "alpha"])
        client.store([2], "+", ["\\Deleted", "\\Answered"])
        wait_until(lambda: flags(m, "INBOX", 1) == "$Work", "they are taken off")
        wait_until(lambda: flags(m, "INBOX", 2) == "\\Answered \\Deleted", "and the others set")
    m.restart()
    assert flags(m, "INBOX", 1) == "$Work" and flags(m, "INBOX", 2) == "\\Answered \\Deleted"


def test_thousand(server, mount):
    """One question for a mailbox."""
    m = mount(server)
    names = os.listdir(m.path("Späße"))
    since = time.time()
    for name in names:
        assert os.getxattr(m.path("Späße", name), FLAGS) == b""
    m.stop()
    asked = sent(server, b"FLAGS", since)
    assert len(asked) <= 3, asked


def asked(server):
    """The commands that asked for flags."""
    return [line for line in server.lines("UID FETCH") if "FLAGS" in line]


def test_lists_ask_for_none():
    with fake() as server, fake_mount(server) as m:
        for command in (["ls", "-l"], ["find", "."], ["grep", "-r", "body"]):
            subprocess.run(command, cwd=m.point, check=True, stdout=subprocess.DEVNULL)
        assert os.listxattr(m.path("INBOX", 1)) == [FLAGS]
        assert not asked(server)


def test_order(slow):
    with fake() as server, fake_mount(server, **slow) as m:
        os.listdir(m.path("INBOX"))
        assert [flags(m, "INBOX", uid) for uid in (1, 2, 3)] == ["\\Seen \\Flagged $Work", "", "Alpha zeta"]
        assert asked(server).count("UID FETCH 1:* (UID FLAGS)") == 1
        # From then on the rows of a mailbox bring them along.
        os.listdir(m.path("Other"))
        assert flags(m, "Other", 2) == ""
        assert asked(server).count("UID FETCH 1:* (UID FLAGS)") == 1
        assert asked(server).count("UID FETCH 1:* (UID RFC822.SIZE INTERNALDATE FLAGS)") == 1


@pytest.mark.parametrize("more, hide", [
    (("CONDSTORE",), ()), (("CONDSTORE", "NOTIFY"), ("FlagChange",)), (("CONDSTORE", "QRESYNC"), ("IDLE",)), ((), ("IDLE",))])
def test_followed(more, hide):
    """Whatever the server tells by: a change shows within `refresh`."""
    with fake(capabilities=CAPABILITIES + more, hide=hide) as server, fake_mount(server, says=None, refresh=1) as m:
        assert flags(m, "INBOX", 1) == "\\Seen \\Flagged $Work"
        server.set_flags("INBOX", 1, "$Work", "More")
        wait_until(lambda: flags(m, "INBOX", 1) == "$Work More", "it is seen")
        server.set_flags("INBOX", 2, "\\Deleted")
        wait_until(lambda: flags(m, "INBOX", 2) == "\\Deleted", "and the next")
        new = server.append("INBOX", Message(TEXT, flags=["\\Draft", "new"]))
        wait_until(lambda: os.path.exists(m.path("INBOX", new)), "it is there")
        assert flags(m, "INBOX", new) == "\\Draft new"


@pytest.mark.parametrize("more", [("CONDSTORE", "NOTIFY"), ()])
def test_told(more):
    """What the server tells of by itself need not be asked for: refresh is an hour."""
    with fake(capabilities=CAPABILITIES + more) as server, fake_mount(server, refresh=3600) as m:
        os.listdir(m.path("INBOX"))
        server.wait_for("NOTIFY" if more else "IDLE")
        assert flags(m, "INBOX", 1) == "\\Seen \\Flagged $Work"
        if more:
            server.wait_for("NOTIFY", 2)
        server.set_flags("INBOX", 1, "$Work")
        wait_until(lambda: flags(m, "INBOX", 1) == "$Work", "it is seen")
        if not more:
            assert len([line for line in asked(server) if line.startswith("UID FETCH 1")]) == 1


def test_remount_asks_for_changes(directory, slow):
    with fake(capabilities=CAPABILITIES + ("CONDSTORE",), hide=("IDLE",)) as server:
        with fake_mount(server, directory, **slow) as m:
            os.listdir(m.path("INBOX"))
            assert flags(m, "INBOX", 1) == "\\Seen \\Flagged $Work"
        server.set_flags("INBOX", 3, "beta", "zeta")
        with fake_mount(server, directory, **slow) as m:
            assert flags(m, "INBOX", 3) == "beta zeta"
            assert flags(m, "INBOX", 1) == "\\Seen \\Flagged $Work"
        assert [line for line in asked(server) if "CHANGEDSINCE" in line] and len(asked(server)) == 2


def test_offline(directory):
    """What is remembered is shown."""
    with fake() as server:
        with fake_mount(server, directory) as m:
            assert flags(m, "INBOX", 1) == "\\Seen \\Flagged $Work"
        with fake_mount(server, directory, offline=True) as m:
            assert flags(m, "INBOX", 1) == "\\Seen \\Flagged $Work"


def test_refused():
    with fake() as server, fake_mount(server) as m:
        os.listdir(m.path("INBOX"))
        server.rule("UID FETCH", match=b"FLAGS", reply=b"NO not for you", times=1)
        assert errno_of(flags, m, "INBOX", 1) == "EIO"
        assert flags(m, "INBOX", 1) == "\\Seen \\Flagged $Work"


@pytest.mark.parametrize("sets", [False, True], ids=["get", "set"])
def test_answered_without_it(sets):
    """By a connection that has not been told of the message yet: it is asked once more."""
    with fake() as server, fake_mount(server) as m:
        os.listdir(m.path("INBOX"))
        rule = server.rule("UID FETCH", match=b"FLAGS", reply=b"OK done", times=1)
        if sets:
            set_flags(m, "\\Answered", "INBOX", 1)
        assert flags(m, "INBOX", 1) == ("\\Answered" if sets else "\\Seen \\Flagged $Work")
        assert rule.hits


def test_emailid(slow):
    # What a check asks after a second is no question about flags.
    with fake(capabilities=CAPABILITIES + ("OBJECTID",)) as server, fake_mount(server, **slow) as m:
        os.listdir(m.path("INBOX"))
        ids = {os.getxattr(m.path("INBOX", uid), "user.imap.emailid") for uid in (1, 2, 3)}
        assert len(ids) == 3 and len(asked(server)) == 1
        assert os.listxattr(m.path("INBOX", 1)) == [FLAGS]
        assert flags(m, "INBOX", 1) == "\\Seen \\Flagged $Work"
    with fake() as server, fake_mount(server) as m:
        assert errno_of(os.getxattr, m.path("INBOX", 1), "user.imap.emailid") == "ENODATA"
        assert not asked(server)


# Setting

ASYNC = {"async": True}


def set_flags(m, text, *names):
    os.setxattr(m.path(*names), FLAGS, text.encode())


def done(m):
    """All that was promised is done on the server."""
    run(PROGRAM, "--sync", m.point)


def test_set(server, mount):
    m = mount(server, "async")
    assert flags(m, "INBOX", 5) == ""
    set_flags(m, "\\Seen  $mine\n\\Flagged", "INBOX", 5)
    assert flags(m, "INBOX", 5) == "\\Seen \\Flagged $mine"
    set_flags(m, "\\Flagged more $MINE", "INBOX", 5)
    assert flags(m, "INBOX", 5) == "\\Flagged $mine more"
    done(m)
    with server.client() as client:
        client.select("INBOX")
        assert set(client.flags()[5]) >= {"\\Flagged", "$mine", "more"} and "\\Seen" not in client.flags()[5]
        # What somebody else marks meanwhile stays, unless it was shown.
        client.store([5], "+", ["\\Deleted"])
        set_flags(m, "\\Seen", "INBOX", 5)
        done(m)
        assert {"\\Seen", "\\Deleted"} >= set(client.flags()[5]) - {"\\Recent"} and "\\Seen" in client.flags()[5]
    os.removexattr(m.path("INBOX", 5), FLAGS)
    assert flags(m, "INBOX", 5) == ""
    done(m)
    m.restart()
    assert flags(m, "INBOX", 5) == ""


def test_set_errors(server, mount):
    m = mount(server, "async")
    path = m.path("INBOX", 4)
    for text, error in (("\\Recent", "EPERM"), ("\\Nonsense", "EINVAL"), ("\\*", "EINVAL"), ("a(b", "EINVAL"),
                        ("größe", "EINVAL"), ("x" * 40000, "E2BIG")):
        assert errno_of(set_flags, m, text, "INBOX", 4) == error, text
    assert errno_of(os.setxattr, path, FLAGS, b"", os.XATTR_CREATE) == "EEXIST"
    for name in ("user.imap.uid", "user.imap.nonsense"):
        assert errno_of(os.setxattr, path, name, b"7") == "EPERM"
        assert errno_of(os.removexattr, path, name) == "EPERM"
    for name in ("user.other", "trusted.x"):
        assert errno_of(os.setxattr, path, name, b"x") == "ENOTSUP"
    assert errno_of(os.setxattr, m.path("INBOX"), FLAGS, b"x") == "ENOTSUP"
    assert flags(m, "INBOX", 4) == ""
    m = mount(server, "ro")
    assert errno_of(set_flags, m, "\\Seen", "INBOX", 4) == "EROFS"


def test_set_thousand():
    """In as few commands as the same changes need."""
    with FakeImap({"INBOX": [TEXT] * 1000}) as server, fake_mount(server, timeout=150, **ASYNC) as m:
        # What is set while a command is under way goes together into the next.
        first = server.rule("UID STORE", times=1, stall=True)
        for name in os.listdir(m.path("INBOX")):
            set_flags(m, "\\Seen $Work", "INBOX", name)
        first.release()
        done(m)
        stores = server.lines("UID STORE")
        assert len(stores) <= 5, stores
        assert all(message.flags == {b"\\Seen", b"$Work"} for message in server.mailbox("INBOX").messages)


@pytest.mark.parametrize("sync", [True, False])
def test_set_refused(sync):
    """The flags are again what they were, and it is told."""
    says = [r"flags not changed|does not take the flags"]
    with fake() as server, fake_mount(server, says=says, **{"sync" if sync else "async": True}) as m:
        server.rule("UID STORE", reply=b"NO not for you", times=1)
        assert errno_of(set_flags, m, "\\Draft", "INBOX", 2) == ("EACCES" if sync else None)
        if not sync:
            assert flags(m, "INBOX", 2) == "\\Draft"
            run(PROGRAM, "--sync", m.point, check=False)
        assert flags(m, "INBOX", 2) == ""


def test_set_not_kept():
    """PERMANENTFLAGS without \\*: the server says OK, and keeps none."""
    with fake() as server, fake_mount(server, says=[r"does not take the flags"], sync=True) as m:
        server.rule("UID STORE", reply=b"OK done", before=b"* 2 FETCH (UID 2 FLAGS ())\r\n")
        assert errno_of(set_flags, m, "$New", "INBOX", 2) == "EACCES"
        assert flags(m, "INBOX", 2) == ""


def test_set_and_killed(directory):
    """What was promised is done by the next mount, and shows there from the start."""
    with fake() as server:
        rule = server.rule("UID STORE", stall=True)
        with fake_mount(server, directory, says=None, **ASYNC) as m:
            set_flags(m, "\\Answered", "INBOX", 2)
            m.kill()
        rule.times = 0
        rule.release()
        with fake_mount(server, directory, says=None, **ASYNC) as m:
            assert flags(m, "INBOX", 2) == "\\Answered"
            done(m)
            assert server.mailbox("INBOX").find(2).flags == {b"\\Answered"}


def test_copies_keep_them(server, mount, directory):
    m = mount(server, "async")
    set_flags(m, "\\Seen $Work", "INBOX", 3)
    for tool in (["cp", "-a"], ["rsync", "-aX"]):
        target = os.path.join(directory, tool[0])
        run(*tool, m.path("INBOX", 3), target)
        assert os.getxattr(target, FLAGS) == b"\\Seen $Work"
    done(m)


def test_seen():
    """Only what was read whole, and only with -o seen."""
    large = b"Subject: x\r\n\r\n" + b"line\r\n" * 300_000
    for option in (True, False):
        with FakeImap({"INBOX": [TEXT, large, large, TEXT]}) as server, \
                fake_mount(server, **ASYNC, **({"seen": True} if option else {})) as m:
            os.listdir(m.path("INBOX"))
            assert m.read("INBOX", 1) == TEXT and m.read("INBOX", 2) == large
            with open(m.path("INBOX", 3), "rb") as file:
                file.read(10)
            done(m)
            flagged = [bool(message.flags) for message in server.mailbox("INBOX").messages]
            assert flagged == [option, option, False, False]
            assert not option or flags(m, "INBOX", 1) == "\\Seen"
            # Once each, whether they share a command or not.
            assert m.read("INBOX", 1) == TEXT
            done(m)
            stored = [line.split()[2] for line in server.lines("UID STORE")]
            assert stored in ([["1:2"], ["1", "2"]] if option else [[]]), stored
