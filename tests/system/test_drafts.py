# SPDX-License-Identifier: MIT
"""Files that are written into a mailbox become messages when they are closed: each once, as it was written,
with its date, or the program that closes it is told why not."""
import errno
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from dovecot import Mail
from mounting import run, sent, wait_until
from programs import PROGRAM

HEAD = b"From: a@example.org\r\nSubject: draft\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\n"
DATE = 1700000000  # of the header
WHEN = 1600000000  # that tools are to keep


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    return start_server([Mail("INBOX", HEAD + b"old\r\n", 1500000000)], rawlog=True)


@pytest.fixture(name="box")
def fixture_box(server, own_name):
    """A mailbox of its own for a test."""
    server.create(own_name)
    return own_name


@pytest.fixture(name="m")
def fixture_m(server, box, mount):
    return mount(server)


@pytest.fixture(name="files")
def fixture_files(directory):
    """files(name, text): makes a file of this time outside of the mount, and returns its path."""
    def make(name, text, when=WHEN):
        path = os.path.join(directory, name)
        with open(path, "wb") as target:
            target.write(text)
        os.utime(path, (when, when))
        return path
    return make


def letter(number=1, octets=100):
    return HEAD + b"%d\r\n" % number + b"x" * octets + b"\r\n"


def bodies(server, box):
    return [body for body, _ in server.letters(box)]


def shell(m, box, script, *arguments, check=True):
    return run("bash", "-c", script, "bash", *arguments, check=check, cwd=m.path(box))


# --- tools ---

def copied(tool, *options):
    return lambda m, box, path: run(tool, *options, path, m.path(box))


def redirected(script):
    return lambda m, box, path: shell(m, box, script, path)


def with_shutil(call):
    return lambda m, box, path: run(sys.executable, "-c", f"import shutil, sys; shutil.{call}(*sys.argv[1:])", path,
                                    m.path(box))


# How a file gets in, and whether its date comes along.
WAYS = {
    "cp": (copied("cp"), False),
    "cp -p": (copied("cp", "-p"), True),
    "cp -a": (copied("cp", "-a"), True),
    "mv": (copied("mv"), True),
    "install": (copied("install"), False),
    "install -p": (copied("install", "-p"), True),
    "redirection": (redirected('cat "$1" > letter'), False),
    "compound": (redirected('{ head -c 50 "$1"; tail -c +51 "$1"; } > letter'), False),
    "loop": (redirected('while IFS= read -r line; do printf "%s\\n" "$line"; done < "$1" > letter'), False),
    "subshell": (redirected('(head -c 50 "$1"; tail -c +51 "$1") > letter'), False),
    "descriptor": (redirected('exec 5> letter; head -c 50 "$1" >&5; tail -c +51 "$1" >&5; exec 5>&-'), False),
    "tee": (redirected('tee letter < "$1" > /dev/null'), False),
    "dd": (redirected('dd if="$1" of=letter bs=37 status=none'), False),
    "dd fsync": (redirected('dd if="$1" of=letter bs=64 conv=fsync status=none'), False),
    "rsync": (copied("rsync"), False),
    "rsync -a": (copied("rsync", "-a"), True),
    "rsync --inplace": (copied("rsync", "-a", "--inplace"), True),
    "shutil.copyfile": (lambda m, box, path: shutil.copyfile(path, m.path(box, "letter")), False),
    "shutil.copy2": (with_shutil("copy2"), True),
    "shutil.move": (with_shutil("move"), True),
    "part": (redirected('cat "$1" > letter.part; mv letter.part letter'), False),
}


@pytest.mark.parametrize("way", WAYS)
def test_ways(server, box, m, files, way):
    put, dated = WAYS[way]
    text = letter(octets=3000)
    put(m, box, files("letter", text))
    # Where the date comes late the message before is removed a moment later.
    wait_until(lambda: server.letters(box) == [(text, WHEN if dated else DATE)], "one message, with its date")
    # The name goes on working for others, and is not listed.
    assert run("cat", m.path(box, "letter")).stdout.encode() == text
    listed = os.listdir(m.path(box))
    assert len(listed) == 1 and listed[0].isdigit()
    assert m.read(box, listed[0]) == text


