# SPDX-License-Identifier: MIT
"""Login by OAuth tokens that a command prints: on a scripted server, and on Dovecot with tokens that expire."""
import base64
import contextlib
import hashlib
import hmac
import json
import os
import re
import stat
import time

import pytest

from dovecot import Mail
from fakeimap import FakeImap
from mounting import wait_until
from test_connect import LOGIN, TEXT, USAGE, refused, write_secret

DOVECOT = """
auth_mechanisms = plain oauthbearer xoauth2
passdb {
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = {base}/oauth2.conf
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
"""
DOVECOT_24 = """
auth_mechanisms = plain oauthbearer xoauth2
oauth2_introspection_mode = local
oauth2_username_attribute = sub
oauth2_local_validation {
  dict fs {
    fs posix {
      prefix = {base}/keys/
    }
  }
}
passdb oauth2 {
  mechanisms_filter = oauthbearer xoauth2
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
"""
KEY = b"between the tests and Dovecot alone"


class TokenCommand:
    """A command that prints what set() says, and counts its runs."""

    def __init__(self, directory):
        self.token, self.runs = os.path.join(directory, "token"), os.path.join(directory, "runs")
        self.script = os.path.join(directory, "get token")
        with open(self.script, "w", encoding="ascii") as out:
            out.write(f"#!/bin/sh\necho run >>'{self.runs}'\nexec cat '{self.token}'\n")
        os.chmod(self.script, stat.S_IRWXU)
        self.option = f"tokencmd='{self.script}'"

    def set(self, token):
        """At once: another thread may be reading."""
        write_secret(self.token + ".new", token + "\n")
        os.rename(self.token + ".new", self.token)

    def count(self):
        return len(open(self.runs, encoding="ascii").readlines()) if os.path.exists(self.runs) else 0


@pytest.fixture(name="command")
def fixture_command(directory):
    return TokenCommand(directory)


@pytest.fixture(name="fake")
def fixture_fake():
    with FakeImap({"INBOX": [TEXT]}, mechanisms=("PLAIN", "XOAUTH2"), login_disabled=True) as server:
        server.ca_file = "/dev/null"
        server.url = f"imap://user@localhost:{server.port}/"
        yield server


def mounted(mount, server, command, *options, **keywords):
    return mount(server, "tls=none", command.option, *options, source=server.url, trust=False, **keywords)


def look(m):
    """What is listed is watched, on a second connection."""
    assert os.listdir(m.path("INBOX")) == ["1"]
    assert m.read("INBOX", 1) == TEXT


@pytest.mark.parametrize("offered, used", [
    (("PLAIN", "XOAUTH2"), "XOAUTH2"), (("XOAUTH2", "OAUTHBEARER"), "OAUTHBEARER")])
def test_token(fake, mount, command, offered, used):
    """Asked for once, good for all connections, and in no log."""
    fake.behaviour.mechanisms = offered
    fake.tokens = {"t0p.s3cret"}
    command.set("t0p.s3cret")
    m = mounted(mount, fake, command, flags=("-d",))
    look(m)
    wait_until(lambda: len(fake.tokens_seen) >= 2, "a second connection")
    assert command.count() == 1 and fake.authzid == b"user"
    assert f"AUTHENTICATE {used} ..." in m.said() and "t0p.s3cret" not in m.said()
    for answer in fake.answers:
        assert answer.decode() not in m.said()
    with open(f"/proc/{m.pid}/environ", "rb") as environ, open(f"/proc/{m.pid}/cmdline", "rb") as arguments:
        assert b"t0p.s3cret" not in environ.read() + arguments.read()


def test_for_another(fake, mount, command):
    fake.tokens = {"good"}
    command.set("good")
    m = mounted(mount, fake, command, "authzid=shared@example.org")
    assert m.read("INBOX", 1) == TEXT
    assert fake.authzid == b"shared@example.org"


@pytest.mark.parametrize("mechanism, words", [
    ("XOAUTH2", "status 400, scope https://mail.google.com/"), ("OAUTHBEARER", "status invalid_token, scope imap")])
def test_refused(fake, mount, command, mechanism, words):
    """Tried twice, with a run of the command each, and the server's reason is told."""
    fake.behaviour.mechanisms = (mechanism,)
    command.set("bad")
    said = refused(mount, fake, LOGIN, "localhost:.*login refused", "tls=none", command.option, source=fake.url,
                   trust=False)
    assert words in said and "not with that" in said and "bad" not in said
    assert fake.tokens_seen == ["bad", "bad"] and command.count() == 2


def test_expired(fake, mount, command):
    """The connection is lost when the token is no good any more: one more run, and all goes on."""
    fake.tokens = {"first"}
    command.set("first")
    m = mounted(mount, fake, command)
    look(m)
    fake.wait_idle()
    fake.tokens = {"second"}
    command.set("second")
    fake.drop()
    fake.append("INBOX", b"Subject: new\r\n\r\n")
    wait_until(lambda: os.path.exists(m.path("INBOX", 2)), "the new message")
    assert m.read("INBOX", 2) == b"Subject: new\r\n\r\n"
    wait_until(lambda: fake.tokens_seen.count("second") >= 2, "both connections are back")
    assert command.count() == 2


