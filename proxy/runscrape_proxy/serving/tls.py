"""TLS for the listeners: handshakes, and a context made anew when a file of it changes and is good.

Gunicorn on its own would read the files for each connection, so that a half-written certificate
would end the service.
"""

from __future__ import annotations

import selectors
import ssl
from typing import TYPE_CHECKING, Any

from gunicorn.sock import ssl_wrap_socket

from runscrape_proxy.files import Watched, read_regular, warn_of_readers

if TYPE_CHECKING:
    from pathlib import Path

    from runscrape_proxy.serving.waiting import ClientConnection


class ServerTls:
    """The context of the newest good files. With a client CA, clients must show a certificate.

    Raises StartError if the files cannot be used.
    """

    def __init__(self, cert: Path, key: Path | None, client_ca: Path | None) -> None:
        self.cert = cert
        self._key = key
        self._client_ca = client_ca
        files = [file for file in (cert, key, client_ca) if file is not None]
        self._watched = Watched(files, self._read, what="TLS files")
        self._watched.load()
        warn_of_readers(key or cert, mode=0o640)

    @property
    def context(self) -> ssl.SSLContext:
        """The context for the next connection; looks at the files, which takes microseconds."""
        self._watched.refresh()
        return self._watched.held

    def _read(self) -> ssl.SSLContext:
        for file in self._watched.paths:
            read_regular(file)  # OpenSSL would wait at a pipe
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A client that renegotiates would have us work for nothing.
        context.options |= ssl.OP_NO_RENEGOTIATION
        try:
            context.load_cert_chain(self.cert, self._key, password=_no_password)
        except ssl.SSLError as error:
            raise ValueError(
                f"no certificate and key that fit together ({error.reason or 'not PEM'})"
            ) from None
        if self._client_ca is not None:
            try:
                context.load_verify_locations(self._client_ca)
            except ssl.SSLError:
                raise ValueError(f"no certificate of an authority in {self._client_ca}") from None
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def go_on_with_handshake(connection: ClientConnection, cfg: Any) -> int:
    """Do what can be done of a connection's handshake without waiting for the client.

    Returns the event of the poller to go on at. Raises OSError where it fails.
    """
    try:
        if not isinstance(connection.sock, ssl.SSLSocket):
            connection.sock = ssl_wrap_socket(connection.sock, cfg)
        connection.sock.do_handshake()
    except ssl.SSLWantReadError:
        return selectors.EVENT_READ
    except ssl.SSLWantWriteError:
        return selectors.EVENT_WRITE
    connection.secured = True
    return selectors.EVENT_READ


def _no_password() -> str:
    # OpenSSL would ask for it on the terminal.
    raise ValueError("the key has a passphrase: give one without")
