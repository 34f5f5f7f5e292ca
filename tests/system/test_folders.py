# SPDX-License-Identifier: MIT
"""mkdir, rmdir and mv of directories, on servers of all kinds: mailboxes come, go and move as asked, and
no message is lost on the way."""
import os
import re
import shutil
import subprocess

import pytest

import servers
from dovecot import Mail
from fakeimap import CAPABILITIES, Mailbox
from mounting import run, wait_until, waits
from servers import FakeImap, errno_of, uids

BODIES = [b"Subject: %d\r\n\r\n" % n for n in range(1, 4)]


def names(server):
    return sorted(name.decode() for name in server.account.mailboxes)


def changes(server):
    return [line for line in server.lines() if line.split()[0] in
            ("CREATE", "DELETE", "RENAME", "SUBSCRIBE", "UNSUBSCRIBE")]


@pytest.fixture(name="server")
def fixture_server():
    with FakeImap({"INBOX": BODIES, "Old": BODIES, "Old/Sub": BODIES[:1], "Empty": []}) as server:
        yield server


def test_mkdir(server):
    with servers.mount(server) as m:
        before = len(server.commands)
        os.mkdir(m.root / "New")
        assert server.names()[before:] == ["CREATE", "LIST"]
        assert sorted(os.listdir(m.root)) == ["Empty", "INBOX", "New", "Old"]
        assert os.listdir(m.root / "New") == []
        run("mkdir", "-p", m.root / "a/b/c", m.root / "Old/Sub/d")
        assert names(server) == ["Empty", "INBOX", "New", "Old", "Old/Sub", "Old/Sub/d", "a", "a/b", "a/b/c"]
        inode = os.stat(m.root / "a/b").st_ino
    with servers.mount(server) as m:
        assert os.stat(m.root / "a/b/c").st_nlink == 2
        assert os.stat(m.root / "a/b").st_ino != 0 and inode != 0


@pytest.mark.parametrize("name, raw", [
    ("Entwürfe", b"Entw&APw-rfe"), ("a & b", b"a &- b"), ("50 %", b"50 %"), ("x%2Fy", None), ("x%25~y", b"x%~y"),
    ("日本", b"&ZeVnLA-"), ('say "x"', b'say "x"'), ("back\\slash", b"back\\slash"), ("*", b"*"), ("tab%09", b"tab&AAk-")])
def test_names(server, name, raw):
    with servers.mount(server) as m:
        if raw is None:
            assert errno_of(os.mkdir, m.root / name) == "EINVAL"
            return
        os.mkdir(m.root / name)
        assert raw in server.account.mailboxes
        assert name in os.listdir(m.root)
        os.rename(m.root / "Empty", m.root / name / name)
        assert raw + b"/" + raw in server.account.mailboxes
        os.rmdir(m.root / name / name)
        os.rmdir(m.root / name)
        assert names(server) == ["INBOX", "Old", "Old/Sub"]


def test_what_cannot_be_made(server):
    server.account.mailboxes[b"Flat"] = Mailbox(attributes=["\\NoInferiors"])
    with servers.mount(server) as m:
        for name, error in [(".git", "EPERM"), ("inbox", "EEXIST"), ("Old", "EEXIST"), ("Old/Sub", "EEXIST"),
                            ("%41", "EINVAL"), ("%~", "EINVAL"), ("Old/%~", "EINVAL"), ("x" * 256, "ENAMETOOLONG"), ("Flat/x", "EACCES"),
                            ("INBOX/1", "EEXIST"), ("nowhere/x", "ENOENT"), (b"\xff", "EINVAL"),
                            ("a~/" * 130, "ENOENT"), (".imapfs", "EEXIST"), (".imapfs/x", "EPERM")]:
            path = os.path.join(os.fsencode(m.root), os.fsencode(name))
            assert errno_of(os.mkdir, path) == error, name
        assert not changes(server)
        for old, new, error in [("INBOX", "x", "EBUSY"), ("Old", "Empty", "EEXIST"), ("Old", ".x", "EPERM"),
                                ("Old", "Old/Sub/x", "EINVAL"), ("Old", "inbox", "EEXIST"),
                                ("Old", "Flat/x", "EACCES"), ("nothing", "x", "ENOENT"), ("Old", "Old", None),
                                (".imapfs", "x", "ENOENT"), ("Old", ".imapfs/x", "EPERM")]:
            assert errno_of(os.rename, m.root / old, m.root / new) == error, (old, new)
        for name, error in [("INBOX", "EBUSY"), ("Old", "ENOTEMPTY"), ("Old/Sub", "ENOTEMPTY"),
                            ("nothing", "ENOENT"), (".nothing", "ENOENT"), ("INBOX/1", "ENOTDIR"),
                            (".imapfs", "EPERM"), (".text", "EPERM"), ("INBOX/.parts", "EPERM"), ("INBOX/.search", "EPERM")]:
            assert errno_of(os.rmdir, m.root / name) == error, name
        assert not changes(server)


