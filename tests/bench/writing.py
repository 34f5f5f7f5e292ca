# SPDX-License-Identifier: MIT
"""scripts/bench's part "writing": what it costs to change mail: rm, mv, cp, mkdir, setfattr.

raw: what one client needs for the same set, UID MOVE, or UID STORE and UID EXPUNGE, without the login. A
change shows when its program ends, and is done when `imapfs --sync` has returned; both are measured.
"""
import glob
import os
import shutil
import time

import imapraw
import mailgen
from contenders import wire
from lab import BenchError, Lab, Mount
from results import cell, print_table

SIZE = 600
COPIED, FLAGGED, PUT, WRITERS = 100, 1000, 80, 8
FLAGS = "user.imap.flags"
# (key, title)
OPERATIONS = (("mv", "`mv` of all"), ("rm", "`rm` of all"),
              ("cp", f"`cp` of {COPIED} into another mailbox"),
              ("put-1", f"`cp` of {PUT} local files, one process"),
              ("put-8", f"`cp` of {PUT} local files, {WRITERS} processes"),
              ("setxattr", f"setxattr of {FLAGGED}, one process"),
              ("setfattr", f"`setfattr` of {FLAGGED}, a process each"), ("mkdir", "`mkdir`"),
              ("grep", "`grep -r`, warm"), ("grep-ro", "`grep -r`, warm, mounted with -o ro"))


def names(*words):
    return [f"Writing{word}" for word in words]


class Writing:
    """Each run has mailboxes of its own, since what it moves and removes is gone then."""

    def __init__(self, lab, results, count):
        self.lab, self.results, self.count = lab, results, count
        self.files = self.lab.fresh("files")
        for number, mail in enumerate(mailgen.messages(PUT, size=SIZE, seed=9)):
            with open(os.path.join(self.files, f"{number:02}.eml"), "wb") as out:
                out.write(mail.body)

    def load(self, box):
        self.lab.server.load_stream(box, mailgen.messages(self.count, mailbox=box, size=SIZE))
        self.lab.raw([box], "UID RFC822.SIZE INTERNALDATE", direct=True)

    def measure(self, who, key, act, mount=None):
        """act() returns seconds."""
        lab = self.lab
        lab.proxy.ask("reset")
        cpu = mount.cpu() if mount else 0
        more = {"seconds": act(), **wire(lab)}
        if mount:
            more["cpu"] = mount.cpu() - cpu
            more["done"] = more["seconds"] + mount.timed(lab.program("src/imapfs"), "--sync", mount.path)[0]
        self.results.add(who, f"write-{key}", **more)

    # One raw client

    def raw(self, number):
        server, every = self.lab.server, range(1, self.count + 1)
        moved, to, removed = names(f"RawMoved{number}", f"RawTo{number}", f"RawRemoved{number}")
        self.load(moved)
        self.load(removed)
        server.create(to)
        with imapraw.Connection("localhost", self.lab.proxy.port, server.ca_file) as client:
            client.login(server.user, server.password)
            client.select(moved)
            self.measure("raw", "mv", lambda: clocked(client.move, every, to))
            client.select(removed)
            self.measure("raw", "rm", lambda: clocked(remove, client, every))

    # imapfs

    def imapfs(self, number):
        """What is moved is read before, and removed where it has gone."""
        box, *targets = names(*(f"{word}{number}" for word in ("Box", "To", "Copies", "Put", "Together")))
        self.load(box)
        for name in targets:
            self.lab.server.create(name)
        with Mount(self.lab) as mount:
            mount.timed("grep", "-r", "invoice", os.path.join(mount.path, box))
        with Mount(self.lab, mount.cache, ("ro",)) as again:
            self.grep(again, box, "grep-ro")
        with Mount(self.lab, mount.cache) as again:
            self.grep(again, box, "grep")
            self.change(again, box, *targets)
        shutil.rmtree(mount.cache)

    def grep(self, mount, box, key):
        """Warm: the second time, of which there are three."""
        command = ["grep", "-r", "invoice", os.path.join(mount.path, box)]
        mount.timed(*command)
        seconds = min(mount.timed(*command)[0] for _ in range(3))
        self.results.add("imapfs", f"write-{key}", seconds)

    def change(self, mount, box, to, copies, put, many):
        def shell(key, text):
            self.measure("imapfs", key, lambda: mount.timed("sh", "-ec", f"cd {mount.path}; {text}")[0], mount)

        def listed(name):
            return len(os.listdir(os.path.join(mount.path, name)))
        os.listdir(mount.path)
        for name in (box, to, copies, put, many):
            mount.timed("ls", "-l", os.path.join(mount.path, name))
        # The first one waits for the checks that the listings left, on the same connection.
        mount.timed("mkdir", os.path.join(mount.path, box, "First"))
        shell("mkdir", f"mkdir {box}/New")
        some = " ".join(f"{box}/{uid}" for uid in range(1, COPIED + 1))
        shell("cp", f"cp {some} {copies}/")
        if listed(copies) != COPIED:
            raise BenchError("cp lost or doubled messages")
        shell("put-1", f"cp {self.files}/*.eml {put}/")
        shell("put-8", together(self.files, f"{many}/"))
        if (listed(put), listed(many)) != (PUT, PUT):
            raise BenchError("cp of files lost or doubled messages")
        paths = [os.path.join(mount.path, box, str(uid)) for uid in range(1, FLAGGED + 1)]
        self.measure("imapfs", "setxattr", lambda: clocked(set_flags, paths), mount)
        shell("setfattr", f"for uid in $(seq {FLAGGED}); do setfattr -n {FLAGS} -v '\\Answered' {box}/$uid; done")
        shell("mv", f"mv {box}/[0-9]* {to}/")
        if listed(to) != self.count or listed(box) != 2:
            raise BenchError("mv lost messages")
        shell("rm", f"rm {to}/*")
        if listed(to) != 0:
            raise BenchError("rm left messages")


def clocked(act, *arguments):
    start = time.perf_counter()
    act(*arguments)
    return time.perf_counter() - start


def remove(client, uids):
    client.store(uids, "+", ["\\Deleted"])
    client.uid_expunge(uids)


def set_flags(paths):
    for path in paths:
        os.setxattr(path, FLAGS, b"\\Flagged")


def together(files, target):
    """A shell's command that copies the files by several processes; it fails if one does."""
    shares = [sorted(glob.glob(f"{files}/*.eml"))[i::WRITERS] for i in range(WRITERS)]
    started = " ".join(f"cp {' '.join(share)} {target} & p{i}=$!;" for i, share in enumerate(shares))
    return f"{started} {'; '.join(f'wait $p{i}' for i in range(WRITERS))}"


def bench(results, line, options):
    with Lab(options) as lab:
        writing = Writing(lab, results, options.written)
        lab.proxy.become(line)
        for who in ("raw", "imapfs"):
            if who in options.only:
                results.repeat(options.runs, f"writing: {who}", getattr(writing, who))


def report(results, line, count):
    rows = [["operation", "imapfs s", "until done s", "raw s", "kB out", "round trips", "connections", "CPU s"]]
    for key, title in OPERATIONS:
        def own(field, key=key):
            return results.best("imapfs", f"write-{key}", field)
        sent = own("sent")
        rows.append([title, cell(own("seconds"), 3), cell(own("done"), 3),
                     cell(results.best("raw", f"write-{key}"), 3), cell(sent and sent / 1e3, 1),
                     cell(own("round_trips"), 0), cell(own("connections"), 0), cell(own("cpu"))])
    print(f"\nChanges of a mailbox of {count} messages, round trip {line}, the best of the runs:\n")
    print_table(rows)
