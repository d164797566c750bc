"""Connections: to a host or through a proxy, over TLS, and one request at a time on them."""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import resource
import socket
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import h11
from urllib3.util import wait_for_read
from urllib3.util.ssltransport import SSLTransport

from runscrape_proxy.http_client.errors import (
    BadProxy,
    NoAddress,
    NoConnection,
    NoDescriptors,
    ProxyRefused,
    TlsFailed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscrape_proxy.http_client.deadline import Deadline, Socket

ADDRESS_SHARE: Final = 1 / 3
"""Of the time left, what each address of a host gets, but the last, which gets all of it."""

MAX_HEAD: Final = 64 * 1024
"""Bytes that an answer's head, the line of a chunk, or trailers may have."""

MAX_INTERIM: Final = 8
"""Answers such as 100 Continue and 103 Early Hints that may come before the real one."""

READ_HEAD: Final = 16 * 1024
"""Bytes that are read at once once there is something of a head: as many as a TLS record has."""

# A NAT that forgets idle connections would make the next request on one begin with a timeout.
_KEEPALIVE: Final = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 45),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy on the way."""

    host: str
    port: int
    tls: bool
    authorization: str = ""
    """What it gets as Proxy-Authorization."""

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Read ``[http[s]://][USER:PASSWORD@]HOST[:PORT]``. Raises BadProxy without quoting it."""
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port
        except ValueError:
            raise BadProxy(_BAD_PROXY) from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise BadProxy(_BAD_PROXY)
        tls = parts.scheme == "https"
        pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        basic = f"Basic {base64.b64encode(pair.encode()).decode()}" if pair != ":" else ""
        return cls(parts.hostname, port or (443 if tls else 80), tls, basic)


_BAD_PROXY: Final = "HTTPS_PROXY must name a proxy as http://HOST:PORT or https://HOST:PORT"


@dataclass(frozen=True, slots=True)
class Origin:
    """Whom a connection is to: requests to the same one can share it."""

    host: str
    port: int
    tls: bool
    proxy: Proxy | None = None


class EndOfConnection(ConnectionResetError):
    """The other side has closed the connection, in good order."""


