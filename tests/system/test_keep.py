# SPDX-License-Identifier: MIT
"""imapfs --keep: mailboxes that are there without the server, whatever else the cache has no room for."""
import fcntl
import json
import os
import re
import signal
import subprocess
import tempfile

import mailgen
import tree
from dovecot import Mail
from fakeimap import FakeImap, Rule
from mounting import is_mounted, run, wait_until
from programs import PROGRAM
from servers import FakeMount, errno_of, mount
from terminal import Terminal

USAGE, CONNECT, MOUNT, CACHE, NOT_DONE = 1, 2, 5, 6, 8
SIZE = 60_000


def text(number, size=SIZE):
    return (b"Subject: number %d\r\n\r\n" % number + (b"%08d\r\n" % number) * (size // 10))[:size]


def texts(count, first=1):
    return [text(number) for number in range(first, first + count)]


def ask(*words):
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=100, check=False)
    return done.returncode, done.stdout, done.stderr


def keep(m, *boxes):
    return ask("--keep", *(m.path(box) for box in boxes))


def fetched(server):
    """The UIDs of messages whose octets were asked for from the first on, once for each time."""
    found = []
    for uids in re.findall(r"UID FETCH (\S+) \([^\n]*BODY\.PEEK\[\]<0\.", "\n".join(server.lines("UID FETCH"))):
        for part in uids.split(","):
            first, _, last = part.partition(":")
            found += range(int(first), int(last or first) + 1)
    return found


def status(m):
    return json.loads(ask("--status", "--json", m.point)[1])


def test_stays():
    """More than the cache may hold of other mail, which comes and goes; after a remount without the server all
    is there, under another name too; and it is fetched but once, and not marked as seen."""
    boxes = {"Kept": texts(40), "Other": texts(60, 100)}
    with tempfile.TemporaryDirectory() as place:
        with FakeImap(boxes) as server:
            with mount(server, place, cache_size="1M") as m:
                assert keep(m, "Kept") == (0, f"{m.path('Kept')}: all 40 messages (2.4 MB) are kept\n", "")
                assert sorted(fetched(server)) == list(range(1, 41))
                assert not [line for line in server.lines("UID FETCH") if "BODY[" in line]
                assert status(m)["kept"] == ["Kept: 40 of 40 messages"]
                for uid, body in enumerate(boxes["Other"], 1):
                    assert m.read("Other", uid) == body
                assert re.search(r", 2400000 bytes kept$", status(m)["cache"])
                count = len(server.lines("UID FETCH"))
                assert keep(m, "Kept")[0] == 0
                assert len(server.lines("UID FETCH")) == count
                os.rename(m.path("Kept"), m.path("Renamed"))
                wait_until(lambda: b"Renamed" in server.account.mailboxes, "renamed on the server")
        with mount(server, place, says=None, offline=True, cache_size="1M") as m:
            assert status(m)["kept"] == ["Renamed"]
            for uid, body in enumerate(boxes["Kept"], 1):
                assert m.read("Renamed", uid) == body
            assert {errno_of(m.read, "Other", uid) for uid in range(1, 61)} == {None, "ENETDOWN"}
            assert keep(m, "Renamed") == (0, f"{m.path('Renamed')}: all 40 messages (2.4 MB) are kept\n", "")


def views_of(m, box, uids):
    """What views show of a mailbox."""
    found = [m.read(box, ".index"), m.read(box, ".index.jsonl"), os.listdir(m.path(".named", box)),
             os.listdir(m.path(box, ".search", "from:anna"))]
    for uid in uids:
        found += [m.read(".text", box, uid), m.read(".headers", box, uid), os.listdir(m.path(box, ".parts", uid))]
    return found + [m.read(box, ".parts", uids[-1], "big.bin"), m.read(box, ".parts", uids[-2], "small.bin")]


def mixed(number, name, size):
    """With an attachment."""
    lines = b"%08d\r\n" % number * (size // 10)
    return (b"From: Anna <anna@example.org>\r\nSubject: =?utf-8?q?number_%d?=\r\nMIME-Version: 1.0\r\n"
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nsome text\r\n"
            b"--b\r\nContent-Type: application/octet-stream; name=%s\r\n\r\n" % (number, name)) + lines + b"\r\n--b--\r\n"


def test_views():
    """What they show is there without the server, whether somebody looked before or not, however little the cache holds."""
    bodies = [*texts(10), mixed(11, b"small.bin", 2000), mixed(12, b"big.bin", 900_000)]
    boxes = {"Kept": bodies, "Other": [text(n, 1000) for n in range(1, 3000)]}
    uids = [1, 11, 12]
    with FakeImap(boxes) as server, tempfile.TemporaryDirectory() as place:
        with mount(server, place, cache_size="1M") as m:
            m.read("Kept", ".index")
            # No room is left for the first.
            assert m.read("Other", ".index.jsonl").count(b"\n") == 2999
            assert keep(m, "Kept")[0] == 0
            m.read("Other", ".index")
            count = len(server.lines("UID FETCH"))
            shown = views_of(m, "Kept", uids)
            assert not [line for line in server.lines("UID FETCH")[count:] if "STRUCTURE" in line or "FIELDS" in line or "[]" in line]
        with mount(server, place, says=None, offline=True, cache_size="1M") as m:
            assert views_of(m, "Kept", uids) == shown


def test_views_from_a_slow_disk(world):
    """So it is where the disk answers later than is waited for, without the server: whatever the views of a large message need."""
    bodies = [text(1, 800_000), mixed(2, b"big.bin", 900_000)]
    with FakeImap({"INBOX": bodies}) as server, tempfile.TemporaryDirectory() as place:
        with mount(server, place) as m:
            assert keep(m, "INBOX")[0] == 0
        with mount(server) as m:
            shown = [m.read(".text", "INBOX", uid) + m.read(".headers", "INBOX", uid) for uid in (1, 2)]
            part = m.read("INBOX", ".parts", 2, "big.bin")
        m = FakeMount(server, place, says=None, offline=True, timeout=60)
        m.environment.update(world.environment)
        with m:
            os.listdir(m.path("INBOX"))
            world.slow_disk(0.05)
            assert [m.read(".text", "INBOX", uid) + m.read(".headers", "INBOX", uid) for uid in (1, 2)] == shown
            assert m.read("INBOX", ".parts", 2, "big.bin") == part


def test_views_of_news():
    """So is what they show of what comes later."""
    with FakeImap({"INBOX": [text(1), mixed(2, b"small.bin", 2000), mixed(3, b"big.bin", 900_000)]}) as server, \
            tempfile.TemporaryDirectory() as place:
        with mount(server, place) as m:
            assert keep(m, "INBOX")[0] == 0
            server.append("INBOX", mixed(4, b"small.bin", 3000))
            server.append("INBOX", mixed(5, b"big.bin", 300_000))
            wait_until(lambda: status(m)["kept"] == ["INBOX: 5 of 5 messages"], "it is kept")
            assert any("BODYSTRUCTURE" in line for line in server.lines("UID FETCH"))
            shown = views_of(m, "INBOX", [4, 5])
        with mount(server, place, says=None, offline=True) as m:
            assert views_of(m, "INBOX", [4, 5]) == shown


def test_known_again():
    """Another mount believes the cache, and reads nothing again to see that all is there."""
    bodies = [*texts(20), text(21, 262144), text(22, 300000)]
    with FakeImap({"INBOX": bodies}) as server, tempfile.TemporaryDirectory() as place:
        with mount(server, place) as m:
            assert keep(m, "INBOX")[0] == 0
        with mount(server, place, says=None, offline=True) as m:
            assert keep(m, "INBOX")[1].endswith(": all 22 messages (1.8 MB) are kept\n")
            assert ", 0 hits, 0 misses" in status(m)["cache"]


def test_read_before():
    """What was read before the mailbox was kept is moved to where it stays, and fetched no more; what only the
    kernel has, or memory, is kept as well."""
    boxes = {"Kept": texts(10), "Other": texts(60, 100)}
    with FakeImap(boxes) as server, tempfile.TemporaryDirectory() as place:
        check_read_before(server, place, boxes)


def check_read_before(server, place, boxes):
    with mount(server, place, cache_size="1M") as m:
        for uid in range(1, 6):
            assert m.read("Kept", uid) == text(uid)
        assert keep(m, "Kept")[0] == 0
        assert sorted(fetched(server)) == list(range(1, 11))
        for uid, body in enumerate(boxes["Other"], 1):
            assert m.read("Other", uid) == body
        server.drop()
        count = len(fetched(server))
        assert keep(m, "Kept")[0] == 0 and len(fetched(server)) == count
        # All of it has gone from the cache, but is in the kernel, and in memory.
        for uid in range(1, 61):
            m.read("Other", uid)
        assert keep(m, "Other")[0] == 0
    with mount(server, place, says=None, offline=True) as m:
        assert [m.read("Other", uid) for uid in range(1, 61)] == boxes["Other"]


def test_interrupted():
    """SIGINT in the middle: what came is kept, nothing more is asked for, and the next one fetches the rest."""
    held = Rule("UID FETCH", match=rb"BODY\.PEEK", skip=6, stall=True)
    with FakeImap({"INBOX": texts(400)}, rules=[held]) as server, mount(server, connections=2, timeout=60) as m:
        keeping = subprocess.Popen([PROGRAM, "--keep", m.path("INBOX")], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        server.wait(lambda: held.hits > 0)
        keeping.send_signal(signal.SIGINT)
        out, err = keeping.communicate(timeout=60)
        assert keeping.returncode == -signal.SIGINT and not out
        assert re.search(r"INBOX: \d+ of 400 messages \([\d.]+ of 24.0 MB\) are kept; the next --keep fetches the rest", err)
        held.skip = 1 << 30
        held.release()
        wait_until(lambda: re.fullmatch(r"INBOX: \d+ of 400 messages", status(m)["kept"][0]), "left", 60)
        assert keep(m, "INBOX")[:2] == (0, f"{m.path('INBOX')}: all 400 messages (24.0 MB) are kept\n")
        assert sorted(set(fetched(server))) == list(range(1, 401))
        # One that was under way with each connection may have been left.
        assert len(fetched(server)) < 500


def begin(m, box):
    return subprocess.Popen([PROGRAM, "--keep", m.path(box)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_interrupted_with_others():
    """SIGINT of one of two that ask for the same mailbox: it goes on for the other one, and nothing is asked for twice."""
    held = Rule("UID FETCH", match=rb"BODY\.PEEK", skip=6, stall=True)
    with FakeImap({"INBOX": texts(400)}, rules=[held]) as server, mount(server, connections=2, timeout=60) as m:
        first = begin(m, "INBOX")
        with Terminal([PROGRAM, "--keep", m.path("INBOX")]) as second:
            second.expect(r"\rINBOX  ")
            server.wait(lambda: held.hits > 0)
            first.send_signal(signal.SIGINT)
            assert re.search(r"INBOX: \d+ of 400 messages \(.*\) are kept; another imapfs --keep goes on with the rest\n$",
                             first.communicate(timeout=60)[1])
            assert first.returncode == -signal.SIGINT
            held.skip = 1 << 30
            held.release()
            second.expect(r"INBOX: all 400 messages \(24\.0 MB\) are kept")
            second.end()
        assert sorted(fetched(server)) == list(range(1, 401))


def test_no_mailbox():
    """What is in the mount but no mailbox's own directory is refused, also where a mailbox is mounted itself."""
    with FakeImap({"INBOX": texts(2)}) as server, tempfile.TemporaryDirectory() as place:
        m = FakeMount(server, place)
        m.command[-2] += "INBOX"
        with m:
            for name in (".imapfs", ".parts", ".text", ".search/text:x"):
                assert ask("--keep", m.path(name)) == \
                    (USAGE, "", f"imapfs: {m.path(name)}: this is no mailbox's own directory; name the mailbox itself\n")
            assert "kept" not in status(m)
            assert ask("--keep", m.point) == (0, f"{m.point}: all 2 messages (0.1 MB) are kept\n", "")


def test_unkept_meanwhile():
    """Nobody is told that all is kept when --unkeep came in between."""
    held = Rule("UID FETCH", match=rb"BODY\.PEEK", skip=6, stall=True)
    with FakeImap({"INBOX": texts(400)}, rules=[held]) as server, mount(server, connections=2, timeout=60) as m:
        keeping = begin(m, "INBOX")
        server.wait(lambda: held.hits > 0)
        assert ask("--unkeep", m.path("INBOX"))[0] == 0
        held.release()
        assert keeping.communicate(timeout=60) == ("", f"imapfs: {m.path('INBOX')}: --unkeep was given it meanwhile\n")
        assert keeping.returncode == NOT_DONE and "kept" not in status(m)


def test_numbered_anew_meanwhile():
    """The mailbox that was asked for is gone; the one that is there now is kept, too."""
    held = Rule("UID FETCH", match=rb"BODY\.PEEK", skip=6, stall=True)
    with FakeImap({"INBOX": texts(1), "B": texts(100)}, rules=[held]) as server:
        with mount(server, says=None, connections=2, timeout=60) as m:
            keeping = begin(m, "B")
            server.wait(lambda: held.hits > 0)
            server.mailbox("B").uidvalidity += 1
            server.drop()
            held.skip = 1 << 30
            held.release()
            out, err = keeping.communicate(timeout=60)
            assert keeping.returncode == NOT_DONE and not out and ": it is gone, or its messages were numbered anew; " in err
            assert keep(m, "B")[0] == 0 and status(m)["kept"] == ["B: 100 of 100 messages"]


def test_killed():
    """Who asked is gone without a word: the mount leaves it after a while."""
    held = Rule("UID FETCH", match=rb"BODY\.PEEK", skip=3, stall=True)
    with FakeImap({"INBOX": texts(200)}, rules=[held]) as server, mount(server, timeout=60) as m:
        with subprocess.Popen([PROGRAM, "--keep", m.path("INBOX")]) as keeping:
            server.wait(lambda: held.hits > 0)
            keeping.kill()
        assert "being fetched" in status(m)["kept"][0]
        held.skip = 1 << 30
        held.release()
        wait_until(lambda: "being fetched" not in status(m)["kept"][0], "left, or done", 60)


def test_not_any_more():
    boxes = {"Kept": texts(10), "Too": texts(10, 50), "Other": texts(60, 100)}
    with FakeImap(boxes) as server, tempfile.TemporaryDirectory() as place:
        with mount(server, place, cache_size="1M") as m:
            assert keep(m, "Kept", "Too")[0] == 0
            assert sorted(status(m)["kept"]) == ["Kept: 10 of 10 messages", "Too: 10 of 10 messages"]
            assert ask("--unkeep", m.path("Kept")) == (0, f"{m.path('Kept')}: not kept any more\n", "")
            assert status(m)["kept"] == ["Too: 10 of 10 messages"]
            for box in ("Kept", "Other"):
                assert ask("--unkeep", m.path(box)) == (0, f"{m.path(box)}: was not kept\n", "")
            for uid, body in enumerate(boxes["Other"], 1):
                assert m.read("Other", uid) == body
        with mount(server, place, says=None, offline=True) as m:
            assert status(m)["kept"] == ["Too"]
            assert {errno_of(m.read, "Kept", uid) for uid in range(1, 11)} == {"ENETDOWN"}
            assert [m.read("Too", uid) for uid in range(1, 11)] == boxes["Too"]


def test_new_mail():
    """What comes to a kept mailbox is fetched as soon as it is known, without anybody reading; and what was
    expunged does not count."""
    with FakeImap({"INBOX": texts(5)}) as server, tempfile.TemporaryDirectory() as place:
        with mount(server, place) as m:
            assert keep(m, "INBOX")[0] == 0
            server.wait_idle()
            server.append("INBOX", text(6))
            server.poke()
            wait_until(lambda: 6 in fetched(server), "fetched", 60)
            wait_until(lambda: status(m)["kept"] == ["INBOX: 6 of 6 messages"], "kept", 60)
            os.unlink(m.path("INBOX", 2))
            wait_until(lambda: status(m)["kept"] == ["INBOX: 5 of 5 messages"], "one less", 60)
        server.append("INBOX", text(7))
        with mount(server, place) as m:
            assert len(os.listdir(m.path("INBOX"))) == 6
            wait_until(lambda: status(m)["kept"] == ["INBOX: 6 of 6 messages"], "kept", 60)
        with mount(server, place, says=None, offline=True) as m:
            assert m.read("INBOX", 7) == text(7)


def test_new_mail_meanwhile():
    """What came to a kept mailbox while it was not mounted is fetched without anybody looking, what a mount knew of
    but did not get to as well; and what comes then."""
    held = Rule("UID FETCH", match=rb"BODY\.PEEK", skip=1 << 30, stall=True)
    with FakeImap({"INBOX": texts(5)}, rules=[held]) as server, tempfile.TemporaryDirectory() as place:
        with mount(server, place) as m:
            assert keep(m, "INBOX")[0] == 0
        server.append("INBOX", text(6))
        held.skip = 0
        with mount(server, place, says=None):
            server.wait(lambda: held.hits > 0, 60)
        held.skip = 1 << 30
        held.release()
        with mount(server, place) as m:
            wait_until(lambda: status(m)["kept"] == ["INBOX: 6 of 6 messages"], "kept", 60)
            server.wait_idle()
            server.append("INBOX", text(7))
            wait_until(lambda: status(m)["kept"] == ["INBOX: 7 of 7 messages"], "kept", 60)
        with mount(server, place, says=None, offline=True) as m:
            assert [m.read("INBOX", uid) for uid in (6, 7)] == [text(6), text(7)]


def test_numbered_anew():
    """Another UIDVALIDITY is another mailbox; it is kept as well, with what is in it now."""
    with FakeImap({"INBOX": texts(3)}) as server, tempfile.TemporaryDirectory() as place:
        with mount(server, place) as m:
            assert keep(m, "INBOX")[0] == 0
        server.account.mailboxes[b"INBOX"].uidvalidity += 1
        with mount(server, place, says=None) as m:
            assert len(os.listdir(m.path("INBOX"))) == 3
            wait_until(lambda: status(m)["kept"] == ["INBOX: 3 of 3 messages"], "kept", 60)


def test_damaged():
    """A database that is damaged is replaced: who relies on what was kept is told, until it is said anew."""
    with FakeImap({"INBOX": texts(3)}) as server, tempfile.TemporaryDirectory() as place:
        with mount(server, place) as m:
            assert keep(m, "INBOX")[0] == 0
        with open(os.path.join(m.cache, "cache.db"), "r+b") as f:
            f.write(b"damage" * 1000)
        lost = ["nothing any more: the cache's database was damaged; give imapfs --keep again"]
        with mount(server, place, says=None) as m:
            assert "nothing is kept for offline any more (imapfs --keep)" in m.said()
            assert status(m)["kept"] == lost
        with mount(server, place) as m:
            assert status(m)["kept"] == lost
            assert keep(m, "INBOX")[0] == 0 and status(m)["kept"] == ["INBOX: 3 of 3 messages"]


def test_failures():
    """Each says what is wrong, and how far it got."""
    with FakeImap({"INBOX": texts(100), "Never": texts(1), "Large": texts(1000)}) as server, tempfile.TemporaryDirectory() as place:
        with mount(server, place, says=None) as m:
            assert keep(m) == (USAGE, "", "imapfs: --keep: which mailboxes? usage: imapfs --keep MOUNTPOINT/MAILBOX...\n")
            assert keep(m, "Nowhere")[::2] == (USAGE, f"imapfs: {m.path('Nowhere')}: No such file or directory\n")
            assert ask("--keep", m.path("INBOX", 1))[::2] == \
                (USAGE, f"imapfs: {m.path('INBOX', 1)}: no directory of a mailbox\n")
            assert ask("--keep", m.point)[::2] == \
                (USAGE, f"imapfs: {m.point}: no messages are in this directory itself; name a mailbox below it\n")
            for outside in ("/", "/tmp", place):
                code, out, err = ask("--keep", outside)
                assert code == MOUNT and err.startswith(f"imapfs: {outside}: no imapfs is mounted there")
            # The first failure counts, and the others are done.
            code, out, err = keep(m, "Nowhere", "Never")
            assert code == USAGE and "the only message" in out and "Nowhere" in err
            os.listdir(m.path("INBOX"))
        with mount(server, place, says=None, offline=True) as m:
            code, out, err = keep(m, "INBOX")
            assert (code, out) == (CONNECT, "")
            assert re.search(r"INBOX: the server cannot be reached \(no connection\): \d+ of 100 messages \([\d.]+ of 6.0 MB\) are kept; "
                             "the next --keep fetches the rest", err)
        with mount(server, place, says=None, daylimit="1M") as m:
            code, out, err = keep(m, "Large")
            assert code == NOT_DONE and "what daylimit= allows for today has come: " in err, (code, err)
        with open(os.path.join(place, "cache", "cache.lock"), "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with mount(server, place, says=None) as m:
                code, out, err = keep(m, "INBOX")
                assert code == CACHE and "the cache of this mount is not on the disk: there is nothing to keep it in" in err


def test_lost_in_the_middle():
    """The server goes away: a clear end, and the rest when it is back."""
    lost = Rule("UID FETCH", match=rb"BODY\.PEEK", skip=3, drop="rst", reply=b"BAD never seen")
    with FakeImap({"INBOX": texts(200)}, rules=[lost]) as server:
        with mount(server, says=None, timeout=3) as m:
            code, _, err = keep(m, "INBOX")
            assert code in (CONNECT, NOT_DONE) and re.search(r"\d+ of 200 messages", err)
            lost.skip = 1 << 30
            wait_until(lambda: keep(m, "INBOX")[0] == 0, "kept", 60)


def test_unreadable():
    """One that the server does not give is told, and keeps nobody from having the others."""
    with FakeImap({"INBOX": texts(5)}, body={3: "no"}) as server, mount(server, says=None) as m:
        code, _, err = keep(m, "INBOX")
        assert code == NOT_DONE
        assert re.search(r"INBOX: 4 of 5 messages \(0.2 of 0.3 MB\) are kept; the server does not give the other 1$", err, re.M)


def test_large_and_odd():
    """Larger than memory is for, of just a chunk, and with wrong sizes; empty, where that is believed."""
    bodies = [text(1, 60_000_000), text(2, 1), text(3, 262144), text(4, 100), text(5, 524288)]
    with tempfile.TemporaryDirectory() as place:
        with FakeImap({"INBOX": bodies}, size=lambda uid, size: size + 7 if uid == 4 else size) as server:
            with mount(server, place, says=None) as m:
                assert keep(m, "INBOX")[0] == 0, m.said()
        with mount(server, place, says=None, offline=True) as m:
            assert [m.read("INBOX", uid) for uid in range(1, 6)] == bodies
    with FakeImap({"INBOX": [b"", text(2, 10)]}) as server, mount(server, layout="maildir") as m:
        assert keep(m, "INBOX")[1].endswith(": all 2 messages (0.0 kB) are kept\n")


def test_full_disk():
    """As many are here as it says."""
    with FakeImap({"INBOX": texts(300)}) as server, tempfile.TemporaryDirectory() as place:
        disk = os.path.join(place, "cache")
        os.mkdir(disk)
        run("mount", "-t", "tmpfs", "-o", "size=6m,mode=0700", "tmpfs", disk)
        try:
            with mount(server, place, says=None) as m:
                code, out, err = keep(m, "INBOX")
                assert code == CACHE and re.search(r"INBOX: the disk is full: \d+ of 300 messages", err), (code, out, err)
                assert m.read("INBOX", 300) == text(300)
            told = int(re.search(r"(\d+) of 300", err).group(1))
            with mount(server, place, says=None, offline=True) as m:
                here = [uid for uid in range(1, 301) if errno_of(m.read, "INBOX", uid) is None]
                assert len(here) == told, (err, here)
        finally:
            run("umount", disk)


def test_terminal():
    """The line fits, and is gone at the end."""
    held = Rule("UID FETCH", match=rb"BODY\.PEEK", skip=4, stall=True)
    with FakeImap({"INBOX": texts(100)}, rules=[held]) as server, mount(server, timeout=60) as m:
        with Terminal([PROGRAM, "--keep", m.path("INBOX")]) as t:
            t.expect(r"\rINBOX  \[[#.]+\]  \d+/100  [\d.]+/6\.0 MB  [\d.]+ MB/s  [-\d:]+ left")
            server.wait(lambda: held.hits > 0)
            held.release()
            t.expect(r"\r\x1b\[K.*INBOX: all 100 messages \(6\.0 MB\) are kept")
            t.end()
        assert is_mounted(m.point)


def test_large_shows():
    """How far it is within a large message is told as well."""
    held = Rule("UID FETCH", match=rb"BODY\.PEEK\[\]<\d{7}", skip=2, stall=True)
    with FakeImap({"INBOX": [text(1, 20_000_000)]}, rules=[held]) as server, mount(server, timeout=60) as m:
        with Terminal([PROGRAM, "--keep", m.path("INBOX")]) as t:
            server.wait(lambda: held.hits > 0)
            t.expect(r"\rINBOX  \[[#.]+\]  0/1  [1-9][\d.]+/20\.0 MB")
            held.release()
            t.expect(r"INBOX: the only message \(20\.0 MB\) is kept")
            t.end()


def test_care():
    """Kept mail is left by trim, checked by verify, and gone with clear."""
    with FakeImap({"Kept": texts(5), "Other": texts(5, 100)}) as server, tempfile.TemporaryDirectory() as place:
        with mount(server, place) as m:
            assert keep(m, "Kept")[0] == 0
            assert m.read("Other", 1) == text(100)
        source = f"imap://{server.user}@127.0.0.1:{server.port}/"
        cache = ("-o", f"cache={m.cache}", source)
        assert ask("--cache", "trim", "0", *cache)[0] == 0
        assert "5 messages, 300.0 kB: sound" in ask("--cache", "verify", *cache)[1]
        with mount(server, place, says=None, offline=True) as m:
            assert [m.read("Kept", uid) for uid in range(1, 6)] == texts(5)
            assert errno_of(m.read, "Other", 1) == "ENETDOWN"
        assert ask("--cache", "clear", *cache)[0] == 0
        with mount(server, place) as m:
            assert "kept" not in status(m)


def test_dovecot(start_server, mount):  # pylint: disable=redefined-outer-name
    generator = mailgen.Generator(7)
    mails = [Mail("Kept/Deep", generator.message(40_000)[0], 1700000000 + i) for i in range(60)]
    server = start_server(mails + [Mail("INBOX", generator.message(60_000)[0], 1700000000) for _ in range(60)])
    m = mount(server, "cache_size=1M")
    assert keep(m, "Kept/Deep")[0] == 0
    assert tree.compare(server, m.point) == []
    server.load([Mail("Kept/Deep", generator.message(1000)[0], 1700001000)])
    wait_until(lambda: status(m)["kept"] == ["Kept/Deep: 61 of 61 messages"], "the new one, too", 60)
    wanted = {name: m.read("Kept", "Deep", name) for name in os.listdir(m.path("Kept", "Deep"))}
    m.stop()
    m.command = [re.sub("passfile=[^,]*", "passfile=/nowhere,offline,ro", word) for word in m.command]
    m.start()
    assert {name: m.read("Kept", "Deep", name) for name in os.listdir(m.path("Kept", "Deep"))} == wanted
