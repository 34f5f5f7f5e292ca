# SPDX-License-Identifier: MIT
"""A message cannot be changed: nobody, root neither, gets a descriptor to write with or a page that can be
written, so what is in the page cache is what the server sent; and rm asks a person first."""
import json
import os
import pty
import subprocess
import sys

import pytest

from fakeimap import FakeImap
from mounting import run, wait_until
from ordinary import User
from servers import mount

BODY = b"Subject: x\r\n\r\n" + b"y" * 10000

# Prints how each attempt on the file ended, as JSON. Whoever gets a descriptor writes with it in all ways.
ATTEMPTS = """
import errno, json, mmap, os, sys

def falsify(descriptor):
    for name, call in (("write", lambda: os.write(descriptor, b"Z")), ("map", lambda: scribble(descriptor))):
        try:
            call()
        except OSError:
            pass
    os.close(descriptor)

def scribble(descriptor):
    with mmap.mmap(descriptor, 1, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE) as page:
        page[0:1] = b"Z"

def opened(flags):
    falsify(os.open(path, flags))

def mapped():
    descriptor = os.open(path, os.O_RDONLY)
    try:
        scribble(descriptor)
    finally:
        os.close(descriptor)

path = sys.argv[1]
ways = {
    "write": lambda: opened(os.O_WRONLY), "read and write": lambda: opened(os.O_RDWR),
    "append": lambda: opened(os.O_WRONLY | os.O_APPEND), "truncate": lambda: opened(os.O_WRONLY | os.O_TRUNC),
    "truncate for reading": lambda: opened(os.O_RDONLY | os.O_TRUNC),
    "direct": lambda: opened(os.O_RDWR | os.O_DIRECT), "create": lambda: opened(os.O_RDWR | os.O_CREAT),
    "truncate by name": lambda: os.truncate(path, 0), "map": mapped,
}
results = {}
for name, way in ways.items():
    try:
        way()
        results[name] = None
    except OSError as error:
        results[name] = errno.errorcode[error.errno]
results["may write"] = os.access(path, os.W_OK)
results["may read"] = os.access(path, os.R_OK)
with open(path, "rb") as source:
    results["first"] = source.read(8).decode()
print(json.dumps(results))
"""
WAYS = ("write", "read and write", "append", "truncate", "truncate for reading", "direct", "create",
        "truncate by name")


def expected(error, may_write):
    # What is open for reading alone cannot be mapped for writing, on any file system.
    return {**dict.fromkeys(WAYS, error), "map": "EACCES", "may write": may_write, "may read": True,
            "first": "Subject:"}


def attempt(m, *names):
    return json.loads(run(sys.executable, "-c", ATTEMPTS, m.path(*names)).stdout)


@pytest.fixture(name="server")
def fixture_server():
    with FakeImap({"INBOX": [BODY] * 3}) as server:
        yield server


@pytest.mark.parametrize("when", ["cold", "warm"])
def test_by_root(server, when):
    """Whose access(2) is told that all is possible."""
    with mount(server) as m:
        if when == "warm":
            assert m.read("INBOX", 2) == BODY
        assert attempt(m, "INBOX", 2) == expected("EACCES", True)
        assert m.read("INBOX", 2) == BODY


def test_read_only_mount(server):
    with mount(server, ro=True) as m:
        assert attempt(m, "INBOX", 2) == expected("EROFS", False)
        assert m.read("INBOX", 2) == BODY


def test_read_only_mount_remounted(server):
    """Root can make the kernel forget that it is read-only, but not us."""
    with mount(server, ro=True) as m:
        assert m.read("INBOX", 2) == BODY
        # By mount(2): the calls that newer ones of mount(8) prefer are refused by the kernel itself.
        run("env", "LIBMOUNT_FORCE_MOUNT2=always", "mount", "-i", "-o", "remount,rw", m.point)
        assert attempt(m, "INBOX", 2) == expected("EROFS", True)
        assert m.read("INBOX", 2) == BODY
        assert run("rm", "-f", m.path("INBOX", 2), check=False).returncode == 1
    assert len(server.mailbox("INBOX").messages) == 3


def test_offline(server, tmp_path):
    with mount(server, directory=tmp_path) as m:
        assert m.read("INBOX", 2) == BODY
    with mount(server, directory=tmp_path, offline=True, says=None) as m:
        results = attempt(m, "INBOX", 2)
        assert {results[way] for way in WAYS} <= {"EACCES", "EROFS"}
        assert m.read("INBOX", 2) == BODY


