# SPDX-License-Identifier: MIT
"""Servers that promise to tell of changes and do not, or do so late: what the mount shows is true all the
same. refresh= is an hour, so that nothing else can tell."""
import contextlib
import errno
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from fakeaccount import Mailbox
from fakeimap import CAPABILITIES
from mounting import wait_until
from servers import FakeImap, mount

BODIES = [b"Subject: %d\r\n\r\nbody\r\n" % n for n in range(1, 6)]
MODES = {"NOTIFY": (*CAPABILITIES, "NOTIFY"), "IDLE": CAPABILITIES}


@pytest.fixture(name="mode", params=MODES)
def fixture_mode(request):
    return request.param


@pytest.fixture(name="server")
def fixture_server(mode):
    with FakeImap({"INBOX": BODIES}, capabilities=MODES[mode]) as server:
        yield server


def watching(m):
    return re.search(r"^watching: (.*)$", (m.root / ".imapfs" / "status").read_text(), re.M)[1]


def listed(m):
    return os.listdir(m.root / "INBOX")


def ready(m, mode):
    wait_until(lambda: listed(m) and watching(m) == mode, f"watching by {mode}")
    return len(BODIES)


def is_at_rest(m, mailbox):
    """It has been looked at, and no connection for data has anything to do."""
    status = m.read(".imapfs", "status").decode()
    return re.search(rf"^mailbox: {mailbox}: .* complete, checked ", status, re.M) and \
        all(tasks == "0" for tasks in re.findall(r" data: .* (\d+) tasks", status))


def whole_listing(path):
    """None: the mailbox was replaced by another one in the middle of it."""
    try:
        return os.listdir(path)
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        return None


def shows(m, uid, seconds=6):
    wait_until(lambda: str(uid) in listed(m), f"message {uid} in a listing", seconds)


def is_late(m, mode):
    return watching(m) == f"{mode} (late; asking)"


def turns_out(server, m, mode):
    """It did not tell of a message. Who asked for something else meanwhile may have been told by the answer, in time:
    then the next one is left alone for as long as makes it late."""
    def late():
        with contextlib.suppress(AssertionError):
            wait_until(lambda: is_late(m, mode), "the truth in the status", 4)
            return True
        uid = server.append("INBOX", BODIES[0])
        time.sleep(2.5)
        shows(m, uid, 20)
        return False
    wait_until(late, "it is known to be late", 60)


def test_silent(server, mode):
    """From the start: the mailbox is looked at while it is listed, until that proves the server to be late;
    then each listing asks before it answers."""
    server.behaviour.push_silent = True
    with mount(server, refresh=3600) as m:
        ready(m, mode)
        shows(m, server.append("INBOX", BODIES[0]))
        turns_out(server, m, mode)
        for _ in range(3):
            time.sleep(1.1)  # one look a second
            uid = server.append("INBOX", BODIES[0])
            assert str(uid) in listed(m)
        server.expunge("INBOX", 2)
        time.sleep(1.1)
        assert "2" not in listed(m)


def test_falls_silent(server, mode):
    with mount(server, refresh=3600) as m:
        ready(m, mode)
        for _ in range(2):
            shows(m, server.append("INBOX", BODIES[0]))
        server.behaviour.push_silent = True
        shows(m, server.append("INBOX", BODIES[0]), seconds=20)
        turns_out(server, m, mode)


def test_late(server, mode):
    """By 15 s; then in time again, which is believed the third time."""
    server.behaviour.push_delay = 15
    with mount(server, refresh=3600) as m:
        ready(m, mode)
        shows(m, server.append("INBOX", BODIES[0]))
        turns_out(server, m, mode)
        wait_until(lambda: server.names().count(mode) >= 2, "another beginning")
        server.behaviour.push_delay = 0

        def in_time():
            shows(m, server.append("INBOX", BODIES[0]))
            return not is_late(m, mode)

        wait_until(in_time, "trust", 40)
        assert watching(m) == mode


def test_a_name_that_nobody_told_of(server, mode):
    """A UID that may be newer than all that is known is asked for."""
    server.behaviour.push_silent = True
    with mount(server, refresh=3600) as m:
        ready(m, mode)
        for _ in range(3):
            uid = server.append("INBOX", BODIES[0])
            time.sleep(1.1)
            assert (m.root / "INBOX" / str(uid)).read_bytes() == BODIES[0]
        count, begun = server.names().count("NOOP"), time.monotonic()
        for _ in range(100):
            assert not (m.root / "INBOX" / "4000000000").exists()
        # Once a second.
        assert server.names().count("NOOP") <= count + 3 + (time.monotonic() - begun)


def test_in_time(server, mode):
    """Who tells in time is not asked for what it told, and keeps its connection."""
    with mount(server, refresh=3600) as m:
        ready(m, mode)
        for _ in range(3):
            shows(m, server.append("INBOX", BODIES[0]))
            server.expunge("INBOX", server.mailbox("INBOX").messages[0].uid)
            time.sleep(0.5)
        assert watching(m) == mode and server.names().count("NOTIFY") <= 1


