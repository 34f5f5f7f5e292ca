# SPDX-License-Identifier: MIT
"""A directory whose lock the kernel holds for a request that the server lets wait, while the server tells that
one of its messages is gone: whoever is to tell the kernel of that waits for the lock. The daemon knows of requests
that hold it alone (UNLINK, RENAME) and keeps away from it then; a LOOKUP holds it together with others."""
import os
import subprocess
import sys
import threading

from mounting import live, wait_until, waits

# Asks for a number above all that are known, for as long as the directory is there.
LOOKUP = """
import os, sys, time
while True:
    try:
        os.stat(sys.argv[1])
    except FileNotFoundError as error:
        if not os.path.isdir(os.path.dirname(sys.argv[1])):
            sys.exit(error.errno)
        time.sleep(0.05)
    except OSError as error:
        sys.exit(error.errno)
"""


def is_blocked(pid):
    """Whether a thread is in the kernel in a way that no signal ends."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/stat", "rb") as source:
            if source.read().rpartition(b")")[2].split()[0] == b"D":
                return True
    return False


def stall_lookups(server):
    """Of numbers that are not known in INBOX; meanwhile it is told that messages are gone, one after the other, since
    the first NOOP may be for something else. Returns the rule."""
    def tell(session):
        for uid in (5, 4, 6, 2):
            session.send(b"* VANISHED %d\r\n" % uid, now=True)
            rule.released.wait(0.5)
    rule = server.rule("NOOP", stall=True, action=tell)
    takes = rule.takes

    def there(name, line):
        session = next(s for s in server.sessions if s.thread is threading.current_thread())
        return session.mailbox is server.mailbox("INBOX") and takes(name, line)
    rule.takes = there
    return rule


def hold(server, m):
    """(the rule, the process that waits in INBOX): its exit status is the number of an error, once the
    directory is gone."""
    os.listdir(m.path("INBOX"))
    rule = stall_lookups(server)
    process = subprocess.Popen([sys.executable, "-c", LOOKUP, m.path("INBOX", 999)], stdin=subprocess.DEVNULL)
    live.add(process)
    wait_until(lambda: rule.hits and waits(process) and is_blocked(m.pid), "a thread waits for the lock")
    return rule, process
