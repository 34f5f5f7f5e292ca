#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Messages made at random, as mime/, Python's email package and GMime read them: oracle.py MIMEDUMP

The maker knows what each part holds, so they are compared with that, too: octets, names, sections,
subjects, addresses and the text that is shown. Each message is made from a seed, which is told where
they disagree. GMime is left out where it is not installed (gir1.2-gmime-3.0, python3-gi).
"""
import base64
import email
import email.header
import email.utils
import quopri
import random
import os
import subprocess
import sys

try:
    import gi
    gi.require_version("GMime", "3.0")
    from gi.repository import GMime
    GMime.init()
except (ImportError, ValueError):
    GMime = None

MESSAGES = 400
CHARSETS = ("utf-8", "iso-8859-15", "koi8-r", "iso-2022-jp", "shift_jis", "gb18030", "windows-1252", "utf-16le")
ALPHABETS = {"utf-8": "aäß€ш日😀", "iso-8859-15": "aäß€é", "koi8-r": "aПривет", "iso-2022-jp": "aこん日本",
             "shift_jis": "aこん日本", "gb18030": "a你好日", "windows-1252": "aä€„“", "utf-16le": "aäш日😀"}
TYPES = ("image/png", "application/pdf", "application/octet-stream", "audio/mpeg")


class Maker:
    """One message. parts: section -> (octets, name or None); texts: what is shown, in its order."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.parts = {}
        self.texts = []
        self.boundaries = 0
        self.beyond_others = set()  # names

    def text(self, charset, most=60):
        letters = ALPHABETS[charset] + "bcd  "
        lines = ["".join(self.random.choice(letters) for _ in range(self.random.randrange(1, most))).strip() or "x"
                 for _ in range(self.random.randrange(1, 5))]
        # Soft: a text of no octets that are not ASCII could be of any charset.
        return "\n".join(lines) + "\nend " + ALPHABETS[charset][-1] + "\n"

    def encode(self, octets):
        """Transfer encoding, and the octets in it."""
        kind = self.random.choice(("base64", "quoted-printable"))
        if kind == "base64":
            return kind, base64.encodebytes(octets).replace(b"\n", b"\r\n")
        return kind, quopri.encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")

    def word(self, text):
        """A text for a header field, encoded in one of the ways."""
        charset = self.random.choice(("utf-8", "utf-8", "iso-2022-jp"))
        try:
            return email.header.Header(text, charset, maxlinelen=self.random.choice((40, 76))).encode(linesep="\r\n")
        except UnicodeEncodeError:
            return email.header.Header(text, "utf-8").encode(linesep="\r\n")

    def name(self):
        """A file's name; the parameter as it stands in the header, and as pairs, as IMAP gives them."""
        stem = "".join(self.random.choice("abcäß日 ") for _ in range(self.random.randrange(1, 12))).strip() or "n"
        name = f"{stem}-{self.random.randrange(10**6)}.{self.random.choice(('pdf', 'txt', 'tar.gz'))}"
        kind = self.random.randrange(3)
        if kind == 0:
            value = email.header.Header(name, "utf-8", maxlinelen=1000).encode()
            return name, f'name="{value}"', [("name", value)]
        value = email.utils.encode_rfc2231(name, "utf-8")
        if kind == 1:
            return name, f"name*={value}", [("name*", value)]
        # Also in the midst of an escape or of the charset, which others then do not decode.
        cut = self.random.randrange(len(value))
        self.beyond_others |= {name} if cut < len("utf-8''") or "%" in value[max(cut - 2, 0):cut] else set()
        pairs = [("name*0*", value[:cut]), ("name*1*", value[cut:])]
        return name, ";\r\n ".join(f"{key}={part}" for key, part in pairs), pairs

    def leaf(self, section, shown):
        """The octets of a part with its header, and its structure."""
        if self.random.random() < 0.5:
            charset = self.random.choice(CHARSETS)
            text = self.text(charset)
            octets = text.replace("\n", "\r\n").encode(charset)
            if shown:
                self.texts.append(text)
            # Octets that are no text must not have their line ends changed.
            kind, body = ("base64", base64.encodebytes(octets).replace(b"\n", b"\r\n")) \
                if charset == "utf-16le" else self.encode(octets)
            self.parts[section] = (octets, None)
            head = f"Content-Type: text/plain; charset={charset}"
            structure = f'("text" "plain" ("charset" "{charset}") NIL NIL "{kind}" {len(body)} 1)'
        else:
            mime = self.random.choice(TYPES)
            octets = self.random.randbytes(self.random.randrange(200))
            name, parameter, pairs = self.name()
            kind, body = "base64", base64.encodebytes(octets).replace(b"\n", b"\r\n")
            self.parts[section] = (octets, name)
            head = f"Content-Type: {mime};\r\n {parameter}"
            listed = " ".join(f'"{key}" "{value}"' for key, value in pairs)
            main, sub = mime.split("/")
            structure = f'("{main}" "{sub}" ({listed}) NIL NIL "{kind}" {len(body)})'
        head += f"\r\nContent-Transfer-Encoding: {kind}\r\n\r\n"
        return head.encode() + body, structure

    def multipart(self, section, depth, shown):
        boundary = f"b{self.boundaries}" * self.random.randrange(1, 9)
        self.boundaries += 1
        octets = f"Content-Type: multipart/mixed; boundary={boundary}\r\n\r\npreamble\r\n".encode()
        structures = []
        for number in range(1, self.random.randrange(2, 5)):
            inner = f"{section}.{number}" if section else str(number)
            part, structure = self.part(inner, depth + 1, shown)
            octets += f"--{boundary}\r\n".encode() + part + b"\r\n"
            structures.append(structure)
        octets += f"--{boundary}--\r\n".encode() + self.random.choice((b"", b"epilogue\r\n"))
        return octets, f'({"".join(structures)} "mixed" ("boundary" "{boundary}"))'

    def message(self, section, depth):
        if self.random.random() < 0.5:
            inner, structure = self.multipart(section, depth + 1, False)
        else:
            inner, structure = self.leaf(section + ".1", False)
        inner = b"Subject: attached\r\n" + inner
        self.parts[section] = (inner, None)
        octets = b"Content-Type: message/rfc822\r\n\r\n" + inner
        return octets, f'("message" "rfc822" NIL NIL NIL "7bit" {len(inner)} (NIL) {structure} 1)'

    def part(self, section, depth, shown):
        chance = self.random.random()
        if depth < 4 and chance < 0.25:
            return self.multipart(section, depth, shown)
        if depth < 4 and chance < 0.4:
            return self.message(section, depth)
        return self.leaf(section, shown)

    def make(self):
        self.subject = self.text("utf-8", 30).replace("\n", " ").strip()
        person = "".join(self.random.choice("Anaäß日 ") for _ in range(8)).strip() or "A"
        self.people = [(person, "anna@example.org"), ("Berg, B.", "b@example.org"), ("", "c@example.org")]
        head = f"From: {self.word(person)} <anna@example.org>,\r\n \"Berg, B.\" <b@example.org>, c@example.org\r\n"
        head += f"Subject: {self.word(self.subject)}\r\nMIME-Version: 1.0\r\n"
        if self.random.random() < 0.7:
            body, structure = self.multipart("", 0, True)
        else:
            body, structure = self.leaf("1", True)
        return structure.encode(), head.encode() + body


