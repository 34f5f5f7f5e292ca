# SPDX-License-Identifier: MIT
"""The .named tree: the messages under names for people, the same files as in the mailbox."""
import os

from fakeimap import FakeImap, Mailbox, Message
from mounting import wait_until
from servers import errno_of, mount
from test_index import EMPTY, MIXED, PLAIN, asked


def test_named():
    date = b"14-Nov-2026 10:00:00 +0000"
    with FakeImap({"INBOX": Mailbox([Message(body, date=date) for body in (PLAIN, MIXED, EMPTY)]), "A/B": [PLAIN]}) as server, \
            mount(server) as m:
        tree = m.root / ".named"
        assert ".named" not in os.listdir(m.root) and sorted(os.listdir(tree)) == ["A", "INBOX"]
        assert os.readlink(m.root / "INBOX/.named") == "../.named/INBOX"
        names = ["2026-11-14 J\u00fcrgen - one two three four.1.eml", "2026-11-14 bare@example.org - quoted back.2.eml",
                 "2026-11-14.3.eml"]
        assert sorted(os.listdir(tree / "INBOX")) == sorted(names)
        assert len(asked(server)) == 1
        for uid, name in enumerate(names, 1):
            raw = m.root / "INBOX" / str(uid)
            assert (tree / "INBOX" / name).read_bytes() == raw.read_bytes()
            assert (tree / "INBOX" / name).stat().st_ino == raw.stat().st_ino
        # They are found by the UID at their end, whatever stands before.
        assert (tree / "INBOX/what.2.eml").stat().st_ino == (m.root / "INBOX/2").stat().st_ino
        assert errno_of(os.stat, tree / "INBOX/x.9.eml") == "ENOENT" == errno_of(os.stat, tree / "INBOX/1")
        assert len(os.listdir(tree / "A/B")) == 1
        server.append("INBOX", Message(PLAIN, date=date))
        server.expunge("INBOX", 2)
        wait_until(lambda: sorted(n.split(".")[-2] for n in os.listdir(tree / "INBOX")) == ["1", "3", "4"], "the names are of now")
        for gone in (names[1], "what.2.eml"):
            wait_until(lambda: errno_of(os.stat, tree / "INBOX" / gone) == "ENOENT", "names that the kernel knew are gone")
        assert errno_of(os.open, tree / "INBOX" / names[1], os.O_RDONLY) == "ENOENT"
