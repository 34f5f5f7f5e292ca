# SPDX-License-Identifier: MIT
"""rm on servers of all kinds: the message that was asked for goes, and never another."""
import os
import re
import subprocess
import threading

import pytest

import servers
from mounting import live, wait_until, waits
from servers import FakeImap, errno_of, uids
from fakeimap import CAPABILITIES, Mailbox, Message

BODIES = [b"Subject: %d\r\n\r\n" % n for n in range(1, 9)]
MARKED = {2, 5, 8}
LACKING = r"UID EXPUNGE was refused twice"
DENIED = r"nothing can be removed from INBOX: the server lets no message be marked"


def mount(server, **options):
    """Where UIDPLUS is lacking nothing is removed without expunge=force."""
    return servers.mount(server, **{"expunge": "force", "says": [LACKING, DENIED], **options})


def account(marked=(), **options):
    return {"INBOX": Mailbox([Message(body, flags=["\\Deleted"] if n in marked else [])
                              for n, body in enumerate(BODIES, 1)], **options)}


def present(server):
    return {m.uid for m in server.mailbox("INBOX").messages}


def deleted(server):
    return {m.uid for m in server.mailbox("INBOX").messages if b"\\Deleted" in m.flags}


def check_commands(server):
    """What must never be sent, whatever happens."""
    assert not {"CLOSE", "UNSELECT"} & set(server.names())
    assert all("BODY.PEEK[]" in line for line in server.lines("UID FETCH") if "BODY" in line)
    assert not any(line.startswith("FETCH") and "BODY" in line for line in server.lines())


KINDS = {"uidplus": {}, "no-uidplus": {"hide": ("UIDPLUS",)}, "uidplus-refused": {"refuse_uid_expunge": True}}


@pytest.mark.parametrize("marked", [(), MARKED], ids=["alone", "others-marked"])
@pytest.mark.parametrize("kind", KINDS)
def test_unlink(kind, marked):
    with FakeImap(account(marked), **KINDS[kind]) as server, mount(server) as m:
        inbox = m.root / "INBOX"
        (inbox / "3").unlink()
        assert present(server) == set(range(1, 9)) - {3}
        assert deleted(server) == set(marked)
        assert uids(inbox) == [1, 2, 4, 5, 6, 7, 8]
        (inbox / "5").unlink()
        assert present(server) == set(range(1, 9)) - {3, 5}
        assert deleted(server) == set(marked) - {5}
        assert errno_of((inbox / "5").read_bytes) == "ENOENT"
        check_commands(server)
        if kind == "uidplus":
            assert "EXPUNGE" not in server.names()


@pytest.mark.parametrize("kind", KINDS)
def test_unlink_all(kind):
    with FakeImap(account(MARKED), **KINDS[kind]) as server, mount(server) as m:
        for uid in (1, 3, 4, 6, 7):
            (m.root / "INBOX" / str(uid)).unlink()
        assert present(server) == MARKED == deleted(server)
        check_commands(server)


STEPS = ["UID SEARCH", "UID STORE", "UID STORE 2", "EXPUNGE", "UID STORE 3"]


def cut(server, step, how):
    """Cuts the connection at the step of the sequence without UIDPLUS: before it is carried out, after
    it and before its answer, or after its answer. Each connection, until told otherwise."""
    name, _, number = step.partition(" STORE ")
    name += " STORE" if number else ""
    match = rb"DELETED" if name == "UID SEARCH" else None
    skip = int(number) - 1 if number else 0
    fields = {"before": {"raw": b""}, "within": {"status": lambda s: s.drop()}, "after": {}}[how]
    return server.rule(name, match=match, skip=skip, times=1, drop="fin", **fields)


