"""Requests, on kept connections where there are some, and their answers in pieces."""

from __future__ import annotations

import contextlib
import functools
import os
import ssl
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final

import h11
import requests
from requests.utils import get_environ_proxies, select_proxy

from runscrape_proxy.errors import StartError
from runscrape_proxy.files import MEBIBYTE, read_regular
from runscrape_proxy.http_client.connection import EndOfConnection, Origin, Proxy, open_connection
from runscrape_proxy.http_client.errors import BadAnswer, Broken, NoAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from runscrape_proxy.http_client.connection import Connection
    from runscrape_proxy.http_client.deadline import Deadline, Socket

PIECE: Final = 64 * 1024
"""Bytes of a body that are held at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request; ``target`` is path and query. Host and Content-Length are added to it."""

    host: str
    port: int
    tls: bool
    target: str
    headers: Mapping[str, str] = field(repr=False)
    method: str = "GET"
    body: bytes = field(default=b"", repr=False)

    @property
    def authority(self) -> str:
        """What Host says: RFC 9110, section 7.2."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    def for_origin(self, origin: Origin) -> h11.Request:
        """The request as it goes out."""
        fields = [("Host", self.authority), *self.headers.items()]
        if self.body or self.method == "POST":
            fields.append(("Content-Length", str(len(self.body))))
        target = self.target
        if origin.proxy is not None and not origin.tls:  # RFC 9112, section 3.2.2
            target = f"http://{self.authority}{target}"
            if origin.proxy.authorization:
                fields.append(("Proxy-Authorization", origin.proxy.authorization))
        encoded = [(name, value.encode("latin-1")) for name, value in fields]
        return h11.Request(method=self.method, target=target, headers=encoded)  # type: ignore[arg-type]


class Client:
    """Sends requests; keeps at most ``per_host`` idle connections to each of ``hosts`` hosts.

    ``direct`` ignores the proxies of the environment.
    """

    def __init__(
        self, context: ssl.SSLContext, *, per_host: int, hosts: int, direct: bool = False
    ) -> None:
        self._context = context
        self._direct = direct
        self._kept = _Kept(per_host, hosts)
        self._proxy_for = functools.lru_cache(maxsize=16_384)(_proxy_for)

    def close(self) -> None:
        """Close every idle connection."""
        self._kept.close()

    def send(self, request: Request, deadline: Deadline) -> Answer:
        """Send a request and read the head of the answer. Raises CallError."""
        asked = self.ask(request, deadline)
        while True:
            answer = asked.answer(deadline.left)
            if answer is not None:
                return answer

    def ask(self, request: Request, deadline: Deadline) -> Asked:
        """Send a request; the answer is still to come. Raises CallError."""
        proxy = None if self._direct else self._proxy_for(request.authority, tls=request.tls)
        origin = Origin(request.host, request.port, request.tls, proxy)
        return Asked(self, origin, request, deadline)

    def take(self, origin: Origin, deadline: Deadline) -> Connection:
        """Take a kept connection, or open one. Raises CallError."""
        return self._kept.take(origin) or open_connection(origin, self._context, deadline)

    def keep(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection for the next request."""
        self._kept.give(origin, connection)


