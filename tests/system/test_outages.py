# SPDX-License-Identifier: MIT
"""A server that is away, refuses or falls silent costs next to nothing, and what it does to one thing it does to
no other. Mounts live, in every mode, and sleep when nothing is asked of them."""
import concurrent.futures
import contextlib
import os
import re
import socket
import threading
import time

import pytest

from fakeimap import FakeImap
from mounting import wait_until
from programs import RELEASE
from servers import FakeMount, errno_of, mount, uids

FEW = ("IMAP4rev1", "UIDPLUS", "LIST-EXTENDED", "LIST-STATUS", "CHILDREN")
MODES = {"polling": (), "IDLE": ("IDLE",), "NOTIFY": ("IDLE", "NOTIFY")}
TEXT = b"Subject: %d\r\n\r\nbody\r\n"
REFUSAL = b"NO [AUTHENTICATIONFAILED] Authentication failed."


def fake(mode, **keywords):
    server = FakeImap({"INBOX": [TEXT % i for i in range(1, 8)], "Other": [TEXT % i for i in range(1, 4)]},
                      capabilities=FEW + MODES[mode], **keywords)
    server.rule("NOTIFY", raw=b'* STATUS INBOX (MESSAGES 7 UIDNEXT 8 UIDVALIDITY 1700000000)\r\n{tag} OK done\r\n')
    return server


def status(m):
    return m.read(".imapfs", "status").decode()


