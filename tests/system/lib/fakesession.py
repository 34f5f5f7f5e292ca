# SPDX-License-Identifier: MIT
"""One connection of the fake server in fakeimap.py: its thread, its octets, and the commands.

Only a session's own thread reads and writes its socket; everyone else posts it work, which is done when
the session waits for its client.
"""
import collections
import dataclasses
import os
import random
import re
import select
import socket
import struct
import threading
import time

import fakechange
import fakeparts
import fakesasl
from fakeaccount import (SYSTEM_FLAGS, SyntaxFault, as_bytes, format_set, in_set, literal, parse,
                         parse_set, quote)

LINE_MAX = 1 << 20
LITERAL_MAX = 64 << 20
FLUSH_SIZE = 256 << 10

Command = collections.namedtuple("Command", "connection time tag name line")
Command.__doc__ = """A command as it came: the number of its connection from 1, time.monotonic(), its
name in capitals ("UID FETCH", "SELECT"), and the whole line after the tag, literals included, without
its CRLF."""


class Gone(Exception):
    """The connection is over."""


def stumble():
    """With IMAPFS_STUMBLE=SECONDS a session stands still here now and then, for up to so long: that finds tests
    which depend on who of two connections is served first."""
    longest = float(os.environ.get("IMAPFS_STUMBLE", "0"))
    if longest and random.random() < 0.2:
        time.sleep(random.uniform(0, longest))


