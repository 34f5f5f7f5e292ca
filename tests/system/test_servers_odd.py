# SPDX-License-Identifier: MIT
"""Servers of two minds: they say one thing and do another. Nothing is asked in a storm, and nobody pays for another's trouble."""
import concurrent.futures
import os
import re
import signal
import threading
import time

import pytest

from fakeimap import Mailbox, Message
from mounting import run, wait_until
from programs import PROGRAM
from servers import FakeImap, FakeMount, errno_of, mount, uids

FEW = ("IMAP4rev1", "IDLE", "UIDPLUS", "LIST-EXTENDED", "LIST-STATUS", "CHILDREN")


def times(server, name):
    return [command.time for command in list(server.commands) if command.name == name]


def test_status_knows_what_select_refuses():
    """LIST must not lead to SELECT, its refusal to LIST, and so on as fast as the line allows."""
    with FakeImap({"INBOX": [b"1"], "Box": [b"1", b"22"]}, capabilities=FEW) as server:
        with mount(server, says=None, refresh=1) as m:
            assert uids(m.root / "Box") == [1, 2]
            refused = server.rule("EXAMINE", match=rb"Box", reply=b"NO not any more")
            server.wait(lambda: refused.hits > 0)
            server.append("Box", b"333")
            before = len(times(server, "LIST"))
            server.wait(lambda: len(times(server, "LIST")) >= before + 4, 30)
            asked = times(server, "LIST")[before:]
            assert asked[3] - asked[0] > 1.5
            assert server.names().count("EXAMINE") < 20


@pytest.mark.parametrize("below", [False, True], ids=["alone", "with one below"])
def test_deleted_a_moment_ago(below):
    """Another client has just deleted it, and the server says so in words only: it is not there, and that is
    nothing to warn of."""
    boxes = {"INBOX": [b"1"], "Box": [b"1", b"22"]} | ({"Box/below": [b"1"]} if below else {})
    with FakeImap(boxes, capabilities=FEW) as server, mount(server, says=(), refresh=3600) as m:
        assert "Box" in os.listdir(m.root)
        server.rule("EXAMINE", match=rb"Box\W*$", reply=b"NO Mailbox doesn't exist")
        with server.account.lock:
            del server.account.mailboxes[b"Box"]
        if below:
            assert os.listdir(m.root / "Box") == ["below"]
            assert uids(m.root / "Box" / "below") == [1]
        else:
            assert errno_of(os.listdir, m.root / "Box") == "ENOENT"
            assert "Box" not in os.listdir(m.root)


def test_deleted_and_named_by_an_old_session(world, tmp_path):
    """As Dovecot does it when its list of mailboxes was spoilt: a session that is new knows better."""
    with FakeImap({"INBOX": [b"1"], "Box": [b"1", b"22"]}, capabilities=FEW) as server, \
            patient(server, tmp_path, world) as m:
        assert "Box" in os.listdir(m.root)
        wait_until(lambda: rests(m), "nothing is under way that the clock would make late")
        pass_time(m, world, 61)
        old = set(server.sessions)
        server.rule("EXAMINE", match=rb"Box\W*$", reply=b"NO Mailbox doesn't exist")
        server.rule("LIST", before=lambda session: b'* LIST () "/" Box\r\n' if session in old else b"")
        with server.account.lock:
            del server.account.mailboxes[b"Box"]
        assert errno_of(os.listdir, m.root / "Box") == "ENOENT"
        assert "Box" not in os.listdir(m.root)


def test_refused_and_there():
    """Many that LIST names and that cannot be selected cost no LIST each, and the log has why."""
    boxes = [f"Box{n}" for n in range(20)]
    with FakeImap({"INBOX": [b"1"], **{name: [b"1"] for name in boxes}}, capabilities=FEW) as server, \
            mount(server, says=[r"cannot select Box\d+: not for you"], refresh=3600) as m:
        assert len(os.listdir(m.root)) == 21
        server.rule("EXAMINE", match=rb"Box", reply=b"NO not for you")
        before = server.names().count("LIST")
        assert {errno_of(os.listdir, m.root / name) for name in boxes} == {"EIO"}
        assert server.names().count("LIST") < before + 8
        assert "cannot select Box3: not for you" in m.said()


