# SPDX-License-Identifier: MIT
""".text/MAILBOX/UID and .headers/MAILBOX/UID: messages as people read them, and their headers."""
import base64
import os
import re
import subprocess

from fakeimap import FakeImap
from mounting import wait_until
from servers import errno_of, mount, noise

HEADER = (b"Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nFrom: =?utf-8?b?QW5uYSBNw7xsbGVy?= <anna@example.org>\r\n"
          b"Subject: =?iso-8859-1?q?Gr=FC=DFe?=\r\nMIME-Version: 1.0\r\n")
ENCODED = HEADER + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + \
    base64.encodebytes("Die invoice liegt bei.\nGrüße\n".encode()).replace(b"\n", b"\r\n")
HTML = HEADER + b"Content-Type: text/html\r\n\r\n<p>one invoice</p><script>x()</script><p>two &amp; <a href='http://x/'>three</a></p>\r\n"


def mixed(*parts):
    body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts)
    return HEADER + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + body + b"--b--\r\n"


def attachment(name, octets):
    return (b"Content-Type: application/pdf; name=\"%s\"\r\nContent-Disposition: attachment; filename=\"%s\"\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n" % (name, name)) + base64.encodebytes(octets).replace(b"\n", b"\r\n")


BIG = noise(3_000_000)
LARGE = mixed(b"Content-Type: text/plain\r\n\r\nsee the invoice\r\n", attachment(b"report.pdf", BIG))
PLAIN = HEADER + b"\r\nplain\r\ninvoice\r\n"


def fake(messages=(ENCODED, HTML, LARGE, PLAIN), **behaviour):
    return FakeImap({"INBOX": list(messages), "Other/In": [PLAIN]}, **behaviour)


def octets_of(server, word):
    """What commands with this word asked for."""
    return [line for line in server.lines("UID FETCH") if word in line]


def test_text(directory):
    with fake() as server:
        with mount(server, directory, sizes="trust") as m:
            text = m.root / ".text/INBOX"
            assert [name for name in os.listdir(m.root) if name[0] == "."] == []
            assert os.listdir(text) == ["1", "2", "3", "4"] and os.listdir(m.root / ".text") == os.listdir(m.root)
            assert not octets_of(server, "BODY")
            first = (text / "1").read_text()
            assert first.startswith("Date: ") and "From: Anna Müller <anna@example.org>\n" in first
            assert "Subject: Grüße\n" in first and first.endswith("\n\nDie invoice liegt bei.\nGrüße\n") and "\r" not in first
            assert "one invoice" in (text / "2").read_text() and "x()" not in (text / "2").read_text()
            for uid in (1, 2, 3, 4):
                status = os.stat(text / str(uid))
                assert status.st_size == len((text / str(uid)).read_bytes()) and not status.st_mode & 0o222
                assert status.st_mtime == os.stat(m.root / "INBOX" / str(uid)).st_mtime
                assert status.st_ino & 0xffffffff == uid
            # Of the large one its text alone is fetched.
            third = (text / "3").read_text()
            assert "Attachment: 2 application/pdf report.pdf\n" in third and third.endswith("\n\nsee the invoice\n")
            asked = [line for line in octets_of(server, "FETCH 3 ") if "BODY" in line]
            assert asked and not [line for line in asked if "BODY.PEEK[]" in line], asked
            found = subprocess.run(["grep", "-ril", "invoice", m.root / ".text"], capture_output=True, check=True, text=True)
            assert len(found.stdout.splitlines()) == 5
            assert os.readlink(m.root / "INBOX/.text") == "../.text/INBOX"
            assert os.readlink(m.root / "Other/In/.text") == "../../.text/Other/In"
            assert (m.root / "Other/In/.text/1").read_text().endswith("\n\nplain\ninvoice\n")
            for wrong in ("9", "x", "01"):
                assert errno_of(os.stat, text / wrong) == "ENOENT"
            assert errno_of(os.listdir, text / "1") == "ENOTDIR"
            assert errno_of(open, text / "1", "w") == "EACCES" and errno_of(os.unlink, text / "1") == "EPERM"
            inode, before = os.stat(text / "1").st_ino, len(server.lines("UID FETCH"))
        # Kept: after a remount, and offline, it costs nothing.
        with mount(server, directory, sizes="trust") as m:
            assert (m.root / ".text/INBOX/1").read_text() == first and os.stat(m.root / ".text/INBOX/1").st_ino == inode
            assert not [line for line in server.lines("UID FETCH")[before:] if "BODY" in line and "FETCH 1 " in line]
        with mount(server, directory, offline=True) as m:
            assert (m.root / ".text/INBOX/1").read_text() == first and (m.root / ".text/INBOX/3").read_text() == third


