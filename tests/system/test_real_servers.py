# SPDX-License-Identifier: MIT
"""The main promises on each of the real servers: Dovecot with two kinds of store, Cyrus, Courier.

Where a server differs by its nature, the difference is asserted: see REFUSED, WATCHING and the like.
"""
import contextlib
import os

import pytest

import mailgen
import tree
from dovecot import Dovecot
from imapraw import ImapError
from imapserver import Mail
from mounting import run, wait_until
from servers import errno_of
from test_read import AWKWARD
from unpacked import Courier, Cyrus

KINDS = {
    "dovecot-mdbox": lambda: Dovecot(mail_format="mdbox"), "dovecot-maildir": Dovecot,
    "cyrus": Cyrus, "courier": Courier,
}
# As a path; what a level of it holds is any server's own affair.
NAMES = ("Entwürfe", "Über/mäßig/tief", "仕事/請求書", "🎉 Party", "R&D", "100% wool", "50%25", "a.b.c", "x%41y", "-rf",
         "with  two blanks", "quote\"d", "back\\slash", "star*", "~home", "2024", "name.eml", "tab\tin it", "A/b/C/d")
REFUSED_NAMES = {
    "dovecot-mdbox": {"~home", "tab\tin it"}, "dovecot-maildir": {"~home", "tab\tin it"},
    "cyrus": {"100% wool", "50%25", "x%41y", "quote\"d", "back\\slash", "tab\tin it"},
    "courier": {"🎉 Party"},
}
REFUSED_MESSAGES = {
    "dovecot-mdbox": set(), "dovecot-maildir": set(), "courier": set(),
    "cyrus": {"no header, no blank line", "one octet", "bare CR and LF"},
}
# What tells of changes at once.
WATCHING = {"dovecot-mdbox": ("NOTIFY",), "dovecot-maildir": ("NOTIFY",), "cyrus": ("IDLE", "NOTIFY"), "courier": ("polling", "IDLE")}
COUNT = 250
SECONDS = 8


def text(number):
    return b"Subject: number %d\r\n\r\nThis is message %d.\r\n" % (number, number)


@pytest.fixture(name="kind", params=KINDS, scope="module")
def fixture_kind(request):
    return request.param


@pytest.fixture(name="server", scope="module")
def fixture_server(kind):
    with KINDS[kind]() as server:
        yield server


@pytest.fixture(name="refused", scope="module")
def fixture_refused(server):
    """(names, messages) that the server did not take when the account was filled."""
    names, messages = set(), set()
    with server.client() as client:
        for name in NAMES:
            box = server.box(name)
            try:
                client.create(box)
            except ImapError:
                names.add(name)
                continue
            client.append(box, [Mail(box, text(1) + name.encode(), 1700000000)])
        box = server.box("Awkward")
        client.create(box)
        for name, body in AWKWARD.items():
            try:
                client.append(box, [Mail(box, body, 1700000000)])
            except ImapError:
                messages.add(name)
    server.load(Mail("INBOX", mail.body, mail.date, mail.flags) for mail in mailgen.messages(COUNT))
    return names, messages


@pytest.mark.usefixtures("refused")
def test_walk(server, mount):
    """The names that a walk finds are the server's: the first time, when there is news in each mailbox after a remount,
    and when the same mount is walked again."""
    boxes = [server.box(f"walk/{'left' if i % 2 else 'right'}/m{i}") for i in range(40)]
    server.load(Mail(box, text(k), 1700000000) for i, box in enumerate(boxes) for k in range(1 + i % 3))
    m = mount(server)

    def found():
        paths = run("find", m.point, "-type", "f", "-not", "-path", "*/.imapfs/*").stdout.splitlines()
        return {os.path.relpath(path, m.point) for path in paths}
    before = found()
    assert before == set(tree.expected(server))
    m.stop()
    server.load(Mail(box, text(9), 1700000000) for box in boxes[::2])
    server.expunge(boxes[2], [1])
    m.start()
    after = found()
    assert after == set(tree.expected(server)) and len(after) == len(before) + 19
    server.load(Mail(box, text(10), 1700000000) for box in boxes[::3])
    wait_until(lambda: found() == set(tree.expected(server)), "the same mount shows what came")


@pytest.fixture(name="box")
def fixture_box(server, own_name):
    """A mailbox of its own for a test, with 5 messages."""
    box = server.box(own_name)
    server.load(Mail(box, text(i), 1700000000 + i) for i in range(1, 6))
    return box


def place(server, m, box, *names):
    return m.path(tree.path_of(box, server.delimiter), *names)


def status(m, word):
    lines = m.read(".imapfs", "status").decode().splitlines()
    return [line.partition(": ")[2] for line in lines if line.startswith(f"{word}: ")]


def test_takes_what_it_takes(refused, kind):
    """What the other tests have to go by."""
    assert refused == (REFUSED_NAMES[kind], REFUSED_MESSAGES[kind])


