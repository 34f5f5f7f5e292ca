# SPDX-License-Identifier: MIT
"""Servers that state wrong sizes: no copy is cut short or padded, whatever makes it, and an honest server
is hardly asked."""
import os
import re
import subprocess
import sys
import threading

import pytest

from mounting import wait_until
from servers import FakeImap, errno_of, mount, noise
from test_servers_bodies import CHUNK, LIAR, UNREADABLE, body_fetches, cat

# Around a page, a chunk, and several.
BODIES = dict(enumerate([
    b"Subject: a\r\n\r\n" + noise(300), b"Subject: b\r\n\r\n" + noise(5000), noise(4096), noise(70_000),
    noise(CHUNK), noise(CHUNK + 1), noise(700_001)], 1))
LIES = {
    "less": lambda uid, size: max(size - 37, 1),
    "half": lambda uid, size: size // 2 + 1,
    "more": lambda uid, size: size + 37,
    "triple": lambda uid, size: size * 3 + 1000,
}
LATE = 17
MANY = {uid: b"Subject: %d\r\n\r\n" % uid + noise(2000 + 97 * uid, uid) for uid in range(1, 41)}
MMAP = """
import mmap, os, sys
os.mkdir(sys.argv[2])
for name in os.listdir(sys.argv[1]):
    with open(os.path.join(sys.argv[1], name), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        with mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ) as octets:
            got = octets[:]
    with open(os.path.join(sys.argv[2], name), "wb") as out:
        out.write(got)
"""


def run(*command, **keywords):
    return subprocess.run([str(word) for word in command], check=False, capture_output=True, **keywords)


def each(copy):
    """A tool for whole directories of one for files."""
    def copy_all(source, target):
        worst = 0
        os.mkdir(target)
        for name in sorted(os.listdir(source), key=int):
            if (status := copy(source / name, target / name).returncode) != 0:
                worst = status
                (target / name).unlink(missing_ok=True)  # what a tool leaves that says that it failed
        return worst
    return copy_all


def rsync(source, target):
    return run("rsync", "-a", f"{source}/", target).returncode


def tar(source, target):
    os.mkdir(target)
    status = run("tar", "-C", source, "-cf", f"{target}.tar", ".").returncode
    if status == 0:
        run("tar", "-C", target, "-xf", f"{target}.tar")
    return status


TOOLS = {
    "cat": each(lambda source, target: run("sh", "-c", f"cat {source} >{target}")),
    "cp": each(lambda source, target: run("cp", source, target)),
    "dd": each(lambda source, target: run("dd", f"if={source}", f"of={target}", "bs=64k")),
    "mmap": lambda source, target: run(sys.executable, "-c", MMAP, source, target).returncode,
    "rsync": rsync,
    "tar": tar,
}


def copied(target):
    return {int(path.name): path.read_bytes() for path in target.iterdir()}


def serve(bodies, **flags):
    return FakeImap({"INBOX": list(bodies.values())}, **flags)


def proofs(server):
    """What was asked of sizes: some octets from the middle or the start of a message."""
    asked = re.compile(r"BODY\.PEEK\[\]<\d+\.(\d+)>")
    return [line for line in body_fetches(server) if int(asked.search(line)[1]) <= 32 << 10]


def reads(server):
    known = set(proofs(server))
    return [line for line in body_fetches(server) if line not in known]


@pytest.mark.parametrize("lie", ["half", "triple"])
@pytest.mark.parametrize("tool", TOOLS)
def test_first_copy(tool, lie, tmp_path):
    """The very first contact: the tool that looks is the tool that copies."""
    with serve(BODIES, size=LIES[lie]) as server, mount(server, says=[LIAR]) as m:
        assert TOOLS[tool](m.root / "INBOX", tmp_path / "copy") == 0
        assert copied(tmp_path / "copy") == BODIES


