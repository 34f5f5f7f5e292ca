# SPDX-License-Identifier: MIT
"""Logging in, being throttled, refused, dropped or ignored: each call ends, each refusal is one line."""
import os
import subprocess
import threading
import time

import pytest

from mounting import wait_until
from servers import FakeImap, errno_of, mount, refused_by, uids

ACCOUNT = {"INBOX": [b"Subject: one\r\n\r\n1\r\n", b"Subject: two\r\n\r\n2\r\n"], "Work": [b"w"]}
TLS, LOGIN, CONNECT = 3, 4, 2
BACK = [r"BYE", r"connected again", r"No space for you", r"going on with", r"closed the connection",
        r"slow down", r"cannot select"]


def check(m):
    for name, bodies in ACCOUNT.items():
        assert uids(m.root / name) == list(range(1, len(bodies) + 1))
        for uid, body in enumerate(bodies, 1):
            assert (m.root / name / str(uid)).read_bytes() == body


@pytest.fixture(name="certificate", scope="module")
def fixture_certificate(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    paths = str(directory / "cert.pem"), str(directory / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-subj", "/CN=localhost", "-days", "2", "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", paths[1], "-out", paths[0]],
                   check=True, capture_output=True)
    return paths


# Logging in

@pytest.mark.parametrize("flags", [
    {}, {"hide": ("SASL-IR",)}, {"hide": ("AUTH=PLAIN",)}, {"hide": ("AUTH=PLAIN", "LITERAL+")},
    {"preauth": True}, {"capability_unasked": False}, {"require_id": True},
    {"hide": ("ENABLE", "NAMESPACE", "UIDPLUS", "ESEARCH", "LIST-EXTENDED", "LIST-STATUS", "SPECIAL-USE",
              "IDLE", "LITERAL+", "ID", "UNSELECT")},
    {"dribble": 0.0002},
], ids=["plain", "no-sasl-ir", "login", "login-no-literal+", "preauth", "capability-asked", "id-first",
        "bare-imap4rev1", "dribbling"])
def test_log_in(flags):
    with FakeImap(ACCOUNT, **flags) as server, mount(server) as m:
        check(m)
        words = server.names(1)
        plain = "AUTH=PLAIN" not in flags.get("hide", ()) and "preauth" not in flags
        assert ("AUTHENTICATE" in words) == plain
        assert ("LOGIN" in words) == ("AUTH=PLAIN" in flags.get("hide", ()))


def test_capability_asked_after_login():
    """As iCloud needs it: what was said before login is asked again."""
    with FakeImap(ACCOUNT, capability_unasked=False) as server, mount(server) as m:
        check(m)
        words = server.names(1)
        assert "CAPABILITY" in words[words.index("AUTHENTICATE"):]


def test_id_before_select():
    with FakeImap(ACCOUNT, require_id=True) as server, mount(server) as m:
        check(m)
        for connection in range(1, server.connections + 1):
            words = server.names(connection)
            assert "EXAMINE" not in words or words.index("ID") < words.index("EXAMINE")


@pytest.mark.parametrize("user", ['an "odd" \\ name', "nümlaut"])
def test_odd_user_by_login(user):
    with FakeImap(ACCOUNT, user=user, hide=("AUTH=PLAIN",)) as server:
        server.user = user
        with mount(_Percent(server)) as m:
            check(m)


class _Percent:
    """A server's address with its user as a URL needs it."""

    def __init__(self, server):
        self.password, self.port = server.password, server.port
        self.user = "".join(f"%{c:02X}" for c in server.user.encode())


def test_tags_are_alphanumeric():
    with FakeImap(ACCOUNT) as server, mount(server) as m:
        check(m)
        assert all(c.tag.isalnum() and c.tag.isascii() for c in server.commands)


def test_wrong_password():
    with FakeImap(ACCOUNT) as server:
        server.rule("AUTHENTICATE", reply=b"NO [AUTHENTICATIONFAILED] no such user")
        status, lines = refused_by(server)
    assert status == LOGIN
    assert len(lines) == 1 and "no such user" in lines[0]


def test_login_disabled():
    with FakeImap(ACCOUNT, login_disabled=True, hide=("AUTH=PLAIN",)) as server:
        status, lines = refused_by(server)
        assert "LOGIN" not in server.names()
    assert status == LOGIN and len(lines) == 1


# STARTTLS

@pytest.mark.parametrize("flags", [
    {"starttls": "missing"}, {"starttls": "refuse"}, {"starttls": "inject"}, {"preauth": True},
    {"starttls": "inject", "starttls_injected": b"A9 OK x\r\n"}, {"starttls": "inject", "starttls_injected": b"\r\n"},
    {"greeting": b"* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hello\r\n"},
], ids=["missing", "refused", "injected", "preauth", "injected-tag", "injected-nothing", "preauth-with-starttls"])
def test_starttls_attacked(flags, certificate):
    with FakeImap(ACCOUNT, certificate=certificate, **flags) as server:
        status, lines = refused_by(server, tls="starttls", cafile=certificate[0])
        assert not {"LOGIN", "AUTHENTICATE"} & set(server.names()), "the password was sent"
    assert status == TLS, lines
    assert len(lines) == 1


def test_starttls(certificate):
    """What was said before TLS is forgotten, and asked again."""
    with FakeImap(ACCOUNT, certificate=certificate) as server:
        with mount(server, tls="starttls", cafile=certificate[0]) as m:
            check(m)
            words = server.names(1)
            assert words.index("STARTTLS") < words.index("CAPABILITY") < words.index("AUTHENTICATE")


# Forgeries

@pytest.mark.parametrize("forged", [b"A999 OK done\r\n", b"x OK done\r\n", b"a2 OK done\r\n", b"+A2 OK x\r\n",
                                    b"A99999999999999999999 OK\r\n", b"A NO\r\n", b"no IMAP at all\r\n"])
def test_forged_tag(forged):
    """A tag never sent ends the connection; the reader notices nothing but the time."""
    with FakeImap(ACCOUNT) as server, mount(server, says=None) as m:
        os.listdir(m.root / "INBOX")
        server.rule("UID FETCH", match=rb"BODY", times=1, before=forged)
        before = server.connections
        assert (m.root / "INBOX" / "1").read_bytes() == ACCOUNT["INBOX"][0]
        assert server.connections > before or forged.startswith(b"+")
        check(m)


def test_referral_is_not_followed():
    with FakeImap(ACCOUNT) as server, FakeImap(ACCOUNT) as other:
        referral = b"NO [REFERRAL imap://user@127.0.0.1:%d/] elsewhere" % other.port
        server.rule("AUTHENTICATE", reply=referral)
        status, lines = refused_by(server)
        assert status == LOGIN and len(lines) == 1
        assert other.connections == 0


def test_control_characters_are_not_shown():
    with FakeImap(ACCOUNT, greeting=b"* BYE \x1b]0;title\x07\x1b[31mred\r\n") as server:
        status, lines = refused_by(server)
    assert status == CONNECT and len(lines) == 1
    assert "\x1b" not in lines[0] and "\x07" not in lines[0]


# Throttling and ends

@pytest.mark.parametrize("reply, drop", [
    (b"NO [THROTTLED] slow down", None), (b"NO [UNAVAILABLE] slow down", None), (b"NO [LIMIT] slow down", None),
    (b"BAD User is authenticated but not connected. slow down", "fin"),
    (b"BAD [THROTTLED] slow down", "fin"),
])
@pytest.mark.parametrize("command", ["EXAMINE", "UID FETCH"])
def test_throttled(command, reply, drop):
    with FakeImap(ACCOUNT) as server:
        server.rule(command, times=1, reply=reply, drop=drop)
        with mount(server, says=None, timeout=15) as m:
            # The first look may be told to come again; nothing worse.
            assert errno_of(os.listdir, m.root / "INBOX") in (None, "EAGAIN")
            check(m)


def test_throttled_by_bye():
    with FakeImap(ACCOUNT) as server:
        server.rule("UID FETCH", match=rb"BODY", times=1, raw=b"* BYE [THROTTLED] slow down\r\n", drop="fin")
        with mount(server, says=None, timeout=15) as m:
            check(m)


@pytest.mark.parametrize("text", [b"Autologout; idle for too long", b""])
def test_bye_when_idle(text):
    with FakeImap(ACCOUNT) as server, mount(server) as m:
        check(m)
        before = list(server.sessions)
        server.bye(text)
        server.wait(lambda: not any(session in before for session in server.sessions))
        check(m)


@pytest.mark.parametrize("reset", [False, True])
def test_dropped_when_idle(reset):
    with FakeImap(ACCOUNT) as server, mount(server) as m:
        check(m)
        before = list(server.sessions)
        server.drop(reset)
        server.wait(lambda: not set(before) & set(server.sessions))
        check(m)


@pytest.mark.parametrize("said", [b"* BYE [UNAVAILABLE] Maximum number of connections exceeded\r\n",
                                  b"* BYE Too many simultaneous connections. (Failure)\r\n", b""])
@pytest.mark.parametrize("limit", [1, 2])
def test_too_many_connections(limit, said):
    with FakeImap(ACCOUNT, connection_limit=limit, connection_limit_bye=said) as server:
        with mount(server, says=None) as m:
            results = []
            readers = [threading.Thread(target=lambda: results.append(check(m))) for _ in range(4)]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join()
            assert results == [None] * 4


def test_more_connections_refused_by_login():
    """A NO to the login of one more means that those there are have to do, not that the password is wrong."""
    with FakeImap(ACCOUNT) as server:
        # The first and that for watching are welcome.
        server.rule("AUTHENTICATE", skip=2, reply=b"NO Login failed.")
        held = server.rule("EXAMINE", match=rb"INBOX", stall=True)
        with mount(server, says=None) as m:
            found = []
            readers = [threading.Thread(target=lambda name=name: found.append(errno_of(os.listdir, m.root / name)))
                       for name in ACCOUNT]
            readers[0].start()
            server.wait(lambda: held.hits and server.names().count("AUTHENTICATE") >= 2)
            readers[1].start()
            server.wait(lambda: server.names().count("AUTHENTICATE") >= 3)
            m.wait_said("going on with 1 connection")
            held.release()
            for reader in readers:
                reader.join()
            assert found == [None, None]


@pytest.mark.parametrize("flags, refusal, n, seconds", [
    ({}, b"NO Login failed.", 3, 3), ({"connection_limit": 1, "connection_limit_bye": b"* BYE Too many\r\n"}, None, 4, 2)])
def test_the_watching_one_refused(flags, refusal, n, seconds):
    """It is refused beside a connection that is up: it is tried ever more rarely, and not as fast as it is refused."""
    with FakeImap(ACCOUNT, **flags) as server:
        if refusal:
            server.rule("AUTHENTICATE", skip=1, reply=refusal)
        with mount(server, says=None, connections=1) as m:
            began = time.monotonic()
            check(m)
            wait_until(lambda: server.connections >= n, f"{n} connections", 30)
            assert time.monotonic() - began > seconds


# Silence

@pytest.mark.parametrize("flags, rule", [
    ({"greeting": b""}, None), ({}, "AUTHENTICATE"), ({}, "LIST"), ({"capability_unasked": False}, "CAPABILITY")])
def test_silent_before_the_mount(flags, rule):
    with FakeImap(ACCOUNT, **flags) as server:
        if rule:
            server.rule(rule, stall=True)
        began = time.monotonic()
        status, lines = refused_by(server, timeout=2)
        assert time.monotonic() - began < 15
    assert status == CONNECT
    assert len(lines) == 1


@pytest.mark.parametrize("command, match", [
    ("EXAMINE", None), ("UID FETCH", rb"RFC822.SIZE"), ("UID FETCH", rb"BODY"), ("UID STORE", None)])
def test_silent(command, match):
    """Whatever is never answered: each call ends with an error, and later all is well."""
    with FakeImap(ACCOUNT) as server, mount(server, says=None, timeout=2) as m:
        rule = server.rule(command, match=match, stall=True)
        began = time.monotonic()
        inbox = m.root / "INBOX"
        calls = [lambda: os.listdir(inbox), (inbox / "1").read_bytes]
        if command == "UID STORE":
            check(m)
            calls = [(inbox / "1").unlink]
        found = [errno_of(call) for call in calls]
        assert found[-1] in ("ETIMEDOUT", "ENETDOWN", "EIO"), found
        assert time.monotonic() - began < 20
        server.rules.clear()
        rule.release()
        if command != "UID STORE":
            # For a moment what the kernel sends again after a deadline is answered alike.
            wait_until(lambda: errno_of(lambda: check(m)) is None, "all is well")


def test_silent_connections():
    """All connections hang and new ones get no greeting: what is known is still shown."""
    with FakeImap(ACCOUNT) as server, mount(server, says=None, timeout=2) as m:
        check(m)
        server.rule("*", stall=True)
        server.behaviour.greeting = b""
        assert uids(m.root / "INBOX") == [1, 2]
        assert (m.root / "INBOX" / "1").read_bytes() == ACCOUNT["INBOX"][0]
        assert errno_of((m.root / "INBOX" / "77").read_bytes) in ("ENOENT", "ETIMEDOUT", "ENETDOWN")


# A mailbox that takes long to be selected, and a server that says that it is still at it

def still_at_it(server, seconds):
    """An action of a rule: says so each half second, for so long or for ever, and then goes on."""
    def action(session):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not server.stopping.is_set():
            session.send(b'* OK [INPROGRESS ("x" 1 9)] still at it\r\n', now=True)
            server.stopping.wait(0.5)
    return action


def test_slow_select():
    """Longer than the timeout, once: others are served meanwhile, and it is waited for, by one connection."""
    with FakeImap(ACCOUNT, hide=("IDLE",)) as server, mount(server, says=None, timeout=2) as m:
        slow, other = "Work", "INBOX"
        rule = server.rule("EXAMINE", match=slow.encode(), delay=6)
        reader = threading.Thread(target=lambda: errno_of(os.listdir, m.root / slow))
        reader.start()
        server.wait(lambda: rule.hits)
        ended = time.monotonic() + 5
        while time.monotonic() < ended:
            assert errno_of(os.listdir, m.root / other) is None
            time.sleep(0.2)
        reader.join()
        wait_until(lambda: errno_of(os.listdir, m.root / slow) is None, "it is listed", 30)
        assert rule.hits == 1


@pytest.mark.parametrize("command", ["EXAMINE", "UID FETCH"])
def test_still_at_it(command):
    """Whoever says so is waited for longer than the timeout."""
    with FakeImap(ACCOUNT) as server, mount(server, says=None, timeout=2) as m:
        rule = server.rule(command, action=still_at_it(server, 5), times=1)
        errno_of(os.listdir, m.root / "INBOX")
        wait_until(lambda: errno_of(os.listdir, m.root / "INBOX") is None, "it is listed", 30)
        assert rule.hits == 1
        before = server.connections
        assert len(os.listdir(m.root / "INBOX")) == len(ACCOUNT["INBOX"])
        assert server.connections == before


@pytest.mark.parametrize("command", ["EXAMINE", "UID FETCH"])
def test_at_it_for_ever(command):
    """But not for ever: that connection is given up, and another does it."""
    with FakeImap(ACCOUNT) as server, mount(server, says=None, timeout=1) as m:
        rule = server.rule(command, action=still_at_it(server, 600), times=1)
        assert errno_of(os.listdir, m.root / "INBOX") == "ETIMEDOUT"
        wait_until(lambda: errno_of(os.listdir, m.root / "INBOX") is None, "it is listed", 60)
        assert rule.hits == 1
