# SPDX-License-Identifier: MIT
"""rm without UIDPLUS, and half with it, on servers that lie, refuse and go away: EXPUNGE takes whatever
is marked \\Deleted, so here it must be shown that only ours ever is."""
import os
import re
import signal
import threading
import time

import pytest

from fakeimap import Mailbox, Message
from mounting import wait_until
import servers
from servers import FakeImap, errno_of, uids

ALL = set(range(1, 9))
MARKED = {2, 5, 8}
PLAIN = {"hide": ("UIDPLUS",)}
REMARKED = r"marking \d+ messages? of INBOX as deleted again"
NOT_REMARKED = r"cannot mark \d+ messages? of INBOX as deleted again"
KEPT = r"still has them"
LACKING = r"UID EXPUNGE was \w+( \w+)? twice"
UNSAFE = r"cannot expunge one message alone"


def mount(server, **options):
    """Where UIDPLUS is lacking nothing is removed without expunge=force."""
    return servers.mount(server, **{"expunge": "force", **options})


def account(marked=MARKED):
    return {"INBOX": Mailbox([Message(b"Subject: %d\r\n\r\n" % n, flags=["\\Deleted"] if n in marked else [])
                              for n in sorted(ALL)])}


def present(server):
    return {m.uid for m in server.mailbox("INBOX").messages}


def deleted(server):
    return {m.uid for m in server.mailbox("INBOX").messages if b"\\Deleted" in m.flags}


def remove(m, uid):
    """The name of the error of rm, None when it succeeds."""
    return errno_of((m.root / "INBOX" / str(uid)).unlink)


def untouched(server, marked=MARKED):
    """Nothing was expunged, and the marks are as they were."""
    assert "EXPUNGE" not in server.names()
    assert present(server) == ALL
    assert deleted(server) == set(marked)


def sequence(server):
    """The commands that change something or look for marks."""
    return [c.name for c in server.commands if c.name in ("UID STORE", "EXPUNGE", "UID EXPUNGE") or
            c.line == b"UID SEARCH DELETED"]


# What SEARCH DELETED says

ANSWERS = {
    "nothing": b"",
    "none": b"* SEARCH\r\n",
    "only others": b"* SEARCH 2 5 8\r\n",
    "another": b"* SEARCH 7\r\n",
    "all": b"* SEARCH 1 2 3 4 5 6 7 8\r\n",
    "a range of all UIDs": b"* ESEARCH (TAG \"x\") UID ALL 1:4294967295\r\n",
    "more than there are": b"* SEARCH 1 2 3 4 5 6 7 8 9 10 11 12\r\n",
    "how many": b"* ESEARCH (TAG \"x\") UID COUNT 4\r\n",
    "esearch of none": b"* ESEARCH (TAG \"x\") UID\r\n",
}


