# SPDX-License-Identifier: MIT
"""scripts/bench --changes: what it costs to learn what others did to a large mailbox.

A sync is a mount with the cache of an earlier one and the first `ls` of the mailbox, logins and all, beside
a run of mbsync after the same changes. Visible is the time from the end of a delivery until the new name
can be looked up in a mount that is otherwise idle.
"""
import os
import random
import shutil
import statistics
import time

import mailgen
from lab import BenchError, Mount, log

BOX, VISIBLE = "Changes", "Visible"
SIZE = 600
CHANGES = (0, 1, 100)
DELIVERIES = 10
VISIBLE_SECONDS = 30
SERVERS = (("QRESYNC", ()), ("no CONDSTORE", ("CONDSTORE", "QRESYNC")),
           ("nor ESEARCH", ("CONDSTORE", "QRESYNC", "ESEARCH")))
WATCHERS = (("NOTIFY", ()), ("IDLE", ("NOTIFY",)))


def change(server, count):
    """Half of them deliveries, half expunges from all over the mailbox; one alone is an expunge."""
    gone = random.Random(count).sample(server.uids(BOX), (count + 1) // 2)
    if gone:
        server.expunge(BOX, gone)
    new = mailgen.messages(count // 2, mailbox=BOX, size=SIZE, seed=count + 2)
    with server.client() as client:
        client.append(BOX, list(new))


def measured(lab, act):
    """{seconds, received, sent, round_trips} of act()."""
    lab.proxy.ask("reset")
    start = time.perf_counter()
    act()
    stats = lab.proxy.stats()
    return {"seconds": time.perf_counter() - start, "received": stats["to_client"],
            "sent": stats["to_server"], "round_trips": stats["round_trips"]}


def list_box(mount, wanted):
    if len(os.listdir(os.path.join(mount.path, BOX))) != wanted:
        raise BenchError("a listing has other messages than the server")


class Sync:
    """A mailbox that imapfs and mbsync have seen, and how each follows it."""

    def __init__(self, lab, results, contenders):
        self.lab, self.results, self.contenders = lab, results, contenders
        self.cache = self.config = None

    def imapfs(self):
        wanted = len(self.lab.server.uids(BOX))
        with Mount(self.lab, self.cache) as mount:
            list_box(mount, wanted)
        self.cache = mount.cache

    def mbsync(self):
        self.lab.mbsync(self.config)

    def first(self, count):
        lab, results = self.lab, self.results
        if "mbsync" in self.contenders:
            log(f"mbsync: the first synchronisation of {count} messages")
            self.config = lab.mbsync_config(BOX, lab.fresh("mbsync"), compress=True)
            results.add("mbsync", "changes-first", **measured(lab, self.mbsync))
        if "imapfs" in self.contenders:
            log("imapfs: the first listing")
            results.add("imapfs", "changes-first", **measured(lab, self.imapfs))

    def run(self):
        for name, hide in SERVERS:
            self.lab.server.restart(hide=hide)
            for count in CHANGES:
                log(f"{count} changes, {name}")
                change(self.lab.server, count)
                key = f"changes-{count}-{name}"
                if "imapfs" in self.contenders:
                    self.results.add("imapfs", key, **measured(self.lab, self.imapfs))
                if "mbsync" in self.contenders:
                    self.results.add("mbsync", key, **measured(self.lab, self.mbsync))


def time_to_see(lab, name):
    """Seconds from a delivery until its name is there."""
    server = lab.server
    with Mount(lab) as mount:
        box = os.path.join(mount.path, VISIBLE)
        os.listdir(box)
        with open(os.path.join(mount.path, ".imapfs", "status"), encoding="utf-8") as source:
            source.read()
        end = time.monotonic() + VISIBLE_SECONDS
        while not watched(mount, name):
            if time.monotonic() > end:
                raise BenchError(f"{name} does not come about")
            time.sleep(0.05)
        seconds = []
        for mail in mailgen.messages(DELIVERIES, mailbox=VISIBLE, size=SIZE):
            path = os.path.join(box, str(server.deliver(VISIBLE, mail.body)))
            start = time.perf_counter()
            while not os.path.lexists(path):
                if time.perf_counter() - start > VISIBLE_SECONDS:
                    raise BenchError("new mail does not show")
                time.sleep(0.001)
            seconds.append(time.perf_counter() - start)
    shutil.rmtree(mount.cache)
    return seconds


def watched(mount, name):
    with open(os.path.join(mount.path, ".imapfs", "status"), encoding="utf-8") as source:
        return f"watching: {name}\n" in source.read()


def bench(lab, results, count, contenders):
    log(f"loading {count} messages")
    lab.server.load_stream(BOX, mailgen.messages(count, mailbox=BOX, size=SIZE))
    lab.raw([BOX], "UID RFC822.SIZE INTERNALDATE", direct=True)
    sync = Sync(lab, results, contenders)
    sync.first(count)
    sync.run()
    if "imapfs" in contenders:
        lab.server.create(VISIBLE)
        for name, hide in WATCHERS:
            log(f"deliveries, {name}")
            lab.server.restart(hide=hide)
            for seconds in time_to_see(lab, name):
                results.add("imapfs", f"visible-{name}", seconds)


def cells(results, who, key):
    seconds, received, sent, trips = (results.median(who, key, field)
                                      for field in ("seconds", "received", "sent", "round_trips"))
    if seconds is None:
        return ["", "", "", ""]
    return [f"{seconds:.2f}", f"{received / 1e3:.1f}", f"{sent / 1e3:.1f}", f"{trips:.0f}"]


def report(results, count, print_table):
    units = ("s", "kB in", "kB out", "round trips")
    rows = [["sync"] + [f"{who} {unit}" for who in ("imapfs", "mbsync") for unit in units]]
    keys = [("the first", "changes-first")]
    keys += [(f"{n} changes, {name}", f"changes-{n}-{name}") for name, _ in SERVERS for n in CHANGES]
    for title, key in keys:
        rows.append([title] + cells(results, "imapfs", key) + cells(results, "mbsync", key))
    print(f"\n{count} messages, a sync after changes:\n")
    print_table(rows)
    for name, _ in WATCHERS:
        seconds = [run["seconds"] for run in results.found.get("imapfs", {}).get(f"visible-{name}", ())]
        if seconds:
            print(f"From delivery to visible, {name}: median {statistics.median(seconds):.2f} s, "
                  f"at most {max(seconds):.2f} s ({len(seconds)} deliveries)")
