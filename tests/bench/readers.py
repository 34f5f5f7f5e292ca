# SPDX-License-Identifier: MIT
"""scripts/bench's part "readers": one mailbox read by programs that do not go through it in order, and large
messages of which only the beginning is read.

Each reader has a fresh mount and a fresh cache. Where files are given by name, the directory has been listed
before and the time is that of the reading alone.
"""
import os
import random
import shutil

import mailgen
from contenders import measure
from lab import MIB, BenchError, Lab, Mount, log
from results import cell, print_table, ratio

BOX, HEADS = "Readers", "Heads"
SPAN = 300  # messages of the readers of an order
NEWEST = 50
LARGE, LARGE_SIZE = 100, 1200000
BODIES = "UID RFC822.SIZE INTERNALDATE BODY.PEEK[]"
WORD = "invoice"

# Programs that go through all of it. grep's exit status says only whether it found something.
PROGRAMS = (
    ("grep", "`grep -rl`", "grep -rl {word} {box}"),
    ("rg", "`rg -l`, 8 threads", "rg -j8 -l {word} {box}"),
    ("fd", "`fdfind -X grep -l`", "fdfind -t f . {box} -X grep -l {word} || [ $? = 1 ]"),
    ("xargs", "`xargs -P8 -n20 grep -l`", "find {box} -type f | xargs -P8 -n20 grep -l {word} || [ $? = 123 ]"),
)
# Messages one after the other: which of the mailbox, given as a list of all UIDs in order.
ORDERS = (
    ("ascending", f"`cat` of {SPAN}, ascending", lambda uids: uids[-SPAN:]),
    ("descending", f"`cat` of {SPAN}, descending", lambda uids: uids[:-SPAN - 1:-1]),
    ("shuffled", f"`cat` of {SPAN}, shuffled", lambda uids: random.Random(7).sample(uids[-SPAN:], SPAN)),
    ("newest-ascending", f"`cat` of the newest {NEWEST}, ascending", lambda uids: uids[-NEWEST:]),
    ("newest", f"`cat` of the newest {NEWEST}, the newest first", lambda uids: uids[:-NEWEST - 1:-1]),
)
BEGINNINGS = (
    ("mscan", "`mscan ./*`", "mscan ./*"),
    ("head", "`head -c 2000 *`", "head -c 2000 *"),
    ("file", "`file *`", "file *"),
    ("file-64k", "`file -P bytes=65536 *`", "file -P bytes=65536 *"),
    ("subject", "`grep -m1 ^Subject *`", "grep -m1 ^Subject *"),
)
# file reads the first 7 MiB of each, so all of it, and with -P the first and the last 64 KiB; grep reads 96 KiB.
AT_MOST_3_MB = ("mscan", "head", "file")
FIRST = "first-cat"


