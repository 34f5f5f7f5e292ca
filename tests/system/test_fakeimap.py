# SPDX-License-Identifier: MIT
"""The fake server is right by default (as imaplib sees it), and wrong where told."""
import imaplib
import re
import socket
import ssl
import subprocess

import pytest

import talk
from fakeimap import FakeImap, Mailbox, Message

BODIES = [b"Subject: one\r\n\r\nbody\r\n", b"Subject: two\r\n\r\n" + b"x" * 5000, b""]


class Raw:
    """A client that shows the octets."""

    def __init__(self, server, login=True, context=None):
        self.sock = socket.create_connection(("127.0.0.1", server.port), 10)
        if context:
            self.sock = context.wrap_socket(self.sock, server_hostname="localhost")
        self.file = self.sock.makefile("rwb")
        self.greeting = self.file.readline()
        self.count = 0
        if login:
            assert b" OK " in self.ask(b"LOGIN user secret")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.sock.close()

    def ask(self, line):
        """Sends one command and returns all lines to its tagged one, or to the end."""
        self.count += 1
        tag = b"r%d" % self.count
        self.file.write(tag + b" " + line + b"\r\n")
        self.file.flush()
        answer = b""
        while True:
            got = self.file.readline()
            answer += got
            if not got or got.startswith(tag + b" "):
                return answer


@pytest.fixture(name="server")
def fixture_server():
    with FakeImap({"INBOX": BODIES, "Work/2024": [Message(b"x", uid=2024)],
                   "No": Mailbox(attributes=["\\Noselect"])}) as s:
        yield s


@pytest.fixture(name="certificate", scope="module")
def fixture_certificate(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    paths = str(directory / "cert.pem"), str(directory / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-subj", "/CN=localhost", "-days", "2", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", paths[1], "-out", paths[0]], check=True, capture_output=True)
    return paths


def trusting(certificate):
    return ssl.create_default_context(cafile=certificate[0])


def test_imaplib(server):
    client = imaplib.IMAP4("127.0.0.1", server.port)
    assert "LITERAL+" in client.capabilities
    assert client.login("user", "secret")[0] == "OK"
    assert client.list()[1] == [b'() "/" "INBOX"', b'() "/" "Work/2024"', b'(\\Noselect) "/" "No"']
    assert client.list('""', "%")[1] == [b'() "/" "INBOX"', b'(\\Noselect) "/" "No"']
    assert client.status("INBOX", "(MESSAGES UIDNEXT)")[1] == [b'"INBOX" (MESSAGES 3 UIDNEXT 4)']
    assert client.select("INBOX")[1] == [b"3"]
    assert client.response("UIDVALIDITY")[1] == [b"1700000000"]
    for uid, body in enumerate(BODIES, 1):
        data = client.uid("FETCH", str(uid), "(FLAGS RFC822.SIZE INTERNALDATE BODY.PEEK[])")[1]
        assert data[0][1] == body
        assert b"RFC822.SIZE %d " % len(body) in data[0][0]
    data = client.uid("FETCH", "2", "(BODY.PEEK[]<10.20>)")[1]
    assert data[0][1] == BODIES[1][10:30] and b"BODY[]<10>" in data[0][0]
    client.uid("STORE", "1", "+FLAGS.SILENT", "(\\Deleted)")
    client.uid("STORE", "2", "+FLAGS", "(\\Deleted)")
    assert client.uid("SEARCH", "DELETED")[1] == [b"1 2"]
    assert client.uid("SEARCH", "NOT DELETED UID 1:*")[1] == [b"3"]
    assert client.uid("SEARCH", "RETURN (ALL COUNT) ALL")[0] == "OK"
    assert client.response("ESEARCH")[1][0].endswith(b"UID ALL 1:3 COUNT 3")
    assert client.uid("EXPUNGE", "2")[0] == "OK"
    assert [m.uid for m in server.mailbox("INBOX").messages] == [1, 3]
    client.response("EXPUNGE")
    assert client.expunge()[1] == [b"1"]
    assert client.select("Nowhere")[0] == "NO"
    assert client.select("Work/2024", readonly=True)[0] == "OK"
    assert client.uid("STORE", "2024", "+FLAGS", "(\\Deleted)")[0] == "NO"
    client.logout()
    assert "CLOSE" not in server.names() and server.names()[-1] == "LOGOUT"
    assert server.lines("UID EXPUNGE") == ["UID EXPUNGE 2"]