def test_many(server, box, m, files):
    paths = [files(f"letter {i}", letter(i)) for i in range(100)]
    run("cp", "-a", *paths, m.path(box))
    assert server.letters(box) == [(letter(i), WHEN) for i in range(100)]
    assert len(os.listdir(m.path(box))) == 100


@pytest.mark.parametrize("tool", [("rsync", "-a"), ("tar",)], ids=["rsync", "tar"])
def test_twice(server, box, m, directory, files, tool):
    """The second run adds nothing."""
    source = os.path.join(directory, "source")
    os.mkdir(source)
    for i in range(5):
        shutil.copy2(files(f"letter{i}", letter(i)), source)
    archive = os.path.join(directory, "archive.tar")
    run("tar", "-cf", archive, "-C", source, ".")

    def put():
        if tool[0] == "tar":
            run("tar", "-xf", archive, "-C", m.path(box))
        else:
            run(*tool, source + "/", m.path(box))

    for _ in range(3):
        put()
        assert sorted(server.letters(box)) == [(letter(i), WHEN) for i in range(5)]
    m.stop()
    m.start()
    put()
    assert len(server.letters(box)) == 5


# --- what is there already ---

AGAIN = """
import os, sys
path = sys.argv[1]
with open(path, "rb") as source:
    text = source.read()
os.unlink(path)
with open(path, "wb") as target:
    target.write(text)
"""
THEN = {"dated": "os.utime(path, (1, 1))",
        "written": """with open(path, "wb") as target:
    target.write(text.replace(b"draft", b"other"))"""}


@pytest.mark.parametrize("then", THEN)
def test_found_is_not_ours(server, box, mount, then):
    """Who puts in what is there already has not written that message, and replaces it by nothing."""
    m = mount(server, "async")
    with open(m.path(box, "letter"), "wb") as target:
        target.write(letter())
    uid, = server.uids(box)
    server.store(box, [uid], "+", ["\\Flagged"])
    run(sys.executable, "-c", AGAIN + THEN[then], m.path(box, "letter"))
    run(PROGRAM, "--sync", m.point)
    assert server.fetch_all(box)[uid] == letter() and "\\Flagged" in server.flags(box)[uid]
    assert len(server.uids(box)) == (2 if then == "written" else 1)


def test_found_no_more(start_server, mount, files):
    """The octets are remembered of a message that is not there any more: it is put in."""
    server = start_server([Mail("INBOX", letter())], hide=("NOTIFY", "IDLE"))
    m = mount(server, "async")
    m.tolerate("messages cannot be edited")
    assert os.listdir(m.path("INBOX")) == ["1"] and m.read("INBOX", 1) == letter()
    path = files("1", letter())
    server.expunge("INBOX", [1])
    run("mv", "-f", path, m.path("INBOX"))
    assert bodies(server, "INBOX") == [letter()]


# --- what is stored ---

def test_lines(server, box, m):
    """LF becomes CRLF; an mbox's first line is left out."""
    with open(m.path(box, "letter"), "wb") as target:
        target.write(b"From joe Mon Jan  1 00:00:00 2024\nSubject: x\n\nbody\n")
    assert bodies(server, box) == [b"Subject: x\r\n\r\nbody\r\n"]


def test_octets_in_any_order(server, box, m):
    text = letter(octets=300000)
    with open(m.path(box, "letter"), "wb", buffering=0) as target:
        target.truncate(len(text) + 100)
        for offset in reversed(range(0, len(text), 70000)):
            os.pwrite(target.fileno(), text[offset:offset + 70000], offset)
        target.truncate(len(text))
        assert os.fstat(target.fileno()).st_size == len(text)
    assert bodies(server, box) == [text]


def test_read_while_written(m, box):
    with open(m.path(box, "letter"), "w+b", buffering=0) as target:
        target.write(letter())
        target.seek(0)
        assert target.read() == letter()
        assert os.listdir(m.path(box)) == ["letter"]
        assert m.read(box, "letter") == letter()


