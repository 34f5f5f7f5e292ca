# SPDX-License-Identifier: MIT
"""Mailboxes as Maildirs: .maildir/MAILBOX/{cur,new,tmp}."""
import mailbox
import os
import subprocess

import pytest

from fakeimap import CAPABILITIES, FakeImap, Mailbox, Message
from mounting import run, wait_until
from programs import PROGRAM
from servers import errno_of, mount
from terminal import Terminal

TEXT = b"From: a@example.org\r\nSubject: x\r\nMessage-ID: <%d@x>\r\n\r\nbody\r\n"
ASYNC = {"async": True}
FLAGS = [["\\Seen"], [], ["\\Flagged"], ["\\Seen", "\\Answered", "$Forwarded"], ["\\Deleted", "\\Draft"], ["$Work"]]


def fake(**behaviour):
    return FakeImap({"INBOX": Mailbox([Message(TEXT % n, flags=f) for n, f in enumerate(FLAGS)]), "Empty": [],
                     "Other/In": [TEXT % 77]}, capabilities=CAPABILITIES + ("CONDSTORE", "UIDPLUS"), **behaviour)


def flags(server, name="INBOX"):
    return [sorted(flag.decode() for flag in message.flags) for message in server.mailbox(name).messages]


def stored(m, server):
    """The STOREs since the last time, when all is done: some may be before it is asked for."""
    run(PROGRAM, "--sync", m.point)
    lines = server.lines("UID STORE")
    new, server.told_of = lines[getattr(server, "told_of", 0):], len(lines)
    return new


def name(uid, letters, stamp=1689589805, validity=1700000000):
    return f"{stamp}.V{validity}U{uid}.127.0.0.1,U={uid}" + ("" if letters is None else f":2,{letters}")


def box(m, *names):
    return m.root.joinpath(".maildir", *names)


def test_shown(directory):
    with fake() as server:
        with mount(server, directory) as m:
            assert sorted(os.listdir(m.root)) == ["Empty", "INBOX", "Other"]
            assert sorted(os.listdir(box(m))) == ["Empty", "INBOX", "Other"]
            assert sorted(os.listdir(box(m, "INBOX"))) == ["cur", "new", "tmp"]
            assert sorted(os.listdir(box(m, "Other"))) == ["In"]
            assert os.listdir(box(m, "INBOX", "new")) == [name(2, None), name(6, None)]
            cur = [name(1, "S"), name(3, "F"), name(4, "PRS"), name(5, "DT")]
            assert os.listdir(box(m, "INBOX", "cur")) == cur
            assert os.listdir(box(m, "INBOX", "tmp")) == [] == os.listdir(box(m, "Empty", "cur"))
            for path, uid in [(box(m, "INBOX", "cur", n), u) for n, u in zip(cur, (1, 3, 4, 5))]:
                raw = m.root / "INBOX" / str(uid)
                assert path.stat().st_ino == raw.stat().st_ino and path.read_bytes() == raw.read_bytes()
            assert os.readlink(m.root / "INBOX/.maildir") == "../.maildir/INBOX"
            assert os.listdir(m.root / "Other/In/.maildir/new") == os.listdir(box(m, "Other/In/new"))
            for wrong in (name(1, ""), name(1, "SF"), name(1, None), name(1, "S", 1), name(1, "S", validity=5), name(9, "S"), "1"):
                assert errno_of(os.stat, box(m, "INBOX", "cur", wrong)) == "ENOENT"
            times = [box(m, "INBOX", side).stat().st_mtime for side in ("cur", "new")]
            inode = box(m, "INBOX/cur").stat().st_ino
        # Across a remount nothing has changed, so an indexer looks at nothing.
        with mount(server, directory) as m:
            assert [box(m, "INBOX", side).stat().st_mtime for side in ("cur", "new")] == times
            assert box(m, "INBOX/cur").stat().st_ino == inode
            server.set_flags("INBOX", 1, "\\Seen", "\\Flagged")
            wait_until(lambda: name(1, "FS") in os.listdir(box(m, "INBOX/cur")), "the new name is listed")
            wait_until(lambda: errno_of(os.stat, box(m, "INBOX/cur", name(1, "S"))) == "ENOENT", "the old one is gone")
            assert box(m, "INBOX/cur").stat().st_mtime > times[0] and box(m, "INBOX/new").stat().st_mtime == times[1]
        with mount(server, directory, offline=True) as m:
            assert os.listdir(box(m, "INBOX/cur"))[0] == name(1, "FS")
            assert box(m, "INBOX/new").stat().st_mtime == times[1]