def look(m, mode):
    """Until it is watched, where that can be."""
    assert uids(m.root / "INBOX") == list(range(1, 8))
    wait_until(lambda: f"watching: {mode}\n" in status(m), f"watching by {mode}")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as source:
        fields = source.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wakes(pid):
    """Voluntary context switches of all its threads."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as source:
            total += int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", source.read(), re.M)[1])
    return total


@contextlib.contextmanager
def nobody(port, manner):
    """In the place of a server: refuses, takes connections and says nothing, or closes them at once."""
    if manner == "refused":
        # Nobody listens, and nobody else may: the kernel would give the port to another test's server.
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", port))
            yield
        return
    with socket.create_server(("127.0.0.1", port)) as listener:
        def close():
            with contextlib.suppress(OSError):
                while True:
                    listener.accept()[0].close()
        if manner == "closing":
            threading.Thread(target=close, daemon=True).start()
        yield
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.limit(240)
def test_away(tmp_path):
    """A minute of it, with somebody who asks at the beginning: hardly any work, in each mode of watching."""
    with contextlib.ExitStack() as stack:
        mounts = []
        for manner in ("refused", "silent", "closing"):
            for mode in MODES:
                place = tmp_path / f"{manner}-{mode}"
                place.mkdir()
                server = fake(mode)
                with server:
                    m = stack.enter_context(FakeMount(server, str(place), says=None, program=RELEASE, timeout=2,
                                                      refresh=5))
                    look(m, mode)
                stack.enter_context(nobody(server.port, manner))
                mounts.append((manner, mode, m))
        for _, _, m in mounts:
            assert errno_of((m.root / "INBOX" / "5").read_bytes) in ("ENETDOWN", "ETIMEDOUT")
        before = [cpu_seconds(m.pid) for _, _, m in mounts]
        time.sleep(60)
        used = {(manner, mode): cpu_seconds(m.pid) - start for (manner, mode, m), start in zip(mounts, before)}
        assert max(used.values()) < 0.2, used
        for _, _, m in mounts:
            assert "state: offline\n" in status(m)


def test_asleep(tmp_path):
    """Nothing is asked and nothing is told: nobody wakes up."""
    with contextlib.ExitStack() as stack:
        mounts = []
        for mode in MODES:
            place = tmp_path / mode
            place.mkdir()
            server = stack.enter_context(fake(mode))
            m = stack.enter_context(FakeMount(server, str(place), says=None, refresh=3600))
            look(m, mode)
            mounts.append((mode, m))
        def quiet():
            """What a look leaves behind is over."""
            before = [wakes(m.pid) for _, m in mounts]
            time.sleep(4)
            return before == [wakes(m.pid) for _, m in mounts]
        wait_until(quiet, "nobody has woken up for a while", 30)
        before = [wakes(m.pid) for _, m in mounts]
        time.sleep(12)
        counts = {mode: wakes(m.pid) - start for (mode, m), start in zip(mounts, before)}
        assert max(counts.values()) <= 6, counts


LIVES = {
    "polling": ("polling", {}),
    "IDLE": ("IDLE", {}),
    "NOTIFY": ("NOTIFY", {}),
    "read-only": ("IDLE", {"ro": True}),
    "one connection": ("NOTIFY", {"connections": 1}),
    "compress": ("IDLE", {"compress": "on"}),
    "verify": ("IDLE", {"sizes": "verify"}),
    "offline": ("IDLE", {"offline": True}),
}


def test_lives(tmp_path, world):
    """Hours by its own clock, idle and at work, in every mode; each timer comes due many times."""
    with contextlib.ExitStack() as stack:
        mounts = []
        for name, (mode, options) in LIVES.items():
            place = tmp_path / name.replace(" ", "-")
            place.mkdir()
            server = stack.enter_context(fake(mode))
            m = FakeMount(server, str(place), says=None, **({} if name == "offline" else options))
            m.environment.update(world.environment)
            if name == "offline":
                with m:
                    for uid in uids(m.root / "INBOX"):
                        assert (m.root / "INBOX" / str(uid)).read_bytes() == TEXT % uid
                m.command = [word.replace("tls=none", "tls=none,offline") for word in m.command]
            stack.enter_context(m)
            mounts.append(m)
        for seconds in (0, 1, 2, 5, 30, 90, 121, 600, 3600):
            world.wait(seconds)
            for m in mounts:
                assert uids(m.root / "INBOX") == list(range(1, 8))
                assert (m.root / "INBOX" / "3").read_bytes() == TEXT % 3
                assert m.process.poll() is None
            time.sleep(1.2)


def test_poison(tmp_path):
    """One mailbox at whose EXAMINE the server dies: an error there, no storm of logins, nothing elsewhere."""
    with fake("IDLE") as server, mount(server, says=[r"connection was lost 3 times .* Other"], refresh=3600) as m:
        look(m, "IDLE")
        server.rule("EXAMINE", match=rb"Other", drop="rst")
        before = server.names().count("AUTHENTICATE")
        wait_until(lambda: errno_of(os.listdir, m.root / "Other") == "EIO", "an error of its own")
        for uid in range(1, 8):
            assert (m.root / "INBOX" / str(uid)).read_bytes() == TEXT % uid
            assert errno_of(os.listdir, m.root / "Other") == "EIO"
        assert server.names().count("AUTHENTICATE") - before < 10
        server.rules.clear()
        wait_until(lambda: errno_of(os.listdir, m.root / "Other") is None, "it is well again", 30)


def test_refused_logins(tmp_path, world):
    """The password is no good any more: at most four logins in five minutes, by all connections together, though
    somebody asks all the time; he is told why; and it heals when the server takes it again."""
    with fake("IDLE") as server:
        m = FakeMount(server, str(tmp_path), says=[r"login refused.*password was changed", "connected again"],
                      refresh=60)
        m.environment.update(world.environment)
        with m:
            look(m, "IDLE")
            moments = []  # by its clock
            rule = server.rule("AUTHENTICATE", reply=REFUSAL,
                               action=lambda _: moments.append(time.monotonic() + world.monotonic))
            server.drop()
            wait_until(lambda: rule.hits, "the first is refused")
            for _ in range(58):
                wait_until(lambda: "connecting" not in status(m), "an answer")
                assert errno_of((m.root / "INBOX" / "5").read_bytes) == "EACCES"
                world.wait(5)
            assert rule.hits >= 3 and all(fifth - first >= 300 for first, fifth in zip(moments, moments[4:])), moments
            assert "password was changed, unmount and mount again" in status(m)
            assert m.said().count("login refused") == 1
            server.rules.clear()
            world.wait(60)
            wait_until(lambda: errno_of((m.root / "INBOX" / "5").read_bytes) is None, "it heals")


@pytest.mark.parametrize("mode", ["IDLE", "NOTIFY"])
def test_watching_refused_once(mode):
    with fake(mode) as server, mount(server, says=None, refresh=3600) as m:
        look(m, mode)
        rule = server.rule("AUTHENTICATE", reply=REFUSAL, times=1)
        server.drop()
        wait_until(lambda: rule.hits, "a login is refused")
        wait_until(lambda: f"watching: {mode}\n" in status(m), "watching again", 30)


@pytest.mark.parametrize("box, size", [("INBOX", 0), ("Other", 4000)], ids=["alone", "with a connection to spare"])
def test_silent_after_login(box, size):
    """It takes logins and then says nothing: not each file waits, and it heals at once."""
    with fake("polling") as server:
        # Who reads many in a row is read ahead for, and then there is one more connection.
        for _ in range(100 if size else 0):
            server.append(box, TEXT % 0 + b"x" * size)
        with mount(server, says=None, timeout=2, refresh=3600) as m:
            look(m, "polling")
            files = [m.root / box / name for name in sorted(os.listdir(m.root / box))]
            rule = server.rule("UID FETCH", match=rb"BODY", stall=True)
            errors = [errno_of(files[i % len(files)].read_bytes) for i in range(100)]
            assert set(errors) <= {"ENETDOWN", "ETIMEDOUT"}
            # One after the other would take 200 s. The first few find out; then, with growing pauses, one reader finds out
            # anew: that logins and NOOPs work is no news, of no connection.
            assert errors.count("ENETDOWN") >= 90
            server.rules.clear()
            rule.release()
            wait_until(lambda: errno_of(files[2].read_bytes) is None, "it heals", 45)
            assert (m.root / "INBOX" / "6").read_bytes() == TEXT % 6


SLOW_PACE = (r"going on with one command at a time", r"took longer than")


@pytest.mark.parametrize("manner", ["stall", "drop"])
def test_cannot_pipeline(manner):
    """A server that stalls on two commands, or loses the second: found out once, then one at a time, and no message
    is ever said to be gone."""
    # On a busy machine what is sent at once may come late, and a server that bears it now and then is another one.
    with fake("IDLE", pipelining=manner, pipelining_wait=0.25) as server:
        with mount(server, says=SLOW_PACE, timeout=2, refresh=3600) as m:
            wait_until(lambda: errno_of(os.listdir, m.root / "INBOX") in (None, "ETIMEDOUT", "ENETDOWN"), "an answer")

            def read(_):
                with concurrent.futures.ThreadPoolExecutor(7) as readers:
                    return list(readers.map(lambda i: errno_of((m.root / "INBOX" / str(i)).read_bytes), range(1, 8)))
            seen = []
            wait_until(lambda: seen.append(read(m)) or seen[-1] == [None] * 7, "all are read", 40)
            assert {error for errors in seen for error in errors} <= {None, "ETIMEDOUT", "ENETDOWN"}

            said, count = "going on with one command at a time", 7

            def found_out():
                """All may have been read before two commands were sent at once: then more is asked for."""
                nonlocal count
                if said in m.said():
                    return True
                count += 7
                for _ in range(7):
                    server.append("INBOX", b"another")
                with concurrent.futures.ThreadPoolExecutor(7) as readers:
                    list(readers.map(lambda i: errno_of((m.root / "INBOX" / str(i)).read_bytes), range(count - 6, count + 1)))
                return said in m.said()
            wait_until(found_out, said, 40)
            server.behaviour.pipelining_wait = 0.02
            before = server.piped
            assert before > 0
            for i in range(1, 4):
                assert (m.root / "Other" / str(i)).read_bytes() == TEXT % i
            assert uids(m.root / "INBOX") == list(range(1, count + 1))
            assert read(m) == [None] * 7
            assert server.piped == before


def test_loses_what_comes_with_done():
    """A server that throws away what is in one packet with DONE: once, then it has DONE alone."""
    with fake("IDLE", pipelining="drop-after-done") as server:
        with mount(server, says=SLOW_PACE, timeout=2, refresh=3600) as m:
            assert uids(m.root / "INBOX") == list(range(1, 8))
            server.wait_idle(2)
            assert errno_of((m.root / "INBOX" / "1").read_bytes) in (None, "ETIMEDOUT", "ENETDOWN")
            wait_until(lambda: errno_of((m.root / "INBOX" / "1").read_bytes) is None, "it is read")
            for uid in range(2, 8):
                server.wait_idle(2)
                assert errno_of((m.root / "INBOX" / str(uid)).read_bytes) is None
            assert server.piped == 1


def test_poisonous_status():
    """One mailbox at whose STATUS the server dies: the others are asked for all the same."""
    capabilities = ("IMAP4rev1", "UIDPLUS", "CHILDREN")
    boxes = {"INBOX": [TEXT % 1], **{f"box{i}": [TEXT % i] for i in range(6)}}
    with FakeImap(boxes, capabilities=capabilities) as server:
        with mount(server, says=[r"connection was lost 3 times .* box2"], refresh=1) as m:
            for name in boxes:
                assert uids(m.root / name) == [1]
            rule = server.rule("STATUS", match=rb"box2", raw=b"", drop="rst")
            wait_until(lambda: rule.hits, "it dies")
            before = len(server.lines("STATUS"))
            wait_until(lambda: any("box5" in line for line in server.lines("STATUS")[before:]), "one behind it", 15)
            wait_until(lambda: rule.hits >= 3, "it is asked for again", 15)


def test_poisonous_message():
    """One message at which the server dies: an error there, and the others are read at once."""
    with fake("IDLE") as server:
        with mount(server, says=[r"lost 3 times .* message 4 of the mailbox INBOX"], refresh=3600) as m:
            look(m, "IDLE")
            server.rule("UID FETCH", match=rb"^UID FETCH 4 .*BODY", raw=b"", drop="rst")
            for _ in range(2):
                assert errno_of((m.root / "INBOX" / "4").read_bytes) in ("EIO", "ENETDOWN")
            before = server.names().count("AUTHENTICATE")
            for uid in (1, 2, 3, 5, 6, 7):
                assert (m.root / "INBOX" / str(uid)).read_bytes() == TEXT % uid
            assert server.names().count("AUTHENTICATE") - before < 4
