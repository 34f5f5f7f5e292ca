#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What imapfs must show for an account, told by the server itself through the independent client.

    expected(server)    {path below the mount point: Entry} of all messages
    directories(server) the paths of all directories
    compare(server, root, contents=True)   the differences, as lines

As a command: tree.py DIR list | invoices | large | year YEAR | compare ROOT | compare-stat ROOT
where DIR is that of a server started by dovecot.py.
"""
import argparse
import collections
import os
import re
import sys
import time

import dovecot
from imapraw import seconds

Entry = collections.namedtuple("Entry", "mailbox uid body date")
Entry.__doc__ = "A message; date is INTERNALDATE in seconds since 1970."


def component(level):
    """The file name for one level of a mailbox name, as far as a server here allows the name."""
    name = re.sub(r"%(?=[0-9A-Fa-f]{2}|~)", "%25", level)
    name = re.sub(r"[\x00-\x1f\x7f/]", lambda match: f"%{ord(match.group()):02X}", name)
    if name in ("", ".", ".."):
        name = "".join(f"%{ord(letter):02X}" for letter in name)
    return name


def path_of(mailbox, delimiter="/"):
    return "/".join(component(level) for level in mailbox.split(delimiter))


def selectable(mailboxes):
    return [name for name, attributes in mailboxes.items()
            if not attributes & {"\\noselect", "\\nonexistent"}]


def directories(server):
    paths = set()
    for mailbox in server.mailboxes():
        levels = path_of(mailbox, server.delimiter).split("/")
        paths.update("/".join(levels[:i + 1]) for i in range(len(levels)))
    return paths


def expected(server, suffix=""):
    """suffix: that of -o suffix=. A child mailbox keeps its name, the message becomes UID.eml."""
    folders = directories(server)
    entries = {}
    with server.client() as client:
        for mailbox in selectable(client.list()):
            client.examine(mailbox)
            dates = client.dates()
            for uid, body in client.fetch_bodies().items():
                path = f"{path_of(mailbox, server.delimiter)}/{uid}{suffix}"
                if path in folders:
                    path += ".eml"
                entries[path] = Entry(mailbox, uid, body, seconds(dates[uid]))
    return entries


def walk(root):
    """(paths of files, paths of directories) below a directory, relative to it."""
    files, folders = set(), set()
    for directory, names, file_names in os.walk(root, onerror=fail):
        base = os.path.relpath(directory, root)
        folders.update(os.path.normpath(os.path.join(base, name)) for name in names)
        files.update(os.path.normpath(os.path.join(base, name)) for name in file_names)
    return files, folders


def fail(error):
    raise error


def compare(server, root, contents=True, suffix=""):
    """Names, sizes, times, and the octets of each file unless contents is False."""
    wanted, wanted_folders = expected(server, suffix), directories(server)
    files, folders = walk(root)
    lines = [f"missing: {path}" for path in sorted(wanted.keys() - files)]
    lines += [f"too many: {path}" for path in sorted(files - wanted.keys())]
    lines += [f"missing directory: {path}" for path in sorted(wanted_folders - folders)]
    lines += [f"directory too many: {path}" for path in sorted(folders - wanted_folders)]
    for path in sorted(wanted.keys() & files):
        entry = wanted[path]
        full = os.path.join(root, path)
        status = os.stat(full)
        if status.st_size != len(entry.body):
            lines.append(f"{path}: {status.st_size} octets instead of {len(entry.body)}")
        if int(status.st_mtime) != entry.date:
            lines.append(f"{path}: time {time.ctime(status.st_mtime)} instead of {time.ctime(entry.date)}")
        if contents:
            with open(full, "rb") as source:
                if source.read() != entry.body:
                    lines.append(f"{path}: other octets")
    return lines


def main():
    parser = argparse.ArgumentParser(description="What imapfs must show for an account.")
    parser.add_argument("directory")
    parser.add_argument("question",
                        choices=["list", "invoices", "large", "year", "compare", "compare-stat"])
    parser.add_argument("argument", nargs="?")
    options = parser.parse_args()
    server = dovecot.Dovecot.attach(options.directory)
    if options.question.startswith("compare"):
        lines = compare(server, options.argument, options.question == "compare")
        print("\n".join(lines[:20]))
        return 1 if lines else 0
    paths = []
    for path, entry in expected(server).items():
        if options.question == "invoices" and b"invoice" not in entry.body:
            continue
        if options.question == "large" and len(entry.body) <= 1 << 20:
            continue
        if options.question == "year" and time.gmtime(entry.date).tm_year != int(options.argument):
            continue
        paths.append(path)
    print("\n".join(sorted(paths)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