def test_listed():
    with fake() as server, mount(server, views="list") as m:
        assert ".maildir" in os.listdir(m.root) and ".maildir" not in os.listdir(m.root / "INBOX")


def test_layout(directory):
    """Each mailbox's own directory is a Maildir."""
    with fake() as server, mount(server, directory, layout="maildir", **ASYNC) as m:
        assert sorted(os.listdir(m.root)) == ["Empty", "INBOX", "Other"]
        assert sorted(os.listdir(m.root / "INBOX")) == ["cur", "new", "tmp"]
        assert sorted(os.listdir(m.root / "Other")) == ["In"]
        assert len(os.listdir(m.root / "INBOX/cur")) == 4 and len(os.listdir(m.root / "INBOX/new")) == 2
        found = subprocess.run(["grep", "-rl", "body", m.point], capture_output=True, check=True, text=True).stdout
        assert len(found.splitlines()) == 7
        os.rename(m.root / "INBOX/new" / name(2, None), m.root / "INBOX/cur" / name(2, "S"))
        assert stored(m, server) == ["UID STORE 2 +FLAGS (\\Seen)"]
        assert len(mailbox.Maildir(m.root / "INBOX", create=False)) == 6


def test_renamed():
    with fake() as server, mount(server, **ASYNC) as m:
        new, cur = box(m, "INBOX/new"), box(m, "INBOX/cur")
        os.listdir(new), os.listdir(cur)
        times = new.stat().st_mtime, cur.stat().st_mtime
        os.rename(new / name(2, None), cur / name(2, "FS"))
        os.rename(new / name(6, None), cur / name(6, ""))
        os.rename(cur / name(4, "PRS"), cur / name(4, "RS"))
        assert os.listdir(new) == [] and new.stat().st_mtime > times[0] and cur.stat().st_mtime > times[1]
        assert [n.partition(":2,")[2] for n in os.listdir(cur)] == ["S", "FS", "F", "RS", "DT", ""]
        assert sorted(stored(m, server)) == ["UID STORE 2 +FLAGS (\\Flagged \\Seen)", "UID STORE 4 -FLAGS ($Forwarded)"]
        assert flags(server)[1:4] == [["\\Flagged", "\\Seen"], ["\\Flagged"], ["\\Answered", "\\Seen"]]
        os.rename(cur / name(1, "S"), new / name(1, None))
        assert stored(m, server) == ["UID STORE 1 -FLAGS (\\Seen)"] and os.listdir(new) == [name(1, None)]
        for target in (name(3, "X"), name(2, "F"), "3"):
            assert errno_of(os.rename, cur / name(3, "F"), cur / target) == "EPERM"
        assert errno_of(os.rename, cur / name(9, "F"), cur / name(9, "")) == "ENOENT"
        os.unlink(cur / name(3, "F"))
        assert name(3, "F") not in os.listdir(cur)
        run(PROGRAM, "--sync", m.point)
        assert len(flags(server)) == 5


def test_moved():
    """Into another mailbox's cur/: a move, with the flags that the name says."""
    with fake() as server, mount(server, **ASYNC) as m:
        cur = box(m, "INBOX/cur")
        os.listdir(cur)
        os.rename(cur / name(1, "S"), box(m, "Empty/cur") / name(1, "FS"))
        assert name(1, "S") not in os.listdir(cur)
        run(PROGRAM, "--sync", m.point)
        assert flags(server, "Empty") == [["\\Flagged", "\\Seen"]]
        wait_until(lambda: len(os.listdir(box(m, "Empty/cur"))) == 1, "it is listed there")


