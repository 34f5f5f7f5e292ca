# SPDX-License-Identifier: MIT
"""Logging in: by each mechanism, by the strongest, by certificate, as somebody else; what cannot be."""
import base64
import os
import re
import ssl

import pytest

import dovecot
from dovecot import Mail
from fakeimap import FakeImap
from test_connect import LOGIN, TEXT, TLS, USAGE, refused, write_secret

# Dovecot makes everyone wait after a wrong password, but for the anvil.
CONFIG = """
auth_mechanisms = plain login scram-sha-1 scram-sha-256 external
auth_ssl_username_from_cert = yes
ssl_ca = <{base}/tls/ca.pem
ssl_verify_client_cert = yes
ssl_require_crl = no
auth_master_user_separator =
passdb {
  driver = static
  mechanisms = external
  args = nopassword=y
}
passdb {
  driver = passwd-file
  master = yes
  args = scheme=PLAIN {base}/masters
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
"""
CONFIG_24 = """
auth_mechanisms = plain login scram-sha-1 scram-sha-256 external
auth_ssl_username_from_cert = yes
ssl_server_ca_file = {base}/tls/ca.pem
ssl_server_request_client_cert = yes
ssl_server_require_crl = no
passdb static {
  mechanisms_filter = external
  fields {
    nopassword = yes
  }
}
passdb masters {
  driver = passwd-file
  master = yes
  passwd_file_path = {base}/masters
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
"""


@pytest.fixture(name="server", scope="module")
def fixture_server(start_server):
    server = start_server([Mail("INBOX", TEXT)], extra=CONFIG, extra24=CONFIG_24)
    with open(server.path("masters"), "w", encoding="ascii") as out:
        out.write("chief:{PLAIN}chief's word\n")
    return server


@pytest.fixture(name="fake")
def fixture_fake(directory):
    """fake(mechanisms, ...): a server with TLS 1.2, as Python can bind to that only."""
    servers = []

    def start(*mechanisms, **options):
        dovecot.make_authority(directory)
        dovecot.make_certificate(directory)
        options.setdefault("tls_max", ssl.TLSVersion.TLSv1_2)
        server = FakeImap({"INBOX": [TEXT]}, tls=True, password="secret word", mechanisms=mechanisms,
                          login_disabled=True,
                          certificate=(f"{directory}/server.pem", f"{directory}/server.key"), **options)
        servers.append(server.__enter__())
        server.url = f"imaps://user@localhost:{server.port}/"
        server.ca_file = f"{directory}/ca.pem"
        server.password_file = write_secret(f"{directory}/word", server.password + "\n")
        return server

    yield start
    for server in servers:
        server.__exit__(None)


def mechanisms_used(m):
    return set(re.findall(r"C: A\d+ (?:AUTHENTICATE )?(\S+) \.\.\.", m.said()))


