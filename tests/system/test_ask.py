# SPDX-License-Identifier: MIT
"""Asking a mount: the status for programs and again and again, and waiting for what a server does."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

from dovecot import Mail
from mounting import is_mounted, wait_until
from programs import RELEASE

TEXT = b"Subject: x\r\n\r\nbody\r\n"


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    return start_server([Mail("INBOX", TEXT)] * 2)


def start(*arguments):
    return subprocess.Popen([RELEASE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def start_waiting(m, box="INBOX"):
    """imapfs --wait that has taken the names: it sleeps until it looks for others."""
    waiting = start("--wait", m.path(box))

    def sleeps():
        assert waiting.poll() is None, waiting.communicate()
        with open(f"/proc/{waiting.pid}/wchan", encoding="ascii") as source:
            return "nanosleep" in source.read()
    wait_until(sleeps, "it waits", 30)
    return waiting


def test_ask(server, mount):
    m = mount(server)
    assert sorted(os.listdir(m.path("INBOX"))) == ["1", "2"]
    said = start("--status", "--json", m.point).communicate(timeout=60)[0]
    told = json.loads(said)
    assert told["state"] == "online" and re.match(r"user@localhost:\d+", told["server"])
    assert any(line.startswith("INBOX: 2 messages") for line in told["mailbox"])
    assert json.loads(start("--status", m.point, "--json").communicate(timeout=60)[0]).keys() == told.keys()
    plain = start("--status", m.point).communicate(timeout=60)[0]
    assert {line.partition(": ")[0] for line in plain.splitlines()} == set(told)

    # What is in the mount is not the mountpoint.
    for verb in ("--sync", "--status"):
        for within in (m.path("INBOX"), m.path("INBOX", "1")):
            asked = start(verb, within)
            assert asked.communicate(timeout=60)[1] == \
                f"imapfs: {within}: this is in a mount; name the mountpoint itself, {m.point}\n"
            assert asked.returncode == 1

    # Into a pipe: a line for each second.
    watch = start("--status", "--watch", m.point)
    assert re.match(r"\d\d:\d\d:\d\d  [\d.]+ MB in, [\d.]+ MB out, \d+ turns so far\n", watch.stdout.readline())
    assert re.match(r"\d\d:\d\d:\d\d  [\d.]+ kB/s in, [\d.]+ kB/s out, [\d.]+ turns/s\n", watch.stdout.readline())

    waiting = start_waiting(m)
    server.load([Mail("INBOX", TEXT)])
    assert waiting.communicate(timeout=60) == ("+ 3\n", "") and waiting.returncode == 0
    waiting = start_waiting(m)
    os.unlink(m.path("INBOX", 1))
    assert waiting.communicate(timeout=60) == ("- 1\n", "") and waiting.returncode == 0
    left = sorted(os.listdir(m.path("INBOX")))

    # SIGINT ends what waits, and nothing else.
    waiting = start_waiting(m)
    waiting.send_signal(signal.SIGINT)
    watch.send_signal(signal.SIGINT)
    waiting.communicate(timeout=60)
    watch.communicate(timeout=60)
    assert is_mounted(m.point) and sorted(os.listdir(m.path("INBOX"))) == left
    waiting = start_waiting(m)
    m.stop()
    assert waiting.wait(60) == 5


def test_wait_after_a_change_of_the_same_second(server, mount):
    """A directory's time is in seconds, and the names may be taken between two changes within one."""
    server.load([Mail("Box", TEXT)] * 2)
    m = mount(server)
    assert os.listdir(m.path("Box")) == ["1", "2"]
    begun = int(time.time())
    wait_until(lambda: time.time() >= begun + 1, "a second begins")
    os.unlink(m.path("Box", 1))
    waiting = start_waiting(m, "Box")
    os.unlink(m.path("Box", 2))
    assert waiting.communicate(timeout=60) == ("- 2\n", "") and waiting.returncode == 0
