"""A small threaded HTTP/1.1 server: one thread a connection, keep-alive, able to misbehave.

The standard library's server cannot do what is needed here: answer CONNECT, drip a body, hang until
the client goes, drop a connection half way, stop within milliseconds while a thousand connections
are open.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from emulator.wire import (
    Answer,
    BadRequestError,
    Drop,
    Handler,
    Hang,
    Request,
    Response,
    Tunnel,
    framed,
    read_request,
)

_LOG = logging.getLogger("emulator")
_NO_BODY = (204, 304)
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass
class Server:
    """Listens on 127.0.0.1 and answers with *handler*.

    ``first_bytes``, where given, sees each new connection and may take it over (it returns True):
    the API server hands HTTP/2 to gRPC that way.
    """

    handler: Handler
    port: int = 0
    listening: bool = True
    first_bytes: Callable[[socket.socket], bool] | None = None
    closing: threading.Event = field(default_factory=threading.Event)
    _open: dict[int, socket.socket] = field(default_factory=dict, init=False)
    _threads: set[threading.Thread] = field(default_factory=set, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _listener: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self._bind()
        if self.listening:
            self._listen()

    @property
    def address(self) -> str:
        """``127.0.0.1:PORT``."""
        return f"127.0.0.1:{self.port}"

    def listen(self, *, on: bool) -> None:
        """Start or stop to listen; a client then meets a refused connection. The port is kept."""
        if on == self.listening:
            return
        self.listening = on
        if on:
            self._listen()
        else:
            self._stop_listening()
            self._drop_connections()
            self._bind()

    def close(self) -> None:
        """Stop, end every connection, wait for the threads."""
        self.closing.set()
        self._stop_listening()
        self._drop_connections()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(timeout=5)

    def spawn(self, target: Callable[[], None]) -> None:
        """Run *target* in a thread that close() waits for."""

        def run() -> None:
            try:
                target()
            finally:
                with self._lock:
                    self._threads.discard(thread)

        thread = threading.Thread(target=run, daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def watch(self, sock: socket.socket) -> None:
        """Have close() shut *sock* down."""
        with self._lock:
            self._open[id(sock)] = sock
        if self.closing.is_set():
            _shut(sock)

    def forget(self, sock: socket.socket) -> None:
        """Close *sock*."""
        with self._lock:
            self._open.pop(id(sock), None)
        sock.close()

    def _bind(self) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind(("127.0.0.1", self.port))  # bound, not listening: nobody takes it
        except OSError:
            self._listener.close()
            raise
        self.port = self._listener.getsockname()[1]

    def _listen(self) -> None:
        self._listener.listen(4096)
        listener = self._listener
        self.spawn(lambda: self._accept(listener))

    def _stop_listening(self) -> None:
        _shut(self._listener)  # wakes the accept() in the other thread
        self._listener.close()

    def _drop_connections(self) -> None:
        with self._lock:
            connections = list(self._open.values())
        for sock in connections:
            _shut(sock)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(self, sock)
            self.spawn(connection.run)


class _Connection:
    def __init__(self, server: Server, sock: socket.socket) -> None:
        self._server = server
        self._sock = sock
        server.watch(sock)

    def run(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            try:
                taken = self._server.first_bytes and self._server.first_bytes(self._sock)
                if not taken:
                    self._serve(self._server.handler)
            except BadRequestError:
                self._sock.sendall(_BAD_REQUEST)
            finally:
                self._server.forget(self._sock)

    def _serve(self, handler: Handler) -> None:
        with self._sock.makefile("rb") as reader:
            while (request := read_request(reader)) and not self._server.closing.is_set():
                answer = _answered(handler, request)
                if isinstance(answer, Tunnel):
                    break
                if not self._send(request, answer):
                    return
            else:
                return
        self._enter(answer)

    def _enter(self, tunnel: Tunnel) -> None:
        self._sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        plain = self._sock
        # wrap_socket() takes the file descriptor over, so the plain object must be forgotten first.
        self._sock = tunnel.context.wrap_socket(
            plain, server_side=True, do_handshake_on_connect=False
        )
        self._server.forget(plain)
        self._server.watch(self._sock)
        assert isinstance(self._sock, ssl.SSLSocket)
        self._sock.do_handshake()
        self._serve(tunnel.handler)

    def _send(self, request: Request, answer: Response | Hang | Drop) -> bool:
        """Write the answer; True where the connection goes on."""
        if isinstance(answer, Hang):
            self._wait_for_end()
        if not isinstance(answer, Response):
            return False
        keep = not answer.close and request.headers.get("connection", "").lower() != "close"
        pieces, framing = framed(answer)
        head = [f"HTTP/1.1 {answer.status} {http.client.responses.get(answer.status, 'Odd')}"]
        head += [f"{name}: {value}" for name, value in (*answer.headers, *framing)]
        head += [] if keep else ["Connection: close"]
        start = "\r\n".join([*head, "", ""]).encode()
        if request.method == "HEAD" or answer.status in _NO_BODY:
            pieces = ()
        return self._write(start, pieces, answer) and keep

    def _write(self, start: bytes, pieces: Iterable[bytes], answer: Response) -> bool:
        if answer.drip:
            return self._drip(start, b"".join(pieces))
        if answer.cut:
            whole = b"".join(pieces)
            self._sock.sendall(start + whole[: len(whole) // 2])
            return False
        for piece in pieces:
            self._sock.sendall(start + piece)
            start = b""
        if start:
            self._sock.sendall(start)
        return True

    def _drip(self, start: bytes, whole: bytes) -> bool:
        self._sock.sendall(start)
        for n in range(len(whole)):
            if self._server.closing.wait(1.0):
                return False
            self._sock.sendall(whole[n : n + 1])
        return True

    def _wait_for_end(self) -> None:
        poll = select.poll()  # close() shuts the socket down, which wakes this too
        poll.register(self._sock.fileno(), select.POLLIN | select.POLLHUP)
        while not self._server.closing.is_set():
            if poll.poll(5000) and not _has_more(self._sock):
                return
            self._server.closing.wait(0.25)


def _answered(handler: Handler, request: Request) -> Answer:
    try:
        return handler(request)
    except Exception:  # noqa: BLE001 # a bug of the emulator: shown, and no thread lost over it
        _LOG.exception("%s %s", request.method, request.target.partition("?")[0])
        return Response(500, b"emulator bug\n", close=True)


def _has_more(sock: socket.socket) -> bool:
    if isinstance(sock, ssl.SSLSocket):
        return False  # a client that waits for an answer sends nothing but its goodbye
    return bool(sock.recv(1, socket.MSG_PEEK))


def _shut(sock: socket.socket) -> None:
    """Shut down for both sides, waking whoever reads (not through SSLSocket, which would race)."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
