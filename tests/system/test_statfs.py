# SPDX-License-Identifier: MIT
"""What df says."""
import os

from dovecot import Mail
from mounting import run, sent, wait_until

TEXT = b"Subject: x\r\n\r\n" + b"x" * 100_000


def df(m, *options):
    """The numbers of one line of df."""
    return run("df", "--block-size=1", *options, m.point).stdout.splitlines()[1].split()


def test_quota(start_server, mount):
    server = start_server([Mail("INBOX", TEXT)] * 40, quota=64 << 20, quota_messages=1000)
    server.doveadm("quota", "recalc", "-u", server.user)
    m = mount(server)
    wait_until(lambda: os.statvfs(m.point).f_files == 1000, "the quota is known")
    name, size, used, free, share, point = df(m)
    assert (name, int(size), point) == (f"imaps://user@localhost:{server.imaps_port}/", 64 << 20, m.point)
    assert int(used) + int(free) == int(size)
    assert abs(int(used) - 40 * len(TEXT)) < 8192
    assert share == f"{-(-int(used) * 100 // int(size))}%"
    _, files, files_used, files_free, _, _ = df(m, "-i")
    assert (int(files), int(files_used), int(files_free)) == (1000, 40, 960)
    assert os.statvfs(m.path("INBOX/1")).f_blocks == os.statvfs(m.point).f_blocks


def test_no_quota(start_server, mount):
    """Large and not full, so that no program refuses to work; and never asked of the server."""
    server = start_server([Mail("INBOX", TEXT)], rawlog=True)
    m = mount(server)
    status = os.statvfs(m.point)
    assert status.f_blocks * status.f_frsize >= 1 << 40
    assert status.f_bavail == status.f_bfree > 0 and status.f_bfree <= status.f_blocks
    assert status.f_files >= 1 << 31 and 0 < status.f_ffree <= status.f_files
    assert status.f_namemax == 255
    df(m, "-i")
    assert not sent(server, b"QUOTA")
