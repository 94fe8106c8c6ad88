"""A line to TPF that breaks where a test says: after so many bytes of requests, or before an answer comes back."""

from __future__ import annotations

import socket
import threading


class BadLine:
    """A proxy on loopback that hands bytes on, counts those of requests, and cuts."""

    def __init__(self, port: int, *, cut_after: int = 0, lose_answer: bytes = b"", then_dead: bool = False):
        self.port, self.cut_after, self.lose_answer, self.then_dead = port, cut_after, lose_answer, then_dead
        self.passed = 0
        self.cuts = 0
        self.broken = 0
        self._door = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._door.getsockname()[1]}"

    def close(self):
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    def _accept(self):
        while True:
            try:
                inner, _ = self._door.accept()
            except OSError:
                return
            outer = socket.create_connection(("127.0.0.1", self.port))
            threading.Thread(target=self._carry_requests, args=(inner, outer), daemon=True).start()
            threading.Thread(target=self._carry, args=(outer, inner), daemon=True).start()

    def _carry_requests(self, inner, outer):
        try:
            while data := inner.recv(4096):
                if self.lose_answer and self.lose_answer in data and not self.cuts:
                    self.cuts += 1
                    outer.sendall(data)
                    _cut(inner)
                    continue
                if self.cut_after and not self.cuts and self.passed + len(data) > self.cut_after:
                    outer.sendall(data[: self.cut_after - self.passed])
                    self.cuts += 1
                    if self.then_dead:
                        self.close()
                    break
                self.passed += len(data)
                outer.sendall(data)
        except OSError:
            self.broken += 1
        _cut(inner)
        _cut(outer)

    def _carry(self, source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            self.broken += 1
        _cut(target)


def _cut(line):
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
    finally:
        line.close()
