# SPDX-License-Identifier: MIT
"""MAILBOX/.parts/UID/NAME: attachments under their names."""
import base64
import os
import quopri
import subprocess

import pytest
from fakeimap import FakeImap
from mounting import wait_until
from servers import errno_of, mount, noise

HEADER = b"From: a@example.org\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
TEXT = b"Content-Type: text/plain\r\n\r\nsee below\r\n"


def mixed(*parts, head=HEADER, boundary=b"b"):
    body = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    return head + b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n\r\n" + body + b"--" + boundary + b"--\r\n"


def lines(octets, length=57, end=b"\r\n"):
    return end.join(base64.b64encode(octets[at:at + length]) for at in range(0, len(octets), length))


def part(name, encoded, encoding=b"base64", kind=b"application/pdf"):
    return (b"Content-Type: " + kind + b"\r\nContent-Disposition: attachment; filename=\"" + name +
            b"\"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n" + encoded)


SMALL, LARGE = noise(5000), noise(1_500_001)
QUOTED = b"\n".join(b"line %d = \xe4" % n for n in range(40000))
INNER = mixed(TEXT, part(b"inner.bin", lines(SMALL)), boundary=b"i")
MESSAGES = [
    HEADER + b"\r\nplain\r\n",
    mixed(TEXT, part(b"report.pdf", lines(SMALL)), part(b"report.pdf", lines(SMALL[::-1])), part(b"../../x.exe", lines(b"abc"))),
    mixed(TEXT, part(b"large.bin", lines(LARGE)), part(b"odd.bin", lines(LARGE[:684_000]) + b"\r\n" + lines(LARGE[684_000:], 30)),
          part(b"as-is.bin", base64.b85encode(LARGE[:600_000]), b"7bit"), part(b"quoted.txt", quopri.encodestring(QUOTED).replace(b"\n", b"\r\n"), b"quoted-printable")),
    mixed(TEXT, b"Content-Type: message/rfc822\r\n\r\n" + INNER),
]
ODD = LARGE[:684_000] + LARGE[684_000:]


def fake(**behaviour):
    return FakeImap({"INBOX": list(MESSAGES)}, **behaviour)


def test_names(directory):
    with fake() as server, mount(server, directory, sizes="trust") as m:
        parts = m.root / "INBOX/.parts"
        assert ".parts" not in os.listdir(m.root / "INBOX") and os.listdir(parts) == ["2", "3", "4"]
        asked = [line for line in server.lines("UID FETCH") if "BODYSTRUCTURE" in line]
        assert len(asked) == 1 and "BODY.PEEK" not in " ".join(server.lines("UID FETCH"))
        assert os.listdir(parts / "1") == ["1.txt"]
        assert os.listdir(parts / "2") == ["1.txt", "report.pdf", "report~3.pdf", "x.exe"]
        assert os.listdir(parts / "4") == ["1.txt", "2.eml", "2"] and sorted(os.listdir(parts / "4/2")) == ["2.1.txt", "inner.bin"]
        found = subprocess.run(["find", parts, "-name", "*.pdf"], capture_output=True, check=True, text=True).stdout
        assert len(found.splitlines()) == 2 and "BODY.PEEK" not in " ".join(server.lines("UID FETCH"))
        assert (parts / "2/report.pdf").read_bytes() == SMALL and (parts / "2/report~3.pdf").read_bytes() == SMALL[::-1]
        assert (parts / "2/2").stat().st_ino == (parts / "2/report.pdf").stat().st_ino
        assert (parts / "4/2.eml").read_bytes() == INNER and (parts / "4/2/inner.bin").read_bytes() == SMALL
        assert (parts / "1/1").read_bytes() == b"plain\r\n"
        assert (parts / "2").stat().st_mtime == (m.root / "INBOX/2").stat().st_mtime
        for wrong in ("9", "2/9", "2/x", "2/report.pdf/x", "1/2", "2/..x"):
            assert errno_of(os.stat, parts / wrong) in ("ENOENT", "ENOTDIR"), wrong
        assert errno_of(open, parts / "2/x.exe", "w") == "EACCES" and errno_of(os.unlink, parts / "2/x.exe") == "EPERM"
        assert errno_of(os.listdir, parts / "9") == "ENOENT"
        status = (parts / "2/x.exe").stat()
    with mount(server, directory, offline=True) as m:
        assert (m.root / "INBOX/.parts/2/report.pdf").read_bytes() == SMALL
        assert (m.root / "INBOX/.parts/2/x.exe").stat().st_ino == status.st_ino


