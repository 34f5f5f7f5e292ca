# SPDX-License-Identifier: MIT
"""Tools that put mail into a mount as people use it, where rm and mv are answered before they are done: nothing is
lost, nothing is there twice, dates are right, and what cannot be is said. (More of them: test_drafts.py, test_move.py.)"""
import os
import subprocess
import time

import pytest

from dovecot import Mail
from mounting import run, wait_until
from programs import PROGRAM
from terminal import Terminal

WHEN = 1600000000


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    # A Maildir server keeps tmp, new and cur for itself.
    return start_server([Mail("INBOX", b"Subject: old\r\n\r\n", 1500000000)], mail_format="mdbox")


@pytest.fixture(name="box")
def fixture_box(server, own_name):
    server.create(own_name)
    return own_name


@pytest.fixture(name="m")
def fixture_m(server, box, mount, slow):
    """A tool that replaces a file removes it a moment before."""
    return mount(server, "async", **slow)


@pytest.fixture(name="source")
def fixture_source(directory):
    """A directory with three letters, each of its own day."""
    path = os.path.join(directory, "source")
    os.mkdir(path)
    for i in range(3):
        with open(os.path.join(path, f"letter{i}"), "wb") as target:
            target.write(text(i))
        os.utime(target.name, (WHEN + i, WHEN + i))
    return path


def text(number):
    return b"From: a@example.org\r\nSubject: %d\r\n\r\nbody\r\n" % number


def messages(server, m, box):
    """Octets and dates of all, when everything is done."""
    run(PROGRAM, "--sync", m.point)
    return sorted(server.letters(box))


LETTERS = [(text(i), WHEN + i) for i in range(3)]


def test_cpio_twice(server, box, m, source):
    for _ in range(2):
        run("bash", "-c", 'cd "$1" && find . -type f | cpio -o --quiet | (cd "$2" && cpio -idum --quiet)', "bash", source,
            m.path(box))
        assert messages(server, m, box) == LETTERS


@pytest.mark.parametrize("tool", ["rsync", "tar", "cp"])
def test_backup_put_back_twice(server, box, m, directory, tool):
    """Files that are called by UIDs, which are others' here, also after a listing and a remount."""
    backup = os.path.join(directory, "backup")
    os.mkdir(backup)
    for i, name in enumerate(("2", "3", "7")):
        with open(os.path.join(backup, name), "wb") as target:
            target.write(text(i))
        os.utime(target.name, (WHEN + i, WHEN + i))
    for turn in range(4):
        if turn == 3:
            m.restart()
        m.tolerate("messages cannot be edited")
        if tool == "rsync":
            run("rsync", "-a", backup + "/", m.path(box))
        elif tool == "cp":
            run("cp", "-af", backup + "/.", m.path(box))
        else:
            run("bash", "-c", 'tar -C "$1" -cf - . | tar -C "$2" -xf -', "bash", backup, m.path(box))
        assert messages(server, m, box) == LETTERS
        assert sorted(os.listdir(m.path(box))) == ["1", "2", "3"]


@pytest.mark.parametrize("named", [False, True], ids=["plain", "named"])
def test_put_back_before_a_listing(server, box, mount, named):
    """As rsync puts a file there, twice, and nobody lists the directory in between: the number that each has is the UID
    of another by now."""
    m = mount(server, "async", *["layout=named"] * named)
    names = ("2.2.eml", "1.1.eml") if named else ("2", "1")
    for _ in range(3):
        for i, name in enumerate(names):
            with open(m.path(box, ".name.x"), "wb") as target:
                target.write(text(i))
            os.utime(target.name, (WHEN + i, WHEN + i))
            os.rename(target.name, m.path(box, name))
        assert sorted(server.letters(box)) == LETTERS[:2]


def test_copied_onto_itself(server, box, m, source):
    """A copy of a message of the mount, twice: what is there already is not copied once more."""
    run("cp", "-a", os.path.join(source, "letter0"), m.path("INBOX"))
    for _ in range(2):
        run("cp", "--remove-destination", m.path("INBOX", "letter0"), m.path(box, "copy"))
        assert sorted(server.letters(box)) == LETTERS[:1]


def test_append_to_a_message(server, box, m, source):
    """Messages cannot be edited, and the log says it once."""
    run("cp", "-a", os.path.join(source, "letter0"), m.path(box))
    m.expect(r"1: messages cannot be edited")
    for operator in (">>", ">", ">>"):
        result = run("bash", "-c", f'echo more {operator} "$1"', "bash", m.path(box, 1), check=False)
        assert result.returncode == 1 and "Permission denied" in result.stderr
    assert messages(server, m, box) == LETTERS[:1]


# Each removes $1 in its directory and makes it anew, from $2/new.
REPLACERS = {
    "cp": 'cp -f "$2/new/$1" "$1"',
    "install": 'install "$2/new/$1" "$1"',
    "mv": 'mv -f "$2/new/$1" "$1"',
    "tar": 'tar -C "$2/new" -c "$1" | tar -x',
    "unzip": '(cd "$2/new" && zip -q ../zip "$1") && unzip -qo "$2/zip" "$1"',
    "cpio": '(cd "$2/new" && echo "$1" | cpio -o --quiet) | cpio -idu --quiet',
    "who writes": """python3 -c 'import os, sys
for name, remove in (("other", False), (sys.argv[1], True)):
    if remove: os.unlink(name)
    with open(name, "wb") as target: target.write(open(sys.argv[2] + "/new/" + sys.argv[1], "rb").read())' "$1" "$2" """,
}


