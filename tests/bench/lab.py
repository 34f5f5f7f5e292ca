# SPDX-License-Identifier: MIT
"""The laboratory of scripts/bench: a private Dovecot with known mail, a line to it (the proxy), and mounts.

Everything runs on loopback and under one directory; leaving the context unmounts, ends what was
started here, by process id, and removes the directory.
"""
import collections
import contextlib
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system", "lib"))

import dovecot  # noqa: E402
import mailgen  # noqa: E402

MIB = 1 << 20
LARGE_COUNT = 10
LARGE_SIZES = [5 * MIB + 20 * MIB * i // (LARGE_COUNT - 1) for i in range(LARGE_COUNT)]
COMMAND_SECONDS = 900
MOUNT_SECONDS = 60
EXIT_SECONDS = 20
ENVIRONMENT = dict(os.environ, LC_ALL="C")
# A child of the bench ends with it, whatever ends the bench.
TETHER = ["setpriv", "--pdeathsig", "TERM"]


class BenchError(Exception):
    """A measurement that could not be made."""


def log(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Output:
    """What a command printed, in a file, since grep stops early when it writes to /dev/null."""

    def __init__(self, path):
        self.path = path

    def lines(self):
        with open(self.path, "rb") as source:
            return source.read().splitlines()


def wait(process, seconds):
    """The exit status, at once when it ends: Popen.wait with a timeout looks each 50 ms only."""
    descriptor = os.pidfd_open(process.pid)
    try:
        if not select.select([descriptor], [], [], seconds)[0]:
            raise subprocess.TimeoutExpired(process.args, seconds)
    finally:
        os.close(descriptor)
    return process.wait()


def timed(command, directory, on_timeout=None):
    """Runs a command; (seconds, Output). A command that fails or hangs is a BenchError."""
    out, err = os.path.join(directory, "stdout"), os.path.join(directory, "stderr")
    with open(out, "wb") as stdout, open(err, "wb") as stderr:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                                   env=ENVIRONMENT)
        try:
            status = wait(process, COMMAND_SECONDS)
        except BaseException as error:
            if on_timeout:
                on_timeout()  # first, or a process that waits for the mount cannot be killed
            process.kill()
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise BenchError(f"{command[0]}: no end after {COMMAND_SECONDS} s") from error
            raise
        seconds = time.perf_counter() - start
    if status != 0:
        with open(err, "rb") as source:
            reason = source.read(500).decode(errors="replace").strip()
        raise BenchError(f"{' '.join(command[:2])}: exit {status}: {reason}")
    return seconds, Output(out)


class Proxy:
    """tests/tools/proxy in front of a port."""

    def __init__(self, program, port, control):
        self.control = control
        command = [*TETHER, program, "--listen", "0", "--to", f"127.0.0.1:{port}", "--control", control]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def become(self, line):
        self.ask(f"rtt {line.rtt:g}")
        self.ask(f"rate {line.rate:g}")

    def ask(self, command):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.control)
            sock.sendall(command.encode() + b"\n")
            answer = sock.makefile().readline().split()
        if not answer or answer[0] != "ok":
            raise BenchError(f"proxy: {command}: {' '.join(answer)}")
        return dict(word.split("=") for word in answer[1:])

    def stats(self):
        return {name: int(value) for name, value in self.ask("stats").items()}

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


class Line(collections.namedtuple("Line", "rtt rate")):
    """rtt: milliseconds; rate: Mbit/s each way, 0 for no cap. Written RTT or RTT@RATE."""

    @classmethod
    def parse(cls, text):
        rtt, _, rate = text.partition("@")
        return cls(float(rtt), float(rate or 0))

    def __str__(self):
        return f"{self.rtt:g} ms" + (f" at {self.rate:g} Mbit/s" if self.rate else "")