@pytest.mark.parametrize("lie", ["less", "more"])
@pytest.mark.parametrize("tool", TOOLS)
def test_found_late(tool, lie, tmp_path):
    """One size of many is wrong, and no sample has shown it: the copy of that message fails, or is right.
    After that all sizes are."""
    def size(uid, true):
        return LIES[lie](uid, true) if uid == LATE else true

    with serve(MANY, size=size) as server, mount(server, says=[LIAR]) as m:
        inbox = m.root / "INBOX"
        for entry in os.scandir(inbox):
            entry.stat()
        status = TOOLS[tool](inbox, tmp_path / "copy")
        found = copied(tmp_path / "copy")
        if tool == "tar":
            assert status != 0
        else:
            assert found.items() <= MANY.items()
            assert status != 0 or found == MANY
        assert TOOLS[tool](inbox, tmp_path / "again") == 0
        assert copied(tmp_path / "again") == MANY


def test_what_was_shown_is_told():
    """Caught by one message: what the kernel holds of the others is forgotten, and proved when asked."""
    liars = (17, 18, 39)

    def size(uid, true):
        return true - 30 if uid in liars else true

    with serve(MANY, size=size) as server, mount(server, says=[LIAR]) as m:
        inbox = m.root / "INBOX"
        assert {e.stat().st_size for e in os.scandir(inbox) if int(e.name) in liars} == {
            len(MANY[uid]) - 30 for uid in liars}
        assert errno_of((inbox / "17").read_bytes) in (None, "EIO")
        m.wait_said(LIAR)
        wait_until(lambda: all((inbox / str(uid)).stat().st_size == len(MANY[uid]) for uid in liars), "the true sizes")
        for uid, body in MANY.items():
            assert (inbox / str(uid)).stat().st_size == len(body)
            assert (inbox / str(uid)).read_bytes() == body


@pytest.mark.parametrize("lie", LIES)
def test_proved_without_reading(lie, tmp_path):
    """A lying account: ls -l costs questions, no bodies, and the next mount begins with what is known."""
    with serve(MANY, size=LIES[lie]) as server:
        for turn in range(2):
            with mount(server, directory=tmp_path, says=[LIAR]) as m:
                sizes = {int(e.name): e.stat().st_size for e in os.scandir(m.root / "INBOX")}
                assert sizes == {uid: len(body) for uid, body in MANY.items()}
                assert "sizes: some are wrong, each is proved" in (m.root / ".imapfs/status").read_text()
                assert not reads(server)
                assert turn == 0 or LIAR not in m.said()
            if turn == 0:
                asked = len(proofs(server))
        assert len(proofs(server)) == asked
        server.append("INBOX", noise(3333))
        with mount(server, directory=tmp_path) as m:
            assert (m.root / "INBOX" / "41").stat().st_size == 3333
        assert len(proofs(server)) > asked and not reads(server)


def test_honest_server_is_hardly_asked(tmp_path):
    boxes = {"INBOX": list(MANY.values()), "Work": list(MANY.values()), "More": list(MANY.values())}
    with FakeImap(boxes) as server:
        with mount(server, directory=tmp_path) as m:
            for count, name in ((8, "INBOX"), (12, "Work"), (16, "More")):
                sizes = {int(e.name): e.stat().st_size for e in os.scandir(m.root / name)}
                assert sizes == {uid: len(body) for uid, body in MANY.items()}
                assert len(proofs(server)) <= count
            assert not reads(server)
            assert "sizes: right so far" in (m.root / ".imapfs/status").read_text()
        asked = len(body_fetches(server))
        with mount(server, directory=tmp_path) as m:
            for name in boxes:
                assert {e.stat().st_size for e in os.scandir(m.root / name)} == set(map(len, MANY.values()))
        assert len(body_fetches(server)) == asked


def test_trust():
    """Nothing is proved ahead; what is read is whole all the same."""
    with serve(MANY, size=LIES["less"]) as server, mount(server, sizes="trust") as m:
        for entry in os.scandir(m.root / "INBOX"):
            assert entry.stat().st_size == len(MANY[int(entry.name)]) - 37
        assert not body_fetches(server)
        for uid, body in MANY.items():
            assert run("cat", m.root / "INBOX" / str(uid)).stdout == body


@pytest.mark.parametrize("lie, commands", [(None, 300), ("less", 700), ("triple", 1400)])
def test_many_share_commands(lie, commands):
    """ls -l of many sizes to prove: a command for each would be a turn for each. The fewer the slower the
    line is, so there is one."""
    bodies = {uid: noise(100 + uid * 7919 % 20_000, uid) for uid in range(1, 1501)}
    with serve(bodies, size=LIES.get(lie)) as server, mount(server, sizes="verify") as m:
        server.rule("UID FETCH", match=rb"BODY.PEEK", delay=0.004)
        sizes = {int(e.name): e.stat().st_size for e in os.scandir(m.root / "INBOX")}
        assert sizes == {uid: len(body) for uid, body in bodies.items()}
        assert not reads(server)
        assert len(proofs(server)) < commands


