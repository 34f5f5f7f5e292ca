# SPDX-License-Identifier: MIT
"""Walks from mailbox to mailbox: what is asked for ahead of them, what that costs, and who bears it."""
import collections
import os
import re
import select
import threading

import pytest

from dovecot import Mail
from fakeimap import FakeImap, Message
from mounting import run, wait_until
from servers import FakeMount

LINES = {"EXAMINE", "SELECT", "UID FETCH", "STATUS", "LIST", "UID SEARCH", "NOOP"}


def boxes(count, size=3, empty=0):
    """Two levels; each with messages of its own UIDs, so that none can be taken for another's."""
    all_boxes = {"INBOX": [b"Subject: x\r\n\r\n"]}
    for i in range(count):
        name = f"d{i // 10:02}" if i % 10 == 0 else f"d{i // 10:02}/m{i:03}"
        all_boxes[name] = [Message(b"Subject: x\r\n\r\n", uid=1000 * (i + 1) + k) for k in range(size)]
    for i in range(empty):
        all_boxes[f"empty{i:03}"] = []
    return all_boxes


def cost(server, since=0):
    return collections.Counter(name for name in server.names()[since:] if name in LINES)


def has_next(server):
    """Whether the session that has read a command has met the next one already."""
    session = next(s for s in server.sessions if s.thread is threading.current_thread())
    return bool(session.input or select.select([session.sock], [], [], 0.02)[0])


def names(server):
    return {f"{name.decode()}/{message.uid}" for name, mailbox in server.account.mailboxes.items()
            for message in mailbox.messages}


def walk(m):
    found = run("find", m.point, "-type", "f").stdout.split("\n")
    return {os.path.relpath(path, m.point) for path in found if path and "/.imapfs" not in path}


@pytest.mark.parametrize("count", [60, 200])
def test_find(directory, slow, count):
    """Each mailbox costs one EXAMINE and one FETCH, empty ones cost nothing; all names are there."""
    with FakeImap(boxes(count, empty=20), hide=("IDLE",)) as server:
        m = FakeMount(server, directory, **slow)
        with m:
            assert walk(m) == names(server)
            spent = cost(server)
            assert spent["EXAMINE"] <= count + 6 and spent["UID FETCH"] <= count + 12, spent
            assert not spent["STATUS"] and spent["LIST"] <= 3, spent


def telling(count, size=6, octets=0):
    """Mailboxes whose messages have the same UIDs and say where they are."""
    return {"INBOX": [], **{name: [Message(b"Subject: %s/%d\r\n\r\n" % (name.encode(), uid) + bytes(octets), uid=uid)
                                   for uid in range(1, size + 1)] for name in boxes(count) if name != "INBOX"}}


def read_all(m, check=True):
    """The names of all messages whose octets say that they are these."""
    found = run("grep", "-r", "-a", "^Subject:", m.point, "--exclude-dir=.imapfs", check=check).stdout.split("\n")
    said = [line.removesuffix("\r").partition(":Subject: ") for line in found if line]
    assert all(os.path.relpath(path, m.point) == words for path, _, words in said)
    return {words for _, _, words in said}


def test_read(directory, slow):
    """Who reads all costs one EXAMINE for each mailbox, one FETCH of its rows and one of its messages."""
    with FakeImap({**telling(100), "empty": []}, hide=("IDLE",)) as server:
        m = FakeMount(server, directory, **slow)
        with m:
            assert read_all(m) == names(server)
            spent = cost(server)
            assert spent["EXAMINE"] <= 100 + 15 and spent["UID FETCH"] <= 200 + 50, spent
        since = len(server.names())
        with m:
            assert read_all(m) == names(server)
            assert not cost(server, since)["UID FETCH"]


def test_read_refused(directory):
    """What a FETCH brings behind a refused EXAMINE is of another mailbox, and shows nowhere."""
    with FakeImap(telling(60), hide=("IDLE",)) as server:
        server.rule("EXAMINE", match=b"m03[3-5]", reply=b"NO not today")
        m = FakeMount(server, directory, says=["cannot select"])
        with m:
            assert read_all(m, check=False) == {name for name in names(server) if not re.search("m03[3-5]", name)}


