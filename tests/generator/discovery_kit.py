"""Discovery on an emulated Google, as its tests use it."""

from __future__ import annotations

from typing import Any

from emulator import Emulator
from runscrape_generator.cloudrun.discovery import discover
from runscrape_generator.cloudrun.recall import LastKnown
from runscrape_generator.config.settings import Settings
from runscrape_generator.model import Discovery, Scope, ScopeFailure, Service
from tests.generator.recorder import Recorder

EU, US = Scope("demo", "europe-west1"), Scope("demo", "us-central1")


def world(*services: dict[str, Any], **more: Any) -> dict[str, Any]:
    regions = ["europe-west1", "us-central1"]
    demo = {"number": 123456789012, "regions": regions, "services": list(services)}
    return {"projects": {"demo": demo | more.pop("demo", {})}, **more}


def faulty(kind: str, *faults: dict[str, Any], **settings: Any) -> dict[str, Any]:
    services = [{"name": f"svc-{n}", "region": "us-central1"} for n in range(5)]
    return world(
        *services,
        {"name": "eu", "region": "europe-west1"},
        faults={kind: list(faults)},
        settings=settings,
    )


def found(
    emu: Emulator, talk: Recorder | None = None, known: LastKnown | None = None, **settings: Any
) -> Discovery:
    given = {"projects": ("demo",), "api_endpoint": emu.api} | settings
    return discover(Settings(**given), known or {}, talk or Recorder())


def names(discovery: Discovery) -> dict[str, list[str]]:
    return {s.key: [one.name for one in services] for s, services in discovery.scopes.items()}


def only(discovery: Discovery) -> ScopeFailure:
    (failure,) = discovery.failures
    return failure


def known(*scopes: Scope, **services: Scope) -> LastKnown:
    """Give what an inventory has: empty scopes, and a service of each name in a scope."""
    found: dict[Scope, tuple[Service, ...]] = dict.fromkeys(scopes, ())
    for name, scope in services.items():
        one = Service(project=scope.project, region=scope.region, name=name)
        found[scope] = (*found.get(scope, ()), one)
    return found


def calls(emu: Emulator) -> dict[str, int]:
    """Count the ListServices calls for each ``project/region``."""
    return {scope: sum(pages.values()) for scope, pages in emu.counts()["list_services"].items()}
