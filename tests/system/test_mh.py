# SPDX-License-Identifier: MIT
"""MAILBOX/.mh_sequences: a mailbox is an MH folder as it is."""
import mailbox
import os
import subprocess

import pytest

from fakeimap import CAPABILITIES, FakeImap, Mailbox, Message
from mounting import run, wait_until
from programs import PROGRAM
from servers import errno_of, mount
from terminal import Terminal

TEXT = b"From: a@example.org\r\nSubject: x\r\n\r\nbody\r\n"
NAME = ".mh_sequences"
ASYNC = {"async": True}


def fake(**behaviour):
    flags = [["\\Seen"], [], [], ["\\Seen", "\\Flagged"], ["\\Answered"], ["\\Seen", "$Work"]]
    return FakeImap({"INBOX": Mailbox([Message(TEXT, flags=f) for f in flags]), "Empty": [], "Other/In": [TEXT] * 3},
                    capabilities=CAPABILITIES + ("CONDSTORE",), **behaviour)


def flags(server):
    return [sorted(flag.decode() for flag in message.flags) for message in server.mailbox("INBOX").messages]


def stored(m, server, *names):
    """What was promised is done; the commands that did it."""
    before = len(server.lines("UID STORE"))
    run(PROGRAM, "--sync", m.point)
    return server.lines("UID STORE")[before:]


def shown(m):
    return (m.root / "INBOX" / NAME).read_text()


def test_shown():
    with fake() as server, mount(server) as m:
        inbox = m.root / "INBOX"
        names = os.listdir(inbox)
        assert NAME not in names and not [name for name in os.listdir(m.root) if name[0] == "."]
        before = len(server.lines("UID FETCH"))
        path = inbox / NAME
        assert os.access(path, os.R_OK | os.W_OK)
        assert path.read_text() == "unseen: 2-3 5\nflagged: 4\nreplied: 5\n"
        assert path.stat().st_size == len(path.read_text())
        assert [line for line in server.lines("UID FETCH")[before:] if "FLAGS" in line] == ["UID FETCH 1:* (UID FLAGS)"]
        ino = path.stat().st_ino
        assert ino >> 32 not in (0, inbox.stat().st_ino >> 32) and path.stat().st_ino == ino
        assert (m.root / "Empty" / NAME).read_text() == ""
        assert (m.root / "Other/In" / NAME).read_text() == "unseen: 1-3\n"
        assert errno_of(os.stat, m.root / "Other" / NAME) == "ENOENT" == errno_of(os.stat, m.root / NAME)
        assert errno_of(os.mkdir, path) == "EEXIST" and errno_of(os.rename, path, inbox / "x") == "EPERM"
        # Whoever sees a change of another client is told by the time, too.
        time = path.stat().st_mtime_ns
        server.set_flags("INBOX", 2, "\\Seen")
        wait_until(lambda: shown(m) == "unseen: 3 5\nflagged: 4\nreplied: 5\n", "it is seen")
        assert path.stat().st_mtime_ns > time
        assert subprocess.run(["grep", "-rl", "unseen", m.point], capture_output=True, check=False).stdout == b""


def test_remount(directory):
    """Inodes stay, and offline what is remembered is shown."""
    with fake() as server:
        with mount(server, directory) as m:
            text, ino = shown(m), (m.root / "INBOX" / NAME).stat().st_ino
        with mount(server, directory, offline=True) as m:
            assert shown(m) == text and (m.root / "INBOX" / NAME).stat().st_ino == ino


def test_read_only():
    with fake() as server, mount(server, ro=True) as m:
        path = m.root / "INBOX" / NAME
        assert path.read_text().startswith("unseen") and not path.stat().st_mode & 0o222
        assert errno_of(path.write_text, "unseen: 1\n") == "EROFS" == errno_of(os.unlink, path)


