"""What an operator can set, after parsing: one frozen object that every other part is given."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

DEFAULT_LISTEN = "127.0.0.1:7777"
DEFAULT_SOCKET_MODE = 0o660
"""Of a Unix socket: its owner and group may connect."""
DEFAULT_CLIENT_ID = "prometheus"
DEFAULT_AUDIENCE = "https://*.run.app"
"""What may be asked for where neither an inventory nor an --allow-audience says otherwise."""

DEFAULT_THREADS = 1088
DEFAULT_GATEWAY_CONCURRENCY = 1024
DEFAULT_GATEWAY_PER_HOST = 8
DEFAULT_GATEWAY_CONNECTIONS = 4096
"""Two for each of some 2,000 services; beyond that, scrapes begin to open new ones."""
DEFAULT_GATEWAY_MAX_BODY = 256 * 1024 * 1024
WARM_THREADS = 64
"""Threads that requests waiting for a mint never get, so that held tokens always find one."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(?:\d+(?:ms|[smhd]))+", re.ASCII)
_SIZE = re.compile(r"(\d{1,12})(?:B|(?:([KMGT])i?B))?", re.ASCII)
_PART = re.compile(r"(\d+)(ms|[smhd])", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One proxy. Times are in seconds; names are those of the options."""

    listen: tuple[str, ...] = (DEFAULT_LISTEN,)
    socket_mode: int = DEFAULT_SOCKET_MODE
    threads: int = DEFAULT_THREADS
    inventory: tuple[Path, ...] = ()
    allow_audience: tuple[str, ...] = ()
    client_id: str = DEFAULT_CLIENT_ID
    client_secret_file: Path | None = None
    credentials_file: Path | None = None
    impersonate_service_account: str = ""
    delegates: tuple[str, ...] = ()
    ca_file: Path | None = None
    mint_timeout: float = 4.0
    mint_concurrency: int = 64
    prewarm: bool = False
    gateway: bool = False
    gateway_concurrency: int = DEFAULT_GATEWAY_CONCURRENCY
    gateway_per_host: int = DEFAULT_GATEWAY_PER_HOST
    gateway_connections: int = DEFAULT_GATEWAY_CONNECTIONS
    gateway_max_body: int = DEFAULT_GATEWAY_MAX_BODY
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


def parse_duration(text: str) -> float:
    """Turn a Prometheus duration (``500ms``, ``4s``, ``1m30s``) into seconds.

    Raises ValueError for anything else, a bare number included.
    """
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration such as 4s or 1m30s")
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def parse_size(text: str) -> int:
    """Turn a size as Prometheus writes it (``64MB``, ``256MiB``, ``1024``) into bytes.

    All units are powers of 1024, as there. Raises ValueError for anything else.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size such as 64MB or 256MiB")
    return int(match[1]) << 10 * "BKMGT".index(match[2] or "B")
