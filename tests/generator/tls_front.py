"""TLS in front of a plaintext port, for both HTTP/2 and HTTP/1.1, as Google's endpoints have it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.kit.authority import Authority


@contextlib.contextmanager
def tls_front(inner: str, directory: Path, *names: str) -> Iterator[tuple[str, Path]]:
    """Serve ``https://localhost:PORT`` in front of ``http://HOST:PORT``; gives it and its CA.

    ``names`` are other hosts that the certificate is for.
    """
    authority = Authority(directory, "front-ca.pem")
    context = authority.server("localhost", *names, protocols=("h2", "http/1.1"))
    host, _, port = inner.removeprefix("http://").rpartition(":")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        args = (listener, context, (host, int(port)))
        acceptor = threading.Thread(target=_accept, args=args, daemon=True)
        acceptor.start()
        try:
            yield f"https://localhost:{listener.getsockname()[1]}", authority.file
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join(5)


def _accept(listener: socket.socket, context: ssl.SSLContext, inner: tuple[str, int]) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_relay, args=(client, context, inner), daemon=True).start()


def _relay(client: socket.socket, context: ssl.SSLContext, inner: tuple[str, int]) -> None:
    """Copy both ways, on one thread: a TLS socket is not for two."""
    with (
        client,
        contextlib.suppress(OSError),
        socket.create_connection(inner) as upstream,
        context.wrap_socket(client, server_side=True) as outer,
    ):
        outer.settimeout(0.01)
        upstream.settimeout(0.01)
        while _copy(outer, upstream) and _copy(upstream, outer):
            pass


def _copy(source: socket.socket, sink: socket.socket) -> bool:
    """Pass on what is there; False at the end."""
    try:
        data = source.recv(65536)
    except TimeoutError:
        return True
    sink.sendall(data)
    return bool(data)
