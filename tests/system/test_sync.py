"""What a look at a mailbox costs, and that it is right wherever it is cut off.

"In all" means with the mount: the handshake, the login and the list of mailboxes of two connections.
"""
import os
import random

import pytest

import mailgen
from conftest import TOOLS
from dovecot import Mail
from mounting import Proxy, wait_until
from servers import FakeImap, FakeMount

COUNT = 10_000
NO_PUSH = ("NOTIFY", "IDLE")
SERVERS = {"QRESYNC": (), "no CONDSTORE": ("CONDSTORE", "QRESYNC"), "no ESEARCH": ("CONDSTORE", "QRESYNC", "ESEARCH")}
# Octets from the server for 10,000 messages, in all.
IN_ALL = 20_000
# What each change may cost beyond that: a row, and a range of UIDs.
EACH = 150
# A list of all UIDs, where there is no other way to learn what vanished.
UIDS = COUNT * 6


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
        allowed = IN_ALL + EACH * count + (UIDS if kind == "no ESEARCH" and count else 0)
        assert cost["to_client"] < allowed
        assert cost["to_server"] < IN_ALL / 2 + EACH * count
        assert cost["round_trips"] < 40


def test_costs_nothing_while_mounted(server, mount, proxy):
    """A look at a mailbox where nothing changed is one question, and one that is told of is none."""
    line = proxy(server)
    m = mount(server, port=line.port)
    before = os.listdir(m.path("Large"))
    wait_until(lambda: b"watching: NOTIFY" in m.read(".imapfs", "status"), "watching")
    line.ask("reset")
    for _ in range(20):
        assert os.listdir(m.path("Large")) == before
    assert line.received() < 1000


@pytest.mark.limit(150)
def test_cut_anywhere(servers, kind, mount, proxy):
    """The line breaks after each so many octets of a check's answer: the list is right all the same."""
    server = servers(kind)
    line = proxy(server)
    m = mount(server, "connections=1", "refresh=3600", port=line.port)
    m.tolerate(r"localhost:\d+: |localhost: connected again")
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

COURIER = ("IMAP4rev1", "UIDPLUS", "CHILDREN", "NAMESPACE")


def fake_lists(server, m, box="INBOX"):
    wanted = [str(message.uid) for message in server.mailbox(box).messages]
    wait_until(lambda: os.listdir(m.root / box) == wanted, f"the list is {wanted}")


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
