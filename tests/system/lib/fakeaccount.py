# SPDX-License-Identifier: MIT
"""The account behind fakeimap.py: mailboxes in memory, and the words of the protocol.

Threads of several sessions use an account; whoever reads or changes it holds Account.lock.
"""
import re
import threading

SYSTEM_FLAGS = b"\\Answered \\Flagged \\Deleted \\Seen \\Draft"
DATE = b"17-Jul-2023 12:30:05 +0200"


class Message:
    """One message. body: octets, as the server sends them."""

    def __init__(self, body, uid=None, flags=(), date=DATE):
        self.body, self.uid, self.date = body, uid, date
        self.flags = set(as_bytes(flag) for flag in flags)
        self.modseq = 1


class Mailbox:
    """One mailbox. Messages without a UID take the next. attributes are those of LIST."""

    def __init__(self, messages=(), *, uidvalidity=1700000000, uidnext=1, attributes=(),
                 subscribed=True, read_only=False, rights="lrswipkxte"):
        self.messages, self.uidvalidity, self.uidnext = [], uidvalidity, uidnext
        self.attributes = [as_bytes(a) for a in attributes]
        self.subscribed, self.read_only, self.rights = subscribed, read_only, rights
        self.modseq, self.vanished = 1, []  # (mod-sequence, UID)
        self.flag_changes = []  # (message, session that knows already)
        for message in messages:
            self.add(message)

    @property
    def selectable(self):
        return not {b"\\noselect", b"\\nonexistent"} & {a.lower() for a in self.attributes}

    def add(self, message):
        if not isinstance(message, Message):
            message = Message(message)
        if message.uid is None:
            message.uid = self.uidnext
        if message.uid < self.uidnext and self.messages:
            raise ValueError(f"UID {message.uid} is not ascending")
        self.uidnext = max(self.uidnext, message.uid + 1)
        self.messages.append(message)
        self.modseq += 1
        message.modseq = self.modseq
        return message

    def find(self, uid):
        return next((m for m in self.messages if m.uid == uid), None)

    def expunge(self, uids):
        uids = set(uids)
        self.modseq += 1
        self.vanished += [(self.modseq, m.uid) for m in self.messages if m.uid in uids]
        self.messages = [m for m in self.messages if m.uid not in uids]

    def set_flags(self, message, flags, session=None):
        if flags != message.flags:
            message.flags = flags
            self.modseq += 1
            message.modseq = self.modseq
            self.flag_changes.append((message, session))


class Account:
    def __init__(self, mailboxes, delimiter):
        self.lock = threading.RLock()
        self.delimiter = delimiter
        self.mailboxes = {}
        self.made = 0           # by CREATE
        for name, mailbox in (mailboxes or {"INBOX": []}).items():
            if not isinstance(mailbox, Mailbox):
                mailbox = Mailbox(mailbox)
            self.mailboxes[as_bytes(name)] = mailbox

    def find(self, name):
        """The mailbox of that name, INBOX in any case."""
        name = as_bytes(name)
        if name.upper() == b"INBOX":
            name = next((n for n in self.mailboxes if n.upper() == b"INBOX"), name)
        return self.mailboxes.get(name)

    def below(self, name):
        """The names of what is below a mailbox."""
        return [n for n in self.mailboxes if self.delimiter and n.startswith(name + self.delimiter)]

    def create(self, name):
        name = name.removesuffix(self.delimiter) if self.delimiter else name
        old = self.find(name)
        if old and old.selectable:
            return b"NO [ALREADYEXISTS] there is one"
        self.made += 1
        self.mailboxes[name] = Mailbox(uidvalidity=1800000000 + self.made, subscribed=False)
        return b"OK made"

    def delete(self, name):
        mailbox = self.find(name)
        if not mailbox:
            return b"NO [NONEXISTENT] no such mailbox"
        if name.upper() == b"INBOX" or (self.below(name) and not mailbox.selectable):
            return b"NO [CANNOT] it stays"
        del self.mailboxes[name]
        if self.below(name):
            self.mailboxes[name] = Mailbox(attributes=[b"\\Noselect"])
        return b"OK deleted"

    def rename(self, old, new):
        if self.find(new):
            return b"NO [ALREADYEXISTS] there is one"
        moved = [old] * bool(self.find(old)) + self.below(old)
        if not moved:
            return b"NO [NONEXISTENT] no such mailbox"
        for name in moved:
            self.mailboxes[new + name[len(old):]] = self.mailboxes.pop(name)
        return b"OK renamed"

    def matching(self, reference, patterns, mailboxes=None):
        """(name, mailbox) of those that LIST shows, in the order they were given; of all, or of these."""
        delimiter = re.escape(self.delimiter or b"")
        single = b"[^" + delimiter + b"]*" if delimiter else b".*"
        wanted = []
        for pattern in patterns:
            text = re.escape(reference + pattern).replace(rb"\*", b".*")
            wanted.append(re.compile(text.replace(b"%", single), re.DOTALL))
        return [(name, box) for name, box in (self.mailboxes if mailboxes is None else mailboxes).items()
                if any(p.fullmatch(name) for p in wanted)]


