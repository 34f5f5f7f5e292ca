# SPDX-License-Identifier: MIT
"""Sessions that list for ever the names that there were when they began, as one of Dovecot 2.3 does once its list
of mailboxes is spoilt. Newer ones are asked, and at most one in a minute is logged in for that."""
import os
import time

import pytest

from fakeimap import Mailbox
from mounting import wait_until
from servers import FakeImap, FakeMount
from test_servers_odd import FEW, pass_time, rests

MINUTE = 60


class Life:
    """A mount with its server, and the time by its clock, which can be told how late it is."""

    def __init__(self, server, m, world):
        self.server, self.m, self.world, self.now = server, m, world, 0

    def go_to(self, seconds):
        wait_until(lambda: rests(self.m), "nothing is under way that the clock would make late")
        pass_time(self.m, self.world, seconds - self.now)
        self.now = seconds

    def make(self, name):
        with self.server.account.lock:
            self.server.account.mailboxes[name.encode()] = Mailbox([])

    def delete(self, name):
        with self.server.account.lock:
            del self.server.account.mailboxes[name.encode()]

    def listed(self):
        return set(os.listdir(self.m.root)) - {"INBOX"}

    def soon(self, *names):
        wait_until(lambda: self.listed() == set(names), f"listed: {names}")


@pytest.fixture(name="life")
def one_life(request, world, tmp_path):
    with FakeImap({"INBOX": [b"1"]}, capabilities=FEW, list_frozen=True) as server:
        m = FakeMount(server, str(tmp_path), **{"refresh": MINUTE, **getattr(request, "param", {})})
        m.environment.update(world.environment)
        with m:
            yield Life(server, m, world)


@pytest.mark.parametrize("life", [{}, {"connections": 1}], indirect=True, ids=["more", "one"])
def test_changed_after_the_login(life):
    """Whoever asks sees it after a minute, though the session that he asked before was new."""
    life.make("A")
    begin = time.monotonic()
    life.go_to(61)
    life.soon("A")
    life.make("B")
    life.delete("A")
    for second in range(65, 120, 5):
        life.go_to(second)
        listed = life.listed()
        # To its clock is added what the machine takes.
        assert listed == {"A"} or second - 61 + time.monotonic() - begin >= MINUTE
    life.go_to(122)
    life.soon("B")


@pytest.mark.parametrize("life", [{"refresh": 3600}], indirect=True, ids=["seldom"])
def test_news_is_followed(life):
    """By itself, for what changed since; and when that tells nothing new it is over."""
    life.make("A")
    life.go_to(3601)
    life.soon("A")
    life.make("B")
    before = life.server.connections
    for minute in (1, 2):
        life.go_to(3601 + 61 * minute)
        life.server.wait(lambda: before + minute in {c.connection for c in life.server.commands if c.name == "LIST"})
        wait_until(lambda: os.path.isdir(life.m.root / "B"), "what that LIST named is there")
    for minute in range(3, 8):
        life.go_to(3601 + 61 * minute)
    wait_until(lambda: rests(life.m), "it rests")
    assert life.server.connections == before + 2


def test_one_login_a_minute(life):
    """However much changes; and all that changed a minute ago is seen."""
    made = []
    life.soon()
    before = life.server.connections
    for second in range(5, 300, 5):
        life.go_to(second)
        life.make(f"N{second}")
        made.append((second, f"N{second}"))
        old = {name for at, name in made if at < second - MINUTE}
        wait_until(lambda: old <= life.listed(), f"listed: {old}")
        assert life.server.connections - before <= 1 + second // MINUTE