def test_rmdir(server):
    with servers.mount(server) as m:
        os.rmdir(m.root / "Empty")
        assert names(server) == ["INBOX", "Old", "Old/Sub"]
        assert sorted(os.listdir(m.root)) == ["INBOX", "Old"]
        verbs = [line.split()[0] for line in changes(server)]
        assert verbs == ["RENAME", "DELETE"]
        run("rm", "-r", m.root / "Old")
        assert names(server) == ["INBOX"]
        assert os.listdir(m.root) == ["INBOX"]


@pytest.mark.parametrize("when", ["before", "hidden"])
def test_a_delivery_while_rmdir_runs(server, when):
    """One that comes before RENAME is seen there; the next has no mailbox of that name to go to."""
    def deliver(session):
        with server.account.lock:
            next(box for name, box in server.account.mailboxes.items() if name.startswith(b"Empty")).add(BODIES[0])

    with servers.mount(server) as m:
        os.listdir(m.root / "Empty")
        server.rule("RENAME" if when == "before" else "STATUS", match=None if when == "before" else b"imapfs-rmdir",
                    action=deliver, times=1)
        assert errno_of(os.rmdir, m.root / "Empty") == "ENOTEMPTY"
        assert names(server) == ["Empty", "INBOX", "Old", "Old/Sub"]
        assert uids(m.root / "Empty") == [1]
        assert not server.lines("DELETE")


def test_interrupted_rmdir(server):
    """What an interrupted one has left gets its name back, or its beginning where there was no room for all of it."""
    for name in (b"Whole~imapfs-rmdir-0123abcd", b"Beginning~imapfs-rmcut-0123abcd", b"Old~imapfs-rmdir-0123abcd"):
        server.account.mailboxes[name] = Mailbox()
    with servers.mount(server, says=None) as m:
        wait_until(lambda: b"Whole" in server.account.mailboxes and b"Beginning" in server.account.mailboxes, "renamed")
        m.wait_said("Whole~imapfs-rmdir-0123abcd gets back the name that an interrupted rmdir took from it\n")
        m.wait_said("Beginning~imapfs-rmcut-0123abcd gets back the name that an interrupted rmdir took from it, but for its end")
        m.wait_said("there is another mailbox of the name that an interrupted rmdir took from this one")
        # The server is asked once more about a name that was given back before it is shown.
        expected = ["Beginning", "Empty", "INBOX", "Old", "Old~imapfs-rmdir-0123abcd", "Whole"]
        wait_until(lambda: sorted(os.listdir(m.root)) == expected, "they have their names")


def test_mv(server):
    with servers.mount(server) as m:
        old = os.stat(m.root / "Old"), os.stat(m.root / "Old/Sub"), os.stat(m.root / "Old/1")
        text = (m.root / "Old/1").read_bytes()
        with open(m.root / "Old/2", "rb") as file, open(m.root / "Old/Sub/1", "rb") as other:
            os.mkdir(m.root / "Archive")
            run("mv", m.root / "Old", m.root / "Archive")
            assert names(server) == ["Archive", "Archive/Old", "Archive/Old/Sub", "Empty", "INBOX"]
            assert file.read() == BODIES[1] and other.read() == BODIES[0]
        new = m.root / "Archive/Old"
        assert [s.st_ino for s in old] == [os.stat(p).st_ino for p in (new, new / "Sub", new / "1")]
        assert uids(new) == [1, 2, 3] and uids(new / "Sub") == [1]
        assert sorted(os.listdir(m.root)) == ["Archive", "Empty", "INBOX"]
        before = len(server.lines("UID FETCH"))
        assert (new / "1").read_bytes() == text
        # Sizes may still be proved, which asks for the ends of messages.
        assert not [line for line in server.lines("UID FETCH")[before:] if re.match(r"UID FETCH 1\b.*BODY.PEEK\[\](<0\.|\))", line)]
        (new / "3").unlink()
        assert [message.uid for message in server.mailbox("Archive/Old").messages] == [1, 2]
        os.rename(new, m.root / "Archive/Older")
        assert uids(m.root / "Archive/Older/Sub") == [1]


