# SPDX-License-Identifier: MIT
"""layout=named: mailboxes list their messages under names for people, which lead back to them by the UID at
their end, and everything can be done with them that can be done with numbers."""
import errno
import os
import subprocess
import tarfile

import pytest

import mailgen
import tree
from dovecot import Mail
from fakeimap import CAPABILITIES, FakeImap, Mailbox, Message
from mounting import run, wait_until
from programs import PROGRAM
from servers import errno_of, mount as mounted
from test_index import EMPTY, MIXED, PLAIN
from test_walk import cost

DATE = b"14-Nov-2026 10:00:00 +0000"
NAMES = ["2026-11-14 J\u00fcrgen - one two three four.1.eml", "2026-11-14 bare@example.org - quoted back.2.eml", "2026-11-14.3.eml"]
WHEN = 1600000000  # 2020-09-13


def fake(more=(), **behaviour):
    boxes = {"INBOX": Mailbox([Message(body, date=DATE) for body in (PLAIN, MIXED, EMPTY)]), "Empty": [],
             **{name: Mailbox([Message(body, date=DATE) for body in bodies]) for name, bodies in dict(more).items()}}
    return FakeImap(boxes, capabilities=CAPABILITIES + ("CONDSTORE", "UIDPLUS", "MOVE"), **behaviour)


def mounted_named(server, directory=None, **options):
    return mounted(server, directory, layout="named", **{"async": True, **options})


def headers_asked(server):
    return [line for line in server.lines("UID FETCH") if "HEADER.FIELDS" in line]


def sync(m):
    run(PROGRAM, "--sync", m.point)


def bodies(server, name="INBOX"):
    return [bytes(message.body) for message in server.mailbox(name).messages]


# --- what is there ---

def test_listed(directory):
    """The same files under other names, by one question for all, which later mounts need not ask."""
    with fake({"A/B": [PLAIN]}) as server:
        with mounted(server, directory) as m:
            plain = {uid: os.stat(m.root / "INBOX" / str(uid)) for uid in (1, 2, 3)}
        with mounted_named(server, directory) as m:
            inbox = m.root / "INBOX"
            assert os.listdir(inbox) == NAMES and sorted(os.listdir(m.root)) == ["A", "Empty", "INBOX"]
            assert os.listdir(m.root / "Empty") == [] and os.listdir(m.root / "A") == ["B"] and len(os.listdir(m.root / "A/B")) == 1
            assert len([line for line in headers_asked(server) if " 1:3 " in line]) == 1 == len(headers_asked(server)) - 1
            for uid, (name, body) in enumerate(zip(NAMES, (PLAIN, MIXED, EMPTY)), 1):
                st = os.stat(inbox / name)
                assert (inbox / name).read_bytes() == body
                assert (st.st_ino, st.st_size, st.st_mtime) == (plain[uid].st_ino, plain[uid].st_size, plain[uid].st_mtime)
            assert sorted(subprocess.check_output(["find", inbox, "-type", "f", "-printf", "%f\n"], text=True).splitlines()) == sorted(NAMES)
        # Views go on with numbers.
        with mounted_named(server, directory) as m:
            assert os.listdir(m.root / "INBOX") == NAMES
            assert os.listdir(m.root / ".text/INBOX") == ["1", "2", "3"]
            assert os.listdir(m.root / ".named/INBOX") == NAMES
            assert os.listdir(m.root / "INBOX/.search/subject:quoted") == ["2"]
            assert len(headers_asked(server)) == 2
        with mounted_named(server, directory, offline=True) as m:
            assert os.listdir(m.root / "INBOX") == NAMES
            assert (m.root / "INBOX" / NAMES[1]).read_bytes() == MIXED


def test_found():
    """By the end of the name, and by the number alone; each is one file."""
    with fake() as server, mounted_named(server) as m:
        inbox = m.root / "INBOX"
        for name in ("what.2.eml", "2.eml", "2", "2026-11-14 Otherwise decoded.2.eml", "2026-11-14.2.eml", ".2.eml"):
            assert (inbox / name).read_bytes() == MIXED, name
        inode = os.stat(inbox / NAMES[1]).st_ino
        assert {os.stat(inbox / name).st_ino for name in ("what.2.eml", "2")} == {inode}
        for name in ("x.02.eml", "x2.eml", "x.2.emlx", "x.2.EML", "x.0.eml", "x.9.eml", "02", "x.4294967298.eml", "x.-2.eml", "x.2", "x.eml"):
            assert errno_of(os.stat, inbox / name) == "ENOENT", name
        # One that says another day is of another mailbox, or was.
        assert errno_of(os.stat, inbox / "2025-11-14 bare@example.org - quoted back.2.eml") == "ENOENT"
        assert os.listdir(inbox) == NAMES


def test_found_before_listed():
    """The day is looked at also where the message's own comes only with its row."""
    with fake() as server, mounted_named(server) as m:
        assert errno_of(os.stat, m.root / "INBOX/2025-11-14 x.2.eml") == "ENOENT"
        assert (m.root / "INBOX" / NAMES[1]).read_bytes() == MIXED


WEIRD = {
    b"a/b\\c": "a b c",
    b"../../etc/passwd": ".. .. etc passwd",
    b"": "",
    b"...": "",
    b"=?utf-8?q?a=00b=07=1bc=0ad?=": "a b c d",
    b"=?utf-8?q?ab=E2=80=AEcd=E2=80=8F?=": "ab cd",
    b"=?utf-8?b?" + b"w6TDpMOk" * 60 + b"?=": "\u00e4",
    b"=?utf-8?q?=FF=FE?=": "\ufffd",
    b"offer.9.eml": "offer.9.eml",
    b"x" * 5000: "x" * 100,
    b"*?<>|:\"": "",
    b"-rf ~ $(id) `id`": "-rf ~ $(id) `id`",
}


