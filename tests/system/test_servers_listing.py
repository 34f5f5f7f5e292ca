# SPDX-License-Identifier: MIT
"""Names, numbers and listings as real servers send them: everything that can be understood is shown."""
import calendar
import os
import pathlib

import pytest

from mounting import run, wait_until
from programs import PROGRAM
from servers import FakeImap, errno_of, mount, uids
from fakeimap import CAPABILITIES, Mailbox, Message

COUNT = 60
BODIES = [b"Subject: %d\r\n\r\n" % n + b"x" * n for n in range(1, COUNT + 1)]
ALL = list(range(1, COUNT + 1))


def check(m, name="INBOX", wanted=tuple(ALL)):
    directory = m.root / name
    assert uids(directory) == list(wanted)
    for uid in list(wanted)[::7]:
        assert (directory / str(uid)).read_bytes() == BODIES[uid - 1]
        assert (directory / str(uid)).stat().st_size == len(BODIES[uid - 1])


# SELECT

@pytest.mark.parametrize("flags", [
    {"omit_uidnext": True}, {"omit_uidvalidity": True}, {"uidvalidity": lambda name, n: 0},
    {"omit_uidnext": True, "omit_uidvalidity": True}, {"hide": ("ESEARCH", "LIST-STATUS", "LIST-EXTENDED")},
], ids=["no-uidnext", "no-uidvalidity", "uidvalidity-0", "neither", "no-extensions"])
def test_select(flags, tmp_path):
    with FakeImap({"INBOX": BODIES}, **flags) as server:
        for _ in range(2):
            with mount(server, directory=tmp_path) as m:
                check(m)


@pytest.mark.parametrize("flags", [{"omit_uidvalidity": True}, {"uidvalidity": lambda name, n: 0}])
def test_without_uidvalidity_nothing_is_kept(flags, tmp_path):
    """Without it nothing says that UID 1 of tomorrow is the message of today."""
    with FakeImap({"INBOX": [b"before"]}, **flags) as server:
        with mount(server, directory=tmp_path) as m:
            assert (m.root / "INBOX" / "1").read_bytes() == b"before"
        server.mailbox("INBOX").messages[0].body = b"after!!"
        with mount(server, directory=tmp_path) as m:
            assert (m.root / "INBOX" / "1").read_bytes() == b"after!!"


def test_uidvalidity_changed(tmp_path):
    """Across mounts: the same numbers are other messages."""
    state = {"value": 7}
    with FakeImap({"INBOX": [b"before", b"two"]}, uidvalidity=lambda name, n: state["value"]) as server:
        with mount(server, directory=tmp_path) as m:
            assert (m.root / "INBOX" / "1").read_bytes() == b"before"
            inode = (m.root / "INBOX" / "1").stat().st_ino
        state["value"] = 8
        server.mailbox("INBOX").messages[0].body = b"after!"
        with mount(server, directory=tmp_path, says=[r"UIDVALIDITY of INBOX changed"]) as m:
            os.listdir(m.root)
            errno_of(os.listdir, m.root / "INBOX")  # may be the call that finds out: ESTALE
            assert (m.root / "INBOX" / "1").read_bytes() == b"after!"
            assert (m.root / "INBOX" / "1").stat().st_ino != inode


def test_uidvalidity_changed_while_open():
    state = {"value": 7}
    body = b"before" * 200_000
    with FakeImap({"INBOX": [body]}, uidvalidity=lambda name, n: state["value"]) as server:
        with mount(server, says=[r"UIDVALIDITY of INBOX changed"]) as m:
            with open(m.root / "INBOX" / "1", "rb", buffering=0) as file:
                assert os.pread(file.fileno(), 6, 0) == b"before"
                state["value"] = 8
                server.mailbox("INBOX").messages[0].body = b"after!" * 200_000
                server.drop()
                got, error = b"", None
                try:
                    while octets := os.pread(file.fileno(), 4096, len(got)):
                        got += octets
                except OSError as failure:
                    error = failure
                assert body.startswith(got)
                assert error or got == body
            errno_of(os.listdir, m.root / "INBOX")
            assert (m.root / "INBOX" / "1").read_bytes() == b"after!" * 200_000


