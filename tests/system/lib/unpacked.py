# SPDX-License-Identifier: MIT
"""Cyrus and Courier as scripts/servers unpacks them: private servers on loopback, in a chroot.

    with Cyrus() as server:
        server.load([Mail("INBOX.Archive", b"Subject: x\r\n\r\n", 1700000000)])

Each gets a copy of its tree, with its configuration and mail in it, under /tmp, so that nothing is
mounted and nothing shared. As root the servers run as the system user "mail", else as the user who
started them, by a user namespace.
"""
import atexit
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import imapraw
from dovecot import ServerError, free_ports, make_authority, make_certificate, session_members
from imapserver import ImapServer, Mail
from programs import TOP

START_SECONDS = 60
STOP_SECONDS = 10


class Unpacked(ImapServer):
    """kind: what scripts/servers calls it. A subclass writes its configuration in configure() and
    names its processes in commands()."""

    kind = None

    def __init__(self, *, user="user", password="secret word"):
        self.directory = tempfile.mkdtemp(prefix=f"imapfs-{self.kind}-", dir="/tmp")
        os.chmod(self.directory, 0o755)
        self.root = os.path.join(self.directory, "root")
        self.user, self.password = user, password
        owner = pwd.getpwnam("mail") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        self.uid, self.gid = owner.pw_uid, owner.pw_gid
        self.processes = []
        self.imap_port, self.imaps_port = free_ports(2)
        self.syslog = None
        self._made = False

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def path(self, *names):
        return os.path.join(self.directory, *names)

    @property
    def ca_file(self):
        return self.path("ca.pem")

    @property
    def password_file(self):
        return self.path("password")

    # For the subclass

    def configure(self):
        """Once, before the first start."""
        raise NotImplementedError

    def commands(self):
        """[(program and arguments, environment)], in the order in which they start."""
        raise NotImplementedError

    def knows_users(self):
        """Whether a login can be tried: what the ports say does not tell where another process looks into that."""
        return True

    def write(self, name, text, mode=0o600):
        """A file in the chroot, for the server to read."""
        path = os.path.join(self.root, name)
        self.own(os.path.dirname(name))
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(path, mode)
        self._chown(path)

    def own(self, name):
        """A directory in the chroot where the server may write."""
        path = os.path.join(self.root, name)
        os.makedirs(path, exist_ok=True)
        self._chown(path)

    def run(self, *command, text=None):
        """A program in the chroot, to its end."""
        return subprocess.run([*self._prefix(), *command], check=True, input=text, text=True, env={},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout

    def _chown(self, path):
        if self.uid != os.getuid():
            os.chown(path, self.uid, self.gid)

    def _prefix(self):
        if os.getuid() == 0:
            enter = ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups",
                     "--inh-caps=+sys_chroot", "--ambient-caps=+sys_chroot"]
        else:
            enter = ["unshare", "--map-current-user", "--keep-caps", "setpriv"]
        # The signal comes when the thread that started it ends, so only the main one may ask for it.
        if threading.current_thread() is threading.main_thread():
            enter += ["--pdeathsig", "TERM"]
        return [*enter, "/usr/sbin/chroot", self.root]

    # Starting and stopping

    def _make(self):
        tree = subprocess.run([f"{TOP}/scripts/servers", self.kind], check=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True).stdout.strip()
        subprocess.run(["cp", "-aT", "--reflink=auto", tree, self.root], check=True)
        make_authority(self.directory)
        make_certificate(self.directory)
        with open(os.open(self.password_file, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as out:
            out.write(self.password + "\n")
        self.write("etc/passwd", f"root:x:0:0::/:\n{self.kind}:x:{self.uid}:{self.gid}::/:\n", 0o644)
        self.write("etc/group", f"root:x:0:\n{self.kind}:x:{self.gid}:\n", 0o644)
        self.write("etc/hosts", "127.0.0.1 localhost\n", 0o644)
        for name in ("dev", "tmp", "run"):
            self.own(name)
        self.write("dev/null", "")
        with open(self.path("server.pem"), encoding="ascii") as pem, open(self.path("server.key"), encoding="ascii") as key:
            self.write("etc/server.pem", pem.read() + key.read())
        self.configure()
        self._made = True

    def start(self):
        """Returns when both ports answer, and who logs in is known. The server dies with its parent."""
        if not self._made:
            self._listen_to_syslog()
            self._make()
        for command, environment in self.commands():
            with open(self.path("log"), "ab") as log:
                self.processes.append(subprocess.Popen(
                    [*self._prefix(), *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                    start_new_session=True))
        atexit.register(self.stop)
        end = time.monotonic() + START_SECONDS
        for is_there in (lambda: self._answers(self.imap_port), lambda: self._answers(self.imaps_port), self.knows_users):
            while not is_there():
                if any(process.poll() is not None for process in self.processes) or time.monotonic() > end:
                    self.stop()
                    raise ServerError(f"{self.kind} did not start:\n{self.log()}")
                time.sleep(0.02)

    def _answers(self, port):
        return imapraw.answers(port, START_SECONDS, self.ca_file if port == self.imaps_port else None)

    def _listen_to_syslog(self):
        """What the server says to syslog goes to the file log."""
        os.makedirs(os.path.join(self.root, "dev"))
        path = os.path.join(self.root, "dev", "log")
        self.syslog = sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind(path)
        os.chmod(path, 0o666)

        def copy():
            with sock, open(self.path("log"), "ab", buffering=0) as log:
                while text := sock.recv(1 << 16):
                    log.write(text.rstrip(b"\0\n") + b"\n")
        threading.Thread(target=copy, daemon=True).start()

    def log(self):
        with open(self.path("log"), encoding="utf-8", errors="replace") as source:
            return source.read()

    def stop(self):
        """Stops the server and waits until none of its processes is left. Mail stays."""
        end = time.monotonic() + STOP_SECONDS
        for process in reversed(self.processes):
            self._signal(process.pid, signal.SIGTERM)
            while session_members(process.pid):
                if time.monotonic() > end:
                    self._signal(process.pid, signal.SIGKILL)
                process.poll()
                time.sleep(0.01)
            process.wait()
        self.processes = []
        atexit.unregister(self.stop)

    @staticmethod
    def _signal(session, number):
        for pid in session_members(session):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def restart(self):
        self.stop()
        self.start()

    def close(self):
        self.stop()
        if self.syslog is not None:
            # An empty datagram ends the thread.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                last.sendto(b"", os.path.join(self.root, "dev", "log"))
            self.syslog = None
        shutil.rmtree(self.directory)

    def load(self, mails):
        """Adds Mail tuples, in order. Mailboxes are made as needed."""
        by_mailbox = {}
        for mail in mails:
            mail = Mail(*mail)
            by_mailbox.setdefault(mail.mailbox, []).append(mail)
        with self.client() as client:
            for mailbox, group in by_mailbox.items():
                if client.status(mailbox) is None:
                    client.create(mailbox)
                client.append(mailbox, group)


class Cyrus(Unpacked):
    """Mailboxes are INBOX.name.name on the first ports, and, as another administrator would have it,
    name/name on those of slashes."""

    kind = "cyrus"
    delimiter = "."
    prefix = "INBOX."

    IMAPD = """\
configdirectory: /var/lib/cyrus
partition-default: /var/spool/cyrus
defaultpartition: default
proc_path: /run/proc
mboxname_lockpath: /run/lock
idlesocket: /run/idle
lmtpsocket: /run/lmtp
cyrus_user: cyrus
cyrus_group: cyrus
unixhierarchysep: {slashes}
altnamespace: {slashes}
virtdomains: off
autocreate_quota: 0
allowplaintext: yes
duplicatesuppression: no
munge8bit: no
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: /etc/sasldb2
sasl_mech_list: {mechanisms}
tls_server_cert: /etc/server.pem
tls_server_key: /etc/server.pem
tls_session_timeout: 0
"""
    SERVICES = """\
START {{
  recover cmd="/usr/lib/cyrus/bin/ctl_cyrusdb -r"
}}
SERVICES {{
  imap cmd="/usr/lib/cyrus/bin/imapd" listen="127.0.0.1:{imap}" prefork=1
  imaps cmd="/usr/lib/cyrus/bin/imapd -s" listen="127.0.0.1:{imaps}" prefork=1
  slash cmd="/usr/lib/cyrus/bin/imapd -C /etc/slashes.conf" listen="127.0.0.1:{slash}" prefork=0
  slashes cmd="/usr/lib/cyrus/bin/imapd -C /etc/slashes.conf -s" listen="127.0.0.1:{slashes}" prefork=0
}}
DAEMON {{
  idled cmd="/usr/lib/cyrus/bin/idled"
}}
"""

    def __init__(self, **options):
        super().__init__(**options)
        self.slashes = Slashes(self)

    def configure(self):
        for name in ("var/lib/cyrus", "var/lib/cyrus/db", "var/lib/cyrus/socket", "var/spool/cyrus", "run/proc", "run/lock"):
            self.own(name)
        self.write("etc/imapd.conf", self.IMAPD.format(slashes="off", mechanisms="PLAIN"))
        self.write("etc/slashes.conf", self.IMAPD.format(slashes="on", mechanisms="PLAIN SCRAM-SHA-256"))
        self.write("etc/cyrus.conf", self.SERVICES.format(
            imap=self.imap_port, imaps=self.imaps_port, slash=self.slashes.imap_port,
            slashes=self.slashes.imaps_port))
        # It does not start where it knows no time zone.
        self.write("usr/share/zoneinfo/zone.tab", "GB\t+513030-0000731\tEurope/London\n", 0o644)
        self.run("/usr/sbin/saslpasswd2", "-c", "-p", "-f", "/etc/sasldb2", self.user, text=self.password)

    def commands(self):
        return [(["/usr/lib/cyrus/bin/master", "-p", "/run/master.pid"], {})]


class Slashes(ImapServer):
    """The other view of a Cyrus: unixhierarchysep and altnamespace are on, and SCRAM is offered, with -PLUS."""

    def __init__(self, server):
        self.user, self.password = server.user, server.password
        self.ca_file, self.password_file = server.ca_file, server.password_file
        self.imap_port, self.imaps_port = free_ports(2)


class Courier(Unpacked):
    """Mailboxes are INBOX.name.name, as files in Maildir++."""

    kind = "courier"
    delimiter = "."
    prefix = "INBOX."

    def configure(self):
        self.own("run/courier/authdaemon")
        self.own("home")
        self.run("/usr/bin/maildirmake.courier", "/home/Maildir")
        hashed = subprocess.run(["openssl", "passwd", "-6", "-stdin"], check=True, input=self.password,
                                stdout=subprocess.PIPE, text=True).stdout.strip()
        self.write("etc/courier/authdaemonrc", 'authmodulelist="authuserdb"\ndaemons=2\n'
                   "authdaemonvar=/run/courier/authdaemon\n")
        for name, entry in (("userdb", f"uid={self.uid}|gid={self.gid}|home=/home"),
                            ("userdbshadow", f"imappw={hashed}")):
            self.run("/usr/lib/courier/courier/makedatprog", "-", f"/etc/courier/{name}.tmp",
                     f"/etc/courier/{name}.dat", text=f"{self.user}\t{entry}\n.\n")

    def commands(self):
        capability = ("IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES "
                      "SORT QUOTA IDLE")
        # Waits for locks by files that change. It would start by itself, never to end, and for all to share.
        gamin = os.path.basename(self.directory)
        environment = {
            "HOME": "/", "GAM_CLIENT_ID": gamin, "IMAP_CAPABILITY": capability, "IMAP_CAPABILITY_TLS": f"{capability} AUTH=PLAIN",
            "IMAP_KEYWORDS": "1", "IMAP_ACL": "1", "IMAP_CHECK_ALL_FOLDERS": "0", "IMAP_IDLE_TIMEOUT": "60",
            "IMAP_MAILBOX_SANITY_CHECK": "1", "IMAP_USELOCKS": "1", "IMAP_ENHANCEDIDLE": "0",
            "IMAP_TRASHFOLDERNAME": "Trash", "IMAP_MOVE_EXPUNGE_TO_TRASH": "0", "MAILDIRPATH": "Maildir",
            "TLS_CERTFILE": "/etc/server.pem", "TLS_VERIFYPEER": "NONE", "COURIERTLS": "/usr/bin/couriertls",
            "prefix": "/usr", "exec_prefix": "/usr", "sbindir": "/usr/sbin", "bindir": "/usr/bin",
        }
        listen = ["/usr/sbin/couriertcpd", "-address=127.0.0.1", "-maxprocs=200", "-maxperip=200",
                  "-nodnslookup"]
        # Newer ones look up no names of users by themselves, and wait for files without a server.
        with open(os.path.join(self.root, "usr/sbin/couriertcpd"), "rb") as program:
            if b"noidentlookup" in program.read():
                listen.append("-noidentlookup")
        server = "/usr/libexec/gam_server"
        gamins = [([server, "--notimeout", gamin], {})] if os.path.exists(self.root + server) else []
        login = ["/usr/lib/courier/courier/imaplogin", "/usr/bin/imapd", "Maildir"]
        return [
            *gamins,
            (["/usr/lib/courier/courier-authlib/authdaemond"], {"authmodulelist": "authuserdb", "daemons": "2"}),
            ([*listen, str(self.imap_port), *login], environment),
            ([*listen, str(self.imaps_port), "/usr/bin/couriertls", "-server", "-tcpd", *login],
             {**environment, "IMAP_TLS": "1"}),
        ]

    def knows_users(self):
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(os.path.join(self.root, "run/courier/authdaemon/socket")) == 0
