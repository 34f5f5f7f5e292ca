#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A private Dovecot on loopback, for the tests and the demo.

Everything it has lies in one directory: configuration, certificates, sockets, logs and mail. It runs
as root (mail then belongs to the system user "mail") or as any user without privileges. Two ports:
one with STARTTLS and plain authentication, one with implicit TLS; the certificate is for localhost
and 127.0.0.1, by an authority made for the occasion.

    with Dovecot(quota=10 << 20) as server:
        server.load([Mail("Archive/2023", b"Subject: x\r\n\r\n", 1700000000, ["\\Seen"])])
        server.fetch_all("Archive/2023")        # {1: b"Subject: x\r\n\r\n"}

What was put in is not always what comes out: Dovecot stores lines its own way, sends NUL as 0x80,
and so on. For the truth about bytes ask the server with fetch_all(), which uses imapraw.py.

As a command: dovecot.py start DIR | stop DIR | info DIR
"""
import argparse
import atexit
import collections
import base64
import contextlib
import getpass
import grp
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import dovecot24
import imapraw
from imapserver import ImapServer, Mail

# What Dovecot 2.3 offers after login; hide= takes names off this list.
CAPABILITIES = (
    "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFERENCES "
    "THREAD=REFS THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT CHILDREN NAMESPACE "
    "UIDPLUS LIST-EXTENDED I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES WITHIN CONTEXT=SEARCH "
    "LIST-STATUS BINARY MOVE SNIPPET=FUZZY PREVIEW=FUZZY PREVIEW STATUS=SIZE SAVEDATE LITERAL+ NOTIFY "
    "SPECIAL-USE").split()

START_SECONDS = 60
STOP_SECONDS = 10
# Nothing of a test server is worth a disk's time: making and removing 100,000 mails takes a minute there.
PLACE = "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"
SOCKET_PATH_MAX = 70  # of the 107 octets of a Unix socket address; the rest is Dovecot's names

CONFIG = """\
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/log/dovecot.log
info_log_path = {base}/log/info.log
instance_name = imapfs-{token}
protocols = imap
listen = 127.0.0.1
{users}
default_vsz_limit = 0
verbose_proctitle = no
shutdown_clients = yes
ssl = yes
ssl_cert = <{base}/tls/server.pem
ssl_key = <{base}/tls/server.key
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
auth_verbose = yes
passdb {{
  driver = passwd-file
  args = scheme=PLAIN.b64 {base}/passwd
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={base}/mail
}}
first_valid_uid = 1
first_valid_gid = 0
mail_location = {location}
mail_fsync = never
mail_max_userip_connections = 10000
mail_plugins = {mail_plugins}
mailbox_list_index = yes
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Drafts {{
    special_use = \\Drafts
  }}
  mailbox Sent {{
    special_use = \\Sent
  }}
  mailbox Trash {{
    special_use = \\Trash
  }}
}}
protocol imap {{
  mail_plugins = $mail_plugins {imap_plugins}
  imap_idle_notify_interval = 2 mins
  rawlog_dir = {rawlog}
  {capability}
}}
plugin {{
  {plugin}
}}
service imap-login {{
  {chroot}
  service_count = 0
  process_min_avail = 1
  client_limit = 2000
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = {imaps_port}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 1000
}}
service anvil {{
  {chroot}
  client_limit = 4000
}}
service auth {{
  client_limit = 4000
}}
service stats {{
  {chroot}
  client_limit = 4000
}}
{extra}
"""


class ServerError(Exception):
    """Dovecot did not start, or stopped."""


# Ports that were given lately: one is held by a name of that number, so that no other test takes it before its
# server listens there.
claims = collections.deque(maxlen=64)


def free_ports(count):
    """Ports of 127.0.0.1 that nobody listened on a moment ago, and that the kernel gives to no client."""
    found = []
    while len(found) < count:
        port = 10000 + secrets.randbelow(22768)
        claim = socket.socket(socket.AF_UNIX)
        with socket.socket() as sock, contextlib.suppress(OSError):
            claim.bind(f"\0imapfs-test-port-{port}")
            sock.bind(("127.0.0.1", port))
            claims.append(claim)
            found.append(port)
    return found


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def make_authority(directory, name="imapfs test authority"):
    """Writes ca.pem and ca.key into the directory and returns the path of ca.pem."""
    ca = os.path.join(directory, "ca.pem")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", f"/CN={name}", "-days", "30", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout", os.path.join(directory, "ca.key"), "-out", ca)
    return ca


def lifetime(days):
    """Options of openssl x509. Newer ones have no days before today, older ones no dates."""
    usage = subprocess.run(["openssl", "x509", "-help"], capture_output=True, text=True, check=True)
    if days > 0 or "-not_after" not in usage.stderr + usage.stdout:
        return ["-days", str(days)]
    return ["-not_before", "20200101000000Z", "-not_after", "20200102000000Z"]


def make_certificate(directory, names=("DNS:localhost", "IP:127.0.0.1"), days=30):
    """Writes server.pem and server.key, signed by the directory's authority. days < 0: expired."""
    path = os.path.join
    extensions = path(directory, "server.ext")
    with open(extensions, "w", encoding="ascii") as out:
        out.write(f"subjectAltName={','.join(names)}\nextendedKeyUsage=serverAuth\n"
                  "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", "/CN=imapfs test server", "-keyout", path(directory, "server.key"),
            "-out", path(directory, "server.csr"))
    openssl("x509", "-req", "-in", path(directory, "server.csr"), "-CA", path(directory, "ca.pem"),
            "-CAkey", path(directory, "ca.key"), "-CAcreateserial", *lifetime(days), "-extfile", extensions, "-out", path(directory, "server.pem"))