# LIST

@pytest.mark.parametrize("delimiter", [b".", b"/", b"\\", b"|", None])
def test_delimiter(delimiter):
    names = ["INBOX"] if delimiter is None else [
        "INBOX", f"INBOX{delimiter.decode()}Sub", f"a{delimiter.decode()}b{delimiter.decode()}c"]
    with FakeImap({n: BODIES for n in names}, delimiter=delimiter) as server, mount(server) as m:
        for name in names:
            check(m, name.replace(delimiter.decode(), "/") if delimiter else name)


def listing(root):
    """All directories below root, as octets."""
    found = []
    for place, names, _ in os.walk(os.fsencode(root)):
        found += [os.path.relpath(os.path.join(place, n), os.fsencode(root)) for n in names]
    return sorted(found)


def holds(path, body):
    """The mailbox with this one message."""
    return pathlib.Path(os.fsdecode(path), "1").read_bytes() == body


@pytest.mark.parametrize("delimiter, name, path", [
    (b".", b"with/slash", b"with%2Fslash"),
    (b"/", b"&AC8-", b"%~&AC8-"),
    (b"/", b"&AC4ALg-", b"%~&AC4ALg-"),
    (b"/", b".", b"%2E"),
    (b"/", b"..", b"%2E%2E"),
    (b"/", b"a/..", b"a/%2E%2E"),
    (b"/", b".imapfs", b"%2Eimapfs"),
    (b"/", b"100%25", b"100%2525"),
    (b"/", b"&ZeVnLIqe-", "日本語".encode()),
    (b"/", b"&2D3eAA-", "😀".encode()),
    (b"/", b"Entw&APw-rfe", "Entwürfe".encode()),
    (None, b"a/b.c", b"a%2Fb.c"),
])
def test_name(delimiter, name, path):
    with FakeImap({name: [b"the body"]}, delimiter=delimiter) as server, mount(server) as m:
        assert path in listing(m.root)
        assert holds(os.path.join(os.fsencode(m.root), path), b"the body")


def test_name_of_the_status():
    """A mailbox that is called as the directory by which a mount is asked does not stand before it."""
    with FakeImap({".imapfs": [b"the body"], "INBOX": []}) as server, mount(server, **{"async": True}) as m:
        assert sorted(os.listdir(m.root)) == ["%2Eimapfs", "INBOX"]
        assert "state: online\n" in run(PROGRAM, "--status", m.point).stdout
        os.unlink(m.root / "%2Eimapfs/1")
        run(PROGRAM, "--sync", m.point)
        assert not server.mailbox(".imapfs").messages


@pytest.mark.parametrize("style", ["quoted", "literal", "raw"])
@pytest.mark.parametrize("name", [b"&AC8", b"&!!-", b"&2D0-", b"&-&", b"&", "rä".encode(), b"\xff\xfe", b"a\x7fb",
                                  b"a\x01b", b"&AGE-", b"~", b"%7E"])
def test_odd_encodings(name, style):
    """Names that are no modified UTF-7: shown somehow, each by a name of its own, and usable."""
    if style == "raw" and (set(name) & set(b'\x01\x7f"&!\xff\xfe~%') or max(name) > 127):
        name = b"atom" + name.replace(b"\x01", b"").replace(b"\x7f", b"").replace(b"%", b"")
    with FakeImap({name: [b"odd"], "INBOX": [b"even"]}, list_style=style) as server, mount(server) as m:
        others = [path for path in listing(m.root) if path != b"INBOX"]
        assert len(others) == 1
        assert holds(os.path.join(os.fsencode(m.root), others[0]), b"odd")