@pytest.mark.parametrize("octets", [300_000, 1 << 18, 1 << 19, 1_500_001])
@pytest.mark.parametrize("said", [0, 1000, 1 << 18])
def test_larger_than_said(said, octets):
    """The server says fewer octets of a part than there are: it is read to its end."""
    text = base64.b85encode(LARGE)[:octets]
    message = mixed(TEXT, part(b"large.bin", text, b"7bit"))

    def structure(_):
        return (b'(("text" "plain" NIL NIL NIL "7bit" 11 1)("application" "pdf" NIL NIL NIL "7bit" %d NIL ("attachment"'
                b' ("filename" "large.bin")) NIL NIL) "mixed")' % said)

    with FakeImap({"INBOX": [message]}, structure=structure) as server, mount(server, says=None, timeout=5) as m:
        path = m.root / "INBOX/.parts/1/large.bin"
        wait_until(lambda: errno_of(path.read_bytes) in (None, "ETIMEDOUT"), "a second read is right")
        assert path.read_bytes() == text and path.stat().st_size == octets


@pytest.mark.parametrize("delta", [-300_000, -1, 1, 300_000])
def test_plain_of_another_size(delta):
    """Of what is not encoded, too, the first read fails and the next one is right."""
    text = base64.b85encode(LARGE)[:700_000]
    message = mixed(TEXT, part(b"large.bin", text, b"7bit"))

    def structure(_):
        return (b'(("text" "plain" NIL NIL NIL "7bit" 11 1)("application" "pdf" NIL NIL NIL "7bit" %d NIL ("attachment"'
                b' ("filename" "large.bin")) NIL NIL) "mixed")' % (len(text) + delta))

    with FakeImap({"INBOX": [message]}, structure=structure) as server, mount(server, says=None) as m:
        path = m.root / "INBOX/.parts/1/large.bin"
        assert path.stat().st_size == len(text) + delta
        assert errno_of(path.read_bytes) == "EIO"
        assert path.read_bytes() == text and path.stat().st_size == len(text)


def test_control_characters_in_names(directory):
    """A server may quote them as they are (Dovecot). That costs no connection, and neither the mailbox nor the part."""
    encoded = lines(SMALL)
    odd = HEADER + part(b"a\x01b.pdf", encoded)

    def structure(uid):
        return None if uid == 2 else (
            b'("application" "pdf" NIL NIL NIL "base64" %d NIL ("attachment" ("filename" "a\x01b.pdf")) NIL NIL)' % len(encoded))

    with FakeImap({"INBOX": [odd, MESSAGES[1], odd]}, structure=structure) as server, mount(server, directory) as m:
        parts = m.root / "INBOX/.parts"
        assert os.listdir(parts) == ["1", "2", "3"]
        for uid in "1", "3":
            assert os.listdir(parts / uid) == ["ab.pdf"]
            assert (parts / uid / "ab.pdf").read_bytes() == SMALL
        assert "error" not in (m.root / "INBOX/.index.jsonl").read_text("utf-8")


def test_gone():
    """Of a message that is gone nothing is listed, also by who looked at it before."""
    with fake() as server, mount(server) as m:
        parts = m.root / "INBOX/.parts"
        fd = os.open(parts / "2", os.O_RDONLY)
        assert "report.pdf" in os.listdir(fd)
        server.expunge("INBOX", 2)
        wait_until(lambda: "2" not in os.listdir(m.root / "INBOX"), "it is gone")
        assert errno_of(os.listdir, fd) in ("ESTALE", "ENOENT")
        # By this the kernel, before it is told, finds out that the name means nothing any more.
        assert errno_of(os.open, f"/proc/self/fd/{fd}/.", os.O_RDONLY) == "ESTALE"
        assert errno_of(os.listdir, parts / "2") == "ENOENT" and os.listdir(parts) == ["3", "4"]
        os.close(fd)