def test_lost_soon_after_login():
    """A connection that is lost again and again is made anew at first at once, then ever later."""
    with FakeImap({"INBOX": [b"1"]}, capabilities=FEW) as server:
        server.rule("IDLE", raw=b"+ idling\r\n", drop="fin")
        with mount(server, says=None, refresh=3600) as m:
            assert uids(m.root / "INBOX") == [1]
            # The first is that for data; then two of the watching one at once, then after 1, 2 ... seconds.
            server.wait(lambda: len(times(server, "AUTHENTICATE")) >= 5)
            logins = [command for command in list(server.commands) if command.name == "AUTHENTICATE"]
            lost = {command.connection: command.time for command in list(server.commands) if command.name == "IDLE"}
            assert logins[3].time - lost[logins[2].connection] > 0.7
            assert logins[4].time - lost[logins[3].connection] > 1.4
            assert (m.root / "INBOX" / "1").read_bytes() == b"1"


def test_renumbered_while_it_is_selected():
    """What waits for another mailbox does not fail with it."""
    numbers = {"A": 7}
    asked, held = threading.Event(), threading.Event()
    with FakeImap({"A": [b"1"], "B": [b"22"], "C": [b"333"]}, capabilities=FEW,
                  uidvalidity=lambda name, n: numbers.get(name, 1)) as server:
        with mount(server, says=None, connections=1, refresh=3600) as m:
            for name in ("A", "C"):
                assert uids(m.root / name) == [1]
            os.stat(m.root / "A" / "1")
            server.wait_idle()
            numbers["A"] = 8
            server.rule("SELECT", match=rb"\bA\b", action=lambda _: asked.set() or held.wait(20),
                        reply=b"NO it is no more")
            calls = {"unlink": (m.root / "A" / "1").unlink, "A": lambda: os.listdir(m.root / "A"),
                     "B": lambda: os.listdir(m.root / "B")}
            results = {}
            threads = {name: threading.Thread(target=lambda n=name: results.update({n: errno_of(calls[n])}))
                       for name in calls}
            threads["unlink"].start()
            assert asked.wait(10)
            threads["B"].start()
            server.wait(lambda: any(c.name == "EXAMINE" and b"B" in c.line for c in server.commands))
            # The other connection watches where somebody looked last.
            threads["A"].start()
            wait_until(lambda: "UIDVALIDITY of A changed" in m.said(), "it is renumbered")
            held.set()
            for thread in threads.values():
                thread.join()
            assert results["B"] is None
            assert results["unlink"] == "ENOENT" and results["A"] in (None, "ESTALE", "ENOENT")
            assert len(server.mailbox("A").messages) == 1


def crossed(first, second, body):
    """A row whose UID, said behind the octets, is not that of its number."""
    return b"* %d FETCH (BODY[]<0> {%d}\r\n%b UID %d)\r\n" % (first, len(body), body, second)


BODIES = [b"%d: " % n + bytes([64 + n]) * 2000 for n in range(1, 10)]


def test_body_tied_to_its_row():
    """In an answer with many messages, numbers and UIDs that do not fit: no octets under another's name."""
    answer = crossed(6, 7, BODIES[6]) + b"* 7 FETCH (UID 6 BODY[]<0> {%d}\r\n%b)\r\n" % (len(BODIES[5]), BODIES[5])
    with FakeImap({"INBOX": [Message(b) for b in BODIES]}) as server, mount(server, says=None) as m:
        many = server.rule("UID FETCH", match=rb"FETCH \d+[:,].*BODY", raw=answer + b"{tag} OK done\r\n")
        assert uids(m.root / "INBOX") == list(range(1, 10))
        for n, body in enumerate(BODIES, 1):
            assert (m.root / "INBOX" / str(n)).read_bytes() == body
        assert many.hits > 0


def test_body_whose_row_is_anothers():
    """The UID is said last, and is not the one that was asked for."""
    with FakeImap({"INBOX": [Message(b) for b in BODIES]}) as server, mount(server, says=None) as m:
        one = server.rule("UID FETCH", match=rb"FETCH 3 .*BODY", raw=crossed(3, 4, BODIES[3]) + b"{tag} OK done\r\n")
        assert uids(m.root / "INBOX") == list(range(1, 10))
        assert errno_of((m.root / "INBOX" / "3").read_bytes) in ("EIO", "ESTALE")
        assert one.hits > 0
        server.rules.clear()
        assert (m.root / "INBOX" / "3").read_bytes() == BODIES[2]
        assert (m.root / "INBOX" / "4").read_bytes() == BODIES[3]


