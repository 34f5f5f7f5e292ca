# SPDX-License-Identifier: MIT
"""A process that does to the mount what it is told, one job a line, and tells what it saw, when, and how long
each call took. It knows nothing of what is right.

A process of its own, since a page fault in a mapping holds all threads of a Python, and since one that hangs
in the kernel must not take the rest along.
"""
import ctypes
import json
import mmap
import os
import random
import struct
import sys
import time

import bodies

libc = ctypes.CDLL(None, use_errno=True)
FLAGS = "user.imap.flags"
GETDENTS64 = {"x86_64": 217, "aarch64": 61}[os.uname().machine]


class Clock:
    """The slowest call of a job."""

    def __init__(self):
        self.slowest, self.name = 0.0, ""

    def __call__(self, function, *arguments, name=None):
        start = time.monotonic()
        try:
            return function(*arguments)
        finally:
            took = time.monotonic() - start
            if took > self.slowest:
                self.slowest, self.name = took, name or function.__name__


def opened(call, path):
    return call(os.open, path, os.O_RDONLY)


def cat(call, path, job, rng):
    fd = opened(call, path)
    data = bytearray()
    try:
        size = rng.choice([4096, 65536, 131072, 1 << 20])
        while True:
            piece = call(os.read, fd, size)
            if not piece:
                break
            data += piece
        job["size"] = call(os.fstat, fd).st_size
    except OSError:
        job["seen"] = [bodies.examine(bytes(data))]
        raise
    finally:
        call(os.close, fd)
    job["seen"] = [bodies.examine(bytes(data))]
    job["whole"] = len(data)


def pread(call, path, job, rng):
    fd = opened(call, path)
    job["seen"], job["asked"] = [], []
    try:
        size = call(os.fstat, fd).st_size
        for _ in range(rng.randrange(1, 6)):
            offset = rng.choice([rng.randrange(size + 1), max(0, size - rng.randrange(200)),
                                 rng.randrange(max(1, size // 65536) + 1) * 65536])
            length = rng.choice([1, 100, 4096, 70000, 300000])
            data = call(os.pread, fd, length, offset)
            job["seen"].append(bodies.examine(data, offset))
            job["asked"].append(length)
    finally:
        call(os.close, fd)


def mapped(call, path, job, rng):
    fd = opened(call, path)
    try:
        size = call(os.fstat, fd).st_size
        job["seen"], job["size"] = [], size
        if size == 0:
            return
        with mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ) as memory:
            pieces = bytearray(size)
            places = list(range(0, size, 1 << 17))
            rng.shuffle(places)
            for place in places:
                pieces[place:place + (1 << 17)] = call(memory.__getitem__, slice(place, place + (1 << 17)), name="fault")
        job["seen"] = [bodies.examine(bytes(pieces))]
        job["whole"] = size
    finally:
        call(os.close, fd)


def ls(call, path, job, rng):
    fd = call(os.open, path, os.O_RDONLY | os.O_DIRECTORY)
    names, kinds = [], []
    try:
        size = rng.choice([280, 600, 4096, 32768])
        buffer = ctypes.create_string_buffer(size)
        while True:
            def getdents():
                n = libc.syscall(GETDENTS64, fd, buffer, size)
                if n < 0:
                    raise OSError(ctypes.get_errno(), "getdents64")
                return n
            n = call(getdents)
            if n == 0:
                break
            at = 0
            while at < n:
                _, _, length, kind = struct.unpack_from("=QqHB", buffer, at)
                name = ctypes.string_at(ctypes.addressof(buffer) + at + 19)
                if name not in (b".", b".."):
                    names.append(os.fsdecode(name))
                    kinds.append("d" if kind == 4 else "f")
                at += length
    finally:
        call(os.close, fd)
    job["names"], job["kinds"] = names, kinds


def stat(call, path, job, rng):
    found = call(os.stat, path)
    job["size"], job["nlink"], job["directory"] = found.st_size, found.st_nlink, (found.st_mode & 0o170000) == 0o040000


def lsl(call, path, job, rng):
    """As ls -l."""
    ls(call, path, job, rng)
    job["sizes"] = {}
    for name, kind in zip(job["names"], job["kinds"]):
        if kind == "f" and len(job["sizes"]) < job.get("most", 300):
            try:
                job["sizes"][name] = call(os.lstat, os.path.join(path, name)).st_size
            except OSError as error:
                job["sizes"][name] = -error.errno


def find(call, path, job, rng):
    """All directories of the tree."""
    job["tree"] = {}
    todo = [""]
    while todo:
        below = todo.pop()
        one = {"t0": time.monotonic()}
        try:
            ls(call, os.path.join(path, below) if below else path, one, rng)
            todo += [os.path.join(below, name) for name, kind in zip(one["names"], one["kinds"]) if kind == "d"]
        except OSError as error:
            one["errno"] = error.errno
        one["t1"] = time.monotonic()
        job["tree"][below] = one


def rm(call, path, job, rng):
    call(os.unlink, path)


def statvfs(call, path, job, rng):
    call(os.statvfs, path)


def mv(call, path, job, rng):
    call(os.rename, path, job["to"])


def cp(call, path, job, rng):
    """In pieces; what is wrong with a message is told by close."""
    octets = bodies.make(job["identity"], job["octets"])
    fd = call(os.open, path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    at = 0
    try:
        while at < len(octets):
            at += call(os.write, fd, octets[at:at + rng.choice([100, 4096, 131072])])
        job["written"] = True
    finally:
        call(os.close, fd)


def copy(call, path, job, rng):
    """As cp does from one folder of the mount to another."""
    source = opened(call, path)
    try:
        fd = call(os.open, job["to"], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            size = call(os.fstat, source).st_size
            while size > 0:
                n = call(os.copy_file_range, source, fd, size)
                if n == 0:
                    break
                size -= n
        finally:
            call(os.close, fd)
    finally:
        call(os.close, source)


def setfattr(call, path, job, rng):
    call(os.setxattr, path, FLAGS, job["flags"].encode())


def getfattr(call, path, job, rng):
    job["flags"] = call(os.getxattr, path, FLAGS).decode()


def mkdir(call, path, job, rng):
    call(os.mkdir, path)


def rmdir(call, path, job, rng):
    call(os.rmdir, path)


JOBS = {function.__name__: function for function in (cat, pread, mapped, ls, lsl, stat, find, rm, statvfs, mv, cp, copy,
                                                     setfattr, getfattr, mkdir, rmdir)}


def main():
    rng = random.Random(int(sys.argv[1]))
    for line in sys.stdin:
        job = json.loads(line)
        call = Clock()
        job["errno"] = 0
        job["t0"] = time.monotonic()
        try:
            JOBS[job["do"]](call, job["path"], job, rng)
        except OSError as error:
            job["errno"] = error.errno
        job["t1"] = time.monotonic()
        job["slowest"], job["slow_call"] = call.slowest, call.name
        print(json.dumps(job), flush=True)


if __name__ == "__main__":
    main()
