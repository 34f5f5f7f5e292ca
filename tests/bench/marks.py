# SPDX-License-Identifier: MIT
"""The marks that imapfs set itself, and whether a run of scripts/bench met them.

Each is a quotient of two measurements of that run and the most that it may be. A line's mark is looked at
on that line only; what was not measured is left out.
"""
import readers
import views
import walk
import writing
from contenders import REMOVE_COUNT
from lab import MIB
from results import cell, print_table

MEMORY_MAX = 128 * MIB


def total(*values):
    return None if None in values else sum(values)


def times(factor, value):
    return None if value is None else factor * value


def line_marks(results, line):
    """(what, against what, seen, allowed) for the operations on a mailbox of mail of all sizes."""
    def own(key, field="seconds"):
        return results.median("imapfs", key, field)

    def other(who, key, field="seconds"):
        return results.median(who, key, field)

    raw = other("raw", "bodies")
    if not line.rate:
        yield ("`grep -r`, cold", "raw + local", own("grep-cold"), total(raw, other("local", "grep-cold")),
               1.3 if line.rtt else 1.2)
        yield "`rsync -a`, cold", "floor", own("rsync-cold"), other("floor", "rsync-cold"), 1.2
    if line.rtt and not line.rate:
        for key, name in (("rsync-cold", "`rsync -a`, cold"), ("grep-cold", "`grep -r`, cold")):
            yield name, "2 raw + local", own(key), total(times(2, raw), other("local", key)), 1
        for key, name in (("rsync-cold", "`rsync -a`, cold"), ("grep-cold", "`grep -r`, cold")):
            yield name, "mbsync / 8", own(key), times(1 / 8, other("mbsync", "pull")), 1
        yield "25 MiB file, cold", "raw / 0.9", own("large-cold"), other("raw", "large"), 1 / 0.9
        yield (f"`rm` of {REMOVE_COUNT}: round trips", "one each, and 5 to begin", own("rm", "round_trips"),
               REMOVE_COUNT + 5, 1)
    if line.rate:
        octets = [n for n in (other("mbsync", "pull-deflate", "received"), own("rsync-cold", "received")) if n]
        needed = min(octets) * 8 / (line.rate * 1e6) if octets else None
        for key, name in (("rsync-cold", "`rsync -a`, cold"), ("grep-cold", "`grep -r`, cold")):
            yield name, "the deflated octets", own(key), needed, 1.15
    if not line.rtt:
        yield "`ls -l`, warm", "local", own("ls-warm"), other("local", "ls-warm"), 1.2
        yield "`grep -r`, warm", "local", own("grep-warm"), other("local", "grep-warm"), 1.2
        yield ("`grep -r`, after remount", "floor", own("grep-remount"), other("floor", "grep-remount"),
               1 / 0.7)
    yield "`rsync -a`, cold: peak memory", "128 MiB", own("rsync-cold", "memory"), MEMORY_MAX, 1


def listing_marks(results, count):
    def own(key, field="seconds"):
        return results.median("imapfs", key, field)

    floor = results.median("floor", "list")
    name = f"`ls -l` of {count}"
    yield f"{name}, cold", "raw + floor", own("list"), total(results.median("raw", "list"), floor), 1.3
    yield f"{name}, after remount", "floor", own("list-remount"), floor, 1.5
    yield f"{name}, after remount: octets", "20 kB", own("list-remount", "received"), 20000, 1


def views_marks(results, count):
    def own(key, field="seconds"):
        return results.median("imapfs", f"views-{key}", field)

    yield "`cat .index`, and the server reads", "raw", own("first"), results.median("raw", "views-first"), 1.3
    yield "`cat .index`, cold: octets", "850 a message", own("index", "received"), count * 850, 1
    for key in ("index-again", "jsonl-again", "search-again"):
        yield f"views, {key}: octets", "1 kB", own(key, "received"), 1000, 1
    yield "`cat .index`, cold", "raw", own("index"), results.median("raw", "views-index"), 1.3
    for key, allowed in (("text", 1.3), ("headers", 1.3), ("maildir", 1.5)):
        title = next(title for each, title, _, _ in views.THROUGH if each == key)
        yield f"{title}, cold", "`grep -r`", own(key), own("grep"), allowed
    yield "`grep -ri` of `.text`, warm", "a local copy", own("text-again"), results.median("local", "views-text-again"), 1.2


