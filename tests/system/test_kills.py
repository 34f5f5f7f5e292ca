# SPDX-License-Identifier: MIT
"""kill -9 of the daemon at random moments, while mail is read and removed; then it is mounted again.

Whatever the moment: nothing stays mounted, the cache can be used, every file is what the server holds,
gone is what rm was asked to remove and nothing else, and what others marked as deleted is marked.

IMAPFS_KILLS is how many moments for each server, IMAPFS_SEED the first seed; each kill has the next.
"""
import hashlib
import json
import os
import random
import subprocess
import sys
import time

import pytest

import mounting
from dovecot import Dovecot, Mail, process_name, session_members
from fakeimap import FakeImap, Mailbox, Message
from mounting import live, wait_until
from programs import PROGRAM
from servers import FakeMount

KILLS = int(os.environ.get("IMAPFS_KILLS", "7"))
SEED = int(os.environ.get("IMAPFS_SEED", "1"))
FRESH = 24          # messages that come before each round, and that are to be removed in it
FEW, MANY = 60, 120  # how many there are about
SIZES = (0, 300, 4000, 60_000, 262_144, 700_000)
# What a daemon may say that found work of a dead one.
SAYS = ("the daemon died; unmounting ", r"marking \d+ messages? of INBOX as deleted again")

# Reads and removes as told, and notes what it begins and how that ends, up to the first failure.
WORKER = r"""
import hashlib, json, os, sys, time
box, jobs = sys.argv[1], json.loads(sys.argv[2])
def say(*words):
    os.write(1, (json.dumps(words) + "\n").encode())
while not os.path.isdir(box):
    time.sleep(0.002)
for verb, uid in jobs:
    path = os.path.join(box, str(uid))
    say("begin", verb, uid)
    try:
        if verb == "read":
            with open(path, "rb") as source:
                say("done", verb, uid, hashlib.sha256(source.read()).hexdigest())
        else:
            os.unlink(path)
            say("done", verb, uid, None)
    except OSError as error:
        say("failed", verb, uid, error.errno)
        sys.exit()
say("end")
"""


def octets(rng):
    size = rng.choice(SIZES)
    return b"Subject: %d\r\n\r\n" % rng.getrandbits(64) + (b"%076d\r\n" % rng.getrandbits(64)) * (size // 78)


class Fake:
    """The scripted server; messages as {uid: (body, whether it is marked as deleted)}."""

    def __init__(self):
        self.server = FakeImap({"INBOX": Mailbox()}, hide=("UIDPLUS",))

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *exception):
        self.server.__exit__(*exception)

    def mount(self, directory):
        return FakeMount(self.server, directory, says=SAYS, expunge="force")

    def add(self, bodies):
        for body, marked in bodies:
            self.server.append("INBOX", Message(body, flags=["\\Deleted"] if marked else []))

    def expunge(self, uids):
        self.server.expunge("INBOX", *uids)

    def messages(self):
        with self.server.account.lock:
            return {m.uid: (m.body, b"\\Deleted" in m.flags) for m in self.server.mailbox("INBOX").messages}

    def settle(self):
        """Until nothing of a dead client is being done any more."""
        self.server.wait(lambda: not self.server.sessions)

    def seen(self):
        return {m.uid for m in self.server.mailbox("INBOX").messages if b"\\Seen" in m.flags}


class Real:
    """Dovecot, likewise."""

    def __init__(self, hide=()):
        self.server = Dovecot(hide=hide)

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.server.close()

    def mount(self, directory):
        m = mounting.Mount(PROGRAM, self.server, directory, "expunge=force")
        m.says = SAYS
        return m

    def add(self, bodies):
        self.server.load([Mail("INBOX", body, None, ["\\Deleted"] if marked else []) for body, marked in bodies])

    def expunge(self, uids):
        self.server.expunge("INBOX", uids)

    def messages(self):
        flags = self.flags()
        return {uid: (body, "\\Deleted" in flags[uid]) for uid, body in self.server.fetch_all("INBOX").items()}

    def flags(self):
        with self.server.client() as client:
            client.examine("INBOX")
            return client.flags()

    def settle(self):
        """A session may be about to do what the dead one had sent: until all of them have ended."""
        def ended():
            self.server.kick()
            return "imap" not in map(process_name, session_members(self.server.pid))
        wait_until(ended, "Dovecot's sessions have ended")

    def seen(self):
        return {uid for uid, flags in self.flags().items() if "\\Seen" in flags}


class Outcome:
    """What the worker has noted."""

    def __init__(self, lines):
        self.read, self.removed, self.tried = {}, set(), set()
        self.ended = False
        for line in lines:
            kind, *rest = json.loads(line)
            if kind == "end":
                self.ended = True
                continue
            verb, uid = rest[:2]
            if verb == "rm":
                self.tried.add(uid)
                if kind == "done":
                    self.removed.add(uid)
            elif kind == "done":
                self.read[uid] = rest[2]


