# SPDX-License-Identifier: MIT
"""What the scripted servers and their clients said to each other lately: shown with a test that fails."""
import collections
import re
import time

LINES = 60       # are shown
WIDTH = 140      # of each, characters
ENDS = 1000      # octets that are kept of the beginning and of the end of what went out at once
FIRST, LAST = 8, 3  # lines of it that are shown

talks = []       # of the servers of this test, and of those that still run


def printable(octets):
    return re.sub(rb"[^ -~]", lambda match: b"\\x%02x" % match[0][0], octets).decode()


class Talk:
    """The talk of one server. Its connections are counted from 1."""

    def __init__(self, name):
        self.name = name
        self.over = False
        self.said = collections.deque(maxlen=4 * LINES)
        talks.append(self)

    def note(self, connection, who, octets):
        """who: S, C, or - for what happened. Cheap: the octets may be many."""
        if len(octets) > 2 * ENDS:
            octets = b"%b [%d octets] %b" % (octets[:ENDS], len(octets) - 2 * ENDS, octets[-ENDS:])
        self.said.append((time.monotonic(), connection, who, octets))

    def lines(self):
        """The last lines, with the seconds since the first of them."""
        lines = []
        for moment, connection, who, octets in self.said.copy():
            parts = octets.removesuffix(b"\r\n").split(b"\r\n")
            if len(parts) > FIRST + 1 + LAST:
                parts[FIRST:-LAST] = [b"[%d lines]" % (len(parts) - FIRST - LAST)]
            for line in parts:
                lines.append((moment, f"[{connection}] {who}: {printable(line)[:WIDTH]}"))
        lines = lines[-LINES:]
        return [f"{moment - lines[0][0]:7.3f} {line}" for moment, line in lines]


def begin():
    """A test begins: what was said is not its."""
    talks[:] = [talk for talk in talks if not talk.over]
    for talk in talks:
        talk.said.clear()


def sections():
    """(title, text) of each server that was talked to since begin()."""
    return [(f"the last of what {talk.name} (S) and its clients (C) said, by [connection]",
             "\n".join(talk.lines())) for talk in talks if talk.said]
