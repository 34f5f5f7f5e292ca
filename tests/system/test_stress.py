# SPDX-License-Identifier: MIT
"""Many use a mailbox at once while another client fills and empties it as fast as it can.

Nothing waits for ever, no name stays behind its message, and no message is read under another's name:
each tells in its content which one it is.
"""
import collections
import json
import os
import random
import subprocess
import sys
import time

import pytest

from dovecot import Mail
from mounting import live, wait_until
from patience import late
from programs import TOP

BOX = "Stress"
SECONDS = 15
KEEP = 150       # messages in the mailbox, about
OPERATION_LIMIT = 12  # seconds that one operation of a worker may take on a machine that is busy

WORKER = r"""
import errno, json, os, random, sys, time
role, box, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
rng = random.Random(seed)
gone = (errno.ENOENT, errno.ESTALE)
found, counts, slowest = {}, {}, 0.0
names = []

def read(name):
    with open(os.path.join(box, name), "rb") as source:
        data = source.read()
    if not data:
        raise SystemExit(f"{name} is empty")
    identity = int(data.split(b"\r\n", 1)[0].split()[-1])
    if data != b"Subject: message %d\r\n\r\n" % identity + b"%08d\r\n" % identity * 300:
        raise SystemExit(f"{name} has octets of several messages")
    if found.setdefault(name, identity) != identity:
        raise SystemExit(f"{name} was {found[name]} and is {identity}")

def step():
    global names
    if role == "list" or not names or rng.random() < 0.05:
        names = os.listdir(box)
        uids = [int(name) for name in names]
        if uids != sorted(set(uids)):
            raise SystemExit(f"not in order, or twice: {uids}")
    if not names or role == "list":
        return
    name = rng.choice(names)
    path = os.path.join(box, name)
    if role == "read":
        read(name)
    elif role == "unlink":
        os.unlink(path)
        if os.path.lexists(path):
            raise SystemExit(f"{name} is there after its unlink")
        time.sleep(0.02)
    elif role == "stat":
        os.stat(path)
        os.path.lexists(os.path.join(box, str(int(names[-1]) + rng.randrange(1, 4))))
    else:
        for entry in os.scandir(box):
            entry.stat()

end = time.monotonic() + float(sys.argv[4])
# A machine that is late needs longer to do something at all.
while time.monotonic() < end or (counts.get("done", 0) <= 10 and time.monotonic() < end + 60):
    start = time.monotonic()
    try:
        step()
        outcome = "done"
    except OSError as error:
        if error.errno not in gone:
            raise SystemExit(f"{role}: {error}")
        outcome = errno.errorcode[error.errno]
    counts[outcome] = counts.get(outcome, 0) + 1
    slowest = max(slowest, time.monotonic() - start)
print(json.dumps({"role": role, "found": found, "counts": counts, "slowest": slowest}))
"""
ROLES = ("list", "scan", "read", "read", "stat", "unlink")


def text(identity):
    return b"Subject: message %d\r\n\r\n" % identity + b"%08d\r\n" % identity * 300


class Storm:
    """Another client that delivers and expunges."""

    def __init__(self, client):
        self.client, self.rng = client, random.Random(5)
        self.identities = {}  # by UID
        self.counts = collections.Counter()

    def deliver(self, count):
        first = len(self.identities)
        uids = self.client.append(BOX, [Mail(BOX, text(first + i)) for i in range(count)])
        assert len(uids) == count
        self.identities.update({uid: first + i for i, uid in enumerate(uids)})
        self.counts["delivered"] += count

    def expunge(self, count):
        there = self.client.uids()
        gone = self.rng.sample(there, min(count, max(len(there) - KEEP // 2, 0)))
        if gone:
            self.client.store(gone, "+", ["\\Deleted"])
            self.client.uid_expunge(gone)
        self.counts["expunged"] += len(gone)

    def blow(self, end):
        while time.monotonic() < end:
            self.deliver(self.rng.randrange(1, 12))
            self.expunge(self.rng.randrange(1, 12))


def start_worker(m, role, seed, seconds):
    process = subprocess.Popen([sys.executable, "-c", WORKER, role, m.path(BOX), str(seed), str(seconds)],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=TOP)
    live.add(process)
    return process


def result_of(process):
    out, err = process.communicate(timeout=100)
    live.discard(process)
    assert process.returncode == 0, err.decode()
    return json.loads(out)


@pytest.mark.limit(300)
@pytest.mark.parametrize("hide", [(), ("NOTIFY", "QRESYNC", "CONDSTORE"), ("NOTIFY", "IDLE", "ESEARCH", "QRESYNC", "CONDSTORE")],
                         ids=["NOTIFY", "IDLE", "polling"])
def test_storm(start_server, mount, hide):
    server = start_server([Mail("INBOX", b"x")], hide=hide)
    seconds = SECONDS if not hide else SECONDS / 3
    with server.client() as client:
        client.create(BOX)
        client.select(BOX)
        storm = Storm(client)
        storm.deliver(KEEP)
        m = mount(server, "refresh=1")
        os.listdir(m.path(BOX))
        workers = [start_worker(m, role, seed, seconds) for seed, role in enumerate(ROLES)]
        storm.blow(time.monotonic() + seconds)
        results = [result_of(worker) for worker in workers]
    left = server.uids(BOX)
    wait_until(lambda: os.listdir(m.path(BOX)) == [str(uid) for uid in left], "the listing is the server's")
    for uid in storm.identities:
        path = m.path(BOX, uid)
        if uid not in left:
            wait_until(lambda: not os.path.lexists(path), f"the end of {uid}", 5)
    for uid in left:
        assert m.read(BOX, uid) == text(storm.identities[uid])
    print(storm.counts, [(r["role"], r["counts"], round(r["slowest"], 2)) for r in results])
    for result in results:
        for name, identity in result["found"].items():
            assert storm.identities[int(name)] == identity, f"{name} was read as another message"
        assert result["slowest"] < OPERATION_LIMIT + late()
        assert result["counts"]["done"] > 10
