# SPDX-License-Identifier: MIT
"""scripts/bench's part "views": files that show a mailbox otherwise than as it is, cold, again and after a remount.

What goes through a mailbox is held against `grep -r` of it, each with a fresh mount and a fresh cache.
"""
import os
import shutil

import mailgen
from contenders import measure, wire
from lab import MIB, BenchError, Lab, Mount, log
from results import cell, print_table, ratio

BOX = "Views"
FIELDS = "DATE FROM TO CC SUBJECT MESSAGE-ID IN-REPLY-TO REFERENCES LIST-ID CONTENT-TYPE"
# What an index shows, in one FETCH; and structures.
INDEX = f"UID RFC822.SIZE INTERNALDATE FLAGS BODY.PEEK[HEADER.FIELDS ({FIELDS})]"
STRUCTURES = "UID BODYSTRUCTURE"

# (key, title, the path below the mailbox, what the raw FETCH is, whether it is a directory)
OPERATIONS = (
    ("first", "`cat .index`, and the server has to read the messages", None, "first"),
    ("index", "`cat .index`", ".index", "index"),
    ("jsonl", "`cat .index.jsonl`, then", ".index.jsonl", "structures"),
    ("search", "`ls .search/from:...`, then", ".search/from:anna", None),
    ("body", "`ls .search/body:...`, then", ".search/body:invoice", None),
)

WORD = "invoice"
# (key, title, the command, with {box} for the mailbox's path in the tree of that name); the first is what the
# others are held against.
THROUGH = (
    ("grep", "`grep -r`", "", ("grep", "-r", WORD, "{box}")),
    ("text", "`grep -ri` of `.text`", ".text", ("grep", "-ri", WORD, "{box}")),
    ("headers", "`grep -ri` of `.headers`", ".headers", ("grep", "-ri", WORD, "{box}")),
    # mutt wants a terminal, and a folder that is there.
    ("maildir", "mutt on `.maildir`", ".maildir",
     ("script", "-qec", "mutt -n -F /dev/null -R -f {box} -e 'set quit=yes folder={box}' -e 'push <quit>'", "/dev/null")),
)
COPIED = ("grep", "text", "headers")


class Views:
    def __init__(self, lab, results, count):
        self.lab, self.results, self.count = lab, results, count

    def chill(self):
        """The server forgets what it has kept of headers and structures: as when a mailbox is indexed first."""
        for directory, _, files in os.walk(self.lab.server.mail_directory):
            for name in files:
                if name.startswith("dovecot.index.cache"):
                    os.unlink(os.path.join(directory, name))

    def raw(self, _):
        self.chill()
        self.results.add("raw", "views-first", self.lab.raw([BOX], INDEX)["fetch"])
        self.results.add("raw", "views-index", self.lab.raw([BOX], INDEX)["fetch"])
        self.results.add("raw", "views-structures", self.lab.raw([BOX], STRUCTURES)["fetch"])

    def add(self, key, mount, path):
        self.lab.proxy.ask("reset")
        full = os.path.join(mount.path, BOX, path)
        search = path.startswith(".search")
        seconds, output = mount.timed("ls", full) if search else mount.timed("cat", full)
        if not search and len(output.lines()) != self.count:
            raise BenchError(f"{path} has {len(output.lines())} lines of {self.count}")
        self.results.add("imapfs", key, seconds, memory=mount.memory(), **wire(self.lab))

    def imapfs(self, _):
        self.chill()
        with Mount(self.lab) as mount:
            mount.timed("ls", mount.path)
            self.add("views-first", mount, ".index")
        shutil.rmtree(mount.cache)
        with Mount(self.lab) as mount:
            mount.timed("ls", mount.path)
            for key, _, path, _ in OPERATIONS[1:]:
                self.add(f"views-{key}", mount, path)
            for key, _, path, _ in OPERATIONS[1:]:
                self.add(f"views-{key}-again", mount, path)
        with Mount(self.lab, mount.cache) as again:
            again.timed("ls", again.path)
            for key, _, path, _ in OPERATIONS[1:]:
                self.add(f"views-{key}-remount", again, path)
        shutil.rmtree(mount.cache)

    def through(self, key, tree, command):
        """Cold, warm, and of a local copy of what the tree shows."""
        def scenario(_):
            with Mount(self.lab) as mount:
                mount.timed("ls", mount.path)
                box = os.path.join(mount.path, tree, BOX)
                found = len(measure(self.lab, self.results, mount, f"views-{key}", *words(command, box)).lines())
                if key in COPIED:
                    self.warm(mount, key, command, box, found)
            shutil.rmtree(mount.cache)
        return scenario

    def warm(self, mount, key, command, box, found):
        self.results.add("imapfs", f"views-{key}-again", mount.timed(*words(command, box))[0])
        copy = self.lab.fresh("copy")
        mount.timed("cp", "-r", box, copy)
        seconds, output = self.lab.timed(*words(command, copy))
        if len(output.lines()) != found:
            raise BenchError(f"grep finds {found} lines in {box}, and {len(output.lines())} in a copy")
        self.results.add("local", f"views-{key}-again", seconds)
        shutil.rmtree(copy)