def test_large():
    with fake() as server, mount(server, sizes="trust") as m:
        parts = m.root / "INBOX/.parts/3"
        for name, octets in (("large.bin", LARGE), ("odd.bin", ODD), ("as-is.bin", base64.b85encode(LARGE[:600_000])),
                             ("quoted.txt", QUOTED.replace(b"\n", b"\r\n"))):
            size = (parts / name).stat().st_size
            with open(parts / name, "rb") as file:
                # Its size is found to be wrong while it is read: the next time it is right, which is now, where the kernel
                # has asked for it in between.
                if name == "odd.bin":
                    assert errno_of(lambda file=file: file.read() == octets or 1 / 0) in ("EIO", None)
                    wait_until(lambda: (parts / "odd.bin").stat().st_size == len(ODD), "its size is known")
                    size = len(ODD)
                data = (parts / name).read_bytes()
            assert data == octets and len(data) == size, name
        with open(parts / "odd.bin", "rb") as file:
            for at in (0, 699_990, 1_200_000, 1_499_999, 7):
                file.seek(at)
                assert file.read(1000) == ODD[at:at + 1000]


def test_costs():
    """A part alone, and of a part what is read."""
    with fake() as server, mount(server, sizes="trust") as m:
        path = m.root / "INBOX/.parts/3/large.bin"
        with open(path, "rb", buffering=0) as file:
            assert os.fstat(file.fileno()).st_size == len(LARGE)
            file.seek(1_000_042)
            assert file.read(1337) == LARGE[1_000_042:1_001_379]
        lines_sent = [line for line in server.lines("UID FETCH") if "BODY.PEEK[" in line]
        of_it = [line for line in lines_sent if "BODY.PEEK[2]" in line]
        assert of_it and len([line for line in lines_sent if "BODY.PEEK[2.MIME]" in line]) == len(lines_sent) - len(of_it) == 1, lines_sent


def test_lies():
    """What the server says of a part is wrong: EIO, and nothing that is cut short."""
    lies = {2: b'("application" "octet-stream" ("name" "x.bin") NIL NIL "7bit" 500000)'}
    with fake(structure=lies.get) as server, mount(server, sizes="trust", says=None) as m:
        assert errno_of((m.root / "INBOX/.parts/2/x.bin").read_bytes) in ("EIO", "ENOENT")
        assert (m.root / "INBOX/2").read_bytes() == MESSAGES[1]


@pytest.mark.parametrize("said, stated", [(b"base64", b"7bit"), (b"7bit", b"base64"), (b"quoted-printable", b"base64"), (None, b"base64"),
                                          (b"base64\r\nX: y", b"QUOTED-PRINTABLE"), (b"\r\n base64", b"8bit")])
def test_other_encoding(said, stated):
    """The server's word against the part's own header: EIO, and a line that names the message; other parts are right."""
    encoded = lines(b"0123456789" * 50)
    field = b"Content-Transfer-Encoding: " + said + b"\r\n" if said else b""
    message = HEADER + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/pdf; name=x.pdf\r\n" + field + \
        b"\r\n" + encoded + b"\r\n--b\r\nContent-Type: text/x; name=y.txt\r\nContent-Transfer-Encoding: 8BIT\r\n\r\nright\r\n--b--\r\n"
    lie = b'(("application" "pdf" ("name" "x.pdf") NIL NIL "%s" %d)("text" "x" ("name" "y.txt") NIL NIL "7bit" 5 1) "mixed" ' \
        b'("boundary" "b"))' % (stated, len(encoded))
    with FakeImap({"INBOX": [message]}, structure=lambda uid: lie) as server, \
            mount(server, sizes="trust", says=["part of message 1 of INBOX", "cannot be shown"]) as m:
        parts = m.root / "INBOX/.parts/1"
        assert errno_of((parts / "x.pdf").read_bytes) == "EIO" == errno_of(os.stat, parts / "x.pdf")
        assert (parts / "y.txt").read_bytes() == b"right" and (m.root / "INBOX/1").read_bytes() == message
        assert m.said().count("part of message 1 of INBOX") == 1


FILLER = b"Content-Type: text/plain\r\n\r\n" + b"0123456789\r\n" * 30000


def alone(kind, said):
    """A message that is not fetched whole, with a part (its name is x.pdf), and what BODYSTRUCTURE is to say of it."""
    encoded = lines(b"0123456789" * 57)  # without padding: more may follow
    field = b"Content-Transfer-Encoding: " + said + b"\r\n" if said else b""
    body = encoded if kind != "root" else encoded + b"\r\n" + lines(noise(300_000))
    whole = b"Content-Type: application/pdf; name=x.pdf\r\n" + field + b"\r\n" + body
    stated = b'("application" "pdf" ("name" "x.pdf") NIL NIL "%%s" %d)' % len(body)
    if kind == "root":
        return HEADER + whole, stated, body
    if kind == "attached":
        inner = HEADER + whole
        stated = b'("message" "rfc822" NIL NIL NIL "7bit" %d (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) %s %d)' % (
            len(inner), stated, inner.count(b"\r\n") + 1)
        whole = b"Content-Type: message/rfc822\r\n\r\n" + inner
    filler = b'("text" "plain" NIL NIL NIL "7bit" 360000 30000)'
    return mixed(FILLER, whole), b"(" + filler + stated + b' "mixed" ("boundary" "b"))', body


