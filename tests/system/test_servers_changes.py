# SPDX-License-Identifier: MIT
"""The same changes of mail on servers that lack this or that extension, or say wrongly which messages came of them:
each message is in the end where it was asked to be, once, and no name leads to another message."""
import errno
import os
import subprocess

import pytest

import ledger
from fakeimap import CAPABILITIES, Mailbox, Message
from programs import PROGRAM
from mounting import live, run, wait_until, waits
from servers import FakeImap, mount

MORE = ("CONDSTORE", "QRESYNC", "NOTIFY", "ACL", "QUOTA", "APPENDLIMIT=1000000")
EACH = ("MOVE", "UIDPLUS", "CONDSTORE", "QRESYNC", "ACL", "QUOTA", "APPENDLIMIT=1000000", "LITERAL+", "LIST-STATUS", "NOTIFY", "IDLE", "ESEARCH")


class Account:
    """Two mailboxes of some messages with flags and dates of their own."""

    def __init__(self, server, m):
        self.server, self.m = server, m

    @staticmethod
    def mailboxes():
        def message(number):
            return Message(ledger.text(number), flags=["\\Seen"] if number % 2 else [], date=date(number))
        return {"INBOX": [], "A": Mailbox([message(i) for i in range(1, 13)]),
                "B": Mailbox([message(i) for i in range(21, 24)])}

    def at(self, box, *names):
        return self.m.path(box, *map(str, names))

    def now(self):
        """{mailbox: {number: flags}}; a message that is there twice, or is not as it was, fails."""
        found = {}
        with self.server.account.lock:
            for name, box in self.server.account.mailboxes.items():
                found[name.decode()] = numbers = {}
                for m in box.messages:
                    number = int(m.body.split(b"number ")[1].split()[0])
                    assert number not in numbers and bytes(m.body) == ledger.text(number) and m.date == date(number), (name, number)
                    numbers[number] = {flag.decode() for flag in m.flags}
        return found

    def leads_to(self, number, *names):
        """That name is no other message's; it may not be known, and where another one came to the number that the server
        has told, its size is wrong, and the first read fails."""
        for _ in range(2):
            try:
                assert self.m.read(*names) == ledger.text(number)
                return
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno not in (errno.EIO, errno.ESTALE):
                    raise
        raise AssertionError(f"{names}: it cannot be read")