class Readers:
    def __init__(self, lab, results, count):
        self.lab, self.results = lab, results
        self.uids = range(1, count + 1)

    def load(self):
        self.lab.load(BOX, mailgen.messages(len(self.uids)))
        self.lab.load(HEADS, mailgen.messages(LARGE, size=LARGE_SIZE))
        for box in (BOX, HEADS):
            self.lab.raw([box], BODIES, direct=True)

    def raw(self, _):
        self.results.add("raw", "readers", self.lab.raw([BOX], BODIES)["fetch"])

    def local(self, _):
        for key, _, command in PROGRAMS:
            self.results.add("local", f"read-{key}", self.lab.timed(*self.program(command, self.lab.local))[0])
        for key, _, pick in ORDERS:
            paths = self.paths(self.lab.local, pick)
            self.results.add("local", f"read-{key}", self.lab.timed("cat", *paths)[0])

    @staticmethod
    def program(command, root):
        return "sh", "-c", command.format(box=os.path.join(root, BOX), word=WORD)

    def paths(self, root, pick):
        return [os.path.join(root, BOX, str(uid)) for uid in pick(self.uids)]

    def matches(self, command, root):
        _, output = self.lab.timed(*self.program(command, root))
        return names_in(output)

    # Each of these has a mount of its own.

    def whole(self, key, command):
        def scenario(_):
            with Mount(self.lab) as mount:
                output = measure(self.lab, self.results, mount, f"read-{key}", *self.program(command, mount.path))
                if names_in(output) != self.matches(PROGRAMS[0][2], self.lab.local):
                    raise BenchError(f"{key} found other messages than grep in the local copy")
            shutil.rmtree(mount.cache)
        return scenario

    def order(self, key, pick):
        def scenario(_):
            octets = sum(os.path.getsize(path) for path in self.paths(self.lab.local, pick))
            with Mount(self.lab) as mount:
                mount.timed("ls", os.path.join(mount.path, BOX))
                output = measure(self.lab, self.results, mount, f"read-{key}", "cat", *self.paths(mount.path, pick))
                if os.path.getsize(output.path) != octets:
                    raise BenchError(f"{key}: other octets than in the local copy")
            shutil.rmtree(mount.cache)
        return scenario

    def beginnings(self, key, command):
        def scenario(_):
            with Mount(self.lab) as mount:
                box = os.path.join(mount.path, HEADS)
                output = measure(self.lab, self.results, mount, f"begin-{key}", "sh", "-c", f"cd {box} && {command}")
                if not output.lines():
                    raise BenchError(f"{key} printed nothing")
            shutil.rmtree(mount.cache)
        return scenario

    def first(self, _):
        """Nothing but the mount has happened; the path is known."""
        with Mount(self.lab) as mount:
            measure(self.lab, self.results, mount, FIRST, "cat", os.path.join(mount.path, BOX, str(self.uids[-1])))
        shutil.rmtree(mount.cache)

    def scenarios(self):
        yield FIRST, self.first
        for key, _, pick in ORDERS:
            yield key, self.order(key, pick)
        for key, _, command in BEGINNINGS:
            yield key, self.beginnings(key, command)
        for key, _, command in PROGRAMS:
            yield key, self.whole(key, command)


def names_in(output):
    return sorted(os.path.basename(line) for line in output.lines())


def bench(results, line, options):
    with Lab(options) as lab:
        readers = Readers(lab, results, options.read)
        log(f"loading {options.read} messages, and {LARGE} large ones")
        readers.load()
        lab.proxy.become(line)
        for who in ("local", "raw"):
            if who in options.only:
                results.repeat(options.runs, f"readers: {who}", getattr(readers, who))
        if "imapfs" in options.only:
            for title, scenario in readers.scenarios():
                results.repeat(options.runs, f"readers: imapfs, {title}", scenario)


def report(results, line, count):
    rows = [["reader", "imapfs s", "local s", "/ ascending", "MB in", "kB out", "round trips", "connections",
             "peak MiB", "CPU s"]]
    keys = [(f"read-{key}", title, base) for (key, title, _), base in
            [(entry, "read-grep") for entry in PROGRAMS] + [(entry, ascending(entry[0])) for entry in ORDERS]]
    keys += [(f"begin-{key}", f"{title}, {LARGE} of {LARGE_SIZE / 1e6:.1f} MB", None) for key, title, _ in BEGINNINGS]
    keys.append((FIRST, "the first `cat` after the mount", None))
    for key, title, base in keys:
        def own(field, key=key):
            return results.median("imapfs", key, field)
        rows.append([title, cell(own("seconds")), cell(results.median("local", key), 3),
                     cell(ratio(own("seconds"), base and results.median("imapfs", base))),
                     cell(ratio(own("received"), 1e6)), cell(ratio(own("sent"), 1e3), 1), cell(own("round_trips"), 0),
                     cell(own("connections"), 0), cell(ratio(own("memory"), MIB), 1), cell(own("cpu"))])
    print(f"\nReaders of {count} messages, round trip {line}:\n")
    print_table(rows)
    raw = results.median("raw", "readers")
    if raw:
        print(f"raw FETCH of all of them: {raw:.2f} s")


def ascending(key):
    """What an order is held against."""
    return "read-newest-ascending" if key.startswith("newest") else "read-ascending"
