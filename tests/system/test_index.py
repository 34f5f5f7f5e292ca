# SPDX-License-Identifier: MIT
"""MAILBOX/.index and .index.jsonl: a line for each message, true, at the price of one look."""
import json
import os
import subprocess
import time

import pytest
from fakeimap import CAPABILITIES, FakeImap, Mailbox, Message
from mounting import run, wait_until
from servers import errno_of, mount

FIELDS = "DATE FROM TO CC SUBJECT MESSAGE-ID IN-REPLY-TO REFERENCES LIST-ID CONTENT-TYPE"
PLAIN = b"""From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\r
To: a@example.org, "B, Anna" <b@example.org>\r
Subject: =?utf-8?q?one_=E2=80=AE?= two\tthree\r
\tfour\r
Message-ID: <1@example.org>\r
References: <0@example.org>\r
 <00@example.org>\r
\r
text\r
"""
MIXED = b"""From: bare@example.org\r
Subject: "quoted" \\ back\r
Content-Type: multipart/mixed; boundary="=_b"\r
\r
--=_b\r
\r
text\r
--=_b\r
Content-Type: application/pdf; name="r.pdf"\r
Content-Transfer-Encoding: base64\r
\r
AAAA\r
--=_b--\r
"""
EMPTY = b"\r\nno header\r\n"


def fake(**behaviour):
    made = [Message(PLAIN, flags=["\\Seen", "$Work"]), Message(MIXED, flags=["\\Answered", "\\Deleted", "$Forwarded"]),
            Message(EMPTY)]
    return FakeImap({"INBOX": Mailbox(made), "Empty": []}, capabilities=CAPABILITIES + ("CONDSTORE",), **behaviour)


def asked(server):
    return [line for line in server.lines("UID FETCH") if "RFC822.SIZE" not in line and "PEEK[]" not in line]


def columns(path):
    return [line.split("\t") for line in path.read_text().splitlines()]


def test_index(directory):
    with fake() as server:
        with mount(server, directory) as m:
            path = m.root / "INBOX/.index"
            assert ".index" not in os.listdir(m.root / "INBOX")
            rows = columns(path)
            assert asked(server) == ["UID FETCH 1:* (UID FLAGS)", f"UID FETCH 1:3 (UID BODY.PEEK[HEADER.FIELDS ({FIELDS})])"]
            date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime((m.root / "INBOX/1").stat().st_mtime))
            assert rows == [
                ["1", date, "S-----", str(len(PLAIN)), "Jürgen", "one   two three four", "<1@example.org>"],
                ["2", rows[1][1], "-R--TP", str(len(MIXED)), "bare@example.org", '"quoted" \\ back', ""],
                ["3", rows[2][1], "------", str(len(EMPTY)), "", "", ""]]
            assert path.stat().st_size == len(path.read_bytes()) and path.stat().st_mode & 0o777 == 0o400
            assert (m.root / "Empty/.index").read_bytes() == b""
            ino = path.stat().st_ino

            # JSON costs the structures, and nothing else.
            before = len(asked(server))
            objects = [json.loads(line) for line in (m.root / "INBOX/.index.jsonl").read_text().splitlines()]
            assert asked(server)[before:] == ["UID FETCH 1:3 (UID BODYSTRUCTURE)"]
            assert objects[0] == {
                "uid": 1, "date": date, "size": len(PLAIN), "flags": ["\\Seen"], "keywords": ["$Work"],
                "from": "Jürgen <j@example.org>", "to": ["a@example.org", "B, Anna <b@example.org>"], "cc": [],
                "subject": "one   two three four", "message_id": "<1@example.org>", "in_reply_to": [],
                "references": ["<0@example.org>", "<00@example.org>"], "list_id": "", "sent": "",
                "parts": [{"section": "1", "type": "text/plain", "name": "1.txt", "bytes": 6}]}
            assert objects[1]["subject"] == '"quoted" \\ back'
            assert objects[1]["parts"] == [
                {"section": "1", "type": "text/plain", "name": "1.txt", "bytes": 4},
                {"section": "2", "type": "application/pdf", "name": "r.pdf", "bytes": 4}]

            # Later nothing, but for what is new.
            before = len(asked(server))
            assert columns(path) == rows
            server.append("INBOX", Message(PLAIN.replace(b"one", b"new")))
            server.expunge("INBOX", 2)
            wait_until(lambda: [row[0] for row in columns(path)] == ["1", "3", "4"], "it is there")
            assert columns(path)[:2] == [rows[0], rows[2]] and columns(path)[2][5].startswith("new")
            lines = [line for line in asked(server)[before:] if "HEADER" in line]
            assert lines == [f"UID FETCH 4 (UID BODY.PEEK[HEADER.FIELDS ({FIELDS})])"]
            server.set_flags("INBOX", 1, "\\Flagged")
            wait_until(lambda: columns(path)[0][2] == "--F---", "the flag shows")
            assert not [line for line in asked(server)[before + 1:] if "HEADER" in line]
            assert not any(message.flags & {b"\\Seen"} for message in server.mailbox("INBOX").messages)
            rows = columns(path)
        with mount(server, directory) as m:
            before = len(asked(server))
            path = m.root / "INBOX/.index"
            assert columns(path) == rows and path.stat().st_ino == ino
            assert (m.root / "INBOX/.index.jsonl").stat().st_size > 0
            assert not [line for line in asked(server)[before:] if "HEADER" in line]
    with mount(server, directory, offline=True, says=None) as m:
        assert columns(m.root / "INBOX/.index") == rows


