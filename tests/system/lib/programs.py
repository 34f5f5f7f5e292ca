# SPDX-License-Identifier: MIT
"""Where the programs are that the tests run.

From the environment (scripts/test sets them): IMAPFS, the program; IMAPFS_RELEASE, a build to
measure; IMAPFS_TOOLS, the folder of the test tools.
"""
import os
import pathlib

TOP = str(pathlib.Path(__file__).resolve().parents[3])


def first_existing(*paths):
    return next((path for path in paths if path and os.path.exists(path)), paths[-1])


PROGRAM = first_existing(os.environ.get("IMAPFS"), f"{TOP}/build-test/src/imapfs", f"{TOP}/build/src/imapfs")
RELEASE = first_existing(os.environ.get("IMAPFS_RELEASE"), f"{TOP}/build/src/imapfs")
# Before a command: in a mount namespace of its own. Of the other mounts there it drops its copies: each would go on
# until the command has ended, and a test that has unmounted it would wait for its daemon.
APART = ("unshare", "-m", "sh", "-c", 'umount -acil -t fuse.imapfs 2>/dev/null || :; exec "$@"', "sh")
TOOLS = first_existing(os.environ.get("IMAPFS_TOOLS"), f"{TOP}/build-test/tests/tools",
                       f"{TOP}/build/tests/tools")