def test_sasl_and_literals(server):
    with Raw(server, login=False) as raw:
        raw.file.write(b"a LOGIN {4+}\r\nuser {6}\r\n")
        raw.file.flush()
        assert raw.file.readline().startswith(b"+ ")
        raw.file.write(b"secret\r\n")
        raw.file.flush()
        assert raw.file.readline().startswith(b"a OK [CAPABILITY ")
        assert b"BAD" in raw.ask(b"AUTHENTICATE PLAIN AHVzZXIAc2VjcmV0")
    with Raw(server, login=False) as raw:
        assert b"AUTHENTICATIONFAILED" in raw.ask(b"LOGIN user wrong")
        assert b"BAD" in raw.ask(b"SELECT INBOX")
        assert b"OK" in raw.ask(b"AUTHENTICATE PLAIN AHVzZXIAc2VjcmV0")
    assert server.lines("LOGIN")[0] == "LOGIN {4+}\r\nuser {6}\r\nsecret"


def test_tls(certificate):
    with FakeImap(tls=True, certificate=certificate) as server:
        client = imaplib.IMAP4_SSL("localhost", server.port, ssl_context=trusting(certificate))
        assert client.login("user", "secret")[0] == "OK"
        client.logout()


def test_starttls(certificate):
    with FakeImap(certificate=certificate, login_disabled=True) as server:
        client = imaplib.IMAP4("localhost", server.port)
        assert "LOGINDISABLED" in client.capabilities
        client.starttls(trusting(certificate))
        assert "LOGINDISABLED" not in client.capabilities
        assert client.login("user", "secret")[0] == "OK"
        client.logout()
    with FakeImap(certificate=certificate, starttls="inject") as server, Raw(server, login=False) as raw:
        assert raw.ask(b"STARTTLS").endswith(b"OK begin\r\n")
        assert b"EVIL" in raw.file.readline()


def test_news(server):
    with Raw(server) as raw:
        raw.ask(b"SELECT INBOX")
        server.expunge("INBOX", 1)
        server.append("INBOX", b"new")
        server.set_flags("INBOX", 2, "\\Seen")
        news = raw.ask(b"NOOP")
        assert news == (b"* 1 EXPUNGE\r\n* 3 EXISTS\r\n* 1 FETCH (UID 2 FLAGS (\\Seen))\r\n"
                        b"r3 OK done\r\n")
        raw.file.write(b"i IDLE\r\n")
        raw.file.flush()
        assert raw.file.readline().startswith(b"+ ")
        server.wait_idle()
        server.append("INBOX", b"newer")
        assert raw.file.readline() == b"* 4 EXISTS\r\n"
        server.bye(b"")
        assert raw.file.read() == b"* BYE\r\n"


FETCH = b"UID FETCH 1 (BODY.PEEK[])"
PARTIAL = b"UID FETCH 1 (BODY.PEEK[]<2.9>)"
PAST = b"UID FETCH 1 (BODY.PEEK[]<9.9>)"


@pytest.mark.parametrize("flags, command, expected", [
    ({}, FETCH, b"* 1 FETCH (UID 1 BODY[] {4}\r\na\0b\n)\r\n"),
    ({"body": "literal8"}, FETCH, b"* 1 FETCH (UID 1 BODY[] ~{4}\r\na\0b\n)\r\n"),
    ({"body": {1: "nil"}}, FETCH, b"* 1 FETCH (UID 1 BODY[] NIL)\r\n"),
    ({"body": "quoted"}, FETCH, b'* 1 FETCH (UID 1 BODY[] "a\0b\n")\r\n'),
    ({"body": lambda uid, partial: "missing"}, FETCH, b""),
    ({"fetch_order": "uid-last"}, FETCH, b"* 1 FETCH (BODY[] {4}\r\na\0b\n UID 1)\r\n"),
    ({"fetch_order": "split"}, FETCH, b"* 1 FETCH (UID 1)\r\n* 1 FETCH (BODY[] {4}\r\na\0b\n)\r\n"),
    ({"literal_delta": {1: -1}}, FETCH, b"* 1 FETCH (UID 1 BODY[] {3}\r\na\0b\n)\r\n"),
    ({"origin": "missing"}, PARTIAL, b"* 1 FETCH (UID 1 BODY[] {2}\r\nb\n)\r\n"),
    ({"origin": "full"}, PARTIAL, b"* 1 FETCH (UID 1 BODY[]<2.9> {2}\r\nb\n)\r\n"),
    ({}, PAST, b"* 1 FETCH (UID 1 BODY[]<9> {0}\r\n)\r\n"),
    ({"past_end": "quoted"}, PAST, b'* 1 FETCH (UID 1 BODY[]<9> "")\r\n'),
    ({"past_end": "nil"}, PAST, b"* 1 FETCH (UID 1 BODY[]<9> NIL)\r\n"),
    ({"past_end": "nothing"}, PAST, b""),
    ({"size": lambda uid, size: size * 10 + uid}, b"UID FETCH 1 (RFC822.SIZE)",
     b"* 1 FETCH (RFC822.SIZE 41 UID 1)\r\n"),
])
def test_bodies(flags, command, expected):
    with FakeImap({"INBOX": [b"a\0b\n"]}, **flags) as server, Raw(server) as raw:
        raw.ask(b"SELECT INBOX")
        command = re.sub(rb" \(BODY", b" (UID BODY", command)
        assert raw.ask(command) == expected + b"r3 OK done\r\n"


