# SPDX-License-Identifier: MIT
"""The line that the other tests lay between imapfs and a server: each fault is what it says."""
import contextlib
import errno
import os
import socket
import threading
import time
import types

import pytest

from mounting import Proxy, wait_until
from programs import TOOLS

TEXT = bytes(range(256)) * 40


@pytest.fixture(name="far")
def fixture_far():
    """A server: .taken holds what each connection has sent so far; each is sent TEXT."""
    far = types.SimpleNamespace(taken=[], ended=[], listener=socket.create_server(("127.0.0.1", 0)),
                                speaks=threading.Event())
    far.speaks.set()

    def serve(sock, number):
        with contextlib.suppress(OSError):
            far.speaks.wait(10)
            sock.sendall(TEXT)
            while octets := sock.recv(65536):
                far.taken[number] += octets
        far.ended.append(number)
        sock.close()

    def accept():
        with contextlib.suppress(OSError):
            while True:
                sock, _ = far.listener.accept()
                far.taken.append(b"")
                threading.Thread(target=serve, args=(sock, len(far.taken) - 1), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    yield far
    far.listener.shutdown(socket.SHUT_RDWR)
    far.listener.close()


@pytest.fixture(name="line")
def fixture_line(far, directory):
    port = far.listener.getsockname()[1]
    with Proxy(os.path.join(TOOLS, "proxy"), directory, port) as line:
        yield line


def dial(line):
    sock = socket.create_connection(("127.0.0.1", line.port), timeout=10)
    return contextlib.closing(sock)


def take(sock, wanted=None):
    """(octets, how it ended: "fin", "rst", "more" when all that was wanted came)"""
    taken = b""
    try:
        while wanted is None or len(taken) < wanted:
            octets = sock.recv(65536 if wanted is None else wanted - len(taken))
            if not octets:
                return taken, "fin"
            taken += octets
    except ConnectionResetError:
        return taken, "rst"
    return taken, "more"


def is_silent(sock):
    sock.settimeout(0.1)
    try:
        return sock.recv(1) is None
    except TimeoutError:
        return True
    finally:
        sock.settimeout(10)


@pytest.mark.parametrize("command, end", [("cut", "rst"), ("close", "fin")])
@pytest.mark.parametrize("octets", [1, 2, 1000, len(TEXT) - 1])
def test_ends_after_what_the_server_sent(far, line, command, octets, end):
    line.ask(f"{command}-after {octets}")
    far.speaks.clear()  # or the end may come before connect() has returned
    with dial(line) as sock:
        far.speaks.set()
        assert take(sock) == (TEXT[:octets], end)
    assert line.ask("stats")["limits"] == 1
    with dial(line) as sock:
        assert take(sock, len(TEXT)) == (TEXT, "more")


@pytest.mark.parametrize("octets", [1, 2, 1000])
def test_cut_after_what_the_client_sent(far, line, octets):
    line.ask(f"cut-after-sent {octets}")
    with dial(line) as sock:
        taken, _ = take(sock, len(TEXT))
        assert taken == TEXT
        sock.sendall(TEXT)
        assert take(sock)[1] == "rst"
    wait_until(lambda: far.ended, "the server's end is told")
    assert TEXT[:octets].startswith(far.taken[0])


@pytest.mark.parametrize("octets", [0, 1, 1000])
def test_stall_and_resume(line, octets):
    line.ask(f"stall-after {octets}")
    with dial(line) as sock:
        assert take(sock, octets)[0] == TEXT[:octets]
        assert is_silent(sock)
        line.ask("resume")
        assert take(sock, len(TEXT) - octets)[0] == TEXT[octets:]


def test_stall_what_the_client_sent(far, line):
    line.ask("stall-after-sent 1000")
    with dial(line) as sock:
        take(sock, len(TEXT))
        sock.sendall(TEXT)
        wait_until(lambda: far.taken[0] == TEXT[:1000], "so much arrives")
        assert is_silent(sock) and far.taken[0] == TEXT[:1000]
        line.ask("resume")
        wait_until(lambda: far.taken[0] == TEXT, "the rest arrives")


@pytest.mark.parametrize("command", ["half-open", "half-open-after 1000"])
def test_half_open(far, line, command):
    """No end is ever told, and nothing goes through any more, also afterwards."""
    line.ask(command)
    with dial(line) as sock:
        take(sock, 1000 if "after" in command else 0)
        assert is_silent(sock)
        sock.sendall(TEXT)
        with dial(line) as late:
            assert is_silent(late)
        line.ask("resume")
        assert is_silent(sock)
        assert not any(far.taken)
    with dial(line) as sock:
        assert take(sock, len(TEXT))[0] == TEXT


def test_refuse_and_listen(line):
    """A server that is restarted: its connections end, nobody is let in, then they are."""
    with dial(line) as sock:
        take(sock, len(TEXT))
        for command in ("refuse", "close"):
            line.ask(command)
        assert take(sock) == (b"", "fin")
    with pytest.raises(OSError) as caught:
        dial(line)
    assert caught.value.errno == errno.ECONNREFUSED
    line.ask("listen")
    with dial(line) as sock:
        assert take(sock, len(TEXT))[0] == TEXT


def test_dribble(line):
    line.ask("dribble")
    with dial(line) as sock:
        start = time.monotonic()
        assert take(sock, 200)[0] == TEXT[:200]
        # One each millisecond: never faster.
        assert time.monotonic() - start >= 0.19
        line.ask("resume")
        assert take(sock, len(TEXT) - 200)[0] == TEXT[200:]


def test_rate(line):
    line.ask("rate 0.08")
    with dial(line) as sock:
        start = time.monotonic()
        assert take(sock, 5000)[0] == TEXT[:5000]
        # 10,000 octets a second, the last few before their time.
        assert time.monotonic() - start >= 0.3


def test_bad_commands(line):
    for command in ("cut-after", "cut-after x", "cut-after-never 3", "rtt-after 3", "stall 3", "after 3"):
        with pytest.raises(AssertionError, match="'bad', 'command'"):
            line.ask(command)
    assert line.ask("stats")["limits"] == 0
