# SPDX-License-Identifier: MIT
"""What was on the server when, and whether what a job saw can be true.

A stay is one message at one path of the mount, with one UID: from its birth to its end. Each of both happened
within an interval (the same instant, where the server is ours). What is renamed, or gets a new UIDVALIDITY,
ends there and is born elsewhere. So all that is asked of the model is what was at a path at a time: for
certain, perhaps, or not.
"""
import dataclasses
import errno
import math
import os
import time

import bodies

NEVER = (math.inf, math.inf)
# Part of the name that a folder has while rmdir looks whether it is empty.
HIDDEN = "~imapfs-rmdir-"
# Flags that jobs alone set.
KEYWORDS = ("$Model1", "$Model2", "$Model3")
CHANGES = ("rm", "mv", "cp", "copy", "setfattr", "mkdir", "rmdir", "mvdir")


def keywords(flags):
    return set(flags) & set(KEYWORDS)


@dataclasses.dataclass(eq=False)
class Stay:
    path: str  # of the folder
    uid: int   # 0: it has a name that a job gave it
    identity: int
    size: int
    lies: bool
    born: tuple
    gone: tuple = NEVER
    marked: bool = False    # \\Deleted, by another client; None: either way is right
    removing: bool = False  # a job was told to, or to move it
    asked: float = 0.0      # when
    done: bool = False      # and said that it is done, which it may be soon
    keywords: set = None    # that a job has set, and others leave alone; None: any is right
    setting: bool = False   # a job does
    eio: int = 0            # how often reading it failed so, where its size is a lie

    def sure(self, start, end):
        return self.born[1] < start and self.gone[0] > end

    def possible(self, start, end):
        return self.born[0] <= end and self.gone[1] >= start


@dataclasses.dataclass(eq=False)
class Folder:
    path: str
    born: tuple
    gone: tuple = NEVER
    sure, possible = Stay.sure, Stay.possible


@dataclasses.dataclass(eq=False)
class Transfer:
    """A message that a job was told to move (mv), copy or write (cp) into a folder."""
    do: str
    identity: int
    source: Stay      # None: it is written
    path: str         # of the folder
    name: str
    start: float
    errno: int = None  # None: it is under way
    end: float = math.inf
    arrivals: int = 0


@dataclasses.dataclass
class Promise:
    """Seconds until a change by others is seen."""
    names: float      # of folders
    settled: float    # of folders, where they are seen: what is in them is what was there, or is new
    by_name: float    # of messages, looked up
    listed: float     # of messages, listed
    timeout: float
    hears_names: bool = True


