# SPDX-License-Identifier: MIT
"""Messages are put into mailboxes and copied between them, by the tool put: against the scripted server with its
faults, and against real ones."""
import imaplib
import os
import re
import subprocess
import time

import pytest

import tree
from dovecot import Dovecot
from fakeimap import FakeImap, Mailbox, Rule
from programs import TOOLS
from unpacked import Courier, Cyrus

LETTER = b"From: a@x\nReceived: by b; Thu, 1 Feb 2024 13:05:59 +0100\nMessage-ID: <1@x>\n\nhi\n"
KINDS = {"dovecot-mdbox": lambda: Dovecot(mail_format="mdbox"), "dovecot-maildir": Dovecot, "cyrus": Cyrus,
         "courier": Courier}
SENT = LETTER.replace(b"\n", b"\r\n")


class Put:
    """What one run of the tool said."""

    def __init__(self, server, path, mailbox="INBOX", copy_to="", times=1, timeout=10000, port=None):
        done = subprocess.run(
            [os.path.join(TOOLS, "put"), str(port or server.port), server.user, server.password, str(timeout), mailbox,
             str(path), copy_to, str(times)], capture_output=True, text=True, timeout=60, check=False)
        self.lines = done.stdout.splitlines()
        self.peak = int(self.lines.pop().split()[1])
        self.said = done.stderr.splitlines()
        assert not [line for line in self.said if re.search("Sanitizer|runtime error", line)], self.said


@pytest.fixture(name="letter")
def fixture_letter(tmp_path):
    path = tmp_path / "letter"
    path.write_bytes(LETTER)
    return path


def bodies(server, name=b"INBOX"):
    return [m.body for m in server.account.find(name).messages]


def boxes(**more):
    return {"INBOX": [b"A: b\r\n\r\n"], "Box": [], **more}


@pytest.mark.parametrize("hide", [(), ("LITERAL+",), ("UIDPLUS",), ("LITERAL+", "UIDPLUS")])
def test_put_and_copied(letter, hide):
    with FakeImap(boxes(), hide=hide) as server:
        put = Put(server, letter, copy_to="Box")
        assert [line.split()[:2] for line in put.lines] == [["appended", "2"], ["copied", "1"]]
        assert bodies(server) == [b"A: b\r\n\r\n", SENT] and bodies(server, b"Box") == [SENT]
        assert server.account.find(b"Box").messages[0].date == b"01-Feb-2024 12:05:59 +0000"


@pytest.mark.parametrize("manner", ["missing", "nil", "other"])
def test_the_server_does_not_say(letter, manner):
    with FakeImap(boxes(), append_uid=manner) as server:
        assert Put(server, letter).lines[0].startswith("appended 2 ")
        assert bodies(server)[1:] == [SENT]


@pytest.mark.parametrize("manner", ["missing", "nil", "empty", "star", "fewer"])
def test_the_server_does_not_say_of_copies(letter, manner):
    with FakeImap(boxes(), copy_uid=manner) as server:
        assert Put(server, letter, copy_to="Box").lines[1] == "copied 1"
        assert bodies(server, b"Box") == [SENT]


@pytest.mark.parametrize("flags, error", [
    ({"quota": 50}, "over quota"), ({"append_limit": 50}, "too large for the server"),
    ({"append_limit": 50, "hide": ("LITERAL+",)}, "too large for the server"),
    ({"append_limit": 50, "capabilities": ("IMAP4rev1", "APPENDLIMIT=50")}, "too large for the server")])
def test_refused(letter, flags, error):
    with FakeImap(boxes(), **flags) as server:
        assert f"not appended: {error}" in Put(server, letter).lines[0]
        assert len(bodies(server)) == 1


def test_no_right(letter):
    with FakeImap(boxes(Shared=Mailbox(rights="lr"))) as server:
        assert "permission denied" in Put(server, letter, "Shared").lines[0]


def test_no_message(tmp_path):
    picture = tmp_path / "picture"
    picture.write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF" + b"\0" * 1000)
    with FakeImap(boxes()) as server:
        assert Put(server, picture).lines[0].startswith("not appended: invalid: has NUL")
        assert not server.lines("APPEND")


@pytest.mark.parametrize("drop", ["fin", "rst"])
def test_lost_behind_all_of_it(letter, drop):
    """It was stored, and the connection lost before the server said so: it is there once."""
    with FakeImap(boxes(), rules=[Rule("APPEND", times=1, status=b"", drop=drop)]) as server:
        assert Put(server, letter).lines[0].startswith("appended 2 ")
        assert bodies(server)[1:] == [SENT]


def test_lost_before_it_was_stored(letter):
    with FakeImap(boxes(), rules=[Rule("APPEND", times=1, raw=b"", drop="rst")]) as server:
        assert Put(server, letter).lines[0].startswith("appended 2 ")
        assert bodies(server)[1:] == [SENT]


def test_lost_and_changed(letter):
    """The server changes what it stores: whether it is there cannot be known. It is there once, and that is told."""
    with FakeImap(boxes(), append_change=lambda body: b"X-Added: y\r\n" + body,
                  rules=[Rule("APPEND", times=1, status=b"", drop="rst")]) as server:
        put = Put(server, letter)
        assert put.lines[0].startswith("not appended: it is not known")
        assert any("cannot be known" in line for line in put.said)
        assert len(bodies(server)) == 2


def test_copy_lost(letter):
    with FakeImap(boxes(), rules=[Rule("UID COPY", times=1, status=b"", drop="rst")]) as server:
        assert Put(server, letter, copy_to="Box").lines[1] == "copied 1"
        assert bodies(server, b"Box") == [SENT]


def test_many_at_once(letter):
    with FakeImap(boxes()) as server:
        put = Put(server, letter, copy_to="Box", times=40)
        assert len(bodies(server)) == 41 and len(bodies(server, b"Box")) == 40
        assert len({line for line in put.lines if line.startswith("appended")}) == 40
        assert len(server.lines("UID COPY")) < 20


def test_large(tmp_path):
    """A message of 24 MiB, of which little is in memory at a time."""
    path = tmp_path / "large"
    path.write_bytes(b"A: b\n\n" + b"x" * 75 + b"\n")
    with FakeImap(boxes()) as server:
        before = Put(server, path).peak
        path.write_bytes(b"A: b\n\n" + (b"y" * 75 + b"\n") * (24 * 1024 * 1024 // 76))
        after = Put(server, path).peak
        assert bodies(server)[-1] == path.read_bytes().replace(b"\n", b"\r\n")
    assert after < before + 8 * 1024


@pytest.mark.parametrize("kind", KINDS)
def test_real_servers(letter, kind):
    """Once, unchanged, with its date; and copied with it."""
    with KINDS[kind]() as server:
        box = server.box("Box")
        server.create(box)
        put = Put(server, letter, copy_to=tree.path_of(box, server.delimiter), port=server.imap_port)
        assert put.lines[0].startswith("appended 1 ") and put.lines[1] == "copied 1", put.lines
        assert server.fetch_all("INBOX") == {1: SENT} and server.fetch_all(box) == {1: SENT}
        with imaplib.IMAP4("127.0.0.1", server.imap_port) as client:
            client.login(server.user, server.password)
            client.select(f'"{box}"')
            _, rows = client.uid("FETCH", "1", "(INTERNALDATE)")
            assert time.mktime(imaplib.Internaldate2tuple(rows[0])) == 1706789159
