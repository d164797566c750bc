"""What an operator can set, after parsing: one frozen object that every other part is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from pathlib import Path

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

DEFAULT_AUDIENCE: Final = "https://*.run.app"
"""What may be asked for where neither an inventory nor an --allow-audience says otherwise."""

WARM_THREADS: Final = 64
"""Threads that requests waiting for a mint never get, so that held tokens always find one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One proxy. Times are in seconds; names are those of the options."""

    listen: tuple[str, ...] = ("127.0.0.1:7777",)
    socket_mode: int = 0o660
    """Of a Unix socket: its owner and group may connect."""
    threads: int = 1088
    inventory: tuple[Path, ...] = ()
    allow_audience: tuple[str, ...] = ()
    client_id: str = "prometheus"
    client_secret_file: Path | None = None
    credentials_file: Path | None = None
    impersonate_service_account: str = ""
    delegates: tuple[str, ...] = ()
    ca_file: Path | None = None
    mint_timeout: float = 4.0
    mint_concurrency: int = 64
    prewarm: bool = False
    gateway: bool = False
    gateway_concurrency: int = 1024
    gateway_per_host: int = 8
    gateway_connections: int = 4096
    """Two for each of some 2,000 services; beyond that, scrapes begin to open new ones."""
    gateway_max_body: int = 256 * 1024 * 1024
    gateway_credentials: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    allowed_host: tuple[str, ...] = ()
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"

    @property
    def max_waiting(self) -> int:
        """How many requests may wait for a mint at once; beyond it they get their 503 at once."""
        return self.threads - WARM_THREADS

    @property
    def gateway_threads(self) -> int:
        """Threads on top of ``threads``: scrapes take none from the token endpoint."""
        return self.gateway_concurrency if self.gateway else 0

    @property
    def gateway_descriptors(self) -> int:
        """Sockets towards the services, at most: in use, and kept."""
        return self.gateway_concurrency + self.gateway_connections if self.gateway else 0


DEFAULTS: Final = Settings()