def test_gone():
    with fake() as server, mount(server) as m:
        text = m.root / ".text/INBOX"
        os.listdir(text)
        (text / "1").read_bytes()
        server.expunge("INBOX", 1)
        wait_until(lambda: errno_of(os.stat, text / "1") == "ENOENT" and os.listdir(text) == ["2", "3", "4"], "it is gone")


def test_in_order():
    """One command for many messages, as for grep -r of the mailbox; and all structures are asked for in one."""
    with FakeImap({"INBOX": [ENCODED] * 300}) as server, mount(server) as m:
        found = subprocess.run(["grep", "-rc", "Grüße", m.root / ".text"], capture_output=True, check=True, text=True)
        assert len(found.stdout.splitlines()) == 300 and set(line[-2:] for line in found.stdout.split()) == {":2"}
        assert len(octets_of(server, "BODY.PEEK[")) <= 30, octets_of(server, "BODY.PEEK[")
        assert len(octets_of(server, "BODYSTRUCTURE")) <= 4, octets_of(server, "BODYSTRUCTURE")


def test_asked_again():
    """All structures are asked for again where the first question came to nothing."""
    with FakeImap({"INBOX": [ENCODED] * 100}) as server, mount(server, says=None) as m:
        text = m.root / ".text/INBOX"
        (text / "100").read_bytes()
        lost = server.rule("UID FETCH", match=rb"BODYSTRUCTURE", drop="rst", raw=b"")
        assert errno_of((text / "99").read_bytes)
        server.rules.remove(lost)
        wait_until(lambda: errno_of((text / "99").read_bytes) is None, "it is tried again")
        before = len(octets_of(server, "BODYSTRUCTURE"))
        for uid in range(98, 40, -1):
            (text / str(uid)).read_bytes()
        asked = octets_of(server, "BODYSTRUCTURE")[before:]
        assert len(asked) <= 10, asked


def test_attributes_again():
    """What was read is not made again when the kernel asks for the time of access."""
    long = HEADER + b"\r\n" + b"0123456789abcdef\r\n" * 300_000
    with fake([long, long]) as server, mount(server, sizes="trust", cache_size="1M") as m:
        text = m.root / ".text/INBOX"
        sizes = [len((text / name).read_bytes()) for name in ("1", "2")]
        before = len(octets_of(server, "BODY"))
        assert [os.stat(text / name).st_size for name in ("1", "2")] == sizes
        assert len(octets_of(server, "BODY")) == before


def test_headers(directory):
    with fake() as server:
        with mount(server, directory, sizes="trust") as m:
            headers = m.root / ".headers/INBOX"
            raw = LARGE[:LARGE.index(b"\r\n\r\n") + 4]
            assert (headers / "3").stat().st_size == len(raw) and (headers / "3").read_bytes() == raw
            assert not octets_of(server, "BODY.PEEK[]") and octets_of(server, "BODY.PEEK[HEADER]")
            assert os.listdir(headers) == ["1", "2", "3", "4"]
        with mount(server, directory, offline=True) as m:
            assert (m.root / "INBOX/.headers/3").read_bytes() == raw
            assert errno_of((m.root / ".headers/INBOX/1").read_bytes) in ("ENETDOWN", "EIO")


def test_headers_in_order(directory):
    """One command for many; one that does not end as headers do is read by itself."""
    endless = HEADER + b"X-Last: 1\r\n"
    with FakeImap({"INBOX": [endless if n % 100 == 50 else PLAIN for n in range(600)]}) as server:
        with mount(server, directory) as m:
            headers = m.root / ".headers/INBOX"
            for uid in range(1, 601):
                assert (headers / str(uid)).read_bytes() == (endless if uid % 100 == 51 else HEADER + b"\r\n")
            asked = octets_of(server, "BODY.PEEK[HEADER]")
            assert len(asked) <= 80, asked
        with mount(server, directory) as m:
            before = len(server.lines("UID FETCH"))
            assert (m.root / ".headers/INBOX/77").read_bytes() == (m.root / ".headers/INBOX/78").read_bytes()
            assert not [line for line in server.lines("UID FETCH")[before:] if "FETCH 77" in line or "FETCH 78" in line]


def test_headers_of_two_readers():
    """Each is read ahead for, wherever the other is; names in the order of their octets are ten readers."""
    with FakeImap({"INBOX": [PLAIN] * 600}) as server, mount(server) as m:
        headers = m.root / ".headers/INBOX"
        for uid in range(1, 301):
            assert (headers / str(uid)).read_bytes() == (headers / str(uid + 300)).read_bytes() == HEADER + b"\r\n"
        assert len(octets_of(server, "BODY.PEEK[HEADER]")) <= 60, octets_of(server, "BODY.PEEK[HEADER]")
    with FakeImap({"INBOX": [PLAIN] * 600}) as server, mount(server) as m:
        headers = m.root / ".headers/INBOX"
        for uid in sorted(range(1, 601), key=str):
            assert (headers / str(uid)).read_bytes() == HEADER + b"\r\n"
        assert len(octets_of(server, "BODY.PEEK[HEADER]")) <= 90, octets_of(server, "BODY.PEEK[HEADER]")