def test_weird():
    """Whatever is in a header, each message has one name, a file can have it, and it leads back."""
    made = {b"From: a@b\r\nSubject: " + subject + b"\r\n\r\n%d\r\n" % n: part for n, (subject, part) in enumerate(WEIRD.items())}
    with fake({"Weird": list(made)}) as server, mounted_named(server) as m:
        weird = m.root / "Weird"
        names = os.listdir(weird)
        assert len(names) == len(WEIRD) == len(set(names))
        for uid, (name, (body, part)) in enumerate(zip(names, made.items()), 1):
            assert name.startswith("2026-11-14 a@b") and name.endswith(f".{uid}.eml") and part in name, name
            assert len(os.fsencode(name)) <= 255 and name.isprintable()
            assert (weird / name).read_bytes() == body
        run("rm", *(weird / name for name in names))
        sync(m)
        assert not server.mailbox("Weird").messages and os.listdir(weird) == []


def test_no_header():
    """Where the server refuses them all are listed all the same."""
    with fake() as server:
        server.rule("UID FETCH", match=rb"HEADER\.FIELDS", reply=b"NO not today")
        with mounted_named(server) as m:
            assert os.listdir(m.root / "INBOX") == [f"2026-11-14.{uid}.eml" for uid in (1, 2, 3)]
            assert (m.root / "INBOX" / "2026-11-14.2.eml").read_bytes() == MIXED


def test_no_header_of_many():
    """That is no question for each; and some that are refused are no matter of the others."""
    made = [Message(b"From: a@b\r\nSubject: %d\r\n\r\n" % n, date=DATE) for n in range(1, 3001)]
    bare, told = ("2026-11-14.%d.eml", "2026-11-14 a@b - %d.%d.eml")
    with FakeImap({"INBOX": Mailbox(made)}) as server:
        rule = server.rule("UID FETCH", match=rb"HEADER\.FIELDS", reply=b"NO not today")
        with mounted_named(server) as m:
            assert os.listdir(m.root / "INBOX") == [bare % n for n in range(1, 3001)]
            assert len(headers_asked(server)) < 60
        rule.match = rb"UID FETCH ([1-9]|10)(:[0-9]+)? .*HEADER\.FIELDS"
        with mounted_named(server) as m:
            assert os.listdir(m.root / "INBOX") == [bare % n for n in range(1, 11)] + [told % (n, n) for n in range(11, 3001)]


def test_no_header_offline(directory):
    """What nobody has asked for yet is listed without it, and under its name when the server is there again."""
    with fake() as server:
        with mounted(server, directory) as m:
            assert os.listdir(m.root / "INBOX") == ["1", "2", "3"]
        with mounted_named(server, directory, offline=True) as m:
            assert os.listdir(m.root / "INBOX") == [f"2026-11-14.{uid}.eml" for uid in (1, 2, 3)]
        with mounted_named(server, directory) as m:
            assert os.listdir(m.root / "INBOX") == NAMES


def test_name_is_taken():
    """A mailbox of the very name keeps it, and the message has another that leads to it."""
    with fake({"INBOX/" + NAMES[2]: [PLAIN]}) as server, mounted_named(server) as m:
        inbox = m.root / "INBOX"
        assert os.listdir(inbox) == [NAMES[2], *NAMES[:2], "_.3.eml"]
        assert (inbox / "_.3.eml").read_bytes() == EMPTY and len(os.listdir(inbox / NAMES[2])) == 1


def test_many():
    """More than one READDIR holds."""
    made = [Message(b"From: p%d@example.org\r\nSubject: %s %d\r\n\r\nx\r\n" % (n % 9, b"s" * 150, n), date=DATE) for n in range(1, 3001)]
    with FakeImap({"INBOX": Mailbox(made)}) as server, mounted_named(server) as m:
        for _ in range(2):
            assert [name.split()[-1] for name in os.listdir(m.root / "INBOX")] == [f"{n}.{n}.eml" for n in range(1, 3001)]
        assert len(headers_asked(server)) == 1
        server.append("INBOX", Message(PLAIN, date=DATE))
        wait_until(lambda: os.listdir(m.root / "INBOX")[-1].endswith("four.3001.eml"), "it is there")
        assert len(headers_asked(server)) == 2


# --- what other clients do ---

def test_others():
    """What was looked up is forgotten, by whichever name, and what comes is there."""
    with fake() as server, mounted_named(server) as m:
        inbox = m.root / "INBOX"
        looked_up = [NAMES[1], "what.2.eml", "2", "2026-11-14 Otherwise.2.eml"]
        assert os.listdir(inbox) == NAMES
        for name in looked_up:
            os.stat(inbox / name)
        server.wait_idle()
        server.expunge("INBOX", 2)
        for name in looked_up:
            wait_until(lambda: errno_of(os.stat, inbox / name) == "ENOENT", f"{name} is gone")
        assert errno_of(os.open, inbox / NAMES[1], os.O_RDONLY) == "ENOENT"
        assert os.listdir(inbox) == [NAMES[0], NAMES[2]]
        server.append("INBOX", Message(PLAIN, date=DATE))
        new = NAMES[0].replace(".1.", ".4.")
        wait_until(lambda: errno_of(os.stat, inbox / new) is None, "the new one by its name")
        assert os.listdir(inbox) == [NAMES[0], NAMES[2], new]
        assert (inbox / new).read_bytes() == PLAIN


