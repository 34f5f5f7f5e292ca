# SPDX-License-Identifier: MIT
"""A scripted IMAP server for faults and odd behaviour, over an account in memory.

    with FakeImap(mailboxes={"INBOX": [b"Subject: x\r\n\r\n"]}) as s:
        ...connect to s.port, log in as s.user with s.password...
        s.lines("UID FETCH")            # what clients sent

It is a correct small IMAP4rev1 server unless told otherwise: by flags (class Behaviour: whole classes of
servers) or by rules (class Rule: what happens to the k-th command of a kind). The sessions are in
fakesession.py, mailboxes and parsing in fakeaccount.py.
"""
import collections
import dataclasses
import re
import socket
import ssl
import threading

from fakeaccount import SYSTEM_FLAGS, Account, Mailbox, Message, as_bytes
from fakesession import Command, Gone, Session
from talk import Talk

__all__ = ["Behaviour", "Command", "FakeImap", "Mailbox", "Message", "Rule"]

CAPABILITIES = ("IMAP4rev1", "LITERAL+", "SASL-IR", "ID", "ENABLE", "NAMESPACE", "IDLE", "UIDPLUS",
                "ESEARCH", "LIST-EXTENDED", "LIST-STATUS", "SPECIAL-USE", "CHILDREN", "UNSELECT", "MOVE")


@dataclasses.dataclass
class Behaviour:
    """What the server is like. Octets given as bytes go out as they are."""

    capabilities: tuple = CAPABILITIES   # hide: leave names out
    hide: tuple = ()                     # capabilities not offered (the commands still work)
    greeting: bytes = None               # instead of "* OK [CAPABILITY ...] ready"
    preauth: bool = False
    mechanisms: tuple = ("PLAIN",)       # those of fakesasl.py
    binding: bytes = None                # of the TLS connection, in place of the true one
    login_disabled: bool = False         # announced and enforced, until TLS
    capability_unasked: bool = True      # in the greeting and in the OK of a login
    starttls: str = "ok"                 # with a certificate: ok, missing, refuse, inject
    starttls_injected: bytes = b"* CAPABILITY IMAP4rev1 EVIL\r\n"
    delimiter: bytes = b"/"              # None: NIL
    list_style: str = "quoted"           # quoted, literal or raw (exactly the octets of the name)
    list_extra: tuple = ()               # lines added to each LIST answer, without CRLF
    list_frozen: bool = False            # LIST names for ever what there was when the session began
    size: object = None                  # function (uid, true size) -> int or bytes to announce
    structure: object = None             # function uid -> the octets of BODYSTRUCTURE, or None for the true one
    body: object = "literal"             # literal, literal8, quoted, nil, none or none-quoted (no octets),
    #                                      missing, no, limit: for all, a dict by UID, or a function (uid, partial or None)
    literal_delta: object = 0            # added to announced lengths: for all, or a dict by UID
    origin: str = "right"                # right, missing, or full (as in the command, "<0.1024>")
    ignore_partial: bool = False         # the whole body, without an origin, whatever part is asked for
    past_end: str = "literal"            # a partial past the end: literal, quoted, nil, nothing
    fetch_order: str = "uid-first"       # uid-first, uid-last, split (body in a second FETCH)
    news_at: tuple = None                # commands whose answers bring news of the mailbox; None: all that may
    omit_uidnext: bool = False           # SELECT
    omit_uidvalidity: bool = False
    modseq_ahead: int = 0                # with CONDSTORE: HIGHESTMODSEQ is so far ahead of what is told
    uidvalidity: object = None           # function (name, how many selects before) -> number
    read_only: bool = False              # SELECT is answered as EXAMINE
    permanent_flags: bytes = SYSTEM_FLAGS
    require_id: bool = False             # SELECT refused before ID
    refuse_uid_expunge: bool = False
    refuse_move: bool = False            # UID MOVE is offered, and refused
    examined_is_closed: bool = False     # nothing is put into the mailbox that the connection has examined
    append_uid: str = "right"            # APPENDUID: right, missing, nil, other (UIDVALIDITY), older, ahead
    append_limit: int = None             # octets of a message; larger ones are refused in place of "+"
    append_change: object = None         # function (octets) -> what is stored of them
    copy_uid: str = "right"              # COPYUID: right, missing, or one of fakechange.COPY_CODES
    quota: int = None                    # octets in all mailboxes
    message_limit: int = None            # messages that a command does, from the highest UID down (RFC 9738)
    connection_limit: int = None         # more are sent connection_limit_bye
    connection_limit_bye: bytes = b"* BYE [UNAVAILABLE] too many connections\r\n"
    disconnect_after: int = None         # octets sent on a connection
    disconnect_times: int = None         # on so many connections; None: all
    disconnect_reset: bool = False       # by RST
    dribble: float = 0                   # seconds between octets
    push_silent: bool = False            # IDLE and NOTIFY are agreed to, and tell nothing more
    push_delay: float = 0                # seconds until they tell
    rate: float = 0                      # octets a second on a connection; 0: as fast as can be
    pipelining: str = "ok"               # after the login, commands that come before the one ahead is answered:
    #                                      ok, stall (nothing is answered any more), drop (they are lost),
    #                                      drop-after-done (those that come in one packet with DONE are)
    pipelining_wait: float = 0.02        # seconds that it gives such a command to come


