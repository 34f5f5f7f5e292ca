# SPDX-License-Identifier: MIT
"""Removals that are promised: the name is gone at once, the message a moment later, and what was not done is told."""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

import pytest

from fakeimap import Mailbox, Message
from mounting import live, process_status, run, wait_until, waits
from programs import PROGRAM
import servers
from servers import FakeImap, errno_of, uids

ALL = set(range(1, 9))


def account(**options):
    return {"INBOX": Mailbox([Message(b"Subject: %d\r\n\r\n" % n) for n in sorted(ALL)], **options)}


def mount(server, **options):
    return servers.mount(server, **{"async": True, **options})


def present(server, name="INBOX"):
    return {m.uid for m in server.mailbox(name).messages}


def deleted(server):
    return {m.uid for m in server.mailbox("INBOX").messages if b"\\Deleted" in m.flags}


def sync(m):
    """(exit status, what it says) of imapfs --sync."""
    result = subprocess.run([PROGRAM, "--sync", m.point], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=60, check=False)
    assert not result.stderr
    return result.returncode, result.stdout.decode()


def fsync(directory):
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        return errno_of(os.fsync, descriptor)
    finally:
        os.close(descriptor)


def fill(file):
    while file.write(bytes(4096)):
        pass


def test_in_sets(slow, world):
    """Many that are removed one by one share commands."""
    with FakeImap(account()) as server, mount(server, sizes="trust", **slow) as m:
        inbox = m.root / "INBOX"
        assert uids(inbox) == sorted(ALL)
        for uid in (1, 2, 3, 5):
            (inbox / str(uid)).unlink()
            assert errno_of((inbox / str(uid)).unlink) == "ENOENT"
            assert errno_of((inbox / str(uid)).stat) == "ENOENT"
        assert uids(inbox) == [4, 6, 7, 8]
        world.slow_clock(1)
        assert sync(m) == (0, "")
        assert present(server) == {4, 6, 7, 8}
        assert len(server.lines("UID EXPUNGE")) == 1


def test_fsync_waits_and_is_told():
    with FakeImap(account()) as server, mount(server, says=[r"INBOX/\d: not removed: permission denied"]) as m:
        inbox = m.root / "INBOX"
        (inbox / "3").unlink()
        assert fsync(inbox) is None
        assert present(server) == ALL - {3}
        rule = server.rule("UID EXPUNGE", reply=b"NO [NOPERM] not you")
        (inbox / "4").unlink()
        assert fsync(inbox) == "EACCES"
        assert fsync(inbox) is None
        assert uids(inbox) == [1, 2, 4, 5, 6, 7, 8]
        assert (inbox / "4").read_bytes() == b"Subject: 4\r\n\r\n"
        assert not deleted(server)
        assert b"refused: INBOX/4" in m.read(".imapfs", "status")
        status, text = sync(m)
        assert status == 8 and text.startswith("refused: INBOX/4: ") and text.count("\n") == 1
        assert sync(m) == (0, "")
        # Who asks again there waits for the answer.
        assert errno_of((inbox / "5").unlink) == "EACCES"
        server.rules.remove(rule)
        (inbox / "5").unlink()
        assert present(server) == ALL - {3, 5}


def test_hold_after_a_refused_move(slow):
    """A program that replaces files is spared the message also where something else was refused before."""
    with FakeImap({**account(), "Away": []}) as server, mount(server, says=[r"INBOX/3: not moved"], **slow) as m:
        inbox = m.root / "INBOX"
        server.rule("UID MOVE", reply=b"NO [NOPERM] not there")
        os.rename(inbox / "3", m.root / "Away" / "3")
        assert sync(m)[0] == 8
        (inbox / "4").unlink()
        with open(inbox / "4", "wb") as file:
            file.write(b"Subject: another\r\n\r\n")
        assert sync(m)[0] == 0
        assert ALL < present(server) and len(present(server)) == len(ALL) + 1


def told(pipe):
    return os.read(pipe, 1)


def fsync_elsewhere(directory, go, done):
    """In a process of its own, which is there already when it is to do it."""
    child = os.fork()
    if child == 0:
        told(go)
        os.write(done, b"x" if fsync(directory) is None else b"!")
        os._exit(0)
    return child