def test_expired_and_no_other(fake, mount, command, world):
    """It says so, keeps trying, and is back when there is a token."""
    fake.tokens = {"first"}
    command.set("first")
    m = mounted(mount, fake, command, environment=world.environment)
    look(m)
    fake.wait_idle(2)
    m.tolerate("login refused: of the token it says: status 400")
    m.tolerate("connected again")
    fake.tokens = set()
    fake.drop()

    def refused_again():
        with contextlib.suppress(OSError):
            os.listdir(m.path("INBOX"))
        return "login refused: of the token it says: status 400" in m.said()

    wait_until(refused_again, "a line about the login")
    fake.tokens = {"second"}
    command.set("second")
    world.wait(80)  # if both connections were refused the next attempt is due in a minute or so
    fake.append("INBOX", b"Subject: new\r\n\r\n")
    wait_until(lambda: os.path.exists(m.path("INBOX", 2)), "the new message")


def test_slow_command(fake, mount, directory):
    """It holds up nothing but the login: what is in the cache is read meanwhile."""
    fake.tokens = {"good"}
    lock = os.path.join(directory, "lock")
    script = f"while [ -e {lock} ]; do sleep 0.05; done; echo good"
    m = mount(fake, "tls=none", f"tokencmd=sh -c '{script}'", source=fake.url, trust=False)
    look(m)
    fake.wait_idle()
    write_secret(lock, "")
    fake.tokens = {"none"}
    before = len(fake.tokens_seen)
    fake.drop()
    wait_until(lambda: len(fake.tokens_seen) > before, "a refused login")
    assert m.read("INBOX", 1) == TEXT and os.listdir(m.path("INBOX")) == ["1"]
    fake.tokens = {"good"}
    os.unlink(lock)
    fake.append("INBOX", b"Subject: new\r\n\r\n")
    wait_until(lambda: os.path.exists(m.path("INBOX", 2)), "the new message")


@pytest.mark.parametrize("program, pattern", [
    ("false", r"localhost:\d+: tokencmd \(false\) failed with exit status 1"),
    ("true", r"localhost:\d+: tokencmd \(true\) printed no token"),
    ("/nowhere/x", r"localhost:\d+: tokencmd \(/nowhere/x\) cannot be run"),
    ("echo two words", r"localhost:\d+: tokencmd printed what cannot be a token"),
])
def test_command_fails(fake, mount, program, pattern):
    refused(mount, fake, LOGIN, pattern, "tls=none", f"tokencmd={program}", source=fake.url, trust=False)
    assert fake.tokens_seen == []


@pytest.mark.parametrize("options, pattern", [
    (("tokencmd=x", "passfile=/x"), "passfile=, passcmd=, netrc= and tokencmd= exclude each other"),
    (("auth=XOAUTH2",), "auth=XOAUTH2 needs tokencmd="),
    (("tokencmd=x", "auth=PLAIN"), "auth=PLAIN has no use for tokencmd="),
    (("tokencmd='",), "tokencmd= is no command"),
])
def test_impossible(fake, mount, options, pattern):
    fake.password_file = "/nowhere"
    refused(mount, fake, USAGE, pattern, *options, source="user@localhost", trust=False)


def test_not_offered(fake, mount, command):
    fake.behaviour.mechanisms = ("PLAIN",)
    refused(mount, fake, LOGIN, "localhost:.*a token is good for OAUTHBEARER and XOAUTH2 only", "tls=none",
            command.option, source=fake.url, trust=False)
    assert command.count() == 0


# Dovecot


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token_for(user, seconds):
    """A JSON web token that is good for so long."""
    now = int(time.time())
    parts = [{"alg": "HS256", "typ": "JWT"},
             {"sub": user, "iat": now - 10, "nbf": now - 10, "exp": now + seconds, "scope": "mail"}]
    signed = b".".join(encode(json.dumps(part).encode()) for part in parts)
    return (signed + b"." + encode(hmac.digest(KEY, signed, hashlib.sha256))).decode()


@pytest.fixture(name="dovecot", scope="module")
def fixture_dovecot(start_server):
    server = start_server([Mail("INBOX", TEXT)], extra=DOVECOT, extra24=DOVECOT_24)
    keys = server.path("keys", "default", "HS256")
    os.makedirs(keys)
    write_secret(os.path.join(keys, "default"), base64.b64encode(KEY).decode(), 0o644)
    with open(server.path("oauth2.conf"), "w", encoding="ascii") as out:
        out.write("introspection_mode = local\nusername_attribute = sub\n"
                  f"local_validation_key_dict = fs:posix:prefix={server.path('keys')}/\n")
    return server


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_dovecot(dovecot, mount, command, mechanism):
    command.set(token_for(dovecot.user, 60))
    m = mount(dovecot, command.option, f"auth={mechanism}", flags=("-d",))
    assert m.read("INBOX", 1) == TEXT
    assert set(re.findall("C: A[0-9]+ AUTHENTICATE ([A-Z0-9]+) ...", m.said())) == {mechanism}
    assert command.count() == 1


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_dovecot_expired(dovecot, mount, command, mechanism):
    command.set(token_for(dovecot.user, -5))
    said = refused(mount, dovecot, LOGIN, "localhost:.*login refused: of the token it says: status", command.option,
                   f"auth={mechanism}")
    assert command.count() == 2, said
