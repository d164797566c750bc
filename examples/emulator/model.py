"""The emulator's world as types: each class is a mapping in the world's YAML.

README.md has a complete example. A field that says AUTO gets a real-looking value when the world
is loaded (world.py).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PrivateAttr

from emulator.faults import Faults
from emulator.schema import Many, Part

AUTO = "auto"
"""What a field says whose value follows from the others."""


class Settings(Part):
    """What holds for the whole world. Durations in seconds of the emulator's clock.

    ``identity`` holds the service-account key and is the default invoker together with
    ``impersonated``. Unless ``accounts`` says otherwise, ``user`` may act as ``delegate``; that one
    and the federated principal as ``identity``; ``user``, ``identity`` and the federated principal
    as ``impersonated``.

    ``metadata`` says whose metadata server there is: a VM's, or a GKE pod's whose Kubernetes
    service account has no annotation (``gke-direct``), no role on the account that it names
    (``gke-unbound``), or names one that is not there (``gke-no-account``), or a build step's.
    ``metadata_renewal``: a new token is made when less is left; ``metadata_token_left``: what is
    left of the first token for each audience, as somebody else asked for it before.

    ``iam_delay``: for so long after a change of the world the invokers and token creators of
    before still hold.

    ``wildcard_unreachable`` stands, as it is, in every page of a listing of location ``-`` (empty
    strings and duplicates have been seen); ``unreachable_as`` is how regions are written there.
    """

    identity: str = AUTO
    impersonated: str = AUTO
    delegate: str = AUTO
    user: str = "alice@example.com"
    metadata_identity: str | None = AUTO
    metadata_project: str = AUTO
    metadata: Literal["vm", "gke-direct", "gke-unbound", "gke-no-account", "build"] = "vm"
    token_lifetime: float = 3600.0
    access_token_lifetime: float = 3600.0
    metadata_renewal: float = 300.0
    metadata_token_left: float | None = None
    iam_delay: float = 0.0
    iam_credentials_disabled: bool = False
    page_size_cap: int = 100
    locations_page_size: int = 100
    require_credentials: bool = False
    wildcard_unreachable: Many[str] = ()
    unreachable_as: Literal["resource name", "region"] = "resource name"
    organization: str = "481516234200"


class Account(Part):
    """A service account: who holds roles/iam.serviceAccountTokenCreator on it."""

    token_creators: Many[str] = ()


Odd = Literal["html", "json", "malformed", "duplicate", "old", "future", "no-eof", "binary"]


class Page(Part):
    """What an app answers under one path.

    ``metrics`` are gauges by name; ``body_mb`` pads the body, streamed, to that many MiB; ``body``
    (or ``body_base64``) replaces it; ``odd`` replaces it by one that Prometheus cannot take
    (odd_pages.py); ``content_type`` goes with it (None: no Content-Type).
    """

    metrics: dict[str, float] = Field(default_factory=dict)
    body_mb: float = 0.0
    body: str | None = None
    body_base64: str | None = None
    odd: Odd | None = None
    content_type: str | None = "text/plain; version=0.0.4; charset=utf-8"
    redirect: str | None = None


class App(Part):
    """The container behind a service, and how it misbehaves.

    ``instances`` above 1 answers from a random one of that many, each with counters of its own.
    ``latency`` in seconds, ``cold_start`` is added for the first request of a world; ``drop`` ends
    the connection after half of the body; ``drip`` sends it at a byte a second. ``first`` limits
    ``status``, ``hang``, ``drop`` and ``drip`` to that many requests (0: all of them).

    ``authorization`` is what the app itself wants in Authorization; with ``verifies_tokens`` it
    wants a Google token there whose signature it can check, which Cloud Run removes. 401 otherwise.
    """

    paths: dict[str, Page] = Field(default_factory=lambda: {"/metrics": Page()})
    instances: int = 1
    gzip: bool = True
    latency: float = 0.0
    cold_start: float = 0.0
    status: int | None = None
    hang: bool = False
    drop: bool = False
    drip: bool = False
    first: int = 0
    authorization: str | None = None
    verifies_tokens: bool = False


class Traffic(Part):
    """A traffic target; with a ``tag`` it has a URL of its own."""

    tag: str | None = None
    percent: int = 0
    revision: str | None = None
    uri: str = AUTO


class Failure(Part):
    """Why the newest revision failed: the Ready condition's fields (run.v2 ``Condition``).

    ``reason`` and ``revision_reason`` are names of the enums CommonReason and RevisionReason.
    """

    message: str = "The user-provided container failed to start and listen on the port."
    reason: str | None = None
    revision_reason: str | None = "HEALTH_CHECK_CONTAINER_ERROR"


Trouble = Literal["busy", "overloaded", "start-failure", "unavailable", "crash", "timeout"]
"""What Cloud Run answers in place of the app: 429, 500, 500, 503, 503, 504 (front_end.py)."""


class Service(Part):
    """A Cloud Run service; ``uri``, ``urls``, ``uid`` and revisions have real-looking defaults.

    ``invokers`` None means the default identities; ``allUsers`` makes the service public.
    ``iap_clients`` are the OAuth clients that IAP takes as audience, ``iap_accessors`` (None: the
    invokers) whom it lets in; ``iap_agent``: whether IAP's own account may invoke the service.
    ``min_instances`` and ``max_instances`` are the service's, ``template_…`` the revision's.

    ``ready`` false: no revision ever was; with ``failure`` the newest revision failed, and an older
    one serves if ``ready``. ``trouble`` is what Cloud Run answers in place of the app, for the
    first ``trouble_first`` requests (0: all). ``perimeter``: VPC Service Controls keep us out.
    ``function`` makes it a Cloud Run function, with the URL of one. ``deleted`` ones answer nowhere
    and are listed only where deleted ones are asked for.
    """

    name: str
    region: str
    uid: str = AUTO
    uri: str | None = AUTO
    urls: Many[str] | None = None
    domains: Many[str] = ()
    ready: bool = True
    reconciling: bool = False
    failure: Failure | None = None
    latest_ready_revision: str | None = AUTO
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    ingress: Literal["all", "internal", "internal-and-cloud-load-balancing", "none"] = "all"
    launch_stage: Literal["GA", "BETA", "ALPHA"] = "GA"
    default_uri_disabled: bool = False
    iap_enabled: bool = False
    iap_clients: Many[str] = ()
    iap_accessors: Many[str] | None = None
    iap_agent: bool = True
    invoker_iam_disabled: bool = False
    invokers: Many[str] | None = None
    custom_audiences: Many[str] = ()
    min_instances: int = 0
    max_instances: int = 0
    scaling_mode: Literal["AUTOMATIC", "MANUAL"] | None = None
    manual_instances: int | None = None
    template_min_instances: int = 0
    template_max_instances: int = 0
    traffic: Many[Traffic] = ()
    multi_region: Many[str] = ()
    function: bool = False
    deleted: bool = False
    perimeter: bool = False
    trouble: Trouble | None = None
    trouble_first: int = 0
    app: App = Field(default_factory=App)
    _project: str = PrivateAttr("")

    @property
    def project(self) -> str:
        """The id of its project."""
        return self._project

    @property
    def key(self) -> str:
        """``project/region/name``, as the counts name it."""
        return f"{self.project}/{self.region}/{self.name}"


class Project(Part):
    """A project; ``viewers`` None lets every known identity list its services.

    ``restricted_regions`` are named by locations.list and refused with LOCATION_POLICY_VIOLATED
    (those in ``regions`` are open). ``folders`` are the ids of its folders, the nearest first.
    ``bindings`` are its IAM policy's members by role, ``roles`` the ids of its custom roles;
    ``policy_viewers`` None lets every known identity read policies.
    """

    number: int
    services: Many[Service] = ()
    regions: Many[str] | None = None
    restricted_regions: Many[str] = ("me-central2",)
    viewers: Many[str] | None = None
    api_disabled: bool = False
    folders: Many[str] = ()
    bindings: dict[str, Many[str]] = Field(default_factory=dict)
    roles: Many[str] = ()
    policy_viewers: Many[str] | None = None

    @property
    def closed_regions(self) -> tuple[str, ...]:
        """Regions that Google names to the project and refuses it."""
        return tuple(r for r in self.restricted_regions if r not in (self.regions or ()))


class Assets(Part):
    """Cloud Asset Inventory's search, and how far it lags behind.

    ``viewers`` None lets everybody search. ``not_yet`` are globs of ``project/region/service`` that
    it does not know yet; ``still`` are such keys of services that are gone and still found.
    ``short_pages`` makes pages that hold less than they could, down to nothing.
    """

    viewers: Many[str] | None = None
    api_disabled: bool = False
    page_size: int = 500
    short_pages: bool = False
    not_yet: Many[str] = ()
    still: Many[str] = ()


class World(Part):
    """Everything; immutable, swapped whole by Emulator.update()."""

    projects: dict[str, Project]
    settings: Settings = Field(default_factory=Settings)
    accounts: dict[str, Account] | None = None
    assets: Assets = Field(default_factory=Assets)
    faults: Faults = Field(default_factory=Faults)

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