def test_a_connection_that_rests():
    """It is in IDLE where it was used last, and whoever wants something of it loses nothing by that."""
    names = {"INBOX": BODIES, "Work": BODIES}
    with FakeImap(names, capabilities=MODES["NOTIFY"]) as server, mount(server, connections=1, refresh=3600) as m:
        ready(m, "NOTIFY")
        server.wait_idle()
        for turn in range(1, 4):
            uid = server.append("INBOX", BODIES[0])
            shows(m, uid)
            assert (m.root / "INBOX" / str(uid)).read_bytes() == BODIES[0]
            assert (m.root / "Work" / str(turn)).read_bytes() == BODIES[turn - 1]
            assert str(uid) in listed(m)
            server.wait_idle()
        assert server.connections == 2 and not server.failures


def test_a_server_that_refuses_to_idle():
    with FakeImap({"INBOX": BODIES}, capabilities=MODES["NOTIFY"]) as server:
        server.rule("IDLE", reply=b"NO not here")
        with mount(server, refresh=3600) as m:
            ready(m, "NOTIFY")
            server.wait_for("IDLE")
            shows(m, server.append("INBOX", BODIES[0]))
            time.sleep(2)
            assert server.names().count("IDLE") <= 3


@pytest.mark.parametrize("told", [(b"",), (rb"\NonExistent", b"")], ids=["at once", "one by one"])
@pytest.mark.parametrize("selected", [True, False], ids=["selected", "not selected"])
def test_made_anew_under_the_same_name(told, selected):
    """What is deleted and made again, and gets no message, is told of by its name alone (RFC 5465 section 5.4), which
    was known. A connection that has the old one selected says for ever that nothing changed."""
    have = [word for word in MODES["NOTIFY"] if word != "LIST-STATUS"]
    with FakeImap({"INBOX": BODIES, "Work": BODIES}, capabilities=have) as server, \
            mount(server, refresh=3600, connections=4 if selected else 1) as m:
        ready(m, "NOTIFY")
        # Who told in time three times is believed.
        for _ in range(4):
            shows(m, server.append("INBOX", BODIES[0]))
        assert sorted(os.listdir(m.root / "Work")) == list("12345")
        server.wait(lambda: any(s.idling and (s.mailbox is server.mailbox("Work")) for s in server.sessions))
        if not selected:
            (m.root / "INBOX" / "1").read_bytes()
        with server.account.lock:
            server.account.mailboxes[b"Work"] = Mailbox(uidvalidity=1700000001)
            one = next(s for s in server.sessions if s.notified is not None)
            one.notified[b"Work"] = (1, 0, 1700000001)
        for flags in told:
            one.post(lambda s, flags=flags: s.send(b'* LIST (%s) "/" Work\r\n' % flags, now=True))
        wait_until(lambda: whole_listing(m.root / "Work") == [], "the new mailbox, which is empty", 6)
        assert not (m.root / "Work" / "1").exists() and sorted(os.listdir(m.root / "INBOX")) == list("123456789")


def test_named_while_it_is_written_to():
    """A mailbox that is told of by name is selected anew; where an upload keeps its connection for long another one
    is taken."""
    with FakeImap({"INBOX": BODIES, "Work": BODIES}, capabilities=MODES["NOTIFY"]) as server, \
            mount(server, refresh=3600, connections=4, timeout=30) as m, ThreadPoolExecutor() as pool:
        ready(m, "NOTIFY")
        assert os.listdir(m.root / "Work") == list("12345")
        assert (m.root / "Work" / "1").read_bytes() == BODIES[0]
        # Else what the first look at it has still to ask would stand behind the upload.
        wait_until(lambda: is_at_rest(m, "Work"), "what the first look at it asks is answered")
        upload = server.rule("APPEND", times=1, stall=True)
        put = pool.submit((m.root / "Work" / "new").write_bytes, BODIES[0])
        try:
            server.wait_for("APPEND", seconds=20)
            before = len(server.lines("LIST"))
            one = next(s for s in server.sessions if s.notified is not None)
            one.post(lambda s: s.send(b'* LIST () "/" Work\r\n', now=True))
            wait_until(lambda: len(server.lines("LIST")) > before, "it is looked at")
            assert os.listdir(m.root / "Work") == [*map(str, range(1, 6)), "new"]
            assert (m.root / "Work" / "2").read_bytes() == BODIES[1]
            assert not put.done()
        finally:
            upload.release()
        put.result()


@pytest.mark.limit(150)
def test_an_old_session_lists_old_names():
    """As Dovecot 2.3 may, for ever: a session that is new is asked where a name is not known, and what the old
    one says is not taken for news."""
    with FakeImap({"INBOX": BODIES, "old": BODIES}, capabilities=MODES["NOTIFY"]) as server:
        with mount(server, refresh=3600) as m:
            ready(m, "NOTIFY")
            first = server.connections
            server.rule("LIST", match=b"^LIST", raw=lambda session: (
                b'* LIST () "/" INBOX\r\n* LIST () "/" old\r\n{tag} OK done\r\n' if session.number <= first else
                b'* LIST () "/" INBOX\r\n* LIST () "/" new\r\n{tag} OK done\r\n'))
            with server.account.lock:
                server.account.mailboxes[b"new"] = server.account.mailboxes.pop(b"old")
            time.sleep(61)
            wait_until(lambda: (m.root / "new").exists(), "the new name", 10)
            end = time.monotonic() + 5
            while time.monotonic() < end:
                assert sorted(os.listdir(m.root)) == ["INBOX", "new"]
                assert not (m.root / "old").exists()
                time.sleep(0.3)
            assert os.listdir(m.root / "new") and server.connections <= first + 2