@pytest.mark.parametrize("fault", [{"reply": b"OK nothing"}, {"reply": b"NO not now"}, {"drop": "rst", "times": 1}],
                         ids=["no data", "NO", "rst"])
def test_read_by_other_means(directory, fault):
    """What does not come along with the rows is asked for as if nothing had been."""
    with FakeImap(telling(40), hide=("IDLE",)) as server:
        along = server.rule("UID FETCH", match=rb"1:6 \(UID BODY", **fault)
        m = FakeMount(server, directory, says=["was lost"])
        with m:
            assert read_all(m) == names(server)
            assert along.hits > 0


def test_read_no_more(directory, slow):
    """Who goes on without reading has had no more than 1 MiB fetched in vain."""
    size, octets = 10, 20 << 10
    with FakeImap(telling(60, size, octets), hide=("IDLE", "COMPRESS=DEFLATE")) as server:
        m = FakeMount(server, directory, **slow)
        with m:
            for box in ("d00", "d00/m001"):
                for uid in range(1, size + 1):
                    assert m.read(box, uid).startswith(b"Subject: ")
            # What comes now, in the next one, nobody has foreseen.
            for _ in range(200):
                mailbox = server.account.mailboxes[b"d00/m002"]
                mailbox.add(Message(bytes(octets), uid=mailbox.uidnext))
            assert walk(m) == names(server)
            status = m.read(".imapfs", "status").decode()
            assert any("1:10 (UID BODY" in line for line in server.lines("UID FETCH"))
            assert int(re.search(r"^wire: (\d+) in", status, re.M)[1]) <= (1 << 20) + 2 * size * octets + (200 << 10)


def test_unchanged_after_remount(directory, slow):
    """LIST tells that nothing has changed: it is all that is asked."""
    with FakeImap(boxes(200, empty=20), hide=("IDLE",)) as server:
        m = FakeMount(server, directory, **slow)
        with m:
            assert walk(m) == names(server)
        since = len(server.names())
        with m:
            assert walk(m) == names(server)
            spent = cost(server, since)
            assert spent["EXAMINE"] == spent["UID FETCH"] == spent["STATUS"] == 0 and spent["LIST"] <= 2, spent


def test_again(directory, slow, world):
    """Where nothing tells of changes and the first checks are too old, the next mailboxes are asked for by STATUS."""
    with FakeImap(boxes(60), hide=("IDLE",)) as server:
        m = FakeMount(server, directory, refresh=3600, **slow)
        with m:
            assert walk(m) == names(server)
            world.wait(3)
            wait_until(lambda: re.search(rb"mailbox: d05/m059: .* checked [2-9] s ago", m.read(".imapfs", "status")),
                       "the checks are old")
            since = len(server.names())
            assert walk(m) == names(server)
            spent = cost(server, since)
            assert spent["EXAMINE"] <= 12 and spent["STATUS"] + spent["EXAMINE"] <= 75 and not spent["UID FETCH"], spent


def test_news_after_remount(directory, slow):
    """Each mailbox with something new costs one EXAMINE and one FETCH, as the first time."""
    with FakeImap(boxes(60, empty=20), hide=("IDLE",)) as server:
        m = FakeMount(server, directory, **slow)
        with m:
            assert walk(m) == names(server)
        for name, mailbox in server.account.mailboxes.items():
            if not name.startswith(b"empty"):
                mailbox.add(Message(b"Subject: new\r\n\r\n", uid=mailbox.uidnext))
        since = len(server.names())
        with m:
            assert walk(m) == names(server)
            spent = cost(server, since)
            assert spent["EXAMINE"] <= 66 and spent["UID FETCH"] <= 72 and spent["STATUS"] == 0, spent


def test_without_list_status(directory, slow):
    """STATUS of the next mailboxes is asked for ahead, and of empty ones nothing else."""
    with FakeImap(boxes(60, empty=20), hide=("IDLE", "LIST-STATUS")) as server:
        m = FakeMount(server, directory, **slow)
        with m:
            assert walk(m) == names(server)
            spent = cost(server)
            # Without any delay the walk overtakes now and then what is asked for ahead: that is asked for twice.
            assert spent["EXAMINE"] <= 60 + 30 and spent["UID FETCH"] <= 60 + 60 and spent["STATUS"] <= 90, spent


