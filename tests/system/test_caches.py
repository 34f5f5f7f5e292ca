# SPDX-License-Identifier: MIT
"""imapfs --cache: what is on this machine, and what is done to it while no mount uses it."""
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
        assert re.search(line % 3, ask(m, source)[1], re.M)
        assert "3 messages" in ask(m, "verify", source)[1]
        with open(os.path.join(own, "bodies", "00000001"), "r+b") as f:
            f.seek(len(TEXT) + 5)
            f.write(b"damage")
        status, said, _ = ask(m, "verify", "-o", f"cache={own}", source)
        assert status == NOT_DONE and "1 messages were damaged" in said and "2 messages, " in said
        assert ask(m, "trim", "0", source)[0] == 0 and re.search(line % 0, ask(m)[1], re.M)
        promises = sorted(os.listdir(os.path.join(place, "state")))
        assert ask(m, "clear", source)[0] == 0 and not os.path.exists(os.path.join(own, "cache.db"))
        assert sorted(os.listdir(os.path.join(place, "state"))) == promises
        fetched = len(server.lines("UID FETCH"))
        with mount(server, place) as m:
            assert read(m.path("INBOX", 2)) == TEXT
        assert len(server.lines("UID FETCH")) > fetched
