# SPDX-License-Identifier: MIT
"""Files that are written into mailboxes on servers of all kinds: who closes them hears what came of it, what was
not stored stays, and nothing is stored twice."""
import os
import subprocess
import sys
import threading
import time

import pytest

from fakeimap import CAPABILITIES, Mailbox, Message
from mounting import live, run, wait_until, waits
from programs import PROGRAM
from servers import FakeImap, errno_of, mount, uids

LETTER = b"Subject: x\r\n\r\n" + b"x" * 3000 + b"\r\n"
NOT_STORED = r"was not stored: "
DATE = b"14-Nov-2026 10:00:00 +0000"


def texts(server, name="INBOX"):
    return [bytes(message.body) for message in server.mailbox(name).messages]


def write(path, text=LETTER):
    with open(path, "wb") as target:
        target.write(text)


REFUSED = {
    "quota": ({"quota": 1000}, "EDQUOT"),
    "limit": ({"append_limit": 2000}, "EFBIG"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what):
    behaviour, error = REFUSED[what]
    with FakeImap({"INBOX": Mailbox()}, **behaviour) as server, mount(server, says=[NOT_STORED]) as m:
        assert errno_of(write, m.root / "INBOX" / "letter") == error
        assert texts(server) == []
        # It stays, and is stored when that becomes possible.
        server.behaviour.quota = server.behaviour.append_limit = None
        os.rename(m.root / "INBOX" / "letter", m.root / "INBOX" / "again")
        assert texts(server) == [LETTER]
        assert os.listdir(m.root / "INBOX") == ["1"]


def test_no_right():
    with FakeImap({"INBOX": Mailbox(), "Shared": Mailbox(rights="lrs")}) as server, \
            mount(server, says=[NOT_STORED]) as m:
        assert errno_of(write, m.root / "Shared" / "letter") == "EACCES"
        os.unlink(m.root / "Shared" / "letter")
        assert os.listdir(m.root / "Shared") == []


def test_larger_than_announced(tmp_path):
    """APPENDLIMIT is said where it is passed, in the middle of the file; and the half that was written is no message."""
    large = tmp_path / "large"
    large.write_bytes(LETTER * 200)
    with FakeImap({"INBOX": Mailbox()}, append_limit=200000) as server:
        server.behaviour.capabilities += ("APPENDLIMIT=200000",)
        with mount(server, says=[NOT_STORED]) as m:
            letter = m.root / "INBOX" / "letter"
            for command in (["dd", f"if={large}", f"of={letter}", "bs=64k", "status=none"],
                            ["sh", "-c", 'dd if="$1" of="$2.part" bs=64k status=none; mv "$2.part" "$2"', "sh", large, letter]):
                # By pieces that are smaller than what is taken.
                result = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
                assert result.returncode == 1 and "File too large" in result.stderr
            with open(letter, "r+b", buffering=0) as target:
                assert errno_of(os.pwrite, target.fileno(), b"x", 200000) == "EFBIG"
                assert errno_of(os.close, os.dup(target.fileno())) == "EFBIG"
            assert texts(server) == []
            assert b"letter: 196608 bytes, not stored: a write failed: File too large" in (m.root / ".imapfs" / "status").read_bytes()
            # Who begins anew has another one.
            write(letter)
            assert texts(server) == [LETTER]
            os.unlink(m.root / "INBOX" / "letter.part")


def test_no_answer():
    """Nobody waits for ever, and when the answer comes after all there is one message."""
    with FakeImap({"INBOX": Mailbox()}) as server:
        stalled = server.rule("APPEND", stall=True, times=1)
        with mount(server, timeout=2, says=[NOT_STORED, r"letter: the server does not say whether", r"took longer than",
                                            r"whether it is there", r"does not answer|silent"]) as m:
            assert errno_of(write, m.root / "INBOX" / "letter") == "ETIMEDOUT"
            assert b"letter: " in (m.root / ".imapfs" / "status").read_bytes()
            stalled.release()
            wait_until(lambda: os.listdir(m.root / "INBOX") in (["1"], ["1", "letter"], ["letter"]), "decided")
        assert len(texts(server)) <= 1


def test_interrupted():
    """Who waits for the server can be killed; what he has closed is stored all the same."""
    with FakeImap({"INBOX": Mailbox()}) as server:
        stalled = server.rule("APPEND", stall=True, times=1)
        with mount(server, timeout=20) as m:
            with subprocess.Popen([sys.executable, "-c", f"open({str(m.root / 'INBOX' / 'letter')!r}, 'wb')"
                                                         f".write({LETTER!r})"]) as writer:
                live.add(writer)
                server.wait_for("APPEND")
                writer.kill()
                writer.wait(10)
                live.discard(writer)
            stalled.release()
            wait_until(lambda: texts(server) == [LETTER], "stored")
            wait_until(lambda: os.listdir(m.root / "INBOX") == ["1"], "no draft")


@pytest.mark.parametrize("manner", ["missing", "nil", "other"])
def test_wrong_uid(manner):
    """Where the server does not say which message it became, or something else: it is found, or nothing is."""
    with FakeImap({"INBOX": Mailbox([b"Subject: old\r\n\r\n"])}, append_uid=manner) as server, mount(server) as m:
        write(m.root / "INBOX" / "letter")
        assert texts(server)[1:] == [LETTER]
        assert sorted(os.listdir(m.root / "INBOX")) == ["1", "2"]
        found = subprocess.run(["cat", m.root / "INBOX" / "letter"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               check=False).stdout
        assert found in (b"", LETTER)


def test_examined():
    """Where the server puts nothing into what the connection has examined, it is selected: once for many."""
    with FakeImap({"INBOX": Mailbox([LETTER])}, examined_is_closed=True) as server, mount(server, connections=1) as m:
        inbox = m.root / "INBOX"
        assert (inbox / "1").read_bytes() == LETTER
        for i in range(3):
            write(inbox / f"letter{i}", LETTER + b"%d\r\n" % i)
        subprocess.run(["cp", inbox / "1", inbox / "copy"], check=True, timeout=30)
        assert texts(server) == [LETTER, *(LETTER + b"%d\r\n" % i for i in range(3)), LETTER]
        assert len(server.lines("APPEND")) == 4


def test_removed_at_once():
    """By who wrote it, before its row has come."""
    with FakeImap({"INBOX": Mailbox([LETTER])}) as server, mount(server, **{"async": True}) as m:
        inbox = m.root / "INBOX"
        assert os.listdir(inbox) == ["1"]
        server.rule("UID FETCH", delay=0.5)
        write(inbox / "letter", LETTER + b"more\r\n")
        os.unlink(inbox / "letter")
        wait_until(lambda: texts(server) == [LETTER], "it is gone")


def test_moved_at_once():
    """The same for a move."""
    with FakeImap({"INBOX": Mailbox([LETTER]), "Other": Mailbox()}) as server, mount(server, **{"async": True}) as m:
        inbox = m.root / "INBOX"
        assert os.listdir(inbox) == ["1"] and os.listdir(m.root / "Other") == []
        server.rule("UID FETCH", delay=0.5)
        write(inbox / "letter", LETTER + b"more\r\n")
        os.rename(inbox / "letter", m.root / "Other" / "letter")
        wait_until(lambda: texts(server, "Other") == [LETTER + b"more\r\n"], "it is moved")
        assert texts(server) == [LETTER]


def test_renamed_onto_at_once():
    """What is renamed onto a message that was written a moment ago, and is the same, is not stored again."""
    with FakeImap({"INBOX": Mailbox([LETTER])}) as server, mount(server, **{"async": True}) as m:
        inbox = m.root / "INBOX"
        assert os.listdir(inbox) == ["1"]
        server.rule("UID FETCH", delay=0.5)
        write(inbox / "letter", LETTER + b"more\r\n")
        write(inbox / ".letter.5Xa7Qz", LETTER + b"more\r\n")
        os.rename(inbox / ".letter.5Xa7Qz", inbox / "letter")
        run(PROGRAM, "--sync", m.point)
        assert texts(server) == [LETTER, LETTER + b"more\r\n"]


def test_line_lost():
    """The line is cut in the middle of the message: it is sent again, once."""
    with FakeImap({"INBOX": Mailbox()}) as server:
        server.rule("APPEND", times=1, drop="rst", raw=b"* OK a moment\r\n")
        with mount(server, says=["lost"]) as m:
            write(m.root / "INBOX" / "letter")
            assert texts(server) == [LETTER]


def test_listed_while_a_check_goes_on():
    """A listing that finds a check under way shows what the server has told of since that had begun."""
    entered, leave = threading.Event(), threading.Event()

    def late(_):
        entered.set()
        leave.wait(30)
        return b"OK done"
    boxes = {"INBOX": Mailbox([b"Subject: 1\r\n\r\n"])}
    with FakeImap(boxes, capabilities=(*CAPABILITIES, "NOTIFY")) as server, mount(server) as m:
        assert uids(m.root / "INBOX") == [1]
        server.rule("UID FETCH", match=rb"INTERNALDATE", times=1, status=late)
        server.append("INBOX", b"Subject: 2\r\n\r\n")
        assert entered.wait(20)
        server.append("INBOX", b"Subject: 3\r\n\r\n")
        with subprocess.Popen(["ls", m.root / "INBOX"], stdout=subprocess.PIPE) as lister:
            live.add(lister)
            wait_until(lambda: waits(lister), "it waits for the check")
            wait_until(lambda: any((s.notified or {}).get(b"INBOX", (0, 0))[1] == 3 and not s.output
                                   for s in list(server.sessions)), "the server has told of the third")
            leave.set()
            assert lister.communicate(timeout=30)[0].split() == [b"1", b"2", b"3"]
            live.discard(lister)


def test_found_by_a_check_that_began_before():
    """What is put in is there already, says a check that has asked before others removed that one: it asks again."""
    asked, gate = threading.Event(), threading.Event()

    def hold(_):
        asked.set()
        gate.wait(20)
        return b""

    with FakeImap({"INBOX": Mailbox(), "A": [LETTER]}, hide=("NOTIFY", "IDLE")) as server, \
            mount(server, refresh=1, **{"async": True}) as m:
        a, status = m.root / "A", m.root / ".imapfs/status"
        assert os.listdir(a) == ["1"] and (a / "1").read_bytes() == LETTER
        for command in "NOOP", "SELECT", "EXAMINE":
            server.rule(command, times=1, before_ok=hold)
        lister = threading.Thread(target=lambda: wait_until(lambda: os.listdir(a) and asked.is_set(), "a check"))
        lister.start()
        assert asked.wait(20)
        server.expunge("A", 1)
        write(a / ".x")
        putter = threading.Thread(target=os.rename, args=(a / ".x", a / "1"))
        putter.start()
        wait_until(lambda: "being stored" in status.read_text("utf-8"), "it is compared")
        gate.set()
        lister.join()
        putter.join()
        assert texts(server, "A") == [LETTER]


def test_found_by_others_is_not_replaced():
    """Who has written a message writes it again, but by then another program has put in the same under its number."""
    with FakeImap({"INBOX": Mailbox()}) as server, mount(server, **{"async": True}) as m:
        inbox = m.root / "INBOX"
        write(inbox / "letter")
        assert os.listdir(inbox) == ["1"]
        run(sys.executable, "-c", "import os, sys; open(sys.argv[1], 'wb').write(sys.argv[3].encode()); os.rename(*sys.argv[1:3])",
            inbox / ".x", inbox / "1", LETTER.decode())
        assert texts(server) == [LETTER]
        write(inbox / "letter", LETTER + b"more\r\n")
        run(PROGRAM, "--sync", m.point)
        assert texts(server) == [LETTER, LETTER + b"more\r\n"]


PUT_IN = """
import os, sys
with open(sys.argv[1], "wb") as file:
    file.write(sys.argv[3].encode())
os.rename(*sys.argv[1:3])
"""


class Late:
    """A check whose answer comes late, and a removal that waits until then."""

    def __init__(self, server):
        self.asked = threading.Event()
        self.session = self.tag = None
        server.rule("NOOP", times=1, action=self.keep, raw=b"")
        self.select = server.rule("SELECT", stall=True, times=1)

    def keep(self, session):
        self.session, self.tag = session, session.tag
        self.asked.set()

    def end(self, thread):
        """First the check, which whoever puts in waits for, and then the removal."""
        wait_until(lambda: self.select.hits, "the removal")
        self.session.post(lambda session: session.send(self.tag + b" OK done\r\n"))
        thread.join()
        self.select.release()


def test_found_while_it_is_removed():
    """Who has written a message writes it again. From then on the one before is not there any more for another
    program, which puts in the same under its number."""
    with FakeImap({"INBOX": Mailbox()}) as server, mount(server) as m:
        inbox = m.root / "INBOX"
        write(inbox / "letter")
        assert os.listdir(inbox) == ["1"] and (inbox / "1").read_bytes() == LETTER
        again = open(inbox / "letter", "r+b")
        late = Late(server)
        putter = threading.Thread(target=run, args=(sys.executable, "-c", PUT_IN, inbox / ".x", inbox / "1", LETTER.decode()))
        putter.start()
        assert late.asked.wait(20)
        with again:
            again.write(LETTER + b"more\r\n")
        late.end(putter)
        wait_until(lambda: texts(server) == [LETTER + b"more\r\n", LETTER], "all that was put in")


def test_found_while_it_is_unlinked():
    """The same of one that somebody removes, and that came in under the name that it is put in under now."""
    with FakeImap({"INBOX": Mailbox()}) as server, mount(server) as m:
        inbox = m.root / "INBOX"
        run(sys.executable, "-c", PUT_IN, inbox / ".x", inbox / "9", LETTER.decode())
        assert os.listdir(inbox) == ["1"] and (inbox / "1").read_bytes() == LETTER
        again = open(inbox / "9", "wb")
        again.write(LETTER)
        late = Late(server)
        putter = threading.Thread(target=again.close)
        putter.start()
        assert late.asked.wait(20)
        with subprocess.Popen(["rm", inbox / "1"]) as rm:
            live.add(rm)
            late.end(putter)
            assert rm.wait(30) == 0
            live.discard(rm)
        wait_until(lambda: texts(server) == [LETTER], "it is there")
        assert server.mailbox("INBOX").messages[0].uid == 2


@pytest.mark.parametrize("layout", ["named", None])
def test_replaced_under_the_name_of_what_is_on_its_way(layout, tmp_path, slow):
    """A message is on its way under the name of another one, which was listed since: who replaces that one by a file
    has replaced nothing, and all three are there."""
    new, old, moved = (b"From: a@b\r\nSubject: x\r\n\r\n%d\r\n" % n for n in range(3))
    (tmp_path / "new").write_bytes(new)
    with FakeImap({"INBOX": [Message(moved, date=DATE)], "Other": [Message(old, date=DATE)]}) as server:
        server.behaviour.capabilities += ("MOVE",)
        held = server.rule("UID MOVE", stall=True, times=1)
        with mount(server, layout=layout, **{"async": True}, **slow) as m:
            inbox, other = m.root / "INBOX", m.root / "Other"
            name, = os.listdir(inbox)
            assert os.listdir(other) == [name]
            os.rename(inbox / name, other / name)
            # Not listed since: nobody can know which one is meant, and nothing happens to either.
            assert run("cp", "--remove-destination", tmp_path / "new", other / name, check=False).returncode == 1
            assert os.listdir(other) == [name] and (other / name).read_bytes() == old
            run("cp", "--remove-destination", tmp_path / "new", other / name)
            held.release()
            run(PROGRAM, "--sync", m.point)
            assert sorted(texts(server, "Other")) == sorted([new, old, moved]) and texts(server) == []


@pytest.mark.parametrize("refused", [False, True])
def test_replaced_while_another_is_put_in(refused, tmp_path, slow):
    """Under the same name: it is being stored, or could not be. The message that both replace stays, whatever comes."""
    files = [tmp_path / str(n) for n in range(2)]
    for n, file in enumerate(files):
        file.write_bytes(LETTER + b"%d\r\n" % n)
    with FakeImap({"INBOX": Mailbox([LETTER])}) as server, mount(server, says=[NOT_STORED], **{"async": True}, **slow) as m:
        inbox = m.root / "INBOX"
        assert os.listdir(inbox) == ["1"]
        if refused:
            rule = server.rule("APPEND", reply=b"NO [OVERQUOTA] full", times=1)
        else:
            rule = server.rule("APPEND", stall=True, times=1)
        with subprocess.Popen(["cp", "--remove-destination", files[0], inbox / "1"], stderr=subprocess.DEVNULL) as first:
            live.add(first)
            wait_until(lambda: rule.hits, "it is asked for")
            if refused:
                assert first.wait(30) == 1
            with subprocess.Popen(["cp", "--remove-destination", files[1], inbox / "1"]) as second:
                live.add(second)
                wait_until(lambda: second.poll() is not None or (m.root / ".imapfs/status").read_text("utf-8").count("being stored") == 2
                           or refused, "both are put in")
                rule.release()
                assert second.wait(30) == 0 and first.wait(30) == refused
                live.discard(second)
            live.discard(first)
        run(PROGRAM, "--sync", m.point)
        assert sorted(texts(server)) == sorted([LETTER] + [file.read_bytes() for file in files[refused:]])
        assert sorted(os.listdir(inbox)) == [str(n) for n in range(1, len(texts(server)) + 1)]


def test_replaced_without_room(tmp_path, slow):
    """What cannot be begun has replaced nothing."""
    (tmp_path / "new").write_bytes(LETTER)
    with FakeImap({"INBOX": Mailbox([LETTER + b"old\r\n"])}) as server, mount(server, str(tmp_path), **{"async": True}, **slow) as m:
        inbox = m.root / "INBOX"
        assert os.listdir(inbox) == ["1"]
        spool, = (path for path in (tmp_path / "state").rglob("drafts-1") if path.is_dir())
        os.rmdir(spool)
        assert run("cp", "--remove-destination", tmp_path / "new", inbox / "1", check=False).returncode == 1
        run(PROGRAM, "--sync", m.point)
        assert texts(server) == [LETTER + b"old\r\n"]


REPLACE = """
import os, sys, time
with open("/proc/self/comm", "w") as file:
    file.write("cp")
start = time.monotonic()
os.unlink(sys.argv[1])
print("removed", start, flush=True)
sys.stdin.readline()
try:
    os.open(sys.argv[1], os.O_CREAT | os.O_EXCL | os.O_WRONLY)
except FileExistsError:
    print("there is one", flush=True)
"""


def replace_while_another_takes_the_name(how, other):
    """What there is then; None: the machine took longer than a removal waits for what is to come in its place."""
    since = [0.0]
    with FakeImap({"INBOX": Mailbox([LETTER]), "Other": [other]}) as server, mount(server, **{"async": True}) as m:
        inbox = m.root / "INBOX"
        assert os.listdir(inbox) == ["1"] == os.listdir(m.root / "Other")
        if how == "renamed":
            write(inbox / ".x", other)
        if how == "stored":
            start = time.monotonic()
            os.unlink(inbox / "1")
            file = os.open(inbox / "1", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            since.append(time.monotonic() - start)
            os.write(file, other)
        with subprocess.Popen([sys.executable, "-c", REPLACE, inbox / "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as replacer:
            live.add(replacer)
            said, start = replacer.stdout.readline().split()
            assert said == b"removed"
            if how == "made":
                write(inbox / "1", other)
            elif how == "stored":
                os.close(file)
            else:
                os.rename(inbox / ".x" if how == "renamed" else m.root / "Other/1", inbox / "1")
            since.append(time.monotonic() - float(start))
            assert replacer.communicate(b"go on\n", timeout=30)[0] == b"there is one\n"
            live.discard(replacer)
        run(PROGRAM, "--sync", m.point)
        return texts(server) if max(since) < 0.3 else None


@pytest.mark.parametrize("how", ["made", "renamed", "moved", "stored"])
def test_replaced_while_another_takes_the_name(how):
    """Between the removal and the file that was to come: that one cannot be made any more, and nothing was removed."""
    other = LETTER + b"other\r\n"
    assert wait_until(lambda: replace_while_another_takes_the_name(how, other), "in time", 60) == [LETTER, other]


def test_removed_while_another_writes_it():
    """Who closes it hears that it is stored: so nobody else takes it away before. By himself it is removed."""
    with FakeImap({"INBOX": Mailbox()}) as server, mount(server) as m:
        letter = m.root / "INBOX/letter"
        with open(letter, "wb") as file:
            assert "busy" in run("rm", letter, check=False).stderr
            file.write(LETTER)
            file.flush()
            assert "busy" in run("rm", letter, check=False).stderr
        assert texts(server) == [LETTER]
        with open(m.root / "INBOX/other", "wb") as file:
            file.write(LETTER + b"more\r\n")
            file.flush()
            os.unlink(m.root / "INBOX/other")
        assert texts(server) == [LETTER] and os.listdir(m.root / "INBOX") == ["1"]


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("how", ["made", "renamed"])
@pytest.mark.parametrize("begun", [False, True])
def test_outrun_while_another_writes_it(how, begun, refused, tmp_path, slow):
    """Who closes it hears that it is stored, also if another's file of the same name was quicker: both are."""
    other = LETTER + b"other\r\n"
    (tmp_path / "1").write_bytes(other)
    with FakeImap({"INBOX": Mailbox([LETTER + b"old\r\n"])}) as server, \
            mount(server, says=[NOT_STORED], **{"async": True}, **slow) as m:
        inbox = m.root / "INBOX"
        assert os.listdir(inbox) == ["1"]
        name = inbox / ("1" if how == "made" else "letter")
        if how == "made":
            os.unlink(name)
        file = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        if begun:
            os.write(file, LETTER)
        if how == "made":
            run("cp", "--remove-destination", tmp_path / "1", name)
        else:
            run("cp", tmp_path / "1", inbox / ".x")
            run("mv", inbox / ".x", name)
        if not begun:
            os.write(file, LETTER)
        if refused:
            server.rule("APPEND", reply=b"NO [OVERQUOTA] full", times=1)
            with pytest.raises(OSError):
                os.close(file)
            assert b"not stored" in (m.root / ".imapfs/status").read_bytes()
        else:
            os.close(file)
        run(PROGRAM, "--sync", m.point, check=not refused)
        assert texts(server) == [LETTER + b"old\r\n", other] + [LETTER] * (not refused)


def test_outrun_and_not_written():
    """An empty file of another's becomes nothing, as ever."""
    with FakeImap({"INBOX": Mailbox()}) as server, mount(server) as m:
        letter = m.root / "INBOX/letter"
        with open(letter, "wb"):
            write(m.root / "INBOX/.x", LETTER)
            run("mv", m.root / "INBOX/.x", letter)
        assert texts(server) == [LETTER] and os.listdir(m.root / "INBOX") == ["1"]
        assert "draft" not in (m.root / ".imapfs/status").read_text("utf-8")


def test_overwritten_while_it_is_stored():
    """By another process, which does not mean to replace what was stored meanwhile."""
    other = LETTER + b"other\r\n"
    with FakeImap({"INBOX": Mailbox()}) as server, mount(server) as m:
        letter = m.root / "INBOX/letter"
        held = server.rule("APPEND", stall=True, times=1)
        with subprocess.Popen([sys.executable, "-c", "import sys; open(sys.argv[1], 'w', newline='').write(sys.argv[2])",
                               letter, LETTER.decode()]) as writer:
            live.add(writer)
            wait_until(lambda: held.hits, "it is being stored")
            opened = os.open(letter, os.O_WRONLY)
            held.release()
            assert writer.wait(30) == 0
            live.discard(writer)
        os.truncate(opened, 0)
        os.write(opened, other)
        os.close(opened)
        run(PROGRAM, "--sync", m.point)
        wait_until(lambda: os.listdir(m.root / "INBOX") == ["1", "2"], "both are listed")
        assert texts(server) == [LETTER, other]


def test_flags_refused_after_the_close():
    """Who sets them once more does not hear that they are there."""
    with FakeImap({"INBOX": Mailbox()}) as server, mount(server, says=None, sync=True) as m:
        letter = m.root / "INBOX" / "letter"
        write(letter)
        rule = server.rule("UID STORE", reply=b"NO not now")
        for _ in range(2):
            assert errno_of(os.setxattr, letter, "user.imap.flags", b"\\Flagged") is not None
        server.rules.remove(rule)
        assert errno_of(os.setxattr, letter, "user.imap.flags", b"\\Flagged") is None
        wait_until(lambda: b"\\Flagged" in server.mailbox("INBOX").messages[0].flags, "they are set")
