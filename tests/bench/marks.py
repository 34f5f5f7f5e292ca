"""The marks that imapfs set itself, and whether a run of scripts/bench met them.

Each is a quotient of two measurements of that run and the most that it may be. A line's mark is looked at
on that line only; what was not measured is left out.
"""
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