@pytest.mark.parametrize("layout", ["named", "maildir", None])
@pytest.mark.parametrize("by", ["others", "us"])
def test_open_and_removed(layout, by):
    """Who has it open has it as any file that was removed: what it is, and the octets that are here."""
    with fake() as server, mounted(server, layout=layout, **{"async": True}) as m:
        inbox = m.root / "INBOX" / ("new" if layout == "maildir" else "")
        name = os.listdir(inbox)[1]
        with open(inbox / name, "rb") as source:
            before = os.fstat(source.fileno())
            assert source.read() == MIXED
            server.wait_idle()
            if by == "us":
                os.unlink(inbox / name)
                sync(m)
            else:
                server.expunge("INBOX", 2)
            wait_until(lambda: len(os.listdir(inbox)) == 2 and errno_of(os.stat, inbox / name) == "ENOENT", "it is gone")
            wait_until(lambda: os.fstat(source.fileno()).st_nlink == 0, "it is known")
            after = os.fstat(source.fileno())
            assert [getattr(after, field) for field in ("st_ino", "st_size", "st_mtime", "st_mode")] == \
                [getattr(before, field) for field in ("st_ino", "st_size", "st_mtime", "st_mode")]
            source.seek(0)
            assert source.read() == MIXED
        assert errno_of(os.open, inbox / name, os.O_RDONLY) == "ENOENT"


def test_flags():
    with fake() as server, mounted_named(server) as m:
        path = m.root / "INBOX" / NAMES[0]
        os.setxattr(path, "user.imap.flags", b"\\Flagged")
        assert os.getxattr(path, "user.imap.flags") == b"\\Flagged"
        sync(m)
        assert {flag.decode() for flag in server.mailbox("INBOX").messages[0].flags} == {"\\Flagged"}
        assert os.listdir(m.root / "INBOX") == NAMES


# --- removing ---

@pytest.mark.parametrize("name", [NAMES[1], "2"])
def test_removed(name):
    """By its listed name or its number, and then it has no name; no other message goes."""
    with fake() as server, mounted_named(server) as m:
        inbox = m.root / "INBOX"
        assert os.listdir(inbox) == NAMES
        os.stat(inbox / NAMES[1])
        os.unlink(inbox / name)
        for gone in (NAMES[1], "what.2.eml", "2"):
            wait_until(lambda: errno_of(os.stat, inbox / gone) == "ENOENT", f"{gone} is gone")
        assert errno_of(os.unlink, inbox / NAMES[1]) == "ENOENT"
        assert os.listdir(inbox) == [NAMES[0], NAMES[2]]
        sync(m)
        assert bodies(server) == [PLAIN, EMPTY]


LOOSE = ["what.2.eml", "2026-11-14 Otherwise decoded.2.eml", "2026-11-14.2.eml"]


def test_not_removed_by_another_name():
    """What only ends in its number may be a name of another mailbox: it is read, and not removed."""
    with fake() as server, mounted_named(server, says=[r"INBOX/.*\.2\.eml: nothing is removed: no message is listed under this name"]) as m:
        inbox = m.root / "INBOX"
        for name in LOOSE:
            assert (inbox / name).read_bytes() == MIXED
            assert errno_of(os.unlink, inbox / name) == "ENOENT"
            assert run("rm", inbox / name, check=False).returncode == 1
        wait_until(lambda: os.path.exists(inbox / LOOSE[0]), "it is found again")
        assert (inbox / LOOSE[0]).read_bytes() == MIXED
        sync(m)
        assert os.listdir(inbox) == NAMES and len(bodies(server)) == 3


def test_not_moved_by_another_name(directory):
    """Neither is it moved, to the trash for one; nor where its header, and so its own name, has to be asked for."""
    with fake() as server:
        with mounted(server, directory) as m:
            assert os.listdir(m.root / "INBOX") == ["1", "2", "3"]
        with mounted_named(server, directory, says=[r"INBOX/.*\.2\.eml: nothing is moved: no message is listed under this name"]) as m:
            inbox, empty = m.root / "INBOX", m.root / "Empty"
            for name in LOOSE:
                assert errno_of(os.rename, inbox / name, empty / "x.eml") == "ENOENT"
                assert run("mv", inbox / name, empty, check=False).returncode == 1
            sync(m)
            assert os.listdir(inbox) == NAMES and os.listdir(empty) == [] and len(bodies(server)) == 3
            os.rename(inbox / "2", empty / "x.eml")
            os.rename(inbox / NAMES[0], empty / "y.eml")
            sync(m)
            assert bodies(server) == [EMPTY] and bodies(server, "Empty") == [PLAIN, MIXED]


def test_moved_before_its_header_is_there(directory):
    """Whether the name is its own is asked for; what it was called when its header could not be had is not."""
    with fake() as server:
        with mounted(server, directory) as m:
            assert os.listdir(m.root / "INBOX") == ["1", "2", "3"]
        with mounted_named(server, directory) as m:
            os.rename(m.root / "INBOX" / NAMES[1], m.root / "Empty/x.eml")
            sync(m)
            assert bodies(server, "Empty") == [MIXED]


