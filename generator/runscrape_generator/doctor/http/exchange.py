"""One HTTP request, step by step, as Prometheus' client makes it: every step has its time.

No redirect is followed and no connection is kept. The deadline holds for the whole of it, whatever
the other side does; only the resolver of the operating system cannot be cut short.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from runscrape_generator.doctor.evidence import Answer, Exchange, Failed, Failure, Stage, Step
from runscrape_generator.doctor.http.failures import classified
from runscrape_generator.doctor.http.inflate import inflated
from runscrape_generator.doctor.targets import Way
from runscrape_generator.text import one_line, printable

MAX_BODY = 128 * 1024 * 1024
"""Bytes of a body that are read; Prometheus itself has no limit unless the job says one."""
_PIECE = 64 * 1024
_MOMENT = 0.5
"""Seconds for the rest of a refusal, which usually comes with its head."""
_PORTS = {"http": 80, "https": 443}


class StepFailedError(Exception):
    """A step that failed, as :class:`Failure` tells it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be sent."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    way: Way = field(default_factory=Way)


def exchange(request: Request, seconds: float) -> Exchange:
    """Make a request that may take ``seconds`` as a whole; every failure is in the result."""
    course = _Course(time.monotonic() + seconds)
    began, now = time.monotonic(), time.time()
    answer: Answer | None = None
    failure: Failure | None = None
    connection: socket.socket | None = None
    try:
        connection = _connect(request, course)
        response = _ask(request, connection, course)
        answer = _answer(response)
        body = course.step(Stage.BODY, lambda: _read(response), _size)
        answer = Answer(answer.status, answer.headers, inflated(answer, body))
    except StepFailedError as error:
        failure = error.failure
    finally:
        if connection is not None:
            connection.close()
    took = time.monotonic() - began
    return Exchange(request.url, tuple(course.steps), answer, failure, took, now)


class _Course:
    """The steps so far, and the time that is left."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.steps: list[Step] = []

    @property
    def left(self) -> float:
        return max(self.until - time.monotonic(), 0.001)

    def step(self, stage: Stage, take: Callable[[], Any], tell: Callable[[Any], str]) -> Any:
        """Take a step and note what it showed. Raises StepFailedError."""
        began = time.monotonic()
        try:
            result = take()
        except (OSError, ValueError, http.client.HTTPException) as error:
            failure = classified(stage, error)
            self.steps.append(Step(stage, time.monotonic() - began, failure.reason))
            raise StepFailedError(failure) from error
        self.steps.append(Step(stage, time.monotonic() - began, tell(result)))
        return result


def _connect(request: Request, course: _Course) -> socket.socket:
    """Connect to the server, or to the HTTP proxy before it, and start TLS where it is https."""
    url = urlsplit(request.url)
    proxy = urlsplit(request.way.proxy_url) if request.way.proxy_url else None
    first = proxy or url
    host, port = first.hostname or "", first.port or _PORTS.get(first.scheme, 80)
    addresses = course.step(
        Stage.DNS,
        lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
        lambda found: ", ".join(dict.fromkeys(str(each[4][0]) for each in found)),
    )
    connection: socket.socket = course.step(
        Stage.CONNECTION,
        lambda: _open(addresses, course),
        lambda made: "{}:{}".format(*made.getpeername()[:2]),
    )
    try:
        if proxy is not None and proxy.scheme == "https":
            connection = _secured(connection, host, Way(ca_file=request.way.ca_file), course)
        if url.scheme == "https":
            if proxy is not None:
                _tunnel(connection, url, proxy, course)
            connection = _secured(connection, url.hostname or "", request.way, course)
    except StepFailedError:
        connection.close()
        raise
    return connection


def _open(addresses: list[Any], course: _Course) -> socket.socket:
    """Connect to the first address that answers; the last error counts if none does."""
    problem: OSError = OSError("no address")
    for family, kind, protocol, _, address in addresses:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(course.left)
            connection.connect(address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            connection.close()
            problem = error
        else:
            return connection
    raise problem


def _tunnel(
    connection: socket.socket, url: SplitResult, proxy: SplitResult, course: _Course
) -> None:
    """Ask an HTTP proxy for a connection to the server (RFC 9110, section 9.3.6)."""
    authority = f"{url.netloc}" if url.port else f"{url.netloc}:443"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    lines += [f"{name}: {value}" for name, value in proxy_authorization(proxy).items()]

    def ask() -> str:
        connection.settimeout(course.left)
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _PIECE:
            connection.settimeout(course.left)
            if not (more := connection.recv(1)):  # not a byte of what comes after
                raise http.client.RemoteDisconnected("the HTTP proxy closed the connection")
            head += more
        return head.split(b"\r\n", 1)[0].decode("latin-1")

    said = course.step(Stage.TUNNEL, ask, lambda line: line)
    if said.split()[1:2] != ["200"]:
        why = " ".join(filter(None, (said, _rest(connection))))
        raise StepFailedError(Failure(Stage.TUNNEL, Failed.REFUSED_BY_PROXY, printable(why)))


def _rest(connection: socket.socket) -> str:
    """Read what a refusal says beside its status, if that has come: for people, on one line."""
    try:
        connection.settimeout(_MOMENT)
        text = connection.recv(_PIECE).decode("utf-8", "replace")
    except OSError:
        return ""
    return "" if text.lstrip().startswith("<") else one_line(Exception(text), 200)


def proxy_authorization(proxy: SplitResult) -> dict[str, str]:
    """Give the header for the user and password of a proxy's URL; none where it has none."""
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + b64encode(pair.encode()).decode()}