class History:
    def __init__(self, promise):
        self.promise = promise
        self.stays = {}    # path: {uid: [Stay]}
        self.folders = {}  # path: [Folder]
        self.moving = set()  # folders that a job makes, renames or removes, and has not come back from
        self.faults = []   # (time, kind)
        self.mounting = self.mounted = 0.0
        self.transfers = []
        self.given = {}    # path: {name: [Stay]}, under the names that jobs gave to messages
        self.failures = []
        self.checked = {}
        self.outcomes = {}  # of changes: "rm ESTALE": so often
        self.slack = lambda: 0.0
        self.removes = True  # what is asked for; else nothing at all
        self.may_refuse = False  # to remove, where two mounts would get in each other's way

    # Changes

    def folder(self, path, when):
        """A folder that can be selected, and its parents."""
        parts = path.split("/")
        for i in range(1, len(parts) + 1):
            part = "/".join(parts[:i])
            if not self.living(part):
                self.folders.setdefault(part, []).append(Folder(part, when))

    def living(self, path):
        found = self.folders.get(path)
        return found[-1] if found and found[-1].gone == NEVER else None

    def folder_gone(self, path, when):
        self.living(path).gone = when
        for stay in self.now(path):
            stay.gone = when

    def arrived(self, path, uid, identity, size, when, lies=False):
        stay = Stay(path, uid, identity, size, lies, when)
        self.stays.setdefault(path, {}).setdefault(uid, []).append(stay)
        return stay

    def now(self, path):
        """The stays that are there, as far as is known."""
        return [stays[-1] for stays in self.stays.get(path, {}).values() if stays[-1].gone == NEVER]

    def going(self, path):
        """The stays that a job was told to end, and that may be there."""
        return [stays[-1] for stays in self.stays.get(path, {}).values()
                if stays[-1].removing and stays[-1].gone != NEVER and stays[-1].gone[1] == math.inf]

    def removing(self, path):
        """A job may be about to remove something from there, or have failed to."""
        return any(stays[-1].removing for stays in self.stays.get(path, {}).values())

    def latest(self, path, uid):
        return self.stays[path][uid][-1]

    def transfer(self, transfer, size, lies):
        """Begins."""
        self.transfers.append(transfer)
        stay = Stay(transfer.path, 0, transfer.identity, size, lies, (transfer.start, math.inf))
        self.given.setdefault(transfer.path, {}).setdefault(transfer.name, []).append(stay)

    def came(self, stay, source=()):
        """A message that the client has brought there: from source (path, uid), or written (None); () is not known."""
        if source == ():
            found = [t for t in self.transfers if t.identity == stay.identity]
        elif source:
            found = [t for t in self.transfers if t.source and (t.source.path, t.source.uid) == source]
            # Its mailbox may have been renamed since it was asked for.
            found = found or [t for t in self.transfers
                              if t.source and t.identity == stay.identity and t.path == stay.path and not t.arrivals]
        else:
            # What was copied may be read and written, too.
            found = [t for t in self.transfers if t.do in ("cp", "copy") and t.identity == stay.identity]
        found = [t for t in found if t.path == stay.path] or found
        if not found:
            self.fail("unasked", f"message {stay.identity} came to {stay.path}, which nobody asked for")
            return
        t = min(found, key=lambda t: (t.arrivals > 0, t.errno not in (None, 0)))
        t.arrivals += 1
        if t.arrivals > 1:
            self.fail("twice", f"{t.do} brought message {stay.identity} to {stay.path} {t.arrivals} times")

    def account_for_transfers(self):
        """When all is done: each came once, or stayed where it was."""
        for t in self.transfers:
            what = f"{t.do} of message {t.identity} to {t.path}"
            stayed = t.source is not None and t.source.gone == NEVER
            changed = self.changed_around(t.path, t.start, math.inf) or (
                t.source is not None and self.changed_around(t.source.path, t.start, math.inf))
            if t.errno == 0 and not t.arrivals and not (changed and stayed):
                self.fail("not there", f"{what} said done, and it never came")
            elif t.do == "mv" and not t.arrivals and not stayed and not changed:
                self.fail("lost", f"{what}: it is gone, and never came")
            elif t.do == "mv" and t.errno == 0 and t.arrivals and stayed:
                self.fail("not removed", f"{what} said done, and it is still where it was")
        self.transfers.clear()

    # Judging

    def fail(self, kind, text, job=None):
        self.failures.append((time.time(), kind, text, job))

    def forgives(self, job, reach=0.0):
        """A fault was made while it ran, or so shortly before that the connections were not back yet."""
        start = job["t0"] - reach - 4 - self.promise.timeout
        return any(start <= when <= job["t1"] for when, _ in self.faults)

    def told_by(self, start, wait):
        """What happened before is known by then."""
        return start - wait - self.slack()

    def known_from(self, start, wait):
        """As told_by, of what is there: whatever was there before the mount was is known to it."""
        return max(self.told_by(start, wait), self.mounting)

    def changed_around(self, path, start, end):
        """The folder, or one above it, came, went or was numbered anew."""
        parts = path.split("/")
        for i in range(1, len(parts) + 1):
            for folder in self.folders.get("/".join(parts[:i]), []):
                for low, high in (folder.born, folder.gone):
                    if low <= end and high >= start:
                        return True
        return False

    def judge(self, job):
        """Notes what cannot be true of what it saw."""
        self.checked[job["do"]] = self.checked.get(job["do"], 0) + 1
        limit = self.promise.timeout + 1 + 1.0 + self.slack()
        if job.get("slowest", 0) > limit:
            self.fail("late call", f"{job['slow_call']} took {job['slowest']:.1f} s, more than {limit:.1f}", job)
        if job["do"] in CHANGES:
            name = job["do"] + (" " + errno.errorcode.get(job["errno"], "?") if job["errno"] else "")
            self.outcomes[name] = self.outcomes.get(name, 0) + 1
        getattr(self, "_judge_" + job["do"])(job)

    def _error(self, job, where, sure):
        """sure: it was there all the time, and had been for long enough to be known."""
        code = job["errno"]
        name = errno.errorcode.get(code, str(code))
        if self.forgives(job):
            return
        if code in (errno.ENOENT, errno.ESTALE):
            if sure:
                self.fail("missing", f"{where}: {name}, and it was there", job)
        else:
            self.fail("error", f"{where}: {name}, and nothing was wrong", job)

    def _file(self, job):
        path, _, name = job["where"].rpartition("/")
        uid = int(name)
        seen_from = self.told_by(job["t0"], self.promise.by_name)
        stays = self.stays.get(path, {}).get(uid, [])
        given = self.given.get(path, {}).get(name, [])
        sure = [s for s in stays if s.sure(self.known_from(job["t0"], self.promise.by_name), job["t1"])]
        if sure and self.changed_around(path, self.told_by(job["t0"], self.promise.names), job["t1"]):
            sure = []
        return [s for s in given + stays if s.possible(seen_from, job["t1"])], sure[0] if sure else None

    @staticmethod
    def _empty(possible):
        """A message without octets looks like one that the server cannot give: that may be said."""
        return bool(possible) and possible[-1].size == 0

    @staticmethod
    def _fits(stay, size):
        """What may not be empty is shown with an octet, so that reading it fails; what is written is not whole yet."""
        return stay.lies or (stay.uid == 0 and size <= stay.size) or size == stay.size or (stay.size == 0 and size == 1)

    def _read(self, job):
        possible, sure = self._file(job)
        if job["errno"]:
            # A mapping does not say which error it was.
            if job["errno"] in (errno.EIO, errno.ESTALE) and possible and possible[-1].lies and possible[-1].eio < 3:
                possible[-1].eio += 1
            elif job["errno"] == errno.EIO and (self._empty(possible) or not sure):
                # The mailbox may have been deleted a moment ago, which a server may refuse in any words.
                pass
            elif job["do"] == "mapped" and job["errno"] == errno.ESTALE and self._empty(possible):
                pass
            else:
                self._error(job, job["where"], sure)
        for index, piece in enumerate(job.get("seen", [])):
            self._piece(job, piece, possible, index)

    def _piece(self, job, piece, possible, index):
        where = f"{job['where']} from {piece['offset']}"
        if piece["bad"] is not None:
            self.fail("wrong octets", f"{where}: at {piece['bad']} {bytes.fromhex(piece['hex'])!r}", job)
            return
        if piece["n"] == 0 and job["errno"]:
            return
        fitting = [s for s in possible if piece["id"] in (s.identity, None)]
        if not fitting:
            self.fail("wrong mail", f"{where}: message {piece['id']}, {piece['n']} octets; it may be " +
                      (", ".join(f"{s.identity} of {s.size}" for s in possible) or "none"), job)
            return
        answers = set()
        for stay in fitting:
            size = stay.size
            if "asked" in job:
                wanted = max(0, min(job["asked"][index], size - piece["offset"]))
            else:
                wanted = size - piece["offset"]
            if "raw" in piece:
                octets = bodies.make(stay.identity, size)[piece["offset"]:piece["offset"] + piece["n"]]
                if octets.hex() != piece["raw"]:
                    continue
            answers.add(wanted)
            if piece["n"] == wanted or ((job["errno"] or stay.uid == 0) and piece["n"] <= wanted):
                return
            # Mapped, or asked for by an fstat: the size that was stated before it was found out.
            if stay.lies and job["do"] == "mapped":
                return
        kind = "cut" if not answers or piece["n"] < max(answers) else "too long"
        self.fail(kind, f"{where}: {piece['n']} octets of {sorted(answers)}", job)

    _judge_cat = _judge_pread = _judge_mapped = _read

    def _judge_stat(self, job):
        if job["kind"] == "folder":
            path = job["where"]
            seen_from = self.told_by(job["t0"], self.promise.names)
            sure = any(f.sure(self.known_from(job["t0"], self.promise.names), job["t1"])
                       for f in self.folders.get(path, [])) or not path
            if job["errno"]:
                self._error(job, path, sure and not self.changed_around(path, seen_from, job["t1"]))
            return
        possible, sure = self._file(job)
        if job["errno"]:
            self._error(job, job["where"], sure)
        elif not possible and not self.forgives(job, 30):
            self.fail("ghost", f"{job['where']} has a size, and is not there", job)
        elif possible and not any(self._fits(s, job["size"]) for s in possible):
            self.fail("wrong size", f"{job['where']}: {job['size']}, not {[s.size for s in possible]}", job)

    def _judge_statvfs(self, job):
        if job["errno"]:
            self.fail("error", f"statvfs: {os.strerror(job['errno'])}", job)

    def _judge_rm(self, job):
        """What the server has is looked at by the one who told it to."""
        stay = job["stay"]
        if job["errno"] == 0:
            if stay.gone == NEVER or stay.gone[0] > job["t1"]:
                self.fail("not removed", f"rm {job['where']} said done, and the message is there", job)
            return
        if self.forgives(job) or self.may_refuse or (job["errno"] == errno.EPERM and not self.removes):
            return
        seen_from = self.told_by(job["t0"], self.promise.by_name)
        # From a folder that is new here nothing can be removed until it was listed.
        new = job["errno"] == errno.ESTALE and self.changed_around(stay.path, self.mounted - 1, job["t1"])
        around = self.changed_around(stay.path, self.told_by(job["t0"], self.promise.names), job["t1"])
        if stay.sure(seen_from, job["t1"]) and not new and not around:
            self.fail("rm refused", f"rm {job['where']}: {errno.errorcode.get(job['errno'])}, and it was there", job)

    def _judge_change(self, job):
        """What comes of it is looked at where it happens. Where nothing was wrong and nothing else went on there it
        must not fail as if."""
        if job["errno"] in (errno.EIO, errno.ETIMEDOUT, errno.ENETDOWN) and not self.forgives(job) and not any(
                self.changed_around(path, self.told_by(job["t0"], self.promise.names), job["t1"]) for path in job["around"]):
            self.fail("error", f"{job['do']} {job['where']}: {errno.errorcode[job['errno']]}, and nothing was wrong", job)

    _judge_mv = _judge_cp = _judge_copy = _judge_mkdir = _judge_rmdir = _judge_mvdir = _judge_change

    def _judge_setfattr(self, job):
        if job["errno"] in (errno.ENOENT, errno.ESTALE):
            self._error(job, job["where"], self._file(job)[1])
        else:
            self._judge_change(job)

    def _judge_getfattr(self, job):
        """At rest, of what is there. Of what hung nothing is known."""
        if job["errno"]:
            self._error(job, job["where"], not self.changed_around(job["stay"].path, self.told_by(
                job["t0"], self.promise.names), job["t1"]))
        elif "flags" in job and keywords(job["flags"].split()) != job["stay"].keywords:
            self.fail("flags", f"{job['where']}: {job['flags']}, and a job has set {job['stay'].keywords}", job)

    def _judge_ls(self, job):
        self._listing(job, job["where"])

    def _judge_lsl(self, job):
        self._listing(job, job["where"])
        for name, size in job.get("sizes", {}).items():
            stays = self.stays.get(job["where"], {}).get(int(name), []) if name.isdigit() else []
            stays = stays + self.given.get(job["where"], {}).get(name, [])
            possible = [s for s in stays if s.possible(self.told_by(job["t0"], self.promise.by_name), job["t1"])]
            if size >= 0 and possible and not any(self._fits(s, size) for s in possible):
                self.fail("wrong size", f"{job['where']}/{name}: {size}, not {[s.size for s in possible]}", job)

    def _judge_find(self, job):
        for path, one in job.get("tree", {}).items():
            one = {**one, "errno": one.get("errno", 0), "do": "find"}
            self._listing(one, path)

    def _listing(self, job, path):
        start, end = job["t0"], job["t1"]
        names_from = self.told_by(start, self.promise.names)
        was = self._stood(path, start, end, self.promise.names)
        around = bool(path) and self.changed_around(path, names_from, end)
        if job["errno"]:
            # A name that is shown still, and cannot be opened.
            if not (around and job["errno"] == errno.EIO):
                self._error(job, path or "the root", was and not around)
            return
        if len(set(job["names"])) != len(job["names"]):
            twice = sorted({n for n in job["names"] if job["names"].count(n) > 1})
            self.fail("twice", f"{path}: {twice[:20]}", job)
        self._listed_folders(job, path, names_from, around)
        settled = self.promise.settled
        if path and self._stood(path, start, end, settled) and not self.changed_around(path, self.told_by(start, settled), end):
            self._listed_messages(job, path)

    def _stood(self, path, start, end, wait):
        """The folder was there, and had been for so long."""
        return not path or any(f.sure(self.known_from(start, wait), end) for f in self.folders.get(path, []))

    def _listed_folders(self, job, path, names_from, around):
        prefix = path + "/" if path else ""
        shown = {name for name, kind in zip(job["names"], job["kinds"]) if kind == "d"}
        forgiven = self.forgives(job, 30)
        known = {}
        for below, stays in self.folders.items():
            if below.startswith(prefix) and "/" not in below[len(prefix):]:
                known[below[len(prefix):]] = stays
        for name, stays in known.items():
            sure = any(f.sure(self.known_from(job["t0"], self.promise.names), job["t1"]) for f in stays)
            if sure and name not in shown and not around and not forgiven and prefix + name not in self.moving:
                self.fail("folder left out", f"{prefix}{name}", job)
        for name in shown:
            # Another mount sees how one removes a folder.
            if not any(f.possible(names_from, job["t1"]) for f in known.get(name, [])) and HIDDEN not in name and \
                    not forgiven and not around and prefix + name not in self.moving:
                self.fail("folder invented", f"{prefix}{name}", job)

    def _listed_messages(self, job, path):
        start, end = job["t0"], job["t1"]
        seen_from = self.told_by(start, self.promise.listed)
        forgiven = self.forgives(job, 30)
        shown = {name for name, kind in zip(job["names"], job["kinds"]) if kind == "f"}
        stays = self.stays.get(path, {})
        known_from = self.known_from(start, self.promise.listed)
        sure = {str(uid) for uid, each in stays.items() if any(s.sure(known_from, end) for s in each)}
        missing = sorted(sure - shown, key=int)
        if missing and not (forgiven and self._late(path, missing, start)):
            self.fail("left out", f"{path}: {len(missing)} of {len(sure)}: {' '.join(missing[:20])}", job)
        possible = {str(uid) for uid, each in stays.items() if any(s.possible(seen_from, end) for s in each)}
        extra = shown - possible - {name for name, given in self.given.get(path, {}).items()
                                    if given[-1].possible(start, end)}
        if extra:
            never = [n for n in extra if not n.isdigit() or int(n) not in stays]
            if never or not forgiven:
                self.fail("invented", f"{path}: {sorted(extra)[:20]}" + (", never there" if never else ", no more"), job)

    def _late(self, path, missing, start):
        """After a fault news may be late. What was there half a minute before it is no news."""
        return all(any(s.born[1] > start - 30 - self.promise.listed for s in self.stays[path][int(uid)])
                   for uid in missing)
