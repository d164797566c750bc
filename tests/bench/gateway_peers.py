"""What the gateway is measured between: a service behind TLS, and the barest proxy there is.

``python -m tests.bench.gateway_peers upstream DIRECTORY`` prints the port that it listens on;
``python -m tests.bench.gateway_peers bare HOST:PORT`` is a streaming WSGI proxy without a rule, on
the gateway's own gunicorn settings and with the same HTTP library.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import urllib3

from tests.bench.bare import serve
from tests.kit.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

PAUSE, SLOW = 0.3, 30.0
"""Seconds: so that two scrapes are under way at once, and so that all are."""

SMALL, LARGE = 8 * 1024, 16 * 1024 * 1024
"""Bytes: a compressed page of metrics, and one that is too large to hold."""


def upstream(directory: Path) -> None:
    """Answer CONNECT for every run.app host, and GET inside, from a thread per connection."""
    context = Authority(directory).server("*.a.run.app")
    bodies = {
        b"GET /large": os.urandom(LARGE),
        b"GET /metri": os.urandom(SMALL),
        b"GET /slow ": os.urandom(SMALL),
        b"GET /pause": os.urandom(SMALL),
    }
    answers = {start: _answer(body) for start, body in bodies.items()}
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(listener.getsockname()[1], flush=True)  # noqa: T201
    while True:
        client, _ = listener.accept()
        threading.Thread(target=_serve, args=(client, context, answers), daemon=True).start()


def _answer(body: bytes) -> bytes:
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Encoding: gzip\r\n"
    )
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _serve(client: socket.socket, context: ssl.SSLContext, answers: dict[bytes, bytes]) -> None:
    with contextlib.suppress(OSError), client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.recv(65536)
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with context.wrap_socket(client, server_side=True) as secure:
            while request := secure.recv(65536):
                time.sleep({b"GET /slow ": SLOW, b"GET /pause": PAUSE}.get(request[:10], 0))
                secure.sendall(answers[request[:10]])


class Streaming:
    """The barest streaming proxy."""

    def __init__(self) -> None:
        self._manager = urllib3.ProxyManager(
            os.environ["HTTPS_PROXY"],
            num_pools=1024,
            maxsize=8,
            ca_certs=os.environ["BENCH_CA_FILE"],
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["RAW_URI"].startswith("/"):
            start_response("200 OK", [("Content-Length", "0")])
            return []
        host = environ["HTTP_HOST"].partition(":")[0]
        response = self._manager.request(
            "GET",
            f"https://{host}{environ['PATH_INFO']}",
            headers={"Authorization": "Bearer x", "Accept-Encoding": "gzip"},
            preload_content=False,
            redirect=False,
            retries=False,
        )
        start_response(f"{response.status} OK", list(response.headers.items()))
        return response.stream(64 * 1024, decode_content=False)


if __name__ == "__main__":
    if sys.argv[1] == "upstream":
        upstream(Path(sys.argv[2]))
    else:
        serve(sys.argv[2], Streaming())
