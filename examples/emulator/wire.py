"""HTTP/1.1 messages: what a handler gets and gives, how requests are read and answers framed."""

from __future__ import annotations

import ssl
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

_MAX_LINE = 64 * 1024
_MAX_BODY = 4 * 1024 * 1024


class Hang:
    """An answer that never comes: the connection stays open until the client or we close it."""


class Drop:
    """An answer that is a closed connection."""


@dataclass(frozen=True)
class Tunnel:
    """The answer to CONNECT: 200, then TLS, then *handler* for each request inside."""

    context: ssl.SSLContext
    handler: Handler


@dataclass(frozen=True)
class Request:
    """A request, read whole. Header names are in lower case; of repeated ones the last counts."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @cached_property
    def path(self) -> str:
        """The path, percent-decoded."""
        return urllib.parse.unquote(urllib.parse.urlsplit(self.target).path)

    @cached_property
    def query(self) -> dict[str, str]:
        """The query's parameters; of repeated ones the last counts."""
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.target).query))

    @property
    def host(self) -> str:
        """The Host header in lower case, without the port of https."""
        return self.headers.get("host", "").lower().removesuffix(":443")

    @property
    def bearer(self) -> str | None:
        """The token of ``Authorization: Bearer``."""
        return bearer(self.headers.get("authorization"))


def bearer(value: str | None) -> str | None:
    """Get the token of a Bearer credential, None for anything else."""
    scheme, _, token = (value or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


@dataclass(frozen=True)
class Response:
    """An answer. ``body`` may be an iterable of chunks, then ``length`` is their total if known.

    ``drip`` sends a byte a second; ``cut`` drops the connection after half of the body; ``close``
    ends the connection afterwards.
    """

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: tuple[tuple[str, str], ...] = ()
    length: int | None = None
    drip: bool = False
    cut: bool = False
    close: bool = False


Answer = Response | Hang | Drop | Tunnel
Handler = Callable[[Request], Answer]


def outcome(answer: Answer) -> str:
    """What the counts call an answer: its status, or hang, drop, cut."""
    if isinstance(answer, Response):
        return "cut" if answer.cut else str(answer.status)
    return type(answer).__name__.lower()


class BadRequestError(Exception):
    """The bytes are no HTTP request."""


def read_request(reader: BinaryIO) -> Request | None:
    """Read one request, None at the connection's end; raises BadRequestError."""
    line = reader.readline(_MAX_LINE)
    if not line:
        return None
    try:
        method, target, version = line.decode("latin-1").split()
    except ValueError:
        raise BadRequestError from None
    if not version.startswith("HTTP/1."):
        raise BadRequestError
    headers = _read_headers(reader)
    if version == "HTTP/1.0":
        headers.setdefault("connection", "close")
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not length.isdecimal() or int(length) > _MAX_BODY:
        raise BadRequestError
    return Request(method, target, headers, reader.read(int(length)))


def _read_headers(reader: BinaryIO) -> dict[str, str]:
    headers: dict[str, str] = {}
    while (line := reader.readline(_MAX_LINE)) not in (b"\r\n", b"\n"):
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise BadRequestError
        headers[name.strip().lower()] = value.strip()
    return headers


def framed(answer: Response) -> tuple[Iterable[bytes], list[tuple[str, str]]]:
    """Give the body's pieces and the headers that frame them."""
    if isinstance(answer.body, bytes):
        return (answer.body,), [("Content-Length", str(len(answer.body)))]
    if answer.length is not None:
        return answer.body, [("Content-Length", str(answer.length))]
    return _chunked(answer.body), [("Transfer-Encoding", "chunked")]


def _chunked(pieces: Iterable[bytes]) -> Iterable[bytes]:
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"