def walk_marks(results, line):
    """raw is that of all bodies, also beside find."""
    if not line.rtt:
        return

    def own(key, field="seconds"):
        return results.median("imapfs", f"walk-{key}", field)

    raw, first, again = (results.median(who, key) for who, key in (
        ("raw", "walk-bodies"), ("mbsync", "walk"), ("mbsync", "walk-again")))
    for key, title, _ in walk.OPERATIONS:
        yield (f"{title}, cold", f"2 raw ({walk.DEPTH} deep) + local + 10 round trips", own(key),
               total(times(2, raw), results.median("local", f"walk-{key}"), line.rtt / 100), 1)
    for key, title, _ in walk.OPERATIONS:
        yield f"{title}, cold", "mbsync / 12", own(key), times(1 / 12, first), 1
    for key, title, _ in walk.OPERATIONS:
        yield f"{title}, again after a remount", "mbsync / 30", own(f"{key}-again"), times(1 / 30, again), 1
    yield "`rsync -a`, cold: peak memory", "128 MiB", own("rsync", "memory"), MEMORY_MAX, 1


def readers_marks(results, line):
    if not line.rtt:
        return

    def own(key, field="seconds"):
        return results.median("imapfs", key, field)

    for key, title, _ in readers.PROGRAMS[1:]:
        yield title, "`grep -rl`", own(f"read-{key}"), own("read-grep"), 2
    for key, title, _ in readers.ORDERS:
        base = readers.ascending(key)
        if base != f"read-{key}":
            yield title, "the same, ascending", own(f"read-{key}"), own(base), 2
    for key, title, _ in readers.BEGINNINGS:
        if key in readers.AT_MOST_3_MB:
            yield f"{title}: octets", "3 MB", own(f"begin-{key}", "received"), 3e6, 1
    # A quarter for what is no waiting.
    yield "the first `cat`", "2 round trips", own(readers.FIRST), 2 * line.rtt / 1000, 1.25
    for key, title, _ in readers.PROGRAMS:
        yield f"{title}: peak memory", "128 MiB", own(f"read-{key}", "memory"), MEMORY_MAX, 1


def writing_marks(results, line):
    if not line.rtt:
        return
    turn = line.rtt / 1000

    def own(key, field="seconds"):
        return results.best("imapfs", f"write-{key}", field)

    for key, title in writing.OPERATIONS[:2]:
        yield title, "3 s", own(key), 3, 1
        yield f"{title}, done", "raw", own(key, "done"), results.best("raw", f"write-{key}"), 2
    yield f"`cp` of {writing.COPIED}", "one turn each", own("cp"), writing.COPIED * turn, 1.2
    for key in ("setxattr", "setfattr"):
        yield f"{key} of {writing.FLAGGED}, done", "2 s", own(key, "done"), 2, 1
    yield f"`cp` by {writing.WRITERS} processes", "one process / 5", own("put-8"), times(1 / 5, own("put-1")), 1
    # A quarter for what is no waiting.
    yield "`mkdir`", "one turn", own("mkdir"), turn, 1.25
    yield "`grep -r`, warm", "that of -o ro", own("grep"), own("grep-ro"), 1.5


def report(title, marks):
    """A table of those that could be looked at; how many were missed."""
    rows, missed = [["mark", "against", "quotient", "at most", ""]], 0
    for what, against, seen, base, allowed in marks:
        if seen is None or not base:
            continue
        met = seen <= base * allowed
        missed += not met
        rows.append([what, against, cell(seen / base), cell(allowed), "met" if met else "MISSED"])
    if len(rows) > 1:
        print(f"\nMarks, {title}:\n")
        print_table(rows)
    return missed
