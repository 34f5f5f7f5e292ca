# SPDX-License-Identifier: MIT
"""How late this machine is, for what has to be timed: deadlines that people were promised. A test that compares
with the clock gives so many seconds more."""
import collections
import os
import threading
import time

REMEMBERED = 60  # seconds
STEP = 0.05

samples = collections.deque()


def watch():
    """How late who sleeps is woken."""
    while True:
        start = time.monotonic()
        time.sleep(STEP)
        now = time.monotonic()
        samples.append((now, now - start - STEP))
        while samples[0][0] < now - REMEMBERED:
            samples.popleft()


threading.Thread(target=watch, daemon=True).start()


def late():
    """Seconds: half of one on a machine that has nothing else to do."""
    busy = max(0.0, os.getloadavg()[0] / (os.cpu_count() or 1) - 1)
    return 0.5 + 4 * max((found for _, found in samples.copy()), default=0) + min(busy, 6) * 0.5