def test_hold_while_another_fsyncs(slow):
    """Another process' fsync neither sends what can still be taken back nor waits for it."""
    with FakeImap(account()) as server, mount(server, **slow) as m:
        inbox = m.root / "INBOX"
        assert uids(inbox) == sorted(ALL)
        rule = server.rule("UID STORE", stall=True)
        (go, start), (done, end) = os.pipe(), os.pipe()
        child = fsync_elsewhere(inbox, go, end)
        (inbox / "4").unlink()
        os.write(start, b"x")
        assert told(done) == b"x"
        with open(inbox / "4", "wb") as file:
            file.write(b"Subject: another\r\n\r\n")
        os.waitpid(child, 0)
        for pipe in (go, start, done, end):
            os.close(pipe)
        assert not server.lines("UID STORE")
        server.rules.remove(rule)
        rule.release()
        assert sync(m) == (0, "")
        assert ALL < present(server) and len(present(server)) == len(ALL) + 1


def test_fsync_after_rm():
    """What a process removed that is no more nobody can take back: fsync waits for it."""
    with FakeImap(account()) as server, mount(server) as m:
        inbox = m.root / "INBOX"
        subprocess.run(["rm", inbox / "4"], check=True, timeout=50)
        assert fsync(inbox) is None
        assert present(server) == ALL - {4}


def test_sync_without_the_server():
    """It waits no longer than timeout=, also where the kernel remembers the name from the last time, and says what is not
    done; that is no warning in the log besides."""
    reachable = contextlib.ExitStack()
    server = reachable.enter_context(FakeImap(account()))
    with reachable, mount(server, says=[r"127.0.0.1", "1 change is not done yet"], timeout=3) as m:
        assert uids(m.root / "INBOX") == sorted(ALL)
        assert sync(m) == (0, "")
        reachable.close()
        (m.root / "INBOX/3").unlink()
        for _ in range(2):
            status, said = sync(m)
            assert status == 8 and re.fullmatch("not done yet: 1 change(, since the server cannot be reached)?\n", said)
        assert b"took longer" not in (m.root / ".imapfs/status").read_bytes() and "took longer" not in m.said()