def test_empty(server, box, m):
    """Nothing is no message, but can be filled later."""
    shell(m, box, ": > letter; touch other; cat - >> letter < /dev/null")
    assert bodies(server, box) == []
    assert sorted(os.listdir(m.path(box))) == ["letter", "other"]
    with open(m.path(box, "letter"), "wb") as target:
        target.write(letter())
    assert bodies(server, box) == [letter()]
    os.unlink(m.path(box, "other"))
    assert os.listdir(m.path(box)) == [str(server.uids(box)[0])]


NOT_MAIL = {"picture": b"\xff\xd8\xff\xe0 JFIF\n\n", "NUL": HEAD + b"a\0b\r\n", "prose": b"Once upon a time\n"}


@pytest.mark.parametrize("what", NOT_MAIL)
def test_no_mail(server, box, m, files, what):
    m.expect(r"letter was not stored: .")
    result = run("cp", files("letter", NOT_MAIL[what]), m.path(box), check=False)
    assert result.returncode == 1 and "Invalid argument" in result.stderr
    assert bodies(server, box) == []
    # It stays, and says why.
    assert m.read(box, "letter") == NOT_MAIL[what]
    assert os.listdir(m.path(box)) == ["letter"]
    assert b"letter: %d bytes, not stored: " % len(NOT_MAIL[what]) in m.read(".imapfs", "status")
    os.unlink(m.path(box, "letter"))
    assert os.listdir(m.path(box)) == []


# --- who closes ---

def test_duplicates(server, box, m):
    """Only the last close of who opened it counts, when there is something new."""
    descriptor = os.open(m.path(box, "letter"), os.O_CREAT | os.O_WRONLY)
    others = [os.dup(descriptor) for _ in range(3)]
    os.close(others.pop())
    os.write(descriptor, letter())
    run("true", pass_fds=others)
    assert bodies(server, box) == []
    for other in others:
        os.close(other)
    assert bodies(server, box) == [letter()]
    os.close(descriptor)
    assert bodies(server, box) == [letter()]


def test_child_goes_on(server, box, m):
    """Who opened it is gone when the rest is written."""
    shell(m, box, 'exec > letter; printf "%s" "$1"; (sleep 0.3; printf "rest\r\n") &', HEAD.decode())
    wait_until(lambda: bodies(server, box) == [HEAD + b"rest\r\n"], "whole, and once")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed(server, box, m, number):
    """What it wrote so far is kept here, and is no message."""
    m.expect(r"letter is not stored: the process that wrote it was killed")
    writer = subprocess.Popen([sys.executable, "-c", """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
descriptor = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
os.write(descriptor, sys.argv[2].encode())
print(flush=True)
signal.pause()
""", m.path(box, "letter"), letter().decode()], stdout=subprocess.PIPE)
    writer.stdout.readline()
    writer.send_signal(number)
    writer.wait()
    writer.stdout.close()
    assert bodies(server, box) == []
    assert m.read(box, "letter") == letter()
    assert b"incomplete" in m.read(".imapfs", "status")
    # Its user thinks that it is whole.
    os.rename(m.path(box, "letter"), m.path(box, "whole"))
    assert bodies(server, box) == [letter()]
    assert m.read(box, "whole") == letter()


def test_left(server, box, m):
    """What could not be stored is there again after a remount."""
    m.expect(r"letter was not stored")
    with pytest.raises(OSError) as caught:
        with open(m.path(box, "letter"), "wb") as target:
            target.write(b"no mail")
    assert caught.value.errno == errno.EINVAL
    with open(m.path(box, "work.tmp"), "wb") as target:
        target.write(letter())
    m.stop()
    m.start()
    m.expect(r"letter: an earlier mount has left it")
    m.expect(r"work.tmp: an earlier mount has left it")
    assert sorted(os.listdir(m.path(box))) == ["letter", "work.tmp"]
    assert m.read(box, "letter") == b"no mail"
    os.unlink(m.path(box, "letter"))
    os.rename(m.path(box, "work.tmp"), m.path(box, "work"))
    assert bodies(server, box) == [letter()]
    m.stop()
    m.start()
    assert os.listdir(m.path(box)) == [str(server.uids(box)[0])]


