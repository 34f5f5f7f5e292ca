# SPDX-License-Identifier: MIT
"""A mailbox of 100,000 messages: what it costs. By the ordinary build, since it measures."""
import os
import re
import subprocess
import time

import pytest

from dovecot import Mail
from mounting import run, sent, wait_until
from programs import RELEASE

COUNT = 100_000
FIRST_DATE = 1_500_000_000
MIB = 1 << 20


def body(number):
    return b"Subject: message %d\r\n\r\n%s\r\n" % (number, b"x" * (number % 97))


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    server = start_server(rawlog=True)
    server.load_stream("Large", (Mail("Large", body(i), FIRST_DATE + i) for i in range(1, COUNT + 1)))
    return server


@pytest.mark.limit(150)
def test_listing(server, mount, proxy):
    """ls -l has a line for each, and the mount needs at most 64 octets a message beside 32 MiB."""
    line = proxy(server)
    m = mount(server, program=RELEASE, port=line.port)
    lines = run("ls", "-lU", "--time-style=+%s", m.path("Large")).stdout.splitlines()[1:]
    assert len(lines) == COUNT
    for number in (1, 2, 50_000, COUNT):
        fields = lines[number - 1].split()
        assert (int(fields[4]), int(fields[5]), int(fields[6])) == (len(body(number)), FIRST_DATE + number, number)
    assert m.resident() <= 32 * MIB + 64 * COUNT
    assert sum(1 for _ in os.scandir(m.path("Large"))) == COUNT
    assert m.read("Large", 77_777) == body(77_777)
    m.stop()
    since = time.time()
    line.ask("reset")
    m.start()
    # Only what is listed is loaded.
    assert "mailbox: Large" not in m.read(".imapfs", "status").decode()
    names = os.listdir(m.path("Large"))
    assert line.received() <= 20_000
    assert names == [str(number) for number in range(1, COUNT + 1)]
    assert int(run("find", m.path("Large"), "-size", "+100c", "-printf", "x").stdout.count("x")) == \
        sum(len(body(number)) > 100 for number in range(1, COUNT + 1))
    assert m.resident() <= 32 * MIB + 64 * COUNT
    assert not sent(server, b"RFC822.SIZE", since)
    m.stop()


def test_first_names(server, mount, proxy):
    """They are there after three round trips, and wait neither for the rest of the rows nor for the end."""
    line = proxy(server)
    m = mount(server, program=RELEASE, port=line.port)
    os.listdir(m.point)
    wait_until(lambda: b"\nwatching: NOTIFY\n" in m.read(".imapfs", "status"), "all connections are there")
    line.ask("reset")
    line.ask("stall-after 300000")
    with subprocess.Popen(["ls", "-f", m.path("Large")], stdout=subprocess.PIPE, text=True) as lister:
        names = [lister.stdout.readline() for _ in range(100)]
        lister.kill()
    assert names[:3] == [".\n", "..\n", "1\n"] and all(names)
    stats = line.ask("stats")
    assert stats["round_trips"] <= 3 and stats["to_client"] <= 300_000
    line.ask("resume")
    assert len(os.listdir(m.path("Large"))) == COUNT
    m.stop()


@pytest.mark.limit(150)
def test_changes(server, mount):
    """A few came and a few went: nothing of the others is asked for again."""
    m = mount(server, program=RELEASE)
    assert len(os.listdir(m.path("Large"))) == COUNT
    m.stop()
    server.expunge("Large", [1, 500, 99_999])
    new = server.deliver("Large", b"Subject: new\r\n\r\n")
    since = time.time()
    m.start()
    gone = {1, 500, 99_999}
    assert os.listdir(m.path("Large")) == [str(uid) for uid in range(1, new + 1) if uid not in gone]
    asked = sent(server, b"RFC822.SIZE", since)
    # NOTIFY may tell while the answer is on its way: then once more, from the new one on.
    assert len(asked) <= 2 and all(re.search(rb"UID FETCH (%d|%d):" % (new - 1, new), line) for line in asked)
