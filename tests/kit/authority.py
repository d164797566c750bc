"""A certificate authority for tests of TLS, on trustme."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Issued:
    """The files of one certificate, PEM."""

    cert: Path
    key: Path


class Authority:
    """Issues certificates into a folder; ``file`` is its own, PEM."""

    def __init__(self, directory: Path, file: str = "ca.pem") -> None:
        self._directory = directory
        self._ca = trustme.CA()
        self.file = directory / file
        self._ca.cert_pem.write_to_path(str(self.file))

    def issue(self, *names: str, over: Issued | None = None) -> Issued:
        """Write a certificate for host names (wildcards too), in place of ``over`` if given."""
        issued = self._ca.issue_cert(*names, common_name=names[0])
        stem = names[0].replace("*", "any")
        files = over or Issued(self._directory / f"{stem}.pem", self._directory / f"{stem}.key")
        files.key.write_bytes(issued.private_key_pem.bytes())
        files.cert.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        return files

    def server(
        self, *names: str, protocols: tuple[str, ...] = (), until: datetime | None = None
    ) -> ssl.SSLContext:
        """Make what a server for these names uses; ``protocols`` are offered by ALPN."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names, not_after=until).configure_cert(context)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context

    def client(self) -> ssl.SSLContext:
        """Make what a client that trusts this authority only uses."""
        return ssl.create_default_context(cafile=str(self.file))