def test_left_where_nobody_had_looked(m):
    """Its mailbox gets known behind it."""
    with open(m.path("INBOX", "work.tmp"), "wb") as target:
        target.write(letter())
    listed = os.listdir(m.path("INBOX"))
    assert "work.tmp" in listed and m.read("INBOX", 1)
    m.stop()
    m.start()
    m.expect(r"work.tmp: an earlier mount has left it")
    assert os.listdir(m.path("INBOX")) == listed
    os.unlink(m.path("INBOX", "work.tmp"))


def test_left_without_the_cache(server, box, mount):
    """It shows in the mailbox of its name, also when the ids of mailboxes begin anew, or it was renamed."""
    server.create(box + " renamed")
    m = mount(server)
    for name in (box, box + " renamed"):
        with open(m.path(name, "work.tmp"), "wb") as target:
            target.write(letter())
    os.rename(m.path(box + " renamed"), m.path(box + " anew"))
    m.stop()
    shutil.rmtree(m.cache)
    for number in range(3):
        server.create(f"A{number} {box}")
    m.start()
    m.expect(f"{box}/work.tmp: an earlier mount has left it")
    m.expect(f"{box} anew/work.tmp: an earlier mount has left it")
    for name in (box, box + " anew"):
        assert os.listdir(m.path(name)) == ["work.tmp"]
        os.rename(m.path(name, "work.tmp"), m.path(name, "letter"))
        assert server.letters(name) == [(letter(), server.letters(name)[0][1])]
    m.stop()


# --- scratch names ---

@pytest.mark.parametrize("scratch", [".letter", "letter~", "#letter#", "letter.part", "letter.tmp", "letter.lock",
                                     "letter.swp", ".letter.Xy3kfD"])
def test_scratch(server, box, m, scratch):
    with open(m.path(box, scratch), "wb") as target:
        target.write(letter())
    assert bodies(server, box) == []
    assert os.listdir(m.path(box)) == [scratch]
    os.utime(m.path(box, scratch), (WHEN, WHEN))
    os.rename(m.path(box, scratch), m.path(box, "letter"))
    assert server.letters(box) == [(letter(), WHEN)]
    assert m.read(box, "letter") == letter()


def test_scratch_is_no_mail(server, box, m):
    m.expect(r"letter was not stored")
    with open(m.path(box, ".letter"), "wb") as target:
        target.write(b"no mail")
    with pytest.raises(OSError) as caught:
        os.rename(m.path(box, ".letter"), m.path(box, "letter"))
    assert caught.value.errno == errno.EINVAL
    assert os.listdir(m.path(box)) == [".letter"]
    assert bodies(server, box) == []


def test_scratch_moves(server, box, m):
    """Between scratch names, and into another mailbox."""
    with open(m.path(box, ".a"), "wb") as target:
        target.write(letter(1))
    with open(m.path(box, ".b"), "wb") as target:
        target.write(letter(2))
    os.rename(m.path(box, ".a"), m.path(box, ".b"))
    assert os.listdir(m.path(box)) == [".b"]
    before = bodies(server, "INBOX")
    os.rename(m.path(box, ".b"), m.path("INBOX", "moved here"))
    assert bodies(server, box) == []
    assert bodies(server, "INBOX") == before + [letter(1)]


def test_unlinked_while_open(server, box, m):
    with open(m.path(box, "letter"), "w+b", buffering=0) as target:
        target.write(letter())
        os.unlink(m.path(box, "letter"))
        assert os.listdir(m.path(box)) == []
        target.seek(0)
        assert target.read() == letter()
    assert bodies(server, box) == []


# --- names ---

def test_numbers(server, box, m, files):
    """A number is a name until the directory is listed, and never another message's."""
    server.deliver(box, letter(1))
    path = files("7", letter(7))
    run("cp", path, m.path(box))
    assert m.read(box, "7") == letter(7)
    with pytest.raises(OSError) as caught:
        os.unlink(m.path(box, "7"))
    assert caught.value.errno == errno.EBUSY
    with pytest.raises(OSError) as caught:
        os.rename(m.path(box, "7"), m.path("INBOX", "7"))
    assert caught.value.errno == errno.EBUSY
    assert os.listdir(m.path(box)) == ["1", "2"]
    assert not os.path.exists(m.path(box, "7"))
    os.unlink(m.path(box, "2"))
    assert bodies(server, box) == [letter(1)]


