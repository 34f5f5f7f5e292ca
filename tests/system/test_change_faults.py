# SPDX-License-Identifier: MIT
"""Changes of mail while things break: each message is in the end where it was asked to be, once, with its octets, its
date and its flags, or where it was, which is told. An independent client looks.

By hand, for as many faults of each kind as there is time for,

    IMAPFS_FAULTS=40 IMAPFS_KILLS=100 IMAPFS_SEED=7 scripts/test tests/system/test_change_faults.py -s

which also tells what was injected."""
import collections
import itertools
import json
import os
import random
import re
import subprocess
import sys
import threading

import pytest

from dovecot import Mail
from ledger import WHEN, Ledger, attempt, copy, look, write
from mounting import live, wait_until

FAULTS = int(os.environ.get("IMAPFS_FAULTS", "1"))
KILLS = int(os.environ.get("IMAPFS_KILLS", "3"))
SEED = int(os.environ.get("IMAPFS_SEED", "1"))
HIDE = {"MOVE": (), "plain": ("MOVE", "UIDPLUS", "CONDSTORE", "QRESYNC", "LITERAL+", "NOTIFY", "IDLE", "LIST-STATUS", "ESEARCH")}
FLAGGED = frozenset({"\\Flagged", "$Work"})


@pytest.fixture(name="start", params=HIDE)
def fixture_start(request, start_server, mount, proxy):
    """start(): (a ledger with the mailboxes A and B, the line to the server)"""
    def start(*options):
        server = start_server([Mail("INBOX", b"Subject: number 0\r\n\r\n")], mail_format="mdbox", hide=HIDE[request.param])
        for box in "ABC":
            server.create(box)
        line = proxy(server)
        m = mount(server, "async", "timeout=2", "refresh=1", "expunge=force", *options, port=line.port)
        m.tolerate(".")
        return Ledger(server, m, "ABC"), line
    return start


def deliver(ledger, count, octets=0):
    """{number: UID} of so many new messages in A, which the mount shows."""
    numbers = [ledger.new(octets) for _ in range(count)]
    with ledger.server.client() as client:
        client.append("A", [Mail("A", ledger.octets[number], WHEN + number) for number in numbers])
    found = look(ledger.server, "A")
    uids = {number: found[number][0].uid for number in numbers}
    for number in numbers:
        ledger.may_be(number, "A")
    wait_until(lambda: all(os.path.exists(ledger.path("A", uid)) for uid in uids.values()), "they are shown", 60)
    for box in "ABC":
        os.listdir(ledger.path(box))
    return uids


# --- the line ---

def move(ledger, number, uid):
    failed = attempt(os.rename, ledger.path("A", uid), ledger.path("B", f"m{number}"))
    ledger.may_be(number, "B", *(["A"] if failed else []))


def remove(ledger, number, uid):
    failed = attempt(os.unlink, ledger.path("A", uid))
    ledger.may_be(number, "", *(["A"] if failed else []))


def copy_there(ledger, number, uid):
    failed = attempt(copy, ledger.path("A", uid), ledger.path("B", f"c{number}"))
    ledger.may_be(number, "AB", *(["A"] if failed else []))


def flag(ledger, number, uid):
    failed = attempt(os.setxattr, ledger.path("A", uid), "user.imap.flags", " ".join(FLAGGED).encode())
    ledger.flags[number] = {FLAGGED} | ({frozenset()} if failed else set())


def flag_and_move(ledger, number, uid):
    flag(ledger, number, uid)
    move(ledger, number, uid)


def put(ledger, number, _uid):
    """Another message, of more octets than a line holds at once in a packet."""
    new = ledger.new(20000 * (number % 2))
    failed = attempt(write, ledger.path("B", f"w{new}"), ledger.octets[new], WHEN + new)
    ledger.may_be(new, "B", *([""] if failed else []))


CHANGES = {function.__name__: function for function in (move, remove, copy_there, flag, flag_and_move, put)}


def settle(ledger):
    """What the user is told, when the line works and everything is done."""
    said = ledger.sync(60)
    # Of what a lost line may have copied nobody knows, and that is told of each; then it may be there, too.
    for uid in re.findall(r"refused: A/(\d+): not moved: it is not known", said):
        numbers = [found.body for founds in look(ledger.server, "A").values() for found in founds if found.uid == int(uid)]
        for number, octets in ledger.octets.items():
            if octets in numbers:
                ledger.may[number] |= {("A",), ("A", "B")}
    return said


def change(ledger, function, uids):
    for number, uid in uids.items():
        function(ledger, number, uid)


def test_line(start):
    """Cut at places spread evenly over what each change sends and gets."""
    ledger, line = start()
    rng = random.Random(SEED)
    counts = collections.Counter()
    waiting = iter(deliver(ledger, 3 * len(CHANGES) * (1 + 2 * FAULTS)).items())

    def strike(function, command=None):
        """What came of it."""
        uids = dict(itertools.islice(waiting, 3))
        line.ask("reset")
        if command:
            line.ask(command)
        change(ledger, function, uids)
        said = settle(ledger)
        line.ask("resume")
        wrong = ledger.check()
        assert not wrong, (function, command, wrong, said, ledger.m.said()[-2000:])
        return line.ask("stats")
    for name, function in CHANGES.items():
        stats = strike(function)
        for i in range(2 * FAULTS):
            direction, octets = (("-sent", stats["to_server"]), ("", stats["to_client"]))[i % 2]
            counts[name] += strike(function, f"{rng.choice(('cut', 'close'))}-after{direction} {rng.randrange(octets)}")["limits"]
    print(f"\nthe line was cut: {dict(counts)}")


# --- kill -9 ---