def test_refused(directory, slow):
    """NO to one EXAMINE costs that mailbox alone, and nothing of another shows in it."""
    with FakeImap(boxes(60), hide=("IDLE",)) as server:
        server.rule("EXAMINE", match=b"m033", reply=b"NO not today")
        m = FakeMount(server, directory, says=["cannot select"], **slow)
        with m:
            found = run("find", m.point, "-type", "f", check=False).stdout.split("\n")
            found = {os.path.relpath(path, m.point) for path in found if path and "/.imapfs" not in path}
            assert found == {name for name in names(server) if "m033" not in name}
            assert cost(server)["EXAMINE"] <= 70


@pytest.mark.parametrize("fault", [{"reply": b"BAD one at a time"}, {"drop": "fin"}, {"drop": "rst"}],
                         ids=["BAD", "fin", "rst"])
def test_not_borne(directory, fault):
    """A server that does not bear several at once is asked for one at a time, also after a remount."""
    with FakeImap(boxes(40), hide=("IDLE",)) as server:
        behind = server.rule("EXAMINE", **fault)
        takes = behind.takes
        behind.takes = lambda name, line: has_next(server) and takes(name, line)
        m = FakeMount(server, directory, says=["one mailbox at a time", "was lost"])
        with m:
            assert walk(m) == names(server)
            hits = behind.hits
            assert 0 < hits <= 16
        for mailbox in server.account.mailboxes.values():
            mailbox.add(Message(b"Subject: new\r\n\r\n", uid=mailbox.uidnext))
        with m:
            assert walk(m) == names(server)
            assert behind.hits == hits


def test_two_folders_by_hand(directory, slow):
    """Whoever opens two neighbours has a handful of rows fetched beside."""
    with FakeImap(boxes(60, size=40), hide=("IDLE",)) as server:
        m = FakeMount(server, directory, **slow)
        with m:
            for name in ("d01/m011", "d01/m012"):
                assert len(os.listdir(m.path(name))) == 40
            assert cost(server)["EXAMINE"] <= 5


def test_one_connection(directory):
    """One connection serves a walk and others: nobody waits for the end of the walk."""
    with FakeImap(boxes(120), hide=("IDLE",)) as server:
        m = FakeMount(server, directory, connections=1)
        with m:
            walkers = [threading.Thread(target=walk, args=(m,)) for _ in range(3)]
            for walker in walkers:
                walker.start()
            assert m.read("d11/m119/120000") == b"Subject: x\r\n\r\n"
            for walker in walkers:
                walker.join()
            assert walk(m) == names(server)


@pytest.mark.parametrize("backwards", [False, True])
def test_order_of_names(directory, slow, backwards):
    """As rsync walks, and the other way round."""
    flat = {f"x{i}": [Message(b"Subject: x\r\n\r\n", uid=1000 * (i + 1))] for i in range(60)}
    with FakeImap({"INBOX": [], **flat}, hide=("IDLE",)) as server:
        m = FakeMount(server, directory, **slow)
        with m:
            os.listdir(m.point)
            for name in sorted(flat, reverse=backwards):
                assert os.listdir(m.path(name)) == [str(flat[name][0].uid)]
            spent = cost(server)
            assert spent["EXAMINE"] <= 60 + 24 and spent["UID FETCH"] <= 60 + 30, spent


def test_real_server(start_server, mount):
    """What a walk lists, in either order, is what the server has."""
    server = start_server([Mail(f"w{i // 10}/m{i}", b"Subject: %d\r\n\r\n" % i, 1700000000)
                           for i in range(120) for _ in range(1 + i % 4)])
    m = mount(server)
    expected = {f"w{i // 10}/m{i}/{uid}" for i in range(120) for uid in range(1, 2 + i % 4)}
    assert {name for name in walk(m) if name.startswith("w")} == expected
    m.restart()
    copied = os.path.join(m.directory, "copy")
    run("rsync", "-a", "--exclude=.imapfs", m.point + "/", copied)
    listed = {os.path.relpath(os.path.join(top, name), copied) for top, _, files in os.walk(copied) for name in files}
    assert {name for name in listed if name.startswith("w")} == expected
