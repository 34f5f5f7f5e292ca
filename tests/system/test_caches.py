# SPDX-License-Identifier: MIT
"""imapfs --cache: what is on this machine, and what is done to it while no mount uses it."""
import fcntl
import os
import re
import subprocess
import tempfile

from fakeimap import FakeImap
from programs import PROGRAM
from servers import mount

TEXT = b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 1000
CACHE, NOT_DONE = 6, 8


def read(path):
    with open(path, "rb") as f:
        return f.read()


def test_caches():
    with FakeImap({"INBOX": [TEXT] * 3}) as server, tempfile.TemporaryDirectory() as place:
        source = f"imap://{server.user}@127.0.0.1:{server.port}/"
        own = os.path.join(place, "xdg", "imapfs", f"{server.user}@127.0.0.1:{server.port}")
        os.makedirs(os.path.dirname(own))
        os.symlink(os.path.join(place, "cache"), own)

        def ask(m, *words):
            done = subprocess.run([PROGRAM, "--cache", *words], env=m.environment, capture_output=True, text=True,
                                  timeout=60, check=False)
            return done.returncode, done.stdout, done.stderr

        with mount(server, place) as m:
            for uid in (1, 2, 3):
                assert read(m.path("INBOX", uid)) == TEXT
            assert re.search(r"^user@127\.0\.0\.1:\d+ +[\d.]+ [kM]B +- .* mounted \(PID \d+\)$", ask(m)[1], re.M)
            for words in (("verify",), ("trim", "1M"), ("clear",)):
                status, _, said = ask(m, *words, source)
                assert status == CACHE and re.search(r"a mount uses this cache \(PID \d+\); unmount it first", said)
        line = r"^user@127\.0\.0\.1\S* +[\d.]+ [kM]B +%d  \d{4}-\d\d-\d\d \d\d:\d\d$"
        assert ask(m)[0] == 0 and re.search(line % 3, ask(m)[1], re.M)
        assert ask(m, source)[1] == ask(m, "list")[1] == ask(m, "list", source)[1] == ask(m)[1]
        assert "3 messages" in ask(m, "verify", source)[1]

        def age():
            """All that is there was written long ago."""
            for top, _, names in os.walk(own):
                for name in names:
                    os.utime(os.path.join(top, name), (1e9, 1e9))

        def bodies():
            return sum("BODY.PEEK" in line for line in server.lines("UID FETCH"))

        # Looking is no use, and leaves nothing that a look would find.
        age()
        before = sorted(os.listdir(own))
        looks = [subprocess.Popen([PROGRAM, "--cache"], env=m.environment, stdout=subprocess.PIPE, text=True)
                 for _ in range(4)]
        said = {look.communicate(timeout=60)[0] for look in looks} | {ask(m)[1]}
        assert len(said) == 1 and "2001-09-" in said.pop() and sorted(os.listdir(own)) == before

        # Somebody has it, who has not yet said who that is.
        with open(os.path.join(own, "cache.lock"), "r+b") as lock:
            lock.truncate()
            fcntl.flock(lock, fcntl.LOCK_EX)
            status, _, said = ask(m, "verify", source)
            assert status == CACHE and said.endswith(": a mount uses this cache; unmount it first\n")

        with open(os.path.join(own, "bodies", "00000001"), "r+b") as f:
            f.seek(len(TEXT) + 5)
            f.write(b"damage")
        status, said, _ = ask(m, "verify", "-o", f"cache={own}", source)
        assert status == NOT_DONE and "1 messages were damaged" in said and "2 messages, " in said

        def fetched():
            """How many are asked for of those that were kept."""
            before = bodies()
            with mount(server, place) as m:
                assert read(m.path("INBOX", 1)) == read(m.path("INBOX", 3)) == TEXT
            return bodies() - before

        assert fetched() == 0
        promises = sorted(os.listdir(os.path.join(place, "state")))
        assert ask(m, "clear", source)[0] == 0 and not os.path.exists(os.path.join(own, "cache.db"))
        assert re.search(r"kB +- +-$", ask(m)[1], re.M)
        assert sorted(os.listdir(os.path.join(place, "state"))) == promises
        assert fetched() > 0 and fetched() == 0
        assert ask(m, "trim", "0", source)[0] == 0 and re.search(line % 0, ask(m)[1], re.M)
        assert fetched() > 0

        # What is damaged is left to a mount.
        with open(os.path.join(own, "cache.db"), "r+b") as f:
            f.write(b"damage" * 1000)
        for words in (("verify",), ("trim", "1M"), ("clear",)):
            status, said, error = ask(m, *words, source)
            assert status == CACHE and "sound" not in said and "the next mount begins a new one" in error
        assert not os.path.exists(os.path.join(own, "cache.db.damaged"))
