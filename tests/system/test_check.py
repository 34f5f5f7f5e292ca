# SPDX-License-Identifier: MIT
"""imapfs --check: a line for each thing, what to do, the exit status, and no secret."""
import os
import re
import subprocess

import pytest

from dovecot import Mail
from fakeimap import FakeImap
from mounting import is_mounted
from programs import PROGRAM
from test_connect import CONNECT, LOGIN, MOUNT, TLS, USAGE, write_secret

TEXT = b"Subject: x\r\n\r\nbody\r\n"


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    return start_server([Mail("INBOX", TEXT)], extra=(
        "service anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}\n"))


def check(directory, *arguments):
    """Its exit status, what it says of each thing, and all of it."""
    done = subprocess.run([PROGRAM, "--check", *arguments], capture_output=True, text=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL, env={**os.environ, "HOME": directory, "XDG_CACHE_HOME": "",
                                                         "XDG_STATE_HOME": "", "LC_ALL": "C.UTF-8"})
    assert not done.stderr or done.returncode == USAGE, done.stderr
    lines = dict(re.findall(r"^(?:ok|note|FAIL) +(.*?)  +(.*)$", done.stdout, re.M))
    return done.returncode, lines, done.stdout + done.stderr


def test_good(server, directory):
    point = directory + "/mail"
    os.mkdir(point)
    status, lines, said = check(
        directory, "-o", f"passfile={server.password_file},cafile={server.ca_file}",
        f"imaps://{server.user}@localhost:{server.imaps_port}/", point)
    assert status == 0 and "FAIL" not in said, said
    assert re.match(r"imapfs \S+, libfuse \S+, GnuTLS \S+, libuv \S+, Linux ", said)
    assert lines["FUSE"].startswith("/dev/fuse") and lines["mountpoint"] == point
    assert re.match(r"localhost port \d+ is (127.0.0.1|::1)", lines["address"])
    assert "TLS1." in lines["TLS"] and "certificate by" in lines["TLS"]
    assert lines["login"].startswith("by ") and "UIDPLUS" in lines["capabilities"]
    assert lines["folders"].endswith("hold messages") and "MB free" in lines["cache"]
    assert lines["changes"] == "the server tells of them, in all mailboxes (NOTIFY)"
    assert lines["quota"] == "the server tells of none"
    # Nothing was made, mounted or told.
    assert not is_mounted(point) and os.listdir(directory) == ["mail"]
    assert server.password not in said


def test_bad(server, directory):
    wrong = write_secret(directory + "/wrong", "not the word\n")
    source = f"imaps://{server.user}@localhost:{server.imaps_port}/"
    trusted = f"passfile={wrong},cafile={server.ca_file}"
    status, lines, said = check(directory, "-o", trusted, source)
    assert status == LOGIN and "login refused" in lines["login"] and "not the word" not in said
    status, lines, _ = check(directory, "-o", f"passfile={wrong}", source)
    assert status == TLS and "cafile=" in lines["TLS"]
    status, lines, _ = check(directory, "-o", trusted, "imaps://u@localhost:1/")
    assert status == CONNECT and "cannot connect to localhost port 1" in lines["address"]
    status, lines, _ = check(directory, "-o", "passfile=/nonexistent", source, directory + "/wrong")
    assert status == MOUNT and lines["mountpoint"].endswith("not a directory")
    assert lines["password"] == "passfile /nonexistent: No such file or directory"
    os.mkdir(directory + "/open")
    os.chmod(directory + "/open", 0o777)
    status, lines, _ = check(directory, "-o", f"cache={directory}/open,{trusted}", source)
    assert status == 6 and "cache" in lines["cache"]
    status, _, said = check(directory, "-o", "nonsense", source)
    assert status == USAGE and "unknown option 'nonsense'" in said


def test_poor_server(directory):
    """What a server lacks is told, as notes."""
    with FakeImap({"INBOX": [TEXT]}, hide=("UIDPLUS",)) as server:
        secret = write_secret(directory + "/secret", server.password + "\n")
        status, _, said = check(directory, "-o", f"tls=none,passfile={secret}", f"imap://user@localhost:{server.port}/")
    assert status == 0, said
    assert re.search(r"^note +TLS +none: everyone", said, re.M)
    assert re.search(r"^note +server +no UIDPLUS: rm is refused", said, re.M)
    assert server.password not in said


@pytest.mark.parametrize("source", ["passfile=", "passcmd=", "netrc=", "the netrc of the user", "the credential imapfs"])
def test_source_of_the_password(directory, monkeypatch, source):
    with FakeImap({"INBOX": [TEXT]}) as server:
        secret = write_secret(directory + "/imapfs", server.password + "\n")
        netrc = write_secret(directory + "/.netrc", f"machine 127.0.0.1 login user password {server.password}\n")
        words = {"passfile=": f",passfile={secret}", "passcmd=": f",passcmd=cat {secret}", "netrc=": f",netrc={netrc}"}
        if "credential" in source:
            monkeypatch.setenv("CREDENTIALS_DIRECTORY", directory)
        status, lines, said = check(directory, "-o", "tls=none" + words.get(source, ""),
                                    f"imap://user@127.0.0.1:{server.port}/")
    assert status == 0 and lines["password"].startswith("from " + source), said
    assert server.password not in said
