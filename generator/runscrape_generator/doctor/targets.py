"""What doctor checks: one value per target, with everything that Prometheus would scrape it by."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from runscrape_generator.doctor.causes import Fault
from runscrape_generator.model import Service
from runscrape_generator.regular_file import read_regular

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_LARGEST_SECRET = 1 << 20


class Secret(str):
    """Text that no log, message or repr shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(…)"


@dataclass(frozen=True, slots=True)
class SecretSource:
    """A secret in the configuration itself, or in a file; neither is no secret."""

    value: Secret = field(default_factory=Secret)
    file: Path | None = None

    def read(self) -> Secret:
        """Read it as Prometheus does: without white space at either end. Raises OSError."""
        if self.file is None:
            return self.value
        return Secret(read_regular(self.file, _LARGEST_SECRET).decode(errors="replace").strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """How a client of Prometheus' makes its connections: ``tls_config`` and ``proxy_url``."""

    ca_file: Path | None = None
    ca: str = ""
    """Certificates written into the configuration itself, PEM."""
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str = ""
    insecure: bool = False
    proxy_url: str = field(default="", repr=False)
    """May hold a user and a password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """A job's ``oauth2`` block."""

    url: str
    client_id: str = ""
    secret: SecretSource = field(default_factory=SecretSource)
    params: tuple[tuple[str, str], ...] = ()
    """``endpoint_params``."""
    scopes: tuple[str, ...] = ()
    transport: Transport = field(default_factory=Transport)

    @property
    def audience(self) -> str:
        """What the token is asked for; empty where the job does not say (RFC 8707: resource)."""
        params = dict(self.params)
        return params.get("audience") or params.get("resource") or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """``basic_auth`` (with a user name) or ``authorization`` (with a scheme)."""

    username: SecretSource | None = None
    scheme: str = "Bearer"
    secret: SecretSource = field(default_factory=SecretSource)

    def headers(self) -> dict[str, str]:
        """Give the Authorization header. Raises OSError where a file cannot be read."""
        secret = self.secret.read()
        if self.username is None:
            return {"Authorization": f"{self.scheme} {secret}"}
        pair = f"{self.username.read()}:{secret}".encode()
        return {"Authorization": "Basic " + base64.b64encode(pair).decode()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a job takes at most; 0 is no limit."""

    samples: int = 0
    body_bytes: int = 0
    labels: int = 0
    label_name: int = 0
    label_value: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target as Prometheus would scrape it."""

    job: str
    url: str = ""
    """With path and parameters; empty where there is a ``problem``."""
    labels: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    """After relabelling, without those that begin with two underscores."""
    meta: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    """Before relabelling: what the target's own file or URL says of it."""
    service: Service | None = None
    """As the inventory has it; None where it has none for this target."""
    timeout: float = 10.0
    """Seconds."""
    token: TokenRequest | None = None
    credentials: Credentials | None = None
    transport: Transport = field(default_factory=Transport)
    limits: Limits = field(default_factory=Limits)
    honor_labels: bool = False
    honor_timestamps: bool = True
    follow_redirects: bool = True
    compression: bool = True
    """``enable_compression``: whether gzip is asked for."""
    protocols: tuple[str, ...] = ()
    """``scrape_protocols``; empty where the job leaves them to Prometheus."""
    fallback: str = ""
    """``fallback_scrape_protocol``."""
    metric_relabel: tuple[Mapping[str, Any], ...] = ()
    headers: Mapping[str, tuple[SecretSource, ...]] = field(default_factory=lambda: _EMPTY)
    """``http_headers``: those that the job sends besides its own."""
    problem: Fault | None = None
    """Why Prometheus has no such target at all."""
    redirected_from: str = ""
    """The URL that was asked first, where the app sent Prometheus on to another one."""

    @property
    def first_url(self) -> str:
        """The URL of the job, before any redirect."""
        return self.redirected_from or self.url

    @property
    def gateway(self) -> bool:
        """Whether Prometheus asks an HTTP proxy to make the scrape: ``GET http://HOST/PATH``."""
        return bool(self.transport.proxy_url) and not self.url.startswith("https:")

    @property
    def at_proxy(self) -> str:
        """The URL at which runscrape-proxy is asked; empty where it is not."""
        if self.gateway:
            return self.transport.proxy_url
        return self.token.url if self.token else ""

    @property
    def secret_file(self) -> Path | None:
        """The file with the secret that runscrape-proxy wants, if it is in one."""
        known = self.credentials if self.gateway else self.token
        return known.secret.file if known else None

    @property
    def host(self) -> str:
        """The host of the service, also where a proxy is connected to."""
        return urlsplit(self.url).hostname or ""

    @property
    def path(self) -> str:
        """The metrics path, without parameters."""
        return urlsplit(self.url).path or "/"

    @property
    def place(self) -> tuple[str, str, str]:
        """Project, region and name of the service, as labels or the inventory say; else empty."""
        if self.service is not None:
            return self.service.project, self.service.region, self.service.name
        names = ("project_id", "location", "service_name")
        project, region, name = (self.labels.get(each, "") for each in names)
        return project, region, name

    @property
    def name(self) -> str:
        """What people call it: the service's name, else its instance, else the job."""
        return self.place[2] or self.labels.get("instance", "") or self.job