def test_what_is_kept_over_a_remount(server, directory):
    with servers.mount(server, directory) as m:
        uids(m.root / "Old/Sub")
        ino = os.stat(m.root / "Old/Sub/1").st_ino
        assert (m.root / "Old/Sub/1").read_bytes() == BODIES[0]
        os.rename(m.root / "Old", m.root / "New")
    with servers.mount(server, directory) as m:
        assert uids(m.root / "New/Sub") == [1]
        assert os.stat(m.root / "New/Sub/1").st_ino == ino
        before = len(server.lines("UID FETCH"))
        assert (m.root / "New/Sub/1").read_bytes() == BODIES[0]
        assert not [line for line in server.lines("UID FETCH")[before:] if "BODY" in line]


def test_subscriptions():
    boxes = {"INBOX": [], "Old": BODIES, "Old/Sub": [], "Empty": []}
    with FakeImap(boxes) as server, servers.mount(server, subscribed=True) as m:
        os.mkdir(m.root / "New")
        assert server.mailbox("New").subscribed
        os.rename(m.root / "Old", m.root / "New/Old")
        os.rmdir(m.root / "Empty")
        server.wait(lambda: "UNSUBSCRIBE Empty" in "\n".join(server.lines("UNSUBSCRIBE")).replace('"', ""))
        said = [line.replace('"', "") for line in changes(server) if "SUBSCRIBE" in line]
        assert said == ["SUBSCRIBE New", "SUBSCRIBE New/Old", "UNSUBSCRIBE Old", "SUBSCRIBE New/Old/Sub",
                        "UNSUBSCRIBE Old/Sub", "UNSUBSCRIBE Empty"]


@pytest.mark.parametrize("reply, error", [
    (b"NO [NOPERM] not you", "EACCES"), (b"NO never", "EACCES"), (b"NO [OVERQUOTA] full", "EDQUOT"),
    (b"NO [CANNOT] such a name", "EINVAL"), (b"NO [ALREADYEXISTS] there is", "EEXIST"), (b"BAD what", "EACCES")])
def test_refused(server, reply, error):
    says = [r"cannot make the mailbox x: ", r"cannot rename a mailbox to x: ", r"cannot remove the mailbox Empty: "]
    with servers.mount(server, says=says) as m:
        for verb in "CREATE", "RENAME":
            server.rule(verb, reply=reply)
        before = names(server)
        assert errno_of(os.mkdir, m.root / "x") == error
        assert errno_of(os.rename, m.root / "Old", m.root / "x") == error
        # EINVAL is of the name that is asked for, and rm -rf would pass over it without a word.
        assert errno_of(os.rmdir, m.root / "Empty") == ("EACCES" if error in ("EEXIST", "EINVAL") else error)
        assert names(server) == before
        assert sorted(os.listdir(m.root)) == ["Empty", "INBOX", "Old"]


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("at", ["CREATE", "RENAME", "RENAME hidden", "STATUS hidden", "DELETE"])
def test_the_line_is_lost(server, at, done):
    """The server did it, or did not, and the connection goes before its answer: it is looked what is there."""
    verb, _, hidden = at.partition(" ")
    with servers.mount(server) as m:
        server.rule(verb, match=b"imapfs-rmdir" if hidden or verb == "DELETE" else None, times=1, drop="rst",
                    **({"status": b""} if done else {"raw": b""}))
        if verb == "CREATE":
            os.mkdir(m.root / "x")
            assert "x" in names(server) and "x" in os.listdir(m.root)
        elif at == "RENAME":
            ino = os.stat(m.root / "Old/Sub").st_ino
            os.rename(m.root / "Old", m.root / "x")
            assert names(server) == ["Empty", "INBOX", "x", "x/Sub"]
            assert os.stat(m.root / "x/Sub").st_ino == ino and uids(m.root / "x") == [1, 2, 3]
        else:
            os.rmdir(m.root / "Empty")
            assert names(server) == ["INBOX", "Old", "Old/Sub"]
            assert sorted(os.listdir(m.root)) == ["INBOX", "Old"]