@pytest.mark.parametrize("tool", ["cp --remove-destination", "cp -f", "install", "mv", "tar"])
def test_not_replaced_under_another_name(tool, directory):
    """Programs that remove what they replace put a message beside it, however long they take for that."""
    files, new = os.path.join(directory, "files"), b"Subject: new\r\n\r\n"
    os.mkdir(files)
    with open(os.path.join(files, LOOSE[1]), "wb") as target:
        target.write(new)
    with fake() as server, mounted_named(server, says=["nothing is removed", "messages cannot be edited"]) as m:
        inbox = m.root / "INBOX"
        assert os.listdir(inbox) == NAMES
        if tool == "tar":
            run("bash", "-c", 'tar -C "$1" -cf - . | tar -C "$2" -xf -', "bash", files, inbox)
        else:
            run(*tool.split(), target.name, inbox)
        sync(m)
        assert bodies(server) == [PLAIN, MIXED, EMPTY, new]


def test_removed_before_its_header_is_there(directory):
    """By the name that it had yesterday: whether that is its own is asked for. Offline the listed name is the bare one."""
    with fake() as server:
        with mounted(server, directory) as m:
            assert os.listdir(m.root / "INBOX") == ["1", "2", "3"]
        with mounted_named(server, directory, offline=True) as m:
            assert os.listdir(m.root / "INBOX")[0] == "2026-11-14.1.eml"
            os.unlink(m.root / "INBOX/2026-11-14.1.eml")
        with mounted_named(server, directory, says=["nothing is removed"]) as m:
            assert errno_of(os.unlink, m.root / "INBOX" / LOOSE[1]) == "ENOENT"
            os.unlink(m.root / "INBOX" / NAMES[1])
            sync(m)
            assert bodies(server) == [EMPTY]


def test_rm():
    with fake() as server, mounted_named(server) as m:
        run("bash", "-c", 'cd "$1" && rm -f *.2.eml', "bash", m.root / "INBOX")
        sync(m)
        assert bodies(server) == [PLAIN, EMPTY]
        assert errno_of(os.unlink, m.root / "INBOX/2025-01-01 x.3.eml") == "ENOENT"
        run("find", m.root / "INBOX", "-name", "*.eml", "-delete")
        sync(m)
        assert bodies(server) == []


def test_trash():
    """rm moves it there, where it has a name of its own, and rm is final."""
    with fake() as server, mounted_named(server, delete="trash", trash="Empty") as m:
        inbox, trash = m.root / "INBOX", m.root / "Empty"
        os.unlink(inbox / NAMES[1])
        sync(m)
        there = NAMES[1].replace(".2.", ".1.")
        wait_until(lambda: os.listdir(trash) == [there], "it is in the trash")
        assert (trash / there).read_bytes() == MIXED and os.listdir(inbox) == [NAMES[0], NAMES[2]]
        os.unlink(trash / there)
        sync(m)
        assert bodies(server, "Empty") == [] and bodies(server) == [PLAIN, EMPTY]


def test_removed_elsewhere():
    """In another view: the name that was listed here goes, too."""
    with fake() as server, mounted_named(server) as m:
        inbox, new = m.root / "INBOX", m.root / ".maildir/INBOX/new"
        assert os.listdir(inbox) == NAMES
        for name in os.listdir(new):
            if ",U=2" in name:
                os.unlink(new / name)
        wait_until(lambda: errno_of(os.stat, inbox / NAMES[1]) == "ENOENT", "its name is gone")
        assert os.listdir(inbox) == [NAMES[0], NAMES[2]]
        sync(m)
        assert bodies(server) == [PLAIN, EMPTY]


def test_refused():
    """What the server refuses shows again under its name."""
    with fake() as server, mounted_named(server, says=["not removed"]) as m:
        server.rule("UID STORE", reply=b"NO read only today")
        os.unlink(m.root / "INBOX" / NAMES[0])
        wait_until(lambda: os.listdir(m.root / "INBOX") == NAMES, "it shows again")
        assert (m.root / "INBOX" / NAMES[0]).read_bytes() == PLAIN
        assert len(bodies(server)) == 3


def test_read_only():
    with fake() as server, mounted(server, layout="named", ro=True) as m:
        assert errno_of(os.unlink, m.root / "INBOX" / NAMES[0]) == "EROFS"
        assert errno_of(os.rename, m.root / "INBOX" / NAMES[0], m.root / "Empty/x") == "EROFS"
        assert os.listdir(m.root / "INBOX") == NAMES


# --- moving ---

def test_moved():
    """It has a name by its new UID there, and the old one works until the mailbox is listed."""
    with fake({"Other": [EMPTY, EMPTY, EMPTY, EMPTY]}) as server, mounted_named(server) as m:
        inbox, empty = m.root / "INBOX", m.root / "Empty"
        assert os.listdir(inbox) == NAMES and os.listdir(empty) == []
        run("mv", inbox / NAMES[1], empty)
        assert errno_of(os.stat, inbox / NAMES[1]) == "ENOENT" and os.listdir(inbox) == [NAMES[0], NAMES[2]]
        assert (empty / NAMES[1]).read_bytes() == MIXED
        sync(m)
        assert (empty / NAMES[1]).read_bytes() == MIXED
        new = NAMES[1].replace(".2.", ".1.")
        wait_until(lambda: os.listdir(empty) == [new], "it is listed")
        assert errno_of(os.stat, empty / NAMES[1]) == "ENOENT" and (empty / new).read_bytes() == MIXED
        assert bodies(server, "Empty") == [MIXED] and bodies(server) == [PLAIN, EMPTY]
        os.rename(empty / new, inbox / new)
        sync(m)
        wait_until(lambda: os.listdir(inbox) == [NAMES[0], NAMES[2], new.replace(".1.", ".4.")], "and back")


