# SPDX-License-Identifier: MIT
"""Mail that wants to hurt those who look at it through the views, and a server that lies about how it is made: what
cannot be shown is EIO of that file alone, what is shown is right and whole, and memory stays bounded.

What only takes memory or time inside mime/ is also fed to its fuzzers (tests/fuzz) and unit tests.
"""
import base64
import contextlib
import os

from programs import RELEASE
from servers import FakeImap, mount

MIB = 1 << 20
# That a view of a message may take over what the account takes for reading it. 8 MiB were measured, of those with
# the most parts; without bounds in mime/ it would be hundreds. test_memory_of_text is finer.
MEMORY = 16 * MIB
HEADER = b"From: Anna <a@example.org>\r\nSubject: hostile\r\nMIME-Version: 1.0\r\n"
GOOD = b"From: Anna <a@example.org>\r\nSubject: good\r\n\r\nplain\r\n"
LEAF = b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" %d 1)'
ONE = LEAF % 1


def message(body, kind=b"text/plain", encoding=b"8bit", head=HEADER):
    return head + b"Content-Type: " + kind + b"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n" + body


def mixed(*parts):
    return (HEADER + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"".join(b"--b\r\n" + p + b"\r\n" for p in parts) +
            b"--b--\r\n")


def attached(name, octets, encoding=b"base64"):
    return (b"Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"" + name +
            b"\"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n" + octets)


def repeated(octets, total, width=70):
    line = octets * max(1, width // len(octets)) + b"\r\n"
    return line * (total // len(line))


def nested(depth):
    body = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth))
    ends = b"".join(b' "MIXED" ("BOUNDARY" "b%d") NIL NIL)' % n for n in reversed(range(depth)))
    return HEADER + body + b"\r\nx", b"(" * depth + ONE + ends


def many(count):
    return mixed(*[b"\r\nx"] * count), b"(" + ONE * count + b' "MIXED" ("BOUNDARY" "b") NIL NIL)'


def with_header(fields):
    return b"From: a@example.org\r\n" + fields + b"\r\nbody\r\n", LEAF % 6


NAMES = [b"../../etc/passwd", b"/etc/passwd", b"..", b".", b"a/..", b"..\\\\..\\\\x", b"=?utf-8?q?=2E=2E=2Fx?=", b"-rf", b" ",
         b"=?utf-8?b?4oCuZnBkLmV4ZQ==?=", b"\xe2\x80\xaefdp.exe", b"a\x1b[2Jb", b"3", b"1.txt", b"\xff\xfe", b"x" * 5000,
         b"\xc3\xa9", b"e\xcc\x81", b"same.pdf", b"same.pdf", b"same~20.pdf"]