def test_status(server):
    """The control file too."""
    with mount(server) as m:
        results = attempt(m, ".imapfs", "status")
        assert {results[way] for way in WAYS} == {"EACCES"}


# What access(2) says otherwise than the mode does: [walked, [[path, mode, access]]].
DIFFERENCES = """
import json, os, sys
paths = [sys.argv[1]]
for at, directories, files in os.walk(sys.argv[1]):
    paths += [os.path.join(at, name) for name in directories + files]
found = []
for path in paths:
    mode = os.stat(path).st_mode >> 6 & 7
    access = sum(bit for bit in (os.R_OK, os.W_OK, os.X_OK) if os.access(path, bit))
    if access != mode:
        found.append([path, mode, access])
print(json.dumps([len(paths), found]))
"""


def rm_on_a_terminal(path, answer, prefix=()):
    """What rm says on a terminal, and its status."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([*prefix, "rm", path], stdin=theirs, stdout=theirs, stderr=theirs,
                          env=dict(os.environ, LC_ALL="C.UTF-8")) as process:
        os.close(theirs)
        os.write(ours, answer + b"\n")
        said = b""
        try:
            while chunk := os.read(ours, 1000):
                said += chunk
        except OSError:
            pass  # how a terminal says that nobody has it open any more
        os.close(ours)
        process.wait()
    return said.decode(), process.returncode


def test_rm_asks(server, directory):
    """Whom the files belong to, but not root."""
    with mount(server, directory=directory, allow_other=True, uid=65534, gid=65534) as m:
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        said, _ = rm_on_a_terminal(m.path("INBOX", 1), b"n", nobody)
        assert "write-protected" in said
        assert [x.uid for x in server.mailbox("INBOX").messages] == [1, 2, 3]
        said, status = rm_on_a_terminal(m.path("INBOX", 1), b"y", nobody)
        assert "write-protected" in said and status == 0
        assert [x.uid for x in server.mailbox("INBOX").messages] == [2, 3]
        said, status = rm_on_a_terminal(m.path("INBOX", 2), b"n")
        assert "write-protected" not in said and status == 0
        assert [x.uid for x in server.mailbox("INBOX").messages] == [3]
        # Who may enter, but whom nothing belongs to.
        other = ("setpriv", "--reuid=65533", "--regid=65533", "--clear-groups")
        assert "ermission denied" in run(*other, "rm", "-f", m.path("INBOX", 3), check=False).stderr
        assert [x.uid for x in server.mailbox("INBOX").messages] == [3]


def test_by_an_ordinary_user(server, directory):
    """Mounted by fusermount3, for oneself alone: flags are set, though the mode of a message is that of one to be read."""
    user = User(directory, server.password)
    with open(os.path.join(directory, "attempts"), "w", encoding="utf-8") as file:
        file.write(ATTEMPTS)
    with open(os.path.join(directory, "differences"), "w", encoding="utf-8") as file:
        file.write(DIFFERENCES)
    process = user.start(f"""
        ./imapfs -o views=list,tls=none,timeout=20,passfile=password,cache={directory}/cache,statedir={directory}/state \
            imap://user@127.0.0.1:{server.port}/ mail
        cat mail/INBOX/2 >/dev/null
        {sys.executable} attempts mail/INBOX/2
        {sys.executable} -c 'import os; os.setxattr("mail/INBOX/3", "user.imap.flags", b"\\Flagged"); print(
            [os.access("mail/" + name, os.W_OK) for name in ("INBOX", "INBOX/2", ".text", ".text/INBOX/2", "INBOX/.index",
             "INBOX/.mh_sequences", ".maildir/INBOX/cur", ".imapfs/status")])'
        {sys.executable} differences mail
        (sleep 0.1; echo n) | script -qec 'rm mail/INBOX/1' /dev/null
        fusermount3 -u mail
    """)
    results, writable, differences, said = user.ended(process).split("\n", 3)
    assert json.loads(results) == expected("EACCES", False)
    assert json.loads(writable.lower()) == [True, False, False, False, False, True, True, False]
    walked, differences = json.loads(differences)
    assert walked > 25 and not differences
    assert "write-protected" in said
    wait_until(lambda: [message.flags for message in server.mailbox("INBOX").messages] == [set(), set(), {b"\\Flagged"}],
               "the flag is set, and nothing is removed")
