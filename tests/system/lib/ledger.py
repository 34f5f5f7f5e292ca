# SPDX-License-Identifier: MIT
"""Where each message of an account may be after changes of which it is known what was asked for and what was answered.

Messages are known by a number in their text. One is in so many mailboxes, each a place; what may be is a set of
multisets of places. An independent client looks."""
import collections
import contextlib
import errno
import os
import re
import subprocess

import imapraw
import tree
from mounting import wait_until
from programs import PROGRAM

WHEN = 1700000000
MAY_FAIL = {errno.ENETDOWN, errno.ETIMEDOUT, errno.EIO, errno.EROFS, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ENOENT,
            errno.ESTALE, errno.ENOTEMPTY, errno.EDQUOT, errno.EINVAL, errno.ENOSPC, errno.EEXIST}


def text(number, octets=0):
    """Of a message: its number also gives its date."""
    return b"From: a@example.org\r\nSubject: number %d\r\n\r\n" % number + b"%074d\r\n" % number * (octets // 76) + b"x" * (number % 61) + b"\r\n"


Found = collections.namedtuple("Found", "box uid body date flags")


def look(server, boxes):
    """{number: [Found]} of all that is in these mailboxes."""
    found = collections.defaultdict(list)
    with server.client() as client:
        there = client.list()
        for box in boxes:
            if box not in there:
                continue
            client.examine(box)
            bodies, dates, flags = client.fetch_bodies(), client.dates(), client.flags()
            for uid, body in bodies.items():
                number = int(re.search(rb"Subject: number (\d+)", body)[1])
                found[number].append(Found(box, uid, body, imapraw.seconds(dates[uid]), flags[uid]))
    return found


class Ledger:
    """server: with a client(); boxes: the names of all mailboxes that matter."""

    def __init__(self, server, m, boxes):
        self.server, self.m, self.boxes = server, m, list(boxes)
        self.may = {}       # number: a set of tuples of places, sorted
        self.octets = {}    # number: the text
        self.flags = {}     # number: what flags it may have, a set of frozensets
        self.next = 1

    def new(self, octets=0):
        """A number, and its text."""
        number, self.next = self.next, self.next + 1
        self.octets[number] = text(number, octets)
        self.flags[number] = {frozenset()}
        self.may[number] = {()}
        return number

    def may_be(self, number, *places):
        self.may[number] = {tuple(sorted(p)) for p in places}

    def check(self):
        """What is wrong, as lines; what was found is what is known from now on."""
        wrong, found = [], look(self.server, self.boxes)
        for number, places in self.may.items():
            there = found.pop(number, [])
            where = tuple(sorted(f.box for f in there))
            if where not in places:
                wrong.append(f"{number} is in {where}, may be in {sorted(places)}")
            for f in there:
                if f.body != self.octets[number]:
                    wrong.append(f"{number} in {f.box}: other octets")
                if f.date != WHEN + number:
                    wrong.append(f"{number} in {f.box}: date {f.date - WHEN}")
                if f.flags - {"\\Recent"} not in self.flags[number]:
                    wrong.append(f"{number} in {f.box}: flags {sorted(f.flags)}, may be {self.flags[number]}")
            self.may[number] = {where}
            self.flags[number] = {f.flags - {"\\Recent"} for f in there} or {frozenset()}
        return wrong + [f"{number} is there, unknown" for number in found]

    def where(self, number):
        """[Found] of one, now."""
        return look(self.server, self.boxes)[number]

    # --- through the mount ---

    def path(self, box, *names):
        return self.m.path(tree.path_of(box, self.server.delimiter), *map(str, names))

    def sync(self, seconds=30):
        """What imapfs --sync says of what was refused, when everything is done."""
        last, told = None, ""

        def done():
            nonlocal last, told
            last = subprocess.run([PROGRAM, "--sync", self.m.point], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=60, check=False)
            told += last.stdout.decode()
            status = b""
            with contextlib.suppress(OSError):
                status = self.m.read(".imapfs", "status")
            return last.returncode in (0, 8) and b"not done yet" not in last.stdout and b"being stored" not in status
        wait_until(done, "all is done", seconds)
        return "".join(line for line in told.splitlines(True) if line.startswith("refused: "))


def attempt(function, *arguments, may_fail=MAY_FAIL):
    """None, or the number of an error that may be."""
    try:
        function(*arguments)
    except OSError as error:
        if error.errno not in may_fail:
            raise
        return error.errno
    return None


def write(path, octets, when):
    """As cp -p does it. The error is that of any of its steps."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        while octets:
            octets = octets[os.write(descriptor, octets):]
        os.utime(descriptor, (when, when))
    finally:
        os.close(descriptor)


def copy(source, target):
    """As cp does it between two mailboxes."""
    with open(source, "rb", buffering=0) as a:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            while os.copy_file_range(a.fileno(), descriptor, 1 << 30):
                pass
        finally:
            os.close(descriptor)