def test_refusals():
    with FakeImap({"INBOX": BODIES}, body={2: "no", 3: "limit"}) as server, Raw(server) as raw:
        raw.ask(b"SELECT INBOX")
        assert b"r3 NO [SERVERBUG]" in raw.ask(b"UID FETCH 1:2 (BODY.PEEK[])")
        assert b"r4 NO [LIMIT]" in raw.ask(b"UID FETCH 3 (BODY.PEEK[])")
        assert raw.file.read() == b"* BYE come back later\r\n"


def test_select_flags():
    flags = {"omit_uidnext": True, "require_id": True, "permanent_flags": b"\\Seen",
             "uidvalidity": lambda name, count: 100 + count, "delimiter": None,
             "list_extra": (b'* LIST () "." {3}\r\n\xff\x01&',)}
    with FakeImap(**flags) as server, Raw(server) as raw:
        assert b"r2 NO SELECT Unsafe Login" in raw.ask(b"SELECT INBOX")
        raw.ask(b"ID NIL")
        first, second = raw.ask(b"SELECT INBOX"), raw.ask(b"SELECT INBOX")
        assert b"UIDNEXT" not in first and b"[PERMANENTFLAGS (\\Seen)]" in first
        assert b"UIDVALIDITY 100" in first and b"UIDVALIDITY 101" in second
        assert raw.ask(b'LIST "" "*"').startswith(
            b'* LIST () NIL "INBOX"\r\n* LIST () "." {3}\r\n\xff\x01&\r\n')
        server.behaviour.read_only = True
        assert b"OK [READ-ONLY]" in raw.ask(b"SELECT INBOX")


def test_list_extended(server):
    server.mailbox("Work/2024").subscribed = False
    with Raw(server) as raw:
        answer = raw.ask(b'LIST (SUBSCRIBED) "" ("*") RETURN (CHILDREN STATUS (MESSAGES))')
        assert answer.startswith(b'* LIST () "/" "INBOX"\r\n* STATUS "INBOX" (MESSAGES 3)\r\n'
                                 b'* LIST (\\Noselect)')
        assert b"Work" not in answer
        assert raw.ask(b'LSUB "" "W%"').startswith(b"r3 OK")
        assert raw.ask(b"MYRIGHTS INBOX").startswith(b'* MYRIGHTS "INBOX" lrswipkxte\r\n')


def test_rules(server):
    server.rule("UID FETCH", skip=1, times=1, middle=b"* 3 EXPUNGE\r\n", before_ok=b"* 9 EXISTS\r\n")
    server.rule("UID FETCH", match=rb"RFC822", reply=b"NO [THROTTLED] later")
    server.rule("NOOP", raw=b"* BAD what\r\n{tag} BAD no\r\n* BYE\r\n", drop="fin")
    with Raw(server) as raw:
        raw.ask(b"SELECT INBOX")
        assert raw.ask(b"UID FETCH 1 (RFC822)") == b"r3 NO [THROTTLED] later\r\n"
        assert raw.ask(b"UID FETCH 1:2 (UID)").endswith(b"2 FETCH (UID 2)\r\nr4 OK done\r\n")
        assert raw.ask(b"UID FETCH 1:2 (UID)") == (
            b"* 1 FETCH (UID 1)\r\n* 3 EXPUNGE\r\n* 2 FETCH (UID 2)\r\n* 9 EXISTS\r\nr5 OK done\r\n")
        assert raw.ask(b"NOOP") == b"* BAD what\r\nr6 BAD no\r\n"
        assert raw.file.read() == b"* BYE\r\n"


def test_stall(server):
    rule = server.rule("NOOP", stall=True, times=1)
    with Raw(server) as raw:
        raw.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            raw.ask(b"NOOP")
    rule.release()
    server.wait(lambda: not server.sessions)


