"""Answers, whose bodies come in pieces."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import h11

from runscrape_proxy.http_client.connection import EndOfConnection
from runscrape_proxy.http_client.errors import BadAnswer, Broken

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from runscrape_proxy.http_client.connection import Connection
    from runscrape_proxy.http_client.deadline import Deadline

PIECE: Final = 128 * 1024
"""Bytes of a body that are held at once: what a piece costs does not depend on its size."""

MAX_CHUNKS: Final = 100_000
"""In one answer; each costs us some 15 µs, however small it is."""


class Answer:
    """What came back. Read it to its end, or close it."""

    def __init__(
        self,
        head: h11.Response,
        connection: Connection,
        deadline: Deadline,
        keep: Callable[[], None],
    ) -> None:
        self.status = head.status_code
        self.headers = [
            (name.decode("ascii"), value.decode("latin-1"))
            for name, value in head.headers.raw_items()
        ]
        fields = dict(head.headers)
        self.chunked = b"transfer-encoding" in fields
        length = fields.get(b"content-length")
        self.length = int(length) if length is not None else None
        """In bytes; None for a body that comes in chunks, or ends with the connection."""
        if self.status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
            self.length = 0
        self._lasting = head.http_version == b"1.1" and not _closes(fields)
        self._connection = connection
        self._before = connection.received
        self._deadline = deadline
        self._keep = keep
        self._finished = False
        # RFC 9112, section 6.3: such an answer may be an attempt to smuggle another one.
        if self.chunked and (length is not None or head.http_version != b"1.1"):
            self.close()
            raise BadAnswer(
                "both Transfer-Encoding and Content-Length, or HTTP/1.0 with the former"
            )

    @property
    def received(self) -> int:
        """Bytes of a body in chunks that have come, with what stands around each chunk."""
        return self._connection.received - self._before

    def pieces(self) -> Generator[bytes]:
        """The body as it comes, encoded as it was. Raises CallError where it breaks off."""
        try:
            yield from self._framed() if self.length is None else self._counted(self.length)
            self._finish()
        except h11.RemoteProtocolError as error:
            raise BadAnswer(str(error)) from error
        except OSError as error:
            raise Broken(error.strerror or type(error).__name__) from error
        finally:
            self.close()

    def read(self, limit: int) -> bytes:
        """The whole body. Raises CallError; BadAnswer if it is larger than ``limit`` bytes."""
        content = b""
        with contextlib.closing(self.pieces()) as pieces:
            for piece in pieces:
                content += piece
                if len(content) > limit or self.received > limit:
                    raise BadAnswer(f"more than {limit} bytes")
        return content

    def close(self) -> None:
        """Drop the connection, unless the body was read to its end."""
        if not self._finished:
            self._deadline.release()
            self._connection.close()

    def _finish(self) -> None:
        self._deadline.release()
        self._finished = True
        if self._lasting and self._connection.can_be_used_again():
            self._keep()
        else:
            self._connection.close()

    def _framed(self) -> Iterator[bytes]:
        """A body in chunks, or one that ends with the connection."""
        chunks = 0
        while True:
            try:
                events = self._connection.next_events(self._deadline)
            except EndOfConnection:
                if self.chunked:
                    raise
                return
            chunks += len(events)
            if chunks > MAX_CHUNKS:
                raise BadAnswer(f"more than {MAX_CHUNKS} chunks")
            if data := b"".join(each.data for each in events if isinstance(each, h11.Data)):
                yield data
            if not isinstance(events[-1], h11.Data):
                return

    def _counted(self, left: int) -> Iterator[bytes]:
        """A body of known length: nothing in it is for h11 to read."""
        piece = self._connection.take_read_ahead(left)
        while left:
            size = min(left, PIECE)
            if len(piece) < size:
                piece = self._connection.fill(piece, size, self._deadline)
            left -= len(piece)
            yield piece
            piece = b""


def _closes(fields: Mapping[bytes, bytes]) -> bool:
    options = fields.get(b"connection", b"").lower().split(b",")
    return b"close" in {option.strip() for option in options}
