# SPDX-License-Identifier: MIT
"""MAILBOX/.search/QUERY/: the messages that meet a query, the same files as in the mailbox."""
import os

from fakeimap import CAPABILITIES, FakeImap, Mailbox, Message
from mounting import wait_until
from servers import errno_of, mount
from test_index import FIELDS, MIXED, PLAIN, asked


def letter(n, body=b"nothing"):
    return b"From: P%d <p%d@example.org>\r\nSubject: letter %d\r\n\r\n%s\r\n" % (n, n, n, body)


def fake(**behaviour):
    made = [Message(PLAIN, flags=["\\Seen"]), Message(MIXED, flags=["\\Flagged"]), Message(letter(3, b"the Secret \xc3\xa4")),
            Message(letter(4), flags=["\\Seen", "\\Flagged"])]
    return FakeImap({"INBOX": Mailbox(made), "Empty": []}, capabilities=CAPABILITIES + ("CONDSTORE",), **behaviour)


def searches(server):
    return [line for line in server.lines("UID SEARCH") if "ALL" not in line]


def test_search(directory):
    with fake() as server, mount(server, directory) as m:
        inbox, base = m.root / "INBOX", m.root / "INBOX/.search"

        def found(query):
            return sorted(map(int, os.listdir(base / query)))

        assert ".search" not in os.listdir(inbox) and os.listdir(base) == []
        # No query is asked of the server that is none.
        for query in ("from:", "foo:bar", ".git", ".hidden", "imap:X {3}", "a\r\nA1 LOGOUT", "or", "since:soon"):
            assert errno_of(os.stat, base / query) == "ENOENT", query
        assert not asked(server) and not searches(server)

        # What is known here costs what it is known by, once.
        assert found("larger:100 smaller:225") == [2]
        assert not asked(server) and not searches(server)
        assert found("is:unread") == [2, 3] and found("is:flagged -is:unread") == [4]
        assert asked(server) == ["UID FETCH 1:* (UID FLAGS)"]
        assert found("from:J\u00fcRGEN") == [1] == found("three or nobody")
        assert asked(server)[1:] == [f"UID FETCH 1:4 (UID BODY.PEEK[HEADER.FIELDS ({FIELDS})])"]
        assert found("letter -4") == [3] and found("p4 or quoted") == [2, 4] and found("nobody") == []
        assert len(asked(server)) == 2 and not searches(server)
        assert found("has:attachment") == [2]
        assert asked(server)[2:] == ["UID FETCH 1:4 (UID BODYSTRUCTURE)"]

        # What the server knows it is asked each time, with nothing but that.
        assert found("body:secret") == [3] and found("-text:secret is:unread") == [2]
        assert found("body:\u00e4") == [3]
        assert searches(server) == ["UID SEARCH BODY \"secret\"", "UID SEARCH TEXT \"secret\"",
                                    "UID SEARCH CHARSET UTF-8 BODY {2+}\r\n\xc3\xa4"]
        assert found("imap:UNSEEN FLAGGED") == [2]
        assert searches(server)[-1] == "UID SEARCH UNSEEN FLAGGED"
        before = len(searches(server))
        assert errno_of(os.listdir, base / "gmail:larger:1") == "EINVAL" and len(searches(server)) == before

        # They are the messages.
        path = base / "is:unread/3"
        assert path.read_bytes() == (inbox / "3").read_bytes() == letter(3, b"the Secret \xc3\xa4")
        assert path.stat().st_ino == (inbox / "3").stat().st_ino
        assert errno_of(os.stat, base / "is:unread/4") == "ENOENT" == errno_of(os.stat, base / "is:unread/x")
        assert errno_of(os.unlink, path) in ("EPERM", "EACCES", "EROFS", "ENOSYS") and (inbox / "3").exists()
        server.append("INBOX", Message(letter(5)))
        wait_until(lambda: found("is:unread") == [2, 3, 5], "it is found")
        server.set_flags("INBOX", 2, "\\Seen")
        wait_until(lambda: found("is:unread") == [3, 5], "it is read")
        assert os.listdir(m.root / "Empty/.search/is:unread") == [] and found("from:p5") == [5]
        assert not any(message.flags & {b"\\Seen"} for message in server.mailbox("INBOX").messages if message.uid in (3, 5))
    with mount(server, directory, offline=True, says=None) as m:
        base = m.root / "INBOX/.search"
        assert sorted(os.listdir(base / "from:p4")) == ["4"]
        assert errno_of(os.listdir, base / "body:secret") in ("ENETDOWN", "EIO")