def rename(m, text, unlink=False):
    """As neomutt, and, with unlink, mutt do it."""
    inbox = m.root / "INBOX"
    (inbox / ".mutt-host-1-2").write_text(text)
    if unlink:
        os.unlink(inbox / NAME)
        assert errno_of(os.link, inbox / ".mutt-host-1-2", inbox / NAME) == "EPERM"
    os.rename(inbox / ".mutt-host-1-2", inbox / NAME)


@pytest.mark.parametrize("unlink", [False, True])
def test_renamed(unlink):
    with fake() as server, mount(server, **ASYNC) as m:
        os.listdir(m.root / "INBOX")
        assert shown(m) == "unseen: 2-3 5\nflagged: 4\nreplied: 5\n"
        # Another client changes what the program does not: that stays.
        server.set_flags("INBOX", 6, "\\Flagged", "$Work", "\\Seen")
        rename(m, "unseen: 3 5 77-4294967295\nflagged: 2 4\ncur: 3\n", unlink)
        commands = stored(m, server)
        assert sorted(commands) == ["UID STORE 2 +FLAGS (\\Seen \\Flagged)", "UID STORE 5 -FLAGS (\\Answered)"]
        assert flags(server) == [["\\Seen"], ["\\Flagged", "\\Seen"], [], ["\\Flagged", "\\Seen"], [],
                                 ["$Work", "\\Flagged", "\\Seen"]]
        wait_until(lambda: shown(m) == "unseen: 3 5\nflagged: 2 4 6\ncur: 3\n", "both are shown")
        # Nothing at all is what mutt writes when all is read.
        rename(m, "", unlink)
        stored(m, server)
        assert not [f for f in flags(server) if "\\Seen" not in f or "\\Flagged" in f or "\\Answered" in f]
        assert shown(m) == "" and not [name for name in os.listdir(m.root / "INBOX") if name[0] == "."]


def test_no_sequences():
    with fake() as server, mount(server, **ASYNC) as m:
        text = shown(m)
        for wrong in ("nonsense\n", "unseen: 1-\n", "unseen: 3-1\n", "unseen: 99999999999\n", "unseen: x", ": 1\n"):
            assert errno_of(rename, m, wrong) == "EINVAL"
        assert errno_of(rename, m, "cur: " + 100000 * "1 ") == "EFBIG"
        assert shown(m) == text and not stored(m, server)
        os.unlink(m.root / "INBOX" / NAME)
        assert errno_of(shown, m) == "ENOENT"
        assert subprocess.run(["cat", m.root / "INBOX" / NAME], capture_output=True, check=True).stdout.decode() == text


def test_unlisted_is_left_alone():
    """A message that came after the listing is not in what a program writes, and stays unseen."""
    with fake() as server, mount(server, **ASYNC) as m:
        shown(m)
        os.listdir(m.root / "INBOX")
        new = server.append("INBOX", TEXT)
        wait_until(lambda: str(new) in shown(m), "it is known")
        rename(m, "unseen: 3\nflagged: 4\nreplied: 5\n")
        stored(m, server)
        assert shown(m) == f"unseen: 3 {new}\nflagged: 4\nreplied: 5\n"


def test_written_in_place():
    """As nmh and Python do it: cut to nothing, and written."""
    with fake() as server, mount(server, **ASYNC) as m:
        path = m.root / "INBOX" / NAME
        shown(m)
        path.write_text("unseen: 2-3\nflagged: 4-5\nreplied: 5\n")
        assert sorted(stored(m, server)) == ["UID STORE 5 +FLAGS (\\Seen \\Flagged)"]
        with open(path, "r+", encoding="ascii") as file:
            os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))
            assert not stored(m, server)
            file.write("unseen: 2-3\nflagged: 4\nreplied: 5\n")
        assert stored(m, server) == ["UID STORE 5 -FLAGS (\\Flagged)"]
        assert shown(m) == "unseen: 2-3\nflagged: 4\nreplied: 5\n"