def test_utf8_accept():
    """What may speak UTF-8 need not: Dovecot 2.4 agrees to, and its names stay in modified UTF-7."""
    names = {b"INBOX": [b"x"], b"A&AOQ-/R&-D": [b"x"]}
    with FakeImap(names, capabilities=(*CAPABILITIES, "UTF8=ACCEPT")) as server, mount(server) as m:
        assert sorted(os.listdir(m.root)) == ["Aä", "INBOX"]
        assert (m.root / "Aä" / "R&D" / "1").read_bytes() == b"x"
        assert not any("UTF8" in line for line in server.lines("ENABLE"))


def test_utf8_only(tmp_path):
    """Names in UTF-8, as they are, also from the cache; without UTF8=ONLY the same octets are other names."""
    names = {b"INBOX": [b"x"], "Bücher".encode(): [b"x"], b"A&AOQ-/R&D": [b"x"]}
    with FakeImap(names, capabilities=(*CAPABILITIES, "UTF8=ACCEPT", "UTF8=ONLY")) as server:
        for _ in range(2):
            with mount(server, tmp_path) as m:
                assert sorted(os.listdir(m.root)) == ["A&AOQ-", "Bücher", "INBOX"]
                assert (m.root / "A&AOQ-" / "R&D" / "1").read_bytes() == b"x"
        server.behaviour.capabilities = CAPABILITIES
        with mount(server, tmp_path) as m:
            assert sorted(os.listdir(m.root)) == ["%~B%C3%BCcher", "Aä", "INBOX"]
            assert (m.root / "Aä" / "%~R&D" / "1").read_bytes() == b"x"


def test_many_odd_names_at_once():
    """All different on the server, all different here."""
    names = [b"&AC8-", b"%2F", b"&AC4ALg-", b"%2E%2E", b"&", b"&-", b"&AGE-", b"a", b"%~&", b"\xff", b"%FF", b"%~%FF",
             b"A", b"&AOk-", b"e&AwE-", "é".encode()]
    with FakeImap({n: [n + b"."] for n in names}) as server, mount(server) as m:
        paths = listing(m.root)
        assert len(paths) == len(names)
        assert {pathlib.Path(m.root, os.fsdecode(p), "1").read_bytes() for p in paths} == {n + b"." for n in names}


def test_list_extra():
    """Trailing and doubled delimiters, the same name twice, another spelling of INBOX, no name at all."""
    extra = (b'* LIST () "/" "INBOX"', b'* LIST (\\HasNoChildren) "/" inbox', b'* LIST (\\Noselect) "/" "Work/"',
             b'* LIST (\\Noselect) "/" "a//b"', b'* LIST () "/" "Work"', b'* LIST () "/" "Work"', b'* LIST () "/" ""',
             b'* LIST (\\Marked \\X-Odd) NIL "flat"', b'* LIST (\\Noselect) "/" "/"', b'* LIST', b'* LIST ()',
             b'* LIST () "/"', b'* LIST () "too long" "Odd"', b'* LIST (\\NonExistent) "/" "Gone/Below"')
    with FakeImap({"INBOX": BODIES, "Work": BODIES}, list_extra=extra) as server, mount(server) as m:
        names = os.listdir(m.root)
        assert len(names) == len(set(names))
        assert names.count("INBOX") == names.count("Work") == 1 and "inbox" not in names
        assert {"INBOX", "Work", "flat", "a", "Gone"} <= set(names)
        check(m)
        check(m, "Work")
        listing(m.root)


@pytest.mark.parametrize("style", ["quoted", "literal"])
def test_long_name(style):
    """8,000 octets: cut in its path component, whole on the wire."""
    name = b"n" * 8_000
    with FakeImap({name: [b"long"], "INBOX": BODIES}, list_style=style) as server, mount(server) as m:
        path, = [p for p in listing(m.root) if p != b"INBOX"]
        assert len(path) <= 255
        assert holds(os.path.join(os.fsencode(m.root), path), b"long")
        check(m)