def test_nobody_waits_any_more(server):
    """rmdir is interrupted when the mailbox has its private name: it gets its own back."""
    with servers.mount(server) as m:
        rule = server.rule("STATUS", match=b"imapfs-rmdir", stall=True)
        process = subprocess.Popen(["rmdir", m.root / "Empty"], stderr=subprocess.DEVNULL)
        server.wait(lambda: rule.hits)
        process.kill()
        process.wait(30)
        rule.release()
        server.wait(lambda: len(server.lines("RENAME")) == 2)
        wait_until(lambda: "Empty" in names(server), "the mailbox has its name back")
        wait_until(lambda: sorted(os.listdir(m.root)) == ["Empty", "INBOX", "Old"], "it shows")


def test_what_a_crash_left():
    boxes = {"INBOX": [], "Box~imapfs-rmdir-0123abcd": BODIES, "Both~imapfs-rmdir-0123abcd": BODIES[:1], "Both": BODIES[:2],
             "No~imapfs-rmdir-xyz": []}
    says = [r"Box~imapfs-rmdir-0123abcd gets back the name", r"Both~imapfs-rmdir-0123abcd gets back the name",
            r"another mailbox of the name that an interrupted rmdir"]
    with FakeImap(boxes) as server, servers.mount(server, says=says) as m:
        wait_until(lambda: "Box" in names(server), "the mailbox has its name back")
        wait_until(lambda: sorted(os.listdir(m.root)) == [
            "Both", "Both~imapfs-rmdir-0123abcd", "Box", "INBOX", "No~imapfs-rmdir-xyz"], "all show")
        assert uids(m.root / "Box") == [1, 2, 3]
    with FakeImap(boxes) as server, servers.mount(server, ro=True) as m:
        assert len(os.listdir(m.root)) == 5 and not changes(server)


def test_only_a_directory(server):
    """Names that are no mailboxes, above others: rm -r takes them, rename too, and mkdir below works."""
    server.account.mailboxes[b"Dir"] = Mailbox(attributes=["\\Noselect"])
    server.account.mailboxes[b"Dir/x"] = Mailbox()
    server.account.mailboxes[b"Virtual/x"] = Mailbox()
    with servers.mount(server) as m:
        os.mkdir(m.root / "Virtual/y")
        os.rename(m.root / "Virtual", m.root / "V")
        assert {"V/x", "V/y"} <= set(names(server))
        run("rm", "-r", m.root / "Dir", m.root / "V")
        assert names(server) == ["Empty", "INBOX", "Old", "Old/Sub"]
        assert sorted(os.listdir(m.root)) == ["Empty", "INBOX", "Old"]


@pytest.mark.parametrize("delimiter", [b".", None])
def test_delimiters(delimiter):
    with FakeImap({"INBOX": BODIES, "x": []}, delimiter=delimiter) as server, servers.mount(server) as m:
        os.mkdir(m.root / "y")
        assert errno_of(os.mkdir, m.root / "a.b") == ("EINVAL" if delimiter else None)
        assert errno_of(os.mkdir, m.root / "x/z") == (None if delimiter else "EACCES")
        os.rename(m.root / "x", m.root / "w")
        os.rmdir(m.root / "y")
        assert names(server) == (["INBOX", "w", "w.z"] if delimiter else ["INBOX", "a.b", "w"])


def test_read_only_and_offline(server):
    with servers.mount(server, ro=True) as m:
        assert errno_of(os.mkdir, m.root / "x") == "EROFS"
        assert errno_of(os.rmdir, m.root / "Empty") == "EROFS"
        assert errno_of(os.rename, m.root / "Old", m.root / "x") == "EROFS"
    assert not changes(server)