@pytest.mark.parametrize("side, letters, wanted", [("new", None, []), ("cur", "S", ["\\Seen"])])
def test_delivered(side, letters, wanted):
    with fake() as server, mount(server, **ASYNC) as m:
        tmp, to = box(m, "Empty/tmp"), box(m, "Empty", side)
        given = "1700000001.M1P2.host"
        (tmp / given).write_bytes(TEXT % 5)
        assert os.listdir(tmp) == [given] and not server.lines("APPEND")
        assert given not in os.listdir(m.root / "Empty")
        target = to / (given + ("" if letters is None else f":2,{letters}"))
        assert errno_of(os.link, tmp / given, target) == "EPERM"
        os.rename(tmp / given, target)
        assert len(server.lines("APPEND")) == 1 and flags(server, "Empty") == [wanted]
        # Its delivered name goes on to find it, and is not listed.
        assert target.read_bytes() == TEXT % 5 and os.listdir(tmp) == []
        assert os.listdir(to) != [target.name] and len(os.listdir(to)) == 1
        if side == "new":
            os.rename(target, box(m, "Empty/cur") / (given + ":2,S"))
            stored(m, server)
            assert flags(server, "Empty") == [["\\Seen"]]


def test_not_delivered():
    with fake() as server, mount(server, says=["not stored"], **ASYNC) as m:
        tmp, to = box(m, "Empty/tmp"), box(m, "Empty/new")
        (tmp / "x").write_bytes(TEXT % 5)
        (tmp / "empty").write_bytes(b"")
        server.rule("APPEND", reply=b"NO [OVERQUOTA] full")
        assert errno_of(os.rename, tmp / "x", to / "x") == "EDQUOT"
        assert errno_of(os.rename, tmp / "empty", to / "empty") == "EINVAL"
        assert sorted(os.listdir(tmp)) == ["empty", "x"] and os.listdir(to) == []
        os.unlink(tmp / "x")
        assert errno_of((to / "y").write_bytes, b"x") == "EPERM"
    with fake() as server, mount(server, ro=True) as m:
        assert errno_of((box(m, "Empty/tmp") / "x").write_bytes, TEXT) in ("EROFS", "EACCES")
        assert errno_of(os.rename, box(m, "INBOX/cur") / name(1, "S"), box(m, "INBOX/cur") / name(1, "")) == "EROFS"


def test_python():
    with fake() as server, mount(server, **ASYNC) as m:
        inbox = mailbox.Maildir(box(m, "INBOX"), create=False)
        assert len(inbox) == 6
        key = next(key for key in inbox.keys() if ",U=2" in key)
        message = inbox[key]
        assert message.get_subdir() == "new"
        message.add_flag("S")
        message.set_subdir("cur")
        found = os.path.join(inbox._path, inbox._lookup(key))
        os.rename(found, box(m, "INBOX/cur") / (key + ":2,S"))
        assert stored(m, server) == ["UID STORE 2 +FLAGS (\\Seen)"]
        mailbox.Maildir(box(m, "Empty"), create=False).add(TEXT % 6)
        run(PROGRAM, "--sync", m.point)
        assert len(flags(server, "Empty")) == 1


@pytest.mark.parametrize("program", ["mutt", "neomutt"])
def test_mutt(directory, program):
    """It lists, flags, deletes, and notices what comes."""
    with fake() as server, mount(server, directory, **ASYNC) as m:
        rc = os.path.join(directory, "rc")
        with open(rc, "w", encoding="ascii") as file:
            file.write(f"set folder={m.point} quit=yes delete=yes move=no sleep_time=0 wait_key=no mail_check=0 timeout=1\n")
        with Terminal([program, "-n", "-F", rc, "-f", box(m, "INBOX")], {"HOME": directory, "LC_ALL": "C.UTF-8"}) as t:
            t.expect(r"Msgs:6(/6)? ")
            t.keys("2\nFd$")
            t.expect("2 deleted")
            server.append("INBOX", TEXT % 9)
            t.expect("New mail in this mailbox")
            t.keys("q")
            t.end()
        run(PROGRAM, "--sync", m.point)
        assert "\\Flagged" in flags(server)[1] and len(flags(server)) == 5