def test_moved_onto_the_number_of_another():
    """A name of INBOX ends as one of the mailbox that it is moved to: nothing happens to that one."""
    with fake() as server:
        for n in range(3):
            server.append("Empty", Message(b"Subject: %d\r\n\r\n" % n, date=DATE if n == 1 else b"13-Nov-2026 10:00:00 +0000"))
        with mounted_named(server) as m:
            inbox, other = m.root / "INBOX", m.root / "Empty"
            there = os.listdir(other)
            assert len(there) == 3 and os.listdir(inbox) == NAMES
            # Of another day: it is no name there. Of the same day: it means that one, until something comes under it.
            assert errno_of(os.stat, other / NAMES[2]) == "ENOENT"
            assert os.stat(other / NAMES[1]).st_ino == os.stat(other / there[1]).st_ino
            run("mv", "-n", inbox / NAMES[2], other)
            run("mv", "-f", inbox / NAMES[1], other)
            for name, body in (NAMES[1], MIXED), (NAMES[2], EMPTY):
                assert (other / name).read_bytes() == body
                assert errno_of(os.unlink, other / name) == "EBUSY" == errno_of(os.rename, other / name, inbox / name)
            sync(m)
            wait_until(lambda: len(os.listdir(other)) == 5, "both are listed")
            assert os.listdir(other)[:3] == there
            assert sorted(bodies(server, "Empty")) == sorted([b"Subject: %d\r\n\r\n" % n for n in range(3)] + [EMPTY, MIXED])
            assert errno_of(os.unlink, other / NAMES[2]) == "ENOENT"


def test_name_of_what_was_moved_is_not_anothers():
    """Neither while it is on its way nor afterwards, in this mount and the next ones."""
    others = [b"Subject: %d\r\n\r\n" % n for n in range(3)]
    with fake({"Other": others}) as server:
        held = server.rule("UID MOVE", stall=True, times=1)
        with mounted_named(server) as m:
            inbox, other = m.root / "INBOX", m.root / "Other"
            there = os.listdir(other)
            os.listdir(inbox)
            os.rename(inbox / NAMES[1], other / NAMES[1])
            assert os.listdir(other)[:3] == there
            assert (other / NAMES[1]).read_bytes() == MIXED
            assert errno_of(os.unlink, other / NAMES[1]) == "EBUSY" == errno_of(os.rename, other / NAMES[1], m.root / "Empty/x")
            wait_until(lambda: held.hits, "it is asked for")
            held.release()
            sync(m)
            wait_until(lambda: len(os.listdir(other)) == 4, "it is listed")
            for call in os.stat, os.unlink:
                assert errno_of(call, other / NAMES[1]) == "ENOENT"
            assert (other / "what.2.eml").read_bytes() == others[1]
            sync(m)
        assert bodies(server, "Other") == [*others, MIXED]


def test_name_of_what_was_copied_is_not_anothers(directory):
    """That comes in later with the number in which the name ended."""
    with fake() as server:
        for turn in range(2):
            with mounted_named(server, directory) as m:
                empty = m.root / "Empty"
                if turn == 0:
                    run("cp", m.root / "INBOX" / NAMES[1], empty)
                    assert len(os.listdir(empty)) == 1
                    server.append("Empty", Message(PLAIN, date=DATE))
                wait_until(lambda: len(os.listdir(empty)) == 2, "the other one")
                for call in os.stat, os.unlink:
                    assert errno_of(call, empty / NAMES[1]) == "ENOENT"
                sync(m)
        assert bodies(server, "Empty") == [MIXED, PLAIN]


@pytest.mark.parametrize("layout", ["named", None])
def test_name_of_what_is_on_its_way_is_not_of_who_comes_next(layout):
    """A listing before it is done has shown nobody else under that name: who gets the number then is not removed."""
    others = [b"Subject: %d\r\n\r\n" % n for n in range(2)]
    with fake({"Other": others}) as server:
        held = server.rule("UID MOVE", stall=True, times=1)
        with mounted(server, layout=layout, refresh=1, **{"async": True}) as m:
            inbox, other = m.root / "INBOX", m.root / "Other"
            name = os.listdir(inbox)[2]
            assert name == (NAMES[2] if layout else "3")
            there = os.listdir(other)
            os.rename(inbox / name, other / name)
            assert os.listdir(other) == there
            server.append("Other", Message(PLAIN, date=DATE))

            def come():
                os.path.exists(other / "9")
                return os.path.exists(other / "3") and (other / "3").read_bytes() == PLAIN
            wait_until(come, "the other one")
            assert errno_of(os.unlink, other / name) == "EBUSY" == errno_of(os.rename, other / name, m.root / "Empty/x")
            wait_until(lambda: held.hits, "it is asked for")
            held.release()
            sync(m)
            assert bodies(server, "Other") == [*others, PLAIN, EMPTY] and bodies(server) == [PLAIN, MIXED]
            wait_until(lambda: len(os.listdir(other)) == 4, "all are listed")
            os.unlink(other / os.listdir(other)[2])
            sync(m)
        assert bodies(server, "Other") == [*others, EMPTY]


