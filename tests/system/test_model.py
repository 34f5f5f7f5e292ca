# SPDX-License-Identifier: MIT
"""Random life on a server and in a mount of it, against a model of what may be seen: a share of what
tests/model/run and tests/model/lives do for an hour by hand, with seeds that stay the same."""
import os
import subprocess
import sys

import pytest

from mounting import TETHER, live
from programs import PROGRAM, TOOLS, TOP

# Scripted servers: an honest one with everything, where jobs move, copy and write, too, one that tells late and
# in any order, one without UIDPLUS and CONDSTORE, one that fails now and then.
LIVES = {
    "telling": ("views", 2, "--faults=0", "--lies=0", "--writes=1"),
    "late": ("views", 22, "--faults=0", "--lies=0", "--manner=tells=0", "--manner=order=any", "--manner=latency=0.02"),
    "failing": ("views", 3, "--faults=1", "--lies=0", "--manner=capabilities=UIDPLUS IDLE ESEARCH"),
    "Dovecot": ("dovecot", 5),
}
SECONDS = 14


def passes(*command):
    """Its processes go with it: they are tied to it, and the mounts have guardians."""
    environment = dict(os.environ, IMAPFS=PROGRAM, IMAPFS_TOOLS=TOOLS)
    with subprocess.Popen([*TETHER, sys.executable, *map(str, command)], stdin=subprocess.DEVNULL, env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as process:
        live.add(process)
        said = process.communicate()[0]
        live.discard(process)
    print(said[-8000:])
    assert process.returncode == 0, said[-3000:]


@pytest.mark.limit(180)
@pytest.mark.parametrize("name", LIVES)
def test_life(name):
    server, seed, *options = LIVES[name]
    passes(f"{TOP}/tests/model/run", "--server", server, "--seed", seed, "--seconds", SECONDS, *options)


@pytest.mark.limit(180)
def test_lives():
    passes(f"{TOP}/tests/model/lives", "--seconds", 16, "--modes", "notify,idle,poll,ro,offline,refused,silent,closing,suspended")