def date(number):
    return b"14-Nov-2023 22:%02d:%02d +0000" % (13 + (20 + number) // 60, (20 + number) % 60)


def change_everything(account, m):
    """One after the other, as people do it."""
    at = account.at
    for box in "AB":
        assert os.listdir(at(box))
    os.rename(at("A", 1), at("B", "one"))
    for uid in (2, 3, 4, 5):
        os.rename(at("A", uid), at("B", f"m{uid}"))
    ledger.copy(at("A", 6), at("B", "copied"))
    os.setxattr(at("A", 7), "user.imap.flags", b"\\Flagged")
    os.setxattr(at("A", 8), "user.imap.flags", b"\\Answered")
    os.rename(at("A", 8), at("B", "flagged"))
    os.unlink(at("A", 9))
    ledger.write(at("B", "letter"), ledger.text(40), ledger.WHEN + 40)
    os.mkdir(at("New"))
    os.mkdir(at("Gone"))
    os.rename(at("New"), at("Newer"))
    os.rmdir(at("Gone"))
    account.leads_to(40, "B", "letter")
    account.leads_to(6, "B", "copied")
    account.leads_to(1, "B", "one")
    run(PROGRAM, "--sync", m.point)


def check(account):
    def seen(*numbers):
        return {i: {"\\Seen"} if i % 2 else set() for i in numbers}
    assert account.now() == {
        "INBOX": {}, "Newer": {}, "A": {**seen(6, 10, 11, 12), 7: {"\\Flagged"}},
        "B": {**seen(1, 2, 3, 4, 5, 6, 21, 22, 23), 8: {"\\Answered"}, 40: set()}}
    for number, name in ((1, "one"), (3, "m3"), (6, "copied"), (8, "flagged"), (40, "letter")):
        account.leads_to(number, "B", name)
    wait_until(lambda: len(os.listdir(account.at("B"))) == 11, "all are listed")
    listed = {int(account.m.read("B", name).split(b"number ")[1].split()[0]) for name in os.listdir(account.at("B"))}
    assert listed == {1, 2, 3, 4, 5, 6, 8, 21, 22, 23, 40}


def remove_by_name(account, m):
    """What is removed by the name that it came in under is that one."""
    gone = set()
    for number, name in ((1, "one"), (6, "copied"), (40, "letter"), (3, "m3")):
        try:
            os.unlink(account.at("B", name))
            gone.add(number)
        except FileNotFoundError:
            pass
    run(PROGRAM, "--sync", m.point)
    assert set(account.now()["B"]) == {1, 2, 3, 4, 5, 6, 8, 21, 22, 23, 40} - gone


def play(**behaviour):
    options = {"expunge": "force"} if "UIDPLUS" in behaviour.get("hide", ()) else {}
    with FakeImap(Account.mailboxes(), **behaviour) as server, mount(server, **{"async": True}, says=None, **options) as m:
        account = Account(server, m)
        change_everything(account, m)
        check(account)
        remove_by_name(account, m)


@pytest.mark.parametrize("lacking", [(), *((word,) for word in EACH), EACH], ids=lambda words: " ".join(words) if len(words) < 2 else "all")
def test_lacking(lacking):
    play(capabilities=CAPABILITIES + MORE, hide=lacking)


@pytest.mark.parametrize("hide", [(), ("MOVE",)], ids=["MOVE", "COPY"])
@pytest.mark.parametrize("manner", ["missing", "empty", "nil", "star", "fewer", "older", "ahead", "some"])
def test_copyuid(manner, hide):
    play(copy_uid=manner, hide=hide)


@pytest.mark.parametrize("how", ["moved", "put in"])
def test_another_one_comes_to_the_number_that_was_told(how):
    """Whoever has looked the name up before its row came does not get the other message."""
    def letter(number):
        return Message(ledger.text(number), date=date(number))
    boxes = {"INBOX": [], "A": Mailbox([letter(1)]), "B": Mailbox([letter(21)])}
    with FakeImap(boxes, copy_uid="ahead", append_uid="ahead", hide=("MOVE", "IDLE")) as server, \
            mount(server, says=None, refresh=3600, **{"async": True}) as m:
        account = Account(server, m)
        assert os.listdir(m.path("A")) == os.listdir(m.path("B")) == ["1"]
        if how == "moved":
            os.rename(m.path("A", 1), m.path("B", "one"))
            server.wait_for("UID EXPUNGE")
        else:
            ledger.write(m.path("B", "one"), ledger.text(1), ledger.WHEN + 1)
        server.append("B", letter(8))
        for _ in range(3):
            account.leads_to(1, "B", "one")


@pytest.mark.parametrize("manner", ["missing", "nil", "other", "older", "ahead"])
def test_appenduid(manner):
    play(append_uid=manner)


@pytest.mark.parametrize("hide", [(), ("MOVE",)])
def test_many_share_commands(hide):
    """What is asked for while a command is under way goes together into the next."""
    command = "UID COPY" if hide else "UID MOVE"
    with FakeImap(Account.mailboxes(), capabilities=CAPABILITIES, hide=hide) as server, mount(server, timeout=60, **{"async": True}) as m:
        assert len(os.listdir(m.path("A"))) == 12
        rule = server.rule(command, times=1, stall=True)
        for uid in range(1, 13):
            os.rename(m.path("A", str(uid)), m.path("B", f"m{uid}"))
            if uid == 1:
                server.wait_for(command, seconds=30)
        with subprocess.Popen([PROGRAM, "--sync", m.root]) as sync:
            live.add(sync)
            wait_until(lambda: waits(sync), "it is asked for at once, not in a while")
            rule.release()
            assert sync.wait(60) == 0
            live.discard(sync)
        account = Account(server, m).now()
        assert not account["A"] and len(account["B"]) == 15
        assert len(server.lines(command)) <= 2


def test_move_refused():
    play(refuse_move=True)


def test_numbered_anew_after_a_move():
    """A mailbox that a move has emptied begins anew with UID 1: that is another message than the one that was moved."""
    old, new = b"Subject: old\r\n\r\nmoved\r\n", b"Subject: new\r\n\r\ncame later\r\n"
    with FakeImap({"INBOX": [], "A": [old], "B": []}) as server, mount(server, says=None, refresh=1) as m:
        assert os.listdir(m.path("A")) == ["1"]
        inode = os.stat(m.path("A", 1)).st_ino
        os.rename(m.path("A", 1), m.path("B", "here"))
        wait_until(lambda: os.listdir(m.path("A")) == [], "it is gone from there")
        with server.account.lock:
            box = server.account.mailboxes[b"A"]
            box.uidvalidity, box.uidnext = box.uidvalidity + 1, 1
        server.bye()
        wait_until(lambda: os.listdir(m.path("A")) == [] and f"A: 0 messages, UIDVALIDITY {box.uidvalidity}," in
                   m.read(".imapfs", "status").decode(), "it is known to begin anew")
        server.append("A", new)
        wait_until(lambda: os.listdir(m.path("A")) == ["1"], "the new one is there")
        assert os.stat(m.path("A", 1)).st_ino != inode
        assert m.read("A", 1) == new
        assert m.read("B", "here") == old
