# SPDX-License-Identifier: MIT
"""What stat says of messages and directories."""
import os
import stat
import subprocess

import pytest

import tree
from dovecot import Mail
from mounting import run

TEXT = b"Subject: x\r\n\r\nbody\r\n"
DATES = {"1996": 837596665, "summer": 1720000000, "leap": 1709208000, "epoch": 86400, "2038": 2147483648}


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    mails = [Mail("INBOX", TEXT * (i + 1), date) for i, date in enumerate(DATES.values())]
    return start_server(mails + [Mail("A/B/C", TEXT, 1700000000), Mail("A/B/D", TEXT, 1600000000), Mail("A", TEXT, 1650000000)])


def all_stats(m):
    """{path: stat} of everything in a mount, the top included."""
    stats = {".": os.lstat(m.point)}
    for directory, names, files in os.walk(m.point):
        for name in names + files:
            path = os.path.join(directory, name)
            stats[os.path.relpath(path, m.point)] = os.lstat(path)
    return stats


def test_sizes_and_times(server, mount):
    m = mount(server)
    assert tree.compare(server, m.point, contents=False) == []
    for uid, date in enumerate(DATES.values(), 1):
        status = os.lstat(m.path("INBOX", uid))
        assert (status.st_mtime, status.st_ctime, status.st_size) == (date, date, len(TEXT) * uid)
        assert status.st_blocks == -(-status.st_size // 512)
        assert stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def test_zones(server, mount):
    """INTERNALDATE is a time of its zone, not of ours."""
    wanted = {}
    with server.client() as client:
        client.create("Zones")
        for date, seconds in (("17-Jul-1996 02:44:25 -0700", 837596665), ("17-Jul-1996 02:44:25 +0900", 837539065),
                              (" 1-Jan-2024 00:00:00 +0545", 1704046500), ("29-Feb-2024 23:59:59 +0000", 1709251199)):
            client.command(b'APPEND Zones "%s" {%d+}\r\n%s' % (date.encode(), len(TEXT), TEXT))
            wanted[str(len(wanted) + 1)] = seconds
    m = mount(server, environment={"TZ": "America/New_York"})
    assert {entry.name: entry.stat().st_mtime for entry in os.scandir(m.path("Zones"))} == wanted


def test_directory_time(server, mount):
    """A directory is at least as old as its newest message tells, and stays so over a remount."""
    m = mount(server)
    before = {path: status.st_mtime_ns for path, status in all_stats(m).items()}
    m.restart()
    assert {path: status.st_mtime_ns for path, status in all_stats(m).items()} == before


@pytest.mark.parametrize("options, owner, file_mode, directory_mode", [
    ((), None, 0o400, 0o700),
    (("ro",), None, 0o400, 0o700),
    (("umask=0477",), None, 0o000, 0o300),
    (("umask=077", "fmask=0", "dmask=0200"), None, 0o400, 0o500),
    (("uid=1234", "gid=4321"), (1234, 4321), 0o400, 0o700),
])
def test_modes_and_owner(server, mount, options, owner, file_mode, directory_mode):
    m = mount(server, *options)
    owner = owner or (os.getuid(), os.getgid())
    for path, status in all_stats(m).items():
        assert (status.st_uid, status.st_gid) == owner, path
        wanted = directory_mode if stat.S_ISDIR(status.st_mode) else file_mode
        assert stat.S_IMODE(status.st_mode) == wanted, path


def test_links(server, mount):
    """find counts on 2 plus the number of subdirectories, or it leaves some out."""
    m = mount(server)
    for path, status in all_stats(m).items():
        if stat.S_ISDIR(status.st_mode):
            below = sum(entry.is_dir() for entry in os.scandir(m.path(path)))
            assert status.st_nlink == 2 + below, path
    found = run("find", m.point, "-type", "d", "-printf", "%P\n").stdout.splitlines()
    assert set(found) - {""} == tree.directories(server)


def test_inodes_are_stable(server, mount):
    """Over a remount with the cache kept; and no two things have the same number."""
    m = mount(server)
    before = {path: status.st_ino for path, status in all_stats(m).items()}
    assert len(set(before.values())) == len(before)
    listed = {entry.name: entry.inode() for entry in os.scandir(m.path("INBOX"))}
    assert listed == {path.partition("/")[2]: ino for path, ino in before.items() if path.startswith("INBOX/")}
    m.restart()
    # In another order, and without listing first.
    after = {path: os.lstat(m.path(path)).st_ino for path in sorted(before, reverse=True)}
    assert after == before


def test_inodes_of_the_dots(server, mount):
    m = mount(server)
    lines = run("ls", "-ai", m.path("A/B")).stdout.splitlines()
    numbers = {name: int(ino) for ino, name in (line.split() for line in lines)}
    assert numbers["."] == os.stat(m.path("A/B")).st_ino
    assert numbers[".."] == os.stat(m.path("A")).st_ino


def test_suffix(server, mount):
    m = mount(server, "suffix=.eml")
    assert tree.compare(server, m.point, suffix=".eml") == []
    assert not os.path.exists(m.path("INBOX/1"))
    for wrong in ("INBOX/1.EML", "INBOX/.eml", "INBOX/01.eml", "INBOX/1.eml.eml", "INBOX/99.eml"):
        assert not os.path.exists(m.path(wrong))


def test_options_of_the_mount(server, mount):
    m = mount(server, "ro", "fsname=my mail", "subtype=post")
    with open("/proc/self/mounts", encoding="utf-8") as source:
        line = next(line for line in source if line.split()[1] == m.point)
    assert line.startswith("my\\040mail ") and line.split()[2] == "fuse.post"
    words = set(line.split()[3].split(","))
    assert {"ro", "nosuid", "nodev"} <= words


def test_default_name_of_the_mount(server, mount):
    m = mount(server)
    assert subprocess.check_output(["findmnt", "-no", "SOURCE,FSTYPE", m.point], text=True).split() == \
        [f"imaps://user@localhost:{server.imaps_port}/", "fuse.imapfs"]


def test_another_user_is_kept_out(server, mount):
    """Without allow_other nobody else may look, not even by a known path."""
    m = mount(server)
    other = run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", m.path("INBOX/1"),
                check=False)
    assert other.returncode != 0 and "ermission denied" in other.stderr and not other.stdout


def test_allow_other(server, mount):
    """It lets in whom the files belong to and root, and nobody else: default_permissions is implied."""
    m = mount(server, "allow_other", "umask=0", "uid=65534")
    as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    assert run(*as_nobody, "cat", m.path("INBOX/1")).stdout == TEXT.decode()
    as_other = ("setpriv", "--reuid=65533", "--regid=65533", "--clear-groups")
    refused = run(*as_other, "cat", m.path("INBOX/1"), check=False)
    assert "ermission denied" in refused.stderr and not refused.stdout