def as_bytes(text):
    return text if isinstance(text, bytes) else str(text).encode()


def quote(text):
    """A quoted string, or a literal where that cannot hold it."""
    if any(c in b"\r\n\0" or c >= 0x80 for c in text):
        return literal(text)
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def literal(text, delta=0):
    return b"{%d}\r\n" % (len(text) + delta) + text


class SyntaxFault(Exception):
    """A command that the parser does not understand: BAD."""


class Text(bytes):
    """A quoted string or literal, as opposed to an atom."""


TOKEN = re.compile(rb'\s*(?:(?P<open>\()|(?P<close>\))|"(?P<quoted>(?:[^"\\\r\n]|\\.)*)"|'
                   rb'(?P<literal>\x00(?P<index>\d+)\x00)|'
                   rb'(?P<atom>(?:[^\s()"\[\x00]|\[[^\]]*\])+))')


def parse(pieces):
    """The arguments of a command as nested lists of bytes. pieces: text, literal, text, literal ...

    Literals are stood in for by NUL, index, NUL, which cannot come in text."""
    source = b""
    for index, piece in enumerate(pieces):
        if index % 2:
            source += b"\0%d\0" % index
        elif b"\0" in piece:
            raise SyntaxFault("NUL")
        else:
            source += piece
    source = source.strip()
    stack, position = [[]], 0
    while position < len(source):
        match = TOKEN.match(source, position)
        if not match:
            raise SyntaxFault(f"at {source[position:position + 20]!r}")
        position = match.end()
        if match["open"]:
            stack.append([])
        elif match["close"]:
            if len(stack) < 2:
                raise SyntaxFault("parenthesis")
            last = stack.pop()
            stack[-1].append(last)
        elif match["index"]:
            stack[-1].append(Text(pieces[int(match["index"])]))
        elif match["quoted"] is not None:
            stack[-1].append(Text(re.sub(rb"\\(.)", rb"\1", match["quoted"])))
        else:
            stack[-1].append(match["atom"])
    if len(stack) != 1:
        raise SyntaxFault("parenthesis")
    return stack[0]


SET = re.compile(rb"(\d+|\*)(:(\d+|\*))?(,(\d+|\*)(:(\d+|\*))?)*")


def parse_set(text, largest):
    """A sequence set as a list of (low, high)."""
    if not SET.fullmatch(text):
        raise SyntaxFault("sequence set")
    ranges = []
    for part in text.split(b","):
        ends = [largest if e == b"*" else int(e) for e in part.split(b":")]
        ranges.append((min(ends), max(ends)))
    return ranges


def in_set(number, ranges):
    return any(low <= number <= high for low, high in ranges)


def format_set(numbers):
    """Ascending numbers as a sequence set."""
    parts = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return b",".join(b"%d" % a if a == b else b"%d:%d" % (a, b) for a, b in parts)
