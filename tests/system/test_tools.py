# SPDX-License-Identifier: MIT
"""The tools that people point at their mail: each gives what it would give on local files."""
import os
import tarfile

import pytest

import mailgen
import tree
from dovecot import Mail
from mounting import run


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    return start_server(mailgen.account(count=500, large=True))


@pytest.fixture(name="copy", scope="module")
def fixture_copy(server, tmp_path_factory):
    """The account as local files: what the server itself says."""
    root = tmp_path_factory.mktemp("copy")
    for folder in tree.directories(server):
        os.makedirs(root / folder, exist_ok=True)
    for path, entry in tree.expected(server).items():
        (root / path).write_bytes(entry.body)
        os.utime(root / path, (entry.date, entry.date))
    return str(root)


def lines(*command, **keywords):
    return sorted(run(*command, **keywords).stdout.splitlines())


def test_ls(server, mount, copy):
    m = mount(server)
    listing = ("ls", "-lR", "--time-style=+%s")

    def files(root):
        """Size, time and name of each."""
        return sorted(line.split(None, 6)[4:] for line in lines(*listing, cwd=root) if line.startswith("-"))
    assert files(m.point) == files(copy)
    assert lines("ls", "-R", cwd=m.point) == lines("ls", "-R", cwd=copy)


@pytest.mark.parametrize("question", [
    ("-type", "f", "-size", "+100k"), ("-type", "f", "-newermt", "2020-01-01"), ("-name", "*4*"), ("-type", "d", "-links", "2"),
    ("-mindepth", "2", "-type", "f"), ("-empty",), ("-type", "d", "-path", "*24*"),
])
def test_find(server, mount, copy, question):
    m = mount(server)
    assert lines("find", ".", *question, cwd=m.point) == lines("find", ".", *question, cwd=copy)


def test_grep(server, mount, copy):
    m = mount(server)
    for options in (("-rl", "invoice"), ("-rac", "Subject"), ("-rLi", "bridge"), ("-rlE", "^From: .*example.de")):
        found = lines("grep", *options, ".", cwd=m.point)
        assert found == lines("grep", *options, ".", cwd=copy)
        assert found


def test_rsync_twice(server, mount, copy):
    """The second one, after a remount, has nothing to do; and nothing on the server has changed."""
    before = server.flags_snapshot()
    m = mount(server)
    backup = os.path.join(m.directory, "backup")
    run("rsync", "-a", m.point + "/", backup + "/")
    run("diff", "-r", backup, copy)
    assert tree.compare(server, backup) == []
    m.restart()
    assert run("rsync", "-ai", m.point + "/", backup + "/").stdout == ""
    assert run("rsync", "-aic", m.point + "/", backup + "/").stdout == ""
    assert server.flags_snapshot() == before


def test_rsync_follows(start_server, mount):
    """What came and went between two runs is all that is copied and deleted."""
    server = start_server([Mail("Follow", b"Subject: %d\r\n\r\n" % i) for i in range(20)])
    m = mount(server, mailbox="Follow")
    backup = os.path.join(m.directory, "backup")
    run("rsync", "-a", m.point + "/", backup + "/")
    server.expunge("Follow", [3, 7])
    new = server.deliver("Follow", b"Subject: new\r\n\r\n")
    m.restart()
    changes = run("rsync", "-ai", "--delete", m.point + "/", backup + "/").stdout.splitlines()
    changes = {line.split()[-1] for line in changes if not line.endswith(" ./")}
    assert changes == {"3", "7", str(new)}
    run("diff", "-r", m.point, backup)


def test_cp(server, mount, copy):
    m = mount(server)
    target = os.path.join(m.directory, "target")
    run("cp", "-a", m.point, target)
    run("diff", "-r", target, copy)
    assert tree.compare(server, target) == []


def test_tar(server, mount, copy):
    m = mount(server)
    archive = os.path.join(m.directory, "mail.tar")
    run("tar", "-cf", archive, "-C", m.point, ".")
    run("tar", "-df", archive, "-C", m.point)
    with tarfile.open(archive) as tar:
        wanted = tree.expected(server)
        found = {os.path.normpath(entry.name): tar.extractfile(entry).read() for entry in tar if entry.isfile()}
    assert found == {path: entry.body for path, entry in wanted.items()}


def test_diff(server, mount, copy):
    m = mount(server)
    run("diff", "-r", m.point, copy)


def test_du_and_wc(server, mount, copy):
    m = mount(server)
    assert run("du", "--apparent-size", "-sb", "INBOX/1", cwd=m.point).stdout == \
        run("du", "--apparent-size", "-sb", "INBOX/1", cwd=copy).stdout
    script = "find . -type f | sort | xargs -d '\\n' cat | wc"
    assert run("sh", "-c", script, cwd=m.point).stdout == run("sh", "-c", script, cwd=copy).stdout


def test_two_at_once(server, mount, copy):
    """A backup and a search beside each other."""
    m = mount(server)
    backup = os.path.join(m.directory, "backup")
    run("sh", "-c", f"rsync -a '{m.point}/' '{backup}/' & grep -rl invoice . >'{m.directory}/found'; wait $!", cwd=m.point)
    with open(os.path.join(m.directory, "found"), encoding="utf-8") as source:
        assert sorted(source.read().splitlines()) == lines("grep", "-rl", "invoice", ".", cwd=copy)
    run("diff", "-r", backup, copy)
