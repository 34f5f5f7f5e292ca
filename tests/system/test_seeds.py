# SPDX-License-Identifier: MIT
"""What introductions to IMAP ask a server for, from the shell: the lines of the manual's examples."""
import hashlib
import re
import shutil
import subprocess

from fakeimap import FakeImap, Mailbox, Message
from mounting import run, wait_until
from programs import PROGRAM
from servers import mount
from test_index import MIXED, PLAIN


OCTETS = b"0123456789abcde\r\n" * 40000
LARGE = (b"Subject: large\r\nX-One: field\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
         b"Content-Type: application/octet-stream\r\n\r\n" + OCTETS + b"\r\n--b--\r\n")


def sh(line, m):
    """A line of the manual, with the mount in the place of ~/mail and the program in that of imapfs."""
    line = re.sub(r"(?m)^imapfs ", PROGRAM + " ", line.replace("~/mail", str(m.root)))
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout


def test_seeds():
    made = [Message(PLAIN, flags=["\\Seen"])] + [Message(PLAIN) for _ in range(3)] + [Message(MIXED), Message(LARGE)]
    with FakeImap({"INBOX": Mailbox(made)}) as server, mount(server) as m:
        assert sh("cut -f 6 ~/mail/INBOX/.index", m).splitlines() == ["one   two three four"] * 4 + ['"quoted" \\ back', "large"]
        assert sh("ls ~/mail/INBOX/.search/is:unread", m).split() == ["2", "3", "4", "5", "6"]
        if shutil.which("jq"):
            assert sh("jq -r 'select(.uid == 5).parts[] | [.section, .type, .bytes] | @tsv' ~/mail/INBOX/.index.jsonl", m) == \
                "1\ttext/plain\t4\n2\tapplication/pdf\t4\n"
        assert sh("getfattr -n user.imap.flags --only-values ~/mail/INBOX/5", m) == ""
        sh("setfattr -n user.imap.flags -v '\\Seen \\Flagged' ~/mail/INBOX/5", m)
        run(PROGRAM, "--sync", m.point)
        wait_until(lambda: server.mailbox("INBOX").messages[4].flags == {b"\\Seen", b"\\Flagged"}, "they are set")
        status = sh("imapfs --status ~/mail | grep -E '^(capabilities|namespace)'", m)
        assert "IMAP4rev1" in status and 'namespace: "" "/"' in status
        assert sh("sed -n 's/^X-One: //p' ~/mail/.headers/INBOX/6", m).strip() == "field"
        # Of a large message no more is fetched than the chunks around, and the part's header.
        before = len(server.lines("UID FETCH"))
        line = "dd status=none iflag=skip_bytes,count_bytes skip=42 count=1337 if=~/mail/INBOX/.parts/6/2 | md5sum"
        assert sh(line.replace("if=~/mail", f"if={m.root}"), m).split()[0] == hashlib.md5(OCTETS[42:1379]).hexdigest()
        fetched = [line for line in server.lines("UID FETCH")[before:] if "BODY" in line and "STRUCTURE" not in line]
        assert any("BODY.PEEK[2]<" in line for line in fetched), fetched
        assert all(re.search(r"BODY\.PEEK\[2(\.MIME)?\]<", line) for line in fetched), fetched
        assert not server.mailbox("INBOX").messages[1].flags