class Session:
    """One connection."""

    def __init__(self, server, sock, number):
        self.server, self.sock, self.number = server, sock, number
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.posted = collections.deque()
        self.wake_read, self.wake_write = socket.socketpair()
        self.input, self.output = bytearray(), bytearray()
        self.sent = 0
        self.secure = self.identified = self.idling = self.uidonly = False
        self.authenticated = server.behaviour.preauth
        self.mailbox, self.name, self.read_only = None, None, False
        self.view = []          # the messages as numbered for this client
        self.names = dict(server.account.mailboxes)  # at the beginning
        self.flags_seen = 0     # of mailbox.flag_changes
        self.tag, self.rule = b"", None
        self.line = b""         # the command that runs, without its tag
        self.notifies_flags, self.modseqs = False, {}
        self.notified = None    # with NOTIFY: the state of each mailbox that it was told
        self.responses = 0      # FETCH responses of the command that runs

    @property
    def behaviour(self):
        return self.server.behaviour

    def _run(self):
        self.note("-", b"connected")
        try:
            self._serve()
        except (Gone, OSError):
            pass
        except Exception as error:
            self.server.failures.append(error)
        finally:
            self.note("-", b"closed")
            self.sock.close()
            self.wake_read.close()
            self.wake_write.close()
            self.server.ended(self)

    def _serve(self):
        stumble()
        limit = self.behaviour.connection_limit
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.server.tls:
            self.start_tls()
        if limit is not None and len(self.server.sessions) > limit:
            self.send(self.behaviour.connection_limit_bye, now=True)
            return
        self.send(self._greeting(), now=True)
        while True:
            self.serve_command()

    def _greeting(self):
        if self.behaviour.greeting is not None:
            return self.behaviour.greeting
        word = b"PREAUTH" if self.behaviour.preauth else b"OK"
        return b"* " + word + b" " + self._capability_code() + b"ready\r\n"

    def _capability_code(self):
        if not self.behaviour.capability_unasked:
            return b""
        return b"[CAPABILITY " + self.capabilities() + b"] "

    def capabilities(self):
        names = list(self.behaviour.capabilities)
        if not self.authenticated:
            names += [f"AUTH={name}" for name in self.behaviour.mechanisms]
            if self.behaviour.login_disabled and not self.secure:
                names.append("LOGINDISABLED")
        if self.server.context and not self.secure and self.behaviour.starttls != "missing":
            names.append("STARTTLS")
        return " ".join(n for n in names if n not in self.behaviour.hide).encode()

    def note(self, who, octets):
        self.server.talk.note(self.number, who, octets)

    # Octets

    def post(self, work):
        """Has the session's thread call work(session) when it waits for its client."""
        self.posted.append(work)
        try:
            self.wake_write.send(b"x")
        except OSError:
            pass  # it has ended

    def abort(self):
        def end(_):
            raise Gone
        self.post(end)
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def run_posted(self):
        while self.posted:
            stumble()
            self.posted.popleft()(self)

    def drop(self, reset=False):
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Gone

    def start_tls(self):
        self.sock = self.server.context.wrap_socket(self.sock, server_side=True)
        self.secure = True

    def send(self, octets, now=False):
        self.output += octets
        if now or len(self.output) >= FLUSH_SIZE:
            self.flush()

    def flush(self):
        octets, self.output = bytes(self.output), bytearray()
        limit = self.behaviour.disconnect_after
        if limit is not None and self.sent + len(octets) >= limit and self._may_disconnect():
            self._write(octets[:limit - self.sent])
            self.drop(self.behaviour.disconnect_reset)
        self._write(octets)

    def _may_disconnect(self):
        with self.server.changed:
            if self.behaviour.disconnect_times is None:
                return True
            self.behaviour.disconnect_times -= 1
            return self.behaviour.disconnect_times >= 0

    def _write(self, octets):
        self.sent += len(octets)
        if octets:
            self.note("S", octets)
        if not self.behaviour.dribble:
            self.sock.sendall(octets)
            if self.behaviour.rate:
                time.sleep(len(octets) / self.behaviour.rate)
            return
        for octet in octets:
            self.sock.sendall(bytes([octet]))
            time.sleep(self.behaviour.dribble)

    def receive(self):
        """Waits for more of the client's octets, and does what was posted meanwhile."""
        self.flush()
        while True:
            self.run_posted()
            self.flush()
            if not (self.secure and self.sock.pending()):
                ready, _, _ = select.select([self.sock, self.wake_read], [], [])
                if self.wake_read in ready:
                    self.wake_read.recv(4096)
                    continue
            octets = self.sock.recv(65536)
            if not octets:
                raise Gone
            self.input += octets
            return

    def read_line(self):
        scanned = 0
        while (end := self.input.find(b"\n", scanned)) < 0:
            scanned = len(self.input)
            if scanned > LINE_MAX:
                raise Gone
            self.receive()
        line = bytes(self.input[:end]).removesuffix(b"\r")
        del self.input[:end + 1]
        self.note("C", line)
        return line

    def read_octets(self, count):
        while len(self.input) < count:
            self.receive()
        octets = bytes(self.input[:count])
        del self.input[:count]
        self.note("C", octets)
        return octets

    def read_pieces(self):
        """A command as text, literal, text ... and as it was on the wire. None for the text: refused."""
        pieces, whole = [], b""
        while True:
            line = self.read_line()
            whole += line
            match = re.search(rb"~?\{(\d+)([+-]?)\}$", line)
            if not match:
                return pieces + [line], whole
            count = int(match[1])
            if count > LITERAL_MAX:
                raise Gone
            if not match[2]:
                refused = fakechange.literal_refusal(self, line, count)
                self.send(refused or b"+ go ahead\r\n", now=True)
                if refused:
                    return None, line
            octets = self.read_octets(count)
            pieces += [line[:match.start()], octets]
            whole += b"\r\n" + octets

    # Commands

    def serve_command(self):
        pieces, whole = self.read_pieces()
        if pieces is None:
            return
        self.tag, _, rest = pieces[0].partition(b" ")
        words = rest.split(b" ", 2)
        name = words[0].upper()
        if name == b"UID" and len(words) > 1:
            name += b" " + words[1].upper()
        pieces[0] = rest[len(name):]
        name = name.decode("latin-1")
        self.line = whole[len(self.tag) + 1:]
        tag = self.tag.decode("latin-1")
        if self.authenticated and self.behaviour.pipelining in ("stall", "drop"):
            self.meet_more(self.behaviour.pipelining)
        stumble()
        rule = self.server.record(Command(self.number, time.monotonic(), tag, name, self.line))
        self.rule, self.responses = rule, 0
        stumble()
        self.treat(rule, name, pieces)
        stumble()
        self.flush()

    def meet_more(self, manner):
        """What a server that cannot pipeline does with octets behind a command."""
        if not self.input and select.select([self.sock], [], [], self.behaviour.pipelining_wait)[0]:
            self.receive()
        if self.input:
            with self.server.changed:
                self.server.piped += 1
            self.input.clear()
            while manner == "stall":
                self.receive()

    def treat(self, rule, name, pieces):
        if rule.action:
            rule.action(self)
        if rule.delay:
            self.server.stopping.wait(rule.delay)
        if rule.stall:
            self.stall(rule)
        self.say(rule.before)
        if rule.raw is not None:
            self.say(rule.raw)
        else:
            status = rule.reply
            if status is None:
                status = self.execute(name, pieces)
                rule = self.rule  # the command may have changed it
            self.say(rule.before_ok)
            if rule.status is not None:
                status = rule.status
            if status is not None:
                self.say(self.tag + b" " + self.octets(status) + b"\r\n")
        self.say(rule.after)
        if rule.drop:
            self.flush()
            self.drop(rule.drop == "rst")
        if name == "LOGOUT":
            self.flush()
            raise Gone

    def stall(self, rule):
        self.flush()
        while not rule.released.wait(0.02):
            self.run_posted()
            if self.server.stopping.is_set():
                raise Gone

    def octets(self, given):
        return given(self) if callable(given) else given

    def say(self, given):
        self.send(self.octets(given).replace(b"{tag}", self.tag))

    def execute(self, name, pieces):
        """Runs a command and returns its tagged line without the tag, or None when it has sent its own."""
        handler = HANDLERS.get(name)
        if not handler:
            return b"BAD unknown command"
        function, state = handler
        if state == "open" and self.authenticated:
            return b"BAD already authenticated"
        if state in ("login", "selected") and not self.authenticated:
            return b"BAD log in first"
        if state == "selected" and self.mailbox is None:
            return b"BAD select a mailbox first"
        try:
            if name in UNPARSED:
                status = function(self, pieces)
            elif name in UNLOCKED:
                status = function(self, parse(pieces))
            else:
                with self.server.account.lock:
                    status = function(self, parse(pieces))
        except (SyntaxFault, IndexError, ValueError, TypeError, AttributeError) as error:
            return b"BAD " + str(error).encode("ascii", "replace")
        at = self.behaviour.news_at
        if self.mailbox and name not in ("FETCH", "STORE", "SEARCH", "LOGOUT") and (at is None or name in at):
            self.news()
        return status

    # News of the selected mailbox

    def news(self):
        """EXPUNGE, EXISTS and FETCH FLAGS of what happened since."""
        with self.server.account.lock:
            mailbox = self.mailbox
            present = set(map(id, mailbox.messages))
            for index in range(len(self.view) - 1, -1, -1):
                if id(self.view[index]) not in present:
                    message = self.view.pop(index)
                    self.send(b"* VANISHED %d\r\n" % message.uid if self.uidonly
                              else b"* %d EXPUNGE\r\n" % (index + 1))
            if len(mailbox.messages) > len(self.view):
                self.view = list(mailbox.messages)
                self.send(b"* %d EXISTS\r\n" % len(self.view))
            changes = mailbox.flag_changes[self.flags_seen:]
            self.flags_seen = len(mailbox.flag_changes)
            numbers = {id(m): n for n, m in enumerate(self.view, 1)} if changes else {}
            for message, knows in changes:
                if knows is not self and id(message) in numbers:
                    self.respond(numbers[id(message)], message, [b"UID %d" % message.uid] + self.flag_items(message))

    def idle_news(self):
        if self.behaviour.push_silent:
            return
        if self.idling and self.mailbox:
            self.news()
        if self.notified is not None:
            self.notify()

    def flag_items(self, message):
        """Of a FETCH: the flags, and with CONDSTORE their mod-sequence."""
        return [b"FLAGS (%s)" % b" ".join(sorted(message.flags))] + [
            b"MODSEQ (%d)" % message.modseq] * ("CONDSTORE" in self.behaviour.capabilities)

    def notify(self):
        """A STATUS of each mailbox that is not as it was the last time."""
        with self.server.account.lock:
            for name, mailbox in self.server.account.mailboxes.items():
                state = (mailbox.uidnext, len(mailbox.messages), mailbox.uidvalidity)
                if mailbox.selectable and self.notified.get(name) != state:
                    self.notified[name] = state
                    self.send_status(name, mailbox, [b"MESSAGES", b"UIDNEXT", b"UIDVALIDITY"] +
                                     [b"HIGHESTMODSEQ"] * self.notifies_flags)
                elif self.notifies_flags and self.modseqs.get(name) != mailbox.modseq:
                    self.send_status(name, mailbox, [b"HIGHESTMODSEQ"])
                self.modseqs[name] = mailbox.modseq

    def do_notify(self, arguments):
        self.notifies_flags = b"FlagChange" in arguments[2][1]
        if self.notifies_flags and "FlagChange" in self.behaviour.hide:
            return b"NO [BADEVENT (MessageNew MessageExpunge)] not of flags"
        self.notified = {}
        self.notify()
        return b"OK done"

    # Before login

    def do_capability(self, _):
        self.send(b"* CAPABILITY " + self.capabilities() + b"\r\n")
        return b"OK done"

    def do_noop(self, _):
        return b"OK done"

    def do_logout(self, _):
        self.send(b"* BYE see you\r\n")
        return b"OK done"

    def do_id(self, _):
        self.identified = True
        self.send(b'* ID ("name" "fakeimap")\r\n')
        return b"OK done"

    def do_starttls(self, _):
        if not self.server.context or self.behaviour.starttls in ("missing", "refuse") or self.secure:
            return b"BAD no TLS here"
        injected = self.behaviour.starttls_injected if self.behaviour.starttls == "inject" else b""
        self.send(self.tag + b" OK begin\r\n" + injected, now=True)
        self.input.clear()
        self.start_tls()
        return None

    def do_login(self, arguments):
        if self.behaviour.login_disabled and not self.secure:
            return b"NO [PRIVACYREQUIRED] not without TLS"
        user, password = arguments
        return self.finish_login(user, password)

    def finish_login(self, user, password, authzid=b""):
        if (user, password) != (self.server.user.encode(), self.server.password.encode()):
            return b"NO [AUTHENTICATIONFAILED] wrong user or password"
        self.server.authzid = authzid
        return self.enter()

    def enter(self):
        self.authenticated = True
        return b"OK " + self._capability_code() + b"logged in"

    def do_authenticate(self, pieces):
        name, _, initial = pieces[0].strip().partition(b" ")
        return fakesasl.authenticate(self, name.decode("latin-1").upper(), initial or None)

    # Mailboxes

    def do_enable(self, arguments):
        offered = [c.upper() for c in self.behaviour.capabilities]
        enabled = [a.upper() for a in arguments if a.upper().decode() in offered]
        self.uidonly |= b"UIDONLY" in enabled
        self.send(b"* ENABLED" + b"".join(b" " + e for e in enabled) + b"\r\n")
        return b"OK done"

    def delimiter(self):
        delimiter = self.behaviour.delimiter
        return b"NIL" if delimiter is None else quote(delimiter)

    def do_namespace(self, _):
        self.send(b'* NAMESPACE (("" ' + self.delimiter() + b")) NIL NIL\r\n")
        return b"OK done"

    def spell(self, name):
        style = self.behaviour.list_style
        return name if style == "raw" else literal(name) if style == "literal" else quote(name)

    def list_line(self, word, name, mailbox):
        return b"* %s (%s) %s %s\r\n" % (word, b" ".join(mailbox.attributes), self.delimiter(),
                                         self.spell(name))

    def do_list(self, arguments):
        selection, options = [], []
        if isinstance(arguments[0], list):
            selection = [a.upper() for a in arguments.pop(0)]
        reference, patterns = arguments[0], arguments[1]
        if len(arguments) > 2:
            if arguments[2].upper() != b"RETURN":
                raise SyntaxFault("RETURN expected")
            options = arguments[3]
        status = next((options[i + 1] for i, o in enumerate(options) if o == b"STATUS"), None)
        patterns = patterns if isinstance(patterns, list) else [patterns]
        if patterns == [b""]:
            self.send(b"* LIST (\\Noselect) " + self.delimiter() + b' ""\r\n')
            return b"OK done"
        names = self.names if self.behaviour.list_frozen else None
        for name, mailbox in self.server.account.matching(reference, patterns, names):
            if b"SUBSCRIBED" in selection and not mailbox.subscribed:
                continue
            self.send(self.list_line(b"LIST", name, mailbox))
            if status and mailbox.selectable:
                self.send_status(name, mailbox, status)
        for line in self.behaviour.list_extra:
            self.send(line + b"\r\n")
        return b"OK done"

    def do_lsub(self, arguments):
        for name, mailbox in self.server.account.matching(arguments[0], [arguments[1]]):
            if mailbox.subscribed:
                self.send(self.list_line(b"LSUB", name, mailbox))
        return b"OK done"

    def do_create(self, arguments):
        return self.server.account.create(arguments[0])

    def do_delete(self, arguments):
        return self.server.account.delete(arguments[0])

    def do_rename(self, arguments):
        return self.server.account.rename(arguments[0], arguments[1])

    def subscribe(self, name, subscribed):
        mailbox = self.server.account.find(name)
        if mailbox:
            mailbox.subscribed = subscribed
        return b"OK done" if mailbox or not subscribed else b"NO [NONEXISTENT] no such mailbox"

    def do_subscribe(self, arguments):
        return self.subscribe(arguments[0], True)

    def do_unsubscribe(self, arguments):
        return self.subscribe(arguments[0], False)

    def send_status(self, name, mailbox, items):
        values = {
            b"MESSAGES": len(mailbox.messages), b"RECENT": 0, b"UIDNEXT": mailbox.uidnext,
            b"UIDVALIDITY": self.uidvalidity(name, mailbox),
            b"UNSEEN": sum(b"\\Seen" not in m.flags for m in mailbox.messages),
            b"SIZE": sum(len(m.body) for m in mailbox.messages),
            b"HIGHESTMODSEQ": mailbox.modseq,
            b"DELETED": sum(b"\\Deleted" in m.flags for m in mailbox.messages),
        }
        if self.behaviour.append_limit is not None:
            values[b"APPENDLIMIT"] = self.behaviour.append_limit
        text = b" ".join(b"%s %d" % (i, values[i.upper()]) for i in items if i.upper() in values)
        self.send(b"* STATUS " + self.spell(name) + b" (" + text + b")\r\n")

    def do_status(self, arguments):
        mailbox = self.server.account.find(arguments[0])
        if not mailbox or not mailbox.selectable:
            return b"NO [NONEXISTENT] no such mailbox"
        self.send_status(arguments[0], mailbox, arguments[1])
        return b"OK done"

    def uidvalidity(self, name, mailbox):
        if not self.behaviour.uidvalidity:
            return mailbox.uidvalidity
        return self.behaviour.uidvalidity(name.decode("latin-1"), self.server.selects[name])

    def select(self, arguments, examine):
        name = arguments[0]
        mailbox = self.server.account.find(name)
        self.mailbox = None
        if self.behaviour.require_id and not self.identified:
            return b"NO SELECT Unsafe Login. Please contact the administrator"
        if not mailbox or not mailbox.selectable:
            return b"NO [NONEXISTENT] no such mailbox"
        self.mailbox, self.name, self.view = mailbox, name, list(mailbox.messages)
        self.flags_seen = len(mailbox.flag_changes)
        self.read_only = examine or mailbox.read_only or self.behaviour.read_only
        self.send(b"* FLAGS (" + SYSTEM_FLAGS + b")\r\n")
        permanent = b"" if self.read_only else self.behaviour.permanent_flags
        self.send(b"* OK [PERMANENTFLAGS (" + permanent + b")] kept\r\n")
        self.send(b"* %d EXISTS\r\n* 0 RECENT\r\n" % len(self.view))
        if not self.behaviour.omit_uidvalidity:
            self.send(b"* OK [UIDVALIDITY %d] valid\r\n" % self.uidvalidity(name, mailbox))
        if not self.behaviour.omit_uidnext:
            self.send(b"* OK [UIDNEXT %d] next\r\n" % mailbox.uidnext)
        if "CONDSTORE" in self.behaviour.capabilities:
            self.send(b"* OK [HIGHESTMODSEQ %d] highest\r\n" % (mailbox.modseq + self.behaviour.modseq_ahead))
        if len(arguments) > 1 and arguments[1][0] == b"QRESYNC":
            self.send_vanished(*map(int, arguments[1][1][:2]))
        self.server.selects[name] += 1
        return b"OK [READ-ONLY] selected" if self.read_only else b"OK [READ-WRITE] selected"

    def send_vanished(self, uidvalidity, modseq):
        gone = [uid for changed, uid in self.mailbox.vanished if changed > modseq]
        if gone and uidvalidity == self.uidvalidity(self.name, self.mailbox):
            self.send(b"* VANISHED (EARLIER) " + format_set(sorted(gone)) + b"\r\n")
        for number, message in enumerate(self.view, 1):
            if message.modseq > modseq and uidvalidity == self.uidvalidity(self.name, self.mailbox):
                self.respond(number, message, [b"UID %d" % message.uid] + self.flag_items(message))

    def do_select(self, arguments):
        return self.select(arguments, False)

    def do_examine(self, arguments):
        return self.select(arguments, True)

    def do_myrights(self, arguments):
        mailbox = self.server.account.find(arguments[0])
        if not mailbox:
            return b"NO [NONEXISTENT] no such mailbox"
        self.send(b"* MYRIGHTS " + quote(arguments[0]) + b" " + as_bytes(mailbox.rights) + b"\r\n")
        return b"OK done"

    def do_unselect(self, _):
        self.mailbox = None
        return b"OK done"

    def do_close(self, _):
        if not self.read_only:
            self.mailbox.expunge([m.uid for m in self.mailbox.messages if b"\\Deleted" in m.flags])
        self.mailbox = None
        return b"OK done"

    def do_idle(self, _):
        self.send(b"+ idling\r\n", now=True)
        with self.server.changed:
            self.idling = True
            self.server.changed.notify_all()
        try:
            if self.mailbox and not self.behaviour.push_silent and not self.behaviour.push_delay:
                self.news()
            line = self.read_line()
        finally:
            self.idling = False
        if self.behaviour.pipelining == "drop-after-done":
            self.meet_more("drop")
        return b"OK done" if line.upper() == b"DONE" else b"BAD expected DONE"

    # Messages

    def chosen(self, text, uid):
        """(sequence number, message) of a set, as this client numbers them."""
        if not self.view:
            return []
        largest = self.view[-1].uid if uid else len(self.view)
        ranges = parse_set(text, largest)
        if uid and b"*" not in text:
            known = {m.uid for m in self.view}
            self.server.missed += [(self.number, m.uid) for m in self.mailbox.messages
                                   if in_set(m.uid, ranges) and m.uid not in known]
        return [(n, m) for n, m in enumerate(self.view, 1) if in_set(m.uid if uid else n, ranges)]

    def row_name(self, number, message):
        return b"* %d UIDFETCH" % message.uid if self.uidonly else b"* %d FETCH" % number

    def limited(self, things, uid_of):
        """Those that a command does, and its tagged line."""
        limit = self.behaviour.message_limit
        if limit is None or len(things) <= limit:
            return things, b"OK done"
        some = things[-limit:]
        return some, b"OK [MESSAGELIMIT %d %d] in part" % (limit, uid_of(some[0]))

    def respond(self, number, message, items):
        self.send(self.row_name(number, message) + b" (%s)\r\n" % b" ".join(items))
        self.responses += 1
        if self.responses == self.rule.middle_after:
            self.say(self.rule.middle)

    def fetch(self, arguments, uid):
        items = arguments[1] if isinstance(arguments[1], list) else [arguments[1]]
        macros = {b"FAST": [b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE"]}
        if len(items) == 1:
            items = macros.get(items[0].upper(), items)
        if uid and b"UID" not in [i.upper() for i in items]:
            items = items + [b"UID"]
        if self.uidonly and not uid:
            return b"BAD [UIDREQUIRED] no message numbers"
        refused = None
        chosen = self.chosen(arguments[0], uid)
        if len(arguments) > 2:  # (CHANGEDSINCE n)
            chosen = [pair for pair in chosen if pair[1].modseq > int(arguments[2][1])]
        chosen, done = self.limited(chosen, lambda pair: pair[1].uid)
        for number, message in reversed(chosen) if b"LIMIT" in done else chosen:
            refused = self.fetch_message(number, message, items) or refused
        return refused or done

    def fetch_message(self, number, message, items):
        """Sends what is asked of one message. A tagged line when it is refused."""
        first, bodies = [], []
        for item in items:
            section = re.fullmatch(rb"BODY(\.PEEK)?\[(.*?)\](?:<(\d+)\.(\d+)>)?", item, re.I | re.S)
            if not section:
                first.append(self.attribute(message, item.upper()))
                continue
            partial = (int(section[3]), int(section[4])) if section[3] else None
            shape = self.shape(message.uid, partial)
            if shape == "no":
                return b"NO [SERVERBUG] cannot read this message"
            if shape == "limit":
                self.rule = dataclasses.replace(self.rule, after=b"* BYE come back later\r\n", drop="fin")
                return b"NO [LIMIT] too much"
            body = shape != "missing" and self.body_item(message, section[2].upper(), partial, shape)
            if not body:
                return None
            bodies.append(body)
            if not section[1]:
                with self.server.account.lock:
                    self.mailbox.set_flags(message, message.flags | {b"\\Seen"})
        if self.behaviour.fetch_order == "split" and bodies and first:
            self.respond(number, message, first)
            first = []
        pair = bodies + first if self.behaviour.fetch_order == "uid-last" else first + bodies
        self.respond(number, message, pair)
        return None

    def attribute(self, message, item):
        if item == b"UID":
            return b"UID %d" % message.uid
        if item == b"FLAGS":
            return b" ".join(self.flag_items(message))
        if item == b"EMAILID":
            return b"EMAILID (M%x)" % (id(message) & 0xffffff)
        if item == b"INTERNALDATE":
            return b"INTERNALDATE " + quote(message.date)
        if item == b"RFC822.SIZE":
            size = len(message.body)
            if self.behaviour.size:
                size = self.behaviour.size(message.uid, size)
            return b"RFC822.SIZE " + as_bytes(size)
        if item == b"BODYSTRUCTURE":
            lie = self.behaviour.structure(message.uid) if self.behaviour.structure else None
            return b"BODYSTRUCTURE " + (lie or fakeparts.bodystructure(message.body))
        raise SyntaxFault("unknown item " + item.decode("latin-1"))

    def shape(self, uid, partial):
        given = self.behaviour.body
        if callable(given):
            given = given(uid, partial)
        elif isinstance(given, dict):
            given = given.get(uid)
        return given or "literal"

    def body_item(self, message, section, partial, shape):
        """The octets of one body item, or None where nothing is to be sent."""
        data = message.body
        if section:
            try:
                data = fakeparts.section(data, section.decode())
            except IndexError:
                return b"BODY[%s] NIL" % section
        origin = b""
        if partial and not self.behaviour.ignore_partial:
            origin = {"right": b"<%d>" % partial[0], "missing": b"",
                      "full": b"<%d.%d>" % partial}[self.behaviour.origin]
            if partial[0] > 0 and partial[0] >= len(data):
                end = {"literal": b"{0}\r\n", "quoted": b'""', "nil": b"NIL",
                       "nothing": None}[self.behaviour.past_end]
                return end and b"BODY[%s]%s %s" % (section, origin, end)
            data = data[partial[0]:partial[0] + partial[1]]
        delta = self.behaviour.literal_delta
        if isinstance(delta, dict):
            delta = delta.get(message.uid, 0)
        if shape == "quoted":
            value = b'"' + data.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        elif shape in ("nil", "none", "none-quoted"):
            value = {"nil": b"NIL", "none": b"{0}\r\n", "none-quoted": b'""'}[shape]
        else:
            value = (b"~" if shape == "literal8" else b"") + literal(data, delta)
        return b"BODY[%s]%s %s" % (section, origin, value)

    def do_fetch(self, arguments):
        return self.fetch(arguments, False)

    def do_uid_fetch(self, arguments):
        return self.fetch(arguments, True)

    def store(self, arguments, uid):
        if self.read_only:
            return b"NO [READ-ONLY] not here"
        match = re.fullmatch(rb"([+-]?)FLAGS(\.SILENT)?", arguments[1], re.I)
        flags = arguments[2] if isinstance(arguments[2], list) else arguments[2:]
        flags = {next((s for s in SYSTEM_FLAGS.split() if s.lower() == f.lower()), f) for f in flags}
        chosen, done = self.limited(self.chosen(arguments[0], uid), lambda pair: pair[1].uid)
        for number, message in chosen:
            changed = {b"+": message.flags | flags, b"-": message.flags - flags}.get(match[1], flags)
            self.mailbox.set_flags(message, changed, self)
            if not match[2]:
                self.respond(number, message, [b"UID %d" % message.uid] * uid + self.flag_items(message))
        return done

    def do_store(self, arguments):
        return self.store(arguments, False)

    def do_uid_store(self, arguments):
        return self.store(arguments, True)

    def expunge(self, ranges):
        if self.read_only:
            return b"NO [READ-ONLY] not here"
        marked = [m.uid for m in self.mailbox.messages if b"\\Deleted" in m.flags and
                  (ranges is None or in_set(m.uid, ranges))]
        marked, done = self.limited(marked, lambda uid: uid)
        self.mailbox.expunge(marked)
        self.news()
        for other in list(self.server.sessions):
            if other is not self:
                other.post(Session.idle_news)
        return done

    def do_expunge(self, _):
        return self.expunge(None)

    def do_uid_expunge(self, arguments):
        if self.behaviour.refuse_uid_expunge or "UIDPLUS" not in self.behaviour.capabilities:
            return b"BAD unknown command"
        return self.expunge(parse_set(arguments[0], self.view[-1].uid if self.view else 0))

    def search(self, arguments, uid):
        options = None
        if arguments[0].upper() == b"RETURN":
            options = [o.upper() for o in arguments[1]] or [b"ALL"]
            arguments = arguments[2:]
        found = [(n, m) for n, m in enumerate(self.view, 1) if self.matches(n, m, arguments)]
        found, done = self.limited(found, lambda pair: pair[1].uid)
        found = [m.uid if uid else n for n, m in found]
        if options is None:
            self.send(b"* SEARCH" + b"".join(b" %d" % f for f in found) + b"\r\n")
            return done
        answer = b'* ESEARCH (TAG "%s")' % self.tag + b" UID" * uid
        if found:
            values = {b"ALL": format_set(found), b"MIN": b"%d" % found[0], b"MAX": b"%d" % found[-1]}
            answer += b"".join(b" " + o + b" " + values[o] for o in options if o in values)
        if b"COUNT" in options:
            answer += b" COUNT %d" % len(found)
        self.send(answer + b"\r\n")
        return done

    def matches(self, number, message, keys):
        keys = list(keys)
        while keys:
            key = keys.pop(0).upper()
            wanted = True
            if key == b"NOT":
                wanted, key = False, keys.pop(0).upper()
            if key.removeprefix(b"UN") in (b"DELETED", b"SEEN", b"FLAGGED", b"ANSWERED", b"DRAFT"):
                flag = b"\\" + key.removeprefix(b"UN").capitalize()
                value = (flag in message.flags) != key.startswith(b"UN")
            elif key == b"UID":
                value = in_set(message.uid, parse_set(keys.pop(0), self.view[-1].uid))
            elif key == b"ALL":
                value = True
            elif key == b"CHARSET":
                value = bool(keys.pop(0))
            elif key in (b"BODY", b"TEXT"):
                value = keys.pop(0).lower() in message.body.lower()
            else:
                value = in_set(number, parse_set(key, len(self.view)))
            if value != wanted:
                return False
        return True

    def do_search(self, arguments):
        return self.search(arguments, False)

    def do_uid_search(self, arguments):
        return self.search(arguments, True)


# These do not hold the account's lock: the first three wait for the client, the others may when it does
# not read what they send.
UNPARSED = ("IDLE", "AUTHENTICATE", "STARTTLS")
UNLOCKED = ("FETCH", "UID FETCH")
HANDLERS = {
    "CAPABILITY": (Session.do_capability, "any"), "NOOP": (Session.do_noop, "any"),
    "LOGOUT": (Session.do_logout, "any"), "ID": (Session.do_id, "any"),
    "STARTTLS": (Session.do_starttls, "any"), "LOGIN": (Session.do_login, "open"),
    "AUTHENTICATE": (Session.do_authenticate, "open"), "ENABLE": (Session.do_enable, "login"),
    "NAMESPACE": (Session.do_namespace, "login"), "LIST": (Session.do_list, "login"),
    "LSUB": (Session.do_lsub, "login"), "CREATE": (Session.do_create, "login"),
    "DELETE": (Session.do_delete, "login"), "RENAME": (Session.do_rename, "login"),
    "SUBSCRIBE": (Session.do_subscribe, "login"), "UNSUBSCRIBE": (Session.do_unsubscribe, "login"),
    "STATUS": (Session.do_status, "login"),
    "SELECT": (Session.do_select, "login"), "EXAMINE": (Session.do_examine, "login"),
    "MYRIGHTS": (Session.do_myrights, "login"), "IDLE": (Session.do_idle, "login"),
    "NOTIFY": (Session.do_notify, "login"),
    "CHECK": (Session.do_noop, "selected"), "UNSELECT": (Session.do_unselect, "selected"),
    "CLOSE": (Session.do_close, "selected"), "FETCH": (Session.do_fetch, "selected"),
    "UID FETCH": (Session.do_uid_fetch, "selected"), "STORE": (Session.do_store, "selected"),
    "UID STORE": (Session.do_uid_store, "selected"), "EXPUNGE": (Session.do_expunge, "selected"),
    "UID EXPUNGE": (Session.do_uid_expunge, "selected"), "SEARCH": (Session.do_search, "selected"),
    "UID SEARCH": (Session.do_uid_search, "selected"), "APPEND": (fakechange.append, "login"),
    "UID COPY": (fakechange.uid_copy, "selected"), "UID MOVE": (fakechange.uid_move, "selected"),
}
