"""An open connection, and what is said on it, one request at a time."""

from __future__ import annotations

import contextlib
import errno
import ssl
from typing import TYPE_CHECKING, Final

import h11
from urllib3.util import wait_for_read

if TYPE_CHECKING:
    from runscrape_proxy.http_client.deadline import Deadline, Socket

MAX_HEAD: Final = 64 * 1024
"""Bytes that an answer's head, the line of a chunk, or trailers may have."""

MAX_INTERIM: Final = 8
"""Answers such as 100 Continue and 103 Early Hints that may come before the real one."""

READ: Final = 16 * 1024
"""Bytes that are read at once: as many as a TLS record has."""


class EndOfConnection(ConnectionResetError):
    """The other side has closed the connection, in good order."""


class Connection:
    """An open connection; one request at a time."""

    __slots__ = ("_http", "_more", "received", "reused", "sock")

    def __init__(self, sock: Socket) -> None:
        self.sock = sock
        self.reused = False
        """Whether it has brought an answer before."""
        self.received = 0
        """Bytes of the awaited answer that h11 was given; a body of known length is not among them.
        """
        self._http = h11.Connection(h11.CLIENT, MAX_HEAD)
        self._more = False

    @property
    def begun(self) -> bool:
        """Whether a byte of the answer that is awaited has come."""
        return self.received > 0

    def send(self, request: h11.Request, body: bytes, deadline: Deadline) -> None:
        """Send a request. Raises OSError and CallError."""
        self.received = 0
        self._http = h11.Connection(h11.CLIENT, MAX_HEAD)
        data = self._http.send(request) or b""
        if body:
            data += self._http.send(h11.Data(data=body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        with deadline.over(self.sock):
            self.sock.sendall(data)

    def await_head(self, deadline: Deadline, seconds: float) -> bool:
        """Wait for the first of an answer; False if none comes within ``seconds`` seconds.

        No buffer is held meanwhile. Raises OSError and CallError.
        """
        while self._can_be_read(deadline, seconds):
            self.sock.settimeout(0)
            try:
                data: bytes = self.sock.recv(READ)  # type: ignore[assignment]  # as below
            except (BlockingIOError, ssl.SSLWantReadError):  # TLS's own, such as session tickets
                continue
            if not data:
                raise _closed()
            self.received += len(data)
            self._http.receive_data(data)
            return True
        return False

    def _can_be_read(self, deadline: Deadline, seconds: float) -> bool:
        if isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
            return True
        with deadline.over(self.sock):
            timeout = max(0.0, min(seconds, deadline.left))
            readable = wait_for_read(self.sock, timeout=timeout)  # type: ignore[arg-type]  # has a fileno
        deadline.check()
        return readable

    def read_head(self, deadline: Deadline) -> h11.Response:
        """Read the head of the answer, past those of interim ones.

        Raises OSError, CallError, and h11.RemoteProtocolError for what is no head.
        """
        status = 0
        for _ in range(MAX_INTERIM + 1):
            try:
                event = self.next_event(deadline)
            except ConnectionError as error:
                if status:
                    raise h11.RemoteProtocolError(f"answered {status}, and no more") from error
                raise
            if isinstance(event, h11.Response):
                return event
            if isinstance(event, h11.InformationalResponse):
                status = event.status_code
        raise h11.RemoteProtocolError(f"answered {status}, again and again")

    def next_event(self, deadline: Deadline) -> h11.Event:
        """Read what comes next; raises as :meth:`read_head`."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(self._read(deadline))
        if isinstance(event, type):  # h11.PAUSED: more than was asked for
            raise h11.RemoteProtocolError("more came than one answer")
        return event

    def next_events(self, deadline: Deadline) -> list[h11.Event]:
        """Read what comes next, all of it that is there then; raises as :meth:`read_head`."""
        events = [self.next_event(deadline)]
        while isinstance(events[-1], h11.Data):
            event = self._http.next_event()
            if isinstance(event, type):
                break
            events.append(event)
        return events

    def _read(self, deadline: Deadline) -> bytes:
        with deadline.over(self.sock):
            data: bytes = self.sock.recv(READ)  # type: ignore[assignment]  # SSLTransport: or int
            if not data:
                raise _closed()
        self.received += len(data)
        return data

    def fill(self, piece: bytes, size: int, deadline: Deadline) -> bytes:
        """Read on until a piece has ``size`` bytes. Raises OSError and CallError."""
        parts, left = [piece], size - len(piece)
        with deadline.over(self.sock):
            while left > 0:
                data: bytes = self.sock.recv(min(left, READ))  # type: ignore[assignment]  # as above
                if not data:
                    raise _closed()
                parts.append(data)
                left -= len(data)
                deadline.renew(self.sock)
        return b"".join(parts)

    def take_read_ahead(self, limit: int) -> bytes:
        """Return what of a body came along with the head, ``limit`` bytes at most."""
        data, _ = self._http.trailing_data
        self._more = len(data) > limit
        return data[:limit]

    def can_be_used_again(self) -> bool:
        """Say whether nothing came that nobody asked for, once an answer is read to its end."""
        if self._http.their_state is h11.DONE:
            self._more = bool(self._http.trailing_data[0])
        self.reused = True
        return not self._more

    def is_stale(self) -> bool:
        """Whether it was closed meanwhile, or has something on it that nobody asked for."""
        return wait_for_read(self.sock, timeout=0.0)  # type: ignore[arg-type]  # has a fileno

    def close(self) -> None:
        """Close it, whatever is under way."""
        with contextlib.suppress(OSError):
            self.sock.close()


def _closed() -> EndOfConnection:
    return EndOfConnection(errno.ECONNRESET, "the connection was closed")
