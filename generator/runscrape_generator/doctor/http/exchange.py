"""One HTTP request, step by step, as Prometheus' client makes it: every step has its time.

No redirect is followed and no connection is kept. The deadline holds for the whole of it, whatever
the other side does; only the resolver of the operating system cannot be cut short.
"""

from __future__ import annotations

import gzip
import http.client
import io
import socket
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from runscrape_generator.addresses import without_secrets
from runscrape_generator.doctor.evidence import Answer, Exchange, Failure, Stage
from runscrape_generator.doctor.http.connection import connect, login
from runscrape_generator.doctor.http.steps import StepFailedError, Steps
from runscrape_generator.doctor.targets import Transport
from runscrape_generator.text import one_line, printable

MAX_BODY = 128 * 1024 * 1024
"""Bytes of a body that are read; Prometheus itself has no limit unless the job says one."""
_MAX_INFLATED = 2 * MAX_BODY
"""Bytes that a compressed body may grow to."""
_PIECE = 64 * 1024
_SHORTEST_SECRET = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be sent."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    transport: Transport = field(default_factory=Transport)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What else than its credentials an answer must not have shown."""


def exchange(request: Request, seconds: float) -> Exchange:
    """Make a request that may take ``seconds`` as a whole; every failure is in the result."""
    began, now = time.monotonic(), time.time()
    steps = Steps(began + seconds)
    answer: Answer | None = None
    failure: Failure | None = None
    try:
        with (
            connect(request.url, request.transport, steps) as connection,
            http.client.HTTPResponse(_Incoming(connection, steps)) as response,  # type: ignore[arg-type]
        ):
            with steps.take(Stage.ANSWER) as step:
                connection.settimeout(steps.left)
                connection.sendall(_head(request) + (request.body or b""))
                response.begin()
                secrets = tuple(_secrets(request))
                reason = _without(secrets, response.reason.encode("latin-1")).decode("latin-1")
                step.text = f"{response.status} {reason}".strip()
            answer = _answer(response, secrets)
            with steps.take(Stage.BODY) as step:
                body = _read(response)
                step.text = f"{len(body)} bytes"
            answer = _decoded(answer, body)
            answer = replace(answer, body=_without(secrets, answer.body))
    except StepFailedError as error:
        failure = error.failure
    took = time.monotonic() - began
    return Exchange(without_secrets(request.url), tuple(steps.taken), answer, failure, took, now)


class _Incoming(io.RawIOBase):
    """A connection's bytes, none of them later than the deadline.

    http.client takes it for the socket itself, of which it wants ``makefile`` alone.
    """

    def __init__(self, connection: socket.socket, steps: Steps) -> None:
        self._connection = connection
        self._steps = steps

    def readable(self) -> bool:
        """Say so to io.BufferedReader."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read what there is. Raises TimeoutError at the deadline."""
        if time.monotonic() >= self._steps.until:
            raise TimeoutError("timed out")
        self._connection.settimeout(self._steps.left)
        return self._connection.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Give the bytes with a buffer."""
        return io.BufferedReader(self)


def _head(request: Request) -> bytes:
    url = urlsplit(request.url)
    place = (url.path or "/") + (f"?{url.query}" if url.query else "")
    host = url.netloc.rpartition("@")[2]
    headers = {"Host": host, **login(url, "Authorization"), **request.headers}
    headers["Connection"] = "close"
    if request.transport.proxy_url and url.scheme == "http":
        place = f"http://{host}{place}"
        headers |= login(urlsplit(request.transport.proxy_url), "Proxy-Authorization")
    if request.body is not None:
        headers["Content-Length"] = str(len(request.body))
    lines = [f"{request.method} {place} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def _secrets(request: Request) -> Iterator[str]:
    """Give what was sent and is shown to nobody, even if the other side repeats it."""
    url, proxy = urlsplit(request.url), urlsplit(request.transport.proxy_url)
    given = (request.headers.get("Authorization", ""), *login(url, "").values())
    for credentials in (*given, *login(proxy, "").values()):
        # Parts of a token: Cloud Run takes the signature away before the app sees it.
        yield from credentials.rpartition(" ")[2].split(".")
    yield from request.secrets


def _without(secrets: Iterable[str], text: bytes) -> bytes:
    """Put an asterisk for each byte of a secret; short words are left, as they come by chance."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret.encode(), b"*" * len(secret.encode()))
    return text


def _answer(response: http.client.HTTPResponse, secrets: Iterable[str]) -> Answer:
    headers: dict[str, str] = {}
    for name, given in response.getheaders():
        key, value = name.lower(), _without(secrets, given.encode("latin-1")).decode("latin-1")
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return Answer(response.status, headers)


def _read(response: http.client.HTTPResponse) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := response.read1(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_BODY:
            break
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return b"".join(pieces)


def _decoded(answer: Answer, body: bytes) -> Answer:
    """Add the body; undo gzip, the only Content-Encoding that Prometheus asks for and undoes."""
    if answer.headers.get("content-encoding", "").strip() != "gzip":  # to the letter, as it does
        return replace(answer, body=body)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            return replace(answer, body=file.read(_MAX_INFLATED))
    except (OSError, EOFError, zlib.error) as error:
        why = f"its Content-Encoding is gzip, and it is none: {one_line(error)}"
        return replace(answer, body=body, undecodable=printable(why))