def await_summaries(session):
    """They are asked for before EXAMINE is answered."""
    session.sock.settimeout(20)
    while b"HEADER.FIELDS" not in session.input:
        session.input += session.sock.recv(65536)
    session.sock.settimeout(None)


def letters(first, last):
    return [Message(b"From: a@b\r\nSubject: s%d\r\n\r\nx\r\n" % n) for n in range(first, last + 1)]


def subjects(m):
    return {int(row[0]): row[5] for row in columns(m.root / "INBOX/.index")}


def test_one_flight(directory):
    """EXAMINE, the first rows and all summaries leave together, and later those of what is new."""
    with FakeImap({"INBOX": Mailbox(letters(1, 12))}, hide=("IDLE",)) as server:
        rule = server.rule("EXAMINE", action=await_summaries)
        with mount(server, directory) as m:
            assert subjects(m) == {n: f"s{n}" for n in range(1, 13)}
            assert rule.hits == 1 and sum("1:12 (UID BODY.PEEK[HEADER" in line for line in asked(server)) == 1
        for letter in letters(13, 15):
            server.append("INBOX", letter)
        with mount(server, directory) as m:
            assert subjects(m) == {n: f"s{n}" for n in range(1, 16)}
            assert rule.hits == 2 and sum("HEADER" in line for line in asked(server)) == 2
            assert any("13:15 (UID BODY.PEEK[HEADER" in line for line in asked(server))


@pytest.mark.parametrize("fault", [{"reply": b"OK nothing"}, {"reply": b"NO not now"}, {"drop": "rst"}, {"drop": "rst", "middle_after": 3}],
                         ids=["no data", "NO", "rst", "rst behind some"])
def test_flight_lost(fault):
    """What does not come so is asked for as ever."""
    with FakeImap({"INBOX": Mailbox(letters(1, 12))}) as server, mount(server, says=["was lost"]) as m:
        rule = server.rule("UID FETCH", match=rb"HEADER.FIELDS", times=1, **fault)
        assert subjects(m) == {n: f"s{n}" for n in range(1, 13)} and rule.hits == 1


@pytest.mark.parametrize("left", [0, 5, 11])
def test_others_go_meanwhile(left):
    """There are fewer messages than STATUS said, and then fewer than have summaries."""
    with FakeImap({"INBOX": Mailbox(letters(1, 12))}) as server, mount(server) as m:
        gone = range(left + 1, 12 if left else 13)
        server.rule("EXAMINE", times=1, action=lambda _: server.expunge("INBOX", *gone))
        last = server.rule("UID FETCH", match=rb"1:\* \(UID RFC822.SIZE", times=1, action=lambda _: server.expunge("INBOX", 12))
        now = {n: f"s{n}" for n in range(1, left + 1)}
        wait_until(lambda: subjects(m) == now, "the others are there")
        assert last.hits == (left > 0)


def test_tail():
    """tail -f shows what is added."""
    with fake() as server, mount(server) as m:
        with subprocess.Popen(["tail", "-n", "1", "-f", m.root / "INBOX/.index"], stdout=subprocess.PIPE) as tail:
            assert tail.stdout.readline().startswith(b"3\t")
            server.append("INBOX", Message(PLAIN))
            assert tail.stdout.readline().startswith(b"4\t")
            server.append("INBOX", Message(MIXED))
            assert tail.stdout.readline().startswith(b"5\t")
            tail.kill()