class Lab:
    """options: of scripts/bench (build)."""

    def __init__(self, options):
        self.options = options
        self.stack = contextlib.ExitStack()
        self.count = 0

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *_):
        self.stack.close()

    def _start(self):
        # Not below TMPDIR of a user's choice: Dovecot's mail user must be able to pass.
        self.directory = tempfile.mkdtemp(prefix="imapfs-bench-", dir="/tmp")
        self.stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self.server = self.stack.enter_context(dovecot.Dovecot())
        self.local = self.fresh("local")
        self.proxy = Proxy(self.program("tests/tools/proxy"), self.server.imaps_port,
                           os.path.join(self.directory, "proxy.socket"))
        self.stack.callback(self.proxy.close)

    def program(self, path):
        return os.path.join(self.options.build, path)

    def fresh(self, kind):
        """A new empty directory."""
        self.count += 1
        path = os.path.join(self.directory, f"{kind}-{self.count}")
        os.mkdir(path, 0o700)
        return path

    def timed(self, *command, on_timeout=None):
        return timed(list(command), self.directory, on_timeout)

    # Mail

    def _copied(self, mailbox, mails):
        """Passes mail through and writes it as the local copy, a file for each UID."""
        directory = os.path.join(self.local, mailbox)
        os.makedirs(directory, exist_ok=True)
        for uid, mail in enumerate(mails, 1):
            path = os.path.join(directory, str(uid))
            with open(path, "wb") as out:
                out.write(mail.body)
            os.utime(path, (mail.date, mail.date))
            yield mail

    def load(self, mailbox, mails):
        self.server.load_stream(mailbox, self._copied(mailbox, mails))

    # The others

    def raw(self, mailboxes, items, uids="1:*", direct=False, depth=1):
        """One FETCH of each by tests/tools/rawfetch: {"connect": seconds, "fetch": seconds, "octets": n ...}."""
        port = self.server.imaps_port if direct else self.proxy.port
        _, output = self.timed(
            self.program("tests/tools/rawfetch"), "--host", "localhost", "--port", str(port), "--cafile",
            self.server.ca_file, "--user", self.server.user, "--passfile", self.server.password_file,
            "--set", uids, "--items", items, "--depth", str(depth), *mailboxes)
        return {name: float(value) for name, value in
                (word.split("=") for word in output.lines()[0].decode().split())}

    def mbsync_config(self, mailbox, target, compress):
        """mailbox: None for all there are."""
        path = os.path.join(target, "mbsyncrc")
        what = "Far :far:\nNear :near:\nPatterns *"
        if mailbox:
            what = f"Far :far:{mailbox}\nNear :near:{mailbox}"
        extensions = "" if compress else "DisableExtension COMPRESS=DEFLATE\n"
        with open(path, "w", encoding="utf-8") as out:
            out.write(f"""FSync no

IMAPStore far
Host localhost
Port {self.proxy.port}
User {self.server.user}
PassCmd "cat {self.server.password_file}"
SSLType IMAPS
CertificateFile {self.server.ca_file}
Timeout 120
{extensions}
MaildirStore near
Path {target}/
Inbox {target}/INBOX
SubFolders Verbatim

Channel bench
{what}
Create Near
Sync Pull
SyncState *
""")
        return path

    def offlineimap_config(self, mailbox, target):
        path = os.path.join(target, "offlineimaprc")
        with open(path, "w", encoding="utf-8") as out:
            out.write(f"""[general]
accounts = bench
metadata = {target}/meta
ui = quiet
fsync = no

[Account bench]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = {target}/mail

[Repository far]
type = IMAP
remotehost = localhost
remoteport = {self.proxy.port}
ssl = yes
sslcacertfile = {self.server.ca_file}
remoteuser = {self.server.user}
remotepassfile = {self.server.password_file}
folderfilter = lambda name: name == '{mailbox}'
readonly = yes
usecompression = yes
maxconnections = 3
""")
        return path

    def mbsync(self, config):
        seconds, _ = self.timed("mbsync", "-q", "-c", config, "bench")
        return seconds


class Mounted:
    """A FUSE filesystem in the foreground, so that its process is ours to measure and to end."""

    def __init__(self, lab):
        self.lab = lab
        self.path = lab.fresh("mnt")
        self.process = None

    def __enter__(self):
        command = [*TETHER, *self.command()]
        self.name = os.path.basename(command[len(TETHER)])
        self.log = open(os.path.join(self.lab.directory, f"{self.name}.log"), "w+b")
        start = time.perf_counter()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, env=ENVIRONMENT)
        try:
            self._await(start + MOUNT_SECONDS)
        except BaseException:
            self.close()
            raise
        self.seconds = time.perf_counter() - start
        return self

    def _await(self, end):
        while not self.mounted():
            if self.process.poll() is not None:
                self.log.seek(0)
                raise BenchError(f"{self.name} did not mount: " + self.log.read(500).decode(errors="replace"))
            if time.perf_counter() > end:
                raise BenchError(f"{self.name} did not mount within {MOUNT_SECONDS} s")
            time.sleep(0.001)

    def mounted(self):
        with open("/proc/self/mountinfo", encoding="utf-8") as source:
            return any(line.split()[4] == self.path for line in source)

    def __exit__(self, *_):
        self.close()

    def timed(self, *command):
        return self.lab.timed(*command, on_timeout=self.kill)

    def memory(self):
        """The daemon's peak, in octets."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as source:
            for line in source:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        raise BenchError(f"{self.name} has ended")

    def cpu(self):
        """Seconds."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as source:
            fields = source.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process is None:
            return
        if self.mounted():
            subprocess.run(["fusermount3", "-u", self.path], check=False)
        else:
            self.process.terminate()
        try:
            self.process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            log(f"{self.name} did not end after the unmount")
            self.kill()
        if self.mounted():
            subprocess.run(["fusermount3", "-uz", self.path], check=False)
        self.log.close()
        self.process = None
        os.rmdir(self.path)


class Mount(Mounted):
    """imapfs, with a cache directory of its own or that of an earlier mount. more: options."""

    def __init__(self, lab, cache=None, more=()):
        super().__init__(lab)
        self.cache = cache or lab.fresh("cache")
        self.more = more

    def command(self):
        server = self.lab.server
        options = [f"passfile={server.password_file}", f"cafile={server.ca_file}", f"cache={self.cache}",
                   f"statedir={self.cache}-state", *self.more]
        return [self.lab.program("src/imapfs"), "-f", "-o", ",".join(options),
                f"imaps://{server.user}@localhost:{self.lab.proxy.port}/", self.path]


class Floor(Mounted):
    """tests/tools/floor with the local copy of all mail: what FUSE costs by itself."""

    def command(self):
        return [self.lab.program("tests/tools/floor"), self.lab.local, self.path]


def bench_mail(count):
    """count messages of log-normal sizes, of which LARGE_COUNT are large, the last of them 25 MiB."""
    generator = mailgen.Generator(seed=25)
    places = {(i + 1) * count // LARGE_COUNT: size for i, size in enumerate(LARGE_SIZES)}
    ordinary = mailgen.messages(count)
    for number, mail in enumerate(ordinary, 1):
        if number in places:
            body, _ = generator.message(places[number])
            mail = mail._replace(body=body)
        yield mail