@pytest.mark.parametrize("marked", [(), MARKED], ids=["alone", "others-marked"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_wrong_answer(answer, marked):
    """Not believed where it can be wrong: nothing is expunged, all marks are as before."""
    with FakeImap(account(marked), **PLAIN) as server:
        server.rule("UID SEARCH", match=b"DELETED", raw=ANSWERS[answer] + b"{tag} OK done\r\n")
        with mount(server, says=None) as m:
            assert uids(m.root / "INBOX") == sorted(ALL)
            assert remove(m, 3) == "EIO"
            untouched(server, marked)
            assert (m.root / "INBOX" / "3").read_bytes() == b"Subject: 3\r\n\r\n"
        untouched(server, marked)


def test_esearch():
    """A server of IMAP4rev2 answers in its own form."""
    def answer(session):
        found = ",".join(str(uid) for uid in sorted(deleted(session.server)))
        return b"* ESEARCH (TAG \"" + session.tag + b"\") UID ALL " + found.encode() + b"\r\n{tag} OK done\r\n"

    with FakeImap(account(), **PLAIN) as server, mount(server) as m:
        server.rule("UID SEARCH", match=b"DELETED", raw=answer)
        assert remove(m, 3) is None
        assert present(server) == ALL - {3}
        assert deleted(server) == MARKED


def test_marked_before_expunge():
    """Ours is marked before the others are looked for, and EXPUNGE follows a look that finds ours alone."""
    with FakeImap(account(), **PLAIN) as server, mount(server) as m:
        os.listdir(m.root / "INBOX")
        assert remove(m, 3) is None
        assert sequence(server) == ["UID STORE", "UID SEARCH", "UID STORE", "UID SEARCH", "EXPUNGE", "UID STORE"]
        assert remove(m, 5) is None
        assert present(server) == ALL - {3, 5}
        assert deleted(server) == MARKED - {5}


def test_others_cannot_be_unmarked():
    """STORE -FLAGS says OK and does nothing."""
    with FakeImap(account(), **PLAIN) as server:
        server.rule("UID STORE", match=rb"STORE 2,5,8 -", reply=b"OK done")
        with mount(server, says=None) as m:
            assert remove(m, 3) == "EIO"
            untouched(server)


def test_marked_meanwhile():
    """Another client marks one between our look and our EXPUNGE."""
    with FakeImap(account({2}), **PLAIN) as server, mount(server) as m:
        os.listdir(m.root / "INBOX")
        server.rule("UID STORE", match=rb"STORE 2 -", times=1,
                    action=lambda session: server.set_flags("INBOX", 6, "\\Deleted"))
        assert remove(m, 3) is None
        assert present(server) == ALL - {3}
        assert deleted(server) == {2, 6}


def test_expunged_meanwhile():
    """Another client expunges ours while it is looked for: nothing is left to expunge."""
    with FakeImap(account(), **PLAIN) as server, mount(server) as m:
        os.listdir(m.root / "INBOX")
        server.rule("UID STORE", match=rb"STORE 3 ", times=1, action=lambda session: server.expunge("INBOX", 3))
        assert remove(m, 3) in (None, "ENOENT")
        assert present(server) == ALL - {3}
        assert deleted(server) == MARKED
        assert uids(m.root / "INBOX") == [1, 2, 4, 5, 6, 7, 8]


# Refusals

STEPS = {
    "flag": ("UID STORE", rb"STORE 3 \+"),
    "search": ("UID SEARCH", rb"DELETED"),
    "confirm": ("UID FETCH", rb"FETCH 2,5,8 "),
    "unflag": ("UID STORE", rb"STORE 2,5,8 -"),
    "expunge": ("EXPUNGE", None),
}


@pytest.mark.parametrize("reply", [b"NO not now", b"BAD what"], ids=["NO", "BAD"])
@pytest.mark.parametrize("step", STEPS)
def test_refused(step, reply):
    """All marks are as before, and what failed once can be done again."""
    name, match = STEPS[step]
    with FakeImap(account(), **PLAIN) as server, mount(server) as m:
        os.listdir(m.root / "INBOX")
        rule = server.rule(name, match=match, times=1, reply=reply)
        assert remove(m, 3) == "EIO"
        assert rule.hits == 1
        assert present(server) == ALL and deleted(server) == MARKED
        assert remove(m, 3) is None
        assert present(server) == ALL - {3} and deleted(server) == MARKED


def test_refused_of_what_they_marked():
    """One that others had marked already keeps their mark when it cannot be expunged."""
    with FakeImap(account(), **PLAIN) as server, mount(server) as m:
        os.listdir(m.root / "INBOX")
        server.rule("EXPUNGE", reply=b"NO not now")
        assert remove(m, 5) == "EIO"
        assert present(server) == ALL and deleted(server) == MARKED


@pytest.mark.parametrize("times", [1, None], ids=["once", "always"])
def test_remark_refused(times):
    """The message is gone, so rm succeeds; the marks are given back with the next rm, or the next mount."""
    with FakeImap(account(), **PLAIN) as server:
        with mount(server, says=[NOT_REMARKED, REMARKED]) as m:
            os.listdir(m.root / "INBOX")
            server.rule("UID STORE", match=rb"STORE \S+ \+.*Deleted", skip=1, times=times and 2, reply=b"NO not now")
            assert remove(m, 3) is None
            assert present(server) == ALL - {3} and deleted(server) == set()
            # Others mark more meanwhile: both lists count.
            server.set_flags("INBOX", 7, "\\Deleted")
            if times:
                assert remove(m, 4) is None
                assert present(server) == ALL - {3, 4} and deleted(server) == MARKED | {7}
                return
            assert remove(m, 4) == "EIO"
            server.rules.clear()
            m.restart()
            wait_until(lambda: deleted(server) == MARKED | {7}, "marked again")
            assert present(server) == ALL - {3}


def test_verify_refused():
    """EXPUNGE was confirmed but named nobody yet, and the question for what is left is refused: believed."""
    with FakeImap(account(()), **PLAIN) as server, mount(server, says=None) as m:
        os.listdir(m.root / "INBOX")

        def quietly(_):
            with server.account.lock:
                server.mailbox("INBOX").expunge([3])
            return b"{tag} OK done\r\n"
        server.rule("EXPUNGE", raw=quietly)
        verify = server.rule("UID FETCH", match=rb"FETCH 3 ", skip=2, times=1, reply=b"NO no such message",
                             action=lambda _: server.poke())
        assert remove(m, 3) is None
        assert verify.hits == 1
        assert uids(m.root / "INBOX") == [1, 2, 4, 5, 6, 7, 8]


# With UIDPLUS

@pytest.mark.parametrize("command, reply", [
    ("UID STORE", b"NO try again"), ("UID STORE", b"BAD try again"), ("UID EXPUNGE", b"NO [NOPERM] not yet"),
    ("UID EXPUNGE", b"NO [INUSE] locked"),
    ("UID EXPUNGE", b"NO System I/O error"), ("UID EXPUNGE", b"NO not here")])
def test_uidplus_is_kept(command, reply):
    """What has nothing to do with UIDPLUS does not end it."""
    with FakeImap(account()) as server, mount(server, says=None) as m:
        os.listdir(m.root / "INBOX")
        server.rule(command, times=1, reply=reply)
        assert remove(m, 3) is not None
        assert present(server) == ALL and deleted(server) == MARKED
        assert remove(m, 4) is None
        assert present(server) == ALL - {4} and deleted(server) == MARKED
        assert "EXPUNGE" not in server.names()
        assert not any("DELETED" in line for line in server.lines("UID SEARCH"))
        assert server.names().count("UID EXPUNGE") == 2


def test_uidplus_misunderstood_once():
    """Asked again, it is carried out: no reason to do without."""
    with FakeImap(account()) as server, mount(server) as m:
        server.rule("UID EXPUNGE", times=1, reply=b"BAD what")
        for uid in (3, 4):
            assert remove(m, uid) is None
        assert present(server) == ALL - {3, 4} and deleted(server) == MARKED
        assert server.names().count("UID EXPUNGE") == 3 and "EXPUNGE" not in server.names()


@pytest.mark.parametrize("ends", ["removed", "refused", "refused alone"])
def test_marked_without_being_looked_at(ends):
    """FETCH is refused, and the STORE behind it is not: the message goes, or our mark comes off again."""
    with FakeImap(account(), **({} if ends == "refused alone" else PLAIN)) as server, mount(server) as m:
        assert uids(m.root / "INBOX") == sorted(ALL)
        rule = server.rule("UID FETCH", match=rb"\(UID FLAGS\)", times=1, reply=b"NO [EXPUNGEISSUED] some are gone")
        if ends == "removed":
            assert remove(m, 3) is None
            assert rule.hits and present(server) == ALL - {3} and deleted(server) == MARKED
            assert uids(m.root / "INBOX") == sorted(ALL - {3})
            return
        server.rule("UID SEARCH" if ends == "refused" else "UID EXPUNGE", match=rb"DELETED|EXPUNGE",
                    reply=b"NO not now")
        assert remove(m, 3) == "EIO"
        assert rule.hits
        assert present(server) == ALL and deleted(server) == MARKED
        assert uids(m.root / "INBOX") == sorted(ALL)


LACKS = {"BAD": {"reply": b"BAD unknown command"}, "silence": {"raw": b""}}


@pytest.mark.parametrize("how", LACKS)
def test_uidplus_is_lacking(how):
    """Twice in a row, which the log tells."""
    with FakeImap(account()) as server, mount(server, says=[LACKING]) as m:
        server.rule("UID EXPUNGE", **LACKS[how])
        for uid in (3, 4):
            assert remove(m, uid) is None
        assert present(server) == ALL - {3, 4} and deleted(server) == MARKED
        assert server.names().count("UID EXPUNGE") == 2
        assert len(re.findall(LACKING, m.said())) == 1


@pytest.mark.parametrize("how", LACKS)
def test_uidplus_is_lacking_and_nothing_else_allowed(how):
    """Our own mark is taken off again; those of others stay."""
    with FakeImap(account()) as server, mount(server, says=[LACKING, UNSAFE], expunge="safe") as m:
        server.rule("UID EXPUNGE", **LACKS[how])
        for uid in (3, 5):
            assert remove(m, uid) == "EPERM"
            untouched(server)
        assert server.names().count("UID EXPUNGE") == 2


def test_refused_without_uidplus():
    """The default: whatever is looked at before, others may mark more before EXPUNGE comes."""
    with FakeImap(account(), **PLAIN) as server, servers.mount(server, says=[UNSAFE]) as m:
        for uid in (3, 5, 4):
            assert remove(m, uid) == "EPERM"
        untouched(server)
        assert not {"UID STORE", "UID EXPUNGE"} & set(server.names())
        assert len(re.findall(UNSAFE, m.said())) == 1


def expunge_now(session):
    """What some servers do with what is marked."""
    session.server.expunge("INBOX", *deleted(session.server))


def test_expunged_as_soon_as_marked():
    """DavMail: STORE expunges at once, and UID EXPUNGE is never answered. What was heard is enough."""
    with FakeImap(account(())) as server, servers.mount(server, timeout=30) as m:
        os.listdir(m.root / "INBOX")
        server.rule("UID EXPUNGE", raw=b"")
        server.rule("UID STORE", before_ok=lambda session: (expunge_now(session), session.news(), b"")[2])
        begin = time.monotonic()
        for uid in (3, 4, 5):
            assert remove(m, uid) is None
        # Whoever waits for an answer does so for 30 s, each time.
        assert time.monotonic() - begin < 30
        assert present(server) == ALL - {3, 4, 5}
        assert "EXPUNGE" not in server.names()


def test_answered_too_late():
    """An answer to what nobody waits for any more is no reason to end the connection."""
    tags = []
    with FakeImap(account()) as server, mount(server, says=[LACKING]) as m:
        server.rule("UID EXPUNGE", raw=lambda session: (tags.append(session.tag), b"")[1])
        server.rule("NOOP", after=lambda session: tags.pop() + b" OK at last\r\n" if tags else b"")
        assert remove(m, 3) is None
        connections = server.connections
        assert remove(m, 4) is None
        assert present(server) == ALL - {3, 4} and deleted(server) == MARKED
        assert server.connections == connections


def test_connection_that_is_not_told():
    """The message came after this connection had selected the mailbox, and no NOOP makes the server tell of
    it: OK to all is no proof. A SELECT is."""
    with FakeImap(account(), hide=("IDLE",), news_at=("nothing",)) as server, mount(server, refresh=1) as m:
        inbox = m.root / "INBOX"
        assert remove(m, 3) is None
        for number in range(2):
            uid = server.append("INBOX", b"Subject: new\r\n\r\n%d" % number)
            wait_until(lambda: str(uid) in os.listdir(inbox), "listed", 40)
            assert remove(m, uid) is None
            assert uid not in present(server)
            assert str(uid) not in os.listdir(inbox)
        assert deleted(server) == MARKED


def test_two_mounts(tmp_path):
    """Each unmarks what others have marked and marks it again, which the other one must not meet between its
    look and its EXPUNGE."""
    count = 60
    others = set(range(1, count, 7))
    mine = [n for n in range(1, count) if n not in others]
    boxes = {"INBOX": Mailbox([Message(b"x", flags=["\\Deleted"] if n in others else []) for n in range(1, count)])}
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
    with FakeImap(boxes, **PLAIN) as server, mount(server, directory=tmp_path / "a", timeout=30) as a, \
            mount(server, directory=tmp_path / "b", timeout=30) as b:
        server.rule("UID SEARCH", match=b"DELETED", delay=0.002)
        results = []
        threads = [threading.Thread(target=lambda m=m, part=part: results.extend(remove(m, uid) for uid in part))
                   for m, part in ((a, mine[:20]), (b, mine[20:40]))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [None] * 40
        assert present(server) == set(range(1, count)) - set(mine[:40])
        assert deleted(server) == others


def test_lease_of_another(tmp_path):
    """Who never gives it back is not waited for longer than any call may take."""
    with FakeImap(account(), **PLAIN) as server, \
            mount(server, timeout=2, says=[r"another imapfs has been removing"]) as m:
        (tmp_path / "b").mkdir()
        with mount(server, directory=tmp_path / "b", timeout=30) as other:
            search = server.rule("UID SEARCH", match=b"DELETED", stall=True, times=1)
            first = threading.Thread(target=remove, args=(other, 4))
            first.start()
            server.wait(lambda: search.hits)
            assert remove(m, 3) == "EAGAIN"
            search.release()
            first.join()
            assert remove(m, 3) is None
        assert present(server) == ALL - {3, 4} and deleted(server) == MARKED


def test_uidplus_refused_and_expunge_too():
    """Our own mark, made for UID EXPUNGE, is taken off again."""
    with FakeImap(account()) as server, mount(server, says=[LACKING]) as m:
        os.listdir(m.root / "INBOX")
        server.rule("UID EXPUNGE", reply=b"BAD unknown command")
        server.rule("EXPUNGE", reply=b"NO not here")
        assert remove(m, 3) == "EIO"
        assert present(server) == ALL and deleted(server) == MARKED


# Connections that go away

def entered(step):
    """The command whose answer makes the client go on to a step that waits for the cache."""
    return {"journal": ("UID FETCH", rb"FETCH 2,5,8 "), "clear": ("UID STORE", rb"STORE 2,5,8 \+")}[step]


@pytest.mark.parametrize("how", ["fin", "rst", "bye"])
@pytest.mark.parametrize("step", ["journal", "clear"])
def test_lost_while_the_cache_writes(step, how):
    """No command is under way then: the end must be heard of all the same."""
    name, match = entered(step)
    with FakeImap(account(), **PLAIN) as server, mount(server, says=None) as m:
        os.listdir(m.root / "INBOX")
        # In one packet with the answer: it is read before the cache has answered.
        rule = server.rule(name, match=match, times=1, after=b"* BYE gone\r\n" if how == "bye" else b"",
                           drop="rst" if how == "rst" else "fin")
        assert remove(m, 3) is None
        assert rule.hits == 1
        assert present(server) == ALL - {3} and deleted(server) == MARKED
        assert remove(m, 4) is None
        assert present(server) == ALL - {3, 4} and deleted(server) == MARKED


@pytest.mark.parametrize("step", ["journal", "clear"])
def test_stopped_while_the_cache_writes(step, tmp_path):
    """The account is closed before the cache: its answer comes when the connection is no more."""
    name, match = entered(step)
    with FakeImap(account(), **PLAIN) as server:
        with mount(server, says=None, directory=tmp_path) as m:
            os.listdir(m.root / "INBOX")
            server.rule(name, match=match, times=1, action=lambda _: os.kill(m.pid, signal.SIGTERM))
            results = []
            thread = threading.Thread(target=lambda: results.append(remove(m, 3)))
            thread.start()
            m.finished()
            thread.join()
            server.rules.clear()
            m.start()
            wait_until(lambda: deleted(server) - {3} == MARKED, "marked again")
            assert present(server) >= ALL - {3}


CUTS = {**STEPS, "reflag": ("UID STORE", rb"STORE 2,5,8 \+")}


def cut_rule(server, step, how, action=None, **fields):
    """Before the command is carried out, after it and before its answer, after its answer."""
    name, match = CUTS[step]
    more = {"before": {"raw": b""}, "within": {"status": lambda s: s.drop()}, "after": {}}[how]
    return server.rule(name, match=match, drop="fin", **more, **fields)


@pytest.mark.parametrize("how", ["before", "within", "after"])
@pytest.mark.parametrize("step", CUTS)
def test_cut_for_good(step, how, tmp_path):
    """The same step is cut on each connection, until rm gives up; the server recovers, and imapfs is
    mounted anew: the others' marks are as before and nothing else was expunged."""
    with FakeImap(account(), **PLAIN) as server:
        with mount(server, says=None, directory=tmp_path) as m:
            os.listdir(m.root / "INBOX")
            rule = cut_rule(server, step, how)
            error = remove(m, 3)
            assert rule.hits >= 1
            assert (error is None) == (3 not in present(server))
            server.rules.clear()
        assert present(server) | {3} == ALL
        with mount(server, says=None, directory=tmp_path) as m:
            wait_until(lambda: deleted(server) == MARKED, "marked again, and ours not any more")
            assert present(server) | {3} == ALL
            assert remove(m, 4) is None
            assert present(server) | {3} == ALL - {4} | {3} and deleted(server) - {3} == MARKED


def test_next_rm_after_giving_up():
    """The marks of a first rm that was cut off are not forgotten over those of a second, without a new
    mount between."""
    with FakeImap(account({2}), **PLAIN) as server, mount(server, says=None) as m:
        os.listdir(m.root / "INBOX")
        cut_rule(server, "expunge", "before")
        server.rule("UID STORE", match=rb"STORE 2 \+", drop="fin", raw=b"")
        assert remove(m, 3) is not None
        assert 2 not in deleted(server)
        server.rules.clear()
        server.set_flags("INBOX", 6, "\\Deleted")
        assert remove(m, 4) is None
        assert present(server) | {3} == ALL - {4} | {3}
        assert deleted(server) - {3} == {2, 6}


def test_marks_come_back_with_the_server():
    """After an outage the marks are given back without anybody's asking."""
    with FakeImap(account(), **PLAIN) as server, mount(server, says=None, timeout=2) as m:
        os.listdir(m.root / "INBOX")
        cut_rule(server, "expunge", "before")
        again = server.rule("UID STORE", match=rb"STORE 2,5,8 \+", drop="fin", raw=b"")
        assert remove(m, 3) is not None
        server.wait(lambda: again.hits > 0)
        bye = server.behaviour
        bye.greeting = b"* BYE [UNAVAILABLE] later\r\n"
        server.rules.clear()
        server.drop()
        m.wait_said("later")
        bye.greeting = None
        wait_until(lambda: deleted(server) == MARKED, "marked again, and ours not any more", 30)
        assert present(server) == ALL


@pytest.mark.parametrize("then", ["killed", "lost"])
def test_ours_is_taken_off(then, tmp_path):
    """With UIDPLUS, too: what rm has marked and not expunged is not left to other clients' EXPUNGE."""
    with FakeImap(account()) as server, mount(server, says=None, directory=tmp_path) as m:
        os.listdir(m.root / "INBOX")
        rule = server.rule("UID EXPUNGE", raw=b"", drop="fin",
                           action=(lambda _: m.process.kill()) if then == "killed" else None)
        assert remove(m, 3) is not None
        if then == "killed":
            m.process.wait()
            m.kill()
        assert rule.hits >= 1 and deleted(server) == MARKED | {3}
        server.rules.clear()
        if then == "killed":
            m.start()
        wait_until(lambda: deleted(server) == MARKED, "ours is taken off", 30)
        assert present(server) == ALL
        assert remove(m, 3) is None and remove(m, 2) is None
        assert present(server) == ALL - {2, 3}


# Marks that cannot be given back

@pytest.mark.parametrize("refuse", [False, True], ids=["OK", "NO"])
@pytest.mark.parametrize("left", [set(), {5}], ids=["all-gone", "some-gone"])
def test_restore_of_what_is_gone(left, refuse, tmp_path):
    """Messages that others expunged meanwhile do not stand in the way of those that are left, and the
    list is done with."""
    with FakeImap(account(), **PLAIN) as server:
        with mount(server, says=None, directory=tmp_path) as m:
            os.listdir(m.root / "INBOX")
            server.rule("EXPUNGE", times=1, action=lambda _: m.process.kill(), drop="fin", raw=b"")
            errno_of((m.root / "INBOX" / "3").unlink)
            m.process.wait()
            m.kill()
        assert deleted(server) == {3}
        server.rules.clear()
        server.expunge("INBOX", *(MARKED - left))
        if refuse:
            def status(session):
                return b"OK done" if left and session.line.startswith(b"UID STORE 5 ") else \
                    b"NO some of the messages no longer exist"
            server.rule("UID STORE", match=rb"\+FLAGS", reply=None, status=status)
        with mount(server, says=[REMARKED], directory=tmp_path) as m:
            wait_until(lambda: deleted(server) == left, "marked again, and ours not any more")
            server.rules.clear()
            assert remove(m, 4) is None
            assert deleted(server) == left
        before = len(server.commands)
        with mount(server, directory=tmp_path) as m:
            os.listdir(m.root / "INBOX")
        assert not [c for c in server.commands[before:] if c.name == "UID STORE"]


def interrupted(server, tmp_path):
    """Leaves a journal behind: killed in EXPUNGE."""
    with mount(server, says=None, directory=tmp_path) as m:
        os.listdir(m.root / "INBOX")
        server.rule("EXPUNGE", times=1, action=lambda _: m.process.kill(), drop="fin", raw=b"")
        errno_of((m.root / "INBOX" / "3").unlink)
        m.process.wait()
        m.kill()
    server.rules.clear()
    assert deleted(server) == {3}


def test_restore_after_uidvalidity(tmp_path):
    """The same UIDs are other messages now: none is marked."""
    with FakeImap(account(), **PLAIN) as server:
        interrupted(server, tmp_path)
        with server.account.lock:
            server.mailbox("INBOX").uidvalidity += 1
        for _ in range(2):
            before = len(server.commands)
            with mount(server, says=None, directory=tmp_path) as m:
                assert uids(m.root / "INBOX") == sorted(ALL)
                server.wait_idle()
            assert not [c for c in server.commands[before:] if c.name == "UID STORE"]
        assert deleted(server) == {3}


def test_restore_in_read_only_mailbox(tmp_path):
    """Nothing can be marked there now; later it can."""
    with FakeImap(account(), **PLAIN) as server:
        interrupted(server, tmp_path)
        server.behaviour.read_only = True
        with mount(server, says=None, directory=tmp_path) as m:
            os.listdir(m.root / "INBOX")
            assert remove(m, 4) == "EROFS"
        assert deleted(server) == {3}
        server.behaviour.read_only = False
        with mount(server, says=None, directory=tmp_path):
            wait_until(lambda: deleted(server) == MARKED | {3}, "marked again")


@pytest.mark.parametrize("step", ["flag", "search", "unflag"])
def test_uidvalidity_changes_between_attempts(step):
    """The connection is cut, and on the next one the UIDs are other messages: none of those is marked,
    unmarked or expunged. ESTALE would have the kernel try again by the name, on another message."""
    with FakeImap(account(), **PLAIN) as server, mount(server, says=None) as m:
        os.listdir(m.root / "INBOX")
        name, match = STEPS[step]
        snapshot = []

        def renumber(session):
            with server.account.lock:
                server.mailbox("INBOX").uidvalidity += 1
            snapshot.append((len(server.commands), present(server), deleted(server)))
            return b""
        server.rule(name, match=match, times=1, raw=renumber, drop="fin")
        assert remove(m, 3) == "ENOENT"
        (count, there, marked), = snapshot
        assert uids(m.root / "INBOX") == sorted(ALL)
        assert not [c for c in server.commands[count:] if c.name in ("UID STORE", "EXPUNGE")]
        assert (present(server), deleted(server)) == (there, marked)


# Many at once

def test_many_others():
    """As many marks as do not fit one command; each comes back."""
    count = 3000
    marked = set(range(1, count, 2))
    boxes = {"INBOX": Mailbox([Message(b"x", flags=["\\Deleted"] if n in marked else []) for n in range(1, count + 1)])}
    with FakeImap(boxes, **PLAIN) as server, mount(server, timeout=60) as m:
        assert remove(m, 2) is None
        assert remove(m, 3) is None
        assert present(server) == set(range(1, count + 1)) - {2, 3}
        assert deleted(server) == marked - {3}
        assert max(map(len, server.lines("UID STORE"))) <= 1000
        assert max(map(len, server.lines("UID FETCH"))) <= 1000


def test_listing_beside():
    """While a listing asks SEARCH for all messages on the same connection, its answer is not taken for
    that of SEARCH DELETED."""
    with FakeImap(account(), **PLAIN) as server, mount(server, says=None) as m:
        os.listdir(m.root / "INBOX")
        server.rule("UID SEARCH", match=b"DELETED", times=1, before=b"* SEARCH 1 2 3 4 5 6 7 8\r\n")
        assert remove(m, 3) in (None, "EIO")
        assert present(server) >= ALL - {3}
        assert deleted(server) - {3} == MARKED
        assert not any(re.search(r"STORE \S*(1|4|6|7)\b.*\+FLAGS", line) for line in server.lines("UID STORE"))
