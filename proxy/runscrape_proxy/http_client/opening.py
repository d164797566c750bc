"""Opening connections: to a host or through a proxy, over TLS."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import h11
from urllib3.util.ssltransport import SSLTransport

from runscrape_proxy.http_client.connection import Connection
from runscrape_proxy.http_client.deadline import Deadline
from runscrape_proxy.http_client.errors import (
    NoAddress,
    NoConnection,
    NoDescriptors,
    ProxyRefused,
    TlsFailed,
    TooManyLookups,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from runscrape_proxy.http_client.deadline import Socket
    from runscrape_proxy.http_client.environment import Proxy
    from runscrape_proxy.http_client.request import Origin

ADDRESS_SHARE: Final = 1 / 3
"""Of the time left, what each address of a host gets, but the last, which gets all of it."""

# A NAT that forgets idle connections would make the next request on one begin with a timeout.
_KEEPALIVE: Final = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 45),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]


_LOOK_SECONDS: Final = 0.1
"""How often it is looked meanwhile whether the call was given up."""

_LOOKUP_PATIENCE: Final = 1.0
"""Seconds to wait where as many names as may be are being looked up: usually one takes far less."""


def open_connection(
    origin: Origin,
    context: ssl.SSLContext,
    deadline: Deadline,
    lookups: threading.BoundedSemaphore,
) -> Connection:
    """Connect, through the proxy if there is one. Raises CallError.

    ``lookups`` bounds the threads that wait for the resolver.
    """
    proxy = origin.proxy
    if proxy is None:
        sock = _connect(origin.host, origin.port, deadline, lookups)
        return Connection(_secure(sock, context, origin.host, deadline) if origin.tls else sock)
    try:
        sock = _connect(proxy.host, proxy.port, deadline, lookups)
        if proxy.tls:
            sock = _secure(sock, context, proxy.host, deadline)
    except (NoAddress, NoConnection, TlsFailed) as error:
        raise ProxyRefused(str(error)) from error
    if origin.tls:
        with _closed_on_error(sock):
            _tunnel(sock, origin, proxy, deadline)
        sock = _secure(sock, context, origin.host, deadline)
    return Connection(sock)


def _connect(
    host: str, port: int, deadline: Deadline, lookups: threading.BoundedSemaphore
) -> Socket:
    """Connect to the first address that answers in its share of the time."""
    patience = Deadline(_LOOKUP_PATIENCE)
    while not lookups.acquire(timeout=_LOOK_SECONDS):
        deadline.check()
        if patience.left <= 0:
            raise TooManyLookups("the resolver (DNS) does not answer")
    try:
        with deadline.uninterrupted():
            candidates = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        _check_descriptors()
        raise NoAddress("it has no address here (DNS)") from error
    finally:
        lookups.release()
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