def file_of(m, kind):
    return m.root / "INBOX/.parts/1" / ("2/x.pdf" if kind == "attached" else "x.pdf")


@pytest.mark.parametrize("kind", ["part", "root", "attached"])
@pytest.mark.parametrize("said, stated", [(b"7bit", b"base64"), (b"quoted-printable", b"base64"), (b"base64", b"7bit"), (None, b"base64")])
def test_other_encoding_alone(kind, said, stated, directory):
    """Also where the part comes alone, and after the next mount."""
    message, structure, _ = alone(kind, said)
    says = ["part of message 1 of INBOX", "cannot be shown"]
    with FakeImap({"INBOX": [message]}, structure=lambda uid: structure % stated) as server:
        for _ in range(2):
            with mount(server, directory, sizes="trust", says=says) as m:
                path = file_of(m, kind)
                assert errno_of(path.read_bytes) == "EIO" == errno_of(path.read_bytes)
                assert m.said().count("part of message 1 of INBOX") == 1
        asked = [line for line in server.lines("UID FETCH") if "BODY.PEEK[" in line]
        assert len([line for line in asked if "MIME]" in line or "HEADER]" in line]) == 1, asked


@pytest.mark.parametrize("kind", ["part", "root", "attached"])
@pytest.mark.parametrize("said, stated", [(b"base64", b"BASE64"), (b"8bit", b"7bit"), (b"x-unknown", b"base64")])
def test_same_encoding_alone(kind, said, stated, directory):
    message, structure, body = alone(kind, said)
    right = base64.b64decode(body) if stated == b"BASE64" or said == b"x-unknown" else body
    with FakeImap({"INBOX": [message]}, structure=lambda uid: structure % stated) as server:
        with mount(server, directory, sizes="trust") as m:
            assert file_of(m, kind).read_bytes() == right == file_of(m, kind).read_bytes()
        asked = [line for line in server.lines("UID FETCH") if "BODY.PEEK[" in line]
        assert len([line for line in asked if "MIME]" in line or "HEADER]" in line]) == 1, asked
    with mount(server, directory, offline=True) as m:
        assert file_of(m, kind).read_bytes() == right


@pytest.mark.parametrize("said, stated", [(b"base64", b"BASE64"), (b"8bit", b"7bit"), (b"x-unknown", b"base64"), (b"base64 (so)", b"base64"),
                                          (b"7bit\r\nContent-Transfer-Encoding: base64", b"base64"), (b"", b"7bit")])
def test_same_encoding(said, stated):
    """What is not plainly otherwise is as the server says."""
    encoded = lines(b"0123456789" * 50)
    message = HEADER + b"Content-Type: application/pdf; name=x.pdf\r\nContent-Transfer-Encoding: " + said + b"\r\n\r\n" + encoded
    structure = b'("application" "pdf" ("name" "x.pdf") NIL NIL "%s" %d)' % (stated, len(encoded))
    with FakeImap({"INBOX": [message]}, structure=lambda uid: structure) as server, mount(server, sizes="trust") as m:
        right = b"0123456789" * 50 if stated.lower() == b"base64" else encoded
        assert (m.root / "INBOX/.parts/1/x.pdf").read_bytes() == right


def test_too_short():
    """The server states a part as shorter than it is, or longer: the first read fails, unless the kernel has asked for
    the size in between, and the next is right."""
    encoded = lines(LARGE)
    message = HEADER + b"Content-Type: application/pdf; name=x.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" + encoded
    for stated in (len(encoded) - 7800, len(encoded) + 7800):
        lie = b'("application" "pdf" ("name" "x.pdf") NIL NIL "base64" %d)' % stated
        with FakeImap({"INBOX": [message]}, structure=lambda uid, lie=lie: lie) as server, mount(server, sizes="trust", says=None) as m:
            path = m.root / "INBOX/.parts/1/x.pdf"
            assert errno_of(lambda path=path: path.read_bytes() == LARGE or 1 / 0) in ("EIO", None)
            wait_until(lambda path=path: path.stat().st_size == len(LARGE), "its size is known")
            assert path.read_bytes() == LARGE
