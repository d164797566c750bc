"""Receiving requests without waiting for them: where one ends is known before it gets a thread.

Only so much of it is understood here as that takes; what is wrong with it is gunicorn's parser to
say.
"""

from __future__ import annotations

import errno
import re
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from runscrape_proxy.serving.waiting import ClientConnection

MAX_HEAD: Final = 16 * 1024
"""Bytes of a request line with its header fields."""

MAX_BODY: Final = 16 * 1024
"""Bytes: the form of a token request has some hundred."""

MAX_CHUNKS: Final = 2 * MAX_BODY
"""Bytes of a body that comes in chunks, with the lines between them."""

MAX_TRAILERS: Final = 512
"""Bytes of the last chunk with its trailers, which nobody sends here."""

_CRLF = b"\r\n"
_END = b"\r\n\r\n"
_LAST_CHUNK = re.compile(rb"\r\n0+(?:[ \t;][^\r\n]*)?\r\n(?:[^\r\n]+\r\n)*\r\n\Z")
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_CHUNKED = re.compile(rb"\r\n(?i:transfer-encoding)[ \t]*:")
_CONTINUE = re.compile(
    rb"[^\r\n]* HTTP/1\.1\r\n(?:[^\n]*\n)*?(?i:expect)[ \t]*:[ \t]*(?i:100-continue)"
)
_LENGTH = re.compile(rb"\r\n(?i:content-length)[ \t]*:[ \t]*([0-9]{1,9})[ \t]*(?=\r\n)")


_AUDIENCE = re.compile(rb"(?:[?&]|\r\n\r\n)(?:audience|resource)=([^&\s]+)")


class HeadTooLarge(Exception):
    """The head of a request has more than MAX_HEAD bytes."""


def next_request(connection: ClientConnection) -> bytes | None:
    """Read what has come of the next request; None if that is not all of it.

    Raises HeadTooLarge, and OSError where the client is gone. Of a client that sends no more (but
    may be reading) the half of a request is returned: the parser says what is wrong.
    """
    size = request_size(connection.received)
    while size is None:
        try:
            data = connection.sock.recv(8192)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if not connection.continued and continue_is_awaited(connection.received):
                connection.continued = True
                connection.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            return None
        if not data and not connection.received:
            raise ConnectionResetError(errno.ECONNRESET, "closed")
        connection.received += data
        connection.ended = not data
        size = request_size(connection.received) if data else len(connection.received)
    request = bytes(connection.received[:size])
    del connection.received[:size]
    connection.continued = False
    return request


def request_size(received: bytearray) -> int | None:
    """How many of the bytes received are the first request; None if more of it has to come.

    What would be refused without reading on counts as whole: a head with a bare line feed, a body
    that is too large. Raises HeadTooLarge.
    """
    end = received.find(_END, 0, MAX_HEAD)
    if end < 0:
        if len(received) > MAX_HEAD:
            raise HeadTooLarge
        return len(received) if _BARE_LINE_FEED.search(received) else None
    head = end + len(_END)
    if _CHUNKED.search(received, 0, head):
        return _size_with_chunks(received, head)
    lengths: list[bytes] = _LENGTH.findall(received, 0, head)
    length = int(lengths[0]) if len(lengths) == 1 else 0
    if length > MAX_BODY:
        return head
    return head + length if len(received) >= head + length else None


def audience_in(request: bytes) -> str:
    """The audience that a whole request seems to ask a token for; empty where it asks for none.

    Good for an order in which requests are served, and for nothing else.
    """
    found = _AUDIENCE.search(request) if request.startswith(b"POST ") else None
    return unquote_plus(found[1].decode("latin-1")) if found else ""


def continue_is_awaited(received: bytearray) -> bool:
    """Say whether a client has sent a head and waits with the body: RFC 9110, section 10.1.1."""
    end = received.find(_END, 0, MAX_HEAD)
    return end > 0 and _CONTINUE.match(received, 0, end) is not None


def _size_with_chunks(received: bytearray, head: int) -> int | None:
    # (Nobody who sends chunks sends the next request before the answer; where somebody does, the
    # connection is closed.)
    whole = received.endswith(_END, head - len(_END)) and _LAST_CHUNK.search(
        received, max(head - len(_CRLF), len(received) - MAX_TRAILERS)
    )
    return len(received) if whole or len(received) > head + MAX_CHUNKS else None
