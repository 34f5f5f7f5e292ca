# SPDX-License-Identifier: MIT
"""Mailboxes as directories: names, nesting, what is shown and what is not."""
import os

import pytest

import imapraw
import tree
from dovecot import Dovecot, Mail
from mounting import wait_until

TEXT = b"Subject: x\r\n\r\nbody\r\n"
NAMES = (
    "INBOX", "Entwürfe", "Über/mäßig/tief", "仕事/請求書", "🎉 Party", "R&D", "100% wool", "50%25", "a.b.c",
    "x%41y", "%~raw", "home~", "-rf", "with  two blanks", "quote\"d", "back\\slash", "star*", "e\u0301 combining",
    "INBOX/Receipts", "inbox2", "A/b/C/d/E/f/G/h", "2024", "007", "name.eml", "tab\tin it",
)


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    return start_server([Mail(name, TEXT + name.encode(), 1700000000 + i) for i, name in enumerate(NAMES)])


def test_names_and_nesting(server, mount):
    """Every mailbox is one directory, and every message in it is where it belongs."""
    m = mount(server)
    assert tree.compare(server, m.point) == []


def test_names_can_be_looked_up(server, mount):
    """By name, without a listing first, and in the form that the server has it."""
    m = mount(server)
    for name in NAMES:
        assert m.read(tree.path_of(name), 1).endswith(name.encode())


def test_near_names_do_not_exist(server, mount):
    m = mount(server)
    for name in ("Inbox", "inbox", "entwürfe", "Entwu\u0308rfe", "R&-D", "Entw&APw-rfe", "100%25 wool", "50%",
                 "xAy", "Über/mäßig/1", "A/b/C/1", "e\u0301", "\u00e9 combining", "nothing", "INBOX/2", "INBOX/01",
                 "INBOX/+1", "INBOX/1.eml", "INBOX/0", "INBOX/4294967296", "INBOX/1 ", "x%2541", "n" * 255, "n" * 256):
        assert not os.path.lexists(m.path(name)), name


def test_a_message_is_not_a_directory(server, mount):
    m = mount(server)
    with pytest.raises(NotADirectoryError):
        os.listdir(m.path("INBOX/1"))
    with pytest.raises(IsADirectoryError):
        m.read("INBOX")


def test_collision(mount, start_server):
    """A child mailbox named like a UID keeps its name; the message is UID.eml."""
    server = start_server()
    server.load([Mail("Projects", TEXT, 1700000000, (), 2023), Mail("Projects", TEXT + b"2024", 1700000001, (), 2024),
                 Mail("Projects/2024", TEXT + b"child", 1700000002),
                 Mail("Projects/2023.eml", TEXT + b"other", 1700000003)])
    m = mount(server)
    assert tree.compare(server, m.point) == []
    assert sorted(os.listdir(m.path("Projects"))) == ["2023", "2023.eml", "2024", "2024.eml"]
    assert m.read("Projects/2024.eml") == TEXT + b"2024"
    assert m.read("Projects/2024/1") == TEXT + b"child"
    m.stop()
    m = mount(server, "suffix=.eml")
    assert os.listdir(m.path("Projects/2024")) == ["1.eml"]
    # Both names are taken: the mailbox of that name is still the mailbox.
    assert sorted(os.listdir(m.path("Projects"))) == ["2023.eml", "2023.eml.eml", "2024", "2024.eml"]
    assert os.listdir(m.path("Projects/2023.eml")) == ["1.eml"]
    assert m.read("Projects/2023.eml/1.eml") == TEXT + b"other"
    assert m.read("Projects/2023.eml.eml") == TEXT
    assert m.read("Projects/2024.eml") == TEXT + b"2024"


def test_order(server, mount):
    """Child mailboxes first, then messages in the order of their UIDs."""
    server.load([Mail("Order/child", TEXT), *(Mail("Order", b"%d" % i) for i in range(120))])
    server.expunge("Order", [50])
    m = mount(server)
    assert os.listdir(m.path("Order")) == ["child"] + [str(uid) for uid in range(1, 121) if uid != 50]


def test_noselect_parent(server, mount):
    """A name that only leads to others is a plain directory, and has no messages."""
    attributes = server.mailboxes()["A/b"]
    assert attributes & {"\\noselect", "\\nonexistent"}
    m = mount(server)
    assert os.listdir(m.path("A/b")) == ["C"]
    assert not os.path.exists(m.path("A/b/1"))


