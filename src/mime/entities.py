#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes the table of HTML's named characters in C: entities.py FILE. Python, which meson needs anyway,
brings the list of the standard along (html.entities), so it stands nowhere in this source."""
import html.entities
import sys


def quote(text):
    return "".join(f"\\{octet:03o}" for octet in text.encode())


def main():
    rows = sorted((name.encode(), text) for name, text in html.entities.html5.items())
    with open(sys.argv[1], "w", encoding="ascii") as out:
        out.write('#include "mime/entities.h"\n\nconst struct mime_entity mime_entities[] = {\n')
        for name, text in rows:
            out.write(f'\t{{"{name.decode()}", "{quote(text)}"}},\n')
        out.write("};\n\nconst size_t mime_entity_count = sizeof(mime_entities) / sizeof(mime_entities[0]);\n")


if __name__ == "__main__":
    main()