@pytest.mark.parametrize("style", ["quoted", "literal"])
def test_too_long_name(style):
    """Above 8 KiB it is left out, and that is said."""
    with FakeImap({b"n" * 8193: [b"long"], "INBOX": BODIES}, list_style=style) as server:
        with mount(server, says=[r"1 mailbox is left out: .* names of more than 8 KiB"]) as m:
            assert listing(m.root) == [b"INBOX"]
            check(m)
            wait_until(lambda: "left out" in m.said(), "it is said")


def test_deep_names():
    deep = b"/".join([b"d"] * 300)
    with FakeImap({"INBOX": BODIES, b"/".join([b"e"] * 50): [b"deep"], deep: [b"too deep"]}) as server:
        with mount(server, says=[r"1 mailbox is left out: .*nests them"]) as m:
            check(m)
            assert holds(os.path.join(os.fsencode(m.root), b"/".join([b"e"] * 50)), b"deep")


# FETCH

MIDDLES = {
    "fetch-without-uid": b"* 3 FETCH (FLAGS (\\Seen))\r\n",
    "above-exists": b"* 9999 FETCH (FLAGS (\\Seen))\r\n",
    "size-above-exists": b"* 9999 FETCH (RFC822.SIZE 5)\r\n",
    "zero": b"* 0 FETCH (FLAGS ())\r\n",
    "zero-expunge": b"* 0 EXPUNGE\r\n",
    "expunge-above": b"* 9999 EXPUNGE\r\n",
    "flags": b"* 2 FETCH (UID 2 FLAGS (\\Deleted))\r\n",
    "exists-again": b"* 60 EXISTS\r\n* 0 RECENT\r\n",
    "nothing": b"*\r\n* \r\n* OK\r\n* OK [ALERT] read this\r\n* FLAGS ()\r\n",
    "unknown": b"* 5 XYZZY (a b)\r\n* XYZZY\r\n* SEARCH\r\n* STATUS INBOX ()\r\n",
    "modseq": b"* 4 FETCH (UID 4MODSEQ (-1))\r\n* 4 FETCH (UID 4 RFC822.SIZE -2)\r\n",
    "duplicate": b'* 4 FETCH (UID 4 RFC822.SIZE 16 INTERNALDATE "17-Jul-2023 12:30:05 +0200")\r\n' * 3,
    "body-of-another": b"* 4 FETCH (UID 4 BODY[]<0> {3}\r\nbad)\r\n",
}


@pytest.mark.parametrize("where", ["listing", "body"])
@pytest.mark.parametrize("middle", MIDDLES)
def test_unasked(middle, where):
    """Untagged data that nobody asked for, in the middle of a listing or around a body."""
    with FakeImap({"INBOX": BODIES}) as server:
        if where == "listing":
            server.rule("UID FETCH", match=rb"RFC822.SIZE", middle=MIDDLES[middle], middle_after=20)
        else:
            server.rule("UID FETCH", match=rb"FETCH (8|15) .*BODY", before=MIDDLES[middle],
                        before_ok=MIDDLES[middle])
        with mount(server) as m:
            check(m)


def row(number, uid):
    return b'* %d FETCH (UID %d RFC822.SIZE %d INTERNALDATE "17-Jul-2023 12:30:05 +0200")\r\n' % (
        number, uid, len(BODIES[uid - 1]))


@pytest.mark.parametrize("after", [0, 5, 9, 30, COUNT])
def test_expunged_in_the_listing(after):
    """EXPUNGE in the stream moves the numbers of the rows behind it."""
    def rows(session):
        with server.account.lock:
            server.mailbox("INBOX").expunge([10])
            session.view = list(server.mailbox("INBOX").messages)
        before = [row(n, n) for n in ALL[:after]]
        behind = [row(n if n < 10 else n - 1, n) for n in ALL[after:] if n != 10]
        return b"".join([*before, b"* 10 EXPUNGE\r\n", *behind]) + b"{tag} OK done\r\n"

    with FakeImap({"INBOX": BODIES}) as server:
        server.rule("UID FETCH", match=rb"RFC822.SIZE", times=1, raw=rows)
        with mount(server) as m:
            os.listdir(m.root / "INBOX")
            check(m, wanted=[u for u in ALL if u != 10])