def read_dump(data):
    """Of each message a dictionary of what mimedump printed."""
    found, position, messages = {}, 0, []
    while position < len(data):
        end = data.index(b"\n", position)
        key, octets = data[position:end].decode().rsplit(" ", 1)
        found[key] = data[end + 1:end + 1 + int(octets)]
        position = end + 2 + int(octets)
        if key == "end":
            messages.append(found)
            found = {}
    return messages


def python_parts(part, section, top):
    """(section, part) of all leaves and messages, as Python's email package sees them."""
    if part.get_content_maintype() == "multipart":
        for number, inner in enumerate(part.get_payload(), 1):
            yield from python_parts(inner, f"{section}.{number}" if section else str(number), False)
        return
    if top:
        section = f"{section}.1" if section else "1"
    yield section, part
    if part.get_content_type() == "message/rfc822":
        yield from python_parts(part.get_payload(0), section, True)


def gmime_parts(part, section, top):
    """The same as GMime sees them."""
    if isinstance(part, GMime.Multipart):
        for number in range(1, part.get_count() + 1):
            inner = f"{section}.{number}" if section else str(number)
            yield from gmime_parts(part.get_part(number - 1), inner, False)
        return
    if top:
        section = f"{section}.1" if section else "1"
    yield section, part
    if isinstance(part, GMime.MessagePart):
        yield from gmime_parts(part.get_message().get_mime_part(), section, True)


