#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Sample mail, the same for the same seed.

messages() yields as many as wanted, quickly (bodies are cut from text made once); account() is a
whole account for the demo: about 2,000 messages of many years in folders with awkward names.

Sizes are log-normal with a median of 6 KB. The word "invoice" stands in every INVOICE_EVERYth
message and in no other, at least once in plain sight, so that a grep can be checked.

As a command it prints what account() would hold, or writes messages as files.
"""
import argparse
import collections
import datetime
import math
import os
import random
import sys

Mail = collections.namedtuple("Mail", "mailbox body date flags uid", defaults=(None, (), None))

MEDIAN = 6000  # octets
SIGMA = 1.0
SIZE_MAX = 4 << 20
FIRST_DATE = 1230800000  # January 2009
LAST_DATE = 1751280000  # June 2025
INVOICE_EVERY = 17

FOLDERS = (
    # name, share of the messages
    ("INBOX", 20), ("Sent", 8), ("Drafts", 1), ("Trash", 2), ("Entwürfe", 1), ("Übermäßig", 5),
    ("Archive/2022", 10), ("Archive/2023", 12), ("Archive/2023/Projects", 8),
    ("Archive/2023/Projects/Bridge & Road", 4), ("Archive/2024", 10), ("Lists/fuse-devel", 8),
    ("仕事/請求書", 3), ("🎉 Party", 2), ("R&D", 2), ("100% wool", 1), ("a.b.c", 1), ("INBOX/Receipts", 2),
)
# Here a message has the UID 2024 and a child mailbox the name 2024.
CLASH = "Projects"
CLASH_UID = 2024

ENGLISH = (
    "about after again answer around because before better between bridge budget change client "
    "colleague contract could date deadline different during engineer evening every example first "
    "follow forward friday great group house however important include kitchen letter little look "
    "meeting minutes monday morning number office order other people please point possible project "
    "question quick ready regards report road same schedule should since small something spring "
    "station still summer table thanks their there think thursday today together tomorrow train "
    "travel under until version water week where which while without would write year yesterday").split()
GERMAN = (
    "über Straße schön können müssen größer Grüße früher während Übersicht für Bücher Tür Küche zurück "
    "Änderung Ärger öffnen Öl Österreich Prüfung Rückfrage natürlich nämlich und oder aber nicht "
    "heute morgen Termin Besprechung Vertrag Bahnhof Frühling Lösung süß weiß heißt").split()
JAPANESE = "会議 資料 確認 お願い 東京 大阪 予定 来週 連絡 報告 請求 書類 電車 天気 写真 旅行 。 、".split()
PEOPLE = (
    ("Ada Brown", "ada@example.org"), ("Ben Okafor", "ben@example.com"), ("Carla Díaz", "carla@example.net"),
    ("Dörte Müller", "doerte@example.de"), ("Emi Sato", "emi@example.jp"), ("Farid Haddad", "farid@example.com"),
    ("Grace Lin", "grace@example.org"), ("Build robot", "robot@ci.example.com"),
    ("News", "news@letters.example.net"), ("Shop", "orders@shop.example.com"),
)
DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


class Text:
    """Lines made once; a body is a run of them."""

    def __init__(self, rng, words, octets, charset="utf-8", separator=" "):
        lines, starts, total = [], [0], 0
        while total < octets:
            line = separator.join(rng.choices(words, k=rng.randint(4, 10)))
            data = (b"" if rng.random() < 0.12 else line.encode(charset)) + b"\r\n"
            lines.append(data)
            total += len(data)
            starts.append(total)
        self.data = b"".join(lines)
        self.starts = starts
        self.mean = total / len(lines)

    def take(self, rng, octets):
        """Whole lines of about that length."""
        out = b""
        while True:
            first = rng.randrange(len(self.starts) - 1)
            count = max(1, int((octets - len(out)) / self.mean))
            last = min(first + count, len(self.starts) - 1)
            out += self.data[self.starts[first]:self.starts[last]]
            if len(out) >= octets - 2 * self.mean:
                return out


class Generator:
    """Messages in a fixed order."""

    def __init__(self, seed=1):
        self.rng = random.Random(seed)
        self.english = Text(self.rng, ENGLISH, 400_000)
        self.german = Text(self.rng, GERMAN, 100_000)
        self.latin1 = Text(self.rng, GERMAN, 100_000, "latin-1")
        self.japanese = Text(self.rng, JAPANESE, 100_000, separator="")
        self.attachment = self._base64_lines(400_000)
        self.count = 0

    def _base64_lines(self, octets):
        """Looks like a base64 attachment: its letters are random, its lines 76 long."""
        alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        data = self.rng.randbytes(octets).translate((alphabet * 4)[:256])
        return b"".join(data[i:i + 76] + b"\r\n" for i in range(0, octets - 75, 76))

    def _attachment(self, octets):
        first = self.rng.randrange(len(self.attachment) // 78 // 2) * 78
        block = self.attachment[first:]
        repeat = octets // len(block) + 1
        return (block * repeat)[:max(1, octets // 78) * 78]

    def message(self, size=None, date=None):
        """(octets, date) of the next message."""
        rng = self.rng
        self.count += 1
        if size is None:
            size = min(int(rng.lognormvariate(math.log(MEDIAN), SIGMA)), SIZE_MAX)
        if date is None:
            date = rng.randrange(FIRST_DATE, LAST_DATE)
        invoice = self.count % INVOICE_EVERY == 0
        head = self._header(date, invoice)
        size = max(size - len(head) - 200, 80)
        kind = rng.random()
        if kind < 0.5:
            body = self._single("text/plain; charset=us-ascii", "7bit", self.english.take(rng, size))
        elif kind < 0.7:
            body = self._alternative(size)
        elif kind < 0.85 or size > 200_000:
            body = self._mixed(size)
        elif kind < 0.93:
            body = self._single("text/plain; charset=utf-8", "8bit", self.german.take(rng, size))
        elif kind < 0.97:
            body = self._single("text/plain; charset=iso-8859-1", "8bit", self.latin1.take(rng, size))
        else:
            body = self._single("text/plain; charset=utf-8", "8bit", self.japanese.take(rng, size))
        return head + body, date

    def _header(self, date, invoice):
        rng = self.rng
        sender, recipient = rng.choice(PEOPLE), rng.choice(PEOPLE)
        if invoice:
            subject = f"Your invoice {10000 + self.count}"
        else:
            subject = " ".join(rng.choices(ENGLISH, k=rng.randint(2, 7))).capitalize()
            if rng.random() < 0.3:
                subject = "Re: " + subject
        identity = f"{self.count}.{rng.getrandbits(48):012x}@{sender[1].partition('@')[2]}"
        t = datetime.datetime.fromtimestamp(date, datetime.timezone.utc)
        stamp = f"{DAYS[t.weekday()]}, {t.day} {MONTHS[t.month - 1]} {t.year} {t:%H:%M:%S} +0000"
        return (
            f"Return-Path: <{sender[1]}>\r\n"
            f"Received: from mx{rng.randint(1, 9)}.example.net (mx.example.net [192.0.2.{rng.randint(1, 254)}])\r\n"
            f"\tby mail.example.org (Postfix) with ESMTPS id {rng.getrandbits(40):010X}\r\n"
            f"\tfor <{recipient[1]}>; {stamp}\r\n"
            f"Date: {stamp}\r\nFrom: {person(sender)}\r\nTo: {person(recipient)}\r\n"
            f"Message-ID: <{identity}>\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n").encode()

    @staticmethod
    def _single(kind, encoding, data):
        return b"Content-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n%s" % (
            kind.encode(), encoding.encode(), data)

    def _boundary(self):
        return b"=_%016x" % self.rng.getrandbits(64)

    def _multipart(self, kind, parts):
        mark = self._boundary()
        return (b'Content-Type: multipart/%s; boundary="%s"\r\n\r\n' % (kind, mark) +
                b"".join(b"--%s\r\n%s\r\n" % (mark, part) for part in parts) + b"--%s--\r\n" % mark)

    def _alternative(self, size):
        text = self.english.take(self.rng, size * 2 // 5)
        html = (b"<html><body><p>" + self.english.take(self.rng, size * 3 // 5).replace(
            b"\r\n\r\n", b"\r\n</p><p>\r\n") + b"</p></body></html>\r\n")
        return self._multipart(b"alternative", [
            self._single("text/plain; charset=us-ascii", "7bit", text),
            self._single("text/html; charset=us-ascii", "7bit", html)])

    def _mixed(self, size):
        number = self.rng.randint(1, 9999)
        attached = (b'Content-Type: application/pdf; name="scan-%d.pdf"\r\n'
                    b'Content-Disposition: attachment; filename="scan-%d.pdf"\r\n'
                    b"Content-Transfer-Encoding: base64\r\n\r\n" % (number, number))
        return self._multipart(b"mixed", [
            self._single("text/plain; charset=utf-8", "8bit", self.german.take(self.rng, min(size // 4, 3000))),
            attached + self._attachment(size - min(size // 4, 3000))])

    def flags(self):
        flags = []
        for flag, share in (("\\Seen", 0.85), ("\\Answered", 0.1), ("\\Flagged", 0.04), ("$Forwarded", 0.03)):
            if self.rng.random() < share:
                flags.append(flag)
        return tuple(flags)


def person(entry):
    name, address = entry
    if name.isascii():
        return f"{name} <{address}>"
    encoded = "".join(f"={octet:02X}" if octet > 126 or octet < 48 else chr(octet)
                      for octet in name.encode())
    return f"=?utf-8?Q?{encoded}?= <{address}>"


def messages(count, mailbox="INBOX", seed=1, size=None):
    """Yields Mail, oldest first as in a mailbox that grew. size: octets for all of them, about."""
    generator = Generator(seed)
    step = (LAST_DATE - FIRST_DATE) // max(count, 1)
    for number in range(count):
        body, date = generator.message(size, FIRST_DATE + number * step)
        yield Mail(mailbox, body, date, generator.flags())


def account(count=2000, seed=1, large=True):
    """A list of Mail: the sample account."""
    generator = Generator(seed)
    shares = sum(share for _, share in FOLDERS)
    mails = []
    for name, share in FOLDERS:
        for date in dates_of(generator.rng, name, count * share // shares):
            body, _ = generator.message(None, date)
            mails.append(Mail(name, body, date, generator.flags()))
    for uid in range(CLASH_UID - 24, CLASH_UID + 16):
        body, date = generator.message()
        mails.append(Mail(CLASH, body, date, generator.flags(), uid))
    for _ in range(12):
        body, date = generator.message()
        mails.append(Mail(f"{CLASH}/{CLASH_UID}", body, date, generator.flags()))
    if large:
        for size in (300_000, 700_000, 1_500_000, 3_000_000):
            body, date = generator.message(size)
            mails.append(Mail("Archive/2023/Projects", body, date, ("\\Seen",)))
    return mails


def dates_of(rng, name, count):
    """Ascending dates; a folder with a year in its name holds mail of that year."""
    first, last = FIRST_DATE, LAST_DATE
    for part in name.split("/"):
        if part.isdigit():
            year = datetime.datetime(int(part), 1, 1, tzinfo=datetime.timezone.utc)
            first = int(year.timestamp())
            last = first + 365 * 86400
    return sorted(rng.randrange(first, last) for _ in range(count))


def main():
    parser = argparse.ArgumentParser(description="Sample mail, the same for the same seed.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--write", metavar="DIR", help="write that many messages as files")
    options = parser.parse_args()
    if options.write:
        os.makedirs(options.write, exist_ok=True)
        for number, mail in enumerate(messages(options.count, seed=options.seed), 1):
            path = os.path.join(options.write, str(number))
            with open(path, "wb") as out:
                out.write(mail.body)
            os.utime(path, (mail.date, mail.date))
        return
    mails = account(options.count, options.seed)
    for name, number in collections.Counter(mail.mailbox for mail in mails).items():
        print(f"{number:6d}  {name}")
    sizes = sorted(len(mail.body) for mail in mails)
    print(f"{len(mails)} messages, median {sizes[len(sizes) // 2]}, largest {sizes[-1]}, "
          f"{sum(sizes)} octets; {sum(b'invoice' in mail.body for mail in mails)} invoices")


if __name__ == "__main__":
    sys.exit(main())
