"""Loads a world: reads it, puts real values where it says nothing, refuses what cannot be."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from emulator.model import AUTO, Account, Project, Service, Settings, Traffic, World
from emulator.regions import REGIONS, abbreviation
from emulator.schema import WorldError, build

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(source: Mapping[str, Any] | Path) -> World:
    """Read a world from a mapping or from a YAML (or JSON) file; raises WorldError."""
    value: object = source
    if isinstance(source, Path):
        text = source.read_text()
        try:
            value = json.loads(text) if source.suffix == ".json" else yaml.load(text, _LOADER)
        except (yaml.YAMLError, ValueError) as error:
            raise WorldError(f"{source}: {' '.join(str(error).split())}") from None
    return _fill(build(World, value, "world"))


def _fill(world: World) -> World:
    """Put the real value wherever a field says AUTO, and check what the types cannot."""
    if not world.projects:
        raise WorldError("world.projects: at least one project is needed")
    for n, fault in enumerate(world.faults.issuers):
        if fault.refuse and fault.kind != "metadata":
            raise WorldError(f"world.faults.issuers[{n}].refuse: only kind metadata can refuse")
    settings = _fill_settings(world.settings, next(iter(world.projects)))
    accounts = world.accounts if world.accounts is not None else default_accounts(world, settings)
    projects = {
        name: _fill_project(name, project, settings) for name, project in world.projects.items()
    }
    return world.model_copy(
        update={"settings": settings, "accounts": accounts, "projects": projects}
    )


def _fill_settings(settings: Settings, project: str) -> Settings:
    domain = f"{project}.iam.gserviceaccount.com"
    defaults = {
        "identity": f"prometheus@{domain}",
        "impersonated": f"scraper@{domain}",
        "delegate": f"delegate@{domain}",
        "metadata_project": project,
    }
    filled = {name: _auto(getattr(settings, name), value) for name, value in defaults.items()}
    on_metadata = _auto(settings.metadata_identity, filled["identity"])
    return settings.model_copy(update=filled | {"metadata_identity": on_metadata})


def _auto(value: Any, default: Any) -> Any:
    return default if value == AUTO else value


def federated_principal(world: World) -> str:
    """The principal that a workload-identity-federation token stands for."""
    number = next(iter(world.projects.values())).number
    pool = f"projects/{number}/locations/global/workloadIdentityPools/emulator"
    return f"principal://iam.googleapis.com/{pool}/subject/runner"


def default_accounts(world: World, settings: Settings) -> dict[str, Account]:
    """Who may act as whom in a world that does not say."""
    federated = federated_principal(world)
    return {
        settings.identity: Account(token_creators=(settings.delegate, federated)),
        settings.delegate: Account(token_creators=(settings.user,)),
        settings.impersonated: Account(
            token_creators=(settings.user, settings.identity, federated)
        ),
    }


def _fill_project(name: str, project: Project, settings: Settings) -> Project:
    used = tuple(dict.fromkeys(service.region for service in project.services))
    regions = project.regions
    if regions is None:
        regions = tuple(dict.fromkeys((*used, "us-central1", "europe-west1")))
    where = f"world.projects.{name}"
    for region in (*regions, *project.restricted_regions):
        if region not in REGIONS:
            raise WorldError(f"{where}.regions: {region!r} is no Cloud Run region")
    seen: set[tuple[str, str]] = set()
    for n, service in enumerate(project.services):
        if service.region not in regions:
            raise WorldError(f"{where}.services[{n}].region: {service.region!r} is not in regions")
        if (service.region, service.name) in seen:
            raise WorldError(f"{where}.services[{n}]: {service.name!r} is there twice")
        seen.add((service.region, service.name))
    services = tuple(
        _fill_service(name, project, service, settings) for service in project.services
    )
    return project.model_copy(update={"regions": regions, "services": services})


def _fill_service(name: str, project: Project, service: Service, settings: Settings) -> Service:
    host = f"{service.name}-{service_hash(project.number, service.region)}"
    uri = _auto(service.uri, f"https://{host}-{abbreviation(service.region)}.a.run.app")
    of_number = f"https://{service.name}-{project.number}.{service.region}.run.app"
    of_function = f"https://{service.region}-{name}.cloudfunctions.net/{service.name}"
    functions = (of_function,) if service.function else ()
    urls = service.urls
    if urls is None:
        urls = (of_number, uri, *functions) if uri else ()
    revision = f"{service.name}-00001-{host[-3:]}" if service.ready else None
    invokers = service.invokers
    if invokers is None:
        invokers = (settings.identity, settings.impersonated)
    filled = service.model_copy(
        update={
            "uri": uri,
            "urls": urls,
            "uid": _auto(service.uid, _uid(f"{name}/{service.region}/{service.name}")),
            "latest_ready_revision": _auto(service.latest_ready_revision, revision),
            "invokers": invokers,
            "custom_audiences": (*service.custom_audiences, *functions),
            "traffic": tuple(_fill_traffic(target, uri) for target in service.traffic),
        }
    )
    filled._project = name  # noqa: SLF001 # no key of the world
    return filled


def _fill_traffic(target: Traffic, uri: str | None) -> Traffic:
    own = uri.replace("https://", f"https://{target.tag}---", 1) if target.tag and uri else ""
    return target.model_copy(update={"uri": _auto(target.uri, own)})


def service_hash(number: int, region: str) -> str:
    """Ten characters, the same for every service of a project and region, as Cloud Run has it."""
    digest = hashlib.sha256(f"{number}/{region}".encode()).digest()
    return "".join(_ALPHABET[byte % 32] for byte in digest[:10])


def _uid(key: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, key))


def big(projects: int = 10, regions: int = 40, services: int = 10_000) -> dict[str, Any]:
    """Make a world for benchmarks: *services* spread evenly over *projects* times *regions*."""
    names = [region for region in REGIONS if region != "me-central2"][:regions]
    scopes = [(f"project-{p:02}", region) for p in range(projects) for region in names]
    world: dict[str, Any] = {
        f"project-{p:02}": {"number": 100_000_000_000 + p, "regions": names, "services": []}
        for p in range(projects)
    }
    for n in range(services):
        project, region = scopes[n % len(scopes)]
        labels = {"team": f"team-{n % 17}", "env": "prod"}
        entry = {"name": f"svc-{n:05}", "region": region, "labels": labels, "max_instances": 1}
        world[project]["services"].append(entry)
    return {"projects": world}
