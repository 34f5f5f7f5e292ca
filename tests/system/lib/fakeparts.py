# SPDX-License-Identifier: MIT
"""The parts of a message as a server tells them: BODYSTRUCTURE, and the octets of BODY[section].

    section(b"...", "2.MIME"), bodystructure(b"...")
"""
import email.message
import email.parser
import email.policy
import functools
import re


class Part:
    """A message, or a part of one: its header with the empty line, and its body, octet for octet. What is in it is
    looked at when it is asked for: messages may be large, and deep. As to Dovecot a multipart without a boundary is one
    part, and one in which its boundary is not found has one that is empty."""

    def __init__(self, octets, is_message=True, default="text/plain"):
        found = re.search(rb"(?:\A|\r\n)\r\n", octets)
        end = found.end() if found else len(octets)
        self.header, self.body = octets[:end], octets[end:]
        self.is_message, self.default = is_message, default

    @functools.cached_property
    def fields(self):
        fields = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(self.header, headersonly=True)
        fields.set_default_type(self.default)
        return fields

    @functools.cached_property
    def parts(self):
        if self.fields.get_content_maintype() != "multipart" or not self.fields.get_boundary():
            return []
        inner = "message/rfc822" if self.fields.get_content_subtype() == "digest" else "text/plain"
        return [Part(one, False, inner) for one in self.split(self.fields.get_boundary().encode())]

    @functools.cached_property
    def message(self):
        return Part(self.body) if not self.parts and self.fields.get_content_type() == "message/rfc822" else None

    def split(self, boundary):
        line = rb"(?:\A|\r\n)--" + re.escape(boundary)
        body = re.split(line + rb"--[ \t]*(?:\r\n|\Z)", self.body)[0]
        return re.split(line + rb"[ \t]*\r\n", b"\r\n" + body)[1:] or [b""]

    def find(self, numbers):
        """The part of these numbers; in a message that is no multipart 1 is the message itself."""
        if not numbers:
            return self
        around = self.message or self
        if around.parts:
            return around.parts[numbers[0] - 1].find(numbers[1:])
        if numbers[0] != 1 or around is not self and len(numbers) > 1:
            raise IndexError("no such part")
        return around if not numbers[1:] else around.find(numbers[1:])


def section(octets, name):
    """What BODY[name] is; IndexError: there is no such part."""
    match = re.fullmatch(r"(?i)((?:\d+\.?)*)(HEADER\.FIELDS \((.*)\)|HEADER|TEXT|MIME|)", name)
    if not match:
        raise IndexError("no section")
    numbers = [int(n) for n in match[1].split(".") if n]
    part, what = Part(octets).find(numbers), match[2].upper()
    if what == "MIME":
        return part.header
    if what in ("HEADER", "TEXT"):
        around = (part.message or part) if numbers else part
        return around.header if what == "HEADER" else around.body
    if what:
        return some_fields(part.header, match[3].upper().split())
    return part.body if numbers else octets


def some_fields(header, names):
    fields = re.findall(rb"[^\r\n]+\r\n(?:[ \t][^\r\n]*\r\n)*", header)
    return b"".join(f for f in fields if f.split(b":")[0].strip().upper().decode("latin-1") in names) + b"\r\n"


def quote(value):
    if value is None:
        return b"NIL"
    octets = value.encode() if isinstance(value, str) else value
    if re.search(rb"[^ -~]", octets):
        return b"{%d}\r\n%s" % (len(octets), octets)
    return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def pairs(params):
    rest = [quote(p) for pair in params for p in pair]
    return b"(" + b" ".join(rest) + b")" if rest else b"NIL"


def parameters(fields, name):
    """As they stand there, not decoded."""
    found = fields.get_params(header=name, unquote=True, failobj=[])
    return [(key, value if isinstance(value, str) else "%s'%s'%s" % value) for key, value in found]


def structure(part):
    fields = part.fields
    kind = parameters(fields, "content-type")[1:]
    placed = parameters(fields, "content-disposition")
    placed = b"(" + quote(placed[0][0]) + b" " + pairs(placed[1:]) + b")" if placed else b"NIL"
    if part.parts:
        rest = [quote(fields.get_content_subtype()), pairs(kind), placed, b"NIL", b"NIL"]
        return b"(" + b"".join(structure(p) for p in part.parts) + b" " + b" ".join(rest) + b")"
    words = [quote(fields.get_content_maintype()), quote(fields.get_content_subtype()), pairs(kind), b"NIL", b"NIL",
             quote(fields.get("content-transfer-encoding", "7bit").strip()), b"%d" % len(part.body)]
    lines = b"%d" % part.body.count(b"\n")
    if part.message:
        words += [b"(" + b" ".join([b"NIL"] * 10) + b")", structure(part.message), lines]
    elif fields.get_content_maintype() == "text":
        words.append(lines)
    return b"(" + b" ".join(words + [b"NIL", placed, b"NIL", b"NIL"]) + b")"


def bodystructure(octets):
    return structure(Part(octets))