@pytest.mark.parametrize("how", ["before", "within", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_cut_once(step, how):
    """Cut once: it goes on by itself."""
    with FakeImap(account(MARKED), hide=("UIDPLUS",)) as server, mount(server, says=None) as m:
        os.listdir(m.root / "INBOX")
        rule = cut(server, step, how)
        error = errno_of((m.root / "INBOX" / "3").unlink)
        assert rule.hits == 1
        assert present(server) in (set(range(1, 9)) - {3}, set(range(1, 9)))
        assert (error is None) == (3 not in present(server))
        assert deleted(server) - {3} == MARKED
        check_commands(server)


@pytest.mark.parametrize("how", ["before", "within", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_cut_for_good(step, how, tmp_path):
    """Killed at that moment, as the machine may be: the next mount gives the others' marks back."""
    with FakeImap(account(MARKED), hide=("UIDPLUS",)) as server:
        with mount(server, directory=tmp_path, says=None) as m:
            os.listdir(m.root / "INBOX")
            rule = cut(server, step, how)
            rule.action = lambda session: None
            if how == "before":
                rule.action = lambda session: m.process.kill()
            elif how == "within":
                rule.status = lambda session: (m.process.kill(), b"OK done")[1]
            else:
                rule.after = lambda session: (session.flush(), m.process.kill(), b"")[2]
            errno_of((m.root / "INBOX" / "3").unlink)
            m.process.wait()
            m.kill()
            m.start()
            server.wait(lambda: deleted(server) - {3} == MARKED)
            assert present(server) >= set(range(1, 9)) - {3}
            check_commands(server)


def test_marks_outlive_another_rm():
    """An rm gave up while others' marks were off; then others mark more, and another rm works."""
    with FakeImap(account({2}), hide=("UIDPLUS",)) as server, mount(server, says=None) as m:
        os.listdir(m.root / "INBOX")
        server.rule("EXPUNGE", raw=b"", drop="fin")
        assert errno_of((m.root / "INBOX" / "3").unlink) is not None
        server.rules.clear()
        server.set_flags("INBOX", 5, "\\Deleted")
        for uid in (4, 6):
            errno_of((m.root / "INBOX" / str(uid)).unlink)
        m.restart()
        server.wait(lambda: deleted(server) - {3, 4, 6} == {2, 5})
        assert present(server) >= {1, 2, 5, 7, 8}


@pytest.mark.parametrize("flags, options, error", [
    ({"read_only": True}, {}, "EROFS"), ({}, {"read_only": True}, "EROFS"),
    ({"permanent_flags": b"\\Seen \\Answered"}, {}, "EACCES"), ({"permanent_flags": b"\\Seen \\*"}, {}, "EACCES")],
    ids=["server", "mailbox", "flags", "flags-and-keywords"])
@pytest.mark.parametrize("kind", KINDS)
def test_read_only(kind, flags, options, error):
    with FakeImap(account(**options), **KINDS[kind], **flags) as server, mount(server) as m:
        assert errno_of((m.root / "INBOX" / "3").unlink) == error
        assert not {"UID STORE", "STORE", "EXPUNGE", "UID EXPUNGE"} & set(server.names())
        assert present(server) == set(range(1, 9))
        assert (m.root / "INBOX" / "3").read_bytes() == BODIES[2]


def test_read_only_mount():
    with FakeImap(account()) as server, mount(server, ro=True) as m:
        assert errno_of((m.root / "INBOX" / "3").unlink) == "EROFS"
        os.listdir(m.root / "INBOX")
        assert not {"UID STORE", "EXPUNGE", "UID EXPUNGE", "SELECT"} & set(server.names())


@pytest.mark.parametrize("kind", KINDS)
def test_said_ok_but_kept(kind):
    with FakeImap(account(MARKED), **KINDS[kind]) as server:
        for command in ("EXPUNGE", "UID EXPUNGE"):
            if not (kind == "uidplus-refused" and command == "UID EXPUNGE"):
                server.rule(command, reply=b"OK done")
        with mount(server, says=[r"still has them", LACKING]) as m:
            assert errno_of((m.root / "INBOX" / "3").unlink) == "EIO"
            assert (m.root / "INBOX" / "3").read_bytes() == BODIES[2]
        assert present(server) == set(range(1, 9))
        assert deleted(server) - {3} == MARKED
        check_commands(server)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["UID STORE", "EXPUNGE"])
def test_refused(command, kind):
    if command == "EXPUNGE" and kind == "uidplus":
        command = "UID EXPUNGE"
    with FakeImap(account(MARKED), **KINDS[kind]) as server:
        server.rule(command, match=None if command != "UID STORE" else rb"STORE 3 ", reply=b"NO [NOPERM] not you")
        with mount(server, says=None) as m:
            assert errno_of((m.root / "INBOX" / "3").unlink) in ("EACCES", "EIO", "EPERM")
        assert present(server) == set(range(1, 9))
        assert deleted(server) - {3} == MARKED


def dated():
    return {"INBOX": Mailbox([Message(b"Subject: %d\r\n\r\n" % 10 ** n, date=b"%02d-Jan-2024 00:00:00 +0000" % n)
                              for n in range(1, 9)])}


def replace(server):
    """Each UID is another message from now on."""
    with server.account.lock:
        for message in server.mailbox("INBOX").messages:
            message.body, message.date = b"other" + message.body, message.date.replace(b"2024", b"2023")


def start(*command):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    live.add(process)
    return process


@pytest.mark.parametrize("kind", ["uidplus", "no-uidplus"])
def test_other_message_under_the_uid(kind):
    """Proton's Bridge: UIDs move on without another UIDVALIDITY. What was not shown is not removed."""
    with FakeImap(dated(), **KINDS[kind]) as server, \
            mount(server, says=[r"INBOX/3 is not removed"], sizes="trust", refresh=600) as m:
        inbox = m.root / "INBOX"
        assert uids(inbox) == list(range(1, 9))
        replace(server)
        assert errno_of((inbox / "3").unlink) == "EIO"
        assert present(server) == set(range(1, 9)) and not deleted(server)
        assert not {"UID STORE", "EXPUNGE", "UID EXPUNGE"} & set(server.names())


@pytest.mark.parametrize("kind", ["uidplus", "no-uidplus"])
def test_other_message_behind_one_that_was_given_up(kind):
    """Who comes while the messages of another are compared has his own compared, too."""
    with FakeImap(dated(), **KINDS[kind]) as server, \
            mount(server, says=[r"INBOX/4 is not removed"], sizes="trust", refresh=600, timeout=30) as m:
        inbox = m.root / "INBOX"
        assert uids(inbox) == list(range(1, 9))
        replace(server)
        rule = server.rule("UID FETCH", match=rb"FETCH 3 .*SIZE", stall=True)
        first = start("rm", "-f", inbox / "3")
        wait_until(lambda: rule.hits, "the first is compared")
        first.kill()
        first.wait(10)
        second = start("rm", "-f", inbox / "4")
        wait_until(lambda: waits(second), "the second waits")
        m.read(".imapfs", "status")  # which is answered behind it
        server.rules.remove(rule)
        rule.release()
        assert second.wait(20) == 1
        live.difference_update((first, second))
        assert present(server) == set(range(1, 9)) and not deleted(server)
        assert not {"UID STORE", "EXPUNGE", "UID EXPUNGE"} & set(server.names())


def test_one_turn_each(slow):
    """STORE and UID EXPUNGE of a message go out together, and nothing else has to be waited for."""
    count = 20
    boxes = {"INBOX": [b"Subject: %d\r\n\r\n" % n for n in range(1, count + 2)]}
    with FakeImap(boxes, hide=("IDLE",)) as server, \
            mount(server, refresh=3600, sizes="trust", connections=1, **slow) as m:
        def turns():
            return int(re.search(rb"connection: .* data: .* (\d+) turns", m.read(".imapfs", "status"))[1])

        inbox = m.root / "INBOX"
        (inbox / "1").unlink()  # selects it for writing
        os.listdir(inbox)  # what a check asks is asked now
        before = turns()
        for uid in range(2, count + 2):
            (inbox / str(uid)).unlink()
        assert turns() - before == count
        assert not present(server)
        for name in ("UID STORE", "UID EXPUNGE"):
            assert len(server.lines(name)) == count + 1


def test_mailboxes_do_not_wait_for_each_other():
    """One answer is overdue in one mailbox: the other's files go meanwhile, by another connection."""
    boxes = {name: [b"Subject: %d\r\n\r\n" % n for n in range(1, 4)] for name in ("INBOX", "Other")}
    with FakeImap(boxes) as server, mount(server) as m:
        overdue = server.rule("UID STORE", stall=True, times=1)
        first = threading.Thread(target=(m.root / "INBOX" / "1").unlink)
        first.start()
        server.wait_for("UID STORE")
        (m.root / "Other" / "1").unlink()
        (m.root / "Other" / "3").unlink()
        assert [message.uid for message in server.mailbox("Other").messages] == [2]
        assert present(server) == {1, 2, 3} and first.is_alive()
        overdue.release()
        first.join()
        assert present(server) == {2, 3}


# The server does a command for some messages only (MESSAGELIMIT, RFC 9738).

@pytest.mark.parametrize("said", [False, True], ids=["unsaid", "said"])
def test_message_limit(said):
    """What others marked is unmarked and marked again in sets that the server does as a whole."""
    others = set(range(5, 25))
    mail = {"INBOX": Mailbox([Message(b"x", flags=["\\Deleted"] if n in others else []) for n in range(1, 31)])}
    capabilities = [c for c in CAPABILITIES if c != "UIDPLUS"] + ["MESSAGELIMIT=3"] * said
    with FakeImap(mail, capabilities=capabilities) as server, mount(server) as m:
        inbox = m.root / "INBOX"
        assert uids(inbox) == list(range(1, 31))

        def limit(number):
            return lambda session: setattr(server.behaviour, "message_limit", number)
        server.rule("*", action=limit(None))
        for name in ("UID FETCH", "UID STORE"):
            server.rule(name, action=limit(3))
        (inbox / "2").unlink()
        assert present(server) == set(range(1, 31)) - {2}
        assert deleted(server) == others
        (inbox / "10").unlink()
        assert present(server) == set(range(1, 31)) - {2, 10}
        assert deleted(server) == others - {10}
        assert uids(inbox) == sorted(present(server))
        check_commands(server)


@pytest.mark.parametrize("command", ["UID STORE", "UID EXPUNGE"])
def test_a_limit_that_is_never_passed(command):
    """Nothing is done but in part: an error, and nothing that was not done is said to be done."""
    with FakeImap(account()) as server, mount(server) as m:
        inbox = m.root / "INBOX"
        assert uids(inbox) == list(range(1, 9))
        match = rb"\+FLAGS" if command == "UID STORE" else None
        server.rule(command, match=match, raw=b"{tag} OK [MESSAGELIMIT 1] in part\r\n")
        assert errno_of((inbox / "3").unlink) == "EIO"
        assert present(server) == set(range(1, 9))
        assert deleted(server) == set()
        assert uids(inbox) == list(range(1, 9))