def test_missing():
    """What the server does not tell of a message its own line says, which is never left out."""
    lies = {2: b'("text")'}
    with fake(structure=lies.get) as server, mount(server, says=["message 2 of INBOX"]) as m:
        inbox = m.root / "INBOX"
        rows = [json.loads(line) for line in (inbox / ".index.jsonl").read_text().splitlines()]
        assert [row["uid"] for row in rows] == [1, 2, 3] and [row["parts"] is None for row in rows] == [False, True, False]
        assert rows[1]["error"] == "the server gives no structure of this message that makes sense"
        assert rows[1]["from"] == "bare@example.org" and "error" not in rows[0]
        assert len(columns(inbox / ".index")) == 3
        # It may have one, or none, and is found either way; but not where something else shows that it is not meant.
        search = inbox / ".search"
        assert os.listdir(search / "has:attachment") == ["2"] and os.listdir(search / "-has:attachment") == ["1", "2", "3"]
        assert os.listdir(search / "from:example.org has:attachment") == ["2"]
        assert os.listdir(search / "from:j has:attachment") == [] == os.listdir(search / "is:unread from:j or from:j has:attachment")
        run("rm", "-f", inbox / "2")
        wait_until(lambda: errno_of(os.stat, inbox / "2") == "ENOENT", "it is gone")
        wait_until(lambda: (inbox / ".index.jsonl").read_bytes().count(b"\n") == 2, "the others are there")


def test_no_headers():
    with fake() as server, mount(server, says=["the header of message"]) as m:
        server.rule("UID FETCH", match=rb"FETCH (1:[23]|2|2:3) .*HEADER.FIELDS", reply=b"NO not that one")
        inbox = m.root / "INBOX"
        rows = columns(inbox / ".index")
        assert len(rows) == 3 and rows[1][4:] == ["-", "-", "-"] and "-" not in rows[0][4:] + rows[2][4:]
        line = json.loads((inbox / ".index.jsonl").read_text().splitlines()[1])
        assert line["subject"] is None is line["to"] is line["sent"] and len(line["parts"]) == 2
        assert line["error"] == "the server gives no header of this message that makes sense"
        assert os.listdir(inbox / ".search/from:nobody") == ["2"]


def test_many():
    """More than is looked at in one turn of the loop."""
    made = [Message(b"From: p%d@example.org\r\nSubject: s%d\r\n\r\nx\r\n" % (n % 9, n)) for n in range(1, 4501)]
    with FakeImap({"INBOX": Mailbox(made)}) as server, mount(server) as m:
        inbox = m.root / "INBOX"
        assert [row[5] for row in columns(inbox / ".index")] == [f"s{n}" for n in range(1, 4501)]
        assert len(os.listdir(inbox / ".search/from:p0")) == 500
        server.append("INBOX", Message(PLAIN))
        wait_until(lambda: columns(inbox / ".index")[-1][0] == "4501", "it is there")
        assert (inbox / ".index.jsonl").read_bytes().count(b"\n") == 4501
        with_header = [line for line in asked(server) if "HEADER" in line]
        assert len(with_header) == 2


def test_hostile():
    """What a sender makes costs his own message at most."""
    to = b",\r\n ".join(b'"N%d" <n%d@example.org>' % (n, n) for n in range(50000))
    bodies = [b"To: " + to + b"\r\nSubject: behind\r\nFrom: a@b\r\n\r\n", b"From: " + b"a:" * 50000 + b"\r\nSubject: x\r\n\r\n",
              b"Subject: =?utf-8?b?" + b"//" * 300000 + b"?=\r\n\r\n", b"X: " + b"y" * 4000000 + b"\r\nSubject: z\r\n\r\n", PLAIN]
    deep = b"(" * 150 + b'"text" "plain" NIL NIL NIL "7bit" 1 1' + b') "mixed")' * 149 + b")"
    lies = {2: deep}
    with FakeImap({"INBOX": Mailbox([Message(body) for body in bodies])}, structure=lies.get) as server, \
            mount(server, says=["message 2 of INBOX"]) as m:
        inbox = m.root / "INBOX"
        rows = columns(inbox / ".index")
        assert [row[5] for row in rows[:2]] + [row[5] for row in rows[3:]] == ["behind", "x", "z", "one   two three four"]
        assert rows[0][4] == "a@b" and all(len(row) == 7 and len(row[5]) < 10000 for row in rows)
        assert os.listdir(inbox / ".search/from:a@b") == ["1"]
        told = [json.loads(line) for line in (inbox / ".index.jsonl").read_text().splitlines()]
        assert [row["parts"] is None for row in told] == [False, True, False, False, False]
        assert len(server.lines("AUTHENTICATE")) <= 2  # no connection was lost over it
        assert (inbox / "5").read_bytes() == PLAIN
