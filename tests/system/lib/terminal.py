# SPDX-License-Identifier: MIT
"""A program that wants a terminal, driven by keys.

    with Terminal(["mutt", "-f", path], environment) as t:
        t.expect("Msgs:3")
        t.keys("F")
"""
import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import termios
import time

SECONDS = 30


class Terminal:
    """Ends, killed if it must be, with the block. `said`: all that it wrote."""

    def __init__(self, command, environment=None):
        self.command, self.environment = [str(word) for word in command], {**os.environ, **(environment or {}), "TERM": "xterm"}
        self.said, self.seen, self.pid, self.fd = "", 0, 0, -1

    def __enter__(self):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
                os.execvpe(self.command[0], self.command, self.environment)
            finally:
                os._exit(127)
        return self

    def __exit__(self, *_):
        os.kill(self.pid, 9)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def pump(self, seconds):
        """What it says within that time; False: it has ended."""
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                self.said += os.read(self.fd, 1 << 16).decode("utf-8", "replace")
            except OSError:  # its end
                return False
        return True

    def keys(self, text):
        os.write(self.fd, text.encode())

    def expect(self, pattern):
        """Waits until it has said that since the last one that was waited for."""
        end = time.monotonic() + SECONDS
        while not (match := re.search(pattern, self.said[self.seen:])):
            assert self.pump(0.2) and time.monotonic() < end, f"no {pattern!r} in {self.said[self.seen:]!r}"
        self.seen += match.end()

    def end(self):
        """Waits until it ends."""
        end = time.monotonic() + SECONDS
        while self.pump(0.2):
            assert time.monotonic() < end, self.said[-2000:]
