"""One request, and whom it is sent to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import h11

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscrape_proxy.http_client.environment import Proxy


@dataclass(frozen=True, slots=True)
class Origin:
    """Whom a connection is to: requests to the same one can share it."""

    host: str
    port: int
    tls: bool
    proxy: Proxy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request; ``target`` is path and query. Host and Content-Length are added to it."""

    host: str
    port: int
    tls: bool
    target: str
    headers: Mapping[str, str] = field(repr=False)
    method: str = "GET"
    body: bytes = field(default=b"", repr=False)

    @property
    def authority(self) -> str:
        """What Host says: RFC 9110, section 7.2."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    def for_origin(self, origin: Origin) -> h11.Request:
        """The request as it goes out."""
        fields = [("Host", self.authority), *self.headers.items()]
        if self.body or self.method == "POST":
            fields.append(("Content-Length", str(len(self.body))))
        target = self.target
        if origin.proxy is not None and not origin.tls:  # RFC 9112, section 3.2.2
            target = f"http://{self.authority}{target}"
            if origin.proxy.authorization:
                fields.append(("Proxy-Authorization", origin.proxy.authorization))
        encoded = [(name, value.encode("latin-1")) for name, value in fields]
        return h11.Request(method=self.method, target=target, headers=encoded)  # type: ignore[arg-type]
