"""Copies bytes between a client, with or without TLS, and a server behind us."""

from __future__ import annotations

import selectors
import socket
import ssl


def relay(client: socket.socket, inner: socket.socket) -> None:
    """Copy both ways until either side ends; on one thread, as a TLS socket is not for two."""
    other = {client: inner, inner: client}
    with selectors.DefaultSelector() as selector:
        for sock in other:
            selector.register(sock, selectors.EVENT_READ)
        while True:
            waiting = isinstance(client, ssl.SSLSocket) and client.pending()
            ready = [client] if waiting else [key.fileobj for key, _ in selector.select()]
            for source in ready:
                assert isinstance(source, socket.socket)
                data = _received(source)
                if data == b"":
                    return
                if data is not None:
                    other[source].sendall(data)


def _received(source: socket.socket) -> bytes | None:
    """What is there; empty at the end, None where only a part of a TLS record has come yet."""
    source.settimeout(0.05)
    try:
        return source.recv(64 * 1024)
    except TimeoutError:
        return None
    except OSError:
        return b""
    finally:
        source.settimeout(None)