# Names that somebody took from a listing before they meant something else

@pytest.mark.parametrize("top", ["", "Box"], ids=["account", "mailbox"])
def test_nothing_is_removed_by_old_names(top, tmp_path):
    """A shell has expanded * when the server numbers the mailbox anew: rm must not take the new messages."""
    state = {"value": 7}
    with FakeImap({"INBOX": [], "Box": [b"1", b"22", b"333"]}, capabilities=FEW,
                  uidvalidity=lambda name, n: state["value"]) as server:
        m = FakeMount(server, str(tmp_path), says=[r"UIDVALIDITY of Box changed", r"nothing is removed from Box"],
                      refresh=3600)
        m.command[-2] += top
        with m:
            box = m.root if top else m.root / "Box"
            assert uids(box) == [1, 2, 3]
            for uid in (1, 2, 3):
                os.stat(box / str(uid))
            state["value"] = 8
            for message in server.mailbox("Box").messages:
                message.body = b"another"
            server.drop()
            for uid in (1, 2, 3):
                assert errno_of((box / str(uid)).unlink) in ("ENOENT", "ESTALE")
            wait_until(lambda: os.path.lexists(box / "2"), "the new message by name")
            assert (box / "2").read_bytes() == b"another"
            assert errno_of((box / "2").unlink) == "ESTALE"
            assert "UID STORE" not in server.names()
            assert uids(box) == [1, 2, 3]
            (box / "2").unlink()
            assert uids(box) == [1, 3]


def test_nothing_is_removed_from_one_made_anew():
    with FakeImap({"INBOX": [], "Box": [b"1", b"22"]}, capabilities=FEW) as server, \
            mount(server, says=None, refresh=1) as m:
        box = m.root / "Box"
        assert uids(box) == [1, 2]
        with server.account.lock:
            del server.account.mailboxes[b"Box"]
        wait_until(lambda: not os.path.lexists(box), "the end of the mailbox")
        with server.account.lock:
            server.account.mailboxes[b"Box"] = Mailbox([b"other", b"and another"], uidvalidity=1800000000)
        wait_until(lambda: os.path.lexists(box / "1"), "the new mailbox")
        assert errno_of((box / "1").unlink) == "ESTALE"
        assert uids(box) == [1, 2]
        (box / "1").unlink()
        assert [message.body for message in server.mailbox("Box").messages] == [b"and another"]


def test_numbered_anew_at_every_select():
    """Nothing can be told apart there: an error, and no more of our memory."""
    with FakeImap({"INBOX": [b"1"], "Good": [b"22"]}, capabilities=FEW,
                  uidvalidity=lambda name, n: 100 + n if name == "INBOX" else 1) as server:
        with mount(server, says=None, connections=1, refresh=3600) as m:
            def has_enough():
                errno_of(os.listdir, m.root / "INBOX")
                assert uids(m.root / "Good") == [1]
                errno_of((m.root / "INBOX" / "1").read_bytes)
                return "again and again" in m.said()

            wait_until(has_enough, "it is said", 30)
            for _ in range(20):
                has_enough()
            assert m.said().count("UIDVALIDITY of INBOX changed") <= 5
            assert errno_of((m.root / "INBOX" / "1").unlink) is not None
            assert len(server.mailbox("INBOX").messages) == 1
            assert (m.root / "Good" / "1").read_bytes() == b"22"


# Time

def patient(server, directory, world):
    m = FakeMount(server, str(directory), says=None, refresh=3600)
    m.environment.update(world.environment)
    return m


def rests(m):
    """It has heard all that it asked for on the connection for data, and on the other what came before this call."""
    first, status = (m.read(".imapfs", "status") for _ in range(2))
    at_work = re.findall(rb" data: (?!ready, (?:[^\n]*, )?0 tasks)[^\n]*", status)
    return first and b" data: ready" in status and not at_work