@pytest.mark.usefixtures("refused")
def test_backup(server, mount, proxy):
    """rsync's copy is what the server holds, octet by octet, and nothing changed by it. After a remount
    all of it comes from the cache."""
    before = server.flags_snapshot()
    line = proxy(server)
    m = mount(server, "ro", port=line.port)
    copy = os.path.join(m.directory, "copy")
    run("rsync", "-a", m.point + "/", copy)
    assert tree.compare(server, copy) == []
    assert server.flags_snapshot() == before
    first = line.received()
    m.restart()
    line.ask("reset")
    assert run("rsync", "-ai", m.point + "/", copy).stdout == ""
    run("diff", "-r", m.point, copy)
    assert line.received() < first / 10
    m.stop()


@pytest.mark.usefixtures("refused")
def test_names_and_times(server, mount):
    m = mount(server)
    assert tree.compare(server, m.point, contents=False) == []
    for name in NAMES:
        path = tree.path_of(server.box(name), server.delimiter)
        assert os.path.isdir(m.path(path)) == (server.box(name) in server.mailboxes()), path


def test_unlink(server, box, mount):
    """Just the one: what another client marked stays."""
    server.store(box, [2, 3], "+", ["\\Deleted"])
    before = server.flags(box)
    m = mount(server)
    os.unlink(place(server, m, box, "4"))
    assert server.flags(box) == {uid: flags for uid, flags in before.items() if uid != 4}
    os.unlink(place(server, m, box, "2"))
    assert sorted(server.flags(box)) == [1, 3, 5]
    assert os.listdir(place(server, m, box)) == ["1", "3", "5"]
    run("rm", "-f", *(place(server, m, box, str(uid)) for uid in (1, 3, 5)))
    assert server.fetch_all(box) == {}


def test_folders(server, kind, box, mount):
    """Made, renamed with what is below, and removed, by us."""
    m = mount(server)
    m.tolerate(r"UIDVALIDITY of .* changed: its messages are new ones")
    # What is looked at by the way may be removed meanwhile.
    m.tolerate("cannot select .*: Mailbox does not exist")
    made, below, renamed = (server.box(name) for name in ("Möbel R&D", "Möbel R&D/tief/unten", "Neu"))
    run("mkdir", "-p", place(server, m, below))
    assert {made, below} <= set(server.mailboxes())
    server.deliver(below, text(1))
    wait_until(lambda: os.path.exists(place(server, m, below, "1")), "new mail comes", SECONDS)
    inodes = [os.stat(place(server, m, below, name)).st_ino for name in (".", "1")]
    with open(place(server, m, below, "1"), "rb") as file:
        os.rename(place(server, m, made), place(server, m, renamed))
        # Cyrus numbers anew what is renamed: the messages may be others then.
        assert errno_of(file.read) in ((None, "ESTALE") if kind == "cyrus" else (None,))
    below = server.box("Neu/tief/unten")
    wait_until(lambda: os.path.exists(place(server, m, below, "1")), "it is under the new name", SECONDS)
    if kind != "cyrus":
        assert [os.stat(place(server, m, below, name)).st_ino for name in (".", "1")] == inodes
    assert m.read(place(server, m, below, "1")) == text(1)
    server.deliver(below, text(2))
    wait_until(lambda: os.path.exists(place(server, m, below, "2")), "and under the new name", SECONDS)
    with pytest.raises(OSError, match="not empty"):
        os.rmdir(place(server, m, below))
    os.rename(place(server, m, box), place(server, m, server.box("Neu/was da war")))
    assert len(server.fetch_all(server.box("Neu/was da war"))) == 5
    run("rm", "-r", place(server, m, renamed))
    assert not [name for name in server.mailboxes() if "Neu" in name or "imapfs-rmdir" in name]
    assert not os.path.exists(place(server, m, renamed))
    m.restart()
    assert not os.path.exists(place(server, m, renamed))


def test_changes_in_a_directory(server, kind, box, mount):
    """By another client, in the mailbox that was listed last: told of at once, without a look. An older Courier's IDLE
    looks once a minute; so imapfs does not count on it and asks each time."""
    m = mount(server, "refresh=3600", flags=("-f", "-d"))
    assert os.listdir(place(server, m, box)) == ["1", "2", "3", "4", "5"]
    if kind == "courier":
        m.wait_said("entering (ENHANCED )?idle mode")
    wait_until(lambda: status(m, "watching")[0] in WATCHING[kind], f"watching by {WATCHING[kind]}")
    assert m.read(tree.path_of(box, server.delimiter), 3) == text(3)
    uid = server.deliver(box, text(6))
    wait_until(lambda: os.path.exists(place(server, m, box, str(uid))), "the new message", SECONDS)
    assert m.read(tree.path_of(box, server.delimiter), uid) == text(6)
    server.expunge(box, [1, 3])
    wait_until(lambda: os.listdir(place(server, m, box)) == ["2", "4", "5", str(uid)], "and no more", SECONDS)
    wait_until(lambda: not os.path.exists(place(server, m, box, "3")), "gone by name, too", SECONDS)


