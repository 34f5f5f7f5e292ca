# SPDX-License-Identifier: MIT
"""A mount of imapfs in a test, and what goes with it: the line to the server, and ordinary tools.

    with Mount(program, server, directory, "suffix=.eml", mailbox="Archive") as m:
        os.listdir(m.path("2023"))

Leaving it unmounts, and asserts that imapfs ends with status 0, that nothing stays mounted and
that it said nothing on stderr but what was announced by expect().
"""
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time

from patience import late

START_SECONDS = 30
STOP_SECONDS = 20
TOOL_SECONDS = 50
# A child of the tests ends with them, whatever ends them.
TETHER = ["setpriv", "--pdeathsig", "KILL"]

# Every live process of the current test, so that the watchdog can end those and no others.
live = set()
# Every mountpoint that was used.
points = set()


def wait_until(condition, what, seconds=15):
    """Returns the first true value of condition(). A machine that is late gets more time."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end + late():
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


def is_mounted(point):
    """Without touching the mount, which may hang."""
    escaped = re.sub(r"[ \t\n\\]", lambda match: f"\\{ord(match.group()):03o}", point)
    with open("/proc/self/mountinfo", encoding="utf-8") as source:
        return any(line.split()[4] == escaped for line in source)


def run(*command, check=True, seconds=TOOL_SECONDS, **keywords):
    """Runs a tool and returns its CompletedProcess, output as text. A tool that says something on
    stderr has failed, unless check is False."""
    environment = dict(os.environ, LC_ALL="C.UTF-8", TZ="UTC")
    with subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, **keywords) as process:
        live.add(process)
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            live.discard(process)
    result = subprocess.CompletedProcess(command, process.returncode, os.fsdecode(out), os.fsdecode(err))
    if check:
        assert result.returncode == 0 and not result.stderr, (command, result.returncode, result.stderr)
    return result


def sent(server, word=b"", since=0.0):
    """The lines with this word that imapfs has sent to a Dovecot with rawlog so far, since a time.time():
    its tags are A1, A2 and so on, those of the tests' own client r1, r2. Dovecot writes lines of one
    connection late, so their number at a moment means nothing when another one is still ending."""
    found = (re.match(rb"([\d.]+) (A\d+ .*)", line) for line in server.commands())
    return [match.group(2) for match in found if match and float(match.group(1)) >= since and word in match.group(2)]


class Mount:
    """server: a Dovecot, or whatever has user, password_file, ca_file and imaps_port.

    port      instead of the server's, for example that of a Proxy
    mailbox   mount this subtree
    source    instead of all that
    flags     -f by default; empty: it goes to the background
    ready     False: does not wait until it is mounted
    trust     False: without cafile=
    secret    False: without passfile=
    """

    def __init__(self, program, server, directory, *options, port=None, mailbox="", source=None,
                 flags=("-f",), user=None, cache=None, prefix=(), ready=True, trust=True, secret=True,
                 environment=None):
        self.directory = directory
        self.point = os.path.join(directory, "mail")
        self.cache = cache or os.path.join(directory, "cache")
        os.makedirs(self.point, exist_ok=True)
        if source is None:
            source = f"imaps://{user or server.user}@localhost:{port or server.imaps_port}/{mailbox}"
        self.options = [*options]
        given = {option.partition("=")[0] for option in options}
        if secret and not given & {"passfile", "passcmd", "netrc", "certfile", "tokencmd"}:
            self.options.append(f"passfile={server.password_file}")
        # Most tests look at the server when unlink returns.
        if not given & {"ro", "offline", "async", "sync", "dirsync"}:
            self.options.append("dirsync")
        if trust and "cafile" not in given:
            self.options.append(f"cafile={server.ca_file}")
        self.options.append(f"cache={self.cache}")
        self.command = [*prefix, program, *flags, "-o", ",".join(self.options), source, self.point]
        self.errors = os.path.join(directory, "stderr")
        self.process = None
        self.flags = flags
        self.ready = ready
        self.environment = {**os.environ, "HOME": directory, "XDG_CACHE_HOME": os.path.join(directory, "xdg"),
                            "XDG_STATE_HOME": os.path.join(directory, "state"),
                            **(environment or {})}

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        self.stop() if kind is None else self.kill()

    def path(self, *names):
        return os.path.join(self.point, *map(str, names))

    def read(self, *names):
        with open(self.path(*names), "rb") as source:
            return source.read()

    def start(self):
        self.expected, self.tolerated = [], []
        self.end_of_errors = os.path.getsize(self.errors) if os.path.exists(self.errors) else 0
        with open(self.errors, "ab") as errors:
            self.process = subprocess.Popen([*TETHER, *self.command], stdin=subprocess.DEVNULL,
                                            stdout=errors, stderr=errors, env=self.environment)
        live.add(self)
        points.add(self.point)
        if self.ready:
            self.wait_mounted()

    def is_ready(self):
        return is_mounted(self.point)

    def wait_mounted(self):
        def over():
            return self.is_ready() or self.process.poll() is not None
        wait_until(over, "mounted", START_SECONDS)
        assert self.process.poll() is None, (self.process.poll(), self.said())

    @property
    def pid(self):
        return self.process.pid

    def said(self):
        """What this run of it wrote on stderr."""
        with open(self.errors, encoding="utf-8", errors="replace") as source:
            source.seek(self.end_of_errors)
            return source.read()

    def expect(self, pattern):
        """A line on stderr that must come, and is not suspicious."""
        self.expected.append(re.compile(pattern))

    def tolerate(self, pattern):
        """Lines on stderr that may come."""
        self.tolerated.append(re.compile(pattern))

    def wait_said(self, pattern):
        return wait_until(lambda: re.search(pattern, self.said()), f"stderr says {pattern}")

    def check_errors(self):
        lines = [line for line in self.said().splitlines() if line]
        if "-d" in self.flags:
            lines = [line for line in lines if not line.endswith("no error") and
                     re.search(r"imapfs: (warning:|.*error)|Sanitizer|runtime error", line)]
        missing = [pattern.pattern for pattern in self.expected
                   if not any(pattern.search(line) for line in lines)]
        known = self.expected + self.tolerated
        others = [line for line in lines if not any(pattern.search(line) for pattern in known)]
        assert not others, f"unannounced on stderr: {others[:20]}"
        assert not missing, f"not said on stderr: {missing}"

    def finished(self, status=0):
        """Waits for its end and looks at what it left."""
        try:
            self.process.wait(STOP_SECONDS)
            if self.process.returncode != status:
                print(self.said())  # pytest shows it with the failure
            assert self.process.returncode == status, self.said()[:200]
            assert not is_mounted(self.point)
        finally:
            self.kill()
        self.check_errors()

    def unmount(self):
        """fusermount3 -u, as a user types it; a mount that was just used may be busy for a moment."""
        def done():
            result = run("fusermount3", "-u", self.point, check=False)
            return result.returncode == 0 or not is_mounted(self.point)
        wait_until(done, "unmounted")

    def stop(self):
        if self.process is None or self not in live:
            return
        try:
            self.unmount()
            self.finished()
        finally:
            self.kill()

    def restart(self, **changes):
        """Unmounts and mounts again."""
        self.stop()
        self.__dict__.update(changes)
        self.start()

    def kill(self):
        """Ends it at once, and clears what it leaves. Harmless when it has ended."""
        live.discard(self)
        guardian = None
        if self.process is not None and self.process.poll() is None:
            guardian = guardian_of(self.pid)
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not is_mounted(self.point), "unmounted by the guardian", 5)
            # What it says belongs to this run of the program.
            if guardian:
                wait_until(lambda: not is_alive(guardian), "the guardian's end", 5)
        if is_mounted(self.point):
            subprocess.run(["fusermount3", "-uz", self.point], check=False)

    def resident(self):
        """VmRSS in octets."""
        return self._memory("VmRSS")

    def peak(self):
        """VmHWM in octets: the most that it ever had."""
        return self._memory("VmHWM")

    def forget_peak(self):
        """From now on peak() is the most that it had since."""
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as control:
            control.write("5")

    def _memory(self, what):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as source:
            return int(re.search(rf"{what}:\s*(\d+) kB", source.read()).group(1)) * 1024


def sections():
    """(title, text) of each mount that still goes on: its status, for a test that failed."""
    return [(f"the status of {m.point}", subprocess.run(
        ["timeout", "-k", "1", "2", "cat", m.path(".imapfs", "status")], check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode(errors="replace"))
            for m in live if isinstance(m, Mount)]


def process_status(pid):
    """The lines of /proc/PID/status."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as source:
        return dict(re.findall(r"(\w+):\s*(.*)", source.read()))