class Asked:
    """A request that was sent.

    Where a kept connection turns out to be closed before a byte of the answer has come, it is
    replaced, and the request sent again.
    """

    def __init__(
        self, client: Client, origin: Origin, request: Request, deadline: Deadline
    ) -> None:
        self.deadline = deadline
        self._client = client
        self._origin = origin
        self._request = request
        self._send()

    @property
    def sock(self) -> Socket:
        """What can be read once there is something of an answer."""
        return self._connection.sock

    def answer(self, patience: float) -> Answer | None:
        """Read the head of the answer; its body is still to come.

        None if nothing of it comes within ``patience`` seconds. Raises CallError.
        """
        head = None
        try:
            if self._connection.await_head(self.deadline, patience):
                head = self._connection.read_head(self.deadline)
        except h11.RemoteProtocolError as error:
            self.close()
            raise BadAnswer(str(error)) from error
        except OSError as error:
            self._failed(error)
            self._send()
        except BaseException:
            self.close()
            raise
        if head is None:
            return None
        keep = functools.partial(self._client.keep, self._origin, self._connection)
        return Answer(head, self._connection, self.deadline, keep)

    def close(self) -> None:
        """Give up before there is an answer."""
        self.deadline.release()
        self._connection.close()

    def _send(self) -> None:
        request = self._request.for_origin(self._origin)
        while True:
            self._connection = self._client.take(self._origin, self.deadline)
            try:
                self._connection.send(request, self._request.body, self.deadline)
            except OSError as error:
                self._failed(error)
            except BaseException:
                self.close()
                raise
            else:
                return

    def _failed(self, error: OSError) -> None:
        """Raise NoAnswer unless asking again is safe."""
        self.close()
        if not self._connection.reused or self._connection.begun:
            raise NoAnswer(error.strerror or type(error).__name__) from error


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
        self._deadline = deadline
        self._keep = keep
        self._finished = False
        # RFC 9112, section 6.3: such an answer may be an attempt to smuggle another one.
        if self.chunked and (length is not None or head.http_version != b"1.1"):
            self.close()
            raise BadAnswer(
                "both Transfer-Encoding and Content-Length, or HTTP/1.0 with the former"
            )

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
                if len(content) > limit:
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
        while True:
            try:
                event = self._connection.next_event(self._deadline, PIECE)
            except EndOfConnection:
                if self.chunked:
                    raise
                return
            if not isinstance(event, h11.Data):
                return
            yield bytes(event.data)

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


class _Kept:
    """Idle connections; the hosts that were used last are kept."""

    def __init__(self, per_host: int, hosts: int) -> None:
        self._per_host = per_host
        self._hosts = hosts
        self._lock = threading.Lock()
        self._idle: OrderedDict[Origin, list[Connection]] = OrderedDict()

    def take(self, origin: Origin) -> Connection | None:
        """Take the one that was used last; those that were closed meanwhile are dropped."""
        while True:
            with self._lock:
                idle = self._idle.get(origin)
                if not idle:
                    return None
                connection = idle.pop()
                if not idle:
                    del self._idle[origin]
            if not connection.is_stale():
                return connection
            connection.close()

    def close(self) -> None:
        """Close them all."""
        with self._lock:
            idle = [connection for each in self._idle.values() for connection in each]
            self._idle.clear()
        for connection in idle:
            connection.close()

    def give(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection; close those that are too many."""
        with self._lock:
            idle = self._idle.setdefault(origin, [])
            self._idle.move_to_end(origin)
            idle.append(connection)
            surplus = idle[: -self._per_host]
            del idle[: -self._per_host]
            while len(self._idle) > self._hosts:
                surplus += self._idle.popitem(last=False)[1]
        for each in surplus:
            each.close()


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Make the TLS context: the authorities that requests trusts, and those of ``ca_file`` (PEM).

    Raises StartError for a bad ``ca_file``.
    """
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    bundle = bundle or requests.utils.DEFAULT_CA_BUNDLE_PATH
    if Path(bundle).is_dir():
        context = ssl.create_default_context(capath=bundle)
    else:
        context = ssl.create_default_context(cafile=bundle)
    if ca_file is None:
        return context
    try:
        read_regular(ca_file, MEBIBYTE)  # OpenSSL would wait at a pipe
        context.load_verify_locations(cafile=ca_file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StartError(f"--ca-file {ca_file}: {reason}") from None
    return context


def _proxy_for(authority: str, *, tls: bool) -> Proxy | None:
    """The proxy on the way to a host, as requests reads the environment. Raises BadProxy."""
    url = f"{'https' if tls else 'http'}://{authority}"
    proxy = select_proxy(url, get_environ_proxies(url))
    return Proxy.parse(proxy) if proxy else None