def test_git_and_a_trash_can_leave_nothing(server):
    """git init makes .git, gio trash .Trash-UID: neither becomes a mailbox."""
    before = names(server)
    with servers.mount(server) as m:
        if shutil.which("git"):
            assert subprocess.run(["git", "init", m.root / "Old"], capture_output=True, check=False).returncode != 0
        trash = m.root / f".Trash-{os.getuid()}"
        for path in trash, m.root / "Old/.git", m.root / ".Trash":
            assert errno_of(os.makedirs, path / "info") == "EPERM"
        if shutil.which("gio"):
            assert subprocess.run(["gio", "trash", m.root / "Old/1"], capture_output=True, check=False).returncode != 0
        assert uids(m.root / "Old") == [1, 2, 3]
    assert names(server) == before and not changes(server)


def test_names_go_while_directories_are_locked():
    """Requests that wait lock their directories in the kernel; what goes elsewhere is told all the same."""
    boxes = [f"box{n}" for n in range(4)]
    with FakeImap({"INBOX": BODIES, **{box: BODIES for box in boxes}}, capabilities=(*CAPABILITIES, "NOTIFY")) as server:
        with servers.mount(server, timeout=60) as m:
            for box in boxes:
                assert uids(m.root / box) == [1, 2, 3]
                os.stat(m.root / box / "3")
            uids(m.root / "INBOX")  # is what the connection has selected that CREATE goes to
            rules = [server.rule("CREATE", match=box.encode(), stall=True) for box in boxes[:3]]
            makers = [subprocess.Popen(["mkdir", m.root / box / "x"]) for box in boxes[:3]]
            wait_until(lambda: all(map(waits, makers)), "all three are under way")
            for box in boxes:
                server.expunge(box, 3)
            wait_until(lambda: not os.path.lexists(m.root / boxes[3] / "3"), "the name is gone where nothing is locked",
                       40)
            for rule in rules:
                rule.release()
            assert [maker.wait(30) for maker in makers] == [0, 0, 0]
            assert all(box + "/x" in names(server) for box in boxes[:3])


# On Dovecot

TEXT = b"Subject: x\r\n\r\nbody\r\n"


def test_dovecot(start_server, mount):
    server = start_server([Mail("INBOX", TEXT), *[Mail("Work/2024", TEXT)] * 5, *[Mail("Work/2024/sub", TEXT)] * 2])
    m = mount(server)
    run("mkdir", "-p", m.path("Päckchen & Co/50 %/a"), m.path("Work/2025"))
    assert {"Päckchen & Co/50 %/a", "Work/2025"} <= set(server.mailboxes())
    inodes = [os.stat(m.path("Work/2024", *below)).st_ino for below in ([], ["3"], ["sub"], ["sub", "2"])]
    with open(m.path("Work/2024/4"), "rb") as file:
        run("mv", m.path("Work/2024"), m.path("Päckchen & Co/50 %/old"))
        assert file.read() == TEXT
    new = m.path("Päckchen & Co/50 %/old")
    assert [os.stat(os.path.join(new, *below)).st_ino for below in ([], ["3"], ["sub"], ["sub", "2"])] == inodes
    assert os.listdir(m.path("Work")) == ["2025"]
    os.unlink(os.path.join(new, "1"))
    assert server.uids("Päckchen & Co/50 %/old") == [2, 3, 4, 5]
    server.load([Mail("Päckchen & Co/50 %/old", TEXT)])
    wait_until(lambda: os.path.exists(os.path.join(new, "6")), "new mail comes under the new name")
    with pytest.raises(OSError, match="not empty"):
        os.rmdir(new)
    run("rm", "-r", m.path("Päckchen & Co"), m.path("Work"))
    assert set(server.mailboxes()) == {"INBOX"}
    assert os.listdir(m.point) == ["INBOX"]
    os.mkdir(m.path("Work"))
    assert os.listdir(m.path("Work")) == []
    os.rename(m.path("Work"), m.path("Play"))
    m.restart()
    assert sorted(os.listdir(m.point)) == ["INBOX", "Play"]
