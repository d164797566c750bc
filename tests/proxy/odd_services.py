"""Services behind TLS that misbehave on the wire, reached by CONNECT as through a corporate proxy.

The path says how a service answers: see :data:`SCRIPTS`.
"""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

from tests.kit.authority import Authority
from tests.kit.odd_server import Asked, Connection, OddServer, Script, drips, hangs, sends
from tests.kit.waiting import QUIET

BODY = b"# HELP up Odd.\n# TYPE up gauge\nup 1\n" * 40
LARGE = 1024 * 1024
HUGE = 50
"""Megabytes of /huge."""
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"


class Services(OddServer):
    """Answers for every host, by :data:`SCRIPTS`."""

    def __init__(self, directory: Path, names: tuple[str, ...] = ("*.a.run.app",)) -> None:
        authority = Authority(directory, "odd-ca.pem")
        self.ca_file = authority.file
        self.release = threading.Event()
        """What /held waits for before it answers."""
        context = authority.server(*names)
        super().__init__(SCRIPTS, self._whole, tunnel=context, refuse=_refusal)

    @property
    def proxy_url(self) -> str:
        """For HTTPS_PROXY."""
        return self.url

    def __exit__(self, *_: object) -> None:
        self.release.set()
        super().__exit__()

    @property
    def connections(self) -> Counter[str]:
        """How many tunnels were asked for, by host."""
        return self.tunnels

    @property
    def heads(self) -> list[str]:
        """The head of each request, as it came."""
        return [asked.head for asked in self.asked]

    def last(self) -> dict[str, str]:
        """The header fields of the newest request, names in lower case."""
        return self.asked[-1].headers

    def _whole(self, client: Connection, asked: Asked) -> bool:
        if asked.path.startswith("/held"):
            self.release.wait(20 * QUIET)
        if asked.path == "/held-chunks":
            return SCRIPTS["/chunked"](client, asked)
        client.send(OK + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
        return True


def _refusal(host: str) -> Script | None:
    if host.startswith("unreachable"):
        return sends(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
    return hangs if host.startswith("silent") else None


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _stale(client: Connection, _asked: Asked) -> bool:
    """Answer, and close when the next request is there: no look at the socket shows it before."""
    client.send(OK + b"Content-Length: 2\r\n\r\nok")
    client.read()
    return False


def _resets(client: Connection, _asked: Asked) -> bool:
    client.send(OK + b"Content-Length: %d\r\n\r\n" % (2 * LARGE) + bytes(LARGE))
    client.reset()
    return False


_CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
_TWICE = b"Content-Length: %d\r\n\r\n" % (2 * LARGE)
_ODD_FIELDS = (
    b"Content-Encoding: gzip\r\nX-Odd: kept\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n"
    b"Connection: keep-alive, X-Hop\r\nX-Hop: dropped\r\nKeep-Alive: timeout=5\r\n"
    b"Proxy-Authenticate: Basic\r\nTrailer: X\r\nUpgrade: h2c\r\nServer: odd\r\n"
    b"X-Folded: a\r\n b\r\nX-Bytes: \xe9\r\n"
)

SCRIPTS: dict[str, Script] = {
    "/once": sends(OK + b"Content-Length: 2\r\n\r\nok"),  # and closes, unannounced
    "/chunked": sends(_CHUNKED + _chunk(BODY) + _chunk(b"# EOF\n") + b"0\r\n\r\n", keep=True),
    "/empty": sends(b"HTTP/1.1 204 No Content\r\n\r\n", keep=True),
    "/fields": sends(OK + _ODD_FIELDS + b"Content-Length: 2\r\n\r\nok", keep=True),
    "/moved": sends(
        b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n",
        keep=True,
    ),
    "/refused": sends(
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer\r\n\r\n",
        keep=True,
    ),
    "/unauthorized": sends(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", keep=True),
    "/absent": sends(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", keep=True),
    "/busy": sends(b"HTTP/1.1 503 No\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n", keep=True),
    "/half": sends(OK + b"Content-Length: 200\r\n\r\n" + BODY[:100]),
    "/half-chunked": sends(_CHUNKED + _chunk(BODY)),
    "/half-large": sends(OK + _TWICE + bytes(LARGE)),
    "/half-large-chunked": sends(_CHUNKED + 16 * _chunk(bytes(LARGE // 16))),
    "/cut-in-a-chunk": sends(_CHUNKED + 16 * _chunk(bytes(LARGE // 16)) + b"ffff\r\nabc"),
    "/bad-chunk": sends(_CHUNKED + 16 * _chunk(bytes(LARGE // 16)) + b"zz\r\nabc\r\n0\r\n\r\n"),
    "/large-chunked": sends(_CHUNKED + 32 * _chunk(bytes(LARGE // 16)) + b"0\r\n\r\n", keep=True),
    "/large-extensions": sends(
        _CHUNKED + 32 * (b"1;" + b"x" * (LARGE // 20) + b"\r\n#\r\n") + b"0\r\n\r\n"
    ),
    "/endless-chunk": drips(_CHUNKED + b"-1\r\n", b"x" * LARGE, 0),
    "/odd-chunk": drips(_CHUNKED + b"-ffff\r\n", b"x" * LARGE, 0),
    "/reset": _resets,
    "/nothing": sends(),
    "/garbage": sends(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n"),
    "/endless-head": drips(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "/endless-body": drips(OK + _TWICE, b"x"),
    "/endless-large": drips(OK + _TWICE + bytes(LARGE), b"x"),
    "/hang": hangs,
    "/stale": _stale,
    "/no-length": sends(OK + b"\r\n" + BODY),
    "/early": sends(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
    "/two-lengths": sends(OK + b"Content-Length: 2\r\nContent-Length: 5\r\n\r\nhello"),
    "/both": sends(
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    ),
    "/huge": sends(OK + b"Content-Length: %d\r\n\r\n" % (HUGE * LARGE), *[b"#" * LARGE] * HUGE),
    "/long": sends(OK + b"Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", keep=True),
}
