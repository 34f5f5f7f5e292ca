# SPDX-License-Identifier: MIT
"""Random life on a server and in a mount of it at once, held against the history (see history.py).

One loop: others change mail (Life), workers are told what to do in the mount and what they saw is judged, and
every now and then all is still, so that everything must be exactly as it is on the server.
"""
import asyncio
import collections
import contextlib
import errno
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import bodies
import mounting
import patience
import views
from backends import Real, Views
from history import HIDDEN, KEYWORDS, NEVER, History, Promise, Transfer, keywords

HERE = os.path.dirname(os.path.abspath(__file__))
TIMEOUT = 5
# Seconds of life between two looks at everything.
PHASE = (6, 16)
# Seconds for which a session of Dovecot may go on to list the names that there were when it began.
FROZEN = 60
# A worker's job that is not over by then hangs.
HANG = 90
FOLDERS = ("Archive", "Archive/2023", "Lists", "Entwürfe", "R&D", "100% wool", "a b", "仕事", "Zoo")
NEW_FOLDERS = ("New", "Next", "Übung", "Archive/newer", "Lists/fuse", "Zoo/lion & co", "x-1", "x-2")
MADE_FOLDERS = ("Made", "Made/inner", "Made & mine", "Archive/made", "INBOX/made")
# What the mount may say of faults that were made.
TOLD = (r"localhost:\d+|connected again|going on with|took longer than|refused|lost|cannot |sizes|size of|"
        r"SEARCH of|UIDVALIDITY of|NO |server|LIST|removed|expunge")
# What a job was told that it is not stored is kept.
TOLD_OF_LEFT = "has left it|not stored|to be stored|does not say whether it is stored"
REMOVES = ("rm", "mv")


