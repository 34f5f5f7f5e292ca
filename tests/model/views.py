# SPDX-License-Identifier: MIT
"""An IMAP server in whose mailboxes each connection has a view of its own.

Written from RFC 3501, 9051 (ESEARCH, LIST-STATUS), 4315 (UIDPLUS), 2177 (IDLE), 7162 (CONDSTORE, QRESYNC), 5465
(NOTIFY) and 2180 (what a server may answer for a message that is gone). A connection knows of a mailbox what it
was told: EXISTS and EXPUNGE or VANISHED come when this server likes, to each at another time, but only where the
RFCs allow (no EXPUNGE without a command, nor while FETCH, STORE or SEARCH is answered); NOOP tells all. What a
connection was not told of does not exist for it: UID FETCH of such a message is OK without data.

Nothing of it is broken, except in what Manner calls faults. All chance is that of one seed, apart from when
the client comes. The conversation is kept, see Server.conversation().

A client that does what it must never do (\\Seen, an expunge, copy or deletion that nobody asked for, a command out
of place) is noted in Server.violations.
"""
import asyncio
import base64
import calendar
import collections
import dataclasses
import itertools
import random
import re
import time

import bodies
from imapraw import internaldate, quote, sequence_set, utf7_decode, utf7_encode

KEPT_LINES = 4000
NAME_MAX = 1000  # octets; of a longer literal the beginning is part of the command, all is Connection.literal
GOOD_CAPABILITIES = ("UIDPLUS", "IDLE", "NOTIFY", "CONDSTORE", "QRESYNC", "ESEARCH", "LIST-STATUS", "NAMESPACE",
                     "SPECIAL-USE", "LITERAL+", "ID", "UNSELECT", "CHILDREN", "SASL-IR")


@dataclasses.dataclass
class Manner:
    """How the server is, for a whole life."""
    capabilities: tuple = GOOD_CAPABILITIES
    delimiter: str = "/"
    latency: float = 0.0      # seconds before each answer
    pause: float = 0.0        # seconds, at most, between two pieces of a long answer
    push_delay: float = 0.5   # at most, until an idling or notified connection is told
    tells: float = 0.3        # share of the commands after which news is told, where allowed
    order: str = "ascending"  # of rows: ascending, descending, any
    splits: float = 0.0       # share of the rows that come in two
    chatter: float = 0.0      # share of the commands with a FETCH FLAGS that nobody asked for
    ghost: str = "data"       # what is gone but not told: data (as long as the connection lives), nothing, no
    past_end: str = "literal"  # a part past the end: literal, quoted, nil, absent
    stumbles: float = 0.0     # share of the bodies that are not there for a moment: OK, no data
    uidnext: bool = True      # SELECT has it
    lies: bool = False        # RFC822.SIZE is wrong
    faults: tuple = ()        # of drop, slow, unavailable; while Server.stormy

    @classmethod
    def random(cls, rng, faults=(), lies=False):
        have = [name for name in GOOD_CAPABILITIES if rng.random() < 0.6]
        if "QRESYNC" in have and "CONDSTORE" not in have:
            have.append("CONDSTORE")
        return cls(
            capabilities=tuple(have), delimiter=rng.choice("/.^"), latency=rng.choice([0, 0.002, 0.02, 0.05]),
            pause=rng.choice([0, 0.02, 0.1]), push_delay=rng.choice([0, 0.3, 1.0]), tells=rng.choice([0, 0, 0.1, 0.5, 1]),
            order=rng.choice(["ascending", "ascending", "descending", "any"]), splits=rng.choice([0, 0, 0.2]),
            chatter=rng.choice([0, 0.05, 0.3]), ghost=rng.choice(["data", "nothing", "no"]),
            past_end=rng.choice(["literal", "quoted", "nil", "absent"]), stumbles=rng.choice([0, 0, 0.02]),
            uidnext=rng.random() < 0.8, lies=lies, faults=tuple(faults))


@dataclasses.dataclass(eq=False)
class Message:
    uid: int
    identity: int
    size: int
    announced: int
    date: int
    flags: set
    modseq: int
    stumbled: float = 0.0
    theirs: bool = False  # \\Deleted by another client
    marked_at: float = 0.0

    @property
    def unmarked(self):
        """The client has taken the other's mark off, and owes it."""
        return self.theirs and "\\Deleted" not in self.flags

    @property
    def body(self):
        return bodies.make(self.identity, self.size)


class Box:
    def __init__(self, name, validity):
        self.name, self.validity = name, validity
        self.messages = {}  # uid: Message, ascending
        self.uidnext, self.modseq = 1, 1
        self.vanished = []  # (modseq, uid)
        self.alive = True

    def change(self):
        self.modseq += 1
        return self.modseq


