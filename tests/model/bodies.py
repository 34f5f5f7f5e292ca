# SPDX-License-Identifier: MIT
"""Messages whose octets say which message they are and where in it: any piece of one can be judged alone.

    S: 0000002a CR LF
    CR LF
    0000002a 0000000015 ...46 characters... CR LF       lines of 64 octets from offset 15 on
"""
import functools
import re

HEAD = 15
LINE = 64
PADDING = b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ"[:LINE - 22]
KIB = 1 << 10
MIB = 1 << 20
# Around what is fetched whole, in windows and in chunks, and where 16 bits end.
EDGES = (0, 1, 2, 65535, 65536, 65537, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1, 512 * KIB - 1, 512 * KIB,
         512 * KIB + 1, MIB - 1, MIB, MIB + 1, 256 * KIB + 5000, 600 * KIB)


def allowed(size):
    """Not between CR and LF: servers that keep lines their own way would add to it."""
    return size not in (12, 14) and not (size >= HEAD and (size - HEAD) % LINE == LINE - 1)


def random_size(rng, least=0, most=MIB + 1):
    """Small ones mostly, an edge every third time."""
    if rng.random() < 0.4:
        size = rng.choice([edge for edge in EDGES if least <= edge <= most])
    else:
        size = int(min(rng.lognormvariate(8, 1.5), most))
    size = max(size, least)
    return size if allowed(size) else size + 1


@functools.lru_cache(maxsize=96)
def make(identity, size):
    count = max(0, size - HEAD + LINE - 1) // LINE
    lines = b"".join(b"%08x %010d %s\r\n" % (identity, HEAD + i * LINE, PADDING) for i in range(count))
    return (b"S: %08x\r\n\r\n" % identity + lines)[:size]


def examine(data, offset=0):
    """What a piece from that offset says of itself: {"n", "id", "bad", "hex"}; bad is the first offset that is
    not that message's. Pieces too short to have a name are given as they are, in "raw"."""
    found = {"n": len(data), "offset": offset, "id": None, "bad": None}
    if len(data) < 2 * LINE:
        found["raw"] = bytes(data).hex()
    identity = None
    if offset == 0:
        match = re.match(rb"S: ([0-9a-f]{8})\r\n", data[:13])
        identity = match and int(match.group(1), 16)
    if identity is None:
        first = offset + (HEAD - offset) % LINE if offset > HEAD else HEAD
        match = re.match(rb"([0-9a-f]{8}) (\d{10}) ", data[first - offset:first - offset + 20])
        identity = match and int(match.group(1), 16)
    if identity is None:
        if len(data) >= 2 * LINE:
            found["bad"], found["hex"] = offset, bytes(data[:80]).hex()
        return found
    found["id"] = identity
    end = offset + len(data)
    wanted = make(identity, -(-end // MIB) * MIB + LINE)[offset:end]
    if wanted != data:
        at = next(i for i in range(len(data)) if data[i] != wanted[i])
        found["bad"], found["hex"] = offset + at, bytes(data[at:at + 80]).hex()
    return found
