# SPDX-License-Identifier: MIT
"""scripts/bench's part "walk": an account of many small mailboxes, two levels deep, gone through from its root.

raw: EXAMINE and UID FETCH of each mailbox, those of DEPTH mailboxes under way behind each other.
"""
import filecmp
import os
import random
import shutil

import mailgen
from contenders import measure, wire
from lab import MIB, BenchError, Lab, Mount, log
from results import cell, print_table, ratio

EACH = 15  # messages of a mailbox
BRANCH = 20  # mailboxes of a parent, the parent itself included
DEPTH = 16
MEDIAN, SIGMA = 2200, 1.0  # octets of a message, log-normal
ROWS = "UID RFC822.SIZE INTERNALDATE"
BODIES = f"{ROWS} BODY.PEEK[]"
# (key, title, what raw fetches for it)
OPERATIONS = (("find", "`find -type f`", "rows"), ("grep", "`grep -r`", "bodies"),
              ("rsync", "`rsync -a`", "bodies"))


def names(count):
    for i in range(count):
        parent, child = divmod(i, BRANCH)
        yield f"d{parent:02}/f{child:02}" if child else f"d{parent:02}"


def mail(generator, sizes):
    for _ in range(EACH):
        body, date = generator.message(int(sizes.lognormvariate(0, SIGMA) * MEDIAN))
        yield mailgen.Mail("", body, date, generator.flags())


class Walk:
    def __init__(self, lab, results, boxes):
        self.lab, self.results, self.boxes = lab, results, list(boxes)
        self.checked = False

    def load(self):
        generator, sizes = mailgen.Generator(), random.Random(1)
        for name in self.boxes:
            self.lab.load(name, mail(generator, sizes))
        self.lab.raw(self.boxes, BODIES, direct=True)

    def command(self, key, root, target):
        return {"find": ("find", root, "-type", "f"), "grep": ("grep", "-r", "invoice", root),
                "rsync": ("rsync", "-ai", root + "/", target)}[key]

    def local(self, _):
        for key, _, _ in OPERATIONS:
            target = self.lab.fresh("out")
            self.results.add("local", f"walk-{key}",
                             self.lab.timed(*self.command(key, self.lab.local, target))[0])
            shutil.rmtree(target)

    def raw(self, _):
        for key, items, depth in (("rows", ROWS, DEPTH), ("bodies", BODIES, DEPTH), ("bodies-1", BODIES, 1)):
            self.lab.proxy.ask("reset")
            row = self.lab.raw(self.boxes, items, depth=depth)
            self.results.add("raw", f"walk-{key}", row["fetch"], literals=row["literals"], **wire(self.lab))

    def mbsync(self, _):
        target = self.lab.fresh("mbsync")
        config = self.lab.mbsync_config(None, target, compress=True)
        for key in ("walk", "walk-again"):
            self.lab.proxy.ask("reset")
            self.results.add("mbsync", key, self.lab.mbsync(config), **wire(self.lab))
        found = sum(len(files) for path, _, files in os.walk(target) if os.path.basename(path) in ("cur", "new"))
        if found != EACH * len(self.boxes):
            raise BenchError(f"mbsync brought {found} messages")
        shutil.rmtree(target)

    def imapfs(self, key):
        """One command on a fresh cache, and on a second mount with what the first one left there."""
        def scenario(_):
            target = self.lab.fresh("out")
            with Mount(self.lab) as mount:
                self.go(mount, key, f"walk-{key}", target)
            with Mount(self.lab, mount.cache) as again:
                self.go(again, key, f"walk-{key}-again", target)
            shutil.rmtree(mount.cache)
            shutil.rmtree(target)
        return scenario

    def go(self, mount, key, name, target):
        again = name.endswith("again")
        output = measure(self.lab, self.results, mount, name, *self.command(key, mount.path, target))
        self.results.add("imapfs", f"{name}-mount", mount.seconds)
        if key == "find" and len(output.lines()) != EACH * len(self.boxes):
            raise BenchError(f"find shows {len(output.lines())} messages")
        if key == "grep" and found(output, mount.path) != \
                found(self.lab.timed(*self.command(key, self.lab.local, target))[1], self.lab.local):
            raise BenchError("grep -r found other lines than in the local copy")
        if key == "rsync" and again and [line for line in output.lines() if line.startswith(b">")]:
            raise BenchError("a second rsync -a transferred files again")
        if key == "rsync" and not self.checked:
            self.check(target)

    def check(self, target):
        """Compares every octet, once."""
        for box in self.boxes:
            wanted, got = os.path.join(self.lab.local, box), os.path.join(target, box)
            files = [str(uid) for uid in range(1, EACH + 1)]
            same, _, _ = filecmp.cmpfiles(wanted, got, files, shallow=False)
            if same != files:
                raise BenchError(f"rsync -a: other octets in {box}")
        self.checked = True


def found(output, root):
    return sorted(line[len(root):] for line in output.lines())


def bench(results, line, options):
    with Lab(options) as lab:
        walk = Walk(lab, results, names(options.boxes))
        log(f"loading {options.boxes} mailboxes")
        walk.load()
        lab.proxy.become(line)
        for who in ("local", "raw", "mbsync"):
            if who in options.only:
                results.repeat(options.runs, f"walk: {who}", getattr(walk, who))
        if "imapfs" in options.only:
            for key, _, _ in OPERATIONS:
                results.repeat(options.runs, f"walk: imapfs, {key}", walk.imapfs(key))


def report(results, line, count):
    rows = [["operation", "imapfs s", "raw s", "mbsync s", "local s", "imapfs / raw", "mbsync / imapfs", "MB in",
             "kB out", "round trips", "connections", "peak MiB", "CPU s", "mount s"]]
    for suffix, words, key_of_mbsync in (("", ", cold", "walk"), ("-again", ", again after a remount", "walk-again")):
        for key, title, key_of_raw in OPERATIONS:
            name = f"walk-{key}{suffix}"

            def own(field, name=name):
                return results.median("imapfs", name, field)
            raw = None if suffix else results.median("raw", f"walk-{key_of_raw}")
            mbsync = results.median("mbsync", key_of_mbsync)
            rows.append([title + words, cell(own("seconds")), cell(raw), cell(mbsync, 1),
                         cell(results.median("local", f"walk-{key}"), 3), cell(ratio(own("seconds"), raw)),
                         cell(ratio(mbsync, own("seconds")), 1), cell(ratio(own("received"), 1e6)),
                         cell(ratio(own("sent"), 1e3), 1), cell(own("round_trips"), 0), cell(own("connections"), 0),
                         cell(ratio(own("memory"), MIB), 1), cell(own("cpu")),
                         cell(results.median("imapfs", f"{name}-mount"))])
    octets = results.median("raw", "walk-bodies", "literals")
    print(f"\nA walk through {count} mailboxes of {EACH} messages" +
          (f" ({octets / 1e6:.1f} MB)" if octets else "") + f", round trip {line}, raw {DEPTH} deep:\n")
    print_table(rows)
    one = results.median("raw", "walk-bodies-1")
    if one:
        print(f"raw, one mailbox at a time: {one:.1f} s")
