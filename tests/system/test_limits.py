# SPDX-License-Identifier: MIT
"""Bounds that the user sets on what goes over the line: by the second, and by the day."""
import os
import re
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from fakeimap import FakeImap, Message
from servers import errno_of, mount


def text(number, size):
    return b"Subject: number %d\r\n\r\n" % number + (b"%07d\r\n" % number) * (size // 9)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, octets):
    with open(path, "wb") as f:
        f.write(octets)


def test_a_rate():
    """Both directions keep to it, each by itself; nothing is lost by it."""
    large = text(1, 12_000)
    with FakeImap({"INBOX": [Message(large)], "Sent": []}) as server:
        with mount(server, bwlimit="8k") as m, ThreadPoolExecutor() as pool:
            start = time.monotonic()
            put = pool.submit(write, m.path("Sent", "new"), large)
            assert read(m.path("INBOX", 1)) == large
            put.result()
            assert time.monotonic() - start > 1
        assert [message.body for message in server.account.mailboxes[b"Sent"].messages] == [large]


def test_a_day():
    """Once as much has come as is allowed what is not cached is refused; all else goes on, and the next mount
    knows."""
    large, small = text(1, 1_000_000), text(2, 2000)
    says = r"bytes have come today, as many as daylimit= allows; mail that is not in the cache can be read " \
        r"from \d{4}-\d\d-\d\d 00:00 on"
    boxes = {"INBOX": [Message(large), Message(small), Message(small)], "Other": [Message(small)], "Last": [Message(text(3, 200_000))]}
    boxes["Unsized"] = [Message(small), Message(small)]
    with FakeImap(boxes) as server, tempfile.TemporaryDirectory() as place:
        refused = r"Other/new was not stored: the daylimit is reached"
        with mount(server, place, says=[says, refused], daylimit="1M") as m:
            assert read(m.path("INBOX", 1)) == large
            # Asked for before as much has come, and at once.
            assert read(m.path("Last", 1)) == text(3, 200_000)
            for path in (m.path("INBOX", 2), m.path("Other", 1), m.path("INBOX", ".text", 3)):
                assert errno_of(read, path) == "EDQUOT"
            assert len(re.findall(says, m.said())) == 1
            assert read(m.path("INBOX", 1)) == large
            assert os.listdir(m.path("Other")) == ["1"] and os.stat(m.path("Other", 1)).st_size == len(small)
            os.unlink(m.path("INBOX", 3))
            # Of some messages the server announces no size.
            server.behaviour.size = lambda uid, true: 0
            os.stat(m.path("Unsized", 1))
            assert errno_of(read, m.path("Unsized", 1)) == "EDQUOT"
            os.unlink(m.path("Unsized", 2))
            server.behaviour.size = None
            write(m.path("Other", "new"), small)
            # Whether it is the same as that one cannot be read today: it is not taken for another.
            write(m.path("Other", ".new"), small)
            assert errno_of(os.rename, m.path("Other", ".new"), m.path("Other", "new")) == "EDQUOT"
            assert len(server.mailbox("Other").messages) == 2
            os.unlink(m.path("Other", ".new"))
            status = read(m.path(".imapfs", "status")).decode()
            assert re.search(r"^today: 1\d{6} of 1048576 bytes from the server; more from \d{4}-\d\d-\d\d 00:00$",
                             status, re.M)
        with mount(server, place, says=[says], daylimit="1M") as m:
            assert errno_of(read, m.path("INBOX", 2)) == "EDQUOT"
        with mount(server, place, daylimit="100M", ro=True) as m:
            assert read(m.path("INBOX", 2)) == small
            assert re.search(r"^today: [1-9]\d{6} of", read(m.path(".imapfs", "status")).decode(), re.M)