# Changes mail as told, and notes what it begins and how that ends, up to the end of the mount.
WORKER = """
import json, os, sys, time
sys.path.insert(0, sys.argv[2])
from ledger import WHEN, copy, text, write
root = sys.argv[1]

def say(*words):
    os.write(1, (json.dumps(words) + "\\n").encode())

CALLS = {"move": os.rename, "remove": os.unlink, "copy": copy, "mkdir": os.mkdir, "rmdir": os.rmdir, "mvdir": os.rename,
         "flag": lambda path, flags: os.setxattr(path, "user.imap.flags", flags.encode()),
         "put": lambda path, number, octets: write(path, text(int(number), int(octets)), WHEN + int(number)),
         "sleep": lambda seconds: time.sleep(float(seconds))}
for index, (verb, *words) in enumerate(json.load(sys.stdin)):
    say("begun", index)
    try:
        CALLS[verb](*(os.path.join(root, word[2:]) if word.startswith("./") else word for word in words))
        say("done", index)
    except OSError:
        say("failed", index)
        if not os.path.isdir(root + "/INBOX"):
            break
"""


def make_jobs(ledger, rng, uids):
    """[(what it is to the ledger, the words of the worker)]"""
    jobs = []

    def job(effect, *words):
        jobs.append((effect, words))
    for number, uid in uids.items():
        source, there = f"./A/{uid}", rng.choice("BC")
        verb = rng.choice(("move", "move", "remove", "remove", "copy", "flag", "flag and move", "put", "mailbox", "sleep"))
        if "flag" in verb:
            job(("flag", number), "flag", source, " ".join(FLAGGED))
        if "move" in verb and verb != "remove":
            job(("move", number, there), "move", source, f"./{there}/m{number}")
        elif verb == "remove":
            job(("remove", number), "remove", source)
        elif verb == "copy":
            job(("copy", number), "copy", source, f"./B/c{number}")
        elif verb == "put":
            octets = rng.choice((0, 4000, 300000))
            new = ledger.new(octets)
            job(("put", new), "put", f"./B/w{new}", str(new), str(octets))
        elif verb == "mailbox":
            job(None, "mkdir", f"./D{number}")
            job(None, "mvdir", f"./D{number}", f"./E{number}")
            job(None, "rmdir", f"./E{number}")
        elif verb == "sleep":
            job(None, "sleep", str(rng.choice((0.05, 0.2, 0.4))))
    return jobs


def expect(ledger, effect, how):
    """What may be after that; how: begun, done or failed."""
    verb, number, *there = effect
    before = ledger.may[number]
    if verb == "flag":
        ledger.flags[number] = {FLAGGED} | (set() if how == "done" else {frozenset()})
        return
    after = {"move": lambda places: tuple(there[0] if place == "A" else place for place in places),
             "remove": lambda places: (), "copy": lambda places: (*places, "B"), "put": lambda places: ("B",)}[verb]
    now = {after(places) for places in before}
    ledger.may[number] = now if how == "done" else now | before


def run_and_kill(m, jobs, notes, pause):
    """{index of a job: how it ended}. Kills the daemon so many seconds after that many notes."""
    lib = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")
    ends = {}
    with subprocess.Popen([sys.executable, "-c", WORKER, m.point, lib], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as worker:
        live.add(worker)
        worker.stdin.write(json.dumps([words for _, words in jobs]))
        worker.stdin.close()
        killer = threading.Timer(pause, m.process.kill)
        for count, line in enumerate(worker.stdout):
            how, index = json.loads(line)
            ends[index] = how
            if count == notes:
                killer.start()
        live.discard(worker)
    if killer.ident is None:
        killer.start()
    killer.join()
    m.process.wait()
    m.kill()
    return ends


def drop_drafts(m):
    """What was half written when the daemon was killed is a file that says so; how many."""
    drafts = [line[len("draft: "):].partition(": ")[0] for line in m.read(".imapfs", "status").decode().splitlines()
              if line.startswith("draft: ")]
    for path in drafts:
        os.unlink(m.path(path))
    return len(drafts)


@pytest.mark.limit(120 + 10 * KILLS)
def test_kills(start):
    """kill -9 of the daemon at random moments in a mix of all changes: what was answered is done by the next mount, what
    was not is done or not, and nothing is there twice but what is told."""
    ledger, _ = start()
    m, counts = ledger.m, collections.Counter()
    for seed in range(SEED, SEED + KILLS):
        rng = random.Random(seed)
        jobs = make_jobs(ledger, rng, deliver(ledger, 20, rng.choice((0, 400))))
        pause = rng.uniform(0, 0.02) if rng.random() < 0.6 else rng.uniform(0, 0.8)
        ends = run_and_kill(m, jobs, rng.randrange(2 * len(jobs) + 4), pause)
        for index, (effect, _) in enumerate(jobs):
            if effect and index in ends:
                expect(ledger, effect, ends[index])
        counts.update(ends.values())
        m.start()
        m.tolerate(".")
        settle(ledger)
        for uid in re.findall(r"A/(\d+): not moved: it may have been copied", m.said()):
            counts["told"] += 1
            for number, founds in look(ledger.server, "A").items():
                if any(found.uid == int(uid) for found in founds):
                    ledger.may[number] |= {("A",)} | {("A", *places) for places in ledger.may[number]}
        counts["drafts"] += drop_drafts(m)
        wrong = ledger.check()
        assert not wrong, (seed, wrong, m.said()[-2000:])
        wait_until(lambda: not [name for name in ledger.server.mailboxes() if "imapfs-rmdir" in name], "no private name", 30)
    print(f"\n{KILLS} kills: {dict(counts)}")