def test_changes_of_mailboxes(server, mount):
    """Made, renamed and deleted by another client."""
    m = mount(server, "refresh=1")
    m.tolerate("cannot select")
    new, renamed = server.box("New/Möbel"), server.box("Renamed/Möbel")
    with server.client() as client:
        client.create(new)
        client.append(new, [Mail(new, text(1), 1700000000)])
    wait_until(server.names(lambda: os.path.isdir(place(server, m, new))), "the new mailbox", SECONDS)
    wait_until(lambda: os.path.exists(place(server, m, new, 1)), "its message", SECONDS)
    assert m.read(tree.path_of(new, server.delimiter), 1) == text(1)
    server.rename(new, renamed)
    wait_until(server.names(lambda: os.path.isdir(place(server, m, renamed))), "its new name", SECONDS)
    wait_until(server.names(lambda: not os.path.exists(place(server, m, new))), "no old name", SECONDS)
    (uid, body), = server.fetch_all(renamed).items()
    assert m.read(tree.path_of(renamed, server.delimiter), uid) == body == text(1)
    server.delete(renamed)
    wait_until(server.names(lambda: not os.path.exists(place(server, m, renamed))), "it is gone", SECONDS)


def make_again(server, box):
    """The same name and the same UIDs are other mail. Courier takes UIDVALIDITY from the clock, in seconds."""
    with server.client() as client:
        before = client.status(box)["UIDVALIDITY"]
        while client.status(box) is None or client.status(box)["UIDVALIDITY"] == before:
            client.delete(box)
            client.create(box)
    server.load(Mail(box, text(100 + i), 1700000000) for i in range(1, 4))


def number_anew(server, kind, box):
    """The messages stay, UIDVALIDITY changes."""
    if kind == "courier":
        path = os.path.join(server.root, "home", "Maildir", box.removeprefix("INBOX"), "courierimapuiddb")
        with open(path, "r+", encoding="ascii") as file:
            words = file.readline().split()
            rest = file.read()
            file.seek(0)
            file.truncate()
            file.write(" ".join([words[0], str(int(words[1]) + 1), *words[2:]]) + "\n" + rest)
    else:
        server.set_uidvalidity(box, 77)


@pytest.mark.parametrize("how", ["made again", "numbered anew"])
def test_uidvalidity(server, kind, box, how, mount):
    """Nothing of before is shown as mail of now, neither while mounted nor after a remount."""
    m = mount(server, "refresh=1")
    names = os.listdir(place(server, m, box))
    before = {name: (os.stat(place(server, m, box, name)).st_ino,
                     m.read(tree.path_of(box, server.delimiter), name)) for name in names}
    m.tolerate(r"UIDVALIDITY of .* changed: its messages are new ones")
    # Cyrus has no tool that numbers a mailbox anew.
    if how == "made again" or kind == "cyrus":
        make_again(server, box)
    else:
        number_anew(server, kind, box)
    wanted = server.fetch_all(box)

    def is_new():
        """It may have been seen before all were in it."""
        with contextlib.suppress(OSError):
            return os.stat(place(server, m, box, "1")).st_ino != before["1"][0] and \
                len(os.listdir(place(server, m, box))) == len(wanted)
    wait_until(is_new, "the messages are other files", SECONDS)

    def shown():
        return {int(name): m.read(tree.path_of(box, server.delimiter), name)
                for name in os.listdir(place(server, m, box))}
    assert shown() == wanted
    m.restart()
    assert shown() == wanted


def test_server_restarts(server, box, mount):
    m = mount(server)
    m.tolerate(r"localhost:\d+: |localhost: connected again")
    bodies = server.fetch_all(box)
    assert m.read(tree.path_of(box, server.delimiter), 1) == bodies[1]
    server.restart()
    assert m.read(tree.path_of(box, server.delimiter), 2) == bodies[2]
    assert os.listdir(place(server, m, box)) == [str(uid) for uid in bodies]


@pytest.mark.usefixtures("refused")
def test_subtree(server, mount):
    """Given with the server's own delimiter, or with slashes."""
    box = server.box("A/b/C")
    for name in {box, box.replace(server.delimiter, "/")}:
        m = mount(server, mailbox=name)
        assert os.listdir(m.point) == ["d"]
        assert m.read("d", 1) == server.fetch_all(server.box("A/b/C/d"))[1]


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("kind", ["cyrus"], indirect=True)
def test_another_view(server, mount):
    """The same Cyrus with unixhierarchysep and altnamespace: no INBOX. before the names, and slashes. It
    offers SCRAM-SHA-256-PLUS, and refuses it over TLS 1.3."""
    m = mount(server.slashes, "ro")
    assert tree.compare(server.slashes, m.point) == []
    assert os.listdir(m.path("A/b/C/d")) == ["1"]
