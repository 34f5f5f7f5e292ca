# SPDX-License-Identifier: MIT
"""Each connection has a view of its own of a mailbox: what it was told. Nothing may be concluded about a
message from one that was not told of it."""
import os
import re
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
    rule = server.rule("UID FETCH", match=rb"UID FETCH 1 .*BODY", skip=1, times=1, stall=True)
    reader = threading.Thread(target=(inbox / "1").read_bytes)
    reader.start()
    server.wait(lambda: rule.hits)
    # What has work to do would have the next read wait behind the large message, which has its mailbox.
    wait_until(lambda: re.search(r" data: ready, (.*, )?0 tasks", (m.root / ".imapfs/status").read_text()),
               "the other is made, and free")
    (inbox / "20").read_bytes()
    assert selected(server) >= 2
    rule.release()
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


def test_selected_again():
    """What a connection was to know of one mailbox it does not know of another that it selects later, nor
    when that is selected again for a look at everything."""
    small = [b"Subject: %d\r\n\r\n" % n for n in range(2, 60)]
    boxes = {"INBOX": [LARGE] * 3 + small, "Other": small * 20}

    def where():
        """Which mailbox each connection has selected."""
        lines = [(c.connection, c.line) for c in list(server.commands) if c.name == "EXAMINE"]
        return [line for _, line in sorted(dict(lines).items())]

    with FakeImap(boxes, hide=("IDLE",), news_at=("NOOP",)) as server, mount(server, connections=2, refresh=4) as m:
        other = m.root / "Other"
        os.listdir(other)
        inbox = two_connections(server, m)
        # Both have something to do in INBOX: one is to go to the other mailbox when it has done that.
        rule = server.rule("UID FETCH", match=rb"UID FETCH 2 .*BODY", stall=True)
        readers = [threading.Thread(target=path.read_bytes) for path in (inbox / "2", other / "900")]
        readers[0].start()
        server.wait(lambda: rule.hits == 2)
        readers[1].start()
        time.sleep(0.5)
        rule.release()
        for reader in readers:
            reader.join()
        # And it comes back, since the other one has much to do.
        large = deliver(server, inbox, LARGE)  # which no read-ahead has fetched yet
        rule = server.rule("UID FETCH", match=rb"UID FETCH %d .*BODY" % int(large.name), delay=0.5)
        reader = threading.Thread(target=large.read_bytes)
        reader.start()
        server.wait(lambda: rule.hits > 1)
        wait_until(lambda: deliver(server, inbox, b"x").read_bytes() and where() == [b'EXAMINE "INBOX"'] * 2,
                   "both have the first mailbox")
        reader.join()
        for turn in range(2):
            before = len(server.lines("EXAMINE"))
            server.wait(lambda: len(server.lines("EXAMINE")) > before)
            # What was looked at is asked about again after a second: by the one, and then by the other.
            time.sleep(1.1)
            os.listdir(inbox)
            time.sleep(1.1)
            path = inbox / str(server.append("INBOX", b"Subject: new\r\n\r\n%d" % turn))
            wait_until(path.exists, "it has come")
            assert path.read_bytes().endswith(b"%d" % turn)
            assert not server.missed, "a message was asked for on a connection that was not told of it"
