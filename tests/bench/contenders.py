# SPDX-License-Identifier: MIT
"""Who is measured by scripts/bench, each with the same operations on the same mail.

Every class has run(number), which adds one measurement of each operation to the results.
"""
import filecmp
import os
import shutil

from lab import BenchError, Floor, Mount

BOX, FEW, REMOVE = "Bench", "Few", "Remove"
ROWS = "UID RFC822.SIZE INTERNALDATE"
BODIES = "UID BODY.PEEK[]"
FEW_COUNT = 500  # all that one has the patience for
REMOVE_COUNT = 100


class Local:
    """The reference on the local disk."""

    def __init__(self, lab, results):
        self.lab, self.results = lab, results
        self.box = os.path.join(lab.local, BOX)

    def run(self, number):
        add = self.results.add
        for key in ("ls-cold", "ls-warm", "ls-remount"):
            add("local", key, self.lab.timed("ls", "-l", self.box)[0])
        add("local", "mount", self.lab.timed("ls", self.lab.local)[0])
        add("local", "find-cold", self.lab.timed("find", self.box, "-size", "+100k")[0])
        for key in ("grep-cold", "grep-warm", "grep-remount"):
            add("local", key, self.lab.timed("grep", "-r", "invoice", self.box)[0])
        target = self.lab.fresh("out")
        for key in ("rsync-cold", "rsync-again"):
            add("local", key, self.lab.timed("rsync", "-a", self.box + "/", target)[0])
        shutil.rmtree(target)
        add("local", "large-cold", self.lab.timed("cat", os.path.join(self.box, self.lab.large))[0])
        first = number * REMOVE_COUNT + 1
        doomed = (os.path.join(self.lab.local, REMOVE, str(first + i)) for i in range(REMOVE_COUNT))
        add("local", "rm", self.lab.timed("rm", *doomed)[0])


class FloorRuns:
    """The least that a FUSE filesystem takes. cold: the kernel knows nothing of the mount yet."""

    def __init__(self, lab, results):
        self.lab, self.results = lab, results

    def measure(self, keys, *command):
        """Runs a command for each of the keys on one fresh mount, with the mailbox's path for BOX in it."""
        with Floor(self.lab) as mount:
            box = os.path.join(mount.path, BOX)
            for key in keys:
                seconds, _ = mount.timed(*(word.replace("BOX", box) for word in command))
                self.results.add("floor", key, seconds)

    def run(self, _):
        self.measure(("ls-cold", "ls-warm"), "ls", "-l", "BOX")
        self.measure(("ls-remount",), "ls", "-l", "BOX")
        self.measure(("find-cold",), "find", "BOX", "-size", "+100k")
        self.measure(("grep-cold", "grep-warm"), "grep", "-r", "invoice", "BOX")
        self.measure(("grep-remount",), "grep", "-r", "invoice", "BOX")
        target = self.lab.fresh("out")
        self.measure(("rsync-cold",), "rsync", "-a", "BOX/", target)
        self.measure(("rsync-again",), "rsync", "-a", "BOX/", target)
        shutil.rmtree(target)
        self.measure(("large-cold",), "cat", f"BOX/{self.lab.large}")


class Raw:
    def __init__(self, lab, results):
        self.lab, self.results = lab, results

    def run(self, _):
        for key, items, uids in (("rows", ROWS, "1:*"), ("bodies", BODIES, "1:*"),
                                 ("large", BODIES, self.lab.large)):
            self.lab.proxy.ask("reset")
            row = self.lab.raw([BOX], items, uids)
            self.results.add("raw", key, row["fetch"], octets=row["octets"], **wire(self.lab))
            self.results.add("raw", "login", row["connect"])


class Mbsync:
    """With FSync no; with COMPRESS or without, whichever was faster in the first run."""

    def __init__(self, lab, results):
        self.lab, self.results = lab, results
        self.choices = [False, True]

    def run(self, _):
        if len(self.choices) > 1:
            tried = {compress: self.pull(compress) for compress in self.choices}
            for compress, (first, _) in tried.items():
                self.results.add("mbsync", "pull-deflate" if compress else "pull-plain", **first)
            self.choices = [min(tried, key=lambda compress: tried[compress][0]["seconds"])]
            both = tried[self.choices[0]]
        else:
            both = self.pull(self.choices[0])
        self.results.add("mbsync", "pull", **both[0])
        self.results.add("mbsync", "again", **both[1])

    def pull(self, compress):
        """(first synchronisation, one without changes)"""
        target = self.lab.fresh("mbsync")
        config = self.lab.mbsync_config(BOX, target, compress)
        both = []
        for _ in range(2):
            self.lab.proxy.ask("reset")
            both.append({"seconds": self.lab.mbsync(config), **wire(self.lab)})
        names = os.listdir(os.path.join(target, BOX, "new")) + os.listdir(os.path.join(target, BOX, "cur"))
        if len(names) != self.lab.messages:
            raise BenchError(f"mbsync brought {len(names)} messages")
        shutil.rmtree(target)
        return both


class Offlineimap:
    """A part of the mailbox, since it takes a round trip for each message."""

    def __init__(self, lab, results):
        self.lab, self.results = lab, results

    def run(self, _):
        target = self.lab.fresh("offlineimap")
        config = self.lab.offlineimap_config(FEW, target)
        self.lab.proxy.ask("reset")
        seconds, _ = self.lab.timed("offlineimap", "-o", "-c", config)
        self.results.add("offlineimap", "few", seconds, **wire(self.lab))
        found = sum(len(os.listdir(os.path.join(target, "mail", FEW, name))) for name in ("new", "cur"))
        if found != FEW_COUNT:
            raise BenchError(f"offlineimap brought {found} messages")
        shutil.rmtree(target)


