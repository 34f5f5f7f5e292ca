# SPDX-License-Identifier: MIT
"""What the benches measured, and tables of it."""
import statistics
import time

from lab import BenchError, log

ENOUGH_SECONDS = 45  # a measurement that took so long already is not repeated


class Results:
    """Per contender and operation a list of measurements, dictionaries with at least seconds. What is not
    here may be in common: what does not depend on the line."""

    def __init__(self, common=None):
        self.found = {}
        self.failures = []
        self.common = common

    def add(self, who, what, seconds, **more):
        self.found.setdefault(who, {}).setdefault(what, []).append({"seconds": seconds, **more})

    def values(self, who, what, field="seconds"):
        return [m[field] for m in self.found.get(who, {}).get(what, ()) if field in m]

    def best(self, who, what, field="seconds"):
        return min(self.values(who, what, field), default=None)

    def median(self, who, what, field="seconds"):
        values = self.values(who, what, field)
        if not values and self.common:
            return self.common.median(who, what, field)
        return statistics.median(values) if values else None

    def medians(self):
        return {who: {what: {field: self.median(who, what, field) for field in runs[0]}
                      for what, runs in found.items()} for who, found in self.found.items()}

    def repeat(self, runs, title, scenario):
        """Runs a scenario up to so many times; one that fails is noted."""
        start = time.monotonic()
        for run in range(runs):
            log(f"{title} ({run + 1} of {runs})")
            try:
                scenario(run)
            except BenchError as error:
                log(f"FAILED: {error}")
                self.failures.append(f"{title}: {error}")
                return
            if time.monotonic() - start > ENOUGH_SECONDS:
                return


def cell(value, digits=2):
    return "" if value is None else f"{value:.{digits}f}"


def ratio(value, base):
    return None if value is None or not base else value / base


def print_table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for number, row in enumerate(rows):
        cells = [text.ljust(w) if i == 0 else text.rjust(w) for i, (text, w) in enumerate(zip(row, widths))]
        print("| " + " | ".join(cells) + " |")
        if number == 0:
            print("|" + "|".join("-" * (w + 2 if i == 0 else w + 1) + (":" if i else "")
                                 for i, w in enumerate(widths)) + "|")