def make_client_certificate(authority, directory, name):
    """A client's certificate by the authority in the one directory: name.pem and name.key in the other."""
    path = os.path.join(directory, name)
    with open(f"{path}.ext", "w", encoding="ascii") as out:
        out.write("extendedKeyUsage=clientAuth\nbasicConstraints=critical,CA:FALSE\n")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", f"/CN={name}", "-keyout", f"{path}.key", "-out", f"{path}.csr")
    openssl("x509", "-req", "-in", f"{path}.csr", "-CA", os.path.join(authority, "ca.pem"),
            "-CAkey", os.path.join(authority, "ca.key"), "-CAcreateserial", "-days", "30",
            "-extfile", f"{path}.ext", "-out", f"{path}.pem")
    return f"certfile={path}.pem", f"keyfile={path}.key"


def session_members(session):
    """The live processes of a session: the master leads one, and its children never leave it."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as stat:
                fields = stat.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in (b"Z", b"X"):
            found.append(int(entry))
    return found


def process_name(pid):
    """Empty when the process is gone."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as source:
            return source.read().strip()
    except OSError:
        return ""


class Dovecot(ImapServer):
    """One server. Without a directory it makes one under /tmp and removes it in close().

    mail_format   "maildir", "mdbox" or "sdbox"
    hide          capabilities to hide, e.g. ["CONDSTORE", "QRESYNC"]; Dovecot still obeys the commands
    capability    the whole capability line instead
    compress      offer COMPRESS=DEFLATE
    quota         limit in octets; None: no quota; quota_messages likewise for the count
    acl           load the ACL plug-ins (SETACL and MYRIGHTS work)
    rawlog        keep what every client sends and gets: see commands()
    extra         configuration text added at the end; {base} in it is the directory
    extra24       the same for a Dovecot 2.4; None: it is no other
    """

    def __init__(self, directory=None, *, mail_format="maildir", imap_port=None, imaps_port=None,
                 hide=(), capability=None, compress=True, quota=None, quota_messages=None, acl=False,
                 rawlog=False, user="user", password="secret word", extra="",
                 extra24=None):
        self.own_directory = directory is None
        if directory is None:
            directory = tempfile.mkdtemp(prefix="imapfs-dovecot-", dir=PLACE)
            os.chmod(directory, 0o755)
        self.directory = os.path.realpath(directory)
        self.mail_format = mail_format
        self.imap_port, self.imaps_port = imap_port, imaps_port
        self.hide, self.capability, self.compress = hide, capability, compress
        self.quota, self.quota_messages, self.acl = quota, quota_messages, acl
        self.rawlog, self.extra, self.extra24 = rawlog, extra, extra24
        self.user, self.password = user, password
        self.process = None
        self.pid = None
        self.spoiled = 0  # how often, see names()
        if os.getuid() == 0:
            owner = pwd.getpwnam("mail")
            self.uid, self.gid = owner.pw_uid, owner.pw_gid
        else:
            self.uid, self.gid = os.getuid(), os.getgid()

    @classmethod
    def attach(cls, directory):
        """The server that `start` left running in the directory."""
        with open(os.path.join(directory, "server.json"), encoding="utf-8") as source:
            saved = json.load(source)
        server = cls(directory, **saved["options"])
        server.pid = saved["pid"]
        return server

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.close()

    def path(self, *names):
        return os.path.join(self.directory, *names)

    @property
    def ca_file(self):
        return self.path("tls", "ca.pem")

    @property
    def password_file(self):
        return self.path("password")

    @property
    def log_file(self):
        return self.path("log", "dovecot.log")

    @property
    def mail_directory(self):
        return self.path("mail", "store")

    def info(self):
        return {
            "directory": self.directory, "pid": self.pid, "url": self.url, "host": "localhost",
            "imap_port": self.imap_port, "imaps_port": self.imaps_port, "ca_file": self.ca_file,
            "user": self.user, "password_file": self.password_file, "log_file": self.log_file,
            "mail_format": self.mail_format,
        }

    # Starting and stopping

    def start(self, detached=False):
        """Returns when both ports answer. Not detached, the server dies with its parent."""
        self._check_directory()
        for name in ("run", "state", "log", "tls", "mail", "rawlog"):
            os.makedirs(self.path(name), exist_ok=True)
        for name in ("mail", "rawlog"):
            os.chown(self.path(name), self.uid, self.gid)
            os.chmod(self.path(name), 0o700)
        if not os.path.exists(self.path("tls", "server.pem")):
            make_authority(self.path("tls"))
            make_certificate(self.path("tls"))
        if self.imap_port is None or self.imaps_port is None:
            self.imap_port, self.imaps_port = free_ports(2)
        self._write_private("password", self.password + "\n")
        encoded = base64.b64encode(self.password.encode()).decode()
        self._write_private("passwd", f"{self.user}:{{PLAIN.b64}}{encoded}::::::\n", True)
        with open(self.path("dovecot.conf"), "w", encoding="utf-8") as out:
            out.write(self._config())
        command = ["dovecot", "-F", "-c", self.path("dovecot.conf")]
        # The signal comes when the thread that started it ends, so only the main one may ask for it.
        if not detached and threading.current_thread() is threading.main_thread():
            command = ["setpriv", "--pdeathsig", "TERM", *command]
        environment = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        with open(self.path("log", "start.log"), "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                start_new_session=True)
        self.pid = self.process.pid
        if not detached:
            atexit.register(self.stop)
        self._save()
        self._wait_until_up()

    def _check_directory(self):
        if self.uid != os.getuid():
            part = self.directory
            os.chmod(part, os.stat(part).st_mode | 0o111)
            while part != "/":
                part = os.path.dirname(part)
                if not os.stat(part).st_mode & 0o001:
                    raise ServerError(f"Dovecot's mail user cannot pass {part}: choose a directory "
                                      "elsewhere, or give none")
        if len(self.directory) > SOCKET_PATH_MAX:
            raise ServerError(f"path too long for sockets: {self.directory}")

    def _config(self):
        if os.getuid() == 0:
            users, chroot = "", ""
        else:
            group = grp.getgrgid(self.gid).gr_name
            users = (f"default_internal_user = {getpass.getuser()}\n"
                     f"default_login_user = {getpass.getuser()}\n"
                     f"default_internal_group = {group}")
            chroot = "chroot ="
        version = subprocess.run(["dovecot", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
        is24 = dovecot24.is_wanted(version)
        capability = self.capability
        # From 2.4 on COMPRESS is always there.
        if capability is None and (self.hide or (is24 and not self.compress)):
            extra = ["COMPRESS=DEFLATE"] if self.compress else []
            extra += ["ACL", "RIGHTS=texk"] if self.acl else []
            extra += ["QUOTA"] if self.quota is not None or self.quota_messages is not None else []
            known = dovecot24.CAPABILITIES if is24 else CAPABILITIES
            capability = " ".join(c for c in known + extra if c not in self.hide)
        if is24:
            return dovecot24.config(self, users, chroot, capability)
        mail_plugins, imap_plugins, plugin = [], [], []
        if self.compress:
            imap_plugins.append("imap_zlib")
        if self.quota is not None or self.quota_messages is not None:
            mail_plugins.append("quota")
            imap_plugins.append("imap_quota")
            limits = [] if self.quota is None else [f"storage={self.quota}B"]
            limits += [] if self.quota_messages is None else [f"messages={self.quota_messages}"]
            plugin += ["quota = count:Mail", "quota_vsizes = yes", "quota_grace = 0",
                       f"quota_rule = *:{':'.join(limits)}"]
        if self.acl:
            mail_plugins.append("acl")
            imap_plugins.append("imap_acl")
            plugin.append("acl = vfile")
        location = f"{self.mail_format}:{self.mail_directory}"
        if self.mail_format == "maildir":
            location += f":LAYOUT=fs:INBOX={self.mail_directory}/INBOX"
        return CONFIG.format(
            base=self.directory, token=os.path.basename(self.directory), users=users, chroot=chroot,
            uid=self.uid, gid=self.gid, location=location, mail_plugins=" ".join(mail_plugins),
            imap_plugins=" ".join(imap_plugins), plugin="\n  ".join(plugin),
            rawlog=self.path("rawlog") if self.rawlog else "",
            capability=f"imap_capability = {capability}" if capability else "",
            imap_port=self.imap_port, imaps_port=self.imaps_port,
            extra=self.extra.replace("{base}", self.directory))

    def _write_private(self, name, text, for_server=False):
        """passwd is read by the auth process, which is not root."""
        descriptor = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
        if for_server and os.getuid() == 0:
            os.chown(self.path(name), pwd.getpwnam("dovecot").pw_uid, -1)

    def _save(self):
        options = {name: getattr(self, name) for name in (
            "mail_format", "imap_port", "imaps_port", "capability", "compress", "quota",
            "quota_messages", "acl", "rawlog", "user", "password", "extra", "extra24")}
        options["hide"] = list(self.hide)
        self._write_private("server.json", json.dumps({"pid": self.pid, "options": options}))

    def _wait_until_up(self):
        end = time.monotonic() + START_SECONDS
        for port in (self.imaps_port, self.imap_port):
            while not self._answers(port):
                if self.process.poll() is not None or time.monotonic() > end:
                    self.stop()
                    raise ServerError("Dovecot did not start:\n" + self.log())
                time.sleep(0.02)

    def _answers(self, port):
        return imapraw.answers(port, START_SECONDS, self.ca_file if port == self.imaps_port else None)

    def log(self):
        """Everything Dovecot has said so far."""
        text = ""
        for name in ("start.log", "dovecot.log", "info.log"):
            with contextlib.suppress(FileNotFoundError):
                with open(self.path("log", name), encoding="utf-8", errors="replace") as source:
                    text += source.read()
        return text

    def running(self):
        """True when the process of that number is this server, not another's."""
        try:
            with open(f"/proc/{self.pid}/cmdline", "rb") as source:
                return os.fsencode(self.path("dovecot.conf")) in source.read().split(b"\0")
        except OSError:
            return False

    def stop(self):
        """Stops the server and waits until none of its processes is left. Mail stays."""
        if self.pid is None:
            return
        session = self.pid
        if self.running():
            os.kill(self.pid, signal.SIGTERM)
            # A client in NOTIFY would be waited for.
            self.kick()
        elif self.process is None:
            session = None  # a number from a file that may be another's by now
        if session is not None:
            self._wait_until_gone(session)
        if self.process is not None:
            self.process.wait()
        self.process = self.pid = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path("run", "master.pid"))
        atexit.unregister(self.stop)

    def _wait_until_gone(self, session):
        """The master sleeps a second for its log process when all others are gone: not awaited."""
        end = time.monotonic() + STOP_SECONDS
        while True:
            if self.process is not None:
                self.process.poll()
            names = {pid: process_name(pid) for pid in session_members(session)}
            if not names:
                return
            if set(names.values()) <= {"dovecot", "log", ""} or time.monotonic() > end:
                for pid in names:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def restart(self, **changes):
        """Stops and starts again on the same ports, with other options if given."""
        for name in changes:
            if not hasattr(self, name):
                raise TypeError(f"no option {name}")
        self.stop()
        self.__dict__.update(changes)
        self.start()

    def close(self):
        self.stop()
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def pause(self):
        """Stops all processes where they are: connections stay open and nothing answers."""
        for pid in session_members(self.pid):
            os.kill(pid, signal.SIGSTOP)

    def resume(self):
        for pid in session_members(self.pid):
            os.kill(pid, signal.SIGCONT)

    def kick(self):
        """Cuts all connections of logged-in clients, as an idle time-out or an operator would."""
        for pid in session_members(self.pid):
            if process_name(pid) == "imap":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)

    def names(self, condition):
        """Dovecot 2.3 may spoil its list of mailboxes when two sessions use it while one changes it, and
        says so in its log. Those that had it open never hear of another name then: they are cut."""
        def look():
            with open(self.log_file, encoding="utf-8", errors="replace") as log:
                spoiled = log.read().count("Corrupted mailbox list index")
            if spoiled > self.spoiled:
                self.spoiled = spoiled
                self.kick()
            return condition()
        return look

    def doveadm(self, *arguments):
        """Runs doveadm for the user and returns its output."""
        command = ["doveadm", "-c", self.path("dovecot.conf"), *arguments]
        return subprocess.run(command, check=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE).stdout.decode()

    # Mail

    def load(self, mails):
        """Adds Mail tuples, in order. Mailboxes are made as needed. Mailboxes of a Maildir that do
        not exist yet are written as files (100,000 in seconds), others filled by MULTIAPPEND."""
        by_mailbox = {}
        for mail in mails:
            mail = Mail(*mail)
            by_mailbox.setdefault(mail.mailbox, []).append(mail)
        appended = {}
        for mailbox, group in by_mailbox.items():
            if self.mail_format == "maildir" and not self._maildir_exists(mailbox):
                self._write_maildir(mailbox, group)
            else:
                appended[mailbox] = group
        if appended:
            with self.client() as client:
                for mailbox, group in appended.items():
                    self._append(client, mailbox, group)

    def load_stream(self, mailbox, mails):
        """load() for one new Maildir mailbox, without holding all messages in memory."""
        if self.mail_format != "maildir" or self._maildir_exists(mailbox):
            raise ValueError("load_stream is for new Maildir mailboxes")
        self._write_maildir(mailbox, mails)

    def _maildir(self, mailbox):
        return os.path.join(self.mail_directory, *imapraw.utf7_encode(mailbox).split("/"))

    def _maildir_exists(self, mailbox):
        return os.path.exists(os.path.join(self._maildir(mailbox), "cur"))

    def _make_owned(self, directory):
        if not os.path.isdir(directory):
            self._make_owned(os.path.dirname(directory))
            os.mkdir(directory, 0o700)
            os.chown(directory, self.uid, self.gid)

    def _write_maildir(self, mailbox, mails):
        """Names carry S= and W= so that the server need not read a message to know its sizes, and
        dovecot-uidlist gives the UIDs. CRLF stays as it is; a bare LF becomes CRLF when sent."""
        directory = self._maildir(mailbox)
        for name in ("cur", "new", "tmp"):
            self._make_owned(os.path.join(directory, name))
        letters = {"\\draft": "D", "\\flagged": "F", "\\answered": "R", "\\seen": "S", "\\deleted": "T"}
        keywords, uidlist, uid = {}, [], 0
        for mail in mails:
            uid = uid + 1 if mail.uid is None else mail.uid
            info = set()
            for flag in mail.flags:
                if flag.lower() not in letters:
                    keywords.setdefault(flag, chr(ord("a") + len(keywords)))
                info.add(letters.get(flag.lower()) or keywords[flag])
            disk = mail.body
            virtual = len(disk) + disk.count(b"\n") - disk.count(b"\r\n")
            date = time.time() if mail.date is None else mail.date
            name = f"{int(date)}.M{uid}.imapfs,S={len(disk)},W={virtual}"
            uidlist.append(f"{uid} :{name}\n")
            self._write_mail(f"{directory}/cur/{name}:2,{''.join(sorted(info))}", disk, date)
        validity = int(time.time())
        self._write_owned(f"{directory}/dovecot-uidlist",
                          f"3 V{validity} N{uid + 1} G{secrets.token_hex(16)}\n" + "".join(uidlist))
        if keywords:
            text = "".join(f"{ord(letter) - ord('a')} {name}\n" for name, letter in keywords.items())
            self._write_owned(f"{directory}/dovecot-keywords", text)

    def _write_mail(self, path, data, date):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left):]
            os.utime(descriptor, (date, date))
            if self.uid != os.getuid():
                os.fchown(descriptor, self.uid, self.gid)
        finally:
            os.close(descriptor)

    def _write_owned(self, path, text):
        self._write_mail(path, text.encode(), time.time())

    def _append(self, client, mailbox, mails):
        if client.status(mailbox) is None:
            client.create(mailbox)
        group = []
        for mail in mails:
            if mail.uid is not None:
                client.append(mailbox, group)
                group = []
                self.doveadm("mailbox", "update", "-u", self.user, "--min-next-uid", str(mail.uid),
                             mailbox)
            group.append(mail)
            if sum(len(m.body) for m in group) > 4 << 20 or len(group) >= 500:
                client.append(mailbox, group)
                group = []
        client.append(mailbox, group)

    def set_uidvalidity(self, mailbox, value):
        """Every UID of the mailbox gets a new meaning, as after a restore from backup."""
        self.doveadm("mailbox", "update", "-u", self.user, "--uid-validity", str(value), mailbox)

    def commands(self):
        """All lines clients have sent after login (needs rawlog=True), for questions such as
        whether a SELECT was sent. Literals are in between."""
        lines = []
        for name in sorted(os.listdir(self.path("rawlog"))):
            if name.endswith(".in"):
                with open(self.path("rawlog", name), "rb") as source:
                    lines += source.read().splitlines()
        return lines


