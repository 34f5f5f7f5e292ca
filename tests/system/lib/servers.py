# SPDX-License-Identifier: MIT
"""What the tests against the scripted server share: a mount of it, and what a call in the mount gives.

    with FakeImap(...) as server, mount(server, timeout=2) as m:
        (m.root / "INBOX" / "1").read_bytes()
"""
import contextlib
import errno
import os
import pathlib
import random
import re
import shutil
import tempfile

import mounting
from fakeimap import FakeImap
from programs import PROGRAM

__all__ = ["FakeImap", "FakeMount", "errno_of", "mount", "noise", "refused_by", "uids"]


class FakeMount(mounting.Mount):
    """A mount of a FakeImap in the clear. options are those of -o; says: patterns of the lines that
    stderr may have, None for any."""

    def __init__(self, server, directory, says=(), scheme="imap", program=PROGRAM, environment=None, **options):
        self.says = says
        self.password_file = os.path.join(directory, "password")
        self.ca_file = "/dev/null"
        with open(os.open(self.password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(server.password + "\n")
        given = {"tls": "none", "timeout": 10, **options}
        words = [k if v is True else f"{k}={v}" for k, v in given.items() if v is not None]
        super().__init__(program, self, directory, *words,
                         source=f"{scheme}://{server.user}@127.0.0.1:{server.port}/", environment=environment)

    @property
    def root(self):
        return pathlib.Path(self.point)

    def check_errors(self):
        lines = self.said().splitlines()
        assert not [line for line in lines if re.search("Sanitizer|runtime error", line)], lines
        others = [line for line in lines if not any(re.search(p, line) for p in self.says or [""])]
        assert self.says is None or not others, f"unannounced on stderr: {others}"


@contextlib.contextmanager
def _place(given):
    if given:
        yield str(given)
        return
    made = tempfile.mkdtemp(prefix="imapfs-test-", dir="/tmp")
    yield made
    # Never across a mount: a file removed there is mail removed.
    assert not mounting.is_mounted(os.path.join(made, "mail"))
    shutil.rmtree(made)


@contextlib.contextmanager
def mount(server, directory=None, **options):
    """A FakeMount. directory: kept, with its cache, for another mount."""
    with _place(directory) as place:
        m = FakeMount(server, place, **options)
        try:
            with m:
                try:
                    yield m
                except BaseException:
                    print(*mounting.sections(), sep="\n")
                    raise
        except BaseException:
            print(m.said())  # pytest shows it with the failure
            raise


def refused_by(server, **options):
    """Starts imapfs where it must not mount. Returns (exit status, the lines on stderr)."""
    with _place(None) as place:
        m = FakeMount(server, place, says=None, **{"timeout": 2, **options})
        m.ready = False
        m.start()
        try:
            status = m.process.wait(mounting.START_SECONDS)
            assert not mounting.is_mounted(m.point)
        finally:
            m.kill()
        m.check_errors()
        return status, m.said().splitlines()


def errno_of(call, *arguments):
    """The name of the error that a call ends with, None when there is none."""
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return None


def uids(directory):
    """The messages of a directory in the order of its listing."""
    return [int(name) for name in os.listdir(directory) if name.isdecimal()]


def noise(count, seed=1):
    """So many octets that look like nothing: each position can be told from each other."""
    return random.Random(seed).randbytes(count)
