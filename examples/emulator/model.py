"""The emulator's world as types: each dataclass is a mapping in the world's YAML.

README.md has a complete example. A field that says AUTO gets a real-looking value when the world
is loaded (world.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from emulator.faults import Faults

AUTO = "auto"
"""What a field says whose value follows from the others."""


@dataclass(frozen=True)
class Settings:
    """What holds for the whole world. Durations in seconds.

    ``identity`` holds the service-account key and is the default invoker together with
    ``impersonated``. Unless ``accounts`` says otherwise, ``user`` may act as ``delegate``; that one
    and the federated principal as ``identity``; ``user``, ``identity`` and the federated principal
    as ``impersonated``.

    ``wildcard_unreachable`` stands, as it is, in every page of a listing of location ``-`` (empty
    strings and duplicates have been seen); ``unreachable_as`` is how regions are written there.
    """

    identity: str = AUTO
    impersonated: str = AUTO
    delegate: str = AUTO
    user: str = "alice@example.com"
    metadata_identity: str | None = AUTO
    metadata_project: str = AUTO
    token_lifetime: float = 3600.0
    access_token_lifetime: float = 3600.0
    metadata_renewal: float = 300.0
    page_size_cap: int = 100
    locations_page_size: int = 100
    require_credentials: bool = False
    wildcard_unreachable: tuple[str, ...] = ()
    unreachable_as: Literal["resource name", "region"] = "resource name"
    organization: str = "481516234200"


@dataclass(frozen=True)
class Account:
    """A service account: who holds roles/iam.serviceAccountTokenCreator on it."""

    token_creators: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """What an app answers under one path.

    ``metrics`` are gauges by name; ``body_mb`` pads the body, streamed, to that many MiB; ``body``
    (or ``body_base64``) replaces it; ``content_type`` goes with it (None: no Content-Type).
    """

    metrics: dict[str, float] = field(default_factory=dict)
    body_mb: float = 0.0
    body: str | None = None
    body_base64: str | None = None
    content_type: str | None = "text/plain; version=0.0.4; charset=utf-8"
    redirect: str | None = None


@dataclass(frozen=True)
class App:
    """The container behind a service, and how it misbehaves.

    ``instances`` above 1 answers from a random one of that many, each with counters of its own.
    ``latency`` in seconds; ``drop`` ends the connection after half of the body; ``drip`` sends it
    at a byte a second. ``first`` limits ``status``, ``hang``, ``drop`` and ``drip`` to that many
    requests (0: all of them). ``authorization`` is what the app itself wants in Authorization, 401
    otherwise.
    """

    paths: dict[str, Page] = field(default_factory=lambda: {"/metrics": Page()})
    instances: int = 1
    gzip: bool = True
    latency: float = 0.0
    status: int | None = None
    hang: bool = False
    drop: bool = False
    drip: bool = False
    first: int = 0
    authorization: str | None = None


@dataclass(frozen=True)
class Traffic:
    """A traffic target; with a ``tag`` it has a URL of its own."""

    tag: str | None = None
    percent: int = 0
    revision: str | None = None
    uri: str = AUTO


@dataclass(frozen=True)
class Service:
    """A Cloud Run service; ``uri``, ``urls``, ``uid`` and revisions have real-looking defaults.

    ``invokers`` None means the default identities; ``allUsers`` makes the service public.
    ``min_instances`` and ``max_instances`` are the service's, ``template_…`` the revision's.
    ``deleted`` ones answer nowhere and are listed only where deleted ones are asked for.
    """

    name: str
    region: str
    uid: str = AUTO
    uri: str | None = AUTO
    urls: tuple[str, ...] | None = None
    domains: tuple[str, ...] = ()
    ready: bool = True
    reconciling: bool = False
    latest_ready_revision: str | None = AUTO
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    ingress: Literal["all", "internal", "internal-and-cloud-load-balancing", "none"] = "all"
    launch_stage: Literal["GA", "BETA", "ALPHA"] = "GA"
    default_uri_disabled: bool = False
    iap_enabled: bool = False
    invoker_iam_disabled: bool = False
    invokers: tuple[str, ...] | None = None
    custom_audiences: tuple[str, ...] = ()
    min_instances: int = 0
    max_instances: int = 0
    scaling_mode: Literal["AUTOMATIC", "MANUAL"] | None = None
    manual_instances: int | None = None
    template_min_instances: int = 0
    template_max_instances: int = 0
    traffic: tuple[Traffic, ...] = ()
    multi_region: tuple[str, ...] = ()
    deleted: bool = False
    app: App = field(default_factory=App)
    project: str = field(default="", init=False)

    @property
    def key(self) -> str:
        """``project/region/name``, as the counts name it."""
        return f"{self.project}/{self.region}/{self.name}"

    @property
    def public(self) -> bool:
        """True where no ID token is asked for."""
        return self.invoker_iam_disabled or "allUsers" in (self.invokers or ())


@dataclass(frozen=True)
class Project:
    """A project; ``viewers`` None lets every known identity list its services.

    ``restricted_regions`` are named by locations.list and refused with LOCATION_POLICY_VIOLATED
    (those in ``regions`` are open). ``folders`` are the ids of its folders, the nearest first.
    """

    number: int
    services: tuple[Service, ...] = ()
    regions: tuple[str, ...] | None = None
    restricted_regions: tuple[str, ...] = ("me-central2",)
    viewers: tuple[str, ...] | None = None
    api_disabled: bool = False
    folders: tuple[str, ...] = ()

    @property
    def closed_regions(self) -> tuple[str, ...]:
        """Regions that Google names to the project and refuses it."""
        return tuple(r for r in self.restricted_regions if r not in (self.regions or ()))


@dataclass(frozen=True)
class Assets:
    """Cloud Asset Inventory's search, and how far it lags behind.

    ``viewers`` None lets everybody search. ``not_yet`` are globs of ``project/region/service`` that
    it does not know yet; ``still`` are such keys of services that are gone and still found.
    ``short_pages`` makes pages that hold less than they could, down to nothing.
    """

    viewers: tuple[str, ...] | None = None
    api_disabled: bool = False
    page_size: int = 500
    short_pages: bool = False
    not_yet: tuple[str, ...] = ()
    still: tuple[str, ...] = ()


@dataclass(frozen=True)
class World:
    """Everything; immutable, swapped whole by Emulator.update()."""

    projects: dict[str, Project]
    settings: Settings = field(default_factory=Settings)
    accounts: dict[str, Account] | None = None
    assets: Assets = field(default_factory=Assets)
    faults: Faults = field(default_factory=Faults)

    def project(self, reference: str) -> tuple[str, Project] | None:
        """Find a project by id or by number, as Google's resource names may have either."""
        if reference in self.projects:
            return reference, self.projects[reference]
        named = (item for item in self.projects.items() if str(item[1].number) == reference)
        return next(named, None)

    def service(self, key: str) -> Service:
        """Find a service by ``project/region/name``; raises KeyError."""
        project = self.projects[key.split("/", maxsplit=1)[0]]
        return {service.key: service for service in project.services}[key]