def test_name_goes_with_its_message(server, box, m, files):
    run("cp", files("letter", letter()), m.path(box))
    assert os.path.exists(m.path(box, "letter"))
    os.unlink(m.path(box, "letter"))
    wait_until(lambda: bodies(server, box) == [], "removed")
    assert not os.path.exists(m.path(box, "letter"))


def test_directory_of_a_draft(server, box, m):
    """What could not be stored is listed, so its directory is not empty."""
    server.create(f"{box}/inner")
    wait_until(lambda: os.path.isdir(m.path(box, "inner")), "the mailbox shows")
    path = m.path(box, "inner", "picture")
    m.expect(r"picture was not stored")
    with pytest.raises(OSError), open(path, "wb") as target:
        target.write(b"\x89PNG")
    assert os.listdir(m.path(box, "inner")) == ["picture"]
    with pytest.raises(OSError) as caught:
        os.rmdir(m.path(box, "inner"))
    assert caught.value.errno == errno.ENOTEMPTY
    os.unlink(path)
    os.rmdir(m.path(box, "inner"))


def test_written_again(server, box, m):
    """By who wrote it: there is one message, the last. By others: not at all."""
    path = m.path(box, "letter")
    for i in range(3):
        with open(path, "wb") as target:
            target.write(letter(i))
        wait_until(lambda text=letter(i): bodies(server, box) == [text], "one message")
    assert run("bash", "-c", 'echo x > "$1"', "bash", path, check=False, user=65534 if os.getuid() == 0 else None).returncode
    assert bodies(server, box) == [letter(2)]


def test_written_again_with_trash(server, box, mount):
    """What it was before goes to the trash; only another date is no other message."""
    server.create(box + " trash")
    m = mount(server, "delete=trash", f"trash={box} trash")
    path = m.path(box, "letter")
    for i in range(3):
        with open(path, "wb") as target:
            target.write(letter(i))
        wait_until(lambda text=letter(i): bodies(server, box) == [text], "one message")
    assert bodies(server, box + " trash") == [letter(0), letter(1)]
    os.utime(path, (WHEN, WHEN))
    wait_until(lambda: server.letters(box) == [(letter(2), WHEN)], "the date that was set")
    assert bodies(server, box + " trash") == [letter(0), letter(1)]


def test_written_again_with_never(server, box, mount):
    """Nothing is deleted, so what it was before stays beside it, and only another date is not worth that."""
    m = mount(server, "async", "delete=never")
    m.expect(r"letter was written again; message 1, which is what it was before, stays")
    for i in range(2):
        with open(m.path(box, "letter"), "wb") as target:
            target.write(letter(i))
    os.utime(m.path(box, "letter"), (WHEN, WHEN))
    m.stop()
    assert bodies(server, box) == [letter(0), letter(1)]


def test_writer_removes_and_moves(server, box, mount):
    """What a process has written is gone for it too when it has removed it, or moved it."""
    m = mount(server, "async")
    path = m.path(box, "letter")
    for i in range(2):
        with open(path, "xb") as target:
            target.write(letter(i))
        assert os.path.exists(path)
        os.unlink(path)
        assert not os.path.exists(path)
    # It was removed in order to make it anew, as far as anybody can see: so the first one stays.
    wait_until(lambda: bodies(server, box) == [letter(0)], "removed")
    with open(path, "xb") as target:
        target.write(letter(3))
    before = bodies(server, "INBOX")
    os.rename(path, m.path("INBOX", "here"))
    assert not os.path.exists(path)
    wait_until(lambda: bodies(server, "INBOX") == before + [letter(3)], "moved")
    assert bodies(server, box) == [letter(0)]


def test_killed_while_it_writes_again(server, box, m):
    """What it was before stays, whatever somebody else does with what was left."""
    m.expect(r"letter is not stored: the process that wrote it was killed")
    with subprocess.Popen([sys.executable, "-c", """
import os, signal, sys
with open(sys.argv[1], "wb") as target:
    target.write(sys.argv[2].encode())
target = open(sys.argv[1], "wb", buffering=0)
target.write(sys.argv[3].encode())
print(flush=True)
signal.pause()
""", m.path(box, "letter"), letter(1).decode(), letter(2).decode()], stdout=subprocess.PIPE) as writer:
        writer.stdout.readline()
        writer.kill()
    assert bodies(server, box) == [letter(1)]
    os.rename(m.path(box, "letter"), m.path(box, "other"))
    assert bodies(server, box) == [letter(1), letter(2)]