def test_a_sync_that_is_stopped():
    """By Ctrl-Z: when it goes on it waits on, and its call's EINTR is no error."""
    with FakeImap(account()) as server, mount(server, timeout=60) as m:
        assert uids(m.root / "INBOX") == sorted(ALL)
        rule = server.rule("UID EXPUNGE", stall=True)
        (m.root / "INBOX/3").unlink()
        with subprocess.Popen([PROGRAM, "--sync", m.point], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            live.add(process)
            wait_until(lambda: waits(process), "it waits")
            process.send_signal(signal.SIGSTOP)
            wait_until(lambda: process_status(process.pid)["State"][0] == "T", "its call has ended")
            process.send_signal(signal.SIGCONT)
            wait_until(lambda: waits(process), "it waits again")
            rule.release()
            assert process.communicate(timeout=60)[0] == b"" and process.returncode == 0
            live.discard(process)
        assert present(server) == ALL - {3}


def test_each_sync_tells():
    """Also where the kernel remembers the name from the last time, and looks it up twice."""
    with FakeImap(account()) as server, mount(server, says=[r"INBOX/\d: not (moved|removed)"]) as m:
        inbox = m.root / "INBOX"
        assert uids(inbox) == sorted(ALL)
        server.rule("UID EXPUNGE", reply=b"NO [NOPERM] not you")
        assert sync(m) == (0, "")
        (inbox / "3").unlink()
        wait_until(lambda: os.path.exists(inbox / "3"), "it is there again")
        assert sync(m)[0] == 8
        assert sync(m) == (0, "")


def test_flags_come_along_after_a_refused_move():
    """Who moves a message after a refusal waits for the answer; flags that are promised of it come along."""
    with FakeImap({**account(), "Away": []}) as server, mount(server, says=[r"INBOX/3: not moved"]) as m:
        inbox = m.root / "INBOX"
        assert uids(inbox) == sorted(ALL)
        server.rule("UID MOVE", times=1, reply=b"NO [NOPERM] not there")
        os.rename(inbox / "3", m.root / "Away" / "3")
        assert sync(m)[0] == 8
        os.setxattr(inbox / "4", "user.imap.flags", b"\\Flagged")
        os.rename(inbox / "4", m.root / "Away" / "4")
        assert [message.flags for message in server.mailbox("Away").messages] == [{b"\\Flagged"}]
        assert sync(m) == (0, "")


def test_refused_comes_back():
    """Without anybody who waits for it."""
    with FakeImap(account(read_only=True)) as server, mount(server, says=[r"INBOX/3: not removed"]) as m:
        inbox = m.root / "INBOX"
        (inbox / "3").unlink()
        wait_until(lambda: os.path.exists(inbox / "3"), "it is there again")
        assert uids(inbox) == sorted(ALL)
        assert (inbox / "3").read_bytes() == b"Subject: 3\r\n\r\n"
        assert present(server) == ALL


def test_late_again_and_again(world):
    """Time in which the mount stands still does not count, but where it is late all the time the removal is done all
    the same."""
    with FakeImap(account()) as server, mount(server, environment=world.environment) as m:
        assert uids(m.root / "INBOX") == sorted(ALL)
        (m.root / "INBOX" / "3").unlink()

        def is_done():
            world.wait(1)
            m.read(".imapfs", "status")
            return server.lines("UID EXPUNGE")
        wait_until(is_done, "it is removed")


def test_unmount_drains():
    with FakeImap(account()) as server, mount(server) as m:
        for uid in (2, 4):
            (m.root / "INBOX" / str(uid)).unlink()
        m.stop()
        assert present(server) == ALL - {2, 4}
        assert not [name for name in os.listdir(os.path.join(m.directory, "state", "imapfs", os.listdir(
            os.path.join(m.directory, "state", "imapfs"))[0])) if name.endswith(".db")]


@pytest.mark.parametrize("moment", ["promised", "sent", "marked"])
def test_killed(moment, tmp_path):
    """The next mount does it, and nothing else; until then the name does not show."""
    with FakeImap(account()) as server:
        with mount(server, directory=tmp_path, says=None) as m:
            inbox = m.root / "INBOX"
            assert uids(inbox) == sorted(ALL)
            if moment != "promised":
                server.rule("UID STORE" if moment == "sent" else "UID EXPUNGE", stall=True)
            (inbox / "3").unlink()
            if moment != "promised":
                server.wait_for("UID STORE" if moment == "sent" else "UID EXPUNGE")
            m.process.kill()
            m.process.wait()
            m.kill()
            server.rules.clear()
            rule = server.rule("UID STORE", stall=True)
            m.start()
            assert uids(inbox) == sorted(ALL - {3})
            assert errno_of((inbox / "3").stat) == "ENOENT"
            server.rules.remove(rule)
            rule.release()
            assert sync(m) == (0, "")
            assert present(server) == ALL - {3}
            assert not deleted(server)


def test_killed_and_the_cache_lost(tmp_path):
    """A name that was removed does not show either where the mailbox has to be learnt anew, while its rows arrive."""
    come, end = threading.Event(), threading.Event()

    def end_late(session):
        session.flush()
        end.wait(60)
        return b"OK done"
    script = "import os, sys\nfor entry in os.scandir(sys.argv[1]): print(entry.name, flush=True)"
    with FakeImap(account()) as server:
        with mount(server, directory=tmp_path, says=None) as m:
            assert uids(m.root / "INBOX") == sorted(ALL)
            (m.root / "INBOX" / "3").unlink()
            m.process.kill()
            m.process.wait()
            m.kill()
            shutil.rmtree(m.cache)
            server.rule("UID FETCH", match=rb"1:\* .*INTERNALDATE", times=1, action=lambda _: come.wait(60),
                        status=end_late)
            m.start()
            with subprocess.Popen([sys.executable, "-c", script, m.root / "INBOX"], stdout=subprocess.PIPE) as lister:
                live.add(lister)
                wait_until(lambda: waits(lister), "it waits for the rows")
                come.set()
                names = [int(lister.stdout.readline()) for _ in range(len(ALL) - 1)]
                end.set()
                names += map(int, lister.stdout)
                live.discard(lister)
            assert names == sorted(ALL - {3})
            assert sync(m) == (0, "")
            assert present(server) == ALL - {3}


def test_killed_and_not_subscribed(tmp_path):
    """A mount that does not see the mailbox leaves what is to be done in it to one that does."""
    boxes = {**account(), "Old": Mailbox([Message(b"Subject: old\r\n\r\n")], subscribed=False), "New": Mailbox()}
    with FakeImap(boxes) as server:
        with mount(server, directory=tmp_path, says=None) as m:
            assert uids(m.root / "INBOX") == sorted(ALL) and uids(m.root / "Old") == [1] and uids(m.root / "New") == []
            rule = server.rule("UID STORE", stall=True)
            stalled = server.rule("UID MOVE", stall=True)
            (m.root / "Old" / "1").unlink()
            (m.root / "INBOX" / "2").rename(m.root / "Old" / "2")
            m.process.kill()
            m.process.wait()
            m.kill()
            server.rules.remove(rule)
            server.rules.remove(stalled)
        with mount(server, directory=tmp_path, subscribed=True) as m:
            assert sorted(os.listdir(m.root)) == ["INBOX", "New"]
            assert sync(m) == (0, "")
            assert present(server) == ALL and present(server, "Old") == {1}
        with mount(server, directory=tmp_path) as m:
            assert sync(m) == (0, "")
            assert present(server) == ALL - {2} and present(server, "Old") == {2}


def test_killed_and_numbered_anew(tmp_path, slow):
    with FakeImap(account()) as server:
        with mount(server, directory=tmp_path, says=None, **slow) as m:
            inbox = m.root / "INBOX"
            assert uids(inbox) == sorted(ALL)
            (inbox / "3").unlink()
            m.process.kill()
            m.process.wait()
            m.kill()
            with server.account.lock:
                server.mailbox("INBOX").uidvalidity += 1
            m.start()
            assert uids(inbox) == sorted(ALL)
            sync(m)
            assert present(server) == ALL
            assert uids(inbox) == sorted(ALL)


def test_line_down(tmp_path):
    """Removals are accepted while the server cannot be reached, also with -o offline, and done when it can."""
    with FakeImap(account()) as server:
        with mount(server, directory=tmp_path) as m:
            assert uids(m.root / "INBOX") == sorted(ALL)
        with mount(server, directory=tmp_path, offline=True) as m:
            (m.root / "INBOX" / "3").unlink()
            assert uids(m.root / "INBOX") == sorted(ALL - {3})
            assert b"changes: 1 wait" in m.read(".imapfs", "status")
        assert present(server) == ALL
        with mount(server, directory=tmp_path, offline=True, ro=True) as m:
            assert errno_of((m.root / "INBOX" / "4").unlink) == "EROFS"
        with mount(server, directory=tmp_path) as m:
            assert sync(m) == (0, "")
            assert uids(m.root / "INBOX") == sorted(ALL - {3})
            assert present(server) == ALL - {3}


def test_two_mounts(tmp_path):
    """Each has its own journal in one directory; another client's removals do not disturb."""
    state = {"statedir": str(tmp_path / "state")}
    with FakeImap(account()) as server, mount(server, **state) as one, mount(server, **state) as two:
        assert uids(one.root / "INBOX") == uids(two.root / "INBOX") == sorted(ALL)
        (one.root / "INBOX" / "1").unlink()
        (two.root / "INBOX" / "2").unlink()
        (one.root / "INBOX" / "3").unlink()
        (two.root / "INBOX" / "3").unlink()
        assert {name for name in os.listdir(tmp_path / "state") if name.endswith(".db")} == \
            {"journal-1.db", "journal-2.db"}
        assert sync(one) == sync(two) == (0, "")
        assert present(server) == ALL - {1, 2, 3}


def test_full_disk():
    """What cannot be noted is refused, and says why; with room it is done."""
    boxes = {**account(), "Archive": []}
    full = r"state: .*: database or disk is full; what cannot be noted here is refused"
    with FakeImap(boxes) as server, tempfile.TemporaryDirectory() as disk:
        run("mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", disk)
        try:
            with mount(server, statedir=disk, says=[full]) as m:
                inbox = m.root / "INBOX"
                assert uids(inbox) == sorted(ALL)
                # Until not even what the journal had already is room enough.
                with open(os.path.join(disk, "filler"), "wb", buffering=0) as filler:
                    assert errno_of(fill, filler) == "ENOSPC"
                wait_until(lambda: errno_of(os.setxattr, inbox / "8", "user.imap.flags", b"$x") == "ENOSPC" or
                           errno_of(os.removexattr, inbox / "8", "user.imap.flags") == "ENOSPC", "a full disk")
                assert errno_of(os.unlink, inbox / "1") == "ENOSPC"
                assert errno_of(os.rename, inbox / "2", m.root / "Archive/2") == "ENOSPC"
                assert uids(inbox) == sorted(ALL) and present(server) == ALL
                os.unlink(os.path.join(disk, "filler"))
                (inbox / "1").unlink()
                os.rename(inbox / "2", m.root / "Archive/2")
                assert sync(m) == (0, "")
                assert present(server) == ALL - {1, 2}
        finally:
            run("umount", disk)


def test_unlinked_but_open():
    """What is open can be read on, as in any filesystem."""
    with FakeImap(account()) as server, mount(server) as m:
        rule = server.rule("UID STORE", stall=True)
        with open(m.root / "INBOX" / "3", "rb", buffering=0) as source:
            os.unlink(m.root / "INBOX" / "3")
            assert source.read() == b"Subject: 3\r\n\r\n"
        server.rules.remove(rule)
        rule.release()
        assert sync(m) == (0, "")
        assert present(server) == ALL - {3}


def test_special_use_trash():
    """The trash that the server marks."""
    boxes = {**account(), "Deleted Messages": Mailbox([], attributes=["\\Trash"])}
    with FakeImap(boxes) as server, mount(server, delete="trash") as m:
        assert uids(m.root / "INBOX") == sorted(ALL)
        (m.root / "INBOX" / "3").unlink()
        assert sync(m) == (0, "")
        assert present(server) == ALL - {3}
        assert [message.body for message in server.mailbox("Deleted Messages").messages] == [b"Subject: 3\r\n\r\n"]


@pytest.mark.parametrize("flags", [False, True], ids=["moving", "flagging before it"])
def test_a_move_that_is_given_up(flags):
    """Who waits for it has its error, and the name that it was to have is nothing: whether it was moved shows by its
    number."""
    with FakeImap({**account(), "Other": Mailbox()}) as server, \
            servers.mount(server, timeout=2, sync=True, says=[r"(rename|setxattr|opendir) took longer than"]) as m:
        assert uids(m.root / "INBOX") == sorted(ALL) and uids(m.root / "Other") == []

        def speak(session):
            """The command is late, and not the line: that would be lost, and the move would go without the flag."""
            while not rule.released.wait(0.1) and not server.stopping.is_set():
                session.send(b"* OK not yet\r\n", now=True)

        if flags:
            os.getxattr(m.root / "INBOX" / "3", "user.imap.flags")
            rule = server.rule("UID STORE", action=speak)
            assert errno_of(os.setxattr, m.root / "INBOX" / "3", "user.imap.flags", b"$Work") in (None, "ETIMEDOUT")
        else:
            rule = server.rule("UID MOVE", stall=True)
        assert errno_of(os.rename, m.root / "INBOX" / "3", m.root / "Other" / "name") == "ETIMEDOUT"
        assert errno_of(os.stat, m.root / "Other" / "name") == "ENOENT"
        assert errno_of(os.unlink, m.root / "Other" / "name") == "ENOENT"
        server.rules.remove(rule)
        rule.release()

        def is_told():
            with contextlib.suppress(TimeoutError):  # while another connection is made, after the one that is lost
                return uids(m.root / "INBOX") == sorted(ALL - {3} if present(server, "Other") else ALL)

        wait_until(is_told, "it is told")
        assert errno_of(os.stat, m.root / "Other" / "name") == "ENOENT"


def test_moved_while_the_line_is_down(tmp_path):
    """The names under which messages are on their way are known to the next mounts: whoever says them may mean those."""
    others = [b"Subject: other %d\r\n\r\n" % n for n in range(3)]
    with FakeImap({**account(), "Away": Mailbox([Message(body) for body in others])}) as server:
        with mount(server, directory=tmp_path) as m:
            assert uids(m.root / "INBOX") == sorted(ALL) and uids(m.root / "Away") == [1, 2, 3]
            assert (m.root / "INBOX/4").read_bytes() == b"Subject: 4\r\n\r\n"
        with mount(server, directory=tmp_path, offline=True) as m:
            os.rename(m.root / "INBOX/2", m.root / "Away/3")
            os.rename(m.root / "INBOX/4", m.root / "Away/77")
        with mount(server, directory=tmp_path, offline=True) as m:
            away = m.root / "Away"
            assert (away / "77").read_bytes() == b"Subject: 4\r\n\r\n"
            for name in "3", "77":
                assert errno_of(os.unlink, away / name) == "EBUSY" == errno_of(os.rename, away / name, m.root / "INBOX/x")
            # What has been listed is no other message.
            assert uids(away) == [1, 2, 3]
            os.unlink(away / "3")
            assert errno_of(os.unlink, away / "77") == "EBUSY"
        with mount(server, directory=tmp_path) as m:
            assert sync(m) == (0, "")
            wait_until(lambda: len(uids(m.root / "Away")) == 4, "all are there")
        assert [message.body for message in server.mailbox("Away").messages] == others[:2] + [b"Subject: 2\r\n\r\n", b"Subject: 4\r\n\r\n"]
        assert present(server) == ALL - {2, 4}
