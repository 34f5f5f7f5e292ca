# SPDX-License-Identifier: MIT
"""A small IMAP client that shares nothing with imapfs, to ask a server for the truth.

Strict where it matters (literals are read by their count, an untagged BYE or a NO raises) and
indifferent elsewhere. Mailbox names are str; on the wire modified UTF-7. Responses are parsed into
lists: atoms and strings are bytes, NIL is None, parentheses are nested lists.
"""
import base64
import calendar
import re
import socket
import ssl
import time

TIMEOUT_SECONDS = 60
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


class ImapError(Exception):
    """The server refused, or spoke nonsense."""


def seconds(internaldate):
    """The time of an INTERNALDATE such as "17-Jul-1996 02:44:25 -0700"."""
    match = re.fullmatch(r" ?(\d+)-(\w+)-(\d+) (\d+):(\d+):(\d+) ([+-])(\d\d)(\d\d)", internaldate)
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = match.groups()
    utc = calendar.timegm((int(year), MONTHS.index(month) + 1, int(day), int(hour), int(minute),
                           int(second)))
    zone = int(zone_hours) * 3600 + int(zone_minutes) * 60
    return utc - zone if sign == "+" else utc + zone


def utf7_encode(name):
    """A mailbox name in modified UTF-7 (RFC 3501, 5.1.3)."""
    def encode(match):
        text = match.group()
        if text == "&":
            return "&-"
        data = base64.b64encode(text.encode("utf-16-be")).rstrip(b"=").replace(b"/", b",")
        return f"&{data.decode()}-"
    return re.sub(r"&|[^ -~]+", encode, name)


def utf7_decode(name):
    """The reverse; names that are not valid come back with surrogates of their octets."""
    def decode(match):
        data = match.group(1)
        if not data:
            return "&"
        data = data.replace(",", "/")
        return base64.b64decode(data + "=" * (-len(data) % 4)).decode("utf-16-be")
    text = name.decode("utf-8", "surrogateescape")
    try:
        return re.sub(r"&([A-Za-z0-9+,]*)-", decode, text)
    except (ValueError, UnicodeDecodeError):
        return text


def quote(text):
    data = text if isinstance(text, bytes) else text.encode()
    return b'"' + data.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def internaldate(seconds):
    """A date-time for APPEND, in UTC, independent of the locale."""
    months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
    t = time.gmtime(seconds)
    return (f'"{t.tm_mday:2d}-{months[t.tm_mon - 1]}-{t.tm_year:04d} '
            f'{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} +0000"').encode()


def sequence_set(uids):
    """Numbers in ascending order as a set: 1:3,7."""
    ranges = []
    for uid in sorted(uids):
        if ranges and uid == ranges[-1][1] + 1:
            ranges[-1][1] = uid
        else:
            ranges.append([uid, uid])
    return ",".join(str(a) if a == b else f"{a}:{b}" for a, b in ranges).encode()


TOKEN = re.compile(rb'\(|\)|"((?:[^"\\]|\\.)*)"|[^\s()"\[]*\[[^\]]*\][^\s()]*|[^\s()"]+')


def parse(parts):
    """Parses a response: octets and literals take turns in parts, literals at the odd places."""
    stack = [[]]
    for index, part in enumerate(parts):
        if index % 2:
            stack[-1].append(part)
            continue
        for match in TOKEN.finditer(part):
            token = match.group()
            if token == b"(":
                stack.append([])
            elif token == b")":
                if len(stack) < 2:
                    raise ImapError(f"stray parenthesis: {part!r}")
                done = stack.pop()
                stack[-1].append(done)
            elif match.group(1) is not None:
                stack[-1].append(re.sub(rb"\\(.)", rb"\1", match.group(1)))
            else:
                stack[-1].append(None if token.upper() == b"NIL" else token)
    if len(stack) != 1:
        raise ImapError(f"open parenthesis: {parts[0][:200]!r}")
    return stack[0]


