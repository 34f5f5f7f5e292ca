# SPDX-License-Identifier: MIT
"""A server that wants to hurt: it can refuse mail, but not take memory, time, the log or other mail.

What a hostile server does, and where that is tried (here unless a file is named):

    endless lines, endless literals         test_endless, test_endless_before_the_mount
    lying literal lengths                   test_endless; test_servers_bodies.py: test_wrong_literal_length
    nesting                                 test_endless
    EXISTS of 4 billion                     test_servers_listing.py: test_wrong_exists
    UIDs 0 and 2^32-1, duplicates, descent  test_servers_listing.py: test_uids_that_are_none, test_largest_uids,
                                            test_order, test_unasked
    forged tags                             test_servers_session.py: test_forged_tag
    untagged floods                         test_flood
    names that escape or collide            test_servers_listing.py: test_name, test_odd_encodings
    rows, names that flood                  test_flood_of_rows, test_flood_of_names, test_long_names
    names that come and go                  test_names_that_come_and_go, test_names_that_are_gone_are_given_back,
                                            test_mailboxes_that_die_in_use
    rows, UIDs and numbers in bad orders    tests/unit: mail/test_rows.c, mail/test_uidset.c, imap/test_seqmap.c
    sizes of 2^63                           test_huge_sizes
    dates of nonsense                       test_servers_listing.py: test_dates
    NUL and 8-bit anywhere                  test_odd_octets
    control characters in text for people   test_control_characters
    slow-loris                              test_slow_loris
    UIDVALIDITY of its own in each response test_uidvalidity_everywhere

Memory is that of the ordinary build; the program with sanitizers takes several times as much.
"""
import contextlib
import itertools
import os
import random
import re
import threading
import time

import pytest

from fakeaccount import Mailbox
from mounting import wait_until
from programs import RELEASE
from servers import FakeImap, errno_of, mount, noise, refused_by, uids

MIB = 1 << 20
MEMORY = 64 * MIB       # for an account that has next to nothing
MAILBOXES = 65536       # that are shown at most
FLOOD = 96 * MIB       # what the server sends before it gives up
LINES = 12              # of the log, whatever the server says
ANYTHING = [""]         # any line is announced
BODIES = [b"Subject: %d\r\n\r\n" % n + noise(700 * n, n) for n in range(1, 9)]
ACCOUNT = {"INBOX": BODIES, "Work": [b"w"]}


def check(m, bodies=BODIES):
    assert uids(m.root / "INBOX") == list(range(1, len(bodies) + 1))
    for uid, body in enumerate(bodies, 1):
        assert (m.root / "INBOX" / str(uid)).read_bytes() == body


def harmless(m, waited=False, memory=MEMORY):
    """waited: our own calls waited in vain for long, which is a line for each of them."""
    assert m.peak() < memory
    lines = [line for line in m.said().splitlines() if not (waited and "took longer than" in line)]
    assert len(lines) <= LINES, lines[:LINES]