def test_arrived_in_the_listing():
    with FakeImap({"INBOX": BODIES[:-1]}) as server:
        def append(session):
            if len(server.mailbox("INBOX").messages) < COUNT:
                server.append("INBOX", BODIES[-1])
            return b""
        server.rule("UID FETCH", match=rb"RFC822.SIZE", middle=append, middle_after=30)
        with mount(server) as m:
            os.listdir(m.root / "INBOX")
            assert errno_of(os.stat, m.root / "INBOX" / str(COUNT)) is None
            check(m)


@pytest.mark.parametrize("offered", ["exists-less", "exists-more", "exists-huge"])
def test_wrong_exists(offered):
    """Nothing is sized by it. What does not fit together is an error, never a listing that lacks some."""
    said = {"exists-less": b"* 10 EXISTS\r\n", "exists-more": b"* 80 EXISTS\r\n",
            "exists-huge": b"* 4294967295 EXISTS\r\n"}[offered]
    with FakeImap({"INBOX": BODIES}) as server:
        server.rule("EXAMINE", before_ok=said)
        with mount(server, says=[r"SEARCH of INBOX names"]) as m:
            if errno_of(os.listdir, m.root / "INBOX") is None:
                assert uids(m.root / "INBOX") == ALL
            assert errno_of(os.listdir, m.root / "INBOX") in (None, "EIO")


DATES = {
    b" 7-Jul-2023 12:30:05 +0200": (2023, 7, 7, 10, 30, 5), b"7-Jul-2023 12:30:05 +0200": (2023, 7, 7, 10, 30, 5),
    b"07-Jul-2023 12:30:05 +0200 (CEST)": (2023, 7, 7, 10, 30, 5), b"07-Jul-2023 12:30:05": (2023, 7, 7, 12, 30, 5),
    b"07-Jul-23 12:30:05 +0200": (2023, 7, 7, 10, 30, 5), b"07-jul-2023 12:30:05 -0330": (2023, 7, 7, 16, 0, 5),
    b"01-Jan-1969 00:00:00 +0000": (1969, 1, 1, 0, 0, 0), b"31-Dec-2099 23:59:59 +0000": (2099, 12, 31, 23, 59, 59),
    b"Mon, 1 Jan 2024 12:00:00 +0000": (2024, 1, 1, 12, 0, 0), b"1 Jan 2024 12:00 GMT": (2024, 1, 1, 12, 0, 0),
    b"29-Feb-2024 12:00:00 +0000": (2024, 2, 29, 12, 0, 0), b"00-Jan-0000 00:00:00 +0000": None,
    b"31-Feb-2023 12:00:00 +0000": None, b"": None, b"yesterday": None, b"99-Foo-9999 99:99:99 +9999": None,
}


def test_dates():
    """Lenient where the time can be told, else any date; the listing never fails."""
    messages = [Message(b"body %d" % n, date=date) for n, date in enumerate(DATES, 1)]
    with FakeImap({"INBOX": messages}) as server, mount(server) as m:
        assert uids(m.root / "INBOX") == list(range(1, len(DATES) + 1))
        for uid, wanted in enumerate(DATES.values(), 1):
            path = m.root / "INBOX" / str(uid)
            if wanted:
                assert path.stat().st_mtime == calendar.timegm(wanted + (0, 0, 0)), messages[uid - 1].date
            assert path.read_bytes() == b"body %d" % uid


@pytest.mark.parametrize("octets", [1, 700, 1_000, 1_500, 2_500, 4_000, 5_700])
@pytest.mark.parametrize("reset", [False, True])
def test_listing_cut(octets, reset):
    """Cut at many places, login included, and taken up again."""
    with FakeImap({"INBOX": BODIES}) as server, mount(server, says=None, timeout=20) as m:
        server.drop()
        server.behaviour.disconnect_times = 1
        server.behaviour.disconnect_reset = reset
        server.behaviour.disconnect_after = octets
        check(m)


