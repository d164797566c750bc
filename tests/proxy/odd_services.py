"""Services behind TLS that misbehave on the wire, reached by CONNECT as through a corporate proxy.

The path says how a service answers: see :data:`SCRIPTS`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections import Counter
from typing import TYPE_CHECKING, Self

from emulator.keys import Authority

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BODY = b"# HELP up Odd.\n# TYPE up gauge\nup 1\n" * 40
LARGE = 1024 * 1024
HUGE = 50
"""Megabytes of /huge."""
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"


class Services:
    """Answers for every host. ``heads`` holds the head of each request, as it came."""

    def __init__(self, directory: Path, names: tuple[str, ...] = ("*.a.run.app",)) -> None:
        authority = Authority()
        self.ca_file = directory / "odd-ca.pem"
        self.ca_file.write_text(authority.pem)
        leaf = directory / "odd-leaf.pem"
        leaf.write_text(authority.leaf(names))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(leaf)
        self.heads: list[str] = []
        self.connections: Counter[str] = Counter()
        self.closing = threading.Event()
        self.release = threading.Event()
        """What /held waits for before it answers."""
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def proxy_url(self) -> str:
        """For HTTPS_PROXY."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.release.set()
        _shut(self._listener)
        self._listener.close()
        self.drop()

    @property
    def open(self) -> int:
        """How many connections are there now."""
        with self._lock:
            return len(self._open)

    def drop(self) -> None:
        """End every connection."""
        with self._lock:
            for each in self._open:
                _shut(each)

    def last(self) -> dict[str, str]:
        """The header fields of the newest request, names in lower case."""
        lines = self.heads[-1].split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    def _accept(self) -> None:
        while not self.closing.is_set():
            with contextlib.suppress(OSError):
                client, _ = self._listener.accept()
                threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError, IndexError), plain:
            host = _head(plain).split()[1].partition(":")[0]
            self.connections[host] += 1
            if host.startswith("unreachable"):
                plain.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
                return
            if host.startswith("silent"):
                self.closing.wait(30)
                return
            plain.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            with self._context.wrap_socket(plain, server_side=True) as secure:
                with self._lock:
                    self._open.add(secure)
                try:
                    while self._answer(secure):
                        pass
                finally:
                    with self._lock:
                        self._open.discard(secure)

    def _answer(self, client: ssl.SSLSocket) -> bool:
        """Answer one request; whether the connection goes on."""
        head = _head(client)
        self.heads.append(head)
        path = head.split()[1].partition("?")[0]
        if path == "/held":
            self.release.wait(60)
        return SCRIPTS.get(path, _whole)(client, self.closing)


def _head(client: socket.socket) -> str:
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        piece = client.recv(1)
        if not piece:
            raise ConnectionResetError
        data += piece
    return data.decode("latin-1").removesuffix("\r\n\r\n")


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _whole(client: ssl.SSLSocket, _closing: threading.Event) -> bool:
    client.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
    return True


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _sends(*pieces: bytes, keep: bool = False) -> Callable[[ssl.SSLSocket, threading.Event], bool]:
    def send(client: ssl.SSLSocket, _closing: threading.Event) -> bool:
        for piece in pieces:
            client.sendall(piece)
        return keep

    return send


def _drips(start: bytes, byte: bytes) -> Callable[[ssl.SSLSocket, threading.Event], bool]:
    def drip(client: ssl.SSLSocket, closing: threading.Event) -> bool:
        client.sendall(start)
        while not closing.wait(0.05):
            client.sendall(byte)
        return False

    return drip


def _hangs(client: ssl.SSLSocket, closing: threading.Event) -> bool:
    del client
    closing.wait(30)
    return False


def _stale(client: ssl.SSLSocket, _closing: threading.Event) -> bool:
    """Answer, and close when the next request is there: no look at the socket shows it before."""
    client.sendall(OK + b"Content-Length: 2\r\n\r\nok")
    _head(client)
    return False


def _resets(client: ssl.SSLSocket, _closing: threading.Event) -> bool:
    client.sendall(OK + b"Content-Length: %d\r\n\r\n" % (2 * LARGE) + bytes(LARGE))
    # RST in place of FIN.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    return False


_CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
_TWICE = b"Content-Length: %d\r\n\r\n" % (2 * LARGE)
_ODD_FIELDS = (
    b"Content-Encoding: gzip\r\nX-Odd: kept\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n"
    b"Connection: keep-alive, X-Hop\r\nX-Hop: dropped\r\nKeep-Alive: timeout=5\r\n"
    b"Proxy-Authenticate: Basic\r\nTrailer: X\r\nUpgrade: h2c\r\nServer: odd\r\n"
    b"X-Folded: a\r\n b\r\nX-Bytes: \xe9\r\n"
)

SCRIPTS: dict[str, Callable[[ssl.SSLSocket, threading.Event], bool]] = {
    "/once": _sends(OK + b"Content-Length: 2\r\n\r\nok"),  # and closes, unannounced
    "/chunked": _sends(_CHUNKED + _chunk(BODY) + _chunk(b"# EOF\n") + b"0\r\n\r\n", keep=True),
    "/empty": _sends(b"HTTP/1.1 204 No Content\r\n\r\n", keep=True),
    "/fields": _sends(OK + _ODD_FIELDS + b"Content-Length: 2\r\n\r\nok", keep=True),
    "/moved": _sends(
        b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n",
        keep=True,
    ),
    "/refused": _sends(
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer\r\n\r\n",
        keep=True,
    ),
    "/unauthorized": _sends(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", keep=True),
    "/absent": _sends(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", keep=True),
    "/busy": _sends(b"HTTP/1.1 503 No\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n", keep=True),
    "/half": _sends(OK + b"Content-Length: 200\r\n\r\n" + BODY[:100]),
    "/half-chunked": _sends(_CHUNKED + _chunk(BODY)),
    "/half-large": _sends(OK + _TWICE + bytes(LARGE)),
    "/half-large-chunked": _sends(_CHUNKED + 16 * _chunk(bytes(LARGE // 16))),
    "/cut-in-a-chunk": _sends(_CHUNKED + 16 * _chunk(bytes(LARGE // 16)) + b"ffff\r\nabc"),
    "/bad-chunk": _sends(_CHUNKED + 16 * _chunk(bytes(LARGE // 16)) + b"zz\r\nabc\r\n0\r\n\r\n"),
    "/reset": _resets,
    "/nothing": _sends(),
    "/garbage": _sends(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n"),
    "/endless-head": _drips(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "/endless-body": _drips(OK + _TWICE, b"x"),
    "/endless-large": _drips(OK + _TWICE + bytes(LARGE), b"x"),
    "/hang": _hangs,
    "/stale": _stale,
    "/no-length": _sends(OK + b"\r\n" + BODY),
    "/early": _sends(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
    "/two-lengths": _sends(OK + b"Content-Length: 2\r\nContent-Length: 5\r\n\r\nhello"),
    "/both": _sends(
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    ),
    "/huge": _sends(OK + b"Content-Length: %d\r\n\r\n" % (HUGE * LARGE), *[b"#" * LARGE] * HUGE),
    "/long": _sends(OK + b"Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", keep=True),
}