def test_bare_name_is_not_of_whose_header_is_unknown():
    """A message without sender and subject is called as any other whose header has not come yet would be."""
    with fake() as server, mounted_named(server, refresh=1) as m:
        empty = m.root / "Empty"
        name = NAMES[2].replace(".3.", ".2.")
        run("cp", m.root / "INBOX" / NAMES[2], empty / name)
        assert len(os.listdir(empty)) == 1
        server.append("Empty", Message(PLAIN, date=DATE))
        wait_until(lambda: os.path.exists(empty / "2"), "the other one")
        for call in os.stat, os.unlink:
            assert errno_of(call, empty / name) == "ENOENT"
        assert errno_of(os.rename, empty / name, m.root / "INBOX" / name) == "ENOENT"
        sync(m)
        assert bodies(server, "Empty") == [EMPTY, PLAIN]


def test_cannot_be_renamed():
    """A message has the name that it has."""
    with fake() as server, mounted_named(server) as m:
        inbox = m.root / "INBOX"
        for target in ("x.eml", "x.2.eml", "x.9.eml", NAMES[1]):
            assert errno_of(os.rename, inbox / NAMES[0], inbox / target) == "EPERM", target
        # Two names of one file: rename(2) does nothing.
        os.rename(inbox / NAMES[0], inbox / "x.1.eml")
        assert errno_of(os.link, inbox / NAMES[0], inbox / "link.eml") == "EPERM"
        assert os.listdir(inbox) == NAMES and len(bodies(server)) == 3


# --- putting in ---

def test_put_in(directory):
    """It is listed under its own name, and found under the one that it was given."""
    letter = os.path.join(directory, "letter.eml")
    with open(letter, "wb") as target:
        target.write(b"From: Anna <a@b>\r\nSubject: hi\r\n\r\nbody\r\n")
    os.utime(letter, (WHEN, WHEN))
    with fake() as server, mounted_named(server, directory) as m:
        for _ in range(2):
            run("rsync", "-a", letter, m.root / "Empty")
            assert (m.root / "Empty/letter.eml").read_bytes() == open(letter, "rb").read()
            assert os.listdir(m.root / "Empty") == ["2020-09-13 Anna - hi.1.eml"]
        assert len(bodies(server, "Empty")) == 1
        os.unlink(m.root / "Empty/letter.eml")
        sync(m)
        assert os.listdir(m.root / "Empty") == [] == bodies(server, "Empty")


def test_long_name_put_in(directory):
    """What has as long a name as there is goes out and in again, and nothing is removed on the way."""
    made = [b"From: a@b\r\nSubject: " + letter * 300 + b"\r\n\r\n" for letter in (b"x", b"y")]
    with fake({"Long": made}) as server, mounted_named(server, directory) as m:
        box, backup = m.root / "Long", os.path.join(directory, "backup")
        names = os.listdir(box)
        assert [len(name) for name in names] == [255, 255]
        run("cp", "-a", box, backup)
        run("cp", os.path.join(backup, names[0]), m.root / "Empty")
        # In the place of another one, which a number at the end is.
        other = names[0].replace("xxx.1.", "xxx.2.")
        os.rename(os.path.join(backup, names[0]), os.path.join(backup, other))
        run("cp", "--remove-destination", os.path.join(backup, other), box)
        sync(m)
        assert bodies(server, "Empty") == made[:1] and bodies(server, "Long") == made + made[:1]


def test_copied():
    """From mailbox to mailbox, by the server; the name ends in a number that is another's there, or is to be."""
    with fake() as server, mounted_named(server) as m:
        inbox, empty = m.root / "INBOX", m.root / "Empty"
        for name in NAMES[1], NAMES[2]:
            run("cp", inbox / name, empty)
            assert len(os.listdir(empty)) == len(bodies(server, "Empty"))
        assert bodies(server, "Empty") == [MIXED, EMPTY]
        wait_until(lambda: os.listdir(empty) == [NAMES[1].replace(".2.", ".1."), NAMES[2].replace(".3.", ".2.")], "both")
        assert not server.lines("APPEND")
        # It came in under this name before, which means no other message.
        run("cp", inbox / NAMES[1], empty)
        assert bodies(server, "Empty") == [MIXED, EMPTY] and len(bodies(server)) == 3
        # Found by its end: of that day there is one already, and messages are not written to.
        assert run("cp", inbox / NAMES[0], empty, check=False).returncode == 1
        assert bodies(server, "Empty") == [MIXED, EMPTY] and len(bodies(server)) == 3
        run("cp", "--remove-destination", inbox / NAMES[0], empty)
        sync(m)
        assert sorted(bodies(server, "Empty")) == sorted([MIXED, EMPTY, PLAIN])


def test_name_of_what_was_put_in_passes(directory):
    """As a number: the end of the name may be another message's one day."""
    with fake() as server, mounted_named(server, directory) as m:
        empty = m.root / "Empty"
        with open(os.path.join(directory, "2020-09-13 x.7.eml"), "wb") as target:
            target.write(b"Subject: x\r\n\r\n")
        run("cp", target.name, empty)
        assert (empty / "2020-09-13 x.7.eml").read_bytes() == b"Subject: x\r\n\r\n"
        assert errno_of(os.unlink, empty / "2020-09-13 x.7.eml") == "EBUSY"
        assert len(os.listdir(empty)) == 1
        assert errno_of(os.stat, empty / "2020-09-13 x.7.eml") == "ENOENT"