def test_listing_cut_again_and_again():
    """Each connection brings some more of it."""
    with FakeImap({"INBOX": BODIES}) as server, mount(server, says=None, timeout=30) as m:
        server.drop()
        server.behaviour.disconnect_times = 2
        server.behaviour.disconnect_after = 3_000
        check(m)


@pytest.mark.parametrize("order", ["descending", "shuffled"])
def test_order(order):
    """Rows in any order; each message once, in the order of UIDs."""
    rows = [b'* %d FETCH (UID %d RFC822.SIZE %d INTERNALDATE "17-Jul-2023 12:30:05 +0200")\r\n'
            % (n, n, len(BODIES[n - 1])) for n in ALL]
    rows = rows[::-1] if order == "descending" else rows[1::2] + rows[::2] + rows[:5]
    with FakeImap({"INBOX": BODIES}) as server:
        server.rule("UID FETCH", match=rb"1:\* .*RFC822.SIZE", raw=b"".join(rows) + b"{tag} OK done\r\n")
        with mount(server) as m:
            os.listdir(m.root / "INBOX")
            check(m)


def test_largest_uids():
    bodies = {4294967293: b"a", 4294967294: b"b", 4294967295: b"c"}
    with FakeImap({"INBOX": [Message(b, uid=u) for u, b in bodies.items()]}) as server, mount(server) as m:
        for _ in range(2):
            assert uids(m.root / "INBOX") == list(bodies)
            for uid, body in bodies.items():
                assert (m.root / "INBOX" / str(uid)).read_bytes() == body
        (m.root / "INBOX" / "4294967295").unlink()
        assert uids(m.root / "INBOX") == [4294967293, 4294967294]


@pytest.mark.parametrize("row", [b"* 1 FETCH (UID 0 RFC822.SIZE 5)\r\n", b"* 1 FETCH (UID 4294967296 RFC822.SIZE 5)\r\n",
                                 b"* 1 FETCH (UID -1 RFC822.SIZE 5)\r\n", b"* 1 FETCH (UID x RFC822.SIZE 5)\r\n"])
def test_uids_that_are_none(row):
    with FakeImap({"INBOX": BODIES}) as server:
        server.rule("UID FETCH", match=rb"RFC822.SIZE", middle=row, middle_after=5)
        with mount(server, says=None) as m:
            check(m)
            assert errno_of(os.stat, m.root / "INBOX" / "0") == "ENOENT"
            assert errno_of(os.stat, m.root / "INBOX" / "4294967296") == "ENOENT"


def test_number_or_mailbox():
    """A mailbox called as a UID keeps the name."""
    with FakeImap({"INBOX": BODIES, "INBOX/7": [b"other"]}) as server, mount(server) as m:
        assert (m.root / "INBOX" / "7" / "1").read_bytes() == b"other"
        assert (m.root / "INBOX" / "7.eml").read_bytes() == BODIES[6]


def test_no_rows():
    """Not for any message of a mailbox: they have names all the same, and nobody asks for ever."""
    with FakeImap({"INBOX": BODIES[:3]}) as server:
        server.rule("FETCH", raw=b"{tag} OK done\r\n")
        server.rule("UID FETCH", match=rb"RFC822.SIZE", raw=b"{tag} OK done\r\n")
        with mount(server) as m:
            check(m, wanted=(1, 2, 3))
        assert server.names().count("FETCH") == 1


# The tree changes

MOVES = [r"moves: the server names another delimiter"]