def test_date_after_close(server, box, m):
    with open(m.path(box, "letter"), "wb") as target:
        target.write(letter())
    os.utime(m.path(box, "letter"), (WHEN, WHEN))
    wait_until(lambda: server.letters(box) == [(letter(), WHEN)], "the date that was set")


def test_flags_come_along(server, box, m, files):
    """As cp -a and rsync -X set them."""
    with open(m.path(box, "letter"), "wb") as target:
        target.write(letter())
        os.setxattr(target.fileno(), "user.imap.flags", b"\\Seen $Work")
        for value, error in ((b"\\Recent", errno.EPERM), (b"a(b", errno.EINVAL)):
            with pytest.raises(OSError) as caught:
                os.setxattr(target.fileno(), "user.imap.flags", value)
            assert caught.value.errno == error
        with pytest.raises(OSError) as caught:
            os.setxattr(target.fileno(), "user.other", b"x")
        assert caught.value.errno == errno.ENOTSUP
    assert set(server.flags(box).values()) == {frozenset(("\\Seen", "$Work"))}


FLAGGED = """
import os, shutil, sys
shutil.copyfile(*sys.argv[1:3])
os.setxattr(sys.argv[2], "user.imap.flags", b"\\\\Flagged $Work")
os.utime(sys.argv[2], (1, 1))
"""


@pytest.mark.parametrize("source", ["INBOX", "files"])
def test_flags_after_the_close(server, box, m, files, source):
    """As Python's shutil sets them, and before the date."""
    text = letter(octets=5000)
    uid = server.deliver("INBOX", text, date=WHEN)
    server.store("INBOX", [uid], "+", ["\\Seen"])
    wait_until(lambda: os.path.exists(m.path("INBOX", uid)), "the new message has its name")
    path = m.path("INBOX", uid) if source == "INBOX" else files("letter", text)
    run(sys.executable, "-c", "import shutil, sys; shutil.copy2(*sys.argv[1:])", path, m.path(box, "copy"))
    flags = frozenset(("\\Seen",) if source == "INBOX" else ())
    wait_until(lambda: list(server.flags(box).values()) == [flags], "the source's flags")
    assert server.letters(box) == [(text, WHEN)]
    run(sys.executable, "-c", FLAGGED, path, m.path(box, "flagged"))
    wait_until(lambda: server.letters(box) == [(text, WHEN), (text, 1)], "the date that was set")
    wait_until(lambda: list(server.flags(box).values()) == [flags, frozenset(("\\Flagged", "$Work"))], "the flags that were set")


# --- copies within the account ---

@pytest.mark.parametrize("script", ['cp "$1" .', 'cp -a "$1" .', 'cat "$1" > letter'])
def test_copy_on_server(server, box, m, script):
    text = letter(octets=500000)
    uid = server.deliver("INBOX", text, date=WHEN)
    wait_until(lambda: os.path.exists(m.path("INBOX", uid)), "the new message has its name")
    began = time.time()
    shell(m, box, script, m.path("INBOX", uid))
    assert server.letters(box) == [(text, WHEN)]
    assert not sent(server, b" APPEND ", since=began)
    assert sent(server, b" UID COPY ", since=began)


def test_parts_of_messages(server, box, m):
    """What is not a whole message is read and written."""
    uid = server.deliver("INBOX", letter(octets=20000))
    wait_until(lambda: os.path.exists(m.path("INBOX", uid)), "the new message has its name")
    shell(m, box, 'cat "$1" "$1" > twice', m.path("INBOX", uid))
    assert bodies(server, box) == [letter(octets=20000) * 2]


# --- what cannot be ---