def test_mailboxes_come_and_go(server, mount):
    """Made, renamed and deleted by another client: seen at the next look."""
    m = mount(server)
    assert "Late" not in os.listdir(m.point)
    server.create("Late/Child")
    server.deliver("Late/Child", TEXT)
    wait_until(server.names(lambda: "Late" in os.listdir(m.point)), "the new mailbox is listed")
    # It may have been seen before its message came.
    wait_until(lambda: os.path.exists(m.path("Late/Child/1")), "its message is there")
    assert m.read("Late/Child/1") == TEXT
    server.rename("Late/Child", "Late/Renamed")
    wait_until(server.names(lambda: os.listdir(m.path("Late")) == ["Renamed"]), "the new name is listed")
    wait_until(lambda: not os.path.exists(m.path("Late/Child")), "the kernel was told")
    server.delete("Late/Renamed")
    wait_until(server.names(lambda: "Late" not in os.listdir(m.point) or not os.listdir(m.path("Late"))), "it is gone")
    wait_until(lambda: not os.path.exists(m.path("Late/Renamed/1")), "the kernel was told")


def test_subtree(server, mount):
    """A mailbox in SOURCE is the top of the mount."""
    m = mount(server, mailbox="%C3%9Cber/m%C3%A4%C3%9Fig")
    assert os.listdir(m.point) == ["tief"]
    assert m.read("tief/1") == TEXT + "Über/mäßig/tief".encode()
    assert os.lstat(m.point).st_ino == os.lstat(m.path(".")).st_ino
    m.stop()
    m = mount(server, source="user@localhost:INBOX", ready=False)
    m.process.wait(20)
    assert m.process.returncode == 2  # port 993 of this machine has no server
    m.expect("localhost:993: ")
    m.finished(2)


def test_subtree_with_messages(server, mount):
    m = mount(server, mailbox="INBOX")
    assert os.listdir(m.point) == ["Receipts", "1"]
    assert m.read("1") == TEXT + b"INBOX"
    assert m.read("Receipts/1") == TEXT + b"INBOX/Receipts"


def test_no_such_subtree(server, mount):
    m = mount(server, mailbox="nowhere", ready=False)
    m.expect("there is no mailbox nowhere")
    m.finished(5)


def test_subscribed(server, mount):
    with server.client() as client:
        for name in ("INBOX", "Entwürfe", "仕事/請求書"):
            client.command(b"SUBSCRIBE " + imapraw.quote(imapraw.utf7_encode(name)))
    m = mount(server, "subscribed")
    assert sorted(os.listdir(m.point)) == ["Entwürfe", "INBOX", "仕事"]
    assert os.listdir(m.path("仕事")) == ["請求書"]
    assert m.read("仕事/請求書/1") == TEXT + "仕事/請求書".encode()
    assert os.listdir(m.path("INBOX")) == ["1"]


@pytest.mark.parametrize("mail_format", ["maildir", "mdbox"])
def test_another_delimiter(mount, mail_format):
    """Levels are directories, whatever separates them; a slash in a level is escaped."""
    with Dovecot(mail_format=mail_format, extra="namespace inbox {\n  separator = .\n}\n") as server:
        with server.client() as client:
            for name in ("Archive.2023.Projects", "Lists.fuse"):
                client.create(name)
            client.append("Archive.2023.Projects", [Mail("", TEXT)])
        m = mount(server)
        assert sorted(os.listdir(m.point)) == ["Archive", "INBOX", "Lists"]
        assert m.read("Archive/2023/Projects/1") == TEXT
        m.stop()


def test_control_characters_are_escaped(server, mount):
    m = mount(server)
    assert "tab%09in it" in os.listdir(m.point)
    assert m.read("tab%09in it/1") == TEXT + b"tab\tin it"


@pytest.mark.parametrize("name", ["x" * 250, "x" * 234, "ü" * 85, "Archive/" + "日" * 70, "🎉" * 40], ids=range(5))
def test_long_names_are_removed(mount, start_server, name):
    """Also where no room is left for the name under which a mailbox is removed."""
    server = start_server()
    m = mount(server)
    os.makedirs(m.path(name))
    assert name in server.mailboxes()
    os.rmdir(m.path(name))
    assert name not in server.mailboxes() and not [other for other in server.mailboxes() if "~imapfs" in other]
