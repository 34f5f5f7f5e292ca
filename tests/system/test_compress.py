# SPDX-License-Identifier: MIT
"""COMPRESS=DEFLATE: octets on the wire of a real Dovecot, and servers that will not."""
import itertools
import os
import random
import re

import mailgen
import mounting
import pytest
from servers import FakeImap, mount as fake_mount

SIZE, COUNT, MORE = 40_000, 120, 30
NOISE = [f"Noise{number}" for number in range(1, 7)]
DEFLATED = r"connection: .* data: .*, deflated\n"


def texts():
    """Mail that deflates to less than half."""
    mails = list(mailgen.messages(COUNT, size=SIZE, seed=11))
    line = b"All work and no play makes %d a dull mailbox.\r\n"
    return [mail._replace(body=mail.body.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" +
                          b"".join(line % (number * i % 9973) for i in range(900)))
            for number, mail in enumerate(mails, 1)]


@pytest.fixture(scope="module")
def mails():
    return texts()


@pytest.fixture(scope="module")
def server(start_server, mails):
    others = [mail._replace(mailbox="More") for mail in mails[:MORE]]
    others.append(mails[MORE]._replace(mailbox="Other"))
    return start_server(mails + others, rawlog=True)


@pytest.fixture(scope="module")
def noisy(server):
    """Mail that does not deflate, in several mailboxes."""
    rng = random.Random(5)
    octets = bytes(range(1, 10)) + bytes(range(14, 256))
    lines = [bytes(rng.choices(octets, k=900)) + b"\r\n" for _ in range(440)]
    bodies = [b"Subject: noise\r\n\r\n" + b"".join(rng.sample(lines, k=440)) for _ in range(18)]
    mails = [mailgen.Mail("Noise", body, 1300000000) for body in bodies]
    server.load(mail._replace(mailbox=mailbox) for mailbox in NOISE for mail in mails)
    return mails


def read_all(m, mails, mailbox="INBOX"):
    for uid, mail in enumerate(mails, 1):
        assert m.read(mailbox, uid) == mail.body


def status(m):
    return m.read(".imapfs", "status").decode()


def asked(server):
    return len(mounting.sent(server, b"COMPRESS"))


def test_on_and_off(mount, proxy, server, mails):
    line = proxy(server)
    octets = {}
    for mode in ("off", "on"):
        before = asked(server)
        m = mount(server, f"compress={mode}", port=line.port)
        line.ask("reset")
        read_all(m, mails)
        octets[mode] = line.received()
        assert bool(re.search(DEFLATED, status(m))) == (mode == "on")
        m.stop()
        assert (asked(server) > before) == (mode == "on")
    total = sum(len(mail.body) for mail in mails)
    assert octets["off"] > total
    assert octets["on"] < total / 2


def test_auto_on_a_slow_line(mount, proxy, server, mails):
    """Begins in the clear, and goes over once the line has shown what it is."""
    line = proxy(server)
    m = mount(server, port=line.port)
    # Far slower than any machine deflates.
    line.ask("rate 8")
    before = asked(server)
    read_all(m, mails)
    mounting.wait_until(lambda: re.search(DEFLATED, status(m)), "deflated")
    line.ask("reset")
    read_all(m, mails[:MORE], "More")
    assert line.received() < sum(len(mail.body) for mail in mails[:MORE]) / 2
    # What was learnt holds for connections to come.
    assert asked(server) > before
    before = asked(server)
    m.tolerate("connected again")
    server.kick()
    read_all(m, mails[MORE:MORE + 1], "Other")
    mounting.wait_until(lambda: asked(server) > before, "a new connection deflates")


def test_auto_gives_up(mount, proxy, server, noisy):
    """What cannot be deflated comes no faster: back to connections without."""
    line = proxy(server)
    m = mount(server, port=line.port)
    line.ask("rate 8")
    tried = False
    # How fast it comes is measured while it is read: a machine that is late itself needs more of it.
    for mailbox, uid in itertools.product(NOISE[:-1], range(1, len(noisy) + 1)):
        assert m.read(mailbox, uid) == noisy[uid - 1].body
        deflated = bool(re.search(DEFLATED, status(m)))
        tried |= deflated
        if tried and not deflated:
            break
    assert tried
    mounting.wait_until(lambda: not re.search(DEFLATED, status(m)), "connections without deflate")
    before = asked(server)
    read_all(m, noisy[:2], NOISE[-1])
    assert asked(server) == before and not re.search(DEFLATED, status(m))


@pytest.mark.parametrize("answer", [b"NO [COMPRESSIONACTIVE] TLS does it", b"BAD what?"])
def test_refused(answer):
    body = b"Subject: x\r\n\r\n" + b"x" * 1000
    with FakeImap({"INBOX": [body]}) as server:
        server.behaviour.capabilities += ("COMPRESS=DEFLATE",)
        server.rule("COMPRESS", reply=answer)
        with fake_mount(server, compress="on", says=["goes on without COMPRESS=DEFLATE, .* refused"]) as m:
            assert (m.root / "INBOX" / "1").read_bytes() == body
            assert "deflated" not in m.read(".imapfs", "status").decode()
            assert m.said().count("COMPRESS") == 1


def test_not_offered():
    with FakeImap({"INBOX": [b"Subject: x\r\n\r\n"]}) as server:
        with fake_mount(server, compress="on", says=["goes on without COMPRESS=DEFLATE, .* not offer"]) as m:
            assert os.listdir(m.root / "INBOX") == ["1"]
            assert m.said().count("COMPRESS") == 1
        assert not server.lines("COMPRESS")