def test_replacers_with_dirsync(server, box, mount, directory, slow):
    """Where rm waits for the server, who is about to replace a file does not, and the message stays."""
    m = mount(server, "dirsync", **slow)
    m.expect("1: messages cannot be edited")
    new = os.path.join(directory, "new")
    os.mkdir(new)
    names = [str(i + 1) for i in range(len(REPLACERS))]
    for name in names:
        with open(os.path.join(new, name), "wb") as target:
            target.write(text(int(name)))
        run("cp", target.name, m.path(box))
        with open(os.path.join(new, name), "wb") as target:
            target.write(b"Subject: new %s\r\n\r\n" % name.encode())
    assert sorted(os.listdir(m.path(box))) == names
    for name, script in zip(names, REPLACERS.values()):
        run("bash", "-ec", script, "bash", name, directory, cwd=m.path(box))
    added = [b"Subject: new %s\r\n\r\n" % name.encode() for name in [*names, names[-1]]]
    found = [body for body, _ in messages(server, m, box)]
    assert found == sorted([*map(text, map(int, names)), *added])
    assert names[0] in os.listdir(m.path(box))
    run("rm", m.path(box, names[0]))
    with server.client() as client:
        client.examine(box)
        assert text(1) not in client.fetch_bodies().values()


@pytest.mark.parametrize("answer", ["y", "n"])
def test_mv_asks(server, box, m, source, answer):
    """Whatever is answered, what was there stays."""
    run("cp", "-a", os.path.join(source, "letter0"), m.path(box))
    before = messages(server, m, "INBOX")
    assert os.listdir(m.path("INBOX")) and os.listdir(m.path(box)) == ["1"]
    run("bash", "-c", 'echo "$1" | mv -i "$2" "$3"', "bash", answer, m.path(box, 1), m.path("INBOX"), check=False)
    moved = LETTERS[:1] if answer == "y" else []
    assert messages(server, m, "INBOX") == sorted(before + moved)
    assert messages(server, m, box) == ([] if moved else LETTERS[:1])


def test_rsync_keeps_flags(server, box, m, source):
    os.setxattr(os.path.join(source, "letter1"), "user.imap.flags", b"\\Seen $Work")
    for _ in range(2):
        run("rsync", "-aX", source + "/", m.path(box))
        assert messages(server, m, box) == LETTERS
    assert sorted(map(sorted, server.flags(box).values())) == [[], [], ["$Work", "\\Seen"]]


def test_date_of_a_message_without_one(server, box, m, directory):
    """It is when it was written, and the same here and there."""
    with open(os.path.join(directory, "letter"), "wb") as target:
        target.write(text(0))
    began = int(time.time())
    wait_until(lambda: time.time() >= began + 2, "two seconds after the mailbox was seen")
    run("cp", target.name, m.path(box))
    (_, date), = messages(server, m, box)
    assert date >= began + 2
    assert os.stat(m.path(box, 1)).st_mtime == date


def maildir(m, name):
    for part in ("tmp", "new", "cur"):
        os.makedirs(m.path(name, part))


def test_mblaze(server, box, m, source):
    """A file of tmp gets a name that begins with a number, and then its real one."""
    maildir(m, box)
    maildir(m, box + "2")
    with open(os.path.join(source, "letter0"), "rb") as letter:
        subprocess.run(["mdeliver", m.path(box)], stdin=letter, check=True, timeout=50)
    parts = [f"{name}/{part}" for name in (box, box + "2") for part in ("tmp", "new", "cur")]

    def where():
        return [[body for body, _ in messages(server, m, part)] for part in parts]
    assert where() == [[], [text(0)], [], [], [], []]
    wait_until(lambda: os.listdir(m.path(box, "new")) == ["1"], "it is listed")
    run("mrefile", m.path(box, "new", 1), m.path(box + "2"))
    assert where() == [[], [], [], [], [], [text(0)]]
    m.restart()  # nothing is left to be done
    assert where() == [[], [], [], [], [], [text(0)]]


def test_nano(server, box, m):
    """Saves twice: one message, the last."""
    with Terminal(["nano", "-I", "-L", m.path(box, "letter")], {"HOME": "/tmp"}) as nano:
        nano.expect("letter")
        written = "Subject: x\r\n\r\n"
        for i in range(2):
            nano.keys((written if i == 0 else "").replace("\r\n", "\r") + f"line {i}\r")
            written += f"line {i}\r\n"
            nano.keys("\x0f\r")  # writes, to the name that it asks about
            wanted = [written.encode()]
            wait_until(lambda: [body for body, _ in messages(server, m, box)] == wanted, "one message")  # noqa: B023
        nano.keys("\x18")
        nano.end()
    assert len(os.listdir(m.path(box))) == 1
