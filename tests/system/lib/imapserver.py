# SPDX-License-Identifier: MIT
"""What a test can do with any server: ask it for the truth, and change mail as another client would.

All of it goes through imapraw.py, which shares nothing with imapfs.
"""
import collections

import imapraw

Mail = collections.namedtuple("Mail", "mailbox body date flags uid", defaults=(None, (), None))
Mail.__doc__ = """A message to load. date: seconds since 1970, or None for now; uid: only for mailboxes
that do not exist yet, ascending; None takes the next."""


class ImapServer:
    """Its servers have user, password, imap_port, imaps_port and ca_file. A mailbox is named as the
    server names it, decoded, with its delimiter and its prefix."""

    delimiter = "/"
    # Of every mailbox but INBOX.
    prefix = ""

    def box(self, path):
        """The name of the mailbox at a path such as Archive/2023 of the user's own ones."""
        return path if path == "INBOX" else self.prefix + path.replace("/", self.delimiter)

    @property
    def url(self):
        return f"imaps://{self.user}@localhost:{self.imaps_port}/"

    def names(self, condition):
        """The condition, where it is one of the names of mailboxes that others change; see dovecot.py."""
        return condition

    def client(self, tls=False):
        """A logged-in connection of the independent client."""
        port = self.imaps_port if tls else self.imap_port
        connection = imapraw.Connection("127.0.0.1", port, self.ca_file if tls else None)
        connection.login(self.user, self.password)
        return connection

    def deliver(self, mailbox, body, flags=(), date=None):
        """Appends one message and returns its UID."""
        with self.client() as client:
            return client.append(mailbox, [Mail(mailbox, body, date, flags)])[0]

    def fetch_all(self, mailbox):
        """{uid: octets} of a mailbox, as the server gives them."""
        with self.client() as client:
            client.examine(mailbox)
            return client.fetch_bodies()

    def letters(self, mailbox):
        """[(octets, date in seconds since 1970)] of a mailbox, in the order of UIDs."""
        with self.client() as client:
            client.examine(mailbox)
            bodies, dates = client.fetch_bodies(), client.dates()
        # One may be removed between the two.
        return [(bodies[uid], imapraw.seconds(dates[uid])) for uid in sorted(bodies) if uid in dates]

    def uids(self, mailbox):
        with self.client() as client:
            client.examine(mailbox)
            return client.uids()

    def flags(self, mailbox):
        """{uid: frozenset of flags}, without \\Recent, which belongs to a session."""
        with self.client() as client:
            client.examine(mailbox)
            return client.flags()

    def flags_snapshot(self):
        """{mailbox: {uid: frozenset of flags}} of the whole account."""
        snapshot = {}
        with self.client() as client:
            for mailbox, attributes in client.list().items():
                if "\\noselect" not in attributes and "\\nonexistent" not in attributes:
                    client.examine(mailbox)
                    snapshot[mailbox] = client.flags()
        return snapshot

    def mailboxes(self):
        with self.client() as client:
            return client.list()

    def store(self, mailbox, uids, change, flags):
        """change: "+", "-" or "" as in STORE."""
        with self.client() as client:
            client.select(mailbox)
            client.store(uids, change, flags)

    def expunge(self, mailbox, uids):
        """Removes messages as another client would."""
        with self.client() as client:
            client.select(mailbox)
            client.store(uids, "+", ["\\Deleted"])
            client.uid_expunge(uids)

    def move(self, source, uids, target):
        with self.client() as client:
            client.select(source)
            client.move(uids, target)

    def create(self, mailbox):
        with self.client() as client:
            client.create(mailbox)

    def rename(self, old, new):
        with self.client() as client:
            client.rename(old, new)

    def delete(self, mailbox):
        with self.client() as client:
            client.delete(mailbox)