class Connection:
    """An open connection; one request at a time."""

    __slots__ = ("_http", "_more", "begun", "reused", "sock")

    def __init__(self, sock: Socket) -> None:
        self.sock = sock
        self.reused = False
        """Whether it has brought an answer before."""
        self.begun = False
        """Whether a byte of the answer that is awaited has come."""
        self._http = h11.Connection(h11.CLIENT, MAX_HEAD)
        self._more = False

    def send(self, request: h11.Request, body: bytes, deadline: Deadline) -> None:
        """Send a request. Raises OSError and CallError."""
        self.begun = False
        self._http = h11.Connection(h11.CLIENT, MAX_HEAD)
        data = self._http.send(request) or b""
        if body:
            data += self._http.send(h11.Data(data=body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        with deadline.over(self.sock):
            self.sock.sendall(data)

    def await_head(self, deadline: Deadline, patience: float) -> bool:
        """Wait for the first of an answer; False if none comes within ``patience`` seconds.

        No buffer is held meanwhile. Raises OSError and CallError.
        """
        while self._can_be_read(deadline, patience):
            self.sock.settimeout(0)
            try:
                data: bytes = self.sock.recv(READ_HEAD)  # type: ignore[assignment]  # as below
            except (BlockingIOError, ssl.SSLWantReadError):  # TLS's own, such as session tickets
                continue
            if not data:
                raise _closed()
            self.begun = True
            self._http.receive_data(data)
            return True
        return False

    def _can_be_read(self, deadline: Deadline, patience: float) -> bool:
        if isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
            return True
        with deadline.over(self.sock):
            timeout = max(0.0, min(patience, deadline.left))
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
                event = self.next_event(deadline, READ_HEAD)
            except ConnectionError as error:
                if status:
                    raise h11.RemoteProtocolError(f"answered {status}, and no more") from error
                raise
            if isinstance(event, h11.Response):
                return event
            if isinstance(event, h11.InformationalResponse):
                status = event.status_code
        raise h11.RemoteProtocolError(f"answered {status}, again and again")

    def next_event(self, deadline: Deadline, size: int) -> h11.Event:
        """Read what comes next, up to ``size`` bytes at once; raises as :meth:`read_head`."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(self.read(deadline, size))
        if isinstance(event, type):  # h11.PAUSED: more than was asked for
            raise h11.RemoteProtocolError("more came than one answer")
        return event

    def read(self, deadline: Deadline, size: int) -> bytes:
        """Read bytes as they are, at least one. Raises OSError and CallError."""
        with deadline.over(self.sock):
            data: bytes = self.sock.recv(size)  # type: ignore[assignment]  # SSLTransport: or int
            if not data:
                raise _closed()
        self.begun = True
        return data

    def fill(self, piece: bytes, size: int, deadline: Deadline) -> bytes:
        """Read on until a piece has ``size`` bytes; raises as :meth:`read`.

        TLS gives 16 KiB at most; what a piece costs further on does not depend on its size.
        """
        parts, left = [piece], size - len(piece)
        with deadline.over(self.sock):
            while left > 0:
                data: bytes = self.sock.recv(left)  # type: ignore[assignment]  # as above
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


def open_connection(origin: Origin, context: ssl.SSLContext, deadline: Deadline) -> Connection:
    """Connect, through the proxy if there is one. Raises CallError."""
    proxy = origin.proxy
    if proxy is None:
        sock = _connect(origin.host, origin.port, deadline)
        return Connection(_secure(sock, context, origin.host, deadline) if origin.tls else sock)
    try:
        sock = _connect(proxy.host, proxy.port, deadline)
        if proxy.tls:
            sock = _secure(sock, context, proxy.host, deadline)
    except (NoAddress, NoConnection, TlsFailed) as error:
        raise ProxyRefused(str(error)) from error
    if origin.tls:
        with _closed_on_error(sock):
            _tunnel(sock, origin, proxy, deadline)
        sock = _secure(sock, context, origin.host, deadline)
    return Connection(sock)


def _connect(host: str, port: int, deadline: Deadline) -> Socket:
    """Connect to the first address that answers in its share of the time."""
    try:
        candidates = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        _check_descriptors()
        raise NoAddress("it has no address here (DNS)") from error
    failed: OSError = TimeoutError()
    for number, (family, kind, protocol, _, address) in enumerate(candidates, 1):
        share = 1 if number == len(candidates) else ADDRESS_SHARE
        try:
            return _connected(socket.socket(family, kind, protocol), address, deadline, share)
        except OSError as error:
            failed = error
    _check_descriptors()
    raise NoConnection(failed.strerror or "it did not answer") from failed


def _connected(
    sock: socket.socket, address: Any, deadline: Deadline, share: float
) -> socket.socket:
    with _closed_on_error(sock), deadline.over(sock, share):
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in _KEEPALIVE:
            sock.setsockopt(*option)
    return sock


def _secure(sock: Socket, context: ssl.SSLContext, host: str, deadline: Deadline) -> Socket:
    try:
        with _closed_on_error(sock), deadline.over(sock):
            if isinstance(sock, socket.socket) and not isinstance(sock, ssl.SSLSocket):
                return context.wrap_socket(sock, server_hostname=host)
            return SSLTransport(sock, context, host)  # type: ignore[arg-type]  # TLS within a proxy's
    except ssl.SSLCertVerificationError as error:
        raise TlsFailed(error.verify_message) from error
    except OSError as error:
        raise TlsFailed(error.strerror or type(error).__name__) from error


def _tunnel(sock: Socket, origin: Origin, proxy: Proxy, deadline: Deadline) -> None:
    """Have the proxy connect us to the origin: RFC 9110, section 9.3.6."""
    target = f"{origin.host}:{origin.port}"
    fields = [("Host", target)]
    if proxy.authorization:
        fields.append(("Proxy-Authorization", proxy.authorization))
    connection = Connection(sock)
    try:
        connection.send(h11.Request(method="CONNECT", target=target, headers=fields), b"", deadline)
        answer = connection.read_head(deadline)
    except h11.RemoteProtocolError as error:
        raise ProxyRefused("it did not answer as HTTP has it") from error
    except OSError as error:
        raise ProxyRefused(error.strerror or type(error).__name__) from error
    if not HTTPStatus.OK <= answer.status_code < HTTPStatus.MULTIPLE_CHOICES:
        raise ProxyRefused(f"status {answer.status_code}")


def _check_descriptors() -> None:
    """Raise NoDescriptors if this process, or the machine, has no file descriptor left."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        whose = {
            errno.EMFILE: f"the limit of this process, {limit} (ulimit -n), is reached",
            errno.ENFILE: "the limit of the machine (fs.file-max) is reached",
        }
        raise NoDescriptors(
            f"no file descriptor is left: {whose.get(error.errno or 0, error.strerror)}"
        ) from None


@contextlib.contextmanager
def _closed_on_error(sock: Socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        sock.close()
        raise