def age(m, name):
    """Seconds since that mailbox was checked, by its clock."""
    return int(re.search(rf"^mailbox: {name}: .* checked (\d+) s ago", m.read(".imapfs", "status").decode(), re.M)[1])


def pass_time(m, world, seconds):
    """It sleeps until its next timer by the true clock, so something has to wake it up."""
    world.wait(seconds)
    m.read(".imapfs", "status")


def test_a_resting_connection_is_kept(world, tmp_path):
    """NOOP after two minutes: servers end what is silent, and it hears of changes."""
    with FakeImap({"INBOX": [b"1"]}, capabilities=("IMAP4rev1",)) as server, patient(server, tmp_path, world) as m:
        assert uids(m.root / "INBOX") == [1]
        for _ in range(3):
            wait_until(lambda: rests(m), "whatever was asked for is answered")
            before = server.names().count("NOOP")
            pass_time(m, world, 121)
            server.wait_for("NOOP", before + 1)
        assert server.connections == 1
        assert uids(m.root / "INBOX") == [1]


def test_idle_follows_a_reader(world, tmp_path):
    """Who reads by names that he knows is told of changes there, but not at once: of two that are read in turns
    one stays watched, since each change of mind costs an EXAMINE."""
    def idles():
        """Where the connection that watches has done so: those that rest have listed or fetched something."""
        commands = list(server.commands)
        others = {c.connection for c in commands if c.name in ("LIST", "UID FETCH")}
        examined, there = {}, []
        for command in commands:
            if command.name == "EXAMINE":
                examined[command.connection] = command.line.split(b'"')[1].decode()
            elif command.name == "IDLE" and command.connection not in others:
                there.append(examined[command.connection])
        return there

    with FakeImap({"INBOX": [b"1"], "Other": [b"2%d" % n for n in range(9)]}, capabilities=FEW) as server, \
            patient(server, tmp_path, world) as m:
        assert uids(m.root / "INBOX") == [1]
        wait_until(lambda: idles() == ["INBOX"], "INBOX is watched")
        assert (m.root / "Other" / "1").read_bytes() == b"20"
        assert (m.root / "Other" / "3").read_bytes() == b"22"
        wait_until(lambda: rests(m), "nothing is under way that the clock would make late")
        pass_time(m, world, 11)
        wait_until(lambda: age(m, "Other") >= 11, "it has seen that")
        assert (m.root / "Other" / "5").read_bytes() == b"24"
        wait_until(lambda: idles() == ["INBOX", "Other"], "Other is watched")
        server.wait_idle()
        uid = server.append("Other", b"new")
        wait_until(lambda: os.path.lexists(m.root / "Other" / str(uid)), "it tells of it")


def has_heard(m, server):
    """All that was sent so far on the connections that are up."""
    heard = re.findall(r"^connection: .* (\d+) in, ", m.read(".imapfs", "status").decode(), re.M)
    return sorted(map(int, heard)) == sorted(session.sent for session in server.sessions)


def test_idle_is_renewed(world, tmp_path):
    """Before ten minutes: servers may end it after half an hour, and some lines do after ten. On the connection
    that watches and on the one that rests, which is asked for a sign of life every two minutes; and that is all."""
    step, steps = 121, 10
    with FakeImap({"INBOX": [b"1"]}, capabilities=FEW) as server, patient(server, tmp_path, world) as m:
        assert uids(m.root / "INBOX") == [1]
        server.wait_idle(2)
        resting = next(c.connection for c in server.commands if c.name == "LIST")
        watching, = {c.connection for c in server.commands if c.name == "IDLE"} - {resting}
        renewed = []
        for turn in range(1, steps + 1):
            wait_until(lambda: has_heard(m, server), "it has heard the answer to IDLE, which it counts from")
            begun = len(server.commands)
            pass_time(m, world, step)
            server.wait(lambda: len([n for n in server.names(resting) if n == "IDLE"]) > turn)
            server.wait_idle(2)
            said = server.commands[begun:]
            assert [c.name for c in said if c.connection == resting] == ["NOOP", "IDLE"]
            if [c.name for c in said if c.connection == watching] == ["IDLE"]:
                renewed.append(turn)
            assert len(said) == 2 + (renewed[-1:] == [turn])
        gaps = [(after - before) * step for before, after in zip([0, *renewed], renewed)]
        assert len(gaps) == 2 and max(gaps) < 600 + step and min(gaps) > 400
        assert server.connections == 2
        uid = server.append("INBOX", b"22")
        wait_until(lambda: os.path.lexists(m.root / "INBOX" / str(uid)), "it tells still")