def test_ends(server):
    server.behaviour.disconnect_after = len(b"* OK ")
    server.behaviour.disconnect_times = 1
    with Raw(server, login=False) as raw:
        assert raw.greeting + raw.file.read() == b"* OK "
    server.behaviour.connection_limit = 1
    server.wait(lambda: not server.sessions)
    with Raw(server), Raw(server, login=False) as second:
        assert second.greeting.startswith(b"* BYE [UNAVAILABLE]")
    server.behaviour.connection_limit = None
    with Raw(server) as raw:
        server.drop(reset=True)
        with pytest.raises(ConnectionResetError):
            raw.file.read()


def test_preauth_and_dribble():
    flags = {"preauth": True, "dribble": 0.0001, "capability_unasked": False}
    with FakeImap(**flags) as server, Raw(server, login=False) as raw:
        assert raw.greeting == b"* PREAUTH ready\r\n"
        assert b"EXISTS" in raw.ask(b"SELECT inbox")


def test_talk_is_kept_for_failures(server):
    """The last of it, by connection; not what a test before has said."""
    with Raw(server) as raw, Raw(server) as second:
        raw.ask(b"SELECT INBOX")
        second.ask(b"NOOP")
        raw.ask(b"UID FETCH 2 (BODY.PEEK[])")
        lines = [line[8:] for line in server.talk.lines()]
        assert lines.index("[1] C: r2 SELECT INBOX") < lines.index("[2] C: r2 NOOP")
        assert lines[lines.index("[1] C: r3 UID FETCH 2 (BODY.PEEK[])") + 1:][:2] == [
            "[1] S: * 2 FETCH (UID 2 BODY[] {5016}", "[1] S: Subject: two"]
        assert lines[-1] == "[1] S: r3 OK done"
        for _ in range(talk.LINES):
            raw.ask(b"NOOP")
        assert len(server.talk.lines()) == talk.LINES
        assert "\n".join(server.talk.lines()) in [text for _, text in talk.sections()]
        talk.begin()
        assert not talk.sections()


def test_append(server):
    with Raw(server) as raw:
        answer = raw.ask(b'APPEND Work/2024 (\\Seen $x) "01-Feb-2024 12:05:59 +0000" {5+}\r\nA: b\n')
        assert b"OK [APPENDUID 1700000000 2025]" in answer
        raw.ask(b"SELECT Work/2024")
        answer = raw.ask(b"UID FETCH 2025 (FLAGS INTERNALDATE BODY.PEEK[])")
        assert b"$x \\Seen" in answer and b"01-Feb-2024 12:05:59 +0000" in answer and b"{5}\r\nA: b\n" in answer
        assert b"NO [TRYCREATE]" in raw.ask(b"APPEND None {1+}\r\nx")
        assert b"EXISTS" in raw.ask(b"APPEND Work/2024 {1+}\r\nx")
        server.behaviour.append_uid = "missing"
        assert b"OK stored" in raw.ask(b"APPEND INBOX {1+}\r\nx")
        server.behaviour.append_uid = "nil"
        assert b"[APPENDUID 1700000000 NIL]" in raw.ask(b"APPEND INBOX {1+}\r\nx")
        server.behaviour.quota = 10
        assert b"NO [OVERQUOTA]" in raw.ask(b"APPEND INBOX {1+}\r\nx")


def test_append_limit():
    with FakeImap(append_limit=10) as s, Raw(s) as raw:
        assert b"NO [TOOBIG]" in raw.ask(b"APPEND INBOX {11}")
        assert b"NO [TOOBIG]" in raw.ask(b"APPEND INBOX {11+}\r\n" + b"x" * 11)
        assert b"APPENDLIMIT 10" in raw.ask(b"STATUS INBOX (APPENDLIMIT)")
        assert b"OK" in raw.ask(b"NOOP")


def test_copy_and_move(server):
    with Raw(server) as raw:
        raw.ask(b"SELECT INBOX")
        assert b"OK [COPYUID 1700000000 1,3 2025:2026]" in raw.ask(b"UID COPY 1,3 Work/2024")
        answer = raw.ask(b"UID MOVE 2 Work/2024")
        assert b"* OK [COPYUID 1700000000 2 2027]" in answer and b"* 2 EXPUNGE" in answer
        for manner, told in (("empty", b"[COPYUID 1700000000 ]"), ("nil", b" NIL NIL]"), ("star", b" 1:* 1:*]"),
                             ("fewer", b"1700000000 1:2 2031]"), ("missing", b"OK copied")):
            server.behaviour.copy_uid = manner
            assert told in raw.ask(b"UID COPY 1 Work/2024")
        server.behaviour.refuse_move = True
        assert b"NO [CANNOT]" in raw.ask(b"UID MOVE 1 Work/2024")
        assert b"NO [TRYCREATE]" in raw.ask(b"UID COPY 1 None")
