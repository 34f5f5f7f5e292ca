# SPDX-License-Identifier: MIT
"""TLS: which certificates are taken, what is said of the others and what to do about them, pins, versions,
resumption."""
import hashlib
import os
import re
import ssl

import pytest

import dovecot
from dovecot import Mail
from fakeimap import FakeImap
from test_connect import TEXT, TLS, USAGE, refused


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    return start_server([Mail("INBOX", TEXT)])


@pytest.fixture(name="faulty")
def fixture_faulty(directory):
    """faulty(**keywords of make_certificate): a server with such a certificate, by an authority of its own."""
    servers = []

    def start(**keywords):
        dovecot.make_authority(directory)
        dovecot.make_certificate(directory, **keywords)
        fake = FakeImap({"INBOX": [TEXT]}, tls=True, password="secret word",
                        certificate=(f"{directory}/server.pem", f"{directory}/server.key"))
        servers.append(fake.__enter__())
        fake.url = f"imaps://user@localhost:{fake.port}/"
        fake.cafile = f"cafile={directory}/ca.pem"
        return fake

    yield start
    for fake in servers:
        fake.__exit__(None)


def fingerprint_of(path):
    with open(path, encoding="ascii") as source:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(source.read())).hexdigest()


def test_expired(server, mount, faulty):
    fake = faulty(days=-1)
    said = refused(mount, server, TLS, "localhost:.*certificate expired on 20", fake.cafile, source=fake.url)
    assert "must renew it" in said and fake.names() == []


def test_wrong_host_name(server, mount, faulty):
    fake = faulty(names=("DNS:imap.example.org", "IP:127.0.0.1"))
    said = refused(mount, server, TLS, "localhost:.*certificate is for imap.example.org, 127.0.0.1, not localhost",
                   fake.cafile, source=fake.url)
    assert "SOURCE" in said and fake.names() == []


def test_unknown_authority(server, mount, directory):
    ca = dovecot.make_authority(directory, "somebody else")
    refused(mount, server, TLS, f".*certificate is signed by an authority that is not in {ca}", f"cafile={ca}")


def test_system_authorities(server, mount):
    """Without cafile= those of the system count, and none of them knows the tests' one. What the line says to
    do works."""
    said = refused(mount, server, TLS, ".*certificate is signed by an unknown authority", trust=False)
    assert "-o cafile=" in said
    option, = re.findall("-o (fingerprint=[0-9A-F:]*)", said)
    m = mount(server, option, trust=False)
    assert m.read("INBOX", 1) == TEXT


def test_pinned(server, faulty, mount, directory):
    """The pinned one is right whatever else it is, and never sent back to be verified."""
    fake = faulty(days=-1, names=("DNS:imap.example.org",))
    m = mount(server, f"fingerprint={fingerprint_of(directory + '/server.pem')}", source=fake.url, trust=False)
    assert m.read("INBOX", 1) == TEXT


def test_pinned_other(server, mount, faulty):
    """A certificate that could be verified is refused when it is not the pinned one; nothing is sent to it."""
    fake = faulty()
    said = refused(mount, server, TLS, "localhost:.*certificate is not the one that fingerprint= pins",
                   f"fingerprint={'ab' * 32}", fake.cafile, source=fake.url)
    assert re.search("it has ([0-9A-F]{2}:){31}[0-9A-F]{2};", said) and fake.names() == []


def test_pinned_starttls(server, mount):
    pin = fingerprint_of(server.path("tls", "server.pem"))
    source = f"imap://{server.user}@localhost:{server.imap_port}/"
    m = mount(server, f"fingerprint={pin}", source=source, trust=False)
    assert m.read("INBOX", 1) == TEXT
    refused(mount, server, TLS, "localhost:.*fingerprint=", f"fingerprint={'00' * 32}", source=source)


def test_pin_without_tls(server, mount):
    refused(mount, server, USAGE, "with tls=none", "tls=none", f"fingerprint={'ab' * 32}",
            source=f"imap://{server.user}@localhost:{server.imap_port}/")


def test_address_in_certificate(server, mount):
    m = mount(server, source=f"imaps://{server.user}@127.0.0.1:{server.imaps_port}/")
    assert m.read("INBOX", 1) == TEXT


def test_cafile_is_missing(server, mount):
    refused(mount, server, TLS, "/nowhere/ca.pem: No such file", "cafile=/nowhere/ca.pem")


def test_priority(server, mount):
    """Down to TLS 1.2 and no further."""
    refused(mount, server, TLS, "tls_priority= is not understood at '", "tls_priority=NORMAL:+WHAT")
    refused(mount, server, TLS, "tls_priority= allows neither", "tls_priority=NORMAL:-VERS-ALL:+VERS-TLS1.1")
    m = mount(server, "tls_priority=NORMAL:-VERS-ALL:+VERS-TLS1.2", flags=("-d",))
    assert m.read("INBOX", 1) == TEXT
    assert re.search(r": TLS \(TLS1\.2\)", m.said()) and "(TLS1.3)" not in m.said()


def test_resumption(server, mount):
    """Connections after the first take up its session; the server cannot tell ALPN from nothing."""
    m = mount(server, flags=("-d",))
    assert m.read("INBOX", 1) == TEXT
    m.wait_said(r": TLS .*\(TLS1\.3\).*, resumed")


def test_environment(server, mount, directory):
    """No library is made to write keys down, to talk, or to work with a single thread, by what stands in the
    environment."""
    keys = os.path.join(directory, "keys")
    m = mount(server, environment={"SSLKEYLOGFILE": keys, "GNUTLS_KEYLOGFILE": keys, "GNUTLS_DEBUG_LEVEL": "9",
                                   "UV_THREADPOOL_SIZE": "1"})
    m.tolerate(r"gnutls\[2\]: ")  # before main, of the library itself
    assert m.read("INBOX", 1) == TEXT
    assert not os.path.exists(keys)
    assert not re.search(r"gnutls\[[^2]", m.said())
