# SPDX-License-Identifier: MIT
"""What the system tests share: servers, mounts, and a watchdog, so that nothing can hang.

What is imported stands in lib/; the tests name it without the folder.
"""
import contextlib
import faulthandler
import os
import shutil
import signal
import sys
import tempfile
import threading

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import mounting  # noqa: E402
from dovecot import Dovecot  # noqa: E402
from programs import PROGRAM, TOOLS  # noqa: E402
import talk  # noqa: E402
from world import World  # noqa: E402

LIMIT_SECONDS = 180  # for what takes some 30 where nobody else wants the machine


class TimeLimit(Exception):
    """A test took too long; what it had started was killed."""


def pytest_configure(config):
    # A shell starts what is behind an & with SIGINT ignored, and so would be whatever the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "limit(seconds): the time that a test may take at most")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """Ends a test that hangs. Its mounts are killed first, from another thread: that wakes a main
    thread that waits for one of them; then the exception goes to the main thread."""
    talk.begin()
    marker = item.get_closest_marker("limit")
    seconds = marker.args[0] if marker else LIMIT_SECONDS

    def on_limit():
        print(f"watchdog: {item.nodeid} takes longer than {seconds} s", file=sys.stderr)
        faulthandler.dump_traceback(file=sys.__stderr__)
        mounting.end_all()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)

    def on_alarm(*_):
        raise TimeLimit(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, on_alarm)
    timer = threading.Timer(seconds, on_limit)
    timer.daemon = True
    timer.start()
    yield
    timer.cancel()
    signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """With a failure, what the scripted servers and their clients said, and what the mounts tell."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        report.sections += talk.sections() + mounting.sections()


@pytest.fixture(scope="session", autouse=True)
def no_mount_left():
    """Whatever a test did, nothing of this session stays mounted."""
    yield
    assert not [point for point in mounting.points if mounting.is_mounted(point)]


@pytest.fixture(scope="module")
def start_server():
    """start_server(mails=(), **options of Dovecot): a server for the tests of a file."""
    with contextlib.ExitStack() as stack:
        def start(mails=(), **options):
            server = stack.enter_context(Dovecot(**options))
            server.load(mails)
            return server
        yield start


@pytest.fixture
def own_name(request):
    """A name for a mailbox of the test's own."""
    return "".join(letter if letter.isalnum() else " " for letter in request.node.name)


@pytest.fixture
def directory():
    """An empty directory that every user can pass (pytest's own ones are the user's alone)."""
    path = tempfile.mkdtemp(prefix="imapfs-test-", dir="/tmp")
    os.chmod(path, 0o755)
    yield path
    # Never across a mount: a file removed there is mail removed.
    assert not any(f" {path}/" in line for line in open("/proc/self/mountinfo", encoding="utf-8"))
    shutil.rmtree(path)


@pytest.fixture
def mount(directory, proxy):
    """mount(server, *options, **keywords of Mount): each with its own mountpoint and cache unless
    told otherwise. Stopped, and looked at, at the end of the test, while its line still works: so proxy
    is asked for here."""
    mounts = []

    def start(server, *options, program=PROGRAM, **keywords):
        place = os.path.join(directory, f"m{len(mounts)}")
        os.mkdir(place)
        mounts.append(mounting.Mount(program, server, place, *options, **keywords))
        mounts[-1].start()
        return mounts[-1]

    yield start
    failures = []
    for m in reversed(mounts):
        try:
            m.stop()
        except AssertionError as error:
            failures.append(str(error)[:500])
        m.kill()
    assert not failures, failures


@pytest.fixture
def proxy(directory):
    """proxy(server, **keywords of Proxy): a line to the server's port with TLS, see tests/tools/proxy."""
    with contextlib.ExitStack() as stack:
        def start(server, **keywords):
            return stack.enter_context(
                mounting.Proxy(os.path.join(TOOLS, "proxy"), directory, server.imaps_port, **keywords))
        yield start


@pytest.fixture
def world(directory):
    """Clocks and addresses for mounts with environment=world.environment."""
    with contextlib.closing(World(os.path.join(TOOLS, "world.so"), directory)) as made:
        yield made


@pytest.fixture
def slow(world):
    """Keywords for a mount whose time goes slowly: what lasts for a second or less is not over before a busy machine
    comes to what the test does within it."""
    world.slow_clock()
    return {"environment": world.environment}