CHARSETS = [b"../../etc/passwd", b"/dev/zero", b"utf-8//TRANSLIT", b"utf-7", b"utf-16", b"iso-2022-jp", b"x" * 100000, b"gb18030"]
LONG = repeated(b"word ", 12 * MIB)
KINDS = {   # the octets, or those and what the server says of their structure; whether the text can be shown
    "depth": (nested(300), False),
    "depth-of-100,000": (nested(100000), False),
    "depth-of-90": (nested(90), True),
    "parts": (many(100000), False),
    "parts-of-9,999": (many(9999), True),
    "names": (mixed(*[attached(name, base64.b64encode(b"of %d" % n)) for n, name in enumerate(NAMES)]), True),
    "base64": (message(base64.encodebytes(b"wall of text " * (MIB // 13)), encoding=b"base64"), True),
    "long": (message(LONG), True),
    "html": (message(repeated(b"<div>", 4 * MIB), b"text/html"), True),
    "html-of-nothing": (message(repeated(b"<", 17 * MIB), b"text/html"), False),
    "header": (with_header(b"X-Wall: " + b"x " * (2 * MIB) + b"\r\n"), True),
    "groups": (with_header(b"To: " + b"a:" * (MIB // 4) + b"\r\n"), True),
    "addresses": (with_header(b"To: " + b",\r\n ".join(b"N %d <u%d@example.org>" % (n, n) for n in range(50000)) + b"\r\n"), True),
    **{f"charset-{n}": (message(b"word \xff\x1b$B+AAA-\r\n" * 500, b'text/plain; charset="%s"' % name), True)
       for n, name in enumerate(CHARSETS)},
    "cut": (mixed(b"Content-Transfer-Encoding: base64\r\n\r\nSGVsbG8gd29ybG", attached(b"x.pdf", b"x=4", b"quoted-printable")), True),
    "structure-of-nothing": ((GOOD, b"(" * 100000), False),
}
SHOWN = {name: shown for name, (_, shown) in KINDS.items()}
# What the tail of such a text is.
TAILS = {"long": LONG[-60:].replace(b"\r\n", b"\n"), "cut": b"\n\nHello worl\n",
         "header": b"\n\nbody\n", "addresses": b"\n\nbody\n", "parts-of-9,999": b"x\n\nx\n"}


def octets_of(path):
    """None: it cannot be had."""
    try:
        data = path.read_bytes()
    except OSError as error:
        assert os.strerror(error.errno) == "Input/output error", path
        return None
    assert path.stat().st_size == len(data), path
    return data


@contextlib.contextmanager
def bounded(m, octets=0):
    """What is done meanwhile takes no more memory than it may. octets: of a message that is read for it, which the
    account keeps for who reads it next, and once more until the disk has them."""
    before = m.resident()
    m.forget_peak()
    yield
    assert m.peak() < before + MEMORY + 2 * octets, (m.peak() / MIB, before / MIB, octets / MIB)


def test_memory_of_text(directory):
    """A long text is there once, in the buffer that it is made in, beside the octets that it is made of and 2 MiB of it
    that are on their way to the cache: 22 MiB were measured for a text of 15 MiB that is made of 5, and 39 when it was
    there more than once. What is made of little tells that apart from octets that the disk has not yet, which may be
    5 MiB more."""
    euros = message(repeated(b"\x80", 5 * MIB), b"text/plain; charset=windows-1252")
    with FakeImap({"INBOX": [GOOD, euros]}) as server, mount(server, directory, program=RELEASE, sizes="trust") as m:
        octets_of(m.root / ".text/INBOX/1")
        before = m.resident()
        m.forget_peak()
        text = octets_of(m.root / ".text/INBOX/2")
        assert len(text) > 14 * MIB
        assert m.peak() < before + 30 * MIB, (m.peak() / MIB, before / MIB)


def some_of(directory):
    """The files of the first and the last parts of a message."""
    try:
        names = os.listdir(directory)
    except OSError:
        return {}
    assert not [name for name in names if set(name) & set("/\\\u202e\x1b") or name in (".", "..")]
    assert len(set(names)) == len(names)
    return {name: octets_of(directory / name) for name in names[:25] + names[-2:] if not (directory / name).is_dir()}


def test_views(directory):
    bodies = [body[0] if isinstance(body, tuple) else body for body, _ in KINDS.values()]
    lies = {uid: body[1] for uid, (body, _) in enumerate(KINDS.values(), 1) if isinstance(body, tuple)}
    numbers = {name: uid for uid, name in enumerate(KINDS, 1)}
    with FakeImap({"INBOX": [*bodies, GOOD]}, structure=lies.get) as server, \
            mount(server, directory, says=None, program=RELEASE, sizes="trust", timeout=60) as m:
        inbox, good = m.root / "INBOX", len(bodies) + 1
        for uid, body in enumerate(bodies, 1):
            assert (inbox / str(uid)).read_bytes() == body
        texts = {}
        for name, uid in numbers.items():
            with bounded(m, len(bodies[uid - 1])):
                texts[name] = octets_of(m.root / ".text/INBOX" / str(uid))
        assert {name: text is not None for name, text in texts.items()} == SHOWN
        for name, tail in TAILS.items():
            assert texts[name].endswith(tail), name
        for text in texts.values():
            assert text is None or (text.decode() and b"\0" not in text and b"\r" not in text)
        with bounded(m):
            # Each attachment has what it should have, under whatever name.
            assert list(some_of(inbox / ".parts" / str(numbers["names"])).values()) == [
                b"of %d" % n for n in range(len(NAMES))]
            assert set(some_of(inbox / ".parts" / str(numbers["parts-of-9,999"])).values()) == {b"x"}
            assert not some_of(inbox / ".parts" / str(numbers["parts"]))
            for view in (".named", ".maildir/new", ".search/subject:good", ".parts"):
                os.listdir(inbox / view)
            assert os.listdir(inbox / ".search/subject:good") == [str(good - 1), str(good)]
            assert len(octets_of(inbox / ".index").splitlines()) == good
            octets_of(inbox / ".index.jsonl")   # one row of which cannot be had
            assert octets_of(inbox / ".mh_sequences").startswith(b"unseen: ")
        # Nothing but the file itself is spoilt.
        assert octets_of(m.root / ".text/INBOX" / str(good)).endswith(b"\n\nplain\n")
        assert octets_of(inbox / ".parts" / str(good) / "1.txt") == b"plain\r\n"
        for uid, name in ((numbers["header"], "header"), (good, "good")):
            raw = (inbox / str(uid)).read_bytes()
            with bounded(m):
                assert octets_of(m.root / ".headers/INBOX" / str(uid)) == raw[:raw.index(b"\r\n\r\n") + 4], name