def test_mblaze(directory, slow):
    with fake() as server, mount(server, directory, **ASYNC, **slow) as m:
        inbox = box(m, "INBOX")
        listed = subprocess.run(["mlist", inbox], capture_output=True, check=True, text=True).stdout.split()
        assert len(listed) == 6
        subprocess.run(["minc", inbox], capture_output=True, check=True)
        assert os.listdir(inbox / "new") == [] and not stored(m, server)
        listed = subprocess.run(["mlist", inbox], capture_output=True, check=True, text=True).stdout.split()
        assert len(subprocess.run(["mscan", *listed], capture_output=True, check=True, text=True).stdout.splitlines()) == 6
        subprocess.run(["mflag", "-S", *[path for path in listed if path.endswith(":2,")]], capture_output=True, check=True)
        assert stored(m, server) == ["UID STORE 2,6 +FLAGS (\\Seen)"]
        path = next(path for path in listed if ",U=1:" in path)
        subprocess.run(["mrefile", path, box(m, "Empty")], capture_output=True, check=True)
        run(PROGRAM, "--sync", m.point)
        assert len(flags(server)) == 5 and flags(server, "Empty") == [["\\Seen"]]
        subprocess.run(["mdeliver", box(m, "Empty")], input=TEXT % 12, check=True)
        run(PROGRAM, "--sync", m.point)
        assert len(flags(server, "Empty")) == 2


def test_notmuch(directory):
    """Indexed twice: the second time it looks at each directory once. Tags come from flags and go back."""
    with fake() as server:
        where = {**os.environ, "HOME": directory, "NOTMUCH_CONFIG": f"{directory}/notmuch"}

        def notmuch(*words):
            return subprocess.run(["notmuch", *words], env=where, capture_output=True, check=True, text=True).stdout

        with mount(server, directory, **ASYNC) as m:
            os.mkdir(f"{directory}/index")
            with open(f"{directory}/notmuch", "w", encoding="ascii") as file:
                file.write(f"[database]\npath={directory}/index\nmail_root={m.root}/.maildir\n[user]\n"
                           "primary_email=a@example.org\n[new]\ntags=unread\n[maildir]\nsynchronize_flags=true\n")
            assert "Added 7 new messages" in notmuch("new")
            assert notmuch("count", "tag:unread") == "5\n" and notmuch("count", "tag:flagged") == "1\n"
            assert "No new mail" in notmuch("new")
            notmuch("tag", "+flagged", "-unread", "id:1@x")
            assert stored(m, server) == ["UID STORE 2 +FLAGS (\\Flagged \\Seen)"]
        with mount(server, directory, **ASYNC) as m:
            reads = len(server.lines("UID FETCH"))
            assert "No new mail" in notmuch("new")
            assert not [line for line in server.lines("UID FETCH")[reads:] if "BODY" in line]
            server.expunge("INBOX", 1)
            server.set_flags("INBOX", 3, "\\Seen")
            wait_until(lambda: os.listdir(box(m, "INBOX/cur"))[1:2] == [name(3, "S")], "both are seen")
            said = notmuch("new")
            assert "Removed 1 message" in said and "Detected 1 file rename" in said, said


def test_mu(directory):
    """Indexed twice: the second time it reads no message. Flags and names that changed are followed."""
    with fake() as server, mount(server, directory, **ASYNC) as m:
        def mu(*words):
            return subprocess.run(["mu", *words, f"--muhome={directory}/mu"], env={**os.environ, "HOME": directory},
                                  capture_output=True, check=True, text=True).stdout

        mu("init", f"--maildir={m.root}/.maildir")
        assert "updated/new: 7;" in mu("index")
        assert len(mu("find", "flag:unread").splitlines()) == 5 and len(mu("find", "flag:flagged").splitlines()) == 1
        before = len(server.lines("UID FETCH"))
        assert "updated/new: 0;" in mu("index")
        assert not [line for line in server.lines("UID FETCH")[before:] if "BODY" in line]
        server.set_flags("INBOX", 1, "\\Flagged")
        wait_until(lambda: name(1, "F") in os.listdir(box(m, "INBOX/cur")), "it is seen")
        mu("index")
        assert len(mu("find", "flag:flagged").splitlines()) == 2
