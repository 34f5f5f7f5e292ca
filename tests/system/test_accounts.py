# SPDX-License-Identifier: MIT
"""Accounts of the file, from the command line, mount(8) and fstab."""
import os
import re
import shlex
import subprocess

import pytest

import dovecot
import fakedns
from dovecot import Mail
from fakedns import FakeDns
from fakeimap import FakeImap, Rule
from mounting import is_mounted, points, run, wait_until
from ordinary import User
from programs import APART, PROGRAM

TEXT = b"Subject: x\r\n\r\nbody\r\n"

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can set up what mount(8) reads")

# In a mount namespace: where mount(8) and its helper find the program, whatever PATH is, and fstab.
SET_UP = """
mount -t tmpfs tmpfs /usr/local/bin
cp {program} /usr/local/bin/imapfs
ln -s imapfs /usr/local/bin/mount.imapfs
printf '%s\\n' {fstab} >{directory}/fstab
mount --bind {directory}/fstab /etc/fstab
sed 's#^\\(nobody:.*\\):[^:]*:#\\1:{directory}:#' /etc/passwd >{directory}/passwd
mount --bind {directory}/passwd /etc/passwd
"""


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    return start_server([Mail("INBOX", TEXT)])


def write_config(directory, point, server, password):
    """An account "work"."""
    os.makedirs(f"{directory}/.config/imapfs")
    path = f"{directory}/.config/imapfs/config"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as out:
        out.write(f"[work]\nsource = imaps://{server.user}@localhost:{server.imaps_port}/\n"
                  f"mountpoint = {point}\npassfile = {password}\ncafile = {server.ca_file}\n")
    return path


def set_up(directory, fstab):
    return SET_UP.format(program=shlex.quote(PROGRAM), directory=directory, fstab=shlex.quote(fstab))


