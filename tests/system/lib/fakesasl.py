# SPDX-License-Identifier: MIT
"""The mechanisms of the fake server's AUTHENTICATE (fakesession.py): what it says, and whom it lets in.

Each is a function (session, exchange) that returns the tagged line. exchange.ask(challenge) sends octets
and returns the client's answer; the first answer may have come with the command.
"""
import base64
import hashlib
import hmac
import os
import re


class Cancelled(Exception):
    """The client said "*", or no base64."""


class Exchange:
    """The challenges and answers of one AUTHENTICATE."""

    def __init__(self, session, initial):
        self.session, self.initial = session, initial

    def ask(self, challenge=b""):
        answer, self.initial = self.initial, None
        if answer is None or challenge:
            self.session.send(b"+ " + base64.b64encode(challenge) + b"\r\n", now=True)
            answer = self.session.read_line()
        self.session.server.answers.append(answer)
        try:
            return b"" if answer == b"=" else base64.b64decode(answer, validate=True)
        except ValueError:
            raise Cancelled from None


def plain(session, exchange):
    authzid, user, password = exchange.ask().split(b"\0")
    return session.finish_login(user, password, authzid)


def login(session, exchange):
    return session.finish_login(exchange.ask(b"Username:"), exchange.ask(b"Password:"))


def external(session, exchange):
    """Whoever has a certificate is in."""
    session.server.authzid = exchange.ask()
    return session.enter() if session.sock.getpeercert() else b"NO [AUTHENTICATIONFAILED] who are you?"


def scram(name, plus=False):
    """RFC 5802. A client that could bind the login and was not offered to says so ("y")."""
    def run(session, exchange):
        first = exchange.ask().decode()
        flag, authzid, bare = first.split(",", 2)
        header = first[:len(flag) + len(authzid) + 2].encode()
        wanted = b"p=tls-unique" if plus else b"n"
        bound = session.server.behaviour.binding or (session.sock.get_channel_binding("tls-unique") if plus else b"")
        user, nonce = bare.removeprefix("n=").split(",r=")
        password = session.server.password.encode()
        salt, rounds = os.urandom(16), 4096
        nonce += base64.b64encode(os.urandom(12)).decode()
        server_first = f"r={nonce},s={base64.b64encode(salt).decode()},i={rounds}"
        final = exchange.ask(server_first.encode()).decode()
        without_proof, proof = final.rsplit(",p=", 1)
        message = f"{bare},{server_first},{without_proof}".encode()

        def keyed(key, text):
            return hmac.new(key, text, name).digest()

        salted = hashlib.pbkdf2_hmac(name, password, salt, rounds)
        client_key = keyed(salted, b"Client Key")
        signature = keyed(hashlib.new(name, client_key).digest(), message)
        right = bytes(a ^ b for a, b in zip(client_key, signature))
        binding = base64.b64encode(header + bound).decode()
        if (flag.encode() != wanted or not without_proof.startswith(f"c={binding},r={nonce}") or
                user != session.server.user or base64.b64decode(proof) != right):
            return b"NO [AUTHENTICATIONFAILED] no"
        session.server.authzid = authzid.removeprefix("a=").encode()
        verifier = keyed(keyed(salted, b"Server Key"), message)
        exchange.ask(b"v=" + base64.b64encode(verifier))
        return session.enter()
    return run


def oauth(form, bad_news, goodbye):
    """OAUTHBEARER and XOAUTH2: the NO comes after the client has answered the bad news."""
    def run(session, exchange):
        server = session.server
        match = re.fullmatch(form, exchange.ask())
        if not match:
            return b"BAD what is that?"
        server.authzid, token = match.groups()
        server.tokens_seen.append(token.decode())
        if token.decode() in server.tokens:
            return session.enter()
        if exchange.ask(bad_news) != goodbye:
            return b"BAD what is that?"
        return b"NO [AUTHENTICATIONFAILED] not with that"
    return run


MECHANISMS = {
    "OAUTHBEARER": oauth(rb"n,a=([^,]*),\x01host=[^\x01]+\x01port=\d+\x01auth=Bearer ([^\x01]+)\x01\x01",
                         b'{"status":"invalid_token","scope":"imap"}', b"\x01"),
    "XOAUTH2": oauth(rb"user=([^\x01]*)\x01auth=Bearer ([^\x01]+)\x01\x01",
                     b'{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}', b""),
    "PLAIN": plain, "LOGIN": login, "EXTERNAL": external,
    "SCRAM-SHA-1": scram("sha1"), "SCRAM-SHA-256": scram("sha256"),
    "SCRAM-SHA-1-PLUS": scram("sha1", True), "SCRAM-SHA-256-PLUS": scram("sha256", True),
}


def authenticate(session, name, initial):
    """The tagged line of AUTHENTICATE."""
    if name not in session.behaviour.mechanisms or name not in MECHANISMS:
        return b"NO unknown mechanism"
    try:
        return MECHANISMS[name](session, Exchange(session, initial))
    except Cancelled:
        return b"BAD cancelled"