class Imapfs:
    """As its users run it: compress= is not given."""

    def __init__(self, lab, results):
        self.lab, self.results = lab, results
        self.reference = os.path.join(lab.local, BOX)
        self.checked = False

    def scenarios(self):
        return (("imapfs: listing", self.listing), ("imapfs: find", self.find), ("imapfs: grep", self.grep),
                ("imapfs: rsync", self.rsync), ("imapfs: a few", self.few), ("imapfs: large file", self.large),
                ("imapfs: rm", self.remove))

    def measure(self, mount, key, *command):
        return measure(self.lab, self.results, mount, key, *command)

    def list_box(self, mount, key):
        lines = self.measure(mount, key, "ls", "-l", os.path.join(mount.path, BOX)).lines()
        if len(lines) != self.lab.messages + 1:
            raise BenchError(f"ls -l shows {len(lines) - 1} of {self.lab.messages} messages")

    def listing(self, _):
        self.lab.proxy.ask("reset")
        with Mount(self.lab) as mount:
            seconds, _ = mount.timed("ls", mount.path)
            self.results.add("imapfs", "mount", mount.seconds + seconds, memory=mount.memory(),
                             cpu=mount.cpu(), **wire(self.lab))
            self.list_box(mount, "ls-cold")
            self.list_box(mount, "ls-warm")
        with Mount(self.lab, mount.cache) as again:
            self.list_box(again, "ls-remount")
        shutil.rmtree(mount.cache)

    def find(self, _):
        with Mount(self.lab) as mount:
            self.measure(mount, "find-cold", "find", os.path.join(mount.path, BOX), "-size", "+100k")
        shutil.rmtree(mount.cache)

    def grep_box(self, mount, key):
        box = os.path.join(mount.path, BOX)
        found = self.measure(mount, key, "grep", "-r", "invoice", box).lines()
        expected = self.lab.timed("grep", "-r", "invoice", self.reference)[1].lines()
        if sorted(line[len(box):] for line in found) != \
                sorted(line[len(self.reference):] for line in expected):
            raise BenchError("grep -r found other lines than in the local copy")

    def grep(self, _):
        with Mount(self.lab) as mount:
            self.grep_box(mount, "grep-cold")
            self.grep_box(mount, "grep-warm")
        with Mount(self.lab, mount.cache) as again:
            self.grep_box(again, "grep-remount")
        shutil.rmtree(mount.cache)

    def rsync(self, _):
        target = self.lab.fresh("out")
        with Mount(self.lab) as mount:
            self.measure(mount, "rsync-cold", "rsync", "-a", os.path.join(mount.path, BOX) + "/", target)
        self.check(target)
        with Mount(self.lab, mount.cache) as again:
            lines = self.measure(again, "rsync-again", "rsync", "-ai", os.path.join(again.path, BOX) + "/",
                                 target).lines()
        if [line for line in lines if line.startswith(b">")]:
            raise BenchError("a second rsync -a transferred files again")
        shutil.rmtree(mount.cache)
        shutil.rmtree(target)

    def check(self, target):
        """Compares every byte, once."""
        names = sorted(os.listdir(self.reference))
        if sorted(os.listdir(target)) != names:
            raise BenchError("rsync -a brought other files than there are messages")
        if self.checked:
            return
        _, mismatch, errors = filecmp.cmpfiles(self.reference, target, names, shallow=False)
        if mismatch or errors:
            raise BenchError(f"rsync -a: other bytes in {(mismatch + errors)[:5]}")
        self.checked = True

    def few(self, _):
        target = self.lab.fresh("out")
        with Mount(self.lab) as mount:
            self.measure(mount, "few", "rsync", "-a", os.path.join(mount.path, FEW) + "/", target)
        shutil.rmtree(mount.cache)
        shutil.rmtree(target)

    def large(self, _):
        # Its mailbox was listed, as that of the raw FETCH is selected.
        with Mount(self.lab) as mount:
            mount.timed("ls", os.path.join(mount.path, BOX))
            self.measure(mount, "large-cold", "cat", os.path.join(mount.path, BOX, self.lab.large))
        shutil.rmtree(mount.cache)

    def remove(self, _):
        with Mount(self.lab) as mount:
            box = os.path.join(mount.path, REMOVE)
            mount.timed("ls", "-l", box)
            doomed = sorted(os.listdir(box), key=int)[:REMOVE_COUNT]
            self.measure(mount, "rm", "rm", *(os.path.join(box, name) for name in doomed))
            if set(doomed) & set(os.listdir(box)):
                raise BenchError("rm left files")
        shutil.rmtree(mount.cache)


def measure(lab, results, mount, key, *command):
    """Runs a command on a mount of imapfs and notes what it cost."""
    lab.proxy.ask("reset")
    cpu = mount.cpu()
    seconds, output = mount.timed(*command)
    results.add("imapfs", key, seconds, memory=mount.memory(), cpu=mount.cpu() - cpu, **wire(lab))
    return output


def wire(lab):
    stats = lab.proxy.stats()
    return {"received": stats["to_client"], "sent": stats["to_server"],
            "round_trips": stats["round_trips"], "connections": stats["connections"]}