def test_draft_is_listed_once():
    """A file that is being written has its own name, also where it ends as a message's."""
    with fake() as server, mounted_named(server) as m:
        inbox = m.root / "INBOX"
        with open(inbox / "2020-09-13 x.2.eml", "wb") as target:
            target.write(b"Subject: x\r\n\r\n")
            target.flush()
            assert sorted(os.listdir(inbox)) == sorted(NAMES + ["2020-09-13 x.2.eml"])
            assert os.stat(inbox / "2020-09-13 x.2.eml").st_ino == os.fstat(target.fileno()).st_ino
            server.expunge("INBOX", 2)
            wait_until(lambda: sorted(os.listdir(inbox)) == sorted([NAMES[0], NAMES[2], "2020-09-13 x.2.eml"]), "one is gone")
        wait_until(lambda: len(os.listdir(inbox)) == 3, "it is a message")
        assert bodies(server) == [PLAIN, EMPTY, b"Subject: x\r\n\r\n"]


# --- from mailbox to mailbox ---

def titles(server):
    """What a walk must come across."""
    return {os.path.join(name.decode(), f"2026-11-14 a@b - {name.decode().replace('/', ' ')} {message.uid}.{message.uid}.eml")
            for name, mailbox in server.account.mailboxes.items() for message in mailbox.messages}


def walked(m):
    found = run("find", m.point, "-name", ".imapfs", "-prune", "-o", "-type", "f", "-print").stdout.splitlines()
    return {os.path.relpath(path, m.point) for path in found}


def letter(name, uid):
    return Message(b"From: a@b\r\nSubject: %s %d\r\n\r\nx\r\n" % (name.encode(), uid), uid=uid, date=DATE)


def telling(count):
    names = ["INBOX", *(f"d{i // 10}/m{i}" for i in range(count))]
    return {name: Mailbox([letter(name, uid) for uid in range(1, 4)]) for name in names}


def test_walk(directory):
    """The headers of the next mailboxes come along with their rows: each mailbox is opened once."""
    with FakeImap(telling(60), hide=("IDLE",)) as server:
        with mounted_named(server, directory) as m:
            assert walked(m) == titles(server)
            spent = cost(server)
            assert spent["EXAMINE"] <= 60 + 15 and spent["UID FETCH"] <= 120 + 30, spent
        since = len(server.names())
        with mounted_named(server, directory) as m:
            assert walked(m) == titles(server)
            assert not cost(server, since)["UID FETCH"]
        for name in list(server.account.mailboxes):
            server.append(name.decode(), letter(name.decode(), 4))
        since = len(server.names())
        with mounted_named(server, directory) as m:
            assert walked(m) == titles(server)
            spent = cost(server, since)
            assert spent["EXAMINE"] <= 60 + 15 and spent["UID FETCH"] <= 120 + 30, spent


@pytest.mark.parametrize("fault", [{"reply": b"OK nothing"}, {"reply": b"NO not now"}, {"drop": "rst"}], ids=["no data", "NO", "rst"])
def test_walk_by_other_means(directory, fault):
    """What does not come along is asked for as if nothing had been."""
    with FakeImap(telling(30), hide=("IDLE",)) as server:
        # The first is that of the walk's beginning.
        along = server.rule("UID FETCH", match=rb"1:3 \(UID BODY.PEEK\[HEADER.FIELDS", skip=4, times=2, **fault)
        with mounted_named(server, directory, says=["was lost"]) as m:
            assert walked(m) == titles(server)
            assert along.hits == 2


# --- programs ---

@pytest.fixture(name="account", scope="module")
def fixture_account(start_server):
    return start_server(mailgen.account(count=200))


def copy_of(server, root):
    """Path by number -> octets, of files that are called as layout=named does."""
    found = {}
    for place, _, names in os.walk(root):
        for name in names:
            uid = name.removesuffix(".eml").rpartition(".")[2]
            assert name.endswith(".eml") and uid.isdecimal(), name
            path = os.path.relpath(os.path.join(place, uid), root)
            assert path not in found
            with open(os.path.join(place, name), "rb") as source:
                found[path] = source.read()
    assert found == {os.path.join(os.path.dirname(path), str(entry.uid)): entry.body for path, entry in tree.expected(server).items()}


def test_rsync_twice(account, mount):
    """The second one, after a remount, has nothing to do."""
    m = mount(account, "layout=named")
    backup = os.path.join(m.directory, "backup")
    run("rsync", "-a", "--delete", m.point + "/", backup + "/")
    copy_of(account, backup)
    assert run("rsync", "-ai", "--delete", m.point + "/", backup + "/").stdout == ""
    m.restart()
    assert run("rsync", "-aic", "--delete", m.point + "/", backup + "/").stdout == ""
    run("diff", "-r", backup, m.point)


def test_rsync_follows(start_server, mount):
    server = start_server([Mail("Follow", b"From: a@b\r\nSubject: %d\r\n\r\n" % i, 1700000000) for i in range(20)])
    m = mount(server, "layout=named", mailbox="Follow")
    backup = os.path.join(m.directory, "backup")
    run("rsync", "-a", m.point + "/", backup + "/")
    server.expunge("Follow", [3, 7])
    new = server.deliver("Follow", b"From: a@b\r\nSubject: new\r\n\r\n")
    m.restart()
    changes = run("rsync", "-ai", "--delete", m.point + "/", backup + "/").stdout.splitlines()
    ends = {line.split(".")[-2] for line in changes if not line.endswith(" ./")}
    assert ends == {"3", "7", str(new)}
    run("diff", "-r", m.point, backup)