def test_the_delimiter_changes(tmp_path):
    """The same mailbox in another place: never without one, and back where it was in the end."""
    with FakeImap({"INBOX": BODIES[:1], "Lists": BODIES[:2], "Lists/dev": BODIES[:3]}) as server:
        with mount(server, directory=tmp_path, says=MOVES) as m:
            assert uids(m.root / "Lists" / "dev") == [1, 2, 3]
            inode = (m.root / "Lists" / "dev").stat().st_ino
            server.behaviour.delimiter = None
            wait_until(lambda: sorted(os.listdir(m.root)) == ["INBOX", "Lists", "Lists%2Fdev"], "the new place")
            assert uids(m.root / "Lists%2Fdev") == [1, 2, 3] and uids(m.root / "Lists") == [1, 2]
            assert (m.root / "Lists%2Fdev").stat().st_ino == inode
        with mount(server, directory=tmp_path, says=MOVES) as m:
            assert sorted(os.listdir(m.root)) == ["INBOX", "Lists", "Lists%2Fdev"]
            server.behaviour.delimiter = b"/"
            wait_until(lambda: sorted(os.listdir(m.root)) == ["INBOX", "Lists"], "the old place")
            # The kernel has a directory in one place. While its old name is being taken from it (a lock that it tries, and
            # does not wait for) it answers ESTALE by itself.
            wait_until(lambda: errno_of(os.listdir, m.root / "Lists" / "dev") is None, "the kernel has moved it")
            assert uids(m.root / "Lists" / "dev") == [1, 2, 3]
            assert (m.root / "Lists" / "dev").stat().st_ino == inode


def test_a_parent_that_came_later(tmp_path):
    """It keeps its number across mounts though its children's are smaller."""
    with FakeImap({"INBOX": [], "A/b": BODIES[:1]}, delimiter=None) as server:
        with mount(server, directory=tmp_path, says=MOVES) as m:
            assert uids(m.root / "A%2Fb") == [1]
            server.behaviour.delimiter = b"/"
            server.account.mailboxes[b"A"] = Mailbox(BODIES[:2])
            wait_until(lambda: sorted(os.listdir(m.root)) == ["A", "INBOX"], "the parent")
            assert uids(m.root / "A" / "b") == [1] and uids(m.root / "A")[:2] == [1, 2]
            inode = (m.root / "A").stat().st_ino
        with mount(server, directory=tmp_path) as m:
            assert (m.root / "A").stat().st_ino == inode


def test_a_list_that_names_fewer():
    """Once: that was the server's mistake. What two do not name running is gone."""
    names = {"INBOX": BODIES[:1], "A": BODIES[:2], "B": BODIES[:3], "B/c": BODIES[:4]}
    with FakeImap(names) as server, mount(server) as m:
        before = {path: (m.root / path).stat().st_ino for path in ("A", "B", "B/c")}
        for line in (b'* LIST () "/" INBOX', b'* LIST () "/" A', b'* LIST () "/" "B/c"'):
            rule = server.rule("LIST", raw=line + b"\r\n{tag} OK done\r\n", times=1)
            count = len(server.lines("LIST"))
            wait_until(lambda: os.listdir(m.root) and rule.hits == 1 and len(server.lines("LIST")) > count + 1,
                       "another LIST")
            assert {path: (m.root / path).stat().st_ino for path in before} == before
        with server.account.lock:
            del server.account.mailboxes[b"B"]
        wait_until(lambda: os.listdir(m.root) and errno_of(os.listdir, m.root / "B" / "1") == "ENOENT",
                   "the end of its messages")
        assert (m.root / "B" / "c").stat().st_ino == before["B/c"] and uids(m.root / "B" / "c") == [1, 2, 3, 4]
        with server.account.lock:
            del server.account.mailboxes[b"A"]
        wait_until(lambda: sorted(os.listdir(m.root)) == ["B", "INBOX"], "the end of a mailbox")


def test_a_list_that_is_cut_off():
    """Its end is no end of what it had not come to; the next one decides with another."""
    with FakeImap({"INBOX": BODIES[:1], "A": BODIES[:2]}) as server, mount(server) as m:
        inode = (m.root / "A").stat().st_ino
        for _ in range(2):
            rule = server.rule("LIST", raw=b'* LIST () "/" INBOX\r\n{tag} NO not now\r\n', times=1)
            wait_until(lambda: os.listdir(m.root) and rule.hits == 1, "a refusal")
        assert (m.root / "A").stat().st_ino == inode
