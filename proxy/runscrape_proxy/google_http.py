"""How the proxy talks to Google: pooled connections, and one deadline for all that a mint does.

google-auth's own transport waits 120 s for each read, follows redirects with credentials, and
retries with sleeps. This one ends at the deadline even where the answer drips in byte by byte
(requests' timeout starts anew with each byte), follows nothing, and turns whatever is not an
answer of 200 into a MintError, which google-auth passes on untouched: the only retries are those
of :mod:`runscrape_proxy.schedule`.
"""

from __future__ import annotations

import functools
import http.client
import io
import os
import socket
import ssl
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from runscrape_proxy import failures
from runscrape_proxy.errors import MintError

if TYPE_CHECKING:
    from collections.abc import Mapping

_POOL_SIZE: Final = 128  # connections kept per host: more than mint at once
_LARGEST_ANSWER: Final = 1 << 20
_CONNECT_SHARE: Final = 1 / 3  # of the time left, for each address of a host
# A NAT that forgets idle connections would make every renewal begin with a timeout.
_KEEPALIVE: Final = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 45),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]


class GoogleHttp:
    """Connections to Google's issuers.

    ``ca_file`` (PEM) is trusted on top of the usual authorities. ``direct`` ignores the proxies of
    the environment: the metadata server of another machine would answer with its identity.
    Raises OSError or ssl.SSLError for a bad ``ca_file``.
    """

    def __init__(self, *, ca_file: Path | None = None, direct: bool = False) -> None:
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        context = _context(bundle or requests.utils.DEFAULT_CA_BUNDLE_PATH)
        if ca_file is not None:
            context.load_verify_locations(cafile=ca_file)
        self._session = requests.Session()
        self._session.trust_env = not direct
        self._session.auth = _leave_alone
        for prefix in ("https://", "http://"):
            self._session.mount(prefix, _Adapter(context))

    def within(self, seconds: float) -> Request:
        """A transport for google-auth that ends ``seconds`` from now."""
        return self.until(Deadline(seconds))

    def until(self, deadline: Deadline) -> Request:
        """A transport for google-auth that ends at ``deadline``."""
        return Request(self._session, deadline)


class Deadline:
    """A moment ``seconds`` after this was made, by the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until then; negative once it has passed."""
        return self._at - time.monotonic()


class Request:
    """One mint's calls, all within one deadline: a ``google.auth.transport.Request``."""

    def __init__(self, session: requests.Session, deadline: Deadline) -> None:
        self.session = session  # google-auth mounts the metadata server's TLS on it where asked to
        self.deadline = deadline

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002 (google-auth's; the deadline stands over it)
        **kwargs: Any,
    ) -> _Answer:
        """Send one request; raises MintError unless the answer is a 200."""
        left = self.deadline.left
        if left <= 0:
            raise failures.too_slow(url, self.deadline.seconds)
        try:
            answer = self._send(
                method,
                url,
                data=body,
                headers=dict(headers or {}),
                timeout=Timeout(connect=max(0.5, left * _CONNECT_SHARE), total=left),
                **kwargs,
            )
        except (requests.RequestException, HTTPError, OSError) as error:
            raise failures.unreachable(url, error, self.deadline.seconds) from None
        if answer.status != HTTPStatus.OK:
            raise failures.refused(url, answer.status, answer.data)
        return answer

    def _send(self, method: str, url: str, **kwargs: Any) -> _Answer:
        response = self.session.request(method, url, allow_redirects=False, stream=True, **kwargs)
        with response:
            data = response.raw.read(_LARGEST_ANSWER + 1, decode_content=True)
        if len(data) > _LARGEST_ANSWER:
            raise MintError(f"{failures.host_of(url)} sent more than any token answer holds")
        return _Answer(response.status_code, response.headers, data)


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer as google-auth reads it (``google.auth.transport.Response``)."""

    status: int
    headers: Mapping[str, str]
    data: bytes = field(repr=False)


def _leave_alone(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from putting a password out of ~/.netrc in the place of our header."""
    return request


def _context(bundle: str) -> ssl.SSLContext:
    if Path(bundle).is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)


class _Reader(io.RawIOBase):
    """Reads a socket until a deadline, however little comes at a time."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)  # keeps the socket open until closed
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer that has to be complete ``seconds`` after it was begun to be read."""

    def __init__(self, sock: Any, *args: Any, seconds: float | None, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        if seconds is not None:
            self.fp.close()
            self.fp = io.BufferedReader(_Reader(sock, time.monotonic() + seconds))


class _DeadlineConnection(HTTPConnection):
    """Arms its answers, those of a CONNECT proxy included, with the time that is left."""

    def connect(self) -> None:
        self._arm()
        super().connect()

    def getresponse(self) -> Any:
        self._arm()
        return super().getresponse()

    def _arm(self) -> None:
        # urllib3 sets ``timeout`` to what is left of the total before each step.
        seconds = self.timeout if isinstance(self.timeout, (int, float)) else None
        self.response_class = functools.partial(_Response, seconds=seconds)  # type: ignore[assignment]


class _DeadlineHttpsConnection(_DeadlineConnection, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _DeadlineConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _DeadlineHttpsConnection


class _Adapter(HTTPAdapter):
    """requests' adapter with our connections and one TLS context, read from disk once."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_maxsize=_POOL_SIZE)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        options = HTTPConnection.default_socket_options + _KEEPALIVE
        super().init_poolmanager(*args, ssl_context=self._context, socket_options=options, **kwargs)
        self._use_our_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
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
        # Always verified, against the context's authorities alone.
        return super().build_connection_pool_key_attributes(request, True, cert)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing to do: the context knows the authorities, the pool's key the certificate."""

    @staticmethod
    def _use_our_pools(manager: Any) -> None:
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _HttpsPool}