def test_attributes(m):
    """Those of messages and directories cannot be set, and nobody fails for it."""
    m.expect(r"INBOX/1: messages cannot be edited")
    os.chmod(m.path("INBOX", "1"), 0o644)
    os.utime(m.path("INBOX", "1"))
    os.utime(m.path("INBOX"))
    os.chmod(m.path("INBOX"), 0o755)
    st = os.stat(m.path("INBOX", "1"))
    assert (st.st_mode & 0o777, st.st_mtime) == (0o400, 1500000000)
    with pytest.raises(OSError) as caught:
        os.truncate(m.path("INBOX", "1"), 0)
    assert caught.value.errno == errno.EACCES


def test_read_only(server, mount):
    m = mount(server, "ro")
    for call in (lambda: open(m.path("INBOX", "letter"), "wb"), lambda: os.utime(m.path("INBOX", "1"))):
        with pytest.raises(OSError) as caught:
            call()
        assert caught.value.errno == errno.EROFS
    assert os.stat(m.path("INBOX")).st_mode & 0o777 == 0o700


# --- tools that replace ---

REPLACING = {
    "cp": 'cp "$1" {name}; true',
    "cp -f": 'cp -f "$1" {name}',
    "mv": 'cp "$1" "$1.moved"; mv -f "$1.moved" {name}',
    "install": 'install "$1" {name}',
    "tar": 'tar -cf "$1.tar" --transform "s,.*,{name}," -P "$1"; tar -xf "$1.tar"',
    "unlink": 'rm -f {name}; cp "$1" {name}',
    "rename": 'cp "$1" .new; mv -f .new {name}',
}


@pytest.mark.parametrize("name", ["1", "first"])
@pytest.mark.parametrize("tool", REPLACING)
def test_replacing(server, box, mount, files, tool, name):
    """The message that was there stays, under its UID; what comes is added."""
    m = mount(server, "async")
    run("cp", files("first", letter(1)), m.path(box, "first"))
    m.tolerate("messages cannot be edited")
    os.listdir(m.path(box))
    shell(m, box, REPLACING[tool].format(name=name), files("letter", letter(2)), check=False)
    # rm is another process, which means what it says; cp without -f is refused, but to root.
    texts = {"unlink": [letter(2)], "cp": [letter(1)]}.get(tool, [letter(1), letter(2)])
    wait_until(lambda: bodies(server, box) == texts, "what was there, and what came")
    m.stop()
    assert bodies(server, box) == texts


# --- editors and others ---

@pytest.mark.parametrize("backup", ["backupcopy=yes", "backupcopy=no", "backupcopy=auto"])
def test_vim(server, box, mount, backup):
    """Each :w of the vim that made the file leaves one message."""
    m = mount(server, "async")
    m.tolerate("messages cannot be edited")
    with subprocess.Popen(["vim", "-u", "NONE", "-i", "NONE", "-n", "-es", "-c", f"set {backup} ff=unix", "letter"],
                          cwd=m.path(box), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as vim:
        for i in range(3):
            vim.stdin.write(b"%%d\nput =['Subject: x', '', 'line %d']\n1d\nw!\n" % i)
            vim.stdin.flush()
            text = b"Subject: x\r\n\r\nline %d\r\n" % i
            wait_until(lambda text=text: bodies(server, box) == [text], "one message, the last")
        vim.stdin.write(b"q!\n")
        vim.stdin.close()
    assert bodies(server, box) == [text]


def test_gio(server, box, m, files):
    run("gio", "copy", files("letter", letter()), m.path(box))
    wait_until(lambda: server.letters(box) == [(letter(), WHEN)], "one message, with its date")


def test_unzip(server, box, mount, files):
    m = mount(server, "async")
    archive = files("letter", letter()) + ".zip"
    run("zip", "-q", "-j", archive, archive[:-4])
    for _ in range(2):
        run("unzip", "-q", "-o", archive, "-d", m.path(box))
        run(PROGRAM, "--sync", m.point)
        assert server.letters(box) == [(letter(), WHEN)]


def test_sed_in_place(server, box, mount, files):
    """What it makes is added, and the message stays."""
    m = mount(server, "async")
    run("cp", files("letter", letter()), m.path(box))
    shell(m, box, "sed -i s/draft/changed/ letter", check=False)
    assert bodies(server, box) == [letter(), letter().replace(b"draft", b"changed")]