def words(command, box):
    return [word.format(box=box) for word in command]


def bench(results, line, options):
    with Lab(options) as lab:
        log(f"loading {options.viewed} messages to be shown otherwise")
        lab.load(BOX, mailgen.messages(options.viewed))
        for items in (INDEX, STRUCTURES):
            lab.raw([BOX], items, direct=True)
        lab.proxy.become(line)
        views = Views(lab, results, options.viewed)
        if "raw" in options.only:
            results.repeat(options.runs, "views: raw", views.raw)
        if "imapfs" in options.only:
            results.repeat(options.runs, "views: imapfs", views.imapfs)
            for key, _, tree, command in THROUGH:
                results.repeat(options.runs, f"views: imapfs, {key}", views.through(key, tree, command))


def report(results, line, count):
    rows = [["view", "imapfs s", "raw s", "imapfs / raw", "MB in", "kB out", "round trips", "peak MiB"]]
    for suffix, words in (("", ""), ("-again", ", again"), ("-remount", ", after a remount")):
        for key, title, path, key_of_raw in OPERATIONS:
            if suffix and not path:
                continue
            name = f"views-{key}{suffix}"
            seconds = results.median("imapfs", name)
            raw = None if suffix or not key_of_raw else results.median("raw", f"views-{key_of_raw}")
            received, sent = (results.median("imapfs", name, field) for field in ("received", "sent"))
            rows.append([title.removesuffix(", then") + words, cell(seconds, 3), cell(raw), cell(ratio(seconds, raw)),
                         cell(ratio(received, 1e6)), cell(ratio(sent, 1e3), 1),
                         cell(results.median("imapfs", name, "round_trips"), 0),
                         cell(ratio(results.median("imapfs", name, "memory"), MIB), 1)])
    print(f"\nViews of a mailbox of {count} messages, round trip {line}; each after the one before:\n")
    print_table(rows)
    report_through(results, line, count)


def report_through(results, line, count):
    rows = [["through all messages", "imapfs s", "/ grep -r", "again s", "a local copy s", "again / local", "MB in", "kB out",
             "round trips", "peak MiB", "CPU s"]]
    for key, title, _, _ in THROUGH:
        def own(field, key=key):
            return results.median("imapfs", f"views-{key}", field)
        again, local = (results.median(who, f"views-{key}-again") for who in ("imapfs", "local"))
        rows.append([title, cell(own("seconds")), cell(ratio(own("seconds"), results.median("imapfs", "views-grep"))),
                     cell(again), cell(local), cell(ratio(again, local)), cell(ratio(own("received"), 1e6)),
                     cell(ratio(own("sent"), 1e3), 1), cell(own("round_trips"), 0), cell(ratio(own("memory"), MIB), 1),
                     cell(own("cpu"))])
    print(f"\nViews of all of {count} messages, cold, round trip {line}:\n")
    print_table(rows)