def make_jobs(rng, uids):
    remove = rng.sample(uids, min(FRESH, len(uids)))
    jobs = [("rm", uid) for uid in remove] + [("read", uid) for uid in uids if uid not in remove]
    rng.shuffle(jobs)
    return jobs


def run_worker(m, jobs, notes=None, pause=0):
    """Starts the daemon and the worker. Kills the daemon a pause after so many notes of the worker, if
    it is not to run to its end. Returns what the worker noted."""
    m.ready = notes is None
    m.start()
    with subprocess.Popen([sys.executable, "-c", WORKER, m.path("INBOX"), json.dumps(jobs)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as worker:
        live.add(worker)
        lines = [worker.stdout.readline() for _ in range(notes or 0)]
        if notes is not None:
            time.sleep(pause)
            m.process.kill()
            m.process.wait(10)
            wait_until(lambda: not mounting.is_mounted(m.point), "unmounted", 5)
            if not notes:
                worker.kill()  # it may wait for a mount that never was
        lines += worker.stdout.readlines()
        worker.wait(10)
        live.discard(worker)
    return Outcome(line for line in lines if line.endswith(b"\n"))


def fill(account, rng, count=FRESH):
    account.add([(octets(rng), rng.random() < 0.2) for _ in range(count)])
    there = sorted(account.messages())
    if len(there) > MANY:
        account.expunge(rng.sample(there, len(there) - FEW))


def check(account, m, before, outcome):
    """The next mount, against what there was and what was asked for."""
    m.ready = True
    m.start()
    for pattern in SAYS:
        m.tolerate(pattern)

    def restored():
        now = account.messages()
        return all(now[uid][1] or not before[uid][1] or uid in outcome.tried for uid in now)
    wait_until(restored, "marked as deleted again")
    now = account.messages()
    gone = set(before) - set(now)
    assert outcome.removed <= gone, f"unlink said 0, and they are there: {outcome.removed - gone}"
    assert gone <= outcome.tried, f"nobody asked to remove {gone - outcome.tried}"
    more = {uid for uid in now if now[uid][1] and not before[uid][1]}
    assert more <= outcome.tried, f"marked, and nobody asked: {more - outcome.tried}"
    assert not account.seen()
    for uid, digest in outcome.read.items():
        assert digest == hashlib.sha256(before[uid][0]).hexdigest(), f"{uid} was read wrongly"
    wait_until(lambda: os.listdir(m.path("INBOX")) == [str(uid) for uid in sorted(now)], "the listing is the server's")
    for uid, (body, _) in now.items():
        assert m.read("INBOX", uid) == body, f"{uid} is not what the server holds"
        assert os.stat(m.path("INBOX", uid)).st_size == len(body)
    m.stop()


ACCOUNTS = {"fake": Fake, "Dovecot": Real, "Dovecot-plain": lambda: Real(hide=("UIDPLUS",))}


@pytest.mark.limit(60 + 12 * KILLS)
@pytest.mark.parametrize("kind", ACCOUNTS)
def test_kills(kind, tmp_path):
    os.chmod(tmp_path, 0o755)
    partial = restored = 0
    with ACCOUNTS[kind]() as account:
        fill(account, random.Random(SEED), FEW)
        m = account.mount(str(tmp_path))
        for seed in range(SEED, SEED + KILLS):
            rng = random.Random(seed)
            fill(account, rng)
            before = account.messages()
            jobs = make_jobs(rng, sorted(before))
            # One in ten while it starts.
            notes = rng.randrange(1, 2 * len(jobs)) if rng.random() < 0.9 else 0
            pause = rng.uniform(0, 0.005 if notes else 0.3)
            try:
                outcome = run_worker(m, jobs, notes, pause)
                account.settle()
                check(account, m, before, outcome)
            except BaseException:
                print(f"seed {seed}, killed {pause:.4f} s after note {notes}\n{m.said()}")
                m.kill()
                raise
            partial += len(outcome.tried) > len(outcome.removed)
            restored += "deleted again" in m.said()
        print(f"{kind}: {KILLS} kills, {partial} of them within an unlink, "
              f"{restored} with marks to be given back")


def test_to_the_end(tmp_path):
    """The same without a kill."""
    with Fake() as account:
        rng = random.Random(SEED)
        fill(account, rng, FEW)
        before = account.messages()
        m = account.mount(str(tmp_path))
        outcome = run_worker(m, make_jobs(rng, sorted(before)))
        assert outcome.ended and outcome.removed == outcome.tried
        m.stop()
        check(account, m, before, outcome)
