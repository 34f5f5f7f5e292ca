# SPDX-License-Identifier: MIT
"""As a service of systemd: it is told when the mount is there and when it ends, and the journal gets
priorities."""
import os
import re
import socket
import subprocess

import pytest

from dovecot import Mail
from mounting import is_mounted
from programs import PROGRAM
from test_connect import LOGIN, write_secret

TEXT = b"Subject: x\r\n\r\nbody\r\n"


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    return start_server([Mail("INBOX", TEXT)], extra=(
        "service anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}\n"))


def receive(manager):
    manager.settimeout(60)
    return dict(line.split("=", 1) for line in manager.recv(4096).decode().splitlines())


@pytest.mark.parametrize("abstract", [False, True])
def test_notify(server, mount, directory, abstract):
    path = f"\0imapfs-test-{os.getpid()}" if abstract else directory + "/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        m = mount(server, ready=False, environment={"NOTIFY_SOCKET": path.replace("\0", "@")})
        told = receive(manager)
        assert told["READY"] == "1" and is_mounted(m.point)
        assert re.match(rf"\S+@localhost on {m.point}: online$", told["STATUS"]), told
        m.stop()
        assert receive(manager)["STOPPING"] == "1"


def test_journal(server, directory):
    """Only where the journal is what stderr is."""
    wrong = write_secret(directory + "/wrong", "not the word\n")
    os.mkdir(directory + "/mail")
    command = [PROGRAM, "-f", "-o", f"ro,passfile={wrong},cafile={server.ca_file},cache={directory}/cache",
               f"imaps://{server.user}@localhost:{server.imaps_port}/", directory + "/mail"]
    for other in (0, 1):
        with open(directory + "/log", "w+", encoding="utf-8") as log:
            own = os.fstat(log.fileno())
            done = subprocess.run(command, stderr=log, timeout=60, check=False, env={
                **os.environ, "HOME": directory, "JOURNAL_STREAM": f"{own.st_dev}:{own.st_ino + other}"})
            log.seek(0)
            said = log.read()
        assert done.returncode == LOGIN
        assert re.match("imapfs: localhost:.*login refused" if other else "<3>localhost:.*login refused", said), said
