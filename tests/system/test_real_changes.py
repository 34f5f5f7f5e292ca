# SPDX-License-Identifier: MIT
"""Mail is moved, copied, written and flagged on each of the real servers, through one mount: each message is where it
was asked to be, once, with its octets, its date and its flags, and everything else is as it was."""
import os
import shutil
import sys

import pytest

import imapraw
import tree
from dovecot import Mail
from mounting import Mount, run, wait_until
from programs import PROGRAM
from test_real_servers import KINDS

WHEN = 1700000000
# Each has two mailboxes of its own, which are there before the mount.
TESTS = ("test_moves", "test_copies", "test_flags", "test_flagged_and_moved", "test_written_again")
CONTENTS = {"A": range(1, 9), "B": range(11, 14)}


@pytest.fixture(name="kind", params=KINDS, scope="module")
def fixture_kind(request):
    return request.param


@pytest.fixture(name="server", scope="module")
def fixture_server(kind):
    with KINDS[kind]() as server:
        for name in TESTS:
            for letter, numbers in CONTENTS.items():
                box = server.box(name + letter)
                server.create(box)
                server.load(Mail(box, text(i), WHEN + i, ["\\Seen", "$Work"] if i % 2 else []) for i in numbers)
        yield server


@pytest.fixture(name="m", scope="module")
def fixture_m(server, tmp_path_factory):
    directory = str(tmp_path_factory.mktemp("mount"))
    os.chmod(directory, 0o755)
    with Mount(PROGRAM, server, directory, "async") as m:
        yield m


def text(number):
    return b"From: a@example.org\r\nSubject: number %d\r\n\r\nThis is message %d.\r\n" % (number, number)


class Box:
    """A mailbox, and what should be in it: octets, date and flags of each message."""

    def __init__(self, server, m, name):
        self.server, self.m, self.name = server, m, server.box(name)
        self.path = tree.path_of(self.name, server.delimiter)
        assert len(os.listdir(self.at())) == len(self.now())

    def at(self, *names):
        return self.m.path(self.path, *names)

    def now(self):
        """{number of the text: (its date, its flags)}; nothing may be there twice, or be another."""
        with self.server.client() as client:
            client.examine(self.name)
            bodies, dates, flags = client.fetch_bodies(), client.dates(), client.flags()
        found = {}
        for uid, body in bodies.items():
            number = next(i for i in range(100) if text(i) == body)
            assert number not in found
            found[number] = imapraw.seconds(dates[uid]) - WHEN, flags[uid]
        return found

    def listed(self):
        """{number: its name}, through the mount."""
        names = {}
        for name in os.listdir(self.at()):
            body = self.m.read(self.path, name)
            names[next(i for i in range(100) if text(i) == body)] = name
        return names


@pytest.fixture(name="boxes")
def fixture_boxes(server, m, request):
    return [Box(server, m, request.node.name.partition("[")[0] + letter) for letter in CONTENTS]


def sync(m):
    run(PROGRAM, "--sync", m.point)


def test_moves(m, boxes):
    """One, many onto names that are there, and back by another name."""
    a, b = boxes
    everything = {**a.now(), **b.now()}
    run("mv", a.at("5"), b.at())
    assert m.read(b.path, "5") == text(5)
    run("mv", "-f", *(a.at(str(i)) for i in (1, 2, 3)), b.at())
    assert sorted(os.listdir(a.at())) == ["4", "6", "7", "8"]
    sync(m)
    assert set(a.now()) == {4, 6, 7, 8} and {**a.now(), **b.now()} == everything
    wait_until(lambda: len(os.listdir(b.at())) == 7, "all are listed")
    names = b.listed()
    os.rename(b.at(names[2]), a.at("back"))
    assert m.read(a.path, "back") == text(2)
    sync(m)
    assert set(a.now()) == {2, 4, 6, 7, 8} and {**a.now(), **b.now()} == everything


def test_copies(m, boxes):
    """From mailbox to mailbox by the server, and out and in again; both keep dates and flags, where asked to."""
    a, b = boxes
    of_a, of_b = a.now(), b.now()
    run("cp", a.at("5"), b.at())
    run("cp", "-a", a.at("6"), b.at())
    outside = os.path.join(m.directory, "outside")
    run("cp", "-a", a.at("7"), outside)
    for _ in range(2):
        run("rsync", "-aX", outside, b.at("letter"))
    sync(m)
    assert a.now() == of_a
    assert b.now() == {**of_b, 5: of_a[5], 6: of_a[6], 7: of_a[7]}
    wait_until(lambda: len(os.listdir(b.at())) == 6, "all are listed")
    assert m.read(b.path, "letter") == text(7)


def test_flags(m, boxes):
    """Set on one and on many, moved along before they are there, and read; nothing is seen by reading."""
    a, _ = boxes
    of_a = a.now()
    os.setxattr(a.at("2"), "user.imap.flags", b"\\Flagged \\Answered")
    for i in (3, 4, 5):
        os.setxattr(a.at(str(i)), "user.imap.flags", b"\\Seen")
    assert os.getxattr(a.at("2"), "user.imap.flags") == b"\\Answered \\Flagged"
    sync(m)
    for name in os.listdir(a.at()):
        m.read(a.path, name)
    want = {2: {"\\Flagged", "\\Answered"}, 3: {"\\Seen"}, 4: {"\\Seen"}, 5: {"\\Seen"}}
    assert a.now() == {i: (date, frozenset(want.get(i, flags))) for i, (date, flags) in of_a.items()}


def test_flagged_and_moved(m, boxes):
    """At once, by one journal: the flags come along."""
    a, b = boxes
    everything = {**a.now(), **b.now()}
    for i in (2, 4):
        os.setxattr(a.at(str(i)), "user.imap.flags", b"\\Flagged")
        os.rename(a.at(str(i)), b.at(f"moved{i}"))
    os.unlink(a.at("1"))
    sync(m)
    want = {i: (date, frozenset({"\\Flagged"}) if i in (2, 4) else flags) for i, (date, flags) in everything.items() if i != 1}
    assert set(a.now()) == {3, 5, 6, 7, 8} and {**a.now(), **b.now()} == want
    assert m.read(b.path, "moved2") == text(2)


AGAIN = """
import os, sys
for number in (30, 31, 32):
    with open(sys.argv[1], "wb") as target:
        target.write(b"From: a@example.org\\r\\nSubject: number %d\\r\\n\\r\\nThis is message %d.\\r\\n" % (number, number))
        os.fsync(target.fileno())
"""


def test_written_again(m, boxes):
    """A program that saves three times leaves the last; one that puts in the same again adds nothing."""
    a, b = boxes
    of_b = b.now()
    run(sys.executable, "-c", AGAIN, b.at("letter"))
    sync(m)
    assert set(b.now()) == {*of_b, 32}
    source = os.path.join(m.directory, "again")
    os.makedirs(source)
    for i in (40, 41):
        with open(os.path.join(source, f"letter{i}"), "wb") as target:
            target.write(text(i))
        os.utime(target.name, (WHEN + i, WHEN + i))
    archive = source + ".tar"
    run("tar", "-C", source, "-cf", archive, ".")
    for _ in range(2):
        run("tar", "-C", b.at(), "-xf", archive)
        sync(m)
        now = b.now()
        assert set(now) == {*of_b, 32, 40, 41} and now[40][0] == 40 and now[41][0] == 41
    assert set(a.now()) == set(range(1, 9))
    shutil.rmtree(source)