def endless(head, piece, count=FLOOD):
    """A rule's octets: head, then piece after piece, until the client goes or it was enough."""
    def say(session):
        session.send(head, now=True)
        for _ in range(count // len(piece)):
            session.send(piece, now=True)
        return b"\r\n{tag} OK done\r\n"
    return say


ENDLESS = {
    "line": (b"* OK ", b"A" * 65536),
    "flags": (b"* FLAGS (", b"\\Seen " * 10000),
    "search": (b"* SEARCH", b" 1" * 30000),
    "quoted": (b'* LIST () "/" "', b"x" * 65536),
    "nested": (b"* 1 FETCH (X ", b"(" * 65536),
    "code": (b"* OK [X ", b"y" * 65536),
    "literal-name": (b'* LIST () "/" {4294967295}\r\n', b"x" * 65536),
    "literal-of-2^64": (b"* 1 FETCH (UID 1 BODY[]<0> {18446744073709551615}\r\n", b"x" * 65536),
    "literal-of-4-GiB": (b"* 1 FETCH (UID 1 BODY[]<0> {4294967295}\r\n", b"x" * 65536),
    "literal-unasked": (b"* 1 FETCH (UID 1 X {1073741824}\r\n", b"x" * 65536),
    "without-end-of-line": (b"", b"\0" * 65536),
}


@pytest.mark.parametrize("command", ["EXAMINE", "UID FETCH-rows", "UID FETCH-body"])
@pytest.mark.parametrize("what", ENDLESS)
def test_endless(what, command):
    """Once: the connection is given up, and another one brings everything."""
    name, _, which = command.partition("-")
    match = {"rows": rb"RFC822.SIZE", "body": rb"BODY.PEEK", "": None}[which]
    with FakeImap(ACCOUNT) as server:
        server.rule(name, match=match, times=1, raw=endless(*ENDLESS[what]))
        with mount(server, says=ANYTHING, program=RELEASE, timeout=3) as m:
            # Whoever met it may get an error, and so may who comes right behind.
            def good():
                return not errno_of(os.listdir, m.root / "INBOX") and not errno_of(
                    (m.root / "INBOX" / "1").read_bytes)
            good()
            # A mailbox may take ten times the timeout to be selected.
            wait_until(good, "all is well", 45)
            check(m)
            harmless(m, waited=True)


@pytest.mark.parametrize("what", ["line", "code", "without-end-of-line", "literal-name"])
@pytest.mark.parametrize("command", ["greeting", "AUTHENTICATE", "LIST"])
def test_endless_before_the_mount(what, command):
    head, piece = ENDLESS[what]
    flags = {"greeting": head + piece * (24 * MIB // len(piece))} if command == "greeting" else {}
    with FakeImap(ACCOUNT, **flags) as server:
        if command != "greeting":
            server.rule(command, raw=endless(head, piece))
        _, lines = refused_by(server, program=RELEASE)
        assert len(lines) == 1 and lines[0].startswith("imapfs: "), lines


FLOODS = {
    "alert": b"* OK [ALERT] The end is nigh\r\n",
    "warning": b"* NO Disk is almost full\r\n",
    "exists": b"* 8 EXISTS\r\n",
    "recent": b"* 4294967295 RECENT\r\n",
    "flags": b"* 3 FETCH (FLAGS (\\Seen))\r\n",
    "rows": b'* 3 FETCH (UID 3 RFC822.SIZE 7 INTERNALDATE "01-Jan-2020 00:00:00 +0000")\r\n',
    "above-exists": b"* 900 FETCH (UID 900 RFC822.SIZE 7)\r\n",
    "capability": b"* CAPABILITY IMAP4rev1 X\r\n",
    "status": b'* STATUS "Work" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 9)\r\n',
    "nonsense": b"* BANANA 1 2 3\r\n",
}


@pytest.mark.parametrize("what", FLOODS)
def test_flood(what):
    """Half a million responses around a body."""
    flood = endless(b"", FLOODS[what] * 1000, 500000 * len(FLOODS[what]))

    def before(session):
        flood(session)
        return b""

    with FakeImap(ACCOUNT) as server:
        server.rule("UID FETCH", match=rb"BODY.PEEK", times=2, before=before)
        with mount(server, says=ANYTHING, program=RELEASE, timeout=30) as m:
            assert (m.root / "INBOX" / "2").read_bytes() == BODIES[1]
            assert (m.root / "INBOX" / "7").read_bytes() == BODIES[6]
            harmless(m)


def flood_of_rows(numbers):
    def rows(session):
        for first in range(9, 1000009, 5000):
            session.send(b"".join(b"* %d FETCH (UID %d RFC822.SIZE 7)\r\n" % (numbers(n), n)
                                  for n in range(first, first + 5000)), now=True)
        return b""
    return rows


@pytest.mark.parametrize("numbers", [lambda n: n, lambda n: 1 + n % 8], ids=["beyond-exists", "within"])
def test_flood_of_rows(numbers):
    """A million messages in a mailbox of eight: what goes over EXISTS is not kept."""
    with FakeImap(ACCOUNT) as server:
        server.rule("UID FETCH", match=rb"RFC822.SIZE", times=1, before_ok=flood_of_rows(numbers))
        with mount(server, says=ANYTHING, program=RELEASE, timeout=30) as m:
            assert set(uids(m.root / "INBOX")) >= set(range(1, 9))
            check(m)
            harmless(m)


def test_flood_of_names():
    """200,000 mailboxes. Those that are shown can be used, and it is said that others are not."""
    def names(session):
        for first in range(0, 200000, 5000):
            session.send(b"".join(b'* LIST () "/" "f%d"\r\n' % n for n in range(first, first + 5000)),
                         now=True)
        return b""

    with FakeImap(ACCOUNT) as server:
        server.rule("LIST", before_ok=names)
        with mount(server, says=ANYTHING, program=RELEASE, timeout=30) as m:
            check(m)
            assert len(os.listdir(m.root)) > 50000
            assert re.search("imapfs: .*mailbox(es are| is) left out", m.said())
            # They are really there: each takes 440 octets, its names, and, while it is saved, a job of the cache.
            harmless(m, memory=MAILBOXES * 1280)


def test_names_that_come_and_go():
    """Each LIST names 4000 others than the one before: those that are gone take no memory."""
    lists = itertools.count()

    def names(session):
        turn = next(lists)
        session.send(b"".join(b'* LIST () "/" "g%d-%d"\r\n' % (turn, n) for n in range(4000)), now=True)
        return b""

    with FakeImap(ACCOUNT) as server:
        server.rule("LIST", before_ok=names)
        with mount(server, says=ANYTHING, program=RELEASE, timeout=30) as m:
            while server.names().count("LIST") < 16:
                assert len(os.listdir(m.root)) > 3000
                time.sleep(0.5)
            check(m)
            assert m.peak() < MEMORY / 2


def test_names_that_are_gone_are_given_back():
    """What 40,000 mailboxes took is the machine's again when they are no more, not only the daemon's to use anew."""
    extra = [b""]
    with FakeImap(ACCOUNT) as server:
        server.rule("LIST", before_ok=lambda session: session.send(extra[0], now=True) or b"")
        with mount(server, says=ANYTHING, program=RELEASE, timeout=30, refresh=1) as m:
            check(m)
            before = m.resident()
            extra[0] = b"".join(b'* LIST () "/" "g%d"\r\n' % n for n in range(40000))
            wait_until(lambda: len(os.listdir(m.root)) > 40000, "they are listed")
            assert m.resident() > before + 16 * MIB
            extra[0] = b""
            wait_until(lambda: len(os.listdir(m.root)) == 2, "they are gone")
            wait_until(lambda: m.resident() < before + 12 * MIB, "their memory is free")
            check(m)


def turmoil(server, seconds):
    """Mailboxes are made, deleted and numbered anew, three of them at a time."""
    numbers = itertools.count(1)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        boxes = dict(server.account.mailboxes)
        names = [name for name in boxes if name.startswith(b"f")]
        if len(names) > 2:
            del boxes[random.choice(names)]
        number = next(numbers)
        boxes[b"f%d" % number] = Mailbox(BODIES, uidvalidity=number)
        for name in random.sample(names, len(names) // 3):
            if name in boxes:
                boxes[name] = Mailbox(BODIES, uidvalidity=1000 + number)
        server.account.mailboxes = boxes
        time.sleep(0.15)


def use(root, stop):
    """Lists, reads and removes whatever there is, and minds no error."""
    while not stop.is_set():
        for name in os.listdir(root):
            with contextlib.suppress(OSError):
                for message in os.listdir(root / name):
                    with open(root / name / message, "rb") as file:
                        file.read()
                    if name.startswith("f") and random.random() < 0.2:
                        (root / name / message).unlink()


@pytest.mark.parametrize("delay", [0, 0.05], ids=["at-once", "slowly"])
def test_mailboxes_that_die_in_use(delay):
    """Nothing that is under way in a mailbox outlives it: this is for the sanitizers to find."""
    with FakeImap(ACCOUNT) as server:
        server.rule(delay=delay)
        with mount(server, says=ANYTHING, refresh=1) as m:
            stop = threading.Event()
            users = [threading.Thread(target=use, args=(m.root, stop)) for _ in range(6)]
            for user in users:
                user.start()
            try:
                turmoil(server, 12)
            finally:
                stop.set()
                for user in users:
                    user.join()
            server.account.mailboxes = {b"INBOX": Mailbox(BODIES), b"f": Mailbox(BODIES)}
            wait_until(lambda: {"INBOX", "f"} == set(os.listdir(m.root)), "the tree", 30)
            for uid, body in enumerate(BODIES, 1):
                assert (m.root / "f" / str(uid)).read_bytes() == body


LONG_NAMES = {
    "4-MiB": lambda n: b"%03d" % n + b"a" * (4 * MIB) + b"/b" * 120,
    # Each of its levels has a copy of what is before it.
    "deep": lambda n: b"%04d" % n + b"/" + b"/".join([b"c" * 60] * 120),
    "8-KiB": lambda n: b"%04d" % n + b"a" * 8000,
}


@pytest.mark.parametrize("what", LONG_NAMES)
def test_long_names(what, tmp_path):
    """24 MiB of names: those that are not kept are spoken of once."""
    name = LONG_NAMES[what]

    def names(session):
        for n in range(24 * MIB // len(name(0))):
            session.send(b'* LIST () "/" "%b"\r\n' % name(n), now=True)
        return b""

    with FakeImap(ACCOUNT) as server:
        server.rule("LIST", before_ok=names)
        with mount(server, tmp_path, says=ANYTHING, program=RELEASE, timeout=30) as m:
            check(m)
            assert "INBOX" in os.listdir(m.root)
            assert len(re.findall("imapfs: .*mailbox(es are| is) left out", m.said())) == 1
            harmless(m)
            files = [os.path.join(d, name) for d, _, names in os.walk(m.cache) for name in names]
            assert sum(map(os.path.getsize, files)) < 2 * MEMORY


@pytest.mark.parametrize("size", [b"9223372036854775808", b"9223372036854775807", b"18446744073709551615",
                                  b"18446744073709551616", b"99999999999999999999999", b"-1", b"4294967296"])
def test_huge_sizes(size):
    with FakeImap(ACCOUNT, size=lambda uid, true: size) as server, mount(server, says=ANYTHING) as m:
        check(m)
        for uid, body in enumerate(BODIES, 1):
            assert (m.root / "INBOX" / str(uid)).stat().st_size == len(body)


ODD = [b"\0", b"\xff\xfe", b"\x80" * 300, b"\x1b[2J", b"\xc3(", b"\r", b'"', b"\x7f"]


@pytest.mark.parametrize("place", [b"* OK [ALERT] %b\r\n", b"* OK [%b] x\r\n", b"* %b\r\n", b"* %b 1\r\n",
                                   b"* 1 %b\r\n", b"* 1 FETCH (%b 1)\r\n", b"* 1 FETCH (FLAGS (%b))\r\n",
                                   b"* 1 FETCH (X %b)\r\n", b"* CAPABILITY %b\r\n", b"* FLAGS (%b)\r\n",
                                   b"* SEARCH %b\r\n", b'* STATUS "%b" (MESSAGES 1)\r\n', b'* LIST (%b) "/" x\r\n'])
def test_odd_octets(place):
    """Whether such a response is passed over or costs the connection: all mail is read rightly, and no
    control character reaches the log."""
    with FakeImap(ACCOUNT) as server:
        server.rule("UID FETCH", times=1, before=b"".join(place % odd for odd in ODD))
        server.rule("EXAMINE", times=1, before=b"".join(place % odd for odd in ODD))
        with mount(server, says=ANYTHING) as m:
            for _ in range(2):
                errno_of(os.listdir, m.root / "INBOX")
            check(m)
            assert re.fullmatch(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f]*", m.said())
            assert len(m.said().splitlines()) <= LINES


CONTROL = "\x1b]0;OWNED\x07\x1b[2J\x9b31m\u202e"


@pytest.mark.parametrize("command,match", [("EXAMINE", None), ("UID FETCH", rb"RFC822.SIZE"),
                                           ("UID FETCH", rb"BODY.PEEK"), ("SELECT", None), ("UID STORE", None),
                                           ("UID EXPUNGE", None), ("LIST", None), ("STATUS", None)])
def test_control_characters(command, match):
    """What the server says to people is shown, without what a terminal would act on: in the log, the
    status, and there also in the names of capabilities."""
    with FakeImap(ACCOUNT, capabilities=("IMAP4rev1", "UIDPLUS", "SASL-IR", "X" + CONTROL[-9:])) as server:
        # On one connection, so that a round has a mailbox to ask for that is not selected and just checked.
        with mount(server, says=ANYTHING, refresh=1, connections=1) as m:
            server.rule(command, match=match, reply=b"NO sorry " + CONTROL.encode())
            server.rule("NOOP", reply=b"NO why " + CONTROL.encode())
            errno_of(os.listdir, m.root / "Work")
            errno_of(os.listdir, m.root / "INBOX")
            errno_of((m.root / "INBOX" / "1").read_bytes)
            errno_of(os.unlink, m.root / "INBOX" / "2")
            server.wait(lambda: any(c.name == command for c in server.commands), 20)
            status = (m.root / ".imapfs" / "status").read_text()
            for text in (m.said(), status):
                assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text), repr(text)
            assert " X?[2J?31m?\n" in status


def drip(session):
    session.behaviour.dribble = 0.2
    session.send(b"* OK " + b"x" * 100000, now=True)
    return b""


@pytest.mark.parametrize("command", ["greeting", "AUTHENTICATE", "LIST"])
def test_slow_loris_before_the_mount(command):
    flags = {"greeting": b"* OK " + b"x" * 100000, "dribble": 0.2} if command == "greeting" else {}
    with FakeImap(ACCOUNT, **flags) as server:
        if command != "greeting":
            server.rule(command, raw=drip)
        _, lines = refused_by(server, timeout=2)
        assert len(lines) == 1 and "127.0.0.1" in lines[0], lines


@pytest.mark.parametrize("command", ["EXAMINE", "UID FETCH"])
def test_slow_loris(command):
    """An octet every 0.2 s, for ever: each call ends all the same."""
    with FakeImap(ACCOUNT) as server, mount(server, says=ANYTHING, timeout=2) as m:
        server.rule(command, raw=drip)
        assert errno_of(os.listdir, m.root / "INBOX") in ("ETIMEDOUT", "ENETDOWN", "EIO", None)
        assert errno_of((m.root / "INBOX" / "1").read_bytes) in ("ETIMEDOUT", "ENETDOWN", "EIO", "ENOENT", None)
        assert errno_of(os.stat, m.root / "INBOX") is None
        server.rules.clear()
        server.behaviour.dribble = 0


@pytest.mark.parametrize("how", ["select", "responses"])
def test_uidvalidity_everywhere(how):
    """Another one each time: nothing is ever served under a name that meant another message."""
    flags = {"uidvalidity": lambda name, before: 1000 + before} if how == "select" else {}
    with FakeImap(ACCOUNT, **flags) as server:
        if how == "responses":
            server.rule("UID FETCH", before=b"* OK [UIDVALIDITY 77] surprise\r\n",
                        before_ok=b"* OK [UIDVALIDITY 78] surprise\r\n")
        with mount(server, says=ANYTHING, program=RELEASE, connections=1) as m:
            for turn in range(150):
                for name in ("INBOX", "Work"):
                    directory = m.root / name
                    if errno_of(os.listdir, directory):
                        continue
                    try:
                        wanted = BODIES[turn % 8] if name == "INBOX" else b"w"
                        assert (directory / str(turn % 8 + 1 if name == "INBOX" else 1)).read_bytes() == wanted
                    except OSError:
                        pass
            assert m.peak() < MEMORY
