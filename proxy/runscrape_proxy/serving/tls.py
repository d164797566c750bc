"""TLS for the listeners: one context, made anew when a file of it changes and is good.

Gunicorn on its own would read the files for each connection, so that a half-written certificate
would end the service.
"""

from __future__ import annotations

import logging
import ssl
from threading import Lock
from typing import TYPE_CHECKING

from runscrape_proxy.errors import StartError

if TYPE_CHECKING:
    from pathlib import Path

    from runscrape_proxy.settings import Settings

log = logging.getLogger(__name__)

Signature = tuple[tuple[int, int, int], ...]


class ServerTls:
    """The context of the newest good files. With a client CA, clients must show a certificate.

    Raises StartError if the files cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.tls_cert is None:
            raise StartError("--tls-cert is needed for TLS")
        self.cert = settings.tls_cert
        self._key = settings.tls_key
        self._client_ca = settings.tls_client_ca
        self._lock = Lock()
        self._error = ""
        try:
            self._seen = self._signature()
            self._context = self._load()
        except (OSError, ValueError) as error:
            raise StartError(f"{self._names()}: {_reason(error)}") from None

    @property
    def context(self) -> ssl.SSLContext:
        """The context for the next connection; looks at the files, which takes microseconds."""
        with self._lock:
            try:
                self._refresh()
            except (OSError, ValueError) as error:
                self._failed(_reason(error))
            return self._context

    def _refresh(self) -> None:
        signature = self._signature()
        if signature != self._seen:
            # Judged once: a bad file is not read again until it changes.
            self._seen = signature
            self._context = self._load()
            self._error = ""
            log.info("%s: read again", self._names())

    def _failed(self, reason: str) -> None:
        if reason != self._error:
            log.error("%s: %s; what was read before stays in force", self._names(), reason)
        self._error = reason

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.cert, self._key, password=_no_password)
        if self._client_ca is not None:
            context.load_verify_locations(self._client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _files(self) -> list[Path]:
        return [file for file in (self.cert, self._key, self._client_ca) if file is not None]

    def _signature(self) -> Signature:
        stats = [file.stat() for file in self._files()]
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)

    def _names(self) -> str:
        return "TLS files " + ", ".join(map(str, self._files()))


def _no_password() -> str:
    # OpenSSL would ask for it on the terminal.
    raise ValueError("the key has a passphrase: give one without")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"no certificate and key that fit together ({error.reason or 'not PEM'})"
    return getattr(error, "strerror", None) or str(error)