def _secured(connection: socket.socket, host: str, way: Way, course: _Course) -> ssl.SSLSocket:
    def start() -> ssl.SSLSocket:
        connection.settimeout(course.left)
        context = _context(way)
        return context.wrap_socket(connection, server_hostname=way.server_name or host)

    secured: ssl.SSLSocket = course.step(Stage.TLS, start, _certificate)
    return secured


def _context(way: Way) -> ssl.SSLContext:
    """Trust what ``tls_config`` says in place of the system's authorities, as Prometheus does."""
    ca_file = str(way.ca_file) if way.ca_file is not None and way.ca_file.is_file() else None
    context = ssl.create_default_context(cafile=ca_file, cadata=way.ca or None)
    if way.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if way.cert_file is not None:
        context.load_cert_chain(way.cert_file, way.key_file)
    return context


def _certificate(connection: ssl.SSLSocket) -> str:
    """Say which TLS was made, and with whose certificate."""
    found: Any = connection.getpeercert() or {}
    names = {name: value for part in found.get("issuer", ()) for name, value in part}
    issuer = names.get("organizationName") or names.get("commonName")
    by = f", certificate by {issuer}, valid until {found['notAfter']}" if issuer else ""
    return f"{connection.version()}{by}"


class _Timed(io.RawIOBase):
    """A connection's bytes, none of them later than the deadline."""

    def __init__(self, connection: socket.socket, course: _Course) -> None:
        self._connection = connection
        self._course = course

    def readable(self) -> bool:
        """Say so to io.BufferedReader."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read what there is. Raises TimeoutError at the deadline."""
        if time.monotonic() >= self._course.until:
            raise TimeoutError("timed out")
        self._connection.settimeout(self._course.left)
        return self._connection.recv_into(buffer)


class _Socket:
    """What http.client wants of a socket to read an answer from."""

    def __init__(self, connection: socket.socket, course: _Course) -> None:
        self._connection = connection
        self._course = course

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Give the connection's bytes."""
        return io.BufferedReader(_Timed(self._connection, self._course))


def _ask(request: Request, connection: socket.socket, course: _Course) -> http.client.HTTPResponse:
    def ask() -> http.client.HTTPResponse:
        connection.settimeout(course.left)
        connection.sendall(_head(request) + (request.body or b""))
        response = http.client.HTTPResponse(_Socket(connection, course))  # type: ignore[arg-type]
        response.begin()
        return response

    response: http.client.HTTPResponse = course.step(
        Stage.ANSWER, ask, lambda made: f"{made.status} {made.reason}".strip()
    )
    return response


def _head(request: Request) -> bytes:
    url = urlsplit(request.url)
    place = (url.path or "/") + (f"?{url.query}" if url.query else "")
    headers = {"Host": url.netloc.rpartition("@")[2], **request.headers, "Connection": "close"}
    if request.way.proxy_url and url.scheme == "http":
        place = f"http://{url.netloc}{place}"
        headers |= proxy_authorization(urlsplit(request.way.proxy_url))
    if request.body is not None:
        headers["Content-Length"] = str(len(request.body))
    lines = [f"{request.method} {place} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def _answer(response: http.client.HTTPResponse) -> Answer:
    headers: dict[str, str] = {}
    for name, value in response.getheaders():
        key = name.lower()
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


def _size(body: bytes) -> str:
    return f"{len(body)} bytes"
