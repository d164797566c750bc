"""The standard library's HTTP server, taught to misbehave and to stop at once.

One thread a connection. On request an answer is dripped, cut, dropped, or never comes; CONNECT
opens a tunnel with TLS inside; nobody may be listening for a while.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from emulator.wire import Answer, Handler, Hang, Request, Response, Tunnel

_LOG = logging.getLogger("emulator")
_NO_BODY = (204, 304)
_MAX_BODY = 4 * 1024 * 1024
_FOREVER = 3600.0


class Server(ThreadingMixIn, TCPServer):
    """Listens on 127.0.0.1 and answers with *handler*; ``Date`` headers follow *clock*.

    *take_over*, where given, sees each new connection and may keep it (it returns True): the API
    server hands HTTP/2 to gRPC that way.
    """

    allow_reuse_address = True
    request_queue_size = 4096
    daemon_threads = False  # so that closing waits for them

    def __init__(
        self,
        handler: Handler,
        port: int = 0,
        *,
        listening: bool = True,
        closing: threading.Event | None = None,
        clock: Callable[[], float] = time.time,
        take_over: Callable[[socket.socket], bool] | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", port), _Connection, bind_and_activate=False)
        self.handler = handler
        self.clock = clock
        self.take_over = take_over
        self.closing = closing or threading.Event()
        self._loop: threading.Thread | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.server_bind()  # bound and not listening: nobody else takes the port
        self.listen(on=listening)

    @property
    def address(self) -> str:
        """``127.0.0.1:PORT``."""
        return f"127.0.0.1:{self.server_address[1]}"

    def listen(self, *, on: bool) -> None:
        """Start or stop to listen; a client then meets a refused connection. The port is kept."""
        if on and self._loop is None:
            self.server_activate()
            self._loop = threading.Thread(target=self.serve_forever, args=(_FOREVER,), daemon=True)
            self._loop.start()
        elif not on and self._loop is not None:
            self._stop()
            self.socket.close()
            self.socket = socket.socket(self.address_family, self.socket_type)
            self.server_bind()

    def close(self) -> None:
        """Stop, end every connection, wait for the threads."""
        self.closing.set()
        self._stop()
        self.server_close()

    def _stop(self) -> None:
        if self._loop is not None:
            _shut(self.socket)  # wakes serve_forever(), which shutdown() alone does not
            self.shutdown()
            self._loop.join()
            self._loop = None
        with self._lock:
            connections = list(self._open)
        for sock in connections:
            _shut(sock)

    def server_bind(self) -> None:
        """Bind, to the same port again after a pause."""
        try:
            super().server_bind()
        except OSError:
            self.socket.close()
            raise

    def watch(self, sock: socket.socket) -> None:
        """Have close() shut *sock* down."""
        with self._lock:
            self._open.add(sock)
        if self.closing.is_set():
            _shut(sock)

    def forget(self, sock: socket.socket) -> None:
        """Close *sock*."""
        with self._lock:
            self._open.discard(sock)
        sock.close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a connection."""
        self.watch(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        _shut(request)
        self.forget(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that broke, as many do here on purpose."""
        del request, client_address


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"  # else an unreadable request is answered without a head
    disable_nagle_algorithm = True
    server: Server

    def handle(self) -> None:
        self.answer = self.server.handler
        if not (self.server.take_over and self.server.take_over(self.connection)):
            super().handle()

    def handle_one_request(self) -> None:
        super().handle_one_request()
        if self.server.closing.is_set():
            self.close_connection = True

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        self.server.forget(self.connection)  # inside a tunnel another one than the server's

    def _respond(self) -> None:
        request = self._request()
        answer = Response(400, close=True) if request is None else _answered(self.answer, request)
        if isinstance(answer, Tunnel):
            self._enter(answer)
        elif isinstance(answer, Response):
            self._send(answer)
        else:
            if isinstance(answer, Hang):
                self._wait_for_end()
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _respond  # noqa: N815
    do_PATCH = do_CONNECT = _respond  # noqa: N815

    def _request(self) -> Request | None:
        names = [name.lower() for name in self.headers]
        headers = {name.lower(): value for name, value in self.headers.items()}
        length = headers.get("content-length", "0")
        if self.headers.defects or "transfer-encoding" in headers:
            return None
        if not length.isdecimal() or int(length) > _MAX_BODY:
            return None
        body = self.rfile.read(int(length))
        repeated = frozenset(name for name in names if names.count(name) > 1)
        return Request(self.command, self.path, headers, body, repeated)

    def _send(self, answer: Response) -> None:
        pieces, framing = _framed(answer)
        self.send_response_only(answer.status, _words(answer.status))
        for name, value in (*answer.headers, *framing):
            self.send_header(name, value)
        self.send_header("Date", formatdate(self.server.clock(), usegmt=True))
        if answer.close or self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.flush()
        if self.command == "HEAD" or answer.status in _NO_BODY:
            return
        if answer.drip:
            self._drip(b"".join(pieces))
        elif answer.cut:
            whole = b"".join(pieces)
            self.connection.sendall(whole[: len(whole) // 2])
            self.close_connection = True
        else:
            for piece in pieces:
                self.connection.sendall(piece)

    def _drip(self, whole: bytes) -> None:
        for n in range(len(whole)):
            if self.server.closing.wait(1.0):
                self.close_connection = True
                return
            self.connection.sendall(whole[n : n + 1])

    def _enter(self, tunnel: Tunnel) -> None:
        """Speak TLS from here on, with the tunnel's own handler."""
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        plain = self.connection
        # wrap_socket() takes the file descriptor over, so the plain object must be forgotten first.
        secure = tunnel.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self.server.forget(plain)
        self.server.watch(secure)
        self.connection = secure
        secure.do_handshake()
        if tunnel.http2 and secure.selected_alpn_protocol() == "h2":
            tunnel.http2(secure)
            self.close_connection = True
            return
        self.rfile = secure.makefile("rb")
        self.wfile = secure.makefile("wb")
        self.answer = tunnel.handler
        self.close_connection = False  # though http.client says CONNECT in HTTP/1.0

    def _wait_for_end(self) -> None:
        poll = select.poll()  # close() shuts the socket down, which wakes this too
        poll.register(self.connection.fileno(), select.POLLIN | select.POLLHUP)
        while not self.server.closing.is_set():
            if poll.poll(5000) and not self._more():
                return
            self.server.closing.wait(0.25)

    def _more(self) -> bool:
        """Whether the client has sent something, other than its goodbye."""
        if isinstance(self.connection, ssl.SSLSocket):
            return False  # a client that waits for an answer sends nothing else
        return bool(self.connection.recv(1, socket.MSG_PEEK))

    def log_message(self, *_: object) -> None:
        """Say nothing; the counts tell."""


def _answered(handler: Handler, request: Request) -> Answer:
    try:
        return handler(request)
    except Exception:  # noqa: BLE001 # a bug of the emulator: shown, and no thread lost over it
        _LOG.exception("%s %s", request.method, request.target.partition("?")[0])
        return Response(500, b"emulator bug\n", close=True)


def _framed(answer: Response) -> tuple[Iterable[bytes], list[tuple[str, str]]]:
    """Give the body's pieces and the headers that frame them."""
    if isinstance(answer.body, bytes):
        return (answer.body,), [("Content-Length", str(len(answer.body)))]
    if answer.length is not None:
        return answer.body, [("Content-Length", str(answer.length))]
    return _chunked(answer.body), [("Transfer-Encoding", "chunked")]


def _chunked(pieces: Iterable[bytes]) -> Iterable[bytes]:
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def _words(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Odd"


def _shut(sock: socket.socket) -> None:
    """Shut down for both sides, waking whoever reads (not through SSLSocket, which would race)."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