def test_python():
    with fake() as server, mount(server, **ASYNC) as m:
        inbox = mailbox.MH(m.root / "INBOX", create=False)
        assert inbox.keys() == [1, 2, 3, 4, 5, 6]
        assert inbox.get_sequences() == {"unseen": [2, 3, 5], "flagged": [4], "replied": [5]}
        assert inbox[2].get_sequences() == ["unseen"]
        inbox.lock()
        inbox.set_sequences({"unseen": [3, 5], "flagged": [2, 4], "replied": [5]})
        inbox.unlock()
        stored(m, server)
        assert flags(server)[1] == ["\\Flagged", "\\Seen"]
        assert inbox.get_sequences() == {"unseen": [3, 5], "flagged": [2, 4], "replied": [5]}


@pytest.mark.parametrize("program", ["mutt", "neomutt"])
def test_mutt(directory, program):
    """It lists the mailbox, flags, marks as read, and deletes."""
    with fake() as server, mount(server, directory, **ASYNC) as m:
        rc = os.path.join(directory, "rc")
        with open(rc, "w", encoding="ascii") as file:
            file.write(f"set folder={m.point} mbox_type=MH quit=yes delete=yes mh_purge=yes move=no sleep_time=0 wait_key=no\n")
        with Terminal([program, "-n", "-F", rc, "-f", m.root / "INBOX"], {"HOME": directory, "LC_ALL": "C.UTF-8"}) as t:
            t.expect(r"Msgs:6(/6)? New:3 Flag:1")
            t.keys("2\nFWNd$")
            t.expect("1 deleted")
            t.keys("q")
            t.end()
        stored(m, server)
        # F flags the second and goes to the third, WN clears "new" there and goes on, d deletes the fourth.
        assert os.listdir(m.root / "INBOX") == ["1", "2", "3", "5", "6"]
        assert flags(server) == [["\\Seen"], ["\\Flagged"], ["\\Seen"], ["\\Answered"], ["$Work", "\\Seen"]]
        assert shown(m) == "unseen: 2 5\nflagged: 2\nreplied: 5\n"


def nmh(directory, m, program, *arguments):
    """One of nmh's programs, with a profile of its own."""
    profile = os.path.join(directory, "profile")
    if not os.path.exists(profile):
        with open(profile, "w", encoding="ascii") as file:
            file.write(f"Path: {m.point}\nUnseen-Sequence: unseen\nContext: {directory}/context\n")
    where = {**os.environ, "MH": profile, "HOME": directory, "MHCONTEXT": f"{directory}/context"}
    return subprocess.run([f"/usr/bin/mh/{program}", *arguments], env=where, capture_output=True, check=True, text=True).stdout


def test_nmh(directory):
    with fake() as server, mount(server, directory, **ASYNC) as m:
        assert len(nmh(directory, m, "scan", "+INBOX").splitlines()) == 6
        assert nmh(directory, m, "mark", "+INBOX", "-sequence", "unseen", "-list") == "unseen: 2-3 5\n"
        nmh(directory, m, "mark", "+INBOX", "-sequence", "flagged", "3", "-add", "-nozero")
        nmh(directory, m, "show", "+INBOX", "2", "-showproc", "cat")
        stored(m, server)
        assert flags(server)[1:3] == [["\\Seen"], ["\\Flagged"]]
        assert nmh(directory, m, "pick", "+INBOX", "cur") == "2\n"


def test_refused():
    """What the server refuses is told with -o sync, and shows as it is."""
    with fake() as server, mount(server, sync=True, says=["flags not changed"]) as m:
        server.rule("UID STORE", reply=b"NO not for you")
        assert errno_of(rename, m, "unseen: 3 5\nflagged: 4\nreplied: 5\n") == "EACCES"
        assert shown(m) == "unseen: 2-3 5\nflagged: 4\nreplied: 5\n"