def test_account(server, directory):
    point = directory + "/mail"
    os.mkdir(point)
    write_config(directory, point, server, server.password_file)
    environment = {**os.environ, "HOME": directory}
    points.add(point)
    listed = subprocess.run([PROGRAM, "--list"], env=environment, capture_output=True, text=True, check=True)
    assert listed.stdout == f"work\timaps://{server.user}@localhost:{server.imaps_port}/\t{point}\n"
    done = subprocess.run([PROGRAM, "work"], env=environment, capture_output=True, text=True, check=True)
    assert not done.stderr
    assert run("findmnt", "-no", "SOURCE,FSTYPE", point).stdout.split() == ["work", "fuse.imapfs"]
    again = subprocess.run([PROGRAM, "work"], env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 5 and "mounted here already" in again.stderr
    run("fusermount3", "-u", point)
    wait_until(lambda: not is_mounted(point), "unmounted")


def test_mount_by_root(server, directory):
    """mount -a, twice, where a directory has the account's name; remounted read-only; and by the helper of mount -t imapfs. Nothing is said."""
    point = directory + "/mail"
    os.mkdir(point)
    write_config(directory, point, server, server.password_file)
    script = set_up(directory, f"work {point} fuse.imapfs noexec,nonempty,x-gvfs-hide 0 0") + f"""
mount --bind {directory} /root
cd {directory}
findmnt -no OPTIONS mail && exit 1
mkdir work
mount -a
mount -a
findmnt -no OPTIONS mail
mount -o remount,ro mail
findmnt -no OPTIONS mail
rm -f mail/INBOX/1 2>&1 | grep -o 'Read-only.*'
umount mail
mount.imapfs work {point} -n -v -o rw,ro
findmnt -no OPTIONS mail
umount mail
mount.imapfs work {point} -f -o rw
findmnt -no OPTIONS mail || echo none
"""
    done = subprocess.run([*APART, "sh", "-e", "-c", script], capture_output=True, text=True, timeout=90,
                          env={**os.environ, "HOME": "/root", "LC_ALL": "C.UTF-8"}, check=False)
    assert done.returncode == 0 and not done.stderr, done
    first, second, refused, third, none = done.stdout.splitlines()
    assert {"rw", "noexec", "nosuid", "nodev"} <= set(first.split(","))
    assert {"ro", "noexec", "nosuid", "nodev"} <= set(second.split(","))
    assert refused == "Read-only file system"
    assert "ro" in third.split(",") and none == "none"


def test_mount_by_user(server, directory):
    """From fstab, for a user: mount(8) hands over root's home directory, or none."""
    user = User(directory, server.password, set_up(
        directory, f"work {directory}/mail fuse.imapfs user,noauto 0 0"))
    write_config(directory, user.point, server, directory + "/password")
    run("chown", "-R", str(user.uid), directory + "/.config")
    said = user.run("""
export HOME=/root
mount $PWD/mail
findmnt -no SOURCE,FSTYPE $PWD/mail
ls mail/INBOX
mount -o remount,ro $PWD/mail 2>&1 | grep -o 'only root .*' || true
umount $PWD/mail
ls -d .cache/imapfs/*
""")
    assert said.split()[:3] == ["work", "fuse.imapfs", "1"], said
    assert said.rstrip().endswith(f".cache/imapfs/{server.user}@localhost:{server.imaps_port}"), said


def test_setuid(server, directory):
    """Root mounts for a user, and may not look into it afterwards: it is told why."""
    point = directory + "/mail"
    os.mkdir(point)
    secret = directory + "/password"
    with open(secret, "w", encoding="utf-8") as out:
        out.write(server.password + "\n")
    os.chmod(secret, 0o600)
    write_config(directory, point, server, secret)
    for path in (directory, point, secret, *(directory + name for name in (
            "/.config", "/.config/imapfs", "/.config/imapfs/config"))):
        os.chown(path, 65534, 65534)
    script = set_up(directory, "") + f"""
mknod -m 666 {directory}/fuse c 10 229
mount --bind {directory}/fuse /dev/fuse
cd {directory}
mount.imapfs work {point} -o rw,setuid=nobody,_netdev
findmnt -no OPTIONS mail
imapfs --status mail 2>&1 || echo "status $?"
setpriv --reuid=65534 --regid=65534 --clear-groups imapfs --status mail | head -n 1
umount mail
"""
    done = subprocess.run([*APART, "sh", "-e", "-c", script], capture_output=True, text=True, timeout=90,
                          env={**os.environ, "HOME": "/root", "LC_ALL": "C.UTF-8"}, check=False)
    assert done.returncode == 0 and not done.stderr, done
    options, refused, status, own = done.stdout.splitlines()
    assert "user_id=65534" in options and status == "status 5"
    assert refused.startswith("imapfs: mail: only the user who has mounted it may ask, not root either; run it as nobody")
    assert own.startswith(f"server: {server.user}@localhost")


def test_address(directory):
    """Who knows only an address: the server that the domain names, at once where it is below the domain and
    else when that was confirmed; and remembered."""
    os.mkdir(directory + "/mail")
    dovecot.make_authority(directory)
    dovecot.make_certificate(directory, ("DNS:imap.example.org", "DNS:mail.example.net"))
    fakes = {"user": "anna@example.org", "tls": True,
             "certificate": (f"{directory}/server.pem", f"{directory}/server.key")}
    with open(directory + "/resolv.conf", "w", encoding="ascii") as out:
        out.write(f"nameserver {fakedns.ADDRESS}\noptions timeout:5\n")
    with FakeImap({"INBOX": [TEXT]}, **fakes) as server, FakeDns({
            (fakedns.SRV, "_imaps._tcp.example.org"): (server.port, "imap.example.org"),
            (fakedns.SRV, "_imaps._tcp.example.com"): (server.port, "mail.example.net"),
            (fakedns.SRV, "_imaps._tcp.example.net"): (0, "."),
            (fakedns.A, "imap.example.org"): "127.0.0.1",
            (fakedns.A, "mail.example.net"): "127.0.0.1"}) as dns:
        script = f"""
mount --bind {directory}/resolv.conf /etc/resolv.conf
export HOME={directory}
cd {directory}
run() {{ {shlex.quote(PROGRAM)} -o ro,passcmd='echo {server.password}',cafile={directory}/ca.pem "$@" 2>&1; }}
run anna@example.org mail && ls mail/INBOX && umount mail
run anna@example.org:INBOX mail && ls mail && umount mail
cat .local/state/imapfs/servers
run anna@example.com mail || echo "status $?"
echo y | script -qec "{shlex.quote(PROGRAM)} -o ro,passcmd=false anna@example.com mail" \
    /dev/null | tr -d '\\r'
tail -n 1 .local/state/imapfs/servers
run anna@example.net mail || echo "status $?"
run anna@example.info mail || echo "status $?"
"""
        done = subprocess.run([*APART, "sh", "-c", script], capture_output=True, text=True, timeout=90,
                              env={**os.environ, "LC_ALL": "C.UTF-8"}, check=False)
        assert not done.stderr, done
        lines = done.stdout.splitlines()
        url = f"anna@example.org imaps://anna%40example.org@imap.example.org:{server.port}/"
        assert lines[:4] == [f"imapfs: anna@example.org: its server is imap.example.org port {server.port}", "1",
                             "1", url], lines
        assert re.match(r"imapfs: example.com names mail.example.net for its mail, which is outside its domain and "
                        r"was not confirmed; to log in there write anna@example.com@mail.example.net", lines[4])
        assert lines[5] == "status 2"
        rest = "\n".join(lines[6:])
        assert "example.com says that its mail is at mail.example.net, which is not below example.com" in rest
        assert f"\nanna@example.com imaps://anna%40example.com@mail.example.net:{server.port}/\n" in rest
        assert re.search(r"\nimapfs: example.net says that it has no IMAP server .*\nstatus 2\n", rest)
        assert re.search(r"\nimapfs: example.info:993: cannot resolve .*; if example.info is the domain of your "
                         r"address.*write anna@example.info@THAT.NAME\nstatus 2$", rest)
        # Once it is known the domain is not asked again.
        assert dns.asked.count((fakedns.SRV, "_imaps._tcp.example.org")) == 1


def test_lookup_goes_on(directory):
    """A lookup that was given up for what the domain says is still under way in its thread when the program goes to the
    background: it is in the process that stays, as a thread that fork() leaves behind may hold locks of the resolver."""
    os.mkdir(directory + "/mail")
    dovecot.make_authority(directory)
    dovecot.make_certificate(directory, ("DNS:imap.example.org",))
    held = Rule("AUTHENTICATE", stall=True, reply=b"NO [AUTHENTICATIONFAILED] no")
    with open(directory + "/resolv.conf", "w", encoding="ascii") as out:
        out.write(f"nameserver {fakedns.ADDRESS}\noptions timeout:30\n")
    with FakeImap({"INBOX": [TEXT]}, rules=[held], user="anna@example.org", tls=True,
                  certificate=(f"{directory}/server.pem", f"{directory}/server.key")) as server, FakeDns({
                      (fakedns.SRV, "_imaps._tcp.example.org"): (server.port, "imap.example.org"),
                      (fakedns.A, "imap.example.org"): "127.0.0.1"}, silent=["example.org"]):
        options = f"ro,timeout=3,passcmd='echo {server.password}',cafile={directory}/ca.pem"
        script = f"""
mount --bind {directory}/resolv.conf /etc/resolv.conf
exec {shlex.quote(PROGRAM)} -o {options} anna@example.org {directory}/mail
"""
        with subprocess.Popen([*APART, "sh", "-c", script], stderr=subprocess.PIPE, text=True,
                              env={**os.environ, "HOME": directory, "LC_ALL": "C.UTF-8"}) as process:
            server.wait(lambda: held.hits > 0)
            assert os.listdir(f"/proc/{process.pid}/task") == [str(process.pid)]
            held.release()
            said = process.communicate(timeout=60)[1]
        assert process.returncode == 4 and "login refused" in said
