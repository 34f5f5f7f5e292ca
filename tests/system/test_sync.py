# SPDX-License-Identifier: MIT
"""What a look at a mailbox costs, and that it is right wherever it is cut off.

"In all" means with the mount: the handshake, the login and the list of mailboxes of two connections.
"""
import os
import random
import re

import pytest

import mailgen
from dovecot import Mail
from mounting import Proxy, wait_until
from fakeimap import Mailbox, Message
from programs import TOOLS
from servers import FakeImap, FakeMount

COUNT = 10_000
NO_PUSH = ("NOTIFY", "IDLE")
SERVERS = {"QRESYNC": (), "no CONDSTORE": ("CONDSTORE", "QRESYNC"), "no ESEARCH": ("CONDSTORE", "QRESYNC", "ESEARCH"),
           "CONDSTORE alone": ("QRESYNC", "ESEARCH")}
# Octets from the server for 10,000 messages, in all.
IN_ALL = 20_000
# What each change may cost beyond that: a row, and a range of UIDs.
EACH = 150
# A place in the mailbox that samples of it find: some rows of "* 1 FETCH (UID 1)".
PLACE = 24 * 40


def text(number):
    return b"Subject: number %d\r\n\r\nThis is message %d.\r\n" % (number, number)


@pytest.fixture(name="kind", params=SERVERS)
def fixture_kind(request):
    return request.param


@pytest.fixture(name="server")
def fixture_server(servers, kind):
    return servers(kind)


@pytest.fixture(name="servers", scope="module")
def fixture_servers(start_server):
    made = {}

    def get(kind):
        if kind not in made:
            made[kind] = start_server(hide=SERVERS[kind])
            made[kind].load_stream("Large", mailgen.messages(COUNT, size=600))
            made[kind].load([Mail(f"box{i}", text(n)) for i in range(12) for n in range(30)])
        return made[kind]
    return get


