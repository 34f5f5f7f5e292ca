# SPDX-License-Identifier: MIT
"""Without the server: what is known goes on, what is not fails in time, and it heals by itself."""
import errno
import os
import re
import signal
import subprocess
import time

import pytest

import mounting
from dovecot import Mail
from mounting import live, wait_until, waits
from patience import late

TIMEOUT = 2
# "No longer than timeout + 1 s", and a little more for a machine that is busy.
LIMIT = TIMEOUT + 1 + 0.2
AT_ONCE = 0.2
LOST = (errno.ENETDOWN, errno.ETIMEDOUT)
COUNT = 20


def text(number):
    return b"Subject: number %d\r\n\r\nThis is message %d.\r\n" % (number, number)


def large(number):
    return text(number) + (b"%07d\r\n" % number) * 100_000


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    mails = [Mail("INBOX", text(i), 1700000000 + i) for i in range(1, COUNT + 1)]
    return start_server(mails + [Mail("Unread", large(i)) for i in (1, 2)] + [Mail("Never", text(1))])


@pytest.fixture(name="line")
def fixture_line(server, proxy):
    return proxy(server)


def tolerate_trouble(m):
    """What a user must know of a server that went away and came back."""
    m.tolerate(r"localhost:\d+: |localhost: connected again|going on with \d connections?|took longer than")


def timed(call, *arguments):
    """(its result or the number of its error, seconds)"""
    start = time.monotonic()
    try:
        result = call(*arguments)
    except OSError as error:
        result = error.errno
    return result, time.monotonic() - start


def status(m, word):
    for line in m.read(".imapfs", "status").decode().splitlines():
        if line.startswith(word + ": "):
            return line[len(word) + 2:]
    return None


def check_known(m, line_limit=LIMIT):
    """What was seen is there. What needs no look at the server does not wait."""
    for call, wanted in ((lambda: os.stat(m.path("INBOX", 3)).st_size, len(text(3))),
                         (lambda: os.stat(m.path("INBOX")).st_nlink, 2),
                         (lambda: m.read("INBOX", 3), text(3)),
                         (lambda: os.statvfs(m.point).f_bsize, 4096)):
        result, seconds = timed(call)
        assert result == wanted
        assert seconds < AT_ONCE + late()
    for path, wanted in ((m.path("INBOX"), [str(i) for i in range(1, COUNT + 1)]),
                         (m.point, ["INBOX", "Never", "Unread"])):
        result, seconds = timed(lambda: sorted(os.listdir(path)))
        assert result == sorted(wanted)
        assert seconds < line_limit + late()


def check_unknown(m, limit=LIMIT):
    for call in (lambda: m.read("Unread", 1), lambda: os.listdir(m.path("Never")), lambda: os.stat(m.path("Never", 1))):
        result, seconds = timed(call)
        assert result in LOST
        assert seconds < limit + late()


def see(m):
    """Lists and reads INBOX, lists Unread, never looks into Never."""
    for uid in os.listdir(m.path("INBOX")):
        m.read("INBOX", uid)
    for uid in os.listdir(m.path("Unread")):
        os.stat(m.path("Unread", uid))


def check_healed(m, server):
    """Without anybody asking first: what came meanwhile is told of."""
    wait_until(lambda: status(m, "state") == "online", "online again", 45)
    wait_until(lambda: not status(m, "watching").startswith("polling"), "watching again", 45)
    assert m.read("Unread", 1) == large(1)
    uid = server.deliver("INBOX", text(99))
    try:
        wait_until(lambda: os.path.lexists(m.path("INBOX", uid)), "new mail shows again")
        assert m.read("INBOX", uid) == text(99)
    finally:
        server.expunge("INBOX", [uid])
    wait_until(lambda: not os.path.lexists(m.path("INBOX", uid)), "and its end")


