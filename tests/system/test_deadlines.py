# SPDX-License-Identifier: MIT
"""No call lasts longer than `timeout` and a second, whatever the server does.

A server goes silent, or sends an octet now and then for ever, from a certain command on; then everything
that can wait is called at once, each in a thread of its own. All servers of a test run side by side, since
their time is spent waiting.
"""
import contextlib
import errno
import os
import shutil
import signal
import tempfile
import threading
import time

import mounting
from fakeimap import FakeImap
from mounting import wait_until
from patience import late
from servers import FakeMount, noise

CONNECT = 2      # exit status

TIMEOUT = 4
# And less than twice the timeout, which is what a deadline that is renewed would give.
LIMIT = TIMEOUT + 1 + 1.5
PAUSE = 0.4      # between two octets
PART = slice(400_000, 404_096)
TEXT = b"Subject: %d\r\n\r\nbody\r\n"
LARGE = noise(600_000)


def account():
    return {"INBOX": [TEXT % i for i in range(1, 8)], "Unseen": [TEXT % i for i in range(20)], "Large": [LARGE]}


def silent(server, command):
    server.rule(command, stall=True)


def trickling(server, command):
    def begin(_):
        server.behaviour.dribble = PAUSE
    server.rule(command, action=begin)


MANNERS = {"silent": silent, "trickling": trickling}


class Calls:
    """Calls that run at once; each leaves what it gave and how long it took."""

    def __init__(self):
        self.threads, self.results = [], {}

    def start(self, name, call):
        def run():
            start = time.monotonic()
            try:
                result = call()
            except (OSError, AssertionError) as error:
                result = error
            self.results[name] = (result, time.monotonic() - start)
        thread = threading.Thread(target=run, daemon=True)
        self.threads.append(thread)
        thread.start()

    def wait(self):
        for thread in self.threads:
            thread.join(60)

    def late(self):
        names = [name for name, thread in zip(self.names(), self.threads) if thread.is_alive()]
        return names + [f"{name}: {seconds:.1f} s, {result!r}" for name, (result, seconds) in self.results.items()
                        if seconds > LIMIT + late()]

    def names(self):
        return list(self.results) + ["a call that never ended"] * (len(self.threads) - len(self.results))


