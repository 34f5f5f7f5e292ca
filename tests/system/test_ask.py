# SPDX-License-Identifier: MIT
"""Asking a mount: the status for programs and again and again, and waiting for what a server does."""
import json
import os
import re
import signal
import subprocess

import pytest

from dovecot import Mail
from mounting import is_mounted
from programs import RELEASE

TEXT = b"Subject: x\r\n\r\nbody\r\n"


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    return start_server([Mail("INBOX", TEXT)] * 2)


def start(*arguments):
    return subprocess.Popen([RELEASE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def goes_on(process):
    """Whether it has not ended within a second and a half."""
    try:
        process.wait(1.5)
    except subprocess.TimeoutExpired:
        return True
    return False


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

    # What comes, or goes, before it has the names is not told; so again until it is.
    waiting = start("--wait", m.path("INBOX"))
    while goes_on(waiting):
        server.load([Mail("INBOX", TEXT)])
    assert re.fullmatch(r"(\+ \d+\n)+", waiting.stdout.read()) and waiting.wait(60) == 0
    waiting = start("--wait", m.path("INBOX"))
    while goes_on(waiting):
        os.unlink(m.path("INBOX", min(os.listdir(m.path("INBOX")), key=int)))
    assert re.fullmatch(r"(- \d+\n)+", waiting.stdout.read()) and waiting.wait(60) == 0
    left = sorted(os.listdir(m.path("INBOX")))

    # SIGINT ends what waits, and nothing else.
    waiting = start("--wait", m.path("INBOX"))
    waiting.send_signal(signal.SIGINT)
    watch.send_signal(signal.SIGINT)
    waiting.communicate(timeout=60)
    watch.communicate(timeout=60)
    assert is_mounted(m.point) and sorted(os.listdir(m.path("INBOX"))) == left
    waiting = start("--wait", m.path("INBOX"))
    m.stop()
    assert waiting.wait(60) == 5
