"""HTTP messages: what a handler gets and gives."""

from __future__ import annotations

import socket
import ssl
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property


class Hang:
    """An answer that never comes: the connection stays open until the client or we close it."""


class Drop:
    """An answer that is a closed connection."""


@dataclass(frozen=True)
class Tunnel:
    """The answer to CONNECT: 200, then TLS, then *handler* for each request inside.

    A client that agrees on HTTP/2 gets *http2* for the whole connection, where there is one.
    """

    context: ssl.SSLContext
    handler: Handler
    http2: Callable[[socket.socket], None] | None = None


@dataclass(frozen=True)
class Request:
    """A request, read whole.

    Header names are in lower case; of repeated ones the last counts, and ``repeated`` names them.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""
    repeated: frozenset[str] = frozenset()

    @cached_property
    def path(self) -> str:
        """The path, percent-decoded."""
        return urllib.parse.unquote(urllib.parse.urlsplit(self.target).path)

    @cached_property
    def parameters(self) -> dict[str, list[str]]:
        """The query's parameters."""
        return urllib.parse.parse_qs(urllib.parse.urlsplit(self.target).query)

    @cached_property
    def query(self) -> dict[str, str]:
        """The query's parameters; of repeated ones the last counts."""
        return {name: values[-1] for name, values in self.parameters.items()}

    @cached_property
    def form(self) -> Form | None:
        """The body as an URL-encoded form; None where the Content-Type says that it is none."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip()
        if kind != "application/x-www-form-urlencoded":
            return None
        return dict(urllib.parse.parse_qsl(self.body.decode("utf-8", "replace")))

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


Form = Mapping[str, str]
Answer = Response | Hang | Drop | Tunnel
Handler = Callable[[Request], Answer]


def outcome(answer: Answer) -> str:
    """What the counts call an answer: its status, or hang, drop, cut."""
    if isinstance(answer, Response):
        return "cut" if answer.cut else str(answer.status)
    return type(answer).__name__.lower()