def guardian_of(pid):
    """The pid of a daemon's guardian, by the name that ps shows."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as source:
        children = map(int, source.read().split())
    return next((child for child in children if process_status(child)["Name"] == "guardian"), None)


def is_alive(pid):
    try:
        return process_status(pid)["State"][0] not in "ZX"
    except OSError:
        return False


def waits(process):
    """Whether the process waits for a mount: in a request, or for a page that one is to fill."""
    with open(f"/proc/{process.pid}/wchan", encoding="ascii") as source:
        where = source.read()
    return "fuse" in where or "folio" in where or "request_wait" in where


class Proxy:
    """tests/tools/proxy in front of a server's port."""

    def __init__(self, program, directory, to_port, *, address="127.0.0.1", port=0):
        self.control = os.path.join(directory, f"proxy.{address}.socket")
        self.process = subprocess.Popen(
            [*TETHER, program, "--bind", address, "--listen", str(port), "--to", f"127.0.0.1:{to_port}",
             "--control", self.control],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    def ask(self, command):
        """One command of the proxy's control socket: {"to_client": octets ...}."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.control)
            sock.sendall(command.encode() + b"\n")
            with sock.makefile() as answers:
                answer = answers.readline().split()
        assert answer and answer[0] == "ok", (command, answer)
        return {name: int(value) for name, value in (word.split("=") for word in answer[1:])}

    def received(self):
        """Octets that came from the server."""
        return self.ask("stats")["to_client"]


def end_all():
    """For the watchdog: ends what a test that hangs has started. Mounts first: a process that waits
    for one cannot be killed."""
    for thing in sorted(live, key=lambda thing: not isinstance(thing, Mount)):
        if isinstance(thing, Mount):
            print(f"watchdog: {thing.command}\n{thing.said()[-4000:]}", file=sys.stderr)
        with contextlib.suppress(ProcessLookupError):
            pid = thing.pid
            with open(f"/proc/{pid}/wchan", encoding="ascii") as source:
                print(f"watchdog: killing {pid}, in {source.read()}", file=sys.stderr)
            os.kill(pid, signal.SIGKILL)