@dataclasses.dataclass
class Rule:
    """What happens to commands of a kind. Octets may be given as bytes or as a function of the session.

    In this order: action, delay, stall, before, (raw | reply | the command itself with middle in it),
    before_ok, the tagged line (status in its place), after, drop."""

    command: str = "*"          # "UID FETCH", "SELECT", "*"
    match: bytes = None         # a regular expression that the line must contain
    skip: int = 0               # so many matching commands are left alone first
    times: int = None           # then so many are treated; None: all
    action: object = None       # function (session)
    delay: float = 0            # seconds
    stall: bool = False         # until release()
    before: object = b""
    raw: object = None          # sent instead of everything; "{tag}" is replaced
    reply: object = None        # the tagged line, command not run: b"NO [THROTTLED] slow down"
    middle: object = b""        # after the first middle_after FETCH responses of the command
    middle_after: int = 1
    before_ok: object = b""
    status: object = None       # the tagged line, command run
    after: object = b""
    drop: str = None            # fin or rst

    def __post_init__(self):
        self.hits = 0           # commands treated
        self.released = threading.Event()

    def release(self):
        self.released.set()

    def takes(self, name, line):
        """Counts; True when this command is treated."""
        if self.command not in ("*", name) or (self.match and not re.search(self.match, line)):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        self.hits += 1
        return True