class Refused(Exception):
    """NO with this text."""


class Dropped(Exception):
    """The connection ends here."""


class Server:
    """on_gone(box, uid) hears of each message that the client has expunged or moved, on_new(box, message, source) of
    each that it has appended (source None), copied or moved from source (Box, uid), on_names(verb, name, new) of
    mailboxes that it has made (CREATE), deleted (DELETE) and renamed (RENAME, told just before)."""

    user, password = "user", "secret word"

    def __init__(self, manner, seed):
        self.manner, self.seed = manner, seed
        self.rng = random.Random(f"{seed} server")
        self.boxes = {}  # name on the wire (str): Box
        self.changes = []  # ("status", name), ("list", name, old), ("gone", name)
        self.validities = itertools.count(1000)
        self.violations = []
        self.asked = set()  # (Box, uid) that may be expunged by the client
        self.asked_copies = set()  # (Box, uid) that it may copy or move
        self.on_gone = lambda box, uid: None
        self.on_new = lambda box, message, source: None
        self.on_names = lambda verb, name, new: None
        self.stormy = False
        self.closed = False    # who comes is sent away at once
        self.silent = False    # nothing is answered
        self.logins = self.visits = 0
        self.faults = []  # (time.monotonic(), kind)
        self.lines = collections.deque(maxlen=KEPT_LINES)
        self.numbers = itertools.count(1)
        self.connections = set()
        self.kind = Connection  # or one of its children
        self.commands = collections.Counter()
        self.port = 0
        self.create("INBOX")

    async def start(self):
        self.listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 20)
        self.port = self.listener.sockets[0].getsockname()[1]

    async def stop(self):
        self.listener.close()
        self.drop_all()
        await asyncio.sleep(0)

    async def _serve(self, reader, writer):
        connection = self.kind(self, reader, writer, next(self.numbers))
        self.connections.add(connection)
        try:
            await connection.run()
        except (Dropped, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.connections.discard(connection)
            self.note(connection, "--", b"closed")
            writer.transport.abort()

    async def speech(self):
        """Returns when the server may speak."""
        while self.silent:
            await asyncio.sleep(0.1)

    def drop_all(self):
        for connection in list(self.connections):
            connection.writer.transport.abort()

    def note(self, connection, direction, line):
        self.lines.append((time.time(), connection.number, direction, bytes(line[:300])))

    def conversation(self, count=120):
        return "\n".join(f"{when % 1000:7.3f} {number} {direction} {line.decode('latin-1').rstrip()}"
                         for when, number, direction, line in list(self.lines)[-count:])

    def fault(self, kind):
        self.faults.append((time.monotonic(), kind))

    def violation(self, text):
        self.violations.append(text)

    # What others do. Immediate: the change is there when the call returns.

    def create(self, name):
        if name in self.boxes:
            raise ValueError(name)
        self.boxes[name] = Box(name, next(self.validities))
        self.changes.append(("list", name, None))
        return self.boxes[name]

    def delete(self, name):
        box = self.boxes.pop(name)
        box.alive = False
        self.changes.append(("gone", name))

    def rename(self, old, new):
        """With all that is below it."""
        for name in [n for n in self.boxes if n == old or n.startswith(old + self.manner.delimiter)]:
            box = self.boxes.pop(name)
            box.name = new + name[len(old):]
            self.boxes[box.name] = box
            self.changes.append(("list", box.name, name))
            self.changes.append(("status", box.name))

    def renumber(self, name):
        """A new UIDVALIDITY: every message gets a new UID, from 1."""
        old = self.boxes[name]
        old.alive = False
        box = self.boxes[name] = Box(name, next(self.validities))
        for message in old.messages.values():
            uid = self.add(box, message.identity, message.size, message.date, message.flags, message.announced)
            box.messages[uid].theirs = message.theirs and not message.unmarked
        return box

    def add(self, box, identity, size, date, flags=(), announced=None):
        uid = box.uidnext
        # Gaps, as after drafts that were saved often.
        box.uidnext += 1 if self.rng.random() < 0.8 else self.rng.randrange(2, 40)
        if announced is None:
            announced = size
            if self.manner.lies and self.rng.random() < 0.5:
                announced = max(0, size + self.rng.choice([-1, 1, -20, 300, -size // 2, 2, 70000]))
        box.messages[uid] = Message(uid, identity, size, announced, date, set(flags), box.change())
        self.changes.append(("status", box.name))
        return uid

    def expunge(self, box, uids):
        for uid in uids:
            del box.messages[uid]
            box.vanished.append((box.change(), uid))
        self.changes.append(("status", box.name))

    def store(self, box, uids, add=(), remove=()):
        for uid in uids:
            message = box.messages[uid]
            message.flags = (message.flags | set(add)) - set(remove)
            message.modseq = box.change()


class Connection:
    def __init__(self, server, reader, writer, number):
        self.server, self.reader, self.writer, self.number = server, reader, writer, number
        self.manner = server.manner
        self.rng = random.Random(f"{server.seed} connection {number}")
        self.out = bytearray()
        self.in_ready = False
        self.literal = b""   # the last that came
        self.box, self.writable = None, False
        self.view = []       # Message, by sequence number
        self.examining = False  # the last mailbox that was asked for, perhaps in vain, was by EXAMINE
        self.flags_told = {}
        self.enabled = set()
        self.notify, self.heard = False, len(server.changes)
        self.push_at = 0.0

    # Octets

    def say(self, line, data=None):
        self.server.note(self, "S:", line)
        self.out += line + b"\r\n" if data is None else line
        if data is not None:
            self.out += data + b")\r\n"

    async def flush(self, partly=False):
        out, self.out = bytes(self.out), bytearray()
        if partly and out:
            self.writer.write(out[:self.rng.randrange(len(out))])
            await self.writer.drain()
            raise Dropped
        self.writer.write(out)
        await self.writer.drain()

    async def read_line(self, patience):
        """The next line, or None when none came for that long."""
        try:
            return await asyncio.wait_for(self.reader.readuntil(b"\r\n"), patience)
        except asyncio.TimeoutError:
            return None
        except asyncio.LimitOverrunError:
            raise Dropped from None

    async def read_command(self, line):
        """With its literals as quoted strings."""
        while True:
            match = re.search(rb"\{(\d+)(\+?)\}\r\n$", line)
            if not match:
                return line[:-2]
            if not match.group(2):
                self.say(b"+ go on")
                await self.flush()
            self.literal = await self.reader.readexactly(int(match.group(1)))
            self.server.note(self, "C:", self.literal)
            line = line[:match.start()] + quote(self.literal[:NAME_MAX]) + await self.reader.readuntil(b"\r\n")

    # The life of it

    async def run(self):
        self.server.visits += 1
        if self.server.closed:
            raise Dropped
        await self.server.speech()
        self.say(b"* OK [CAPABILITY %s] ready" % self.capabilities())
        await self.flush()
        while True:
            line = await self.read_line(0.1)
            await self.server.speech()
            if line is None:
                self.rest()
                await self.flush()
                if self.storm("drop", 0.01):
                    raise Dropped
                continue
            self.server.note(self, "C:", line)
            await self.obey(await self.read_command(line))

    def storm(self, kind, chance):
        """Whether this fault happens now."""
        happens = self.server.stormy and kind in self.manner.faults and self.rng.random() < chance
        if happens:
            self.server.fault(kind)
            self.server.note(self, "!!", kind.encode())
        return happens

    def capabilities(self):
        return " ".join(("IMAP4rev1", "AUTH=PLAIN", *self.manner.capabilities)).encode()

    def has(self, name):
        return name in self.manner.capabilities

    async def obey(self, line):
        tag, _, rest = line.partition(b" ")
        word = rest.split(b" ", 1)[0].upper().decode("latin-1")
        if word == "UID":
            word = "UID " + rest.split(b" ")[1].upper().decode("latin-1")
        arguments = rest[len(word):].strip()
        self.server.commands[word] += 1
        if self.manner.latency:
            await self.flush()
            await asyncio.sleep(self.manner.latency)
        if self.storm("slow", 0.03):
            await asyncio.sleep(self.rng.uniform(0.3, 2.0))
        if self.storm("drop", 0.01):
            raise Dropped
        handler = getattr(self, "do_" + word.lower().replace(" ", "_"), None)
        needs = word in ("UID FETCH", "FETCH", "UID SEARCH", "SEARCH", "UID STORE", "UID EXPUNGE", "EXPUNGE", "CLOSE",
                         "UID COPY", "UID MOVE")
        text = b"done"
        try:
            if word == "UID FETCH" and self.box is None and self.examining:
                # It came behind an EXAMINE that was refused.
                self.say(tag + b" BAD nothing is selected")
                return
            if handler is None or (needs and self.box is None):
                self.server.violation(f"a command that cannot be: {line[:200]!r}")
                self.say(tag + b" BAD what?")
                return
            if word in ("SELECT", "EXAMINE"):
                self.examining = word == "EXAMINE"
            if word not in ("LOGOUT", "LOGIN", "AUTHENTICATE", "CAPABILITY", "IDLE") and self.storm("unavailable", 0.02):
                if word in ("SELECT", "EXAMINE"):
                    self.box, self.view = None, []
                raise Refused("[UNAVAILABLE] not now")
            self.tag = tag
            text = await handler(arguments) or text
            if self.box is not None:
                self.news(word)
            self.say(tag + b" OK " + text)
        except Refused as refused:
            self.say(tag + b" NO " + str(refused).encode())
        finally:
            await self.flush(partly=self.storm("drop", 0.01))

    # Telling

    def news(self, word):
        """What goes out before the tagged response."""
        if self.rng.random() < self.manner.chatter and self.view:
            number = self.rng.randrange(len(self.view))
            self.say_flags(number, self.rng.random() < 0.5)
        if word == "NOOP":
            self.tell_gone()
            self.tell_new()
        elif self.rng.random() < self.manner.tells:
            if word not in ("FETCH", "STORE", "SEARCH"):
                self.tell_gone(self.rng.random() < 0.5)
            self.tell_new(self.rng.random() < 0.5)

    def say_flags(self, number, with_uid):
        message = self.view[number]
        uid = b"UID %d " % message.uid if with_uid or self.enabled & {"QRESYNC"} else b""
        modseq = b" MODSEQ (%d)" % message.modseq if "CONDSTORE" in self.enabled else b""
        self.say(b"* %d FETCH (%sFLAGS (%s)%s)" % (number + 1, uid, b" ".join(sorted(f.encode() for f in message.flags)),
                                                   modseq))

    def tell_gone(self, some=False):
        """EXPUNGE or VANISHED of what is gone (a random part of it)."""
        gone = [m for m in self.view if not self.box.alive or self.box.messages.get(m.uid) is not m]
        if some and gone:
            gone = self.rng.sample(gone, self.rng.randrange(1, len(gone) + 1))
        if not gone:
            return
        if "QRESYNC" in self.enabled:
            self.say(b"* VANISHED " + sequence_set([m.uid for m in gone]))
            lost = set(map(id, gone))
            self.view = [m for m in self.view if id(m) not in lost]
            return
        self.rng.shuffle(gone)
        for message in gone:
            at = next(i for i, m in enumerate(self.view) if m is message)
            del self.view[at]
            self.say(b"* %d EXPUNGE" % (at + 1))

    def tell_new(self, some=False):
        last = self.view[-1].uid if self.view else 0
        new = [m for m in self.box.messages.values() if m.uid > max(last, self.told_to)] if self.box.alive else []
        if some and new:
            new = new[:self.rng.randrange(1, len(new) + 1)]
        if not new:
            return
        self.view += new
        self.told_to = new[-1].uid
        self.say(b"* %d EXISTS" % len(self.view))
        if self.rng.random() < 0.5:
            self.say(b"* 1 RECENT")

    def rest(self):
        """No command is in progress: EXISTS may come, EXPUNGE must not (RFC 3501, 7.4.1)."""
        if self.box is not None and self.rng.random() < self.manner.tells * 0.2:
            self.tell_new(True)
        if self.notify:
            self.push_changes()

    def push_changes(self):
        server = self.server
        if self.heard == len(server.changes):
            self.push_at = 0.0
            return
        now = time.monotonic()
        if not self.push_at:
            self.push_at = now + self.rng.uniform(0, self.manner.push_delay)
        if now < self.push_at:
            return
        self.push_at = 0.0
        changes, self.heard = server.changes[self.heard:], len(server.changes)
        for name in dict.fromkeys(change[1] for change in changes if change[0] == "status"):
            if name in server.boxes:
                self.say_status(server.boxes[name], self.status_items)
        for change in changes:
            if change[0] == "gone" and change[1] not in server.boxes:
                self.say(b"* LIST (\\NonExistent) %s %s" % (self.mark(), self.name(change[1])))
            elif change[0] == "list" and change[1] in server.boxes:
                old = b' ("OLDNAME" (%s))' % self.name(change[2]) if change[2] else b""
                self.say(b"* LIST () %s %s%s" % (self.mark(), self.name(change[1]), old))

    # Names

    def mark(self):
        return quote(self.manner.delimiter)

    def name(self, name):
        return quote(utf7_encode(name))

    def find(self, word):
        """The mailbox of a quoted or bare name."""
        for name, box in self.server.boxes.items():
            encoded = utf7_encode(name).encode()
            if unquote(word) == encoded or (name == "INBOX" and unquote(word).upper() == b"INBOX"):
                return box
        raise Refused("[NONEXISTENT] no such mailbox")

    # Commands

    async def do_capability(self, _):
        self.say(b"* CAPABILITY " + self.capabilities())

    async def do_noop(self, _):
        pass

    async def do_id(self, _):
        self.say(b"* ID NIL")

    async def do_logout(self, _):
        self.say(b"* BYE")
        self.say(self.tag + b" OK bye")
        await self.flush()
        raise Dropped

    async def do_login(self, _):
        self.server.logins += 1
        return b"[CAPABILITY %s] in" % self.capabilities()

    async def do_authenticate(self, arguments):
        self.server.logins += 1
        words = arguments.split()
        if len(words) < 2:
            self.say(b"+ ")
            await self.flush()
            words.append((await self.reader.readuntil(b"\r\n"))[:-2])
        if base64.b64decode(words[1]).split(b"\0")[1:] != [self.server.user.encode(), self.server.password.encode()]:
            raise Refused("[AUTHENTICATIONFAILED]")
        return b"[CAPABILITY %s] in" % self.capabilities()

    async def do_enable(self, arguments):
        for word in arguments.decode().upper().split():
            if self.has(word):
                self.enabled |= {word} | ({"CONDSTORE"} if word == "QRESYNC" else set())
        self.say(b"* ENABLED " + " ".join(sorted(self.enabled)).encode())

    async def do_namespace(self, _):
        self.say(b'* NAMESPACE (("" %s)) NIL NIL' % self.mark())

    async def do_list(self, arguments):
        if unquote(arguments) == b"" and arguments.endswith(b'""'):
            self.say(b'* LIST (\\Noselect) %s ""' % self.mark())
            return
        status = re.search(rb"STATUS \(([A-Z ]+)\)", arguments)
        names = list(self.server.boxes)
        # Parents that are none themselves.
        for name in list(names):
            while self.manner.delimiter in name:
                name = name.rpartition(self.manner.delimiter)[0]
                if name not in names:
                    names.append(name)
        self.rng.shuffle(names)
        wanted = self.pattern(arguments)
        for name in names:
            if not wanted.fullmatch(utf7_encode(name).encode()):
                continue
            box = self.server.boxes.get(name)
            self.say(b"* LIST (%s) %s %s" % (b"" if box else b"\\Noselect", self.mark(), self.name(name)))
            if status and box:
                self.say_status(box, status.group(1))

    do_lsub = do_list

    def pattern(self, arguments):
        """The names that LIST asks for."""
        word = rb'("(?:[^"\\]|\\.)*"|\S+)'
        text = unquote(re.match(rb"(?:\([^)]*\) )?" + word + b" " + word, arguments).group(2))
        delimiter = re.escape(self.manner.delimiter).encode()
        return re.compile(re.escape(text).replace(rb"\*", b".*").replace(b"%", b"[^" + delimiter + b"]*"), re.S)

    def say_status(self, box, items):
        values = {b"MESSAGES": len(box.messages), b"UIDNEXT": box.uidnext, b"UIDVALIDITY": box.validity,
                  b"UNSEEN": 0, b"RECENT": 0, b"HIGHESTMODSEQ": box.modseq}
        self.say(b"* STATUS %s (%s)" % (self.name(box.name), b" ".join(b"%s %d" % (i, values[i]) for i in items.split())))

    async def do_status(self, arguments):
        name, _, items = arguments.rpartition(b" (")
        self.say_status(self.find(name), items.rstrip(b")"))

    async def do_notify(self, arguments):
        if not self.has("NOTIFY"):
            raise Refused("not here")
        self.notify = arguments.upper().startswith(b"SET")
        self.heard = len(self.server.changes)
        self.status_items = b"MESSAGES UIDNEXT UIDVALIDITY" + (b" HIGHESTMODSEQ" if self.has("CONDSTORE") else b"")
        if b"STATUS" in arguments.upper():
            for box in self.server.boxes.values():
                self.say_status(box, self.status_items)

    async def do_select(self, arguments, writable=True):
        match = re.match(rb'("(?:[^"\\]|\\.)*"|\S+)(?: \((.*)\))?$', arguments)
        if self.box is not None and "QRESYNC" in self.enabled:
            self.say(b"* OK [CLOSED] the last one")
        self.box = None
        box = self.find(match.group(1))
        self.box, self.writable = box, writable
        self.view = list(box.messages.values())
        self.told_to = self.view[-1].uid if self.view else 0
        self.say(b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)")
        self.say(b"* OK [PERMANENTFLAGS (%s)] limited" % (b"\\Answered \\Flagged \\Deleted \\Seen \\*" if writable else b""))
        self.say(b"* %d EXISTS" % len(self.view))
        self.say(b"* 0 RECENT")
        self.say(b"* OK [UIDVALIDITY %d] valid" % box.validity)
        if self.manner.uidnext:
            self.say(b"* OK [UIDNEXT %d] next" % box.uidnext)
        if self.has("CONDSTORE"):
            self.say(b"* OK [HIGHESTMODSEQ %d] so far" % box.modseq)
        resync = re.match(rb"QRESYNC \((\d+) (\d+)", match.group(2) or b"")
        if resync and int(resync.group(1)) == box.validity:
            since = int(resync.group(2))
            gone = [uid for modseq, uid in box.vanished if modseq > since]
            if gone:
                self.say(b"* VANISHED (EARLIER) " + sequence_set(gone))
            for number, message in enumerate(self.view):
                if message.modseq > since:
                    self.say_flags(number, True)
        return b"[READ-WRITE] in" if writable else b"[READ-ONLY] in"

    async def do_examine(self, arguments):
        return await self.do_select(arguments, False)

    async def do_unselect(self, _):
        self.box, self.view = None, []

    async def do_close(self, _):
        self.server.violation("CLOSE expunges what others marked")
        self.box, self.view = None, []

    async def do_idle(self, _):
        self.say(b"+ idling")
        await self.flush()
        push_at = 0.0
        while True:
            line = await self.read_line(0.1)
            if line is not None:
                self.server.note(self, "C:", line)
                if line.strip().upper() != b"DONE":
                    self.server.violation(f"in IDLE: {line!r}")
                return b"idled"
            if self.storm("drop", 0.01):
                raise Dropped
            await self.server.speech()
            if self.box is None:
                continue
            if not self.box.alive:
                self.say(b"* BYE the mailbox is no more")
                await self.flush()
                raise Dropped
            current = list(self.box.messages.values())
            if current == self.view:
                push_at = 0.0
                continue
            push_at = push_at or time.monotonic() + self.rng.uniform(0, self.manner.push_delay)
            if time.monotonic() >= push_at:
                push_at = 0.0
                self.tell_gone()
                self.tell_new()
                await self.flush()

    def alive(self):
        """A mailbox that was deleted or numbered anew ends the session, as with Dovecot."""
        if not self.box.alive:
            self.say(b"* BYE the mailbox is no more")
            raise Dropped

    def chosen(self, words, by_uid):
        """[(index, Message)] of the view."""
        if by_uid:
            last = self.view[-1].uid if self.view else 0
            ranges = [tuple(sorted((last if a == b"*" else int(a), last if (b or a) == b"*" else int(b or a))))
                      for a, _, b in (part.partition(b":") for part in words.split(b","))]
            return [(i, m) for i, m in enumerate(self.view) if any(a <= m.uid <= b for a, b in ranges)]
        ranges = [tuple(sorted((len(self.view) if a == b"*" else int(a), len(self.view) if (b or a) == b"*" else int(b or a))))
                  for a, _, b in (part.partition(b":") for part in words.split(b","))]
        if any(b > len(self.view) or a < 1 for a, b in ranges):
            raise Refused("no such number")
        return [(i, m) for i, m in enumerate(self.view) if any(a <= i + 1 <= b for a, b in ranges)]

    async def do_fetch(self, arguments, by_uid=False):
        self.alive()
        words, _, items = arguments.partition(b" ")
        rows = self.chosen(words, by_uid)
        if self.manner.order == "descending":
            rows.reverse()
        elif self.manner.order == "any":
            self.rng.shuffle(rows)
        items = items.strip(b"()").upper()
        refused = False
        for index, message in rows:
            here = self.box.messages.get(message.uid) is message
            if not here and self.manner.ghost != "data":
                refused = True
                continue
            self.row(index, message, items, by_uid)
            pause = self.rng.uniform(0, self.manner.pause) if self.rng.random() < 0.02 else 0
            if pause or len(self.out) > 1 << 16:
                await self.flush(partly=self.storm("drop", 0.01))
                # Others work meanwhile, and this connection is told when it likes. EXISTS only: numbers
                # of rows that are still to come must stay.
                await asyncio.sleep(pause)
                if self.rng.random() < self.manner.tells * 0.1:
                    self.tell_new(True)
        if refused and self.manner.ghost == "no":
            raise Refused("[EXPUNGEISSUED] some are gone")

    async def do_uid_fetch(self, arguments):
        return await self.do_fetch(arguments, True)

    def row(self, index, message, items, by_uid):
        number = index + 1
        values = []
        if by_uid or re.search(rb"\bUID\b", items):
            values.append(b"UID %d" % message.uid)
        if b"FLAGS" in items:
            values.append(b"FLAGS (%s)" % b" ".join(sorted(f.encode() for f in message.flags)))
        if b"RFC822.SIZE" in items:
            values.append(b"RFC822.SIZE %d" % message.announced)
        if b"INTERNALDATE" in items:
            values.append(b"INTERNALDATE " + internaldate(message.date))
        body = re.search(rb"BODY(\.PEEK)?\[\](?:<(\d+)\.(\d+)>)?", items)
        if body and not body.group(1):
            self.server.violation("BODY[] without PEEK sets \\Seen")
        if "CONDSTORE" in self.enabled and b"FLAGS" in items:
            values.append(b"MODSEQ (%d)" % message.modseq)
        self.rng.shuffle(values)
        if self.rng.random() < self.manner.splits and (len(values) > 1 or body):
            uid = b"UID %d" % message.uid
            half = self.rng.randrange(len(values))
            first = [value for value in values[:half] if not value.startswith(b"UID")]
            self.say(b"* %d FETCH (%s)" % (number, b" ".join([uid, *first])))
            values = [uid] + [value for value in values[half:] if not value.startswith(b"UID")]
        if body is None:
            self.say(b"* %d FETCH (%s)" % (number, b" ".join(values)))
            return
        self.say_body(number, message, values, body)

    def say_body(self, number, message, values, body):
        now = time.monotonic()
        if self.rng.random() < self.manner.stumbles and now > message.stumbled + 20:
            message.stumbled = now
            self.server.note(self, "!!", b"stumbles over UID %d" % message.uid)
            if self.rng.random() < 0.5:
                self.say(b"* %d FETCH (%s BODY[] NIL)" % (number, b" ".join(values)))
            return
        data, origin = message.body, b""
        if body.group(2):
            start = int(body.group(2))
            origin = b"<%d>" % start
            past = start >= len(data) and start > 0
            data = data[start:start + int(body.group(3))]
            if past and self.manner.past_end != "literal":
                if self.manner.past_end == "absent":
                    self.say(b"* %d FETCH (%s)" % (number, b" ".join(values)))
                else:
                    text = b"NIL" if self.manner.past_end == "nil" else b'""'
                    self.say(b"* %d FETCH (%s BODY[]%s %s)" % (number, b" ".join(values), origin, text))
                return
        self.say(b"* %d FETCH (%s BODY[]%s {%d}\r\n" % (number, b" ".join(values), origin, len(data)), data)

    async def do_search(self, arguments, by_uid=False):
        self.alive()
        words = arguments.upper()
        extended = re.match(rb"RETURN \(.*?\) ", words)
        if extended:
            words = words[extended.end():]
        found = [(i, m) for i, m in enumerate(self.view)
                 if words == b"ALL" or (words == b"DELETED" and "\\Deleted" in m.flags and self.box.messages.get(m.uid) is m)]
        numbers = [m.uid if by_uid else i + 1 for i, m in found]
        if extended:
            data = b" ALL " + sequence_set(numbers) if numbers else b""
            self.say(b'* ESEARCH (TAG "%s")%s%s' % (self.tag, b" UID" if by_uid else b"", data))
            return
        if self.manner.order != "ascending":
            self.rng.shuffle(numbers)
        self.say(b"* SEARCH" + b"".join(b" %d" % n for n in numbers))

    async def do_uid_search(self, arguments):
        return await self.do_search(arguments, True)

    async def do_uid_store(self, arguments):
        self.alive()
        if not self.writable:
            raise Refused("[READ-ONLY] examined only")
        match = re.match(rb"(\S+) ([-+]?)FLAGS(\.SILENT)? \((.*)\)$", arguments, re.I)
        flags = match.group(4).decode().split()
        for index, message in self.chosen(match.group(1), True):
            if self.box.messages.get(message.uid) is not message:
                continue
            if "\\Seen" in flags:
                self.server.violation(f"\\Seen stored on UID {message.uid} of {self.box.name}")
            if match.group(2) == b"+" and "\\Deleted" in flags and "\\Deleted" not in message.flags and \
                    (self.box, message.uid) not in self.server.asked and not message.theirs:
                self.server.violation(f"\\Deleted stored on UID {message.uid} of {self.box.name}, which nobody removes")
            if match.group(2) == b"+":
                self.server.store(self.box, [message.uid], add=flags)
            else:
                self.server.store(self.box, [message.uid], remove=flags)
            if not match.group(3) or "CONDSTORE" in self.enabled:
                self.say_flags(index, True)

    def expunge(self, messages):
        for message in messages:
            # Without UIDPLUS nothing helps against a mark that another client sets just before EXPUNGE.
            late = not self.has("UIDPLUS") and time.monotonic() < message.marked_at + 1.5
            if (self.box, message.uid) not in self.server.asked and not late:
                self.server.violation(f"UID {message.uid} of {self.box.name} expunged, which nobody removed")
            self.server.expunge(self.box, [message.uid])
            self.server.on_gone(self.box, message.uid)
        self.tell_gone()
        return b"[HIGHESTMODSEQ %d] expunged" % self.box.modseq if "QRESYNC" in self.enabled else b"expunged"

    async def do_uid_expunge(self, arguments):
        if not self.has("UIDPLUS"):
            self.server.violation("UID EXPUNGE without UIDPLUS")
            raise Refused("no")
        self.alive()
        if not self.writable:
            raise Refused("[READ-ONLY] examined only")
        return self.expunge([m for _, m in self.chosen(arguments, True)
                             if self.box.messages.get(m.uid) is m and "\\Deleted" in m.flags])

    async def do_expunge(self, _):
        self.alive()
        if not self.writable:
            raise Refused("[READ-ONLY] examined only")
        return self.expunge([m for m in self.box.messages.values() if "\\Deleted" in m.flags])

    # Mail that the client brings to a mailbox

    async def do_append(self, arguments):
        match = re.match(rb'("(?:[^"\\]|\\.)*"|\S+) (?:\(([^)]*)\) )?(?:"([^"]*)" )?', arguments)
        box = self.target(match.group(1))
        found = bodies.examine(self.literal)
        if found["id"] is None or found["bad"] is not None or self.literal != bodies.make(found["id"], len(self.literal)):
            self.server.violation(f"{len(self.literal)} octets appended to {box.name} that nobody wrote: {self.literal[:80]!r}")
            raise Refused("what is that?")
        words = (match.group(3) or b"").decode()
        date = calendar.timegm(time.strptime(words.strip(), "%d-%b-%Y %H:%M:%S +0000")) if words else int(time.time())
        uid = self.server.add(box, found["id"], len(self.literal), date, (match.group(2) or b"").decode().split())
        self.server.on_new(box, box.messages[uid], None)
        return b"[APPENDUID %d %d] stored" % (box.validity, uid) if self.has("UIDPLUS") else b"stored"

    def target(self, word):
        try:
            return self.find(word)
        except Refused:
            raise Refused("[TRYCREATE] no such mailbox") from None

    def copy(self, arguments):
        """[(Message, its new UID)] and the code."""
        self.alive()
        words, _, name = arguments.partition(b" ")
        box, copied = self.target(name), []
        for _, m in self.chosen(words, True):
            if self.box.messages.get(m.uid) is not m:
                continue
            if (self.box, m.uid) not in self.server.asked_copies:
                self.server.violation(f"UID {m.uid} of {self.box.name} copied to {box.name}, which nobody asked for")
            uid = self.server.add(box, m.identity, m.size, m.date, m.flags, m.announced)
            box.messages[uid].theirs = m.theirs and not m.unmarked
            self.server.on_new(box, box.messages[uid], (self.box, m.uid))
            copied.append((m, uid))
        if not copied or not self.has("UIDPLUS"):
            return copied, b""
        # In the order of the ranges of both.
        return copied, b"[COPYUID %d %s %s] " % (box.validity, sequence_set([m.uid for m, _ in copied]),
                                                 sequence_set([uid for _, uid in copied]))

    async def do_uid_copy(self, arguments):
        return self.copy(arguments)[1] + b"copied"

    async def do_uid_move(self, arguments):
        if not self.has("MOVE"):
            self.server.violation("UID MOVE without MOVE")
            raise Refused("no")
        if not self.writable:
            raise Refused("[READ-ONLY] examined only")
        copied, code = self.copy(arguments)
        if code:
            self.say(b"* OK " + code + b"moved")
        for message, _ in copied:
            self.server.expunge(self.box, [message.uid])
            self.server.on_gone(self.box, message.uid)
        self.tell_gone()
        return b"moved"

    # Mailboxes that the client makes, deletes and renames

    def new_name(self, word):
        name = utf7_decode(unquote(word)).rstrip(self.manner.delimiter)
        if name in self.server.boxes or name.upper() == "INBOX":
            raise Refused("[ALREADYEXISTS] there is one")
        return name

    async def do_create(self, arguments):
        name = self.new_name(arguments)
        self.server.create(name)
        self.server.on_names("CREATE", name, None)

    async def do_delete(self, arguments):
        box = self.find(arguments)
        if box.name == "INBOX":
            raise Refused("[CANNOT] never")
        if box.messages:
            self.server.violation(f"{box.name} deleted with {len(box.messages)} messages in it")
        self.server.delete(box.name)
        self.server.on_names("DELETE", box.name, None)

    async def do_rename(self, arguments):
        old, new = re.match(rb'("(?:[^"\\]|\\.)*"|\S+) (.*)$', arguments).groups()
        box, name = self.find(old), self.new_name(new)
        if box.name == "INBOX" or name.startswith(box.name + self.manner.delimiter):
            raise Refused("[CANNOT] never")
        self.server.on_names("RENAME", box.name, name)
        self.server.rename(box.name, name)

    async def do_subscribe(self, _):
        pass

    do_unsubscribe = do_subscribe


def unquote(word):
    word = word.strip()
    if word.startswith(b'"'):
        return re.sub(rb"\\(.)", rb"\1", word[1:-1])
    return word
