"""What flows through the pipeline: services found, what was decided of each, the jobs made of them.

``Service`` (facts from Google) → ``Decision`` (kept as endpoints, or skipped and why) → ``Job``
(one entry of ``scrape_configs``). All are values: frozen, compared by content, free of I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """One project in one region: what one ``ListServices`` call covers."""

    project: str
    region: str

    @property
    def key(self) -> str:
        """``PROJECT/REGION``, as the inventory writes it."""
        return f"{self.project}/{self.region}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A Cloud Run service, as Run Admin API v2 describes it; facts only."""

    project: str
    region: str
    name: str
    uid: str = ""
    uri: str = ""
    """The main URL (``https://…``); empty while there is none."""
    urls: tuple[str, ...] = ()
    custom_audiences: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    annotations: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    ingress: str = "all"
    """``all``, ``internal``, ``internal-and-cloud-load-balancing`` or ``none``."""
    launch_stage: str = "GA"
    latest_ready_revision: str = ""
    """The revision's short name; empty while none was ever ready."""
    min_instances: int = 0
    max_instances: int = 0
    """0 where the service does not say; Cloud Run then allows 100."""
    manual_instances: int | None = None
    """The number that manual scaling fixes; None where scaling is automatic."""
    invoker_iam_disabled: bool = False
    default_uri_disabled: bool = False
    iap_enabled: bool = False
    # No inventory keeps these: whoever looks for a fault asks Google anew.
    failing: str = ""
    """What the Ready condition says while it is failed: reason and message."""
    newest_revision: str = ""
    """The short name of the revision that was created last, ready or not."""
    tag_urls: tuple[str, ...] = ()
    """The URLs of tagged revisions: they serve, and are no audiences."""

    @property
    def scope(self) -> Scope:
        """Where it was listed."""
        return Scope(self.project, self.region)

    @property
    def place(self) -> tuple[str, str, str]:
        """What the output is sorted by."""
        return self.project, self.region, self.name

    @property
    def id(self) -> str:
        """``PROJECT/REGION/NAME``: unique, and fit for messages."""
        return f"{self.project}/{self.region}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One place to scrape on a kept service."""

    service: Service
    job: str
    """The job's name, from ``--job-name``, a rule, or the shared audience."""
    audience: str | None
    """What the ID token is made for; None where the service is public."""
    scheme: ClassVar[str] = "https"
    """A token never goes where anyone on the way could read it."""
    target: str
    """``host:port``, the port always there: Prometheus 3 adds none."""
    metrics_path: str = "/metrics"
    params: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _EMPTY)
    scrape_interval: str | None = None
    """A Prometheus duration; None leaves it to the global default."""
    scrape_timeout: str | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    """The target's labels, ``instance`` and those of ``cloud_run_revision`` among them."""
    token_header: str = "Authorization"
    """Or ``X-Serverless-Authorization``: where the gateway puts the token."""
    app_credentials: str | None = None
    """The name of the file with what the gateway then puts in ``Authorization``."""
    scrape_config: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    """What a rule merges into the rendered job."""
    job_template: str = ""
    """What the job's name was filled from: ``--job-name``, or a rule's job."""
    said: bool = False
    """Whether the job's name holds what the service says of itself: an audience, or a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of one service: endpoints if it is kept, a reason if it is not."""

    service: Service
    endpoints: tuple[Endpoint, ...] = ()
    reason: str = ""
    """Why it was skipped, in words for people; empty where it was kept."""
    warnings: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether it becomes at least one target."""
        return bool(self.endpoints)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One entry of ``scrape_configs``: endpoints that share every setting of the job."""

    name: str
    endpoints: tuple[Endpoint, ...]

    @property
    def shared(self) -> Endpoint:
        """The endpoint whose settings are the job's."""
        return self.endpoints[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeFailure:
    """A scope or a project that could not be listed whole, or a search that failed."""

    project: str
    """Or what could not be searched: ``folders/ID``, ``organizations/ID``."""
    region: str | None
    """None where it is about all regions of the project."""
    reason: str
    """Google's, in one line."""
    remedy: str
    """What to do about it: which role, which API to enable, which flag."""

    @property
    def where(self) -> str:
        """``PROJECT/REGION``, or the project alone."""
        return self.project if self.region is None else f"{self.project}/{self.region}"

    @property
    def is_search(self) -> bool:
        """Whether it is a search of a folder or organisation that failed."""
        return "/" in self.project


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """What one round of listing found: whole scopes, and failures. Never half a scope."""

    scopes: Mapping[Scope, tuple[Service, ...]]
    failures: tuple[ScopeFailure, ...] = ()
    listed: bool = False
    """Whether anything could be listed, though there may be no scope in it: projects without
    services have none."""