class FakeImap:
    """The server. Keywords are those of Behaviour; they may be changed while it runs (s.behaviour)."""

    def __init__(self, mailboxes=None, *, user="user", password="secret", rules=(), tls=False,
                 certificate=None, client_ca=None, tls_max=None, **flags):
        """tls: from the first octet. certificate: (its file, its key's file), alone: offers STARTTLS.
        client_ca: clients must have a certificate by it."""
        self.behaviour = Behaviour(**flags)
        self.user, self.password = user, password
        self.account = Account(mailboxes, self.behaviour.delimiter)
        self.rules = list(rules)
        self.tls = tls
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
            if client_ca:
                self.context.load_verify_locations(client_ca)
                self.context.verify_mode = ssl.CERT_REQUIRED
            if tls_max:
                self.context.maximum_version = tls_max
        self.commands = []
        self.answers = []       # lines of clients within AUTHENTICATE
        self.tokens, self.tokens_seen = set(), []   # OAuth: what is good, and what came
        self.authzid = None     # whom the last one to log in acts as
        self.sessions = []
        self.connections = 0
        self.piped = 0          # commands that came too early, see Behaviour.pipelining
        self.missed = []        # (connection, UID) of commands about messages that it was not told of yet
        self.failures = []      # exceptions of sessions: bugs of this file or of a test's functions
        self.selects = collections.Counter()
        self.changed = threading.Condition()
        self.stopping = threading.Event()
        self.listener = None
        self.thread = None
        self.port = None
        self.talk = None        # of sessions, see talk.py

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", self.port or 0))
        self.port = self.listener.getsockname()[1]
        self.talk = Talk(f"the scripted server at port {self.port}")
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.stopping.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        for session in list(self.sessions):
            session.abort()
        for session in list(self.sessions):
            session.thread.join(10)
        self.talk.over = True
        if kind is None and self.failures:
            raise self.failures[0]

    def _accept(self):
        while not self.stopping.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.changed:
                self.connections += 1
                session = Session(self, sock, self.connections)
                self.sessions.append(session)
                self.changed.notify_all()
            session.thread.start()

    # For tests

    def rule(self, command="*", **fields):
        """Adds a rule, ahead of the older ones, and returns it."""
        rule = Rule(command, **fields)
        self.rules.insert(0, rule)
        return rule

    def names(self, connection=None):
        """The names of all commands received, in order."""
        return [c.name for c in list(self.commands) if connection in (None, c.connection)]

    def lines(self, name=None):
        """The lines received, as text, of one kind of command or all."""
        return [c.line.decode("latin-1") for c in list(self.commands) if name in (None, c.name)]

    def wait(self, condition, seconds=30):
        """Waits until condition() is true: it is asked after each command and each connection's end."""
        with self.changed:
            if not self.changed.wait_for(condition, seconds):
                raise TimeoutError(f"not within {seconds} s; received: {self.names()}")

    def wait_for(self, name, count=1, seconds=30):
        """Waits until so many commands of that name have come."""
        self.wait(lambda: self.names().count(name) >= count, seconds)

    def wait_idle(self, count=1, seconds=30):
        """Waits until so many connections are in IDLE."""
        self.wait(lambda: sum(s.idling for s in self.sessions) >= count, seconds)

    def mailbox(self, name):
        return self.account.find(name)

    def append(self, name, message):
        """A new message, as if delivered. Sessions that idle there are told at once."""
        with self.account.lock:
            added = self.mailbox(name).add(message)
        self.poke()
        return added.uid

    def expunge(self, name, *uids):
        """As if another client had done it."""
        with self.account.lock:
            self.mailbox(name).expunge(uids)
        self.poke()

    def set_flags(self, name, uid, *flags):
        with self.account.lock:
            mailbox = self.mailbox(name)
            mailbox.set_flags(mailbox.find(uid), {as_bytes(f) for f in flags})
        self.poke()

    def poke(self):
        def tell():
            for session in list(self.sessions):
                session.post(Session.idle_news)
        if not self.behaviour.push_delay:
            tell()
            return
        timer = threading.Timer(self.behaviour.push_delay, tell)
        timer.daemon = True
        timer.start()

    def send_raw(self, octets):
        """Sends to every connection as soon as it waits for its client."""
        for session in list(self.sessions):
            session.post(lambda s: s.send(octets, now=True))

    def bye(self, text=b"going down"):
        """Untagged BYE and the end, on every connection."""
        def say(session):
            session.send(b"* BYE" + (b" " + text if text else b"") + b"\r\n", now=True)
            raise Gone
        for session in list(self.sessions):
            session.post(say)

    def drop(self, reset=False):
        """Ends every connection without a word."""
        for session in list(self.sessions):
            session.post(lambda s: s.drop(reset))

    # For sessions

    def record(self, command):
        """Notes the command and returns the rule for it."""
        with self.changed:
            self.commands.append(command)
            self.changed.notify_all()
            rule = next((r for r in self.rules if r.takes(command.name, command.line)), None)
            return rule or Rule()

    def ended(self, session):
        with self.changed:
            self.sessions.remove(session)
            self.changed.notify_all()