# The connection that watches does so by NOTIFY, so those that IDLE are the others.
NOTIFIED = (*FEW, "NOTIFY")
BOXES = {"INBOX": [b"x"], **{f"Box{n}": [b"x"] for n in range(1, 9)}}


def check_no_more_idle(server, m):
    for n in (6, 7, 8):
        assert uids(m.root / f"Box{n}") == [1]
        time.sleep(1.2)  # twice the time after which it would rest
    assert server.names().count("IDLE") == 3


def test_lost_at_idle():
    """A server that drops the line at IDLE: connections for data do without, and who reads does not pay."""
    with FakeImap(BOXES, capabilities=NOTIFIED) as server, \
            mount(server, says=None, refresh=3600, connections=1) as m:
        server.rule("IDLE", raw=b"", drop="rst")
        for turn in range(1, 4):
            assert uids(m.root / f"Box{turn}") == [1]
            server.wait_for("IDLE", turn)
        before = server.connections
        check_no_more_idle(server, m)
        assert server.connections <= before + 1


def test_lost_at_idle_of_one_after_the_other():
    """The connection that watches is lost each time it is to watch another mailbox: ever fewer logins all the same."""
    with FakeImap(BOXES, capabilities=FEW) as server, \
            mount(server, says=None, refresh=3600, connections=1) as m:
        server.rule("IDLE", raw=b"", drop="rst")
        assert uids(m.root / "Box1") == uids(m.root / "Box2") == [1]
        data = next(c.connection for c in server.commands if c.name == "LIST")
        watching = []

        def other(session):
            """While it selects the one the other comes into use."""
            if session.number != data and session.number not in watching:
                watching.append(session.number)
                line = [c.line for c in server.commands if c.connection == session.number][-1]
                uids(m.root / f"Box{2 if b'Box1' in line else 1}")
        server.rule("EXAMINE", action=other)
        wait_until(lambda: uids(m.root / "Box1") and len(watching) >= 8, "eight logins", 30)
        begun = [c.time for c in server.commands if c.name == "AUTHENTICATE" and c.connection in watching]
        assert begun[7] - begun[0] > 2


def test_silent_at_idle():
    """A connection that rests is known to be dead in time, also when nobody wants anything of it; and after some of
    them no other is lost that way."""
    with FakeImap(BOXES, capabilities=NOTIFIED) as server, \
            mount(server, says=None, refresh=3600, timeout=2, connections=1) as m:
        server.wait_for("NOTIFY")  # that connection is there
        made = []
        server.rule("IDLE", stall=True, action=lambda _: made.append(server.connections))
        for turn in range(1, 4):
            wait_until(lambda t=turn: errno_of(os.listdir, m.root / f"Box{t}") is None, "it is there")
            # Asked for a sign of life it would be after two minutes.
            server.wait(lambda t=turn: len(made) >= t and server.connections > made[t - 1], 30)
        wait_until(lambda: errno_of(os.listdir, m.root / "Box5") is None, "it is well again")
        check_no_more_idle(server, m)


def test_news_during_our_own_select():
    """What came after SELECT was answered, and before we saw that, is looked for once more."""
    with FakeImap({"INBOX": [b"1"]}, capabilities=FEW) as server, mount(server, says=None, refresh=3) as m:
        begun = []

        def heard():
            return int(re.search(rb" watch: .* (\d+) in, ", m.read(".imapfs", "status"))[1])

        def deliver(_):
            begun.append(len(server.commands))
            before = heard()
            server.append("INBOX", b"22")
            wait_until(lambda: heard() > before, "the connection in IDLE tells of it")
            return b""
        assert uids(m.root / "INBOX") == [1]
        server.wait_idle()
        server.rule("EXAMINE", before_ok=deliver, times=1)
        server.wait(lambda: begun and "NOOP" in server.names()[begun[0]:])
        # Not only when all is looked at again.
        assert "LIST" not in server.names()[begun[0]:]
        wait_until(lambda: os.path.lexists(m.root / "INBOX" / "2"), "it is there")