def main():
    parser = argparse.ArgumentParser(description="A private IMAP server for tests and the demo.")
    parser.add_argument("action", choices=["start", "stop", "info"])
    parser.add_argument("directory")
    parser.add_argument("--format", default="maildir", choices=["maildir", "mdbox", "sdbox"])
    parser.add_argument("--imap-port", type=int)
    parser.add_argument("--imaps-port", type=int)
    parser.add_argument("--user", default="user")
    parser.add_argument("--hide", default="", help="capabilities to hide, separated by commas")
    parser.add_argument("--quota", type=int, help="octets")
    parser.add_argument("--extra", default="", help="configuration text to add")
    parser.add_argument("--sample", action="store_true", help="fill it with the sample account")
    options = parser.parse_args()
    if options.action == "start":
        os.makedirs(options.directory, exist_ok=True)
        if os.path.exists(os.path.join(options.directory, "server.json")):
            if Dovecot.attach(options.directory).running():
                raise ServerError(f"already running in {options.directory}")
        server = Dovecot(options.directory, mail_format=options.format, imap_port=options.imap_port,
                         imaps_port=options.imaps_port, user=options.user, quota=options.quota,
                         hide=[name for name in options.hide.split(",") if name],
                         password=secrets.token_urlsafe(12), extra=options.extra)
        server.start(detached=True)
        if options.sample:
            import mailgen
            server.load(mailgen.account())
        print(json.dumps(server.info(), indent=1))
    elif options.action == "stop":
        Dovecot.attach(options.directory).stop()
    else:
        print(json.dumps(Dovecot.attach(options.directory).info(), indent=1))


if __name__ == "__main__":
    try:
        main()
    except (ServerError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"dovecot.py: {error}")
