"""An HTTP(S) server that answers what a test wrote down, however odd, and keeps what it was asked.

An answer is a *script*: it gets the connection and the request, writes what it likes, and says
whether the connection goes on.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from tests.kit.waiting import QUIET

_LARGEST_BODY = 1 << 20


@dataclass(frozen=True)
class Asked:
    """A request: its head as it came, and its body."""

    head: str
    body: bytes = b""

    @property
    def method(self) -> str:
        """GET, POST …"""
        return self.head.split(" ", 1)[0]

    @property
    def target(self) -> str:
        """What the request line names: a path with its query, or a host and port (CONNECT)."""
        return self.head.split(" ", 2)[1]

    @property
    def path(self) -> str:
        """The path alone."""
        return self.target.partition("?")[0]

    @property
    def headers(self) -> dict[str, str]:
        """Header fields, names in lower case."""
        fields = (line.partition(":") for line in self.head.split("\r\n")[1:])
        return {name.lower(): value.strip() for name, _, value in fields}


class Connection:
    """One client's connection, as a script sees it."""

    def __init__(self, sock: socket.socket, server: OddServer) -> None:
        self.sock = sock
        self.server = server
        self._come = b""
        """What has come and is not read yet."""

    def send(self, *pieces: bytes) -> None:
        """Write."""
        for piece in pieces:
            self.sock.sendall(piece)

    def reset(self) -> None:
        """Have the connection end with RST in place of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def read(self) -> Asked:
        """Read one request; raises OSError at the connection's end."""
        while b"\r\n\r\n" not in self._come:
            self._more()
        head, _, self._come = self._come.partition(b"\r\n\r\n")
        asked = Asked(head.decode("latin-1"))
        length = min(int(asked.headers.get("content-length", "0")), _LARGEST_BODY)
        with contextlib.suppress(ConnectionResetError):
            while len(self._come) < length:
                self._more()
        body, self._come = self._come[:length], self._come[length:]
        return Asked(asked.head, body)

    def _more(self) -> None:
        piece = self.sock.recv(65536)
        if not piece:
            raise ConnectionResetError
        self._come += piece


Script = Callable[[Connection, Asked], bool]


def sends(*pieces: bytes, keep: bool = False) -> Script:
    """Write these bytes; ``keep`` the connection, or close it."""

    def script(client: Connection, _asked: Asked) -> bool:
        client.send(*pieces)
        return keep

    return script


def answers(status: int = 200, body: bytes | object = b"", **headers: str) -> Script:
    """Answer with this status and body (bytes, or JSON); headers are named with _ for -."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"Content-Length": str(len(content))} | headers
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items()]
    head = f"HTTP/1.1 {status} Odd\r\n{''.join(lines)}\r\n".encode()
    return sends(head + content, keep=True)


def drips(start: bytes, byte: bytes, pause: float = 0.05) -> Script:
    """Write the start, then a byte again and again until the end."""

    def script(client: Connection, _asked: Asked) -> bool:
        client.send(start)
        while not client.server.closing.wait(pause):
            client.send(byte)
        return False

    return script


def hangs(client: Connection, _asked: Asked) -> bool:
    """Answer nothing until the end."""
    client.server.closing.wait(QUIET)
    return False


@dataclass
class OddServer:
    """Listens on 127.0.0.1; a context manager.

    ``scripts`` are by path, ``otherwise`` is for all others. With ``tls`` it speaks TLS. With
    ``tunnel`` it is a proxy that takes CONNECT to any host and is that host itself, behind TLS:
    ``refuse`` says what answers CONNECT in place of a tunnel, None where it is opened.
    """

    scripts: Mapping[str, Script] = field(default_factory=dict)
    otherwise: Script = field(default_factory=lambda: answers(404))
    tls: ssl.SSLContext | None = None
    tunnel: ssl.SSLContext | None = None
    refuse: Callable[[str], Script | None] = lambda _host: None
    asked: list[Asked] = field(default_factory=list, init=False)
    tunnels: Counter[str] = field(default_factory=Counter, init=False)
    """How many were asked for, by host."""
    accepted: int = field(default=0, init=False)
    """How many connections were made."""
    closing: threading.Event = field(default_factory=threading.Event, init=False)
    _open: set[socket.socket] = field(default_factory=set, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        _shut(self._listener)
        self._listener.close()
        self.drop()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """Its address; with a name, not a number, where it has a certificate."""
        return f"https://localhost:{self.port}" if self.tls else f"http://127.0.0.1:{self.port}"

    @property
    def open(self) -> int:
        """How many connections (of tunnels: those inside) are there now."""
        with self._lock:
            return len(self._open)

    def drop(self) -> None:
        """End every connection."""
        with self._lock:
            for each in self._open:
                _shut(each)

    def _accept(self) -> None:
        while not self.closing.is_set():
            with contextlib.suppress(OSError):
                sock, _ = self._listener.accept()
                self.accepted += 1
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError, IndexError), sock:
            context = self.tls
            if self.tunnel:
                context = self.tunnel
                if not self._connect(Connection(sock, self)):
                    return
            if context is None:
                self._answer_all(sock)
                return
            with context.wrap_socket(sock, server_side=True) as secure:
                self._answer_all(secure)

    def _connect(self, client: Connection) -> bool:
        asked = client.read()
        host = asked.target.partition(":")[0]
        self.tunnels[host] += 1
        if refusal := self.refuse(host):
            refusal(client, asked)
            return False
        client.send(b"HTTP/1.1 200 OK\r\n\r\n")
        return True

    def _answer_all(self, sock: socket.socket) -> None:
        client = Connection(sock, self)
        with self._lock:
            self._open.add(sock)
        try:
            while self._answer(client):
                pass
        finally:
            with self._lock:
                self._open.discard(sock)

    def _answer(self, client: Connection) -> bool:
        asked = client.read()
        self.asked.append(asked)
        return self.scripts.get(asked.path, self.otherwise)(client, asked)


def _shut(sock: socket.socket) -> None:
    """Shut down for both sides (not through SSLSocket, which would race with its reader)."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