def test_tools(account, mount):
    m = mount(account, "layout=named")
    archive, target = (os.path.join(m.directory, name) for name in ("mail.tar", "target"))
    run("tar", "-cf", archive, "-C", m.point, ".")
    run("tar", "-df", archive, "-C", m.point)
    run("cp", "-a", m.point, target)
    copy_of(account, target)
    with tarfile.open(archive) as tar:
        assert sum(entry.isfile() for entry in tar) == len(tree.expected(account))
    found = run("grep", "-rlI", "invoice", ".", cwd=m.point).stdout.splitlines()
    assert sorted(found) == sorted(run("grep", "-rlI", "invoice", ".", cwd=target).stdout.splitlines()) and found
    for question in (("-size", "+3k"), ("-newermt", "2020-01-01"), ("-name", "*4*")):
        assert sorted(run("find", ".", "-type", "f", *question, cwd=m.point).stdout.splitlines()) == \
            sorted(run("find", ".", "-type", "f", *question, cwd=target).stdout.splitlines())


@pytest.mark.parametrize("tool", ["rsync", "tar", "cp"])
def test_backup_put_back_twice(start_server, mount, tool):
    """Into the mailbox that it is of, and into another one: nothing is lost, and the second time adds nothing."""
    letters = [b"From: a@b\r\nSubject: %d\r\n\r\n" % n for n in range(3)]
    server = start_server([Mail("Of", letter, WHEN + n) for n, letter in enumerate(letters)] +
                          [Mail("Other", b"From: c@d\r\nSubject: other\r\n\r\n%d\r\n" % n, WHEN + n) for n in range(2)])
    m = mount(server, "layout=named")
    m.tolerate("messages cannot be edited|nothing is removed")
    backup = os.path.join(m.directory, "backup")
    run("cp", "-a", m.path("Of"), backup)
    others = server.fetch_all("Other")
    for turn in range(4):
        if turn == 3:
            m.restart()
            m.tolerate("messages cannot be edited|nothing is removed")
        for box in "Of", "Other":
            if tool == "rsync":
                run("rsync", "-a", backup + "/", m.path(box))
            elif tool == "cp":
                run("cp", "-af", backup + "/.", m.path(box))
            else:
                run("bash", "-c", 'tar -C "$1" -cf - . | tar -C "$2" -xf -', "bash", backup, m.path(box))
            assert len(os.listdir(m.path(box))) == (3 if box == "Of" else 5)
        sync(m)
        assert sorted(server.fetch_all("Of").values()) == letters
        now = server.fetch_all("Other")
        assert {uid: now[uid] for uid in others} == others
        assert sorted(now.values()) == sorted(list(others.values()) + letters)


def test_line_lost(account, mount, proxy):
    """Names that are known are listed without the server."""
    line = proxy(account)
    m = mount(account, "layout=named", "timeout=2", port=line.port)
    m.tolerate(r"localhost:\d+: |localhost: connected again|going on with \d connections?|took longer than")
    before = os.listdir(m.path("INBOX"))
    line.ask("stall")
    assert os.listdir(m.path("INBOX")) == before
    assert os.listdir(m.path(".named/INBOX")) == before
    line.ask("resume")


def test_many_on_a_slow_line(start_server, mount, proxy):
    """A listing waits longer than the timeout, as long as names come."""
    letters = [b"From: a@b\r\nSubject: %d\r\nReferences: %s\r\n\r\n" % (n, b"<%d@example.org>\r\n " % n * 200) for n in range(1, 301)]
    server = start_server([Mail("INBOX", letter, WHEN) for letter in letters])
    line = proxy(server)
    m = mount(server, "layout=named", "timeout=2", "compress=off", port=line.port)
    m.tolerate("opendir took longer than 2 seconds")
    line.ask("rate 2")
    assert os.listdir(m.path("INBOX")) == [f"2020-09-13 a@b - {n}.{n}.eml" for n in range(1, 301)]
    line.ask("rate 0")


HIDDEN = {"NOTIFY": (), "IDLE": ("NOTIFY",), "polling": ("NOTIFY", "IDLE")}


@pytest.mark.parametrize("mode", HIDDEN)
def test_live(start_server, mount, mode):
    """Another client delivers, moves and expunges."""
    server = start_server([Mail("INBOX", b"From: a@b\r\nSubject: s%d\r\n\r\n" % n, WHEN) for n in range(1, 6)], hide=HIDDEN[mode])
    server.create("Target")
    m = mount(server, "layout=named", f"refresh={1 if mode != 'NOTIFY' else 3600}")
    names = os.listdir(m.path("INBOX"))
    assert names == [f"2020-09-13 a@b - s{n}.{n}.eml" for n in range(1, 6)]
    for name in names:
        os.stat(m.path("INBOX", name))
    server.expunge("INBOX", [2])
    server.move("INBOX", [4], "Target")
    uid = server.deliver("INBOX", b"From: a@b\r\nSubject: new\r\n\r\n")
    for name in names[1], names[3]:
        wait_until(lambda: not os.path.lexists(m.path("INBOX", name)), f"the end of {name}")
    wait_until(lambda: [name.split(".")[-2] for name in os.listdir(m.path("INBOX"))] == ["1", "3", "5", str(uid)], "the names of now")
    wait_until(lambda: os.listdir(m.path("Target")) == ["2020-09-13 a@b - s4.1.eml"], "the one that was moved")
    with pytest.raises(OSError) as caught:
        m.read("INBOX", names[1])
    assert caught.value.errno == errno.ENOENT
