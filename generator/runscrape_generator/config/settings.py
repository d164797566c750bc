"""What the user asked for: every setting of the generator, with its type and default.

A flag beats an environment variable, which beats ``--config runscrape.yaml``; how they are read is
in :mod:`runscrape_generator.config.load`. Durations are kept as Prometheus writes them where
they go into its configuration, and as seconds where we use them ourselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

_EMPTY: Mapping[str, Any] = MappingProxyType({})


class Format(StrEnum):
    """What ``runscrape generate`` renders."""

    PROMETHEUS = "prometheus"
    SCRAPE_CONFIGS = "scrape-configs"
    VMAGENT = "vmagent"
    OPERATOR = "operator"


class Mode(StrEnum):
    """A job per service with ``oauth2``, or one job for all through the proxy's gateway."""

    OAUTH2 = "oauth2"
    GATEWAY = "gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which services a rule speaks of: globs, all of which must match; none match all."""

    project: str = "*"
    region: str = "*"
    service: str = "*"
    labels: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    """Label values are globs too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRule:
    """One of several paths to scrape on a service, each its own job."""

    path: str
    job: str | None = None
    params: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _EMPTY)
    scrape_interval: str | None = None
    scrape_timeout: str | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What the user sets for the services that match; None or empty leaves it as it is.

    Rules apply in order: a later rule beats an earlier one, mappings are merged key by key.
    """

    match: Match = field(default_factory=Match)
    skip: bool | None = None
    """True skips the service; False keeps it against an earlier rule."""
    audience: str | None = None
    target: str | None = None
    """``host`` or ``host:port`` of a custom domain."""
    endpoints: tuple[EndpointRule, ...] | None = None
    scrape_interval: str | None = None
    scrape_timeout: str | None = None
    params: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _EMPTY)
    labels: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    job: str | None = None
    """A job name, with the same placeholders as ``--job-name``."""
    token_header: str | None = None
    """``X-Serverless-Authorization`` where the app uses ``Authorization`` itself (gateway)."""
    app_credentials: str | None = None
    """The file of the proxy with what the app wants in ``Authorization`` (gateway)."""
    scrape_config: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything in force for one command."""

    # What to list, and how.
    projects: tuple[str, ...] = ()
    """Empty: the project that the credentials name."""
    regions: tuple[str, ...] = ()
    """Empty: every region that Google lists."""
    api_endpoint: str | None = None
    concurrency: int = 32
    timeout: float = 60.0
    """Seconds for one scope, retries included."""

    # Which services become jobs.
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    label: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    """Labels that a service must carry."""
    opt_in: bool = False
    ingress: str = "all"
    """``internal`` also keeps services that answer only inside the VPC."""
    audience: str = "uri"
    """``custom`` takes the first custom audience where there is one."""
    rules: tuple[Rule, ...] = ()

    # What a job looks like.
    format: Format = Format.PROMETHEUS
    mode: Mode = Mode.OAUTH2
    template: Path | None = None
    token_url: str = "http://127.0.0.1:7777/token"
    gateway_url: str | None = None
    """``proxy_url`` of the gateway's job; None: the token URL's scheme, host and port."""
    client_id: str = "prometheus"
    client_secret_file: str | None = None
    """As Prometheus will see it; the generator never reads it."""
    job_name: str = "cloudrun/{project}/{region}/{service}"
    scrape_interval: str | None = None
    scrape_timeout: str | None = None
    metrics_path: str = "/metrics"
    targets_file: str = "targets.json"
    """The file_sd file that the gateway's job reads, as Prometheus will see it."""
    prometheus_version: str = "2.42"
    """The oldest Prometheus that will read the output; 3.0 adds ``fallback_scrape_protocol``."""

    # Where it goes.
    output: Path | None = None
    """None: standard output."""
    inventory: Path | None = None
    """None: ``inventory.json`` beside the output; no inventory on standard output."""
    dry_run: bool = False
    metrics_file: Path | None = None
    max_removed: float = 50.0
    """Percent of the jobs that one run may remove."""
    watch: float | None = None
    """Seconds between runs; None: one run."""
    promtool: str = "auto"
    """``auto``, ``none``, or the path of promtool."""
    reload: str | None = None
    """The URL of Prometheus' ``/-/reload``."""
    reload_command: str | None = None

    # How to talk.
    verbosity: int = 0
    """-1: problems only; 0; 1 and more: every step and call."""
    log_format: str = "text"
    """``text`` or ``json``, on standard error."""

    @property
    def inventory_path(self) -> Path | None:
        """Where the inventory is kept; None where there is none."""
        if self.inventory is not None:
            return self.inventory
        return self.output.parent / "inventory.json" if self.output is not None else None
