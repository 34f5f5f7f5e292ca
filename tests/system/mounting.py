"""A real mount of imapfs, for the length of a with statement.

    with mounted(f"imap://user@127.0.0.1:{port}", tls="none", timeout=2) as m:
        (m.root / "INBOX" / "1").read_bytes()
    m.status, m.stderr          # how it ended and what it said

Nothing here hangs: whatever a test does, the process is killed at its limit, and with it every call
that waits in the mount ends. A mount fails its test when it does not end with status 0, when a sanitizer
reports something, or when it says what the test did not announce (says=). refused() is for starts that
must fail. Both take the options of -o as keywords; True stands for an option without a value.
"""
import contextlib
import os
import pathlib
import re
import select
import shutil
import subprocess
import tempfile
import threading
import time

BINARY = os.environ.get("IMAPFS") or str(
    pathlib.Path(__file__).resolve().parents[2] / "build" / "src" / "imapfs")
START_SECONDS = 30
STOP_SECONDS = 20
LIMIT_SECONDS = 60      # for all that a test does with one mount
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error|Sanitizer:")


class Mount:
    """A mounted account. root: where; directory: holds the cache and can be mounted from again."""

    def __init__(self, source, directory, password="secret", arguments=(), **options):
        self.directory = pathlib.Path(directory)
        self.root = self.directory / "mnt"
        self.root.mkdir(exist_ok=True)
        passfile = self.directory / "password"
        passfile.touch(0o600)
        passfile.write_text(password + "\n")
        given = {"passfile": passfile, "cache": self.directory / "cache", **options}
        words = [k if v is True else f"{k}={v}" for k, v in given.items() if v not in (None, False)]
        self.command = [BINARY, "-f", *arguments, "-o", ",".join(words), source, str(self.root)]
        self.log = open(self.directory / "stderr", "w+b")
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, cwd="/")
        self.timer = None
        self.overdue = False

    @property
    def stderr(self):
        return (self.directory / "stderr").read_text(errors="replace")

    @property
    def status(self):
        return self.process.poll()

    def is_mounted(self):
        with open("/proc/self/mounts") as mounts:
            return any(line.split()[1] == str(self.root) for line in mounts)

    def wait(self, seconds=START_SECONDS):
        """Waits until it is mounted or has ended; True when it is mounted."""
        end = time.monotonic() + seconds
        ended = os.pidfd_open(self.process.pid)
        try:
            with open("/proc/self/mounts") as mounts:
                poll = select.poll()
                poll.register(mounts, select.POLLERR | select.POLLPRI)
                poll.register(ended, select.POLLIN)
                while not self.is_mounted():
                    left = end - time.monotonic()
                    if self.process.poll() is not None:
                        return False
                    if left <= 0:
                        raise TimeoutError(f"not mounted within {seconds} s:\n{self.stderr}")
                    poll.poll(left * 1000)
                return True
        finally:
            os.close(ended)

    def limit(self, seconds):
        """Kills the process when this time is over."""
        def kill():
            self.overdue = True
            self.process.kill()
        self.timer = threading.Timer(seconds, kill)
        self.timer.start()

    def kill(self):
        """As kill -9 does, and clears what the kernel still has."""
        self.process.kill()
        self.process.wait()
        self.unmount()

    def unmount(self, lazy=False):
        return subprocess.run(["fusermount3", "-uz" if lazy else "-u", str(self.root)],
                              capture_output=True, check=False).returncode == 0

    def stop(self):
        """Unmounts as a user does and waits for the end. Returns the exit status."""
        if self.process.poll() is None and self.is_mounted():
            self.unmount() or self.unmount(lazy=True)
        elif self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.overdue = True
            self.process.kill()
            self.process.wait()
        if self.is_mounted():
            self.unmount(lazy=True)
        if self.timer:
            self.timer.cancel()
        self.log.close()
        return self.process.returncode

    def unannounced(self, says):
        """The lines on stderr that no pattern of says allows."""
        return [line for line in self.stderr.splitlines()
                if not any(re.search(pattern, line) for pattern in says)]


@contextlib.contextmanager
def _directory(given):
    if given:
        pathlib.Path(given).mkdir(exist_ok=True)
        yield given
        return
    made = tempfile.mkdtemp(prefix="imapfs-mount.")
    try:
        yield made
    finally:
        # Never into what may still be mounted.
        if not os.path.ismount(os.path.join(made, "mnt")):
            shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def mounted(source, *, says=(), directory=None, limit=LIMIT_SECONDS, **options):
    """Mounts source. says: patterns of lines that stderr may have, None for any. directory: kept, for
    another mount with the same cache."""
    with _directory(directory) as place:
        m = Mount(source, place, **options)
        m.limit(limit)
        try:
            assert m.wait(), f"ended with status {m.status}:\n{m.stderr}"
            yield m
        except BaseException:
            m.stop()
            print(m.stderr)  # pytest shows it with the failure
            raise
        killed = m.status is not None and m.status < 0 and not m.overdue
        status = m.stop()
        assert not m.overdue, f"did not end in time:\n{m.stderr}"
        assert killed or status == 0, f"status {status}:\n{m.stderr}"
        assert not SANITIZER.search(m.stderr), m.stderr
        assert says is None or not m.unannounced(says), f"said:\n{m.stderr}"


def refused(source, *, seconds=START_SECONDS, **options):
    """Starts imapfs where it must not mount. Returns (exit status, the lines on stderr)."""
    with _directory(None) as place:
        m = Mount(source, place, **options)
        m.limit(seconds)
        try:
            came = m.wait(seconds)
        finally:
            status = m.stop()
        assert not came, "it mounted"
        assert not m.overdue, f"did not end within {seconds} s:\n{m.stderr}"
        assert not SANITIZER.search(m.stderr), m.stderr
        assert not m.is_mounted()
        return status, m.stderr.splitlines()