def read_part(path):
    """A page, which is one request. One call for all would be many, and each of them may wait anew after one that
    was answered late: what a slow line brings is no failure."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.pread(file, PART.stop - PART.start, PART.start)
    finally:
        os.close(file)


def start_calls(calls, label, m):
    path = m.path
    for name, call in (
            ("stat a message", lambda: os.stat(path("INBOX", 2))),
            ("stat an unknown message", lambda: os.stat(path("Unseen", 2))),
            ("stat a mailbox", lambda: os.stat(path("Unseen"))),
            ("df", lambda: os.statvfs(m.point)),
            ("read what was read", lambda: m.read("INBOX", 1)),
            ("read", lambda: m.read("INBOX", 3)),
            ("read of a large one", lambda: read_part(path("Large", 1))),
            ("ls /", lambda: os.listdir(m.point)),
            ("ls what was listed", lambda: os.listdir(path("INBOX"))),
            ("rm", lambda: os.unlink(path("INBOX", 5))),
            ("rm of another", lambda: os.unlink(path("INBOX", 6)))):
        calls.start(f"{label}: {name}", call)


def check_result(name, result):
    """What is known is given, what is not is an error that says so; never anything else."""
    what = name.partition(": ")[2]
    if what in ("stat a message", "stat a mailbox", "df", "read what was read", "ls /", "ls what was listed"):
        assert not isinstance(result, OSError), (name, result)
    elif isinstance(result, OSError):
        assert result.errno in (errno.ETIMEDOUT, errno.ENETDOWN, errno.EIO, errno.EROFS), (name, result)
    elif what == "read":
        assert result == TEXT % 3
    elif what == "read of a large one":
        assert result == LARGE[PART]


COMMANDS = ("LIST", "EXAMINE", "SELECT", "UID FETCH", "UID STORE", "UID EXPUNGE", "NOOP", "*")


@contextlib.contextmanager
def fakes():
    """start(**options of FakeImap): (server, mount of it that is not started yet); all end together."""
    running = []

    def start(**options):
        server = FakeImap(account(), **options).__enter__()
        m = FakeMount(server, tempfile.mkdtemp(prefix="imapfs-test-", dir="/tmp"), says=None, timeout=TIMEOUT)
        m.ready = False
        running.append((server, m))
        return server, m
    try:
        yield start
    finally:
        for server, m in running:
            m.kill()
            server.__exit__(None, None, None)
        for _, m in running:
            assert not mounting.is_mounted(m.point)
            shutil.rmtree(m.directory)


def test_mounted():
    calls = Calls()
    with fakes() as start:
        cases = [(command, manner, *start()) for command in COMMANDS for manner in MANNERS]
        for _, _, _, m in cases:
            m.start()
        for _, _, _, m in cases:
            m.wait_mounted()
            for name in ("INBOX", "Large"):
                os.listdir(m.path(name))
            assert m.read("INBOX", 1) == TEXT % 1
        for command, manner, server, m in cases:
            MANNERS[manner](server, command)
            start_calls(calls, f"{manner} from {command}", m)
        calls.wait()
        assert calls.late() == []
        for name, (result, _) in calls.results.items():
            check_result(name, result)


LOGIN = ("greeting", "AUTHENTICATE", "ID", "NAMESPACE", "LIST")


def misbehave(server, command, manner):
    if command != "greeting":
        MANNERS[manner](server, command)
    elif manner == "trickling":
        server.behaviour.dribble = PAUSE
    else:
        server.behaviour.greeting = b""


def status(m):
    return m.read(".imapfs", "status")


def over(m):
    """A mount, or an end; and what it said."""
    wait_until(lambda: m.is_ready() or m.process.poll() is not None, "mounted or refused", 60)
    return m.process.poll(), m.said()


def check_ends(cases, wanted):
    calls = Calls()
    for command, manner, server, m in cases:
        misbehave(server, command, manner)
    for command, manner, _, m in cases:
        m.start()
        calls.start(f"{manner} from {command}", lambda m=m: over(m))
    calls.wait()
    assert calls.late() == []
    for name, ((status, said), _) in calls.results.items():
        assert status == wanted and len(said.splitlines()) == 1, (name, status, said)


def test_mount_of_an_unknown_account():
    """An error in time, one line."""
    with fakes() as start:
        check_ends([(command, manner, *start()) for command in LOGIN for manner in MANNERS], CONNECT)


def recover(server):
    """It is as it should be from now on."""
    server.behaviour.greeting, server.behaviour.dribble = None, 0
    rules, server.rules[:] = list(server.rules), []
    for rule in rules:
        rule.release()


def test_mount_of_a_known_account():
    """What the cache holds, in time, with one warning; and everything else once the server is itself again."""
    with fakes() as start:
        cases = [(command, manner, *start()) for command in LOGIN for manner in MANNERS]
        for _, _, _, m in cases:
            m.start()
        for _, _, _, m in cases:
            m.wait_mounted()
            assert m.read("INBOX", 1) == TEXT % 1
            m.stop()
        check_ends(cases, None)
        for _, _, _, m in cases:
            assert "showing what the cache holds" in m.said()
            assert m.read("INBOX", 1) == TEXT % 1
        for _, _, server, _ in cases:
            recover(server)
        for command, manner, server, m in cases:
            wait_until(lambda m=m: b"state: online\n" in status(m), f"online: {manner} from {command}", 45)
            # What is listed is watched.
            wait_until(lambda m=m: os.listdir(m.path("INBOX")) and b"watching: IDLE\n" in status(m),
                       f"watching: {manner} from {command}", 45)
            assert m.read("INBOX", 2) == TEXT % 2
            server.append("INBOX", TEXT % 8)
        for _, _, _, m in cases:
            wait_until(lambda m=m: os.path.lexists(m.path("INBOX", 8)), "new mail shows")


def test_signals():
    """Ctrl-C and SIGTERM end it within 2 s, wherever it is waiting for a server that is silent."""
    with fakes() as start:
        cases = [(stage, number, *start()) for stage in ("greeting", "AUTHENTICATE", "LIST", "mounted")
                 for number in (signal.SIGINT, signal.SIGTERM)]
        for stage, _, server, m in cases:
            if stage != "mounted":
                misbehave(server, stage, "silent")
            m.start()
        for stage, _, server, m in cases:
            if stage == "greeting":
                wait_until(lambda s=server: s.connections, "it calls")
            elif stage != "mounted":
                server.wait_for(stage)
            else:
                m.wait_mounted()
                assert m.read("INBOX", 1) == TEXT % 1
                silent(server, "*")
        begun = time.monotonic()
        for _, number, _, m in cases:
            os.kill(m.pid, number)
        for stage, number, _, m in cases:
            m.process.wait(30)
            assert time.monotonic() - begun < 2 + 1 + late(), (stage, number)
            assert m.process.returncode == (0 if stage == "mounted" else 7), m.said()
