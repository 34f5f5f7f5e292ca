# SPDX-License-Identifier: MIT
"""A name server on loopback that knows a few records, and nothing else."""
import os
import socket
import struct
import threading

A, SRV = 1, 33
# One for each process, on loopback.
ADDRESS = f"127.77.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"


def encode_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


class FakeDns:
    """records: {(type, name): data}; data of A is an address, of SRV (port, target). Whoever asks for the addresses of
    the silent names gets no answer. It is at ADDRESS, port 53, so needs root."""

    def __init__(self, records, silent=()):
        self.records = records
        self.silent = silent
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((ADDRESS, 53))
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        # Wakes the thread; what is no question ends it.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(b"", (ADDRESS, 53))
        self.thread.join(10)
        self.socket.close()

    def _answer(self, question):
        name, at = [], 12
        while question[at]:
            name.append(question[at + 1:at + 1 + question[at]].decode().lower())
            at += question[at] + 1
        kind = struct.unpack(">H", question[at + 1:at + 3])[0]
        data = self.records.get((kind, ".".join(name)))
        self.asked.append((kind, ".".join(name)))
        known = any(record[1] == ".".join(name) for record in self.records)
        head = question[:2] + struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, data is not None, 0, 0)
        answer = head + question[12:at + 5]
        if data is None:
            return answer
        if kind == A:
            data = socket.inet_aton(data)
        else:
            data = struct.pack(">HHH", 0, 0, data[0]) + encode_name(data[1])
        return answer + struct.pack(">HHHIH", 0xC00C, kind, 1, 60, len(data)) + data

    def _serve(self):
        while True:
            question, client = self.socket.recvfrom(4096)
            if not question:
                return
            answer = self._answer(question)
            kind, name = self.asked[-1]
            if kind == SRV or name not in self.silent:
                self.socket.sendto(answer, client)