def mounted_device(point):
    """As /proc/PID/mountinfo has it, or None."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as source:
        return next((words[2] for words in map(str.split, source) if words[4] == point), None)


def kept_elsewhere(device):
    """Whether a process in another mount namespace (unshare -m) has a copy of the mount: that ends with the last
    of them."""
    for process in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{process}/mountinfo", encoding="utf-8", errors="replace") as source:
            if any(line.split()[2] == device for line in source):
                return True
    return False


class Worker:
    def __init__(self, number, seed):
        self.number, self.seed = number, seed
        self.process = None

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(
            *mounting.TETHER, sys.executable, os.path.join(HERE, "worker.py"), f"{self.seed}{self.number}",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=64 << 20)

    async def do(self, job):
        """The job with what it saw; None when it hangs. A page that cannot be read kills the worker (SIGBUS):
        that is taken for ESTALE, since it does not say."""
        start = time.monotonic()
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        try:
            line = await asyncio.wait_for(self.process.stdout.readline(), HANG)
        except asyncio.TimeoutError:
            return None
        if line:
            return json.loads(line)
        status = await self.process.wait()
        await self.start()
        assert status == -signal.SIGBUS, f"a worker ended with {status}"
        return {**job, "errno": errno.ESTALE, "t0": start, "t1": time.monotonic(), "slowest": 0, "slow_call": "fault"}

    async def stop(self):
        if self.process and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


class Run:
    """options: seed, seconds, server ("views" or "dovecot"), program, workers, keep_going, faults, lies, writes, say."""

    def __init__(self, options):
        self.options = options
        self.rng = random.Random(f"{options.seed} run")
        self.identities = itertools.count(1)
        self.lock = asyncio.Lock()
        self.still = False
        self.counts = {}
        self.workers = [Worker(i, options.seed) for i in range(options.workers)]
        self.busy = 0
        self.mounts = []
        self.favourites, self.purge = ["INBOX"], False
        self.writes = False
        self.alone = False   # jobs move, copy and write, and nothing else happens
        self.moving = set()  # folders that a job renames or removes
        self.news = collections.deque(maxlen=12)
        self.kinds_failed = {}
        self.faulty = False
        self._choose()

    # How this seed is

    def _choose(self):
        rng, options = self.rng, self.options
        refresh = rng.choice([2, 3])
        # By chance of its own, so that seeds stay what they were.
        writing = random.Random(f"{options.seed} writing")
        self.writes = options.writes if options.writes is not None else writing.random() < 0.5
        if options.server == "views":
            faults = ()
            if options.faults if options.faults is not None else rng.random() < 0.3:
                faults = tuple(rng.sample(["drop", "slow", "unavailable"], rng.randrange(1, 4)))
            lies = options.lies if options.lies is not None else rng.random() < 0.15
            self.manner = views.Manner.random(rng, faults, lies)
            for setting in options.manner:
                name, _, value = setting.partition("=")
                kind = type(getattr(views.Manner(), name))
                setattr(self.manner, name, kind(value.split()) if kind is tuple else value == "1" if kind is bool else kind(value))
            if writing.random() < 0.6:
                self.manner.capabilities += ("MOVE",)
            self.backend = Views(self.manner, options.seed)
            have, late = self.manner.capabilities, self.manner.push_delay
            self.faulty = bool(faults)
        else:
            from dovecot import Dovecot
            hide = rng.choice([(), (), ("NOTIFY",), ("NOTIFY", "QRESYNC", "CONDSTORE"), ("UIDPLUS",),
                               ("NOTIFY", "IDLE", "ESEARCH", "QRESYNC", "CONDSTORE"), ("LIST-STATUS", "ESEARCH")])
            self.manner = f"Dovecot, {rng.choice(['maildir', 'mdbox', 'sdbox'])}, without {hide}"
            self.backend = Real(Dovecot(mail_format=re.search(r"\w+box|maildir", self.manner).group(), hide=hide))
            have, late = {"NOTIFY", "IDLE", "UIDPLUS"} - set(hide), 0.6
        notify = "NOTIFY" in have
        if notify and rng.random() < 0.5:
            refresh = 60
        latency = 4 * self.manner.latency if options.server == "views" else 0
        news = 2.0 + late + latency
        self.refresh = refresh
        names = news if notify else refresh + 2.0 + latency
        self.history = History(Promise(
            names=names if options.server == "views" else FROZEN + names, settled=names,
            by_name=news if notify else refresh + 2.0 + late + latency, listed=news, timeout=TIMEOUT))
        self.history.moving = self.moving
        self.history.slack = patience.late
        self.options_of_mount = [f"timeout={TIMEOUT}", f"refresh={refresh}"]
        if rng.random() < 0.3:
            self.options_of_mount.append(f"connections={rng.choice([1, 2, 8])}")
        self.large = rng.random() < 0.35 or options.large
        self.two = rng.random() < 0.2 or options.two
        self.history.may_refuse = self.two and "UIDPLUS" not in have
        if "UIDPLUS" not in have and rng.random() < 0.7:
            self.options_of_mount.append("expunge=force")
        self.takes_marked = "UIDPLUS" not in have and not self.backend.exact
        self.history.removes = "UIDPLUS" in have or "expunge=force" in self.options_of_mount

    def describe(self):
        return f"seed {self.options.seed}: {self.manner}, mounted {'twice ' if self.two else ''}with {','.join(self.options_of_mount)}"

    # Other clients

    async def change(self, work):
        """Within the lock, so that nothing is judged while half of it is written down."""
        async with self.lock:
            await work()

    def _mails(self, count, most=bodies.MIB + 1):
        return [(next(self.identities), bodies.random_size(self.rng, self.backend.least, most),
                 1_600_000_000 + self.rng.randrange(10**8)) for _ in range(count)]

    async def deliver(self, path, mails):
        before = time.monotonic()
        found = await self.backend.deliver(path, mails)
        when = (before, time.monotonic())
        for (identity, size, _), (uid, lies) in zip(mails, found):
            self.news.append(self.history.arrived(path, uid, identity, size, when, lies))

    async def expunge(self, path, stays):
        if not stays:
            return
        before = time.monotonic()
        for stay in stays:
            stay.gone = (before, float("inf"))
        await self.backend.expunge(path, [stay.uid for stay in stays])
        for stay in stays:
            stay.gone = (before, time.monotonic())

    async def create(self, path):
        """With its parents, so that all folders can be selected."""
        await self._create_parents(path)
        before = time.monotonic()
        await self.backend.create(path)
        self.history.folder(path, (before, time.monotonic()))

    async def _create_parents(self, path):
        parent = path.rpartition("/")[0]
        if parent and not self.history.living(parent):
            await self.create(parent)

    async def delete(self, path):
        before = time.monotonic()
        await self.backend.delete(path)
        self.history.folder_gone(path, (before, time.monotonic()))

    def mark_of(self, stay):
        """What becomes of its mark when it is copied, moved or unmarked now. Without UIDPLUS others' marks are taken
        off for a moment, and given back: either may come first."""
        unsure = "expunge=force" in self.options_of_mount and stay.marked and (
            self.history.removing(stay.path) or self.backend.unmarked(stay.path, stay.uid))
        return None if unsure else stay.marked

    async def rename(self, old, new):
        await self._create_parents(new)
        before = time.monotonic()
        here = self._what_is_below(old)
        await self.backend.rename(old, new)
        self._renamed(old, new, here, (before, time.monotonic()))

    def _what_is_below(self, old):
        """{path: [(Stay, its mark)]}"""
        history = self.history
        return {path: [(stay, self.mark_of(stay)) for stay in history.now(path) + history.going(path)]
                for path in history.folders if history.living(path) and (path == old or path.startswith(old + "/"))}

    def _renamed(self, old, new, here, when):
        history = self.history
        going = {stay for path in here for stay in history.going(path)}
        for path in here:
            history.folder_gone(path, when)
        for path in here:
            target = new + path[len(old):]
            history.folder(target, when)
            # Files that are not stored go along, too.
            for name, given in history.given.get(path, {}).items():
                history.given.setdefault(target, {}).setdefault(name, []).extend(given)
            for stay, mark in here[path]:
                moved = history.arrived(target, stay.uid, stay.identity, stay.size, when, stay.lies)
                moved.marked = mark
                if stay in going:
                    moved.removing, moved.asked, moved.gone = True, stay.asked, (when[0], float("inf"))
                    stay.removing, stay.gone = False, when

    async def renumber(self, path):
        history, before = self.history, time.monotonic()
        here = [(stay, self.mark_of(stay)) for stay in history.now(path)]
        numbers = await self.backend.renumber(path)
        when = (before, time.monotonic())
        history.folder_gone(path, when)
        history.folder(path, when)
        for stay, mark in here:
            if stay.uid in numbers:
                history.arrived(path, numbers[stay.uid], stay.identity, stay.size, when, stay.lies).marked = mark

    def folders(self):
        """Those that can be selected: all, here. To a name under which one is removed nobody delivers."""
        return sorted(path for path in self.history.folders if self.history.living(path) and HIDDEN not in path)

    def choose_folder(self, rng):
        """Most of a time's life is in one or two."""
        folders = self.folders()
        liked = [path for path in self.favourites if path in folders]
        return rng.choice(liked if liked and rng.random() < 0.75 else folders)

    def free(self, path):
        """What no job is about to remove."""
        return [stay for stay in self.history.now(path) if not stay.removing]

    def is_busy(self, path):
        """A job changes something there: others leave the folder itself alone."""
        return self.history.removing(path) or any(path == other or path.startswith(other + "/") or other.startswith(path + "/")
                                                  for other in self.moving)

    async def one_change(self):
        rng, history = self.rng, self.history
        path = self.choose_folder(rng)
        free = self.free(path)
        what = rng.choices(["deliver", "burst", "expunge", "mark", "unmark", "flag", "copy", "create", "delete", "rename",
                            "renumber", "again"], [40, 20, 5, 20, 3, 3, 3, 1, 1, 1, 1, 1] if self.purge else
                           [40, 3, 14, 5, 3, 8, 6, 3, 2, 3, 1, 1])[0]
        busy = self.is_busy(path)
        if not self.backend.exact and self.is_moving(path):
            return
        self.counts[what] = self.counts.get(what, 0) + 1
        if what == "deliver" and len(free) < 400:
            await self.deliver(path, self._mails(rng.choice([1, 1, 1, 2, 3, 5]), bodies.MIB + 1 if len(free) < 60 else 9000))
        elif what == "burst" and len(free) < 400:
            await self.deliver(path, self._mails(rng.randrange(10, 60), 3000))
        elif what == "expunge":
            await self.expunge(path, rng.sample(free, min(len(free), rng.choice([1, 1, 2, 5]))))
        elif what in ("mark", "unmark"):
            stays = [stay for stay in free if stay.marked == (what == "unmark")][:3]
            if stays:
                marks = [None if self.mark_of(stay) is None else what == "mark" for stay in stays]
                before, busy = time.monotonic(), history.removing(path)
                await self.backend.store(path, [s.uid for s in stays], "+" if what == "mark" else "-", "\\Deleted")
                for stay, mark in zip(stays, marks):
                    stay.marked = mark
                    # Without UIDPLUS nothing helps against a mark that is set just before EXPUNGE.
                    if what == "mark" and self.takes_marked and (busy or history.removing(path)):
                        stay.gone = (before, float("inf"))
        elif what == "flag" and free:
            await self.backend.store(path, [rng.choice(free).uid], rng.choice("+-"), "\\Flagged")
        elif what == "copy" and free:
            target = rng.choice(self.folders())
            if self.is_moving(target):
                return
            stays = sorted(rng.sample(free, min(len(free), 3)), key=lambda stay: stay.uid)
            before, marks = time.monotonic(), [self.mark_of(stay) for stay in stays]
            found = await self.backend.copy(path, [stay.uid for stay in stays], target)
            for stay, mark, (uid, lies) in zip(stays, marks, found):
                history.arrived(target, uid, stay.identity, stay.size, (before, time.monotonic()), lies).marked = mark
        elif what == "create":
            new = [name for name in NEW_FOLDERS + FOLDERS if not history.living(name)]
            if new:
                await self.create(rng.choice(new))
        elif path == "INBOX" or busy or what not in ("delete", "rename", "renumber", "again"):
            return
        elif what == "rename":
            new = [name for name in NEW_FOLDERS if not history.living(name) and not name.startswith(path + "/") and
                   not path.startswith(name + "/")]
            if new and not any(self.is_busy(f) for f in self.folders() if f.startswith(path + "/")):
                await self.rename(path, rng.choice(new))
        elif what == "renumber":
            await self.renumber(path)
        elif not any(other.startswith(path + "/") for other in self.folders()):
            await self.delete(path)
            if what == "again":
                await self.create(path)
                await self.deliver(path, self._mails(rng.randrange(3), 5000))

    async def others(self):
        while not self.still:
            await self.change(self.one_change)
            await asyncio.sleep(self.rng.choice([0.02, 0.1, 0.1, 0.4, 0.8]))

    # The mount

    async def populate(self):
        rng = self.rng
        self.history.folder("INBOX", (0, 0))
        for path in rng.sample(FOLDERS, rng.randrange(3, len(FOLDERS))):
            if not self.history.living(path):
                await self.create(path)
        for path in self.folders():
            count = rng.choice([0, 1, 1, 2, 2, 3, 10, 30])
            await self.deliver(path, self._mails(count))
        if self.large:
            await self.deliver("INBOX", self._mails(rng.choice([300, 1500]), 800))

    async def thread(self, function, *arguments):
        return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)

    async def start_mounts(self):
        """Mostly one; two know nothing of each other."""
        for name in ("m", "n") if self.two else ("m",):
            place = os.path.join(self.directory, name)
            os.makedirs(place, exist_ok=True)
            flags = ("-d",) if self.options.debug else ("-f",)
            more, keywords = [], {}
            if self.options.server == "views":
                password = os.path.join(self.directory, "password")
                with open(os.open(password, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as out:
                    out.write(views.Server.password + "\n")
                more = [f"passfile={password}", "tls=none"]
                keywords = {"source": f"imap://user@localhost:{self.backend.server.port}/", "trust": False}
            self.mounts.append(mounting.Mount(self.options.program, self.backend.server, place, *self.options_of_mount, *more,
                                              ready=False, flags=flags, **keywords))
        await self.mount_again()

    async def mount_again(self):
        # setpriv would have them end with the thread that starts them: so here, in the main one.
        self.history.mounting = time.monotonic()
        for m in self.mounts:
            m.start()
        end = time.monotonic() + 30
        while not all(mounting.is_mounted(m.point) for m in self.mounts):
            for m in self.mounts:
                if m.process.poll() is not None or time.monotonic() > end:
                    raise AssertionError(f"not mounted: {m.process.poll()} {m.said()[-2000:]}")
            await asyncio.sleep(0.02)
        for m in self.mounts:
            m.tolerate(TOLD)
        self.history.mounted = time.monotonic()

    async def remount(self):
        await self.stop_mounts()
        self.counts["remount"] = self.counts.get("remount", 0) + 1
        for m in self.mounts:
            if self.rng.random() < 0.2:
                os.rename(m.cache, f"{m.cache}.{self.counts['remount']}")
        for _ in range(self.rng.randrange(6)):
            await self.change(self.one_change)
        # The small ones especially: what has 0, 1, 2 gets 0, 1, 2 more.
        for path in self.folders():
            if len(self.free(path)) < 3:
                await self.deliver(path, self._mails(self.rng.randrange(3), 70000))
        await self.mount_again()

    # Jobs

    def choose_job(self, rng):
        path = self.choose_folder(rng)
        job = self.choose_change(rng, path) if self.writes and rng.random() < 0.25 else None
        if job:
            return job
        do = rng.choices(["cat", "pread", "mapped", "ls", "lsl", "stat", "find", "rm", "statvfs"],
                         [30, 10, 8, 14, 6, 12, 2, 80 if self.purge else 9, 1])[0]
        if do in ("ls", "lsl"):
            return {"do": do, "where": rng.choice([path, path, path, ""]), "most": 60}
        if do in ("find", "statvfs"):
            return {"do": do, "where": ""}
        fresh = [stay for stay in self.news if stay.gone == NEVER]
        if do in ("cat", "pread", "mapped") and fresh and rng.random() < 0.4:
            stay = rng.choice(fresh)
            return {"do": do, "where": f"{stay.path}/{stay.uid}", "kind": "file"}
        if do == "stat" and rng.random() < 0.3:
            return {"do": do, "where": path, "kind": "folder"}
        stays = self.history.now(path)
        if do != "rm" and rng.random() < 0.1:
            known = [stay for each in self.history.stays.get(path, {}).values() for stay in each]
            uid = rng.choice(known).uid if known and rng.random() < 0.7 else rng.randrange(1, 100000)
        elif not stays:
            return {"do": "ls", "where": path}
        else:
            # The newest are the most interesting.
            stay = rng.choice(stays[-5:]) if rng.random() < 0.5 else rng.choice(stays)
            uid = stay.uid
            if do == "rm":
                if stay.removing or (len(stays) < 4 and rng.random() < 0.5):
                    return {"do": "ls", "where": path}
                return {"do": do, "where": f"{path}/{uid}", "stay": stay}
        return {"do": do, "where": f"{path}/{uid}", "kind": "file"}

    def choose_change(self, rng, path):
        """Something that writes; None when that cannot be just now. What UIDs a message gets is known at once where the
        server is ours only; elsewhere there is a time for it."""
        do = rng.choices(["mv", "cp", "copy", "setfattr", "mkdir", "rmdir", "mvdir"], [12, 6, 5, 8, 3, 3, 2])[0]
        if not self.backend.exact and (do in ("mv", "cp", "copy")) != self.alone:
            return None
        if do in ("mkdir", "mvdir"):
            new = [name for name in MADE_FOLDERS + NEW_FOLDERS if not self.history.living(name) and
                   ("/" not in name or self.history.living(name.rpartition("/")[0])) and not self.is_busy(name)]
            if not new:
                return None
            new = rng.choice(new)
        if do == "mkdir":
            return {"do": do, "where": new, "around": [new], "moving": [new]}
        if do in ("rmdir", "mvdir"):
            empty = [f for f in self.folders() if not self.history.now(f)]
            path = rng.choice(empty if do == "rmdir" and empty and rng.random() < 0.7 else self.folders())
            if path == "INBOX" or any(self.is_busy(f) for f in self.folders() if f == path or f.startswith(path + "/")):
                return None
            if do == "rmdir":
                return {"do": do, "where": path, "around": [path], "moving": [path]}
            if new.startswith(path + "/"):
                return None
            return {"do": do, "where": path, "to": new, "around": [path, new], "moving": [path, new]}
        if do == "setfattr":
            # What takes all flags off takes off others' marks, too.
            stays = [stay for stay in self.free(path) if not stay.marked and not stay.setting]
            if not stays or self.is_moving(path):
                return None
            stay = rng.choice(stays)
            return {"do": do, "where": f"{path}/{stay.uid}", "around": [path], "stay": stay,
                    "flags": " ".join(rng.sample(KEYWORDS, rng.randrange(len(KEYWORDS) + 1)))}
        target = rng.choice(self.folders())
        if self.is_moving(path) or self.is_moving(target):
            return None
        if do == "cp":
            identity = next(self.identities)
            lines = min(int(rng.lognormvariate(3, 1.8)), 16000)
            name = rng.choice([f"new{identity}.eml", str(identity)])
            return {"do": do, "where": f"{path}/{name}", "identity": identity, "around": [path], "name": name,
                    "octets": bodies.HEAD + lines * bodies.LINE, "target": path}
        # A file that nothing is written to becomes no message, and of a short one nobody knows which it is.
        least = 0 if self.backend.exact and do == "mv" else bodies.HEAD
        stays = [stay for stay in self.free(path) if not stay.lies and stay.size >= least]
        if not stays or path == target:
            return None
        stay = rng.choice(stays)
        name = rng.choice([str(stay.uid), f"m{stay.identity}"])
        return {"do": do, "where": f"{path}/{stay.uid}", "to": f"{target}/{name}", "around": [path, target], "stay": stay,
                "identity": stay.identity, "name": name, "target": target, "octets": stay.size}

    def is_moving(self, path):
        return any(path == other or path.startswith(other + "/") for other in self.moving)

    def mount_of(self, worker):
        return self.mounts[worker.number % len(self.mounts)]

    async def do(self, worker, job):
        plain = {key: value for key, value in job.items() if key != "stay"}
        mount = self.mount_of(worker)
        plain["path"] = os.path.join(mount.point, job["where"])
        if "to" in job:
            plain["to"] = os.path.join(mount.point, job["to"])
        if job["do"] == "mvdir":
            plain["do"] = "mv"
        stay = job.get("stay")
        transfer = self._begin_transfer(job)
        moving = job.get("moving", [])
        below = self._what_is_below(job["where"]) if job["do"] == "mvdir" else {}
        self.busy += 1
        try:
            self.moving.update(moving)
            if job["do"] == "setfattr":
                stay.setting, stay.keywords, stay.marked = True, None, None
            elif stay and job["do"] in REMOVES:
                stay.removing, stay.asked = True, time.monotonic()
                self.backend.asked(stay.path, stay.uid)
                stay.gone = (stay.asked, float("inf"))
            found = await worker.do(plain)
            if found is None:
                self.history.fail("hang", f"{job['do']} {job['where']} for {HANG} s", plain)
                self.still = True
                return
            async with self.lock:
                if found["errno"] in (errno.ENOTCONN, errno.ECONNABORTED) or mount.process.poll() is not None:
                    await self._died(mount)
                    return
                found["stay"], found["do"] = stay, job["do"]
                if transfer:
                    transfer.errno, transfer.end = found["errno"], found["t1"]
                    self.history.given[transfer.path][transfer.name][-1].born = (transfer.start, found["t1"])
                if stay and job["do"] in REMOVES:
                    stay.done = found["errno"] == 0
                if job["do"] == "setfattr" and found["errno"] == 0:
                    stay.keywords = keywords(job["flags"].split())
                if found["errno"] == 0 and moving and not self.backend.exact:
                    self._changed_names(found, below)
                self.history.faults = [*getattr(getattr(self.backend, "server", None), "faults", [])]
                self.history.judge(found)
                self._after(found)
        finally:
            if job["do"] == "setfattr":
                stay.setting = False
            self.busy -= 1
            self.moving.difference_update(moving)

    def _changed_names(self, job, below):
        """What a job did to folders of a server that does not tell us."""
        when = (job["t0"], job["t1"])
        if job["do"] == "mkdir":
            self.history.folder(job["where"], when)
        elif job["do"] == "rmdir":
            if self.history.now(job["where"]):
                self.history.fail("lost", f"rmdir {job['where']} took messages along", job)
            self.history.folder_gone(job["where"], when)
        else:
            self._renamed(job["where"], job["around"][1], below, when)

    def _begin_transfer(self, job):
        """What a job brings to a folder."""
        if job["do"] not in ("mv", "cp", "copy"):
            return None
        stay = job.get("stay")
        transfer = Transfer(job["do"], job["identity"], stay, job["target"], job["name"], time.monotonic())
        self.history.transfer(transfer, job["octets"], False)
        if stay:
            self.backend.asked_copy(stay.path, stay.uid)
        return transfer

    def _after(self, job):
        if self.options.server == "views":
            for text in self.backend.server.violations:
                self.history.fail("violation", text)
            self.backend.server.violations.clear()
        self.report()

    async def _died(self, mount):
        """Whatever else is seen then is no news."""
        if "died" not in self.kinds_failed:
            end = time.monotonic() + 10
            while mount.process.poll() is None and time.monotonic() < end:
                await asyncio.sleep(0.1)
            said = mount.said()
            at = max(0, said.find("==ERROR"))
            self.history.fail("died", f"status {mount.process.returncode}: {said[at:at + 2500] if at else said[-1500:]}")
            self.report()
        self.still = True

    def report(self):
        for when, kind, text, job in self.history.failures:
            self.kinds_failed[kind] = self.kinds_failed.get(kind, 0) + 1
            if self.kinds_failed[kind] > 3:
                continue
            print(f"FAILED {kind}: {text}", flush=True)
            if job:
                brief = {k: v for k, v in job.items() if k not in ("seen", "names", "kinds", "tree", "sizes", "path", "stay")}
                print(f"    at {when % 1000:.3f}, took {job['t1'] - job['t0'] if 't1' in job else 0:.3f} s, {brief}", flush=True)
            self.save_conversation(kind, text)
        if self.history.failures and not self.options.keep_going:
            self.still = True
        self.history.failures.clear()

    def save_conversation(self, kind, text):
        """What was said up to then, beside what is left of the run."""
        if self.options.server != "views":
            return
        path = os.path.join(self.directory, f"conversation-{kind.replace(' ', '-')}-{self.kinds_failed[kind]}")
        with open(path, "w", encoding="utf-8") as out:
            out.write(f"{self.describe()}\n{kind}: {text}\n{self.backend.server.conversation(4000)}\n")
        print(f"    the conversation until then: {path}", flush=True)

    async def works(self, worker):
        rng = random.Random(f"{self.options.seed} worker {worker.number}")
        # Who comes first sees a listing under way.
        first = worker.number < 2
        while not self.still:
            async with self.lock:
                if self.alone:
                    job = self.choose_change(rng, self.choose_folder(rng)) or {"do": "statvfs", "where": ""}
                else:
                    job = {"do": "ls", "where": rng.choice(["INBOX", *self.folders()])} if first else self.choose_job(rng)
            first = False
            await self.do(worker, job)
            await asyncio.sleep(rng.choice([0, 0.005, 0.05, 0.2]))

    # Looks at everything

    async def settle(self):
        """Until what was promised is due."""
        promise = self.history.promise
        server = getattr(self.backend, "server", None)
        last_fault = max((when for when, _ in getattr(server, "faults", [])), default=0)
        due = time.monotonic() + max(promise.settled, promise.by_name, promise.listed) + patience.late() + 0.5
        # The pause between two attempts to connect doubles. A short life does not wait for the longest.
        if last_fault:
            due = max(due, last_fault + (40 if self.options.life > 30 else 12))
        await asyncio.sleep(max(0, due - time.monotonic() - 2))
        used = self.cpu()
        await asyncio.sleep(2)
        used = self.cpu() - used
        if used > 0.5 and not last_fault:
            self.history.fail("burning", f"{used:.2f} s of CPU within 2 s in which nothing happened")

    def cpu(self):
        """Seconds of a processor that the mounts have used so far."""
        used = 0
        for m in self.mounts:
            with contextlib.suppress(OSError), open(f"/proc/{m.pid}/stat", encoding="utf-8") as source:
                fields = source.read().rpartition(")")[2].split()
                used += int(fields[11]) + int(fields[12])
        return used / os.sysconf("SC_CLK_TCK")

    async def audit(self):
        """The server's side: nothing went that nobody removed, no flag came."""
        now = time.monotonic()
        state = await self.backend.state()
        for path, stays in self.history.stays.items():
            there = state.get(path, {})
            for uid, each in stays.items():
                stay = each[-1]
                if stay.gone[1] == float("inf") and stay.gone[0] != float("inf"):
                    # Only where it had failed either is right.
                    stay.gone = NEVER if uid in there else (stay.gone[0], now)
                    # Who numbers the mailbox anew just then leaves it as it is.
                    if stay.done and uid in there and not self.history.changed_around(path, stay.asked - 1, now):
                        self.history.fail("not removed", f"{path}/{uid}: a job said that it is gone, and it is on the server")
                    stay.removing = stay.done = False
                if stay.gone == NEVER and uid not in there:
                    self.history.fail("lost", f"{path}/{uid} is not on the server any more, and nobody removed it "
                                      f"(message {stay.identity}, since {time.monotonic() - stay.born[1]:.1f} s, marked: "
                                      f"{stay.marked})")
                    stay.gone = (stay.born[0], now)
                elif stay.gone != NEVER and uid in there and self.history.living(path):
                    self.history.fail("not removed", f"{path}/{uid} was removed and is on the server")
                    stay.gone = NEVER
                if uid in there and stay.gone == NEVER:
                    if "\\Seen" in there[uid]:
                        self.history.fail("seen", f"{path}/{uid} is marked \\Seen")
                    if stay.removing:
                        continue
                    if stay.marked not in (None, "\\Deleted" in there[uid]):
                        self.history.fail("mark", f"{path}/{uid}: others {'marked' if stay.marked else 'did not mark'} it "
                                          f"\\Deleted, and it is {' '.join(there[uid]) or 'without a flag'}")
                    stay.marked = "\\Deleted" in there[uid]
                    if stay.keywords not in (None, keywords(there[uid])):
                        self.history.fail("flags", f"{path}/{uid}: {' '.join(there[uid]) or 'no flag'}, and a job has set "
                                          f"{stay.keywords}")
        for path in state:
            if HIDDEN in path:
                self.history.fail("hidden", f"{path} is called so still, and no rmdir goes on")
        self.history.account_for_transfers()
        self.report()

    async def look(self, worker):
        """Every listing, size and body, while nothing changes."""
        if self.mount_of(worker).process.poll() is not None:
            await self._died(self.mount_of(worker))
            return
        await self.do(worker, {"do": "find", "where": ""})
        for path in self.folders():
            await self.do(worker, {"do": "lsl", "where": path, "most": 2000})
            stays = self.history.now(path)
            for stay in stays if not self.two else ():
                if stay.keywords is not None and not stay.marked:
                    await self.do(worker, {"do": "getfattr", "where": f"{path}/{stay.uid}", "stay": stay})
            for stay in stays if len(stays) < 40 else self.rng.sample(stays, 40):
                if stay.lies and stay.size:
                    # Once found out by reading, the size is that of the octets.
                    for _ in range(3):
                        await self.do(worker, {"do": "cat", "where": f"{path}/{stay.uid}"})
                    job = {"do": "stat", "where": f"{path}/{stay.uid}", "kind": "file", "path": os.path.join(
                        self.mount_of(worker).point, f"{path}/{stay.uid}")}
                    found = await worker.do(job)
                    if found["errno"] == 0 and found["size"] != stay.size:
                        self.history.fail("wrong size", f"{path}/{stay.uid}: {found['size']} after it was read, not {stay.size}", found)
                else:
                    await self.do(worker, {"do": self.rng.choice(["cat", "mapped", "cat"]), "where": f"{path}/{stay.uid}"})
            if self.over() and not self.options.keep_going and self.kinds_failed:
                return

    def over(self):
        return time.monotonic() > self.end or (self.kinds_failed and not self.options.keep_going)

    async def phase(self):
        self.still = False
        # Times when much is removed, among what others have marked.
        self.purge = self.rng.random() < (0.7 if self.two else 0.2)
        self.favourites = self.rng.sample(self.folders(), min(self.rng.choice([1, 1, 2]), len(self.folders())))
        seconds = min(self.rng.uniform(*PHASE), max(3.0, self.end - time.monotonic() - 8))
        tasks = [asyncio.create_task(self.works(worker)) for worker in self.workers]
        tasks.append(asyncio.create_task(self.others()))
        if self.options.server == "views":
            tasks.append(asyncio.create_task(self.storms()))
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.still:
            await asyncio.sleep(0.1)
        self.still = True
        await asyncio.gather(*tasks)

    async def write_alone(self):
        """Where the server does not tell us what comes, it is looked at afterwards."""
        self.still, self.alone = False, True
        tasks = [asyncio.create_task(self.works(worker)) for worker in self.workers]
        await asyncio.sleep(self.rng.uniform(2, 4))
        self.still = True
        await asyncio.gather(*tasks)
        self.alone = False

    async def find_arrivals(self, since):
        there = await self.backend.messages()
        when = (since, time.monotonic())
        for path, messages in there.items():
            known = self.history.stays.get(path, {})
            for uid, (identity, size) in messages.items():
                if uid not in known or known[uid][-1].gone[1] < since:
                    stay = self.history.arrived(path, uid, identity, size, when)
                    stay.marked = None
                    self.history.came(stay)

    async def storms(self):
        """Faults come in the first half of a phase, so that there is a time without."""
        server = self.backend.server
        server.stormy = self.rng.random() < 0.6 and bool(self.manner.faults)
        end = time.monotonic() + 5
        while time.monotonic() < end and not self.still:
            await asyncio.sleep(0.1)
        server.stormy = False

    async def run(self):
        self.directory = tempfile.mkdtemp(prefix="imapfs-model-", dir="/tmp")
        os.chmod(self.directory, 0o755)
        print(self.describe(), flush=True)
        self.end = time.monotonic() + self.options.seconds
        try:
            await self.backend.start()
            if self.options.server == "views":
                server = self.backend.server
                server.on_gone, server.on_new, server.on_names = self.on_gone, self.on_new, self.on_names
            await self.populate()
            await self.start_mounts()
            for worker in self.workers:
                await worker.start()
            while True:
                await self.phase()
                if self.over() and self.kinds_failed:
                    break
                since = time.monotonic()
                if self.writes and not self.backend.exact:
                    await self.write_alone()
                await self.settle()
                if self.writes and not self.backend.exact:
                    await self.find_arrivals(since)
                await self.audit()
                for worker in self.workers[:len(self.mounts)]:
                    await self.look(worker)
                if self.over():
                    break
                if self.rng.random() < 0.6:
                    await self.remount()
                    if self.over():
                        break
        finally:
            for worker in self.workers:
                await worker.stop()
            await self.finish()
        print(f"{self.describe()}\n    changes {self.counts}, jobs {self.history.checked}, "
              f"came of them {self.history.outcomes}", flush=True)
        return self.kinds_failed

    def on_gone(self, box, uid):
        stay, now = self.history.latest(self.backend.path(box), uid), time.monotonic()
        stay.gone, stay.removing = (min(stay.gone[0], now), now), False

    def on_new(self, box, message, source):
        history, now = self.history, time.monotonic()
        where = source and (self.backend.path(source[0]), source[1])
        stay = history.arrived(self.backend.path(box), message.uid, message.identity, message.size, (now, now),
                               message.announced != message.size)
        if where:
            stay.marked = "\\Deleted" in message.flags or history.latest(*where).marked and None
        history.came(stay, where)

    def on_names(self, verb, name, new):
        now = time.monotonic()
        path, new = (text and text.replace(self.manner.delimiter, "/") for text in (name, new))
        if verb == "CREATE":
            self.history.folder(path, (now, now))
        elif verb == "DELETE":
            self.history.folder_gone(path, (now, now))
        else:
            self._renamed(path, new, self._what_is_below(path), (now, now))

    async def stop_mounts(self):
        """Looks at how they ended, and at what they said."""
        for m in self.mounts:
            if any(what.startswith(("cp ", "copy ")) for what in self.history.outcomes):
                m.tolerate(TOLD_OF_LEFT)
            device = mounted_device(m.point)
            try:
                await self.thread(m.stop)
            except AssertionError as error:
                if "died" not in self.kinds_failed:
                    self.history.fail("end", str(error)[:2000])
            except subprocess.TimeoutExpired:
                if kept_elsewhere(device):
                    continue
                self.history.fail("no end", f"it is unmounted, and does not end: {m.said()[-1000:]}")

    async def finish(self):
        await self.stop_mounts()
        for m in self.mounts:
            m.kill()
        self.report()
        await self.backend.stop()
        if not self.kinds_failed:
            shutil.rmtree(self.directory)
        else:
            print(f"what is left of it: {self.directory}", flush=True)
