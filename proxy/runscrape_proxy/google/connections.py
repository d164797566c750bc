"""Outgoing connections with one deadline for all that a request does.

A timeout of requests, urllib3 or a socket starts anew with each byte and with each address of a
host, so that an answer that drips in, or a host with many dead addresses, takes as long as it
likes. These connections end at the deadline: over resolved addresses, TLS, a proxy's CONNECT,
head and body. (Only the resolver itself cannot be interrupted.)
"""

from __future__ import annotations

import functools
import http.client
import io
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from runscrape_proxy.http_client import Deadline, trust

__all__ = ["Adapter", "Deadline", "StaleConnectionError", "trust"]

if TYPE_CHECKING:
    from collections.abc import Iterator

_ADDRESS_SHARE: Final = 1 / 3  # of the time left, for each address of a host but the last
# A NAT that forgets idle connections would make every renewal begin with a timeout.
_KEEPALIVE: Final = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 45),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]


class StaleConnectionError(ConnectionResetError):
    """A kept connection turned out to be dead before a byte of an answer came: ask again."""


class NoAnswerError(ConnectionResetError):
    """The other end took the request and closed the connection.

    urllib3 on its own would blame a proxy on the way, also where its tunnel was there already.
    """


class Adapter(HTTPAdapter):
    """requests' adapter with our connections and one TLS context, read from disk once.

    It keeps at most ``per_host`` idle connections to each of at most ``hosts`` hosts.
    """

    def __init__(self, context: ssl.SSLContext, *, per_host: int, hosts: int = 10) -> None:
        self._context = context
        self._lock = threading.Lock()
        super().__init__(pool_connections=hosts, pool_maxsize=per_host)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the manager of direct connections."""
        options = HTTPConnection.default_socket_options + _KEEPALIVE
        super().init_poolmanager(*args, ssl_context=self._context, socket_options=options, **kwargs)
        self._use_our_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the manager of the connections through ``proxy``, the same one each time."""
        with self._lock:
            known = proxy in self.proxy_manager
            manager = super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)
            if not known:
                self._use_our_pools(manager)
        return manager

    def build_connection_pool_key_attributes(
        self,
        request: requests.PreparedRequest,
        verify: bool | str | None,  # noqa: ARG002, FBT001 (requests' own signature)
        cert: Any = None,
    ) -> Any:
        """Have it always verified, against the context's authorities alone."""
        return super().build_connection_pool_key_attributes(request, True, cert)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing to do: the context knows the authorities, the pool's key the certificate."""

    @staticmethod
    def _use_our_pools(manager: Any) -> None:
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _HttpsPool}


class _Reader(io.RawIOBase):
    """Reads a socket until a deadline, however little comes at a time."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)  # keeps the socket open until closed
        self._deadline = deadline
        self.begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline.left
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        count: int | None = self._raw.readinto(buffer)
        self.begun = self.begun or bool(count)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer that has to be complete by the deadline of the connection it comes on."""

    def __init__(
        self, sock: Any, *args: Any, connection: _DeadlineConnection, **kwargs: Any
    ) -> None:
        super().__init__(sock, *args, **kwargs)
        # urllib3 sets ``timeout`` to what is left of the total before each step.
        if isinstance(connection.timeout, (int, float)):
            self.fp.close()
            connection.reader = _Reader(sock, Deadline(connection.timeout))
            self.fp = io.BufferedReader(connection.reader)


class _DeadlineConnection(HTTPConnection):
    """Arms its answers, those of a CONNECT proxy included, with the time that is left."""

    reader: _Reader | None = None
    answers = 0
    """How many came on the connection as it is now."""

    def connect(self) -> None:
        self.answers = 0
        self._arm()
        super().connect()

    def request(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().request(*args, **kwargs)
        except OSError as error:
            if self.answers and not isinstance(error, TimeoutError):
                raise StaleConnectionError("a kept connection was closed") from error
            raise

    def getresponse(self) -> Any:
        self._arm()
        try:
            answer = super().getresponse()
        except ConnectionError as error:
            if self.answers and not (self.reader and self.reader.begun):
                raise StaleConnectionError("a kept connection was closed") from error
            raise NoAnswerError("the connection was closed") from error
        self.answers += 1
        return answer

    def _arm(self) -> None:
        self.response_class = functools.partial(_Response, connection=self)  # type: ignore[assignment]

    def _new_conn(self) -> socket.socket:
        if not isinstance(self.timeout, (int, float)):
            return super()._new_conn()
        deadline = Deadline(self.timeout)
        try:
            opened = _connected(self._candidates(), deadline)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"Connection to {self.host} timed out.") from error
        except OSError as error:
            raise NewConnectionError(self, f"Failed to connect: {error}") from error
        for option in self.socket_options or ():
            opened.setsockopt(*option)
        opened.settimeout(max(deadline.left, 0.001))  # for TLS; 0 would mean not to block
        return opened

    def _candidates(self) -> list[Any]:
        return socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)


def _connected(candidates: list[Any], deadline: Deadline) -> socket.socket:
    """Connect to the first address that answers. Raises the last one's OSError."""
    failed: OSError = TimeoutError("timed out")
    for (family, kind, protocol, _, address), seconds in _shared_out(candidates, deadline):
        opened = socket.socket(family, kind, protocol)
        try:
            opened.settimeout(seconds)
            opened.connect(address)
        except OSError as error:
            opened.close()
            failed = error
        else:
            return opened
    raise failed


def _shared_out(candidates: list[Any], deadline: Deadline) -> Iterator[tuple[Any, float]]:
    """Each candidate with the seconds that it may take, while there are any."""
    for number, candidate in enumerate(candidates, 1):
        left = deadline.left
        if left <= 0:
            return
        yield candidate, left if number == len(candidates) else left * _ADDRESS_SHARE


class _DeadlineHttpsConnection(_DeadlineConnection, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _DeadlineConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _DeadlineHttpsConnection