class Connection:
    """One connection; a context manager that logs out."""

    def __init__(self, host, port, ca_file=None, timeout=TIMEOUT_SECONDS):
        self.socket = socket.create_connection((host, port), timeout)
        try:
            if ca_file is not None:
                self._start_tls(host, ca_file)
            self.file = self.socket.makefile("rb", 1 << 16)
            self.tag = 0
            self.greeting = self.read_response()
        except BaseException:
            self.socket.close()
            raise

    def _start_tls(self, host, ca_file):
        context = ssl.create_default_context(cafile=ca_file)
        self.socket = context.wrap_socket(self.socket, server_hostname=host)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.socket.sendall(b"bye LOGOUT\r\n")
            while self.file.read(1 << 16):
                pass
        except OSError:
            pass
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def read_response(self):
        """One response as octets and literals in turn; the markers {n} are left out."""
        parts = []
        while True:
            line = self.file.readline()
            if not line.endswith(b"\r\n"):
                raise ImapError(f"connection ended in the middle: {line[-200:]!r}")
            line = line[:-2]
            marker = re.search(rb"~?\{(\d+)\}$", line)
            if marker is None:
                parts.append(line)
                return parts
            parts.append(line[:marker.start()])
            size = int(marker.group(1))
            literal = self.file.read(size)
            if len(literal) != size:
                raise ImapError("connection ended in a literal")
            parts.append(literal)

    def send(self, command):
        """Sends a command and returns its tag."""
        self.tag += 1
        tag = b"r%d" % self.tag
        self.socket.sendall(tag + b" " + command + b"\r\n")
        return tag

    def responses(self, tag):
        """The untagged responses until the tagged one, which must be OK."""
        while True:
            parts = self.read_response()
            if parts[0].startswith(tag + b" "):
                self.result = parts[0][len(tag) + 1:]
                if not self.result.upper().startswith(b"OK"):
                    raise ImapError(self.result.decode(errors="replace"))
                return
            if parts[0].upper().startswith(b"* BYE"):
                raise ImapError(parts[0].decode(errors="replace"))
            yield parts

    def command(self, command):
        """Runs a command and returns its untagged responses, unparsed."""
        return list(self.responses(self.send(command)))

    def login(self, user, password):
        self.command(b"LOGIN " + quote(user) + b" " + quote(password))

    def capabilities(self):
        for parts in self.command(b"CAPABILITY"):
            if parts[0].startswith(b"* CAPABILITY "):
                return parts[0].decode().split()[2:]
        raise ImapError("no CAPABILITY")

    def select(self, mailbox, verb=b"SELECT"):
        """Returns the response codes: {"UIDVALIDITY": ..., "UIDNEXT": ..., "EXISTS": ...}."""
        found = {}
        for parts in self.command(verb + b" " + quote(utf7_encode(mailbox))):
            code = re.match(rb"\* OK \[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ) (\d+)\]", parts[0])
            if code:
                found[code.group(1).decode()] = int(code.group(2))
            exists = re.match(rb"\* (\d+) EXISTS", parts[0])
            if exists:
                found["EXISTS"] = int(exists.group(1))
        return found

    def examine(self, mailbox):
        """select() that cannot change anything."""
        return self.select(mailbox, b"EXAMINE")

    def fetch(self, what, uids=b"1:*"):
        """Yields (uid, {ITEM: value}) for each message."""
        tag = self.send(b"UID FETCH " + uids + b" (UID " + what + b")")
        for parts in self.responses(tag):
            if not re.match(rb"\* \d+ FETCH \(", parts[0]):
                continue
            items = parse(parts)[3]
            row = {items[i].decode().upper(): items[i + 1] for i in range(0, len(items), 2)}
            if "UID" in row:
                yield int(row["UID"]), row

    def fetch_bodies(self, uids=b"1:*"):
        """{uid: octets}, as the server sends them."""
        bodies = {}
        for uid, row in self.fetch(b"BODY.PEEK[]", uids):
            if "BODY[]" in row:
                bodies[uid] = row["BODY[]"]
        return bodies

    def uids(self):
        for parts in self.command(b"UID SEARCH ALL"):
            if parts[0].startswith(b"* SEARCH"):
                return [int(word) for word in parts[0].split()[2:]]
        raise ImapError("no SEARCH")

    def flags(self):
        return {uid: frozenset(flag.decode() for flag in row["FLAGS"] if flag.lower() != b"\\recent")
                for uid, row in self.fetch(b"FLAGS")}

    def sizes(self):
        return {uid: int(row["RFC822.SIZE"]) for uid, row in self.fetch(b"RFC822.SIZE")}

    def dates(self):
        """{uid: the text of INTERNALDATE}"""
        return {uid: row["INTERNALDATE"].decode() for uid, row in self.fetch(b"INTERNALDATE")}

    def list(self):
        """{mailbox: set of attributes in lower case}"""
        found = {}
        for parts in self.command(b'LIST "" "*"'):
            words = parse(parts)
            if words[1].upper() == b"LIST":
                found[utf7_decode(words[4])] = {word.decode().lower() for word in words[2]}
        return found

    def status(self, mailbox):
        """{"MESSAGES": ..., "UIDNEXT": ..., "UIDVALIDITY": ...}, or None where there is none."""
        try:
            answers = self.command(b"STATUS " + quote(utf7_encode(mailbox)) +
                                   b" (MESSAGES UIDNEXT UIDVALIDITY)")
        except ImapError:
            return None
        items = parse(answers[-1])[3]
        return {items[i].decode(): int(items[i + 1]) for i in range(0, len(items), 2)}

    def create(self, mailbox):
        self.command(b"CREATE " + quote(utf7_encode(mailbox)))

    def delete(self, mailbox):
        self.command(b"DELETE " + quote(utf7_encode(mailbox)))

    def rename(self, old, new):
        self.command(b"RENAME " + quote(utf7_encode(old)) + b" " + quote(utf7_encode(new)))

    def store(self, uids, change, flags):
        self.command(b"UID STORE " + sequence_set(uids) + b" " + change.encode() +
                     b"FLAGS.SILENT (" + " ".join(flags).encode() + b")")

    def uid_expunge(self, uids):
        self.command(b"UID EXPUNGE " + sequence_set(uids))

    def move(self, uids, target):
        self.command(b"UID MOVE " + sequence_set(uids) + b" " + quote(utf7_encode(target)))

    def append(self, mailbox, mails):
        """Appends all, in one command where the server can (MULTIAPPEND, LITERAL+), and returns their
        UIDs. A mail has body, flags and date, seconds since 1970 or None."""
        if not mails:
            return []
        if not {"MULTIAPPEND", "LITERAL+"} <= set(self.capabilities()):
            return [uid for mail in mails for uid in self._append_one(mailbox, mail)]
        pieces = [b"APPEND " + quote(utf7_encode(mailbox))]
        for mail in mails:
            # NUL is allowed in literal8 only.
            marker = b"~{%d+}\r\n" if b"\0" in mail.body else b"{%d+}\r\n"
            pieces.append(b" " + self._attributes(mail) + marker % len(mail.body))
            pieces.append(mail.body)
        self.command(b"".join(pieces))
        return self._appended()

    def _append_one(self, mailbox, mail):
        tag = self.send(b"APPEND " + quote(utf7_encode(mailbox)) + b" " + self._attributes(mail) +
                        b"{%d}" % len(mail.body))
        answer = self.read_response()[0]
        if not answer.startswith(b"+"):
            raise ImapError(answer.decode(errors="replace"))
        self.socket.sendall(mail.body + b"\r\n")
        for _ in self.responses(tag):
            pass
        return self._appended()

    @staticmethod
    def _attributes(mail):
        date = b"" if mail.date is None else internaldate(mail.date) + b" "
        return b"(" + " ".join(mail.flags).encode() + b") " + date

    def _appended(self):
        code = re.search(rb"\[APPENDUID \d+ ([\d:,]+)\]", self.result)
        uids = []
        for word in code.group(1).split(b",") if code else []:
            first, _, last = word.partition(b":")
            uids += range(int(first), int(last or first) + 1)
        return uids


def answers(port, seconds, ca_file=None):
    """True when a login process on this machine answers; a bare connect succeeds before that."""
    try:
        Connection("127.0.0.1", port, timeout=seconds, ca_file=ca_file).close()
        return True
    except (OSError, ImapError):
        return False