def test_offline_stat_does_not_wait(tmp_path):
    """Of a server that lies and is away: what it said is shown, for the moment."""
    with serve(MANY, size=LIES["less"]) as server:
        with mount(server, directory=tmp_path, says=[LIAR]) as m:
            assert (m.root / "INBOX" / "3").read_bytes() == MANY[3]
            os.listdir(m.root / "INBOX")
    with mount(server, directory=tmp_path, offline=True, says=None) as m:
        assert (m.root / "INBOX" / "3").stat().st_size == len(MANY[3])
        assert (m.root / "INBOX" / "3").read_bytes() == MANY[3]
        assert (m.root / "INBOX" / "30").stat().st_size > 0
        assert errno_of((m.root / "INBOX" / "30").read_bytes) == "ENETDOWN"


@pytest.mark.parametrize("sizes", ["auto", "verify"])
def test_refused_message_is_left_out(sizes, tmp_path):
    """rsync says that one failed, and copies the rest; listing it fails in no mode."""
    with serve(MANY, body={LATE: "no", 3: "no"}) as server:
        with mount(server, says=[UNREADABLE + "the server refuses"], sizes=sizes) as m:
            assert len([e.stat() for e in os.scandir(m.root / "INBOX")]) == len(MANY)
            assert rsync(m.root / "INBOX", tmp_path / "copy") == 23
            assert copied(tmp_path / "copy") == {u: b for u, b in MANY.items() if u not in (3, LATE)}
            assert errno_of((m.root / "INBOX" / str(LATE)).read_bytes) == "EIO"


def test_proof_cut_off():
    """Connections lost while sizes are sought."""
    with serve(MANY, size=LIES["triple"]) as server, mount(server, says=None, timeout=20) as m:
        server.rule("UID FETCH", match=rb"BODY", skip=6, times=2, drop="rst")
        sizes = {int(e.name): e.stat().st_size for e in os.scandir(m.root / "INBOX")}
        assert sizes == {uid: len(body) for uid, body in MANY.items()}


def test_silent_proof():
    """Never answered: stat ends, with what the server said."""
    with serve(MANY) as server, mount(server, says=None, sizes="verify", timeout=2) as m:
        assert len(os.listdir(m.root / "INBOX")) == len(MANY)
        server.rule("UID FETCH", match=rb"BODY", stall=True)
        assert (m.root / "INBOX" / "5").stat().st_size == len(MANY[5])
        assert errno_of((m.root / "INBOX" / "5").read_bytes) in ("ETIMEDOUT", "ENETDOWN")


