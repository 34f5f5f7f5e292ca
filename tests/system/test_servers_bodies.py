# SPDX-License-Identifier: MIT
"""Sizes and bodies as real servers send them: what is read is exactly the server's octets, or an error."""
import collections
import errno
import os
import re
import shutil
import subprocess

import pytest

from mounting import wait_until
from servers import FakeImap, FakeMount, errno_of, mount, noise

CHUNK = 256 << 10
BODIES = {
    1: b"Subject: small\r\n\r\nThis is small.\r\n",
    2: b"Subject: page\r\n\r\n" + b"p" * 4079,
    3: b"Subject: page and one\r\n\r\n" + noise(4072),
    4: b"x",
    5: noise(CHUNK),
    6: noise(CHUNK + 1),
    7: noise(700_001),
    8: b"",
    9: b"\0\0Subject: NUL\r\n\r\n\0" + b"\0" * 5000 + b"end\0",
}
FULL = {uid: body for uid, body in BODIES.items() if body}
LIAR = r"127\.0\.0\.1: the server states wrong sizes, such as "
UNREADABLE = r"warning: 127\.0\.0\.1: message \d+ of INBOX cannot be read: "
LIES = {
    "small": lambda uid, size: max(size - 37, 1),
    "half": lambda uid, size: size // 2 + 1,
    "one": lambda uid, size: 1,
    "page": lambda uid, size: size + 4096,
    "large": lambda uid, size: size + 37,
    "triple": lambda uid, size: size * 3 + 1000,
    "next-chunk": lambda uid, size: size + CHUNK,
    "zero": lambda uid, size: 0,
    "nil": lambda uid, size: b"NIL",
    "float": lambda uid, size: b"12.5",
    "negative": lambda uid, size: b"-2",
    "beyond-64-bit": lambda uid, size: b"99999999999999999999999",
}


def serve(bodies=BODIES, **flags):
    """The bodies, given by UID, in INBOX."""
    return FakeImap({"INBOX": list(bodies.values())}, **flags)


def cat(path):
    return subprocess.run(["cat", path], stdout=subprocess.PIPE, check=True).stdout


def check(m, bodies, how=cat):
    """Each message is read rightly, and then has its true size."""
    for uid, body in bodies.items():
        path = m.root / "INBOX" / str(uid)
        assert how(path) == body, f"message {uid}"
        assert path.stat().st_size == len(body), f"size of message {uid}"


def told_of_sizes(m):
    """What the status says of them."""
    return next(line for line in (m.root / ".imapfs" / "status").read_text().splitlines() if "sizes: " in line)


def body_fetches(server):
    """What was asked of bodies, in order."""
    return [line for line in server.lines("UID FETCH") if "BODY" in line]


@pytest.mark.parametrize("lie", LIES)
def test_wrong_size(lie):
    with serve(size=LIES[lie]) as server, mount(server) as m:
        os.listdir(m.root / "INBOX")
        check(m, FULL)


@pytest.mark.parametrize("lie", ["small", "large", "zero", "nil"])
def test_wrong_size_copied(lie, tmp_path):
    def copy(path):
        subprocess.run(["cp", path, tmp_path / "copy"], check=True)
        return (tmp_path / "copy").read_bytes()

    with serve(size=LIES[lie]) as server, mount(server) as m:
        check(m, FULL, copy)


@pytest.mark.parametrize("lie", ["small", "large"])
def test_true_size_is_kept(lie, tmp_path):
    with serve(size=LIES[lie]) as server:
        with mount(server, directory=tmp_path) as m:
            check(m, FULL)
        with mount(server, directory=tmp_path) as m:
            before = len(body_fetches(server))
            for uid, body in FULL.items():
                assert (m.root / "INBOX" / str(uid)).stat().st_size == len(body)
            check(m, FULL)
            assert not [line for line in body_fetches(server)[before:] if "FETCH 8 " not in line]


@pytest.mark.parametrize("lie", ["nil", "triple"])
@pytest.mark.parametrize("past_end", ["literal", "quoted", "nil", "nothing"])
def test_past_the_end(past_end, lie):
    with serve(size=LIES[lie], past_end=past_end) as server, mount(server) as m:
        check(m, FULL)


