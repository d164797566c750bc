"""A server that answers every request with the same bytes, for what no well-kept server sends."""

from __future__ import annotations

from collections import Counter

from tests.kit.odd_server import Asked, Connection, OddServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class RawServer(OddServer):
    """Answers with ``answer``, ``pause`` seconds after each byte; and on after each answer."""

    most = 1000
    """Requests that one connection is good for."""
    last = b""
    """What the next one gets before the connection is closed."""

    def __init__(self, answer: bytes, pause: float = 0.0) -> None:
        super().__init__(otherwise=self._send)
        self.answer = answer
        self.pause = pause
        self._answered: Counter[Connection] = Counter()

    @property
    def connections(self) -> int:
        """How many were made."""
        return self.accepted

    @property
    def requests(self) -> list[bytes]:
        """Heads and bodies, as they came."""
        return [f"{each.head}\r\n\r\n".encode("latin-1") + each.body for each in self.asked]

    def _send(self, client: Connection, _asked: Asked) -> bool:
        if self._answered[client] == self.most:
            client.send(self.last)
            return False
        self._answered[client] += 1
        if self.pause:
            for byte in self.answer:
                client.send(bytes([byte]))
                self.closing.wait(self.pause)
        else:
            client.send(self.answer)
        return b"Connection: close" not in self.answer
