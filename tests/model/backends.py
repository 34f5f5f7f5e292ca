# SPDX-License-Identifier: MIT
"""What life changes mail with: the scripted server, or a real Dovecot. Paths are those of the mount. Every change
returns when it is done; the caller takes the time before and after."""
import asyncio
import re
import time

import bodies
import imapraw
import views
from imapserver import Mail


class Views:
    """The scripted server, in this very loop: a change is there at once."""

    least, exact = 0, True

    def __init__(self, manner, seed):
        self.server = views.Server(manner, seed)

    async def start(self):
        await self.server.start()

    async def stop(self):
        await self.server.stop()

    def name(self, path):
        return path.replace("/", self.server.manner.delimiter)

    def path(self, box):
        return box.name.replace(self.server.manner.delimiter, "/")

    def box(self, path):
        return self.server.boxes[self.name(path)]

    async def deliver(self, path, mails):
        """mails: [(identity, size, date)]. Returns [(uid, lies)]."""
        box = self.box(path)
        uids = [self.server.add(box, *mail) for mail in mails]
        return [(uid, box.messages[uid].announced != box.messages[uid].size) for uid in uids]

    async def expunge(self, path, uids):
        self.server.expunge(self.box(path), uids)

    async def store(self, path, uids, sign, flag):
        box = self.box(path)
        for uid in uids:
            if flag == "\\Deleted":
                # Without UIDPLUS it may be given back, also to who does not want it any more.
                box.messages[uid].theirs = sign == "+" or "UIDPLUS" not in self.server.manner.capabilities
                box.messages[uid].marked_at = time.monotonic()
        if sign == "+":
            self.server.store(box, uids, add=[flag])
        else:
            self.server.store(box, uids, remove=[flag])

    async def copy(self, source, uids, target):
        found = []
        for uid in uids:
            m = self.box(source).messages[uid]
            new = self.server.add(self.box(target), m.identity, m.size, m.date,
                                  m.flags if m.theirs else m.flags - {"\\Deleted"}, m.announced)
            self.box(target).messages[new].theirs = m.theirs and not m.unmarked
            self.box(target).messages[new].marked_at = time.monotonic()
            found.append((new, m.announced != m.size))
        return found

    async def create(self, path):
        self.server.create(self.name(path))

    async def delete(self, path):
        self.server.delete(self.name(path))

    async def rename(self, old, new):
        self.server.rename(self.name(old), self.name(new))

    async def renumber(self, path):
        """Returns {old UID: new UID}."""
        old = list(self.box(path).messages)
        return dict(zip(old, self.server.renumber(self.name(path)).messages))

    async def state(self):
        """{path: {uid: flags}}"""
        return {self.path(box): {uid: set(m.flags) for uid, m in box.messages.items()}
                for box in self.server.boxes.values()}

    def asked(self, path, uid):
        self.server.asked.add((self.box(path), uid))

    def asked_copy(self, path, uid):
        self.server.asked_copies.add((self.box(path), uid))

    def unmarked(self, path, uid):
        """Whether the mount has taken another client's mark off for the moment, as far as is known."""
        return self.box(path).messages[uid].unmarked


class Real:
    """A Dovecot, through the tests' own client."""

    least, exact = 1, False

    def __init__(self, server):
        self.server = server
        self.validity = 0

    async def start(self):
        await self.run(self.server.start)

    async def stop(self):
        await self.run(self.server.close)

    @staticmethod
    async def run(function, *arguments):
        return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)

    async def deliver(self, path, mails):
        def work():
            uids = []
            with self.server.client() as client:
                for identity, size, date in mails:
                    uids += client.append(path, [Mail(path, bodies.make(identity, size), date)])
            return [(uid, False) for uid in uids]
        return await self.run(work)

    async def expunge(self, path, uids):
        await self.run(self.server.expunge, path, uids)

    async def store(self, path, uids, sign, flag):
        await self.run(self.server.store, path, uids, sign, [flag])

    async def copy(self, source, uids, target):
        def work():
            with self.server.client() as client:
                client.select(source)
                client.command(b"UID COPY %s %s" % (imapraw.sequence_set(uids),
                                                    imapraw.quote(imapraw.utf7_encode(target))))
                return [(uid, False) for uid in copied(client.result)]
        return await self.run(work)

    async def create(self, path):
        await self.run(self.server.create, path)

    async def delete(self, path):
        await self.run(self.server.delete, path)

    async def rename(self, old, new):
        await self.run(self.server.rename, old, new)

    async def renumber(self, path):
        def work():
            uids = self.server.uids(path)
            self.validity += 1
            self.server.set_uidvalidity(path, 2_000_000_000 + self.validity)
            return {uid: uid for uid in uids}
        return await self.run(work)

    async def state(self):
        return await self.run(self.server.flags_snapshot)

    async def messages(self):
        """{path: {uid: (identity, size)}}"""
        def work():
            found = {}
            with self.server.client() as client:
                for path, attributes in client.list().items():
                    if "\\noselect" in attributes or "\\nonexistent" in attributes:
                        continue
                    client.examine(path)
                    found[path] = {uid: (bodies.examine(row["BODY[]<0>"])["id"], int(row["RFC822.SIZE"]))
                                   for uid, row in client.fetch(b"RFC822.SIZE BODY.PEEK[]<0.%d>" % bodies.HEAD)}
            return found
        return await self.run(work)

    def asked(self, path, uid):
        pass

    def asked_copy(self, path, uid):
        pass

    def unmarked(self, _path, _uid):
        return False


def copied(text):
    """The new UIDs of [COPYUID ...]; Dovecot names them in the order of the old ones."""
    words = re.search(rb"\[COPYUID \d+ \S+ ([\d:,]+)\]", text)
    uids = []
    for part in words.group(1).split(b",") if words else []:
        first, _, last = part.partition(b":")
        uids += range(int(first), int(last or first) + 1)
    return uids