@pytest.mark.parametrize("again", [False, True], ids=["once", "and again"])
def test_end_unknown(again):
    """Neither its size nor its end can be had: no reader gets the beginning for all of it."""
    with serve(size=LIES["nil"]) as server, mount(server, says=[UNREADABLE]) as m:
        server.rule("UID FETCH", match=rb"FETCH 7 .*<26214\d\.", reply=b"NO cannot read it")
        path = m.root / "INBOX" / "7"
        for _ in range(1 + again):
            assert errno_of(path.read_bytes) == "EIO"
        server.rules.clear()
        wait_until(lambda: errno_of(path.read_bytes) is None, "the size that was shown is not believed any more")
        assert path.read_bytes() == BODIES[7]


@pytest.mark.parametrize("origin", ["missing", "full"])
def test_origin(origin):
    with serve(origin=origin) as server, mount(server) as m:
        check(m, BODIES)


@pytest.mark.parametrize("origin", ["missing", "full"])
def test_origin_read_backwards(origin):
    with serve(origin=origin) as server, mount(server) as m:
        body = BODIES[7]
        with open(m.root / "INBOX" / "7", "rb", buffering=0) as file:
            for at in range(len(body) // 100_000 * 100_000, -1, -100_000):
                assert os.pread(file.fileno(), 100_000, at) == body[at:at + 100_000]


@pytest.mark.parametrize("lie", [None, "small", "large", "nil"])
def test_partials_ignored(lie):
    with serve(ignore_partial=True, size=LIES.get(lie)) as server, mount(server, says=[UNREADABLE, LIAR]) as m:
        # Where neither an origin nor RFC822.SIZE tells, exactly one chunk may be a part or all of it.
        open_question = {5, 8} if lie else set()
        check(m, {uid: body for uid, body in BODIES.items() if uid not in open_question})
        for uid in open_question:
            path = m.root / "INBOX" / str(uid)
            assert errno_of(path.read_bytes) == "EIO" or path.read_bytes() == BODIES[uid]


@pytest.mark.parametrize("order", ["uid-last", "split"])
def test_order_of_items(order):
    with serve(fetch_order=order) as server, mount(server) as m:
        check(m, BODIES)


@pytest.mark.parametrize("shape", ["quoted", "literal8"])
def test_shapes(shape):
    bodies = {1: BODIES[1].replace(b"\r\n", b" "), 2: b'say "\\"', 3: b"y" * 70_000}
    with serve(bodies, body=shape) as server, mount(server) as m:
        check(m, bodies)


def test_nul():
    bodies = {1: b"\0", 2: b"\0" * 4096, 3: b"a\0\r\n\0b" * 60_000, 4: b"\r", 5: b"\n", 6: b"\r\n" * 200_000}
    with serve(bodies) as server, mount(server) as m:
        check(m, bodies)


def test_no_data():
    """OK without data, however often: no proof of anything. The message stays, as one that cannot be read."""
    with serve(body={2: "missing"}) as server, mount(server, sizes="trust", says=[UNREADABLE]) as m:
        inbox = m.root / "INBOX"
        os.listdir(inbox)
        assert errno_of((inbox / "2").read_bytes) == "EIO"
        check(m, {uid: body for uid, body in BODIES.items() if uid != 2})
        assert "2" in os.listdir(inbox)
        fetches = [c for c in server.commands if b"FETCH 2 (UID BODY" in c.line]
        again = [c.name for c in server.commands if fetches[0].time < c.time < fetches[1].time
                 and c.connection == fetches[0].connection]
        assert again == ["NOOP"]
        anew = [c.name for c in server.commands if fetches[1].time < c.time < fetches[2].time
                and c.connection == fetches[2].connection]
        assert anew[-1] == "EXAMINE"


STUMBLES = ["missing", "nil", "literal", "quoted"]
EDGES = {1: b"Subject: small\r\n\r\n", 2: noise(CHUNK - 1), 3: noise(CHUNK), 4: noise(CHUNK + 1), 5: noise(400_000),
         6: noise(2 * CHUNK), 7: noise(3 * CHUNK), 8: noise(3 * CHUNK + 1), 9: noise(1_400_000)}


class Stumbling:
    """A server that answers without octets to the k-th question for each message: a file that it cannot
    open for a moment."""

    def __init__(self, shape, which):
        self.shape, self.which, self.asked = shape, which, collections.Counter()

    def __call__(self, uid, partial):
        self.asked[uid] += 1
        if self.asked[uid] not in self.which:
            return "literal"
        return {"literal": "none", "quoted": "none-quoted"}.get(self.shape, self.shape)


@pytest.mark.parametrize("which", [{1}, {2}, {3}, {1, 2}, {2, 4}], ids=str)
@pytest.mark.parametrize("shape", STUMBLES)
@pytest.mark.parametrize("sizes", ["auto", "verify"])
def test_stumbles(sizes, shape, which, tmp_path):
    """The octets are right all the same, the sizes too, and the server is no liar for it."""
    with serve(EDGES, body=Stumbling(shape, which)) as server, mount(server, sizes=sizes) as m:
        check(m, EDGES)
        assert "some are wrong" not in told_of_sizes(m)


@pytest.mark.parametrize("shape", STUMBLES)
def test_no_octets_of_the_rest(shape, tmp_path):
    """The first 256 KiB come, the rest never does: an error, each time, and not a shorter file; once the
    rest comes it is read."""
    def body(uid, partial):
        if broken and partial and partial[0] + partial[1] > CHUNK + 1:
            return {"literal": "none", "quoted": "none-quoted"}.get(shape, shape)
        return "literal"

    broken = True
    with serve({1: EDGES[5], 2: EDGES[6]}, body=body) as server:
        for _ in range(2):
            with mount(server, directory=tmp_path, says=[UNREADABLE]) as m:
                for uid in (1, 2):
                    path = m.root / "INBOX" / str(uid)
                    assert errno_of(path.read_bytes) == "EIO"
                    assert path.stat().st_size == len(EDGES[uid + 4])
                assert "some are wrong" not in told_of_sizes(m)
        broken = False
        with mount(server, directory=tmp_path) as m:
            check(m, {1: EDGES[5], 2: EDGES[6]})


@pytest.mark.parametrize("past_end", ["literal", "quoted", "nil", "nothing"])
@pytest.mark.parametrize("lie", [None, "large", "next-chunk", "small", "nil", "zero"])
def test_edges(past_end, lie):
    with serve(EDGES, size=LIES.get(lie), past_end=past_end) as server, mount(server) as m:
        check(m, EDGES)


def test_edges_of_partials_ignored():
    with serve(EDGES, ignore_partial=True) as server, mount(server) as m:
        check(m, EDGES)


def test_edge_costs_no_turn():
    """A message that ends with a window needs no other question."""
    with serve({1: EDGES[3]}) as server, mount(server) as m:
        check(m, {1: EDGES[3]})
        assert len([line for line in body_fetches(server) if "<0." in line]) == 1
        assert not [line for line in body_fetches(server) if f"<{CHUNK}." in line]


@pytest.mark.parametrize("said", [0, 1, 5000])
def test_message_of_0_octets(said):
    """Read as empty where the server says so in both ways, else not at all."""
    with serve({1: b"x", 2: b"", 3: b"y"}, size=lambda uid, size: said if uid == 2 else size) as server:
        with mount(server, says=[UNREADABLE]) as m:
            path = m.root / "INBOX" / "2"
            if said == 0:
                assert path.read_bytes() == b"" and path.stat().st_size == 0
            else:
                assert errno_of(path.read_bytes) == "EIO"
            check(m, {1: b"x", 3: b"y"})


def test_no_data_once():
    state = {"given": 0}

    def body(uid, partial):
        state["given"] += uid == 2
        return "missing" if uid == 2 and state["given"] == 1 else "literal"

    with serve(body=body) as server, mount(server) as m:
        check(m, BODIES)


def test_no_data_because_expunged():
    """Expunged while nobody was told: the name goes too."""
    with serve() as server, mount(server) as m:
        inbox = m.root / "INBOX"
        assert len(os.listdir(inbox)) == len(BODIES)
        server.rule("UID FETCH", match=rb"FETCH 2 \(UID BODY", raw=b"{tag} OK nothing\r\n")
        server.expunge("INBOX", 2)
        assert errno_of((inbox / "2").read_bytes) in ("ESTALE", "ENOENT")
        wait_until(lambda: errno_of((inbox / "2").read_bytes) == "ENOENT", "the kernel has forgotten the name")
        assert "2" not in os.listdir(inbox)
        check(m, {uid: body for uid, body in BODIES.items() if uid != 2})


def test_refused_message():
    with serve(body={2: "no", 7: "no"}) as server, mount(server, says=[UNREADABLE + "the server refuses"]) as m:
        for uid in (2, 7):
            assert errno_of((m.root / "INBOX" / str(uid)).read_bytes) == "EIO"
        check(m, {uid: body for uid, body in BODIES.items() if uid not in (2, 7)})
        assert sorted(os.listdir(m.root / "INBOX"), key=int) == [str(uid) for uid in BODIES]


def test_refused_whole_listing():
    """A server that says NO to a FETCH of everything because of one message: the others are listed."""
    with serve() as server:
        server.rule("UID FETCH", match=rb"RFC822.SIZE", times=1, status=b"NO [SERVERBUG] some are damaged")
        with mount(server, says=None) as m:
            check(m, BODIES)


@pytest.mark.parametrize("reply", [b"NO [LIMIT] too much for now", b"NO [THROTTLED] slow down",
                                   b"NO Some text [THROTTLED]"])
def test_throttled_body(reply):
    with serve() as server, mount(server) as m:
        os.listdir(m.root / "INBOX")
        rule = server.rule("UID FETCH", match=rb"BODY", times=1, reply=reply)
        check(m, {1: BODIES[1], 7: BODIES[7]})
        assert rule.hits == 1


def test_limit_and_bye():
    """As Yahoo does: NO [LIMIT], then BYE; later it works."""
    state = {"given": 0}

    def body(uid, partial):
        state["given"] += 1
        return "limit" if state["given"] == 1 else "literal"

    with serve(body=body) as server, mount(server, says=None, timeout=20) as m:
        check(m, BODIES)
        assert server.connections > 1


def test_nil():
    """NIL is no data, and no empty file either."""
    with serve(body={2: "nil"}) as server, mount(server, says=[UNREADABLE]) as m:
        assert errno_of((m.root / "INBOX" / "2").read_bytes) in ("EIO", "ESTALE")
        check(m, {uid: body for uid, body in BODIES.items() if uid != 2})


@pytest.mark.parametrize("lie", [None, "nil"])
def test_nil_for_all(lie):
    with serve(body="nil", size=LIES.get(lie)) as server, mount(server, says=[UNREADABLE]) as m:
        for uid in BODIES:
            if uid != 8:  # empty, and where its size says so there is nothing to ask for
                path = m.root / "INBOX" / str(uid)
                assert errno_of(path.read_bytes) in ("EIO", "ESTALE"), uid


@pytest.mark.parametrize("with_size", [False, True])
@pytest.mark.parametrize("delta", [-5, -2, 1, 20])
def test_wrong_literal_length(delta, with_size):
    """Framing is lost: an error for that message, never octets that are not its own."""
    wrong = {3: BODIES[3]}
    lie = (lambda uid, size: size + delta if uid in wrong else size) if with_size else None
    with serve(literal_delta={uid: delta for uid in wrong}, size=lie) as server:
        with mount(server, says=None, timeout=4) as m:
            for uid in wrong:
                with open(m.root / "INBOX" / str(uid), "rb", buffering=0) as file:
                    got, error = read_all(file.fileno())
                assert wrong[uid].startswith(got), f"wrong octets of message {uid}"
                assert error in ("EIO", "ETIMEDOUT", "ENETDOWN"), uid
            check(m, {uid: body for uid, body in BODIES.items() if uid not in wrong})


def read_all(fd, size=4096):
    """All octets until the end or an error, and that error."""
    got = b""
    while True:
        try:
            octets = os.read(fd, size)
        except OSError as error:
            return got, errno.errorcode[error.errno]
        if not octets:
            return got, None
        got += octets


LARGE = noise(3 << 20)


def start_reading(m, server):
    """An open large message of which the start was read, expunged since."""
    file = open(m.root / "INBOX" / "1", "rb", buffering=0)
    assert os.read(file.fileno(), 1000) == LARGE[:1000]
    return file


def assert_stale(file):
    got, error = read_all(file.fileno(), 65536)
    assert error == "ESTALE"
    assert LARGE[1000:].startswith(got)


def test_expunged_while_read():
    with serve({1: LARGE, 2: b"other"}) as server, mount(server) as m:
        with start_reading(m, server) as file:
            server.expunge("INBOX", 1)
            assert_stale(file)
        assert os.listdir(m.root / "INBOX") == ["2"]
        assert (m.root / "INBOX" / "2").read_bytes() == b"other"


@pytest.mark.parametrize("answer", [b"", b"* 1 FETCH (UID 1 BODY[]<%d> NIL)\r\n", b'* 1 FETCH (UID 1 BODY[]<%d> "")\r\n',
                                    b"* 1 FETCH (UID 1 BODY[]<%d> {0}\r\n)\r\n", b"* 1 FETCH (UID 1)\r\n"])
def test_expunged_while_read_and_told_late(answer):
    """The rest is answered as if it were past the end; only NOOP tells that the message has gone."""
    def raw(session):
        line = session.line
        offset = int(line.split(b"<")[1].split(b".")[0])
        return (answer % offset if b"%d" in answer else answer) + b"{tag} OK done\r\n"

    with serve({1: LARGE, 2: b"other"}) as server, mount(server) as m:
        with start_reading(m, server) as file:
            server.rule("UID FETCH", match=rb"FETCH 1 \(UID BODY", raw=raw)
            server.expunge("INBOX", 1)
            assert_stale(file)
        assert os.listdir(m.root / "INBOX") == ["2"]


@pytest.mark.parametrize("answer", [b"NO [NONEXISTENT] gone", b"NO Some messages could not be fetched",
                                    b"NO [EXPUNGEISSUED] some are gone"])
def test_expunged_while_read_and_refused(answer):
    with serve({1: LARGE, 2: b"other"}) as server, mount(server, says=[UNREADABLE]) as m:
        with start_reading(m, server) as file:
            server.rule("UID FETCH", match=rb"FETCH 1 \(UID BODY", reply=answer)
            got, error = read_all(file.fileno(), 65536)
        assert error in ("ESTALE", "EIO") and LARGE[1000:].startswith(got)


def test_connection_lost_while_read():
    """Cut at several places of a body: the reader sees nothing of it."""
    with serve({1: LARGE}, disconnect_after=400_000, disconnect_times=2) as server:
        with mount(server, says=None, timeout=20) as m:
            check(m, {1: LARGE})
            assert server.connections > 2


def test_only_peek():
    """Nothing read is marked, and no other section is ever asked for."""
    with serve() as server, mount(server) as m:
        check(m, BODIES)
        shutil.copytree(m.root / "INBOX", os.path.join(m.directory, "copy"))
        assert all("BODY.PEEK[]" in line for line in server.lines("UID FETCH") if "BODY" in line)
        assert not any("\\Seen" in line for line in server.lines())
        assert not any(m.flags for m in server.mailbox("INBOX").messages)


def test_cat_beside_a_copy():
    """While what is read ahead keeps its connection busy, one message costs two round trips elsewhere."""
    bodies = {uid: b"Subject: %d\r\n\r\n" % uid + noise(20000) for uid in range(1, 301)}
    with serve(bodies) as server, mount(server, says=None, refresh=3600) as m:
        names = sorted(os.listdir(m.root / "INBOX"), key=int)
        bulk = server.rule("UID FETCH", match=rb"\d[,:]\d.*<0\.\d", stall=True, times=1)
        for name in names[:3]:
            assert (m.root / "INBOX" / name).read_bytes() == bodies[int(name)]
        wait_until(lambda: bulk.hits, "a batch is under way")
        wait_until(lambda: b"data: ready, 0 tasks" in m.read(".imapfs", "status"), "another connection is ready")
        before = len(server.commands)
        assert cat(m.root / "INBOX" / "290") == bodies[290]
        spare = [c for c in list(server.commands)[before:] if c.name in ("EXAMINE", "UID FETCH")]
        assert [c.name for c in spare] == ["EXAMINE", "UID FETCH"] and b"290" in spare[1].line
        assert len({c.connection for c in spare}) == 1
        bulk.release()


def test_spread_over_connections():
    """A server that holds each connection back: read-ahead takes one more, and leaves one for others."""
    bodies = {uid: b"Subject: %d\r\n\r\n" % uid + bytes(100000) for uid in range(1, 151)}
    with serve(bodies, rate=1e6) as server, mount(server, says=None, refresh=3600) as m:
        for uid in sorted(os.listdir(m.root / "INBOX"), key=int):
            assert (m.root / "INBOX" / uid).read_bytes() == bodies[int(uid)]
        fetches = collections.Counter(c.connection for c in list(server.commands)
                                      if c.name == "UID FETCH" and re.search(rb"[,:]\d.*BODY.PEEK\[\]<0\.", c.line))
        assert len(fetches) == 2, fetches


def await_all_of(octets):
    """A rule's action: what is behind those that are asked for now is asked for before they come."""
    def wait(session):
        asked = [session.line]
        session.sock.settimeout(20)
        while sum(map(int, re.findall(rb"<\d+\.(\d+)>", b"".join([*asked, session.input])))) < octets:
            session.input += session.sock.recv(65536)
        session.sock.settimeout(None)
    return wait


def test_large_message_in_one_go():
    """Who reads from the start with large reads has all of it asked for before the first octet comes."""
    body = noise(6 << 20)
    with serve({1: body}, hide=("IDLE",)) as server, mount(server, says=None, refresh=3600) as m:
        def turns():
            status = m.read(".imapfs", "status").decode()
            return int(re.search(r"data: ready, INBOX, .* (\d+) turns", status)[1])
        os.listdir(m.root / "INBOX")
        (m.root / "INBOX" / "1").stat()
        first = server.rule("UID FETCH", match=rb"<0\.", action=await_all_of(len(body)))
        before = turns()
        assert cat(m.root / "INBOX" / "1") == body
        assert turns() == before + 1 and first.hits == 1
        asked = sum(int(line.rpartition(".")[2].partition(">")[0]) for line in body_fetches(server))
        assert asked < len(body) + 2 * CHUNK


def test_large_message_and_a_slow_disk(directory, world):
    """To find that the cache does not have it takes longer than is waited for: all the same what is read first is
    asked for first."""
    body = noise(6 << 20)
    with serve({1: body}, hide=("IDLE",)) as server:
        m = FakeMount(server, directory, says=None, refresh=3600)
        m.environment.update(world.environment)
        with m:
            (m.root / "INBOX" / "1").stat()  # which brings the first octets, so that the cache is written to
            before = len(body_fetches(server))
            world.slow_disk(0.02)
            assert cat(m.root / "INBOX" / "1") == body
            world.slow_disk(0)
        offsets = [int(line.partition("<")[2].partition(".")[0]) for line in body_fetches(server)[before:]]
        # Some requests of the kernel pass each other.
        assert len(offsets) > 1 and all(max(offsets[:i + 1]) - at < 2 * CHUNK for i, at in enumerate(offsets)), offsets


@pytest.mark.parametrize("size", [40_000, CHUNK - 77])
def test_first_cat(size):
    """The path is known and nothing was listed: all of the message comes with one turn, and its true size. The rows of
    the others come behind that."""
    bodies = {uid: noise(size + uid) for uid in range(1, 200)}
    with serve(bodies, hide=("IDLE",)) as server, mount(server, sizes="auto", refresh=3600) as m:
        since, other = len(server.names()), server.rule("NOOP", stall=True, times=1)
        assert cat(m.root / "INBOX" / "77") == bodies[77]
        wait_until(lambda: other.hits, "the check goes on")
        assert server.names()[since:] == ["EXAMINE", "UID FETCH", "UID FETCH", "NOOP"]
        assert all(" FETCH 77 (" in line for line in server.lines("UID FETCH"))
        other.release()
        assert sorted(os.listdir(m.root / "INBOX")) == sorted(map(str, bodies))
        check(m, {uid: bodies[uid] for uid in (1, 77, 199)})


@pytest.mark.parametrize("size", [CHUNK, CHUNK + 1, 700_001])
def test_first_cat_of_a_large_one(size):
    """What comes along of a message that is larger is not asked for again."""
    with serve({1: b"x", 2: noise(size)}) as server, mount(server, sizes="auto", refresh=3600) as m:
        check(m, {2: noise(size)})
        assert len([line for line in body_fetches(server) if "<0." in line and " 2 " in line]) == 1


@pytest.mark.parametrize("lie", ["one", "small", "large", "zero", "nil"])
def test_first_cat_wrong_size(lie):
    """What the server says of the size is wrong, and nothing else is known yet."""
    with serve(size=LIES[lie]) as server, mount(server, sizes="auto", says=None) as m:
        for uid in (3, 7):
            check(m, {uid: BODIES[uid]})
        check(m, FULL)
