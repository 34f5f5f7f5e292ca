# SPDX-License-Identifier: MIT
"""What a process sees of the world outside: its clocks, the address of its server, the room on its disk,
see tests/tools/world.c."""
import mmap
import os
import struct
import time

LAYOUT = struct.Struct("qqqqq48sqqq")
NANOSECONDS = 1_000_000_000


class World:
    """For a process that is started with .environment."""

    def __init__(self, library, directory):
        self.path = os.path.join(directory, "world")
        with open(self.path, "wb") as out:
            out.write(LAYOUT.pack(0, 0, -1, 0, 0, b"", 0, 0, 0))
        with open(self.path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), LAYOUT.size)
        self.boottime = self.realtime = self.monotonic = 0
        self.room = -1
        self.reading = 0
        self.slowness = self.slow_since = 0
        self.resolver_is_dead = False
        self.address = ""
        # The sanitizer's library wants to be the first, which only matters for memory.
        options = [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]
        self.environment = {"LD_PRELOAD": library, "TEST_WORLD": self.path,
                            "ASAN_OPTIONS": ":".join(filter(None, options))}

    def _write(self):
        self.memory[:] = LAYOUT.pack(int(self.boottime * NANOSECONDS), int(self.realtime * NANOSECONDS),
                                     self.room, self.resolver_is_dead, int(self.monotonic * NANOSECONDS),
                                     self.address.encode(), int(self.reading * NANOSECONDS),
                                     self.slowness, self.slow_since)

    def suspend(self, seconds):
        """The machine was suspended for so long, and has just come back."""
        self.boottime += seconds
        self.realtime += seconds
        self._write()

    def wait(self, seconds):
        """So much time passes in no time."""
        self.monotonic += seconds
        self.realtime += seconds
        self._write()

    def slow_clock(self, times=20):
        """From now on time goes so many times slower: what is to happen within a time can take longer. By 1 all that did
        not pass since has passed."""
        self.slowness, self.slow_since = times, time.monotonic_ns()
        self._write()

    def set_clock(self, seconds):
        """Somebody puts the wall clock ahead, or back (negative)."""
        self.realtime += seconds
        self._write()

    def move(self, address):
        """All host names lead to this numeric address now."""
        self.address = address
        self._write()

    def lose_resolver(self, lost=True):
        """Names can not be looked up, nor is that said."""
        self.resolver_is_dead = lost
        self._write()

    def fill_disk(self, room=0):
        """So many octets fit on the disk, and no more."""
        self.room = room
        self._write()

    def slow_disk(self, seconds):
        """Each read from the disk lasts so long; 0: no longer than it does."""
        self.reading = seconds
        self._write()

    def make_room(self):
        self.fill_disk(-1)

    def close(self):
        self.memory.close()
