# SPDX-License-Identifier: MIT
"""Calls that the kernel holds back behind others: in the line for a directory's lock, for a page, or for
one of the requests that it sends at a time. For their callers the time runs all the same: each ends within
`timeout` and a second, whatever those before it do. And what is told of them is forgotten when the line is
back.
"""
import errno
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from dovecot import Mail
from fakeimap import FakeImap
from held import hold, is_blocked
from mounting import Mount, live, wait_until, waits
from patience import late
from programs import PROGRAM
from servers import mount

TIMEOUT = 4
# The rule's second, and one and a half for a machine that is busy; less than twice the timeout.
LIMIT = TIMEOUT + 1 + 1
TEXT = b"Subject: %d\r\n\r\nbody\r\n"
IN_VAIN = {errno.ETIMEDOUT, errno.ENETDOWN, errno.EIO, errno.EROFS}


def account(count=30):
    mails = [TEXT % n for n in range(1, 9)]
    return {"INBOX": [TEXT % n for n in range(1, count + 1)], "Unseen": mails, "Unseen2": mails, "Unseen3": mails}


def at_once(calls):
    """Starts all, each in a thread: [(seconds, error number)]."""
    results = []

    def run(call):
        begin, number = time.monotonic(), 0
        try:
            call()
        except OSError as error:
            number = error.errno
        results.append((time.monotonic() - begin, number))
    threads = [threading.Thread(target=run, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == len(calls), "a call never ended"
    return results


def check(results, errors=frozenset(IN_VAIN)):
    assert max(seconds for seconds, _ in results) < LIMIT + late(), sorted(results)[-5:]
    assert {number for _, number in results} <= errors, results


def quiet(server, command="*", **options):
    """Server and line are silent from this command on."""
    return server.rule(command, stall=True, **options)


def mounted(server):
    return mount(server, says=None, timeout=TIMEOUT)


def back(server, rule):
    server.rules.remove(rule)
    rule.release()


def test_many_readers():
    """More than the kernel sends at once, several of them for each message."""
    with FakeImap(account(400)) as server, mounted(server) as m:
        names = os.listdir(m.path("INBOX"))
        quiet(server)
        check(at_once([lambda name=name: m.read("INBOX", name) for name in names + names[:200]]))


def test_many_readers_of_one():
    """They wait for a page; each of them has the kernel ask once more."""
    with FakeImap(account()) as server, mounted(server) as m:
        os.listdir(m.path("INBOX"))
        quiet(server)
        check(at_once([lambda: m.read("INBOX", 5)] * 50))


@pytest.mark.parametrize("command", ["*", "UID STORE", "UID EXPUNGE"])
def test_removed(command):
    """A directory lets one unlink in at a time."""
    with FakeImap(account()) as server, mounted(server) as m:
        os.listdir(m.path("INBOX"))
        quiet(server, command)
        check(at_once([lambda uid=uid: os.unlink(m.path("INBOX", uid)) for uid in range(1, 9)]),
              IN_VAIN | {0, errno.ENOENT})


def test_removed_on_a_silent_line(start_server, proxy, directory):
    """Nobody answers, not even a new connection."""
    server = start_server([Mail("INBOX", TEXT % n) for n in range(1, 12)])
    line = proxy(server)
    with Mount(PROGRAM, server, directory, f"timeout={TIMEOUT}", port=line.port) as m:
        m.tolerate(".*")
        os.listdir(m.path("INBOX"))
        line.ask("stall")
        check(at_once([lambda uid=uid: os.unlink(m.path("INBOX", uid)) for uid in range(1, 9)]),
              IN_VAIN | {0, errno.ENOENT})
        line.ask("resume")


def test_looked_up():
    with FakeImap(account()) as server, mounted(server) as m:
        os.stat(m.path("Unseen"))
        quiet(server, "EXAMINE")
        check(at_once([lambda uid=uid: os.stat(m.path("Unseen", uid)) for uid in range(1, 9)]))


def test_new_names_looked_up():
    """In a mailbox that is listed, where the server has to be asked for news: it tells of none."""
    with FakeImap(account(), hide=("IDLE",)) as server, \
            mount(server, says=None, timeout=TIMEOUT, refresh=1) as m:
        os.listdir(m.path("INBOX"))
        time.sleep(1.5)
        quiet(server)
        check(at_once([lambda uid=uid: os.stat(m.path("INBOX", uid)) for uid in range(100, 108)]),
              IN_VAIN | {errno.ENOENT})


def test_all_in_one_directory():
    """Whoever comes behind the other kind waits for the same lock."""
    with FakeImap(account()) as server, mounted(server) as m:
        os.listdir(m.path("INBOX"))
        quiet(server)
        unlinks = [lambda uid=uid: os.unlink(m.path("INBOX", uid)) for uid in range(1, 5)]
        lists = [lambda: os.listdir(m.path("INBOX"))] * 4
        stats = [lambda uid=uid: os.stat(m.path("INBOX", uid)) for uid in range(60, 64)]
        check(at_once(unlinks + lists + stats), IN_VAIN | {0, errno.ENOENT})


def start(call, *arguments):
    code = f"import os, sys\ntry:\n    os.{call}\nexcept OSError as e:\n    sys.exit(e.errno)"
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdin=subprocess.DEVNULL)
    live.add(process)
    return process


def waits_for_directory(process):
    """Whether an unlink waits for the directory's lock."""
    with open(f"/proc/{process.pid}/wchan", encoding="ascii") as source:
        where = source.read()
    return is_blocked(process.pid) and ("unlink" in where or "rwsem" in where)


def test_behind_one_that_is_killed():
    with FakeImap(account()) as server, mounted(server) as m:
        os.listdir(m.path("INBOX"))
        rule = quiet(server, "UID STORE")
        first = start("unlink(sys.argv[1])", m.path("INBOX", 1))
        wait_until(lambda: rule.hits, "the first waits for the server")
        second = start("unlink(sys.argv[1])", m.path("INBOX", 2))
        wait_until(lambda: waits_for_directory(second), "the second waits for the directory")
        begin = time.monotonic()
        time.sleep(TIMEOUT / 2)
        first.kill()
        assert second.wait(30) in IN_VAIN
        assert time.monotonic() - begin < LIMIT + late()
        first.wait(20)


@pytest.mark.parametrize("lost", [{}, {"raw": b"", "drop": "rst"}], ids=["late", "lost"])
@pytest.mark.parametrize("wait", [0.1, 0.5])
def test_forgotten(wait, lost):
    """A name that is used all the time works as soon as the server is itself again, whether or not what it
    was asked is answered then."""
    with FakeImap(account()) as server, mounted(server) as m:
        os.listdir(m.path("INBOX"))
        for uid, use in ((5, lambda: m.read("INBOX", 5)), (2, lambda: os.stat(m.path("Unseen", 2))),
                         (6, lambda: os.unlink(m.path("INBOX", 6)))):
            rule = quiet(server, **lost)
            with pytest.raises(OSError):
                use()
            back(server, rule)
            failures = 0
            begin = time.monotonic()
            while True:
                try:
                    use()
                    break
                except FileNotFoundError:
                    assert uid == 6  # removed by the one that failed
                    break
                except OSError:
                    failures += 1
                assert time.monotonic() - begin < 10, failures
                time.sleep(wait)


OPERATIONS = {
    "lookup": ("EXAMINE", "stat(sys.argv[1] + '/Unseen/2')"),
    "opendir": ("EXAMINE", "listdir(sys.argv[1] + '/Unseen2')"),
    "readdir": ("UID FETCH", "listdir(sys.argv[1] + '/Unseen3')"),
    "read": ("UID FETCH", "read(os.open(sys.argv[1] + '/INBOX/3', os.O_RDONLY), 9)"),
    "page fault": ("UID FETCH", "write(1, __import__('mmap').mmap(os.open(sys.argv[1] + '/INBOX/5', os.O_RDONLY), 0, "
                   "prot=1)[:9])"),
    "unlink": ("UID STORE", "unlink(sys.argv[1] + '/INBOX/4')"),
    "unlink, expunged": ("UID EXPUNGE", "unlink(sys.argv[1] + '/INBOX/6')"),
}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed(number):
    """Whoever waits can be killed within 2 s, long before the deadline, whatever for."""
    with FakeImap(account()) as server, mount(server, says=None, timeout=30) as m:
        os.listdir(m.path("INBOX"))
        os.stat(m.path("Unseen"))
        for name, (command, call) in OPERATIONS.items():
            rule = quiet(server, command)
            process = start(call, m.point)
            wait_until(lambda r=rule, p=process: r.hits and waits(p), f"{name} waits")
            begin = time.monotonic()
            process.send_signal(number)
            assert process.wait(30) == -number, name
            assert time.monotonic() - begin < 2 + 1 + late(), name
            live.discard(process)
            back(server, rule)


def test_never_waits():
    """What needs no server is answered while others wait: statfs, the control files, the end of a file."""
    with FakeImap(account()) as server, mount(server, says=None, timeout=30) as m:
        os.listdir(m.path("INBOX"))
        file = os.open(m.path("INBOX", 7), os.O_RDONLY)
        rule = quiet(server)
        waiting = [start("unlink(sys.argv[1])", m.path("INBOX", 1)), start("stat(sys.argv[1])", m.path("Unseen", 1))]
        wait_until(lambda: all(map(waits, waiting)), "they wait")
        begin = time.monotonic()
        os.statvfs(m.point)
        assert b"state: " in m.read(".imapfs", "status")
        os.stat(m.path("Unseen"))
        os.close(file)
        assert time.monotonic() - begin < 1.5 + late()
        back(server, rule)
        for process in waiting:
            process.wait(20)
            live.discard(process)


def test_read_beside_a_blocked_notification():
    """Where the kernel must learn of a size before it sees the octets; with two mailboxes' names to be told."""
    mails = [b"x" * 5000 + TEXT % n for n in range(1, 9)]
    with FakeImap({**account(), "Lies": mails}, size=lambda uid, true: true - 300 if true > 5000 else true) as server, \
            mount(server, says=None, timeout=30, sizes="trust") as m:
        os.listdir(m.path("Lies"))
        rule, process = hold(server, m)
        for uid in range(1, 9):
            begin = time.monotonic()
            try:
                m.read("Lies", uid)
            except OSError as error:
                assert error.errno == errno.EIO  # its size was found wrong
            assert time.monotonic() - begin < 5 + late()
            assert m.read("Lies", uid) == mails[uid - 1]
        back(server, rule)
        process.terminate()
        process.wait(20)
        live.discard(process)


def test_names_beside_a_blocked_notification():
    with FakeImap(account(), hide=("IDLE",)) as server, mount(server, says=None, timeout=30, refresh=20) as m:
        others = ("Unseen", "Unseen2", "Unseen3")
        for name in others:
            assert os.stat(m.path(name, 3)) and len(os.listdir(m.path(name))) == 8
        rule, process = hold(server, m)
        for name in others:
            server.expunge(name, 3)
            wait_until(lambda n=name: "3" not in os.listdir(m.path(n)), "it is not listed")
            wait_until(lambda n=name: not os.path.lexists(m.path(n, 3)), "its name is gone", 5)
        assert process.poll() is None
        back(server, rule)
        process.terminate()
        process.wait(20)
        live.discard(process)