def test_removed_while_it_is_looked_at():
    """The row of a message that was removed through another connection meanwhile does not bring it back."""
    with FakeImap({"INBOX": [b"1", b"22", b"333"]}, capabilities=FEW) as server, \
            mount(server, says=None, refresh=3600) as m:
        assert uids(m.root / "INBOX") == [1, 2, 3]
        server.wait_idle()
        row = b'* %d FETCH (UID %d RFC822.SIZE %d INTERNALDATE "17-Jul-2023 12:30:05 +0200")\r\n'
        removed = []
        # It was pushed: who looked a name up would hold the directory's lock, and rm would wait for that.
        server.rule("UID FETCH", match=rb" 3:\*", times=1,
                    action=lambda _: removed.append(os.unlink(m.root / "INBOX" / "3")),
                    raw=row % (3, 3, 3) + row % (4, 4, 4) + b"{tag} OK done\r\n")
        server.append("INBOX", b"4444")
        server.wait(lambda: removed)
        wait_until(lambda: os.path.lexists(m.root / "INBOX" / "4"), "the new one")
        assert uids(m.root / "INBOX") == [1, 2, 4]


def removed_and_still_found():
    """False: the mount was quick enough to doubt the first answer, and the second one was right."""
    with FakeImap({"INBOX": [b"1", b"22", b"333"]}, capabilities=FEW) as server, \
            mount(server, says=None, refresh=3600) as m:
        assert uids(m.root / "INBOX") == [1, 2, 3]
        server.wait_idle()
        row = b'* %d FETCH (UID %d RFC822.SIZE %d INTERNALDATE "17-Jul-2023 12:30:05 +0200")\r\n'

        def remove(_):
            # What IDLE tells of it meanwhile would have SEARCH asked for again.
            server.behaviour.push_silent = True
            os.unlink(m.root / "INBOX" / "2")
        # It was pushed, so nobody holds the directory's lock meanwhile.
        server.rule("UID FETCH", match=rb" 3:\*", times=1, reply=b"NO not now", action=remove)
        server.rule("UID SEARCH", times=1, raw=b"* SEARCH 1 2 3 4\r\n{tag} OK done\r\n")
        stalled = []
        filled = server.rule("UID FETCH", match=rb" (2,)?4 \(UID RFC", times=1,
                             raw=row % (2, 2, 2) + row % (4, 4, 4) + b"{tag} OK done\r\n",
                             action=lambda _: stalled.append(server.rule("NOOP", stall=True, times=1)))
        server.append("INBOX", b"4444")
        server.wait(lambda: (stalled and stalled[0].hits) or server.names().count("UID SEARCH") > 1)
        if not filled.hits:
            wait_until(lambda: uids(m.root / "INBOX") == [1, 3, 4], "the right answer")
            return False
        # Whoever asks now waits for the next check.
        with concurrent.futures.ThreadPoolExecutor() as pool:
            there = pool.submit(os.path.lexists, m.root / "INBOX" / "2")
            time.sleep(0.5)
            stalled[0].release()
            assert not there.result()
        assert uids(m.root / "INBOX") == [1, 3, 4]
        return True


def test_removed_and_still_found():
    """A connection that was not told yet of our rm names the message in SEARCH, and has its row."""
    assert any(removed_and_still_found() for _ in range(5))


def test_status_of_many_mailboxes():
    """1200 that were listed, with paths of a kilobyte: the status is there, and as long as people may read."""
    place = "/".join(letter * 240 for letter in "abcd")
    with FakeImap({"INBOX": [b"x"], **{f"{place}/{n}": [b"m"] for n in range(1200)}}) as server:
        with mount(server) as m:
            for n in range(1200):
                assert os.listdir(m.root / place / str(n)) == ["1"]
            shown = run(PROGRAM, "--status", str(m.root)).stdout
            assert shown.count("mailbox: ") > 200 and len(shown) < 512 << 10
            assert shown.count("mailbox: ") + int(re.search(r"^mailboxes: (\d+) more$", shown, re.M)[1]) >= 1200
            # To the log too.
            m.says = None
            os.kill(m.process.pid, signal.SIGUSR1)
            m.wait_said(r"mailboxes: \d+ more")
