# SPDX-License-Identifier: MIT
"""A backup and deletions while things break, again and again: in the end the copy is identical, exactly
what was to be deleted is gone, and at no time was a wrong octet copied.

Someone copies the account with rsync and removes messages with rm, and tries again what fails, as a
user would. Meanwhile a seeded sequence of faults is worked off. How many is a choice: a few here, and by
hand as many as there is time for,

    IMAPFS_FAULTS=500 IMAPFS_SEED=7 scripts/test tests/system/test_faults.py -s

which also tells what was injected. With another seed the faults are others. test_sweep strikes once in each
of so many backups, evenly over all octets of one; the others as often as they can during few.
"""
import collections
import contextlib
import errno
import os
import random
import re
import shutil
import subprocess
import threading
import time

import pytest

import mailgen
from dovecot import Mail
from mounting import live, wait_until

FAULTS = int(os.environ.get("IMAPFS_FAULTS", "0"))
SEED = int(os.environ.get("IMAPFS_SEED", "1"))
TIMEOUT = 2
MAY_FAIL = (errno.ENETDOWN, errno.ETIMEDOUT, errno.EIO, errno.EROFS, errno.EAGAIN)
BY_HAND = pytest.mark.limit(60 + 20 * FAULTS if FAULTS else 120)


class Account:
    """A Dovecot with some hundred messages, of which others have marked some as deleted."""

    def __init__(self, start_server, count=220, **options):
        mails = [Mail("INBOX", mail.body, mail.date) for mail in mailgen.messages(count, seed=SEED)]
        mails += [Mail("Archive/2020", mail.body, mail.date)
                  for mail in mailgen.messages(max(count // 4, 42), seed=SEED + 1)]
        mails += [Mail("Large", mail.body, mail.date)
                  for mail in mailgen.messages(count // 70, seed=SEED + 2, size=700_000)]
        mails += [Mail("Large", b"Subject: small\r\n\r\n", 1600000000)]
        self.server = start_server(mails, **options)
        for mailbox in ("INBOX", "Archive/2020"):
            self.server.store(mailbox, self.server.uids(mailbox)[::13], "+", ["\\Deleted"])
        self.bodies = {name: self.server.fetch_all(name) for name in ("INBOX", "Archive/2020", "Large")}
        self.flags = self.server.flags_snapshot()
        self.asked = {name: set() for name in self.bodies}
        self.last = {name: max(bodies) for name, bodies in self.bodies.items()}

    def choose(self, rng):
        """(mailbox, UID) of a message that is to be removed now. New ones come when few are left."""
        name = rng.choice(("INBOX", "Archive/2020"))
        left = sorted(self.bodies[name].keys() - self.asked[name])
        if len(left) < 40:
            for mail in mailgen.messages(40, seed=rng.random()):
                uid = self.server.deliver(name, mail.body)
                self.bodies[name][uid] = self.server.fetch_all(name)[uid]
                self.flags[name][uid] = frozenset()
        uid = rng.choice(left)
        self.asked[name].add(uid)
        return name, uid

    def check_copy(self, root, whole):
        """Each file of the copy is right; whole: and none is missing or too many."""
        for name, bodies in self.bodies.items():
            folder = os.path.join(root, name)
            there = [entry for entry in (os.listdir(folder) if os.path.isdir(folder) else [])
                     if entry.isdecimal()]
            for entry in there:
                with open(os.path.join(folder, entry), "rb") as source:
                    assert source.read() == bodies[int(entry)], f"{name}/{entry} is another"
            if whole:
                assert set(map(int, there)) == bodies.keys() - self.asked[name], name

    def check_server(self):
        """Exactly what was asked for is gone, and nothing else has changed."""
        for name, bodies in self.bodies.items():
            left = {uid: body for uid, body in bodies.items() if uid not in self.asked[name]}
            assert self.server.fetch_all(name) == left, name
        flags = self.server.flags_snapshot()
        for name in self.bodies:
            assert flags[name] == {uid: f for uid, f in self.flags[name].items()
                                   if uid not in self.asked[name]}, name


class User:
    """Copies and removes in a mount, and does not give up."""

    def __init__(self, account, m, seed):
        self.account, self.m = account, m
        self.rng = random.Random(seed)
        self.copy = os.path.join(m.directory, "copy")
        self.removing = []
        self.mounted = threading.Lock()   # it stays so
        self.counts = collections.Counter()
        self.complaints = ""              # of the last rsync

    def only_removed(self):
        """Whether all that rsync complains of are messages that were removed while it had them open."""
        complaints = [line for line in self.complaints.splitlines() if line.startswith("rsync: ")]
        stale = [re.search(rf'"{re.escape(str(self.m.point))}/(.+)/(\d+)": Stale file handle', line)
                 for line in complaints]
        return bool(stale) and all(m and int(m[2]) in self.account.asked.get(m[1], ()) for m in stale)

    def rsync(self, *options):
        """True when all was copied that is there: what was removed meanwhile is no fault (24, or 23)."""
        command = ["rsync", "-a", "--timeout=60", *options, f"{self.m.point}/", f"{self.copy}/"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE) as process:
            live.add(process)
            self.complaints = process.communicate()[1].decode(errors="replace")
            done = process.returncode in (0, 24) or process.returncode == 23 and self.only_removed()
            live.discard(process)
        self.counts["rsync done" if done else "rsync failed"] += 1
        self.account.check_copy(self.copy, False)
        return done

    def remove(self):
        """Tries what is left; what is refused stays for the next time."""
        again = []
        for name, uid in self.removing:
            try:
                os.unlink(self.m.path(name, uid))
                self.counts["rm done"] += 1
            except FileNotFoundError:
                # An earlier attempt failed for us, but not for the server. Or the mount is over, or what
                # was delivered while the line was down is not known yet.
                if not self.m.is_ready() or uid > self.account.last[name]:
                    again.append((name, uid))
            except OSError as error:
                assert error.errno in MAY_FAIL, error
                self.counts["rm failed"] += 1
                again.append((name, uid))
        self.removing = again

    def all_removed(self):
        """Tries once more; True when the server has none of them."""
        self.remove()
        self.removing = [(name, uid) for name, uid in self.removing if uid in self.account.server.uids(name)]
        return not self.removing

    def keep_removing(self, busy):
        """In a thread of its own."""
        while busy():
            with self.mounted:
                if len(self.removing) < 5:
                    self.removing.append(self.account.choose(self.rng))
                self.remove()
            time.sleep(0.1)

    def start_over(self, between=None):
        """A new copy in a new mount. between: does something to the cache, which else is lost."""
        with self.mounted:
            if self.m.process.poll() is None:
                self.m.unmount()
                self.m.finished()
            else:
                self.m.kill()
            if between:
                between(self.m.cache, self.rng)
            else:
                shutil.rmtree(self.m.cache, ignore_errors=True)
            shutil.rmtree(self.copy, ignore_errors=True)
            self.mount()

    def mount(self):
        """As often as it takes: no server, no mount; nor where the disk has no room for the journal."""
        self.m.ready = False
        while True:
            self.m.start()
            self.m.tolerate(".")
            wait_until(lambda: self.m.is_ready() or self.m.process.poll() is not None, "a mount or an end", 30)
            if self.m.process.poll() is None:
                return
            if "database or disk is full" not in self.m.said():
                self.counts["mount failed"] += 1
                assert self.m.process.returncode in (2, 3, 4, 5), self.m.said()
            self.m.kill()

    def work(self, busy, between, flawless):
        """Until busy() is over."""
        remover = threading.Thread(target=self.keep_removing, args=(busy,), daemon=True)
        remover.start()
        while busy():
            done = self.rsync()
            assert done or not flawless, (self.complaints, self.m.said())
            if done and busy():
                self.start_over(between)
        remover.join()
        assert not flawless or not self.counts["rm failed"] + self.counts["mount failed"]

    def finish(self):
        """Without faults now."""
        wait_until(self.all_removed, "what was asked for is removed", 90)
        self.account.check_server()
        wait_until(lambda: self.rsync("--delete"), "a whole copy", 90)
        self.account.check_copy(self.copy, True)
        self.m.stop()
        self.account.check_server()


class Faults(threading.Thread):
    """Works off so many faults, in turn of the kinds given: (name, function that injects one, with
    what is random from a generator, and returns when it is over)."""

    def __init__(self, kinds, count, seed):
        super().__init__(daemon=True)
        self.kinds, self.count = kinds, FAULTS or count
        self.rng = random.Random(seed)
        self.counts = collections.Counter()
        self.error = None

    def run(self):
        try:
            for turn in range(self.count):
                name, inject = self.kinds[turn % len(self.kinds)]
                inject(self.rng)
                self.counts[name] += 1
        except BaseException as error:  # told in the main thread
            self.error = error

    def busy(self):
        if self.error:
            raise self.error
        return self.is_alive()


def run(user, kinds, count, between=None, flawless=False):
    """flawless: no fault may be noticed."""
    faults = Faults(kinds, count, SEED)
    start = time.monotonic()
    user.m.tolerate(".")
    faults.start()
    user.work(faults.busy, between, flawless)
    user.finish()
    print(f"\nfaults: {dict(faults.counts)}; {dict(user.counts)}; {time.monotonic() - start:.0f} s")
    assert sum(faults.counts.values()) == faults.count
    assert user.counts["rm done"]


def line_faults(line):
    """Cuts and stalls at a given octet of either direction."""

    def octets(rng, sent):
        # Logging in takes some thousand: one in four falls there.
        if rng.random() < 0.25:
            return int(2 ** rng.uniform(0, 12))
        return rng.randrange(1500) if sent else rng.randrange(200_000)

    def recover():
        """Many failures in a row make it wait up to half a minute: the next fault would hit nothing."""
        before, end = line.received(), time.monotonic() + 40
        while FAULTS and line.received() < before + 5000 and time.monotonic() < end:
            time.sleep(0.05)

    def at(command, hold=None, after=()):
        def inject(rng):
            sent = rng.random() < 0.4
            before = line.ask("stats")["limits"]
            line.ask(f"{command}-after{'-sent' if sent else ''} {octets(rng, sent)}")

            def reached():
                # What is quiet is not struck: the next fault, then.
                return line.ask("stats")["limits"] > before or time.monotonic() > end
            end = time.monotonic() + 3
            wait_until(reached, "the octet", 10)
            if hold:
                time.sleep(rng.uniform(*hold))
            for word in after:
                line.ask(word)
            line.ask("resume")
            recover()
        return inject

    return [
        ("cut", at("cut")),
        ("close", at("close")),
        ("short stall", at("stall", (0.1, 0.5))),
        ("long stall", at("stall", (TIMEOUT, TIMEOUT + 1))),
        ("stall, then cut", at("stall", (0.1, 1), ("cut",))),
        ("half-open", at("half-open", (0.5, TIMEOUT + 0.5))),
    ]


def restarts(server, line):
    """A server that goes, in each way that a server goes, and is back after a while."""

    def refusing(rng):
        for word in ("refuse", rng.choice(("cut", "close"))):
            line.ask(word)
        time.sleep(rng.uniform(0.1, TIMEOUT + 0.5))
        line.ask("listen")
        time.sleep(rng.uniform(0, 1))

    def paused(rng):
        server.pause()
        time.sleep(rng.uniform(0.1, TIMEOUT + 0.5))
        server.resume()
        time.sleep(rng.uniform(0, 0.5))

    def kicked(rng):
        for _ in range(rng.randrange(1, 6)):
            server.kick()
            time.sleep(rng.uniform(0, 0.3))

    def restarted(rng):
        server.restart()
        time.sleep(rng.uniform(0, 1))

    return [("refusing", refusing), ("kicked", kicked), ("restarted", restarted), ("paused", paused)]


def clocks(world, line):
    """A machine that sleeps, with the line gone meanwhile or not, and clocks that are set."""

    def suspended(rng):
        seconds = rng.choice((1, 30, 3600, 12 * 3600))
        if rng.random() < 0.5:
            line.ask("half-open")
        world.suspend(seconds)
        time.sleep(rng.uniform(0.5, 1.5))
        line.ask("resume")
        # Days would add up until the certificate is no longer valid.
        world.set_clock(-seconds)

    def clock_set(rng):
        seconds = rng.choice((-1, 1)) * rng.choice((1, 3600, 86400 * 300))
        world.set_clock(seconds)
        time.sleep(rng.uniform(0, 1))
        world.set_clock(-seconds)

    return [("suspended", suspended), ("clock set", clock_set)]


def spoil(path, rng):
    """Damages what a file holds, or its length."""
    with contextlib.suppress(OSError), open(path, "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        if rng.random() < 0.4:
            file.truncate(rng.randrange(size + 1))
            return
        for _ in range(rng.randrange(1, 6)):
            file.seek(rng.randrange(size + 1))
            file.write(rng.randbytes(rng.randrange(1, 20_000)))


def spoil_one(cache, rng):
    names = sorted(os.listdir(cache)) if os.path.isdir(cache) else []
    if names:
        spoil(os.path.join(cache, rng.choice(names)), rng)


def delete_some(cache, rng):
    names = sorted(os.listdir(cache)) if os.path.isdir(cache) else []
    for name in rng.sample(names, rng.randrange(len(names) + 1)):
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(cache, name))


def caches(user, world):
    """What can happen to the files of the cache while they are in use, and to the disk at any time."""

    def full(rng):
        world.fill_disk(rng.randrange(200_000))
        time.sleep(rng.uniform(0.1, 1))
        world.make_room()
        time.sleep(rng.uniform(0.1, 0.5))

    def spoiled(rng):
        with user.mounted:
            spoil_one(user.m.cache, rng)
        time.sleep(rng.uniform(0.1, 0.7))

    def deleted(rng):
        with user.mounted:
            delete_some(user.m.cache, rng)
        time.sleep(rng.uniform(0.1, 0.7))

    def removed(rng):
        with user.mounted:
            shutil.rmtree(user.m.cache, ignore_errors=True)
        time.sleep(rng.uniform(0.1, 0.7))

    return [("disk full", full), ("file spoiled", spoiled), ("files deleted", deleted),
            ("directory removed", removed)]


def between_mounts(cache, rng):
    rng.choice((spoil_one, delete_some, lambda *_: None))(cache, rng)


@pytest.fixture(name="start")
def fixture_start(start_server, mount, proxy):
    """start(**options of Dovecot and Mount): (a user with an account and a mount, the line to the server)"""
    def start(environment=None, timeout=TIMEOUT, **options):
        account = Account(start_server, **options)
        line = proxy(account.server)
        m = mount(account.server, f"timeout={timeout}", "expunge=force", port=line.port, environment=environment)
        return User(account, m, SEED), line
    return start


@BY_HAND
def test_line(start):
    user, line = start()
    run(user, line_faults(line), 4)


@BY_HAND
@pytest.mark.parametrize("options", [{}, {"hide": ("UIDPLUS",)}], ids=["uidplus", "no-uidplus"])
def test_sweep(start, options):
    """One fault in each backup, mount and login included, at places spread evenly over all that it moves."""
    user, line = start(count=42, **options)
    account, rng = user.account, random.Random(SEED)

    def back_up():
        user.removing = [account.choose(rng) for _ in range(3)]
        user.start_over()
        remover = threading.Thread(target=user.remove)
        remover.start()
        wait_until(user.rsync, "a copy", 60)
        remover.join()
        wait_until(user.all_removed, "removed", 60)
        wait_until(lambda: user.rsync("--delete"), "a whole copy", 60)
        account.check_copy(user.copy, True)

    user.m.tolerate(".")
    line.ask("reset")
    back_up()
    moved, points = line.ask("stats"), FAULTS or 4
    for i in range(points):
        command, hold = (("cut", 0), ("stall", 0.5), ("close", 0), ("stall", TIMEOUT + 1))[i % 4]
        sent = i // 4 % 2
        octets = moved["to_server" if sent else "to_client"] * (i + 1) // (points + 1)
        before = line.ask("stats")["limits"]
        line.ask(f"{command}-after{'-sent' if sent else ''} {octets}")
        release = threading.Thread(target=hold_then_resume, args=(line, before, hold), daemon=True)
        release.start()
        back_up()
        release.join()
        account.check_server()
    print(f"\nfaults: {points} over {moved['to_client']} + {moved['to_server']} octets, {dict(user.counts)}")


def hold_then_resume(line, before, hold):
    """Once the fault has come; it may not, where it was farther on than this backup went."""
    end = time.monotonic() + 5
    while line.ask("stats")["limits"] == before and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(hold)
    line.ask("resume")


@BY_HAND
def test_server(start):
    user, line = start()
    run(user, restarts(user.account.server, line), 4)


@BY_HAND
def test_clock(start, world):
    user, line = start(world.environment)
    run(user, clocks(world, line), 4)


@BY_HAND
def test_cache(start, world):
    user, _ = start(world.environment, timeout=20)
    # The server is there: that the cache is not, nobody needs to notice.
    run(user, caches(user, world), 8, between_mounts, flawless=True)