def test_shared_by_all_who_wait():
    """Many who ask for the same message at once: one question."""
    with serve(MANY) as server, mount(server, sizes="verify") as m:
        os.listdir(m.root / "INBOX")
        rule = server.rule("UID FETCH", match=rb"FETCH 20 \(UID BODY", delay=0.3)
        found = []
        threads = [threading.Thread(target=lambda: found.append((m.root / "INBOX" / "20").stat().st_size))
                   for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [len(MANY[20])] * 8
        assert rule.hits == 1


@pytest.mark.parametrize("size", [b"9223372036854775808", b"18446744073709551615", b"4294967296", b"70368744177663"])
def test_huge_size(size):
    """Sizes that cannot be: found out, not believed, and nothing of ours is sized by them."""
    few = {uid: MANY[uid] for uid in range(1, 6)}
    with serve(few, size=lambda uid, true: size) as server, mount(server, says=[LIAR]) as m:
        for uid, body in few.items():
            assert (m.root / "INBOX" / str(uid)).stat().st_size == len(body)
            assert (m.root / "INBOX" / str(uid)).read_bytes() == body


def test_size_restated():
    """Two sizes for one message: one of them is wrong, and what was shown of it is not kept."""
    with serve(MANY) as server, mount(server, says=[LIAR]) as m:
        server.rule("UID FETCH", match=rb"RFC822\.SIZE", times=1,
                    before_ok=b'* 30 FETCH (UID 30 RFC822.SIZE 5 INTERNALDATE "17-Jul-2023 12:30:05 +0200")\r\n')
        sizes = {int(e.name): e.stat().st_size for e in os.scandir(m.root / "INBOX")}
        assert sizes == {uid: len(body) for uid, body in MANY.items()}
        m.wait_said(LIAR)


@pytest.mark.parametrize("empty", [b'""', b"NIL"])
def test_empty_from_elsewhere(empty):
    """What another command found past the end of a message says nothing of where that is."""
    body = noise(300_000)
    for skip in range(14):
        with serve({1: body}, size=lambda uid, size: size * 3 + 1000) as server:
            with mount(server, sizes="verify", says=[LIAR]) as m:
                server.rule("UID FETCH", match=rb"BODY", skip=skip, times=1,
                            before=b"* 1 FETCH (UID 1 BODY[]<900000> %s)\r\n" % empty)
                assert (m.root / "INBOX" / "1").stat().st_size == len(body), skip
                assert cat(m.root / "INBOX" / "1") == body


def test_size_of_what_was_expunged():
    """Dovecot's row of a message that went a moment ago, and of whose end it has not told yet: no lie."""
    with serve(MANY) as server, mount(server) as m:
        server.rule("UID FETCH", match=rb"RFC822\.SIZE", times=1,
                    before_ok=b'* 30 FETCH (UID 30 RFC822.SIZE 0 INTERNALDATE "01-Jan-1970 00:00:00 +0000")\r\n')
        stats = {int(e.name): e.stat() for e in os.scandir(m.root / "INBOX")}
        assert {uid: s.st_size for uid, s in stats.items()} == {uid: len(body) for uid, body in MANY.items()}
        assert stats[30].st_mtime > 0


@pytest.mark.parametrize("what", ["expunged", "numbered-anew"])
def test_gone_while_proved(what):
    """The message, or its whole mailbox, goes while somebody waits for its size."""
    state = {"uidvalidity": 7}
    with serve(MANY, uidvalidity=lambda name, n: state["uidvalidity"]) as server:
        with mount(server, sizes="verify", says=[r"UIDVALIDITY of INBOX changed"]) as m:
            os.listdir(m.root / "INBOX")
            rule = server.rule("UID FETCH", match=rb"BODY", times=1, stall=True)
            found = []
            waiter = threading.Thread(target=lambda: found.append(errno_of((m.root / "INBOX" / "20").stat)))
            waiter.start()
            wait_until(lambda: rule.hits, "the question")
            if what == "expunged":
                server.expunge("INBOX", 20)
            else:
                state["uidvalidity"] = 8
                server.drop()
            rule.release()
            waiter.join()
            # The kernel asks once more where it was told ESTALE, and then the new message is there.
            assert found == ["ENOENT"] or what == "numbered-anew" and found[0] in (None, "ESTALE", "ENOENT")
            # The kernel hears of the new directory a moment later.
            wait_until(lambda: not errno_of((m.root / "INBOX" / "21").stat), "the others are there")
            assert (m.root / "INBOX" / "21").stat().st_size == len(MANY[21])


def test_nothing_to_read():
    """Where sizes are wrong, a message of 0 octets may be one that cannot be read: it is no empty file, and
    can be looked at and removed."""
    bodies = {1: b"Subject: a\r\n\r\n" + noise(300), 2: b"", 3: b""}
    with FakeImap({"INBOX": list(bodies.values())}, size=lambda uid, size: size + 37 if uid == 1 else size) as server, \
            mount(server, says=f"{LIAR}|{UNREADABLE}") as m:
        inbox = m.root / "INBOX"
        assert (inbox / "1").read_bytes() == bodies[1]
        for uid in (2, 3):
            assert (inbox / str(uid)).stat().st_size > 0
            assert errno_of((inbox / str(uid)).read_bytes) == "EIO"
        assert run("ls", "-l", inbox).returncode == 0
        (inbox / "2").unlink()
        assert sorted(os.listdir(inbox)) == ["1", "3"]
        assert [message.uid for message in server.mailbox("INBOX").messages] == [1, 3]