@pytest.mark.parametrize("name", ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN"])
def test_mechanism(server, mount, name):
    m = mount(server, f"auth={name.lower()}", flags=("-d",))
    assert m.read("INBOX", 1) == TEXT
    assert mechanisms_used(m) == {name}
    assert f"login: by {name}\n" in m.read(".imapfs", "status").decode()
    assert server.password not in m.said() and base64.b64encode(server.password.encode()).decode() not in m.said()


def test_strongest(server, mount):
    m = mount(server, flags=("-d",))
    assert m.read("INBOX", 1) == TEXT
    assert mechanisms_used(m) == {"SCRAM-SHA-256"}


@pytest.mark.parametrize("name", ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN"])
def test_wrong_password(server, mount, directory, name):
    path = write_secret(os.path.join(directory, "wrong"), "not the word\n")
    said = refused(mount, server, LOGIN, "localhost:.*login refused", f"passfile={path}", f"auth={name}")
    assert "not the word" not in said


def test_not_offered(server, mount):
    """No way down to what is offered."""
    refused(mount, server, LOGIN, "localhost:.*does not offer the mechanism of auth=.*PLAIN",
            "auth=SCRAM-SHA-256-PLUS")


@pytest.mark.parametrize("options, pattern", [
    (("auth=CRAM-MD5",), "auth= is one of OAUTHBEARER, XOAUTH2, EXTERNAL, SCRAM-SHA-256-PLUS,"),
    (("auth=EXTERNAL",), "auth=EXTERNAL needs certfile="),
    (("keyfile=/x",), "keyfile= needs its certificate"),
    (("auth=LOGIN", "authzid=jane"), "auth=LOGIN cannot carry an authzid="),
])
def test_impossible(server, mount, options, pattern):
    refused(mount, server, USAGE, pattern, *options)


@pytest.mark.parametrize("options, pattern", [
    (("auth=SCRAM-SHA-1-PLUS",), "auth=SCRAM-SHA-1-PLUS needs TLS"),
    (("certfile=/x",), "with tls=none no certificate"),
])
def test_impossible_in_the_clear(server, mount, options, pattern):
    refused(mount, server, USAGE, pattern, "tls=none", *options, source="imap://user@localhost/")


# Passwords that are at hand


def test_netrc(server, mount, directory):
    path = write_secret(directory + "/netrc", f'machine localhost\n login {server.user} password "{server.password}"\n')
    m = mount(server, f"netrc={path}")
    assert m.read("INBOX", 1) == TEXT
    os.chmod(path, 0o644)
    refused(mount, server, LOGIN, "others can read or write netrc .*chmod 600", f"netrc={path}")


def test_usual_netrc(server, mount, directory):
    """That of the home directory, when nothing else is named."""
    os.mkdir(directory + "/home")
    write_secret(directory + "/home/.netrc", f'machine localhost login {server.user} password "{server.password}"\n')
    m = mount(server, secret=False, environment={"HOME": directory + "/home"})
    assert m.read("INBOX", 1) == TEXT


def test_credential(server, mount, directory):
    """Of a service of systemd."""
    write_secret(directory + "/imapfs", server.password + "\n", 0o400)
    m = mount(server, secret=False, environment={"CREDENTIALS_DIRECTORY": directory})
    assert m.read("INBOX", 1) == TEXT


# Bound to the connection


@pytest.mark.parametrize("name", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"])
def test_bound(fake, mount, name):
    server = fake("PLAIN", "SCRAM-SHA-256", name)
    m = mount(server, source=server.url, flags=("-d",))
    assert m.read("INBOX", 1) == TEXT
    assert mechanisms_used(m) == {name}


def test_bound_to_another(fake, mount):
    """Who sits in between has another connection to the server than we have to him."""
    server = fake("PLAIN", "SCRAM-SHA-256-PLUS", binding=b"of another")
    refused(mount, server, LOGIN, "localhost:.*login refused", source=server.url)
    assert server.names() == ["AUTHENTICATE"]


# Certificates of ours


def test_external(server, mount, directory):
    """By certificate alone, without being asked for a password, on each connection."""
    options = dovecot.make_client_certificate(server.path("tls"), directory, server.user)
    m = mount(server, *options, flags=("-d",))
    assert m.read("INBOX", 1) == TEXT
    assert mechanisms_used(m) == {"EXTERNAL"}
    m.wait_said(r"(?s)(introduction -> ready.*){2}")


def test_external_one_file(server, mount, directory):
    dovecot.make_client_certificate(server.path("tls"), directory, server.user)
    parts = [open(f"{directory}/{server.user}.{end}", encoding="ascii").read() for end in ("pem", "key")]
    m = mount(server, f"certfile={write_secret(directory + '/both.pem', ''.join(parts))}", "auth=external")
    assert m.read("INBOX", 1) == TEXT


def test_external_nobody(server, mount, directory):
    """A certificate by an authority that the server does not know."""
    os.mkdir(f"{directory}/other")
    dovecot.make_authority(f"{directory}/other", "somebody else")
    options = dovecot.make_client_certificate(f"{directory}/other", directory, server.user)
    refused(mount, server, LOGIN, "localhost:.*login refused", *options)


def test_external_missing(fake, mount, directory):
    """The server asks for a certificate by TLS, and for a password too."""
    server = fake("PLAIN", client_ca=f"{directory}/ca.pem")
    options = dovecot.make_client_certificate(directory, directory, "user")
    refused(mount, server, LOGIN, "localhost:.*a certificate alone.*offered: PLAIN", *options,
            source=server.url)
    m = mount(server, *options, f"passfile={server.password_file}", source=server.url)
    assert m.read("INBOX", 1) == TEXT


def test_certificate_wanted(fake, mount, directory):
    """Without one, the line says what the server wants."""
    server = fake("PLAIN", client_ca=f"{directory}/ca.pem", tls_max=None)
    refused(mount, server, TLS, "localhost:.*wants a client certificate .-o certfile=",
            source=server.url)


def test_keyfile_of_all(server, mount, directory):
    options = dovecot.make_client_certificate(server.path("tls"), directory, server.user)
    os.chmod(f"{directory}/{server.user}.key", 0o644)
    refused(mount, server, LOGIN, "others can read or write keyfile .*chmod 600", *options)


# As somebody else


@pytest.mark.parametrize("name", ["SCRAM-SHA-256", "PLAIN"])
def test_authzid(server, mount, directory, name):
    """A master user who reads another's mail; the mount is called by who logs in."""
    secret = write_secret(directory + "/chief", "chief's word\n")
    m = mount(server, f"auth={name}", f"authzid={server.user}", f"passfile={secret}", user="chief")
    assert m.read("INBOX", 1) == TEXT


def test_authzid_reaches_the_server(fake, mount):
    server = fake("LOGIN", "SCRAM-SHA-256-PLUS")
    m = mount(server, "authzid=jane", source=server.url)
    assert m.read("INBOX", 1) == TEXT
    assert server.authzid == b"jane"