def change(server, mailbox, count):
    """Half of them deliveries, half expunges from all over the mailbox; one alone is an expunge."""
    gone = random.Random(count).sample(server.uids(mailbox), (count + 1) // 2)
    if gone:
        server.expunge(mailbox, gone)
    with server.client() as client:
        client.append(mailbox, [Mail(mailbox, text(i)) for i in range(count // 2)])


def names(server, mailbox):
    return [str(uid) for uid in server.uids(mailbox)]


@pytest.mark.limit(150)
def test_costs_what_changed(server, kind, mount, proxy, record_property):
    line = proxy(server)
    m = mount(server, port=line.port)
    assert os.listdir(m.path("Large")) == names(server, "Large")
    for count in (0, 1, 100):
        m.stop()
        change(server, "Large", count)
        line.ask("reset")
        m.start()
        listed = os.listdir(m.path("Large"))
        for name in listed[::500]:
            os.stat(m.path("Large", name))
        cost = line.ask("stats")
        assert listed == names(server, "Large")
        record_property(f"{count} changes", cost)
        print(kind, count, cost)
        allowed = IN_ALL + EACH * count + (PLACE * (count + 1) // 2 if "ESEARCH" in SERVERS[kind] else 0)
        assert cost["to_client"] < allowed
        assert cost["to_server"] < IN_ALL / 2 + EACH * count
        assert cost["round_trips"] < 40


def test_costs_nothing_while_mounted(server, mount, proxy):
    """A look at a mailbox where nothing changed is one question, and one that is told of is none."""
    line = proxy(server)
    m = mount(server, port=line.port)
    before = os.listdir(m.path("Large"))
    wait_until(lambda: b"watching: NOTIFY" in m.read(".imapfs", "status"), "watching")

    def cost(looks):
        """Each at the directory that is open: by its name the names of all would be asked for once in a second."""
        place = os.open(m.path("Large"), os.O_RDONLY)
        try:
            line.ask("reset")
            for _ in range(looks):
                directory = os.open(".", os.O_RDONLY, dir_fd=place)
                assert os.listdir(directory) == before
                os.close(directory)
            return line.received()
        finally:
            os.close(place)
    # What the first one began, and the connection that watches, may still have something to say.
    wait_until(lambda: cost(1) == 0, "all is said")
    assert cost(20) < 1000


@pytest.mark.limit(150)
@pytest.mark.parametrize("kind", ["QRESYNC", "no CONDSTORE", "no ESEARCH"])
def test_cut_anywhere(servers, kind, mount, proxy):
    """The line breaks after each so many octets of a check's answer: the list is right all the same."""
    server = servers(kind)
    line = proxy(server)
    m = mount(server, "connections=1", "refresh=3600", port=line.port)
    m.tolerate(r"localhost:\d+: |localhost: (connected again|the connection was lost)")
    for i in range(12):
        assert os.listdir(m.path(f"box{i}"))
    with server.client() as client:
        for turn, octets in enumerate(range(1, 1800, 60)):
            box = f"box{turn % 12}"
            client.select(box)
            uids = client.uids()
            client.store([uids[turn % len(uids)]], "+", ["\\Deleted"])
            client.uid_expunge([uids[turn % len(uids)]])
            added = client.append(box, [Mail(box, text(turn))])
            line.ask(f"cut-after {octets}")
            wanted = [str(uid) for uid in uids if uid != uids[turn % len(uids)]] + [str(uid) for uid in added]
            wait_until(lambda: os.listdir(m.path(box)) == wanted, f"the right list after a cut at {octets}", 30)
            line.ask("resume")
    m.restart()
    for i in range(12):
        assert os.listdir(m.path(f"box{i}")) == names(server, f"box{i}")


# What Dovecot does not do

BARE = ("IMAP4rev1",)
MANY = 20_000


def box_of(count):
    return Mailbox([Message(b"x" * (n % 7 + 1), uid=3 * n) for n in range(1, count + 1)])


def sampled(server):
    """How often samples of sequence numbers were asked for, and lists of all UIDs."""
    return sum(line.endswith("(UID)") for line in server.lines("FETCH")), server.names().count("UID SEARCH")


@pytest.mark.parametrize("gone", [[7777], [1, 5000, 5001, MANY], range(6000, 9000), range(1, MANY, 7)],
                         ids=["one", "four", "many in a row", "scattered"])
def test_vanished_without_extensions(gone, directory):
    """Some kB, not a list of all UIDs; but that where it is cheaper."""
    with FakeImap({"INBOX": box_of(MANY)}, capabilities=BARE) as server, \
            Proxy(os.path.join(TOOLS, "proxy"), directory, server.port) as line:
        real, server.port = server.port, line.port
        m = FakeMount(server, directory, connections=1)
        server.port = real
        with m:
            fake_lists(server, m)
        server.expunge("INBOX", *[3 * n for n in gone])
        line.ask("reset")
        with m:
            fake_lists(server, m)
        samples, lists = sampled(server)
        if len(gone) == len(range(1, MANY, 7)):
            assert (samples, lists) == (1, 1)
            return
        assert lists == 0 and samples <= 5
        assert line.received() < 12_000
        with m:
            fake_lists(server, m)
        assert sampled(server) == (samples, 0)


def expunge_two(server):
    """A rule's octets: another two go, and the session is told."""
    def news(session):
        messages = server.mailbox("INBOX").messages
        server.expunge("INBOX", messages[2].uid, messages[len(messages) // 2].uid)
        session.news()
        return b""
    return news


def add_two(server):
    def news(session):
        server.append("INBOX", b"more")
        server.append("INBOX", b"and more")
        session.news()
        return b""
    return news


@pytest.mark.parametrize("place", ["middle", "before_ok", "after"])
@pytest.mark.parametrize("times", [1, 9])
@pytest.mark.parametrize("what", [expunge_two, add_two], ids=["expunged", "delivered"])
def test_vanished_while_looking(what, times, place, directory):
    """Sequence numbers move between the samples, or, against the rules, in the answer."""
    with FakeImap({"INBOX": box_of(2000)}, capabilities=BARE) as server:
        m = FakeMount(server, directory, connections=1)
        with m:
            fake_lists(server, m)
        server.expunge("INBOX", 300, 3003, 3006)
        server.rule("FETCH", times=times, **{place: what(server)})
        with m:
            fake_lists(server, m)
        assert sampled(server)[0] > 0


LIES = {
    "no": {"reply": b"NO some of them are no more"}, "bad": {"reply": b"BAD what"}, "nothing": {"raw": b"{tag} OK\r\n"},
    "unknown UID": {"raw": b"* 30 FETCH (UID 1)\r\n{tag} OK\r\n"},
    "descending": {"raw": b"".join(b"* %d FETCH (UID %d)\r\n" % (n, 6000 - 3 * n) for n in range(1, 1999)) +
                          b"{tag} OK\r\n"},
    "one missing": {"before": b"".join(b"* %d FETCH (UID %d)\r\n" % (n, 3 * n + 3) for n in range(1, 1999))},
}


@pytest.mark.parametrize("lie", LIES)
def test_vanished_and_odd_answers(lie, directory):
    """What makes no sense proves nothing: the list of all UIDs does."""
    with FakeImap({"INBOX": box_of(2000)}, capabilities=BARE) as server:
        m = FakeMount(server, directory, says=None, connections=1)
        with m:
            fake_lists(server, m)
        server.expunge("INBOX", 3000)
        server.rule("FETCH", **LIES[lie])
        with m:
            fake_lists(server, m)
        assert server.names().count("UID SEARCH") == 1


def rows_but(*uids):
    """A rule's octets: rows for all messages from a set's first on, but these."""
    def rows(session):
        first = int(re.search(rb"FETCH (\d+):", session.line)[1])
        return b"".join(b'* %d FETCH (UID %d RFC822.SIZE %d INTERNALDATE "%s")\r\n' % (
            number, m.uid, len(m.body), m.date) for number, m in enumerate(session.view, 1)
            if m.uid >= first and m.uid not in uids) + b"{tag} OK done\r\n"
    return rows


@pytest.mark.parametrize("gone", [[], [300], [300, 5997], [300, 6000], range(3000, 3300, 3)],
                         ids=["none", "one", "two", "the last", "many"])
@pytest.mark.parametrize("hidden", [[6001], [6002], [6003], [6001, 6002, 6003]], ids=["first", "middle", "last", "all"])
def test_new_without_a_row(gone, hidden, directory):
    """There are as many as with another that vanished: the one is shown, the other not."""
    with FakeImap({"INBOX": box_of(2000)}, capabilities=BARE) as server:
        m = FakeMount(server, directory, connections=1)
        with m:
            fake_lists(server, m)
        server.expunge("INBOX", *gone)
        for _ in range(3):
            server.append("INBOX", b"more")
        server.rule("UID FETCH", match=rb":\* .*RFC822.SIZE", raw=rows_but(*hidden))
        for _ in range(2):
            with m:
                assert os.listdir(m.root / "INBOX") == [str(message.uid) for message in server.mailbox("INBOX").messages]


COURIER = ("IMAP4rev1", "UIDPLUS", "CHILDREN", "NAMESPACE")


def fake_lists(server, m, box="INBOX"):
    def right():
        return os.listdir(m.root / box) == [str(message.uid) for message in list(server.mailbox(box).messages)]
    wait_until(right, f"the list of {box} is the server's")


def test_no_uidnext(tmp_path):
    """As Courier's SELECT: STATUS, or the last UID, tell what is new."""
    with FakeImap({"INBOX": [text(i) for i in range(9)], "Other": [text(1)]}, capabilities=COURIER, delimiter=b".",
                  omit_uidnext=True) as server:
        for _ in range(2):
            with FakeMount(server, str(tmp_path), says=None, refresh=1) as m:
                fake_lists(server, m)
                server.append("INBOX", text(20))
                fake_lists(server, m)
                server.expunge("INBOX", server.mailbox("INBOX").messages[2].uid)
                fake_lists(server, m)
                last = server.mailbox("INBOX").messages[-1].uid
                server.expunge("INBOX", last)
                uid = server.append("INBOX", text(21))
                fake_lists(server, m)
                assert (m.root / "INBOX" / str(uid)).read_bytes() == text(21)
            server.expunge("INBOX", server.mailbox("INBOX").messages[1].uid)
            server.append("INBOX", text(22))


@pytest.mark.parametrize("capabilities", [COURIER, COURIER + ("IDLE", "ESEARCH", "LIST-EXTENDED", "LIST-STATUS")],
                         ids=["few", "more"])
def test_cut_at_every_line(capabilities, directory):
    """Of a scripted server's answers, to the octet before and behind each end of a line."""
    boxes = {"INBOX": [text(1)], **{f"box{i}": [text(n) for n in range(9)] for i in range(12)}}
    with FakeImap(boxes, capabilities=capabilities) as server, \
            Proxy(os.path.join(TOOLS, "proxy"), directory, server.port) as line:
        real, server.port = server.port, line.port
        with FakeMount(server, directory, says=None, refresh=3600, connections=1) as m:
            server.port = real
            for name in boxes:
                fake_lists(server, m, name)
            for turn, octets in enumerate(range(1, 1200, 17)):
                box = f"box{turn % 12}"
                messages = server.mailbox(box).messages
                server.expunge(box, messages[turn % len(messages)].uid)
                server.append(box, text(turn))
                line.ask(f"cut-after {octets}")
                fake_lists(server, m, box)
                line.ask("resume")


def test_cut_in_samples(directory):
    """At each few octets of what finds the one message that vanished of many."""
    boxes = {f"box{i}": box_of(2000) for i in range(6)}
    with FakeImap(boxes, capabilities=BARE) as server, \
            Proxy(os.path.join(TOOLS, "proxy"), directory, server.port) as line:
        real, server.port = server.port, line.port
        with FakeMount(server, directory, says=None, refresh=3600, connections=1) as m:
            server.port = real
            for name in boxes:
                fake_lists(server, m, name)
            for turn, octets in enumerate(range(20, 4800, 160)):
                box = f"box{turn % 6}"
                server.expunge(box, server.mailbox(box).messages[turn * 50].uid)
                line.ask(f"cut-after {octets}")
                fake_lists(server, m, box)
                line.ask("resume")
            assert sampled(server)[0] > 60 and sampled(server)[1] == 0


@pytest.mark.parametrize("ahead", [0, 5])
@pytest.mark.parametrize("count", [100, 2000])
def test_highestmodseq_ahead(count, ahead, directory):
    """As Gmail's: it counts what is told only later, so the next VANISHED leaves it out. The count tells."""
    with FakeImap({"INBOX": box_of(count)}, capabilities=BARE + ("ENABLE", "CONDSTORE", "QRESYNC"),
                  modseq_ahead=ahead) as server:
        m = FakeMount(server, directory, connections=1)
        for turn in range(3):
            with m:
                fake_lists(server, m)
            server.expunge("INBOX", 30 * turn + 30)
            server.append("INBOX", b"new")
            server.expunge("INBOX", server.mailbox("INBOX").messages[-1].uid)
        with m:
            fake_lists(server, m)
        assert sum(b"(QRESYNC (" in c.line for c in server.commands) == 3
        assert (sampled(server)[count == 100] > 0) == (ahead > 0)