def test_large_headers():
    """Those that are asked for ahead are bounded in octets, too."""
    large = b"Subject: x\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 900) for n in range(220)) + b"\r\nbody\r\n"
    header = large[:-len(b"body\r\n")]
    with FakeImap({"INBOX": [PLAIN] * 20 + [large] * 500}) as server, mount(server) as m:
        headers = m.root / ".headers/INBOX"
        for uid in range(1, 201):
            assert (headers / str(uid)).read_bytes() == (HEADER + b"\r\n" if uid <= 20 else header)
        asked = [int(n) for line in octets_of(server, "BODY.PEEK[HEADER]")
                 for n in re.findall(r"\d+", line.split("FETCH ")[1].split(" ")[0])]
        assert max(asked) <= 200 + 2 * (8 << 20) // len(header), max(asked)


def test_boundary_not_found(directory):
    """A boundary that no line of the body has: its text is shown all the same, as it is; not where the parts are empty."""
    body = b"--= b\r\nContent-Type: text/plain\r\n\r\nan =69nvoice\xfc\r\n--= b--\r\n"
    kind = HEADER + b"Content-Type: multipart/alternative; boundary=\"=b\"\r\n\r\n"
    within = b"Content-Type: multipart/alternative; boundary=c\r\n\r\n" + body
    empty = kind + b"see below\r\n--=b\r\nContent-Type: text/plain\r\n\r\n--=b--\r\n"
    long = b"".join(b"%d invoices\r\n" % n for n in range(60_000))
    messages = [kind + body, mixed(b"\r\none", within), mixed(within, attachment(b"a.pdf", BIG)), empty, kind + body + long,
                HEADER + b"Content-Type: multipart/mixed\r\n\r\n" + body]
    shown = "--= b\nContent-Type: text/plain\n\nan =69nvoice\u00fc\n--= b--\n"
    with fake(messages) as server:
        with mount(server, directory, sizes="trust") as m:
            def text_of(uid):
                return (m.root / ".text/INBOX" / str(uid)).read_bytes().decode().split("\n\n", 1)[1]
            # Of the large ones that body alone is fetched.
            assert text_of(5) == shown + long.decode().replace("\r", "") and text_of(3) == shown
            assert octets_of(server, "BODY.PEEK[TEXT]") and octets_of(server, "BODY.PEEK[1]")
            assert not octets_of(server, "BODY.PEEK[]")
            assert text_of(1) == shown and text_of(2) == "one\n\n" + shown
            assert text_of(4) == "see below\n"
            assert text_of(6) == shown


def test_refused():
    """What cannot be had is an error, of that message alone."""
    with fake() as server, mount(server, says=["cannot be shown", "BODYSTRUCTURE", "structure"]) as m:
        server.rule("UID FETCH", match=rb"BODYSTRUCTURE", reply=b"NO not today")
        assert errno_of((m.root / ".text/INBOX/3").read_bytes) in ("EIO", "EACCES")
        assert (m.root / "INBOX/1").read_bytes() == ENCODED


def test_hostile():
    """Depth, many parts, addresses, false encodings: bounded, and the mount goes on."""
    deep = HEADER + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(300))
    parts = mixed(*[b"Content-Type: text/plain\r\n\r\nx"] * 2000)
    crowd = b"From: a@x\r\nTo: " + b", ".join([b"a@example.org"] * 20000) + b"\r\n\r\nbody\r\n"
    false = HEADER + b"Content-Type: text/plain; charset=../../etc/passwd\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD=\xff!Q\r\n"
    with fake((deep, parts, crowd, false, PLAIN)) as server, mount(server, says=None) as m:
        said = {uid: errno_of((m.root / ".text/INBOX" / str(uid)).read_bytes) for uid in range(1, 6)}
        assert said[5] is None and said[3] is None and said[4] is None and said[1] in (None, "EIO"), said
        assert (m.root / ".text/INBOX/5").read_text().endswith("\n\nplain\ninvoice\n")


def test_structure_of_another_message():
    """Where what the server says does not fit the message, which is here by then, its parts are asked for, and nobody
    waits for all of it again."""
    def structure(_):
        return b'(("text" "plain" NIL NIL NIL "7bit" 5 1)("text" "plain" NIL NIL NIL "7bit" 5 1) "mixed")'
    with fake((PLAIN, PLAIN), structure=structure) as server, mount(server, says=None) as m:
        # There is no second one.
        assert errno_of((m.root / ".text/INBOX/1").read_bytes) == "EIO"
        assert errno_of((m.root / "INBOX/.parts/2/1.txt").read_bytes) is None
        assert octets_of(server, "BODY.PEEK[1]")