def gmime_octets(part):
    stream = GMime.StreamMem.new()
    content = part.get_content()
    if content:
        content.write_to_stream(stream)
    return bytes(stream.get_byte_array())


def decode(text):
    return str(email.header.make_header(email.header.decode_header(text)))


def squeeze(text):
    return " ".join(text.split())


def same(what, got, *others):
    for other in others:
        if got != other:
            yield f"{what}: mime {got!r}, else {other!r}"


def check_gmime(maker, message, dump):
    """The differences of one message from what GMime makes of it."""
    parsed = GMime.Parser.new_with_stream(GMime.StreamMem.new_with_buffer(message)).construct_message(None)
    theirs = dict(gmime_parts(parsed.get_mime_part(), "", True))
    yield from same("sections, GMime", [key[5:] for key in dump if key.startswith("part ")], list(theirs))
    for section, (_, name) in maker.parts.items():
        if isinstance(theirs.get(section), GMime.Part):
            yield from same(f"octets of {section}, GMime", dump[f"part {section}"], gmime_octets(theirs[section]))
            if name and name not in maker.beyond_others:
                yield from same(f"name of {section}, GMime", dump[f"name {section}"].decode(),
                                theirs[section].get_filename())
    # Subjects are not compared: it loses what stands behind a word in base64 with padding.


def check(maker, message, dump):
    """The differences of one message."""
    parsed = email.message_from_bytes(message)
    theirs = dict(python_parts(parsed, "", True))
    sections = [key[5:] for key in dump if key.startswith("part ")]
    yield from same("sections", sections, list(theirs), sorted(maker.parts, key=sections.index))
    for section, (octets, name) in maker.parts.items():
        yield from same(f"octets of {section}", dump[f"part {section}"], octets)
        if not theirs[section].is_multipart():
            yield from same(f"octets of {section}", dump[f"part {section}"], theirs[section].get_payload(decode=True))
        if name:
            python_name = decode(email.utils.collapse_rfc2231_value(theirs[section].get_filename()))
            yield from same(f"name of {section}", dump[f"name {section}"].decode(), name,
                            name if name in maker.beyond_others else python_name)
    yield from same("subject", squeeze(dump["subject"].decode()), squeeze(maker.subject),
                    squeeze(decode(parsed["subject"])))
    people = [tuple(line.split("\t")) for line in dump["from"].decode().splitlines()]
    python_people = [(decode(name), mailbox) for name, mailbox in email.utils.getaddresses([parsed["from"]])]
    yield from same("addresses", [(squeeze(name), mailbox) for name, mailbox in people],
                    [(squeeze(name), mailbox) for name, mailbox in maker.people],
                    [(squeeze(name), mailbox) for name, mailbox in python_people])
    text = dump["text"].decode().split("\n\n", 1)[1]
    yield from same("text", text, "\n".join(maker.texts))


def main():
    makers = [Maker(seed) for seed in range(MESSAGES)]
    messages = [maker.make() for maker in makers]
    records = b"".join(b"%d %d\n%s%s" % (len(structure), len(message), structure, message)
                       for structure, message in messages)
    # A program for another processor is run by what meson names.
    command = [*os.environ.get("MESON_EXE_WRAPPER", "").split(), sys.argv[1]]
    output = subprocess.run(command, input=records, stdout=subprocess.PIPE, check=True).stdout
    dumps = read_dump(output)
    if len(dumps) != MESSAGES:
        return f"{len(dumps)} of {MESSAGES} messages came back"
    differences = []
    for seed, (maker, (_, message), dump) in enumerate(zip(makers, messages, dumps)):
        if "text" not in dump:
            differences.append(f"seed {seed}: {list(dump)}")
        else:
            found = list(check(maker, message, dump))
            if GMime:
                found += check_gmime(maker, message, dump)
            differences += [f"seed {seed}: {difference}" for difference in found]
    for difference in differences[:20]:
        print(difference)
    print(f"{MESSAGES} messages, {sum(len(maker.parts) for maker in makers)} parts, {len(differences)} differences,"
          f" {'with' if GMime else 'without'} GMime")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
