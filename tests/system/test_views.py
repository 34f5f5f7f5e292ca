"""Each connection has a view of its own of a mailbox: what it was told. Nothing may be concluded about a
message from one that was not told of it."""
import os
import threading
import time

import pytest

from mounting import wait_until
from servers import FakeImap, mount, noise

CHUNK = 256 << 10
LARGE = noise(9_000_000)
SIZES = (1000, CHUNK, 400_000)


def serve(**flags):
    """A server that tells of new mail only when it is asked for, on each connection apart."""
    return FakeImap({"INBOX": [LARGE] + [b"Subject: %d\r\n\r\n" % n for n in range(2, 40)]}, hide=("IDLE",),
                    news_at=("NOOP",), **flags)


def two_connections(server, m):
    """While the large message is on its way on one, another is made for who reads small ones."""
    inbox = m.root / "INBOX"
    os.listdir(inbox)
    rule = server.rule("UID FETCH", match=rb"UID FETCH 1 .*BODY", delay=0.5, times=8)
    reader = threading.Thread(target=(inbox / "1").read_bytes)
    reader.start()
    server.wait(lambda: rule.hits > 1)
    wait_until(lambda: (inbox / "20").read_bytes() and selected(server) >= 2, "two connections are used")
    reader.join()
    return inbox


def selected(server):
    return len({c.connection for c in list(server.commands) if c.name == "EXAMINE"})


def deliver(server, inbox, body):
    uid = server.append("INBOX", body)
    wait_until(lambda: str(uid) in os.listdir(inbox), f"message {uid} is listed")
    return inbox / str(uid)


@pytest.mark.parametrize("size", SIZES)
def test_read_where_nobody_was_told(size):
    """Of new mail one connection knows, which listed it; each of those that read is told first."""
    with serve() as server, mount(server) as m:
        inbox = two_connections(server, m)
        for turn in range(2):
            body = noise(size - turn)
            path = deliver(server, inbox, body)
            assert path.read_bytes() == body
            assert path.stat().st_size == len(body)
            (inbox / str(30 + turn)).read_bytes()  # the order in which connections are used changes
        assert not server.missed, "a message was asked for on a connection that was not told of it"