# Refused first: it may connect again at once.
FAULTS = {
    "refused": ("refuse", "cut"),
    "closed": ("refuse", "close"),
    "stalled": ("stall",),
    "half-open": ("half-open",),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_line_lost(server, line, mount, fault):
    m = mount(server, f"timeout={TIMEOUT}", port=line.port)
    tolerate_trouble(m)
    see(m)
    for command in FAULTS[fault]:
        line.ask(command)
    check_known(m)
    check_unknown(m)
    wait_until(lambda: status(m, "state") == "offline", "known to be offline")
    check_known(m, AT_ONCE)
    check_unknown(m, AT_ONCE)
    result, seconds = timed(os.unlink, m.path("INBOX", 3))
    assert result == errno.EROFS and seconds < AT_ONCE + late()
    line.ask("resume")
    line.ask("listen")
    check_healed(m, server)
    check_known(m)
    assert os.listdir(m.path("Never")) == ["1"]


@pytest.mark.parametrize("fault", FAULTS)
def test_unlink_when_lost(server, line, mount, fault):
    """An error in time; and no message goes that was not told to."""
    server.create(f"unlink {fault}")
    with server.client() as client:
        client.append(f"unlink {fault}", [Mail("", text(i)) for i in range(3)])
    m = mount(server, f"timeout={TIMEOUT}", port=line.port)
    tolerate_trouble(m)
    names = os.listdir(m.path(f"unlink {fault}"))
    for command in FAULTS[fault]:
        line.ask(command)
    result, seconds = timed(os.unlink, m.path(f"unlink {fault}", 2))
    assert result in (*LOST, errno.EROFS, errno.EIO)
    assert seconds < LIMIT + late()
    line.ask("resume")
    line.ask("listen")
    wait_until(lambda: status(m, "state") == "online" and timed(os.unlink, m.path(f"unlink {fault}", 2))[0] in (None, errno.ENOENT),
               "unlink works again", 45)
    assert os.listdir(m.path(f"unlink {fault}")) == [names[0], names[2]]
    assert server.uids(f"unlink {fault}") == [1, 3]
    # A look into it may still be under way.
    m.stop()
    server.delete(f"unlink {fault}")


def test_cut_is_not_noticed(server, line, mount):
    """A server that takes the next connection costs one more login, nothing else."""
    m = mount(server, port=line.port)
    tolerate_trouble(m)
    see(m)
    for command in ("cut", "close", "cut"):
        line.ask(command)
        check_known(m)
        assert status(m, "state") == "online"
    assert m.read("Unread", 2) == large(2)
    assert os.listdir(m.path("Never")) == ["1"]


def test_dribble(server, line, mount):
    """Octets come, but too slowly: a time limit is one."""
    m = mount(server, f"timeout={TIMEOUT}", port=line.port)
    tolerate_trouble(m)
    see(m)
    line.ask("dribble")
    for _ in range(2):
        result, seconds = timed(m.read, "Unread", 2)
        assert result == errno.ETIMEDOUT
        assert seconds < LIMIT + late()
        check_known(m)
    line.ask("resume")

    def is_well():
        return timed(m.read, "Unread", 2)[0] == large(2)
    wait_until(is_well, "a whole message", 45)
    check_known(m)


def test_server_restart(server, line, mount):
    m = mount(server, f"timeout={TIMEOUT}", port=line.port)
    tolerate_trouble(m)
    see(m)
    server.stop()
    try:
        check_known(m)
        check_unknown(m)
    finally:
        server.start()
    check_healed(m, server)


def test_suspended(server, line, mount, world):
    """The connections died while the machine slept, and nothing says so: it is found out at once, and what
    happened meanwhile shows without anybody asking, far before any connection would be missed."""
    m = mount(server, "timeout=30", "refresh=3600", port=line.port, environment=world.environment)
    tolerate_trouble(m)
    see(m)
    wait_until(lambda: status(m, "watching") == "NOTIFY", "watching")
    line.ask("half-open")
    uid = server.deliver("INBOX", text(60))
    line.ask("resume")
    before = line.ask("stats")["connections"]
    world.suspend(8 * 3600)
    wait_until(lambda: os.path.lexists(m.path("INBOX", uid)), "new mail shows", 20)
    assert m.read("INBOX", uid) == text(60)
    wait_until(lambda: status(m, "watching") == "NOTIFY", "watching again")
    assert status(m, "state") == "online"
    # One for data and one that watches: nobody dials more than is needed.
    assert line.ask("stats")["connections"] - before <= 4
    server.expunge("INBOX", [uid])
    wait_until(lambda: not os.path.lexists(m.path("INBOX", uid)), "it is told of, too")
    check_known(m)


def test_suspended_without_a_line(server, line, mount, world):
    """It wakes up where there is no network: what is known is given, nothing waits."""
    m = mount(server, f"timeout={TIMEOUT}", port=line.port, environment=world.environment)
    tolerate_trouble(m)
    see(m)
    for command in ("half-open", "refuse"):
        line.ask(command)
    world.suspend(3600)
    wait_until(lambda: status(m, "state") == "offline", "known to be offline")
    check_known(m, AT_ONCE)
    check_unknown(m, AT_ONCE)
    line.ask("resume")
    line.ask("listen")
    check_healed(m, server)


def test_dead_resolver(server, line, mount, world):
    """As on a network that swallows all: what looks up a name hangs, and nothing else does."""
    m = mount(server, f"timeout={TIMEOUT}", port=line.port, environment=world.environment)
    tolerate_trouble(m)
    see(m)
    world.lose_resolver()
    line.ask("cut")
    wait_until(lambda: timed(m.read, "Unread", 1)[0] in LOST, "the loss is seen")
    wait_until(lambda: status(m, "state") == "offline", "known to be offline")
    check_known(m, AT_ONCE)
    check_unknown(m, AT_ONCE)
    world.lose_resolver(False)
    check_healed(m, server)


def test_mount_and_end_with_a_dead_resolver(server, mount, world):
    """The cache is mounted in time, each of its mailboxes lists and reads, and the end does not wait."""
    m = fill(server, mount, environment=world.environment)
    world.lose_resolver()
    m.ready, start = False, time.monotonic()
    m.start()
    m.wait_mounted()
    assert time.monotonic() - start < LIMIT + 1 + late()
    m.expect("showing what the cache holds until")
    check_known(m, AT_ONCE)
    assert sorted(os.listdir(m.path("Unread"))) == ["1", "2"]
    start = time.monotonic()
    m.stop()
    assert time.monotonic() - start < LIMIT + late()


@pytest.mark.parametrize("old", [("refuse", "cut"), ("half-open",)], ids=["refused", "vanished"])
def test_moved(server, mount, proxy, world, old):
    """The server's name leads to another address now, and the old one is dead."""
    first = proxy(server)
    second = proxy(server, address="127.0.0.2", port=first.port)
    world.move("127.0.0.1")
    m = mount(server, f"timeout={TIMEOUT}", port=first.port, environment=world.environment)
    tolerate_trouble(m)
    see(m)
    assert first.received() and not second.received()
    world.move("127.0.0.2")
    for command in old:
        first.ask(command)
    check_known(m)
    # Who asks first may have to find out that nobody answers there.
    wait_until(lambda: timed(m.read, "Unread", 1)[0] == large(1), "the new address answers", 45)
    check_healed(m, server)
    assert second.received()
    assert os.listdir(m.path("Never")) == ["1"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("command", ["cat {}/Unread/1", "ls {}/Never", "stat {}/Never/1", "rm -f {}/INBOX/20"])
def test_a_waiting_process_ends(server, line, mount, command, number):
    """Within 2 s of Ctrl-C or kill -9, long before the timeout."""
    m = mount(server, "timeout=30", port=line.port)
    tolerate_trouble(m)
    see(m)
    line.ask("half-open")
    with subprocess.Popen(command.format(m.point).split(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as reader:
        live.add(reader)
        wait_until(lambda: waits(reader), "it waits for the mount")
        os.kill(reader.pid, number)
        start = time.monotonic()
        reader.wait(20)
        assert time.monotonic() - start < 2 + late()
        live.discard(reader)


# At mount time


def fill(server, mount, *options, **keywords):
    """A mount that has seen the account, and is over."""
    m = mount(server, f"timeout={TIMEOUT}", *options, **keywords)
    see(m)
    m.stop()
    return m


@pytest.mark.parametrize("fault", [("refuse",), ("stall",), ("half-open",)], ids=["refused", "stalled", "half-open"])
def test_mount_without_server(server, line, mount, fault):
    m = fill(server, mount, port=line.port)
    for command in fault:
        line.ask(command)
    m.ready = False
    m.expected, start = [], time.monotonic()
    m.start()
    m.wait_mounted()
    assert time.monotonic() - start < LIMIT + 1 + late()
    m.wait_said("showing what the cache holds until")
    assert m.said().count("warning") == 1
    tolerate_trouble(m)
    assert status(m, "state") == "offline"
    check_known(m, AT_ONCE)
    check_unknown(m, AT_ONCE)
    assert timed(os.unlink, m.path("INBOX", 3))[0] == errno.EROFS
    line.ask("resume")
    line.ask("listen")
    check_healed(m, server)
    assert os.listdir(m.path("Never")) == ["1"]
    uid = server.deliver("INBOX", text(50))
    wait_until(lambda: os.path.lexists(m.path("INBOX", uid)), "new mail")
    os.unlink(m.path("INBOX", uid))


@pytest.mark.parametrize("fault", ["refuse", "stall", "half-open"])
def test_mount_of_an_unknown_account_without_server(server, line, mount, fault):
    line.ask(fault)
    start = time.monotonic()
    m = mount(server, f"timeout={TIMEOUT}", port=line.port, ready=False)
    m.expect(r"imapfs: .*localhost:\d+: ")
    m.process.wait(mounting.START_SECONDS)
    assert time.monotonic() - start < LIMIT + late()
    m.finished(2)
    assert len(m.said().splitlines()) == 1


def test_option_offline(server, line, mount, world):
    """Nor is a password needed. It goes on for hours."""
    m = fill(server, mount, port=line.port, environment=world.environment)
    line.ask("reset")
    m.command = [re.sub("passfile=[^,]*", "passfile=/nowhere,offline,ro", word) for word in m.command]
    m.start()
    check_known(m, AT_ONCE)
    check_unknown(m, AT_ONCE)
    assert status(m, "state") == "offline"
    for seconds in (1, 10, 90, 3600):
        world.wait(seconds)
        check_known(m, AT_ONCE)
        check_unknown(m, AT_ONCE)
    for call in (lambda: os.unlink(m.path("INBOX", 3)), lambda: os.mkdir(m.path("new"))):
        assert timed(call)[0] == errno.EROFS
    assert os.statvfs(m.point).f_flag & os.ST_RDONLY
    assert line.ask("stats")["connections"] == 0
    m.stop()
    assert m.said() == ""


def test_option_offline_with_an_empty_cache(server, line, mount):
    m = mount(server, "offline", port=line.port, ready=False)
    m.expect("the cache holds nothing of this account")
    m.finished(2)
    assert line.ask("stats")["connections"] == 0


def test_offline_subtree(server, mount):
    """What is below a mailbox, and a mailbox that the cache does not know."""
    m = fill(server, mount)
    m.command = [word.replace("timeout=", "offline,timeout=") for word in m.command]
    source = m.command[-2]
    m.command[-2] = source + "INBOX"
    m.start()
    assert m.read(7) == text(7)
    m.stop()
    m.command[-2] = source + "Unheard"
    m.ready = False
    m.start()
    m.expect("the cache does not know this mailbox")
    m.finished(5)
