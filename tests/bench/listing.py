# SPDX-License-Identifier: MIT
"""scripts/bench's part "listing": a mailbox of many small messages, listed cold, warm and after a remount."""
import os
import shutil
import time

import mailgen
from contenders import ROWS, wire
from lab import MIB, BenchError, Floor, Mount, log

LIST = "List"
SMALL_SIZE = 600
MEMORY_FIXED, MEMORY_EACH = 32 * MIB, 64  # what the daemon may use: octets, and octets a message


def first_name(directory):
    """Seconds until a reader of the directory has its first name."""
    start = time.perf_counter()
    with os.scandir(directory) as entries:
        next(entries)
    return time.perf_counter() - start


class Listing:
    def __init__(self, lab, results, count):
        self.lab, self.results, self.count = lab, results, count

    def add(self, who, key, mount, **more):
        """One ls -l on a mount."""
        self.lab.proxy.ask("reset")
        seconds, output = mount.timed("ls", "-l", os.path.join(mount.path, LIST))
        if len(output.lines()) != self.count + 1:
            raise BenchError(f"ls -l shows {len(output.lines()) - 1} of {self.count} messages")
        self.results.add(who, key, seconds, memory=mount.memory(), **wire(self.lab), **more)

    def others(self, _):
        self.results.add("raw", "list", self.lab.raw([LIST], ROWS)["fetch"])
        self.results.add("raw", "list-uids", self.lab.raw([LIST], "UID")["fetch"])
        self.results.add("local", "list", self.lab.timed("ls", "-l", os.path.join(self.lab.local, LIST))[0])

    def floor(self, _):
        with Floor(self.lab) as mount:
            self.add("floor", "list", mount)
            self.add("floor", "list-warm", mount)

    def imapfs(self, _):
        with Mount(self.lab) as mount:
            mount.timed("ls", mount.path)
            self.add("imapfs", "list", mount, before=mount.memory())
            self.add("imapfs", "list-warm", mount)
        with Mount(self.lab, mount.cache) as again:
            self.results.add("imapfs", "list-start", again.seconds)
            self.add("imapfs", "list-remount", again)
        shutil.rmtree(mount.cache)
        with Mount(self.lab) as mount:
            self.results.add("imapfs", "list-first", first_name(os.path.join(mount.path, LIST)))
        shutil.rmtree(mount.cache)


def bench(lab, results, count, runs, contenders):
    log(f"loading {count} small messages")
    lab.load(LIST, mailgen.messages(count, size=SMALL_SIZE))
    lab.raw([LIST], ROWS, direct=True)
    listing = Listing(lab, results, count)
    results.repeat(runs, "listing: raw and local", listing.others)
    if "floor" in contenders:
        results.repeat(runs, "listing: floor", listing.floor)
    if "imapfs" in contenders:
        results.repeat(runs, "listing: imapfs", listing.imapfs)


def report(results, count):
    def number(who, what):
        value = results.median(who, what)
        return "-" if value is None else f"{value:.2f} s"

    print(f"\n{count} small messages, `ls -l`: cold {number('imapfs', 'list')}, "
          f"warm {number('imapfs', 'list-warm')}, after remount {number('imapfs', 'list-remount')}, "
          f"first name {number('imapfs', 'list-first')}; raw FETCH of the rows {number('raw', 'list')} "
          f"(of the UIDs alone {number('raw', 'list-uids')}), "
          f"local {number('local', 'list')}, floor {number('floor', 'list')} cold, "
          f"{number('floor', 'list-warm')} warm")
    peak, before = results.median("imapfs", "list", "memory"), results.median("imapfs", "list", "before")
    if peak:
        allowed = MEMORY_FIXED + MEMORY_EACH * count
        print(f"Daemon: peak {peak / MIB:.1f} MiB (allowed {allowed / MIB:.1f} MiB: "
              f"{'kept' if peak <= allowed else 'EXCEEDED'}), {(peak - before) / count:.0f} octets a message")
