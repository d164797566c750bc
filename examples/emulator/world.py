"""Loads a world: reads it, puts real values where it says nothing, refuses what cannot be."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from emulator.model import AUTO, Account, Project, Service, Settings, Traffic, World
from emulator.regions import REGIONS, abbreviation
from emulator.schema import WorldError, build

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


def load(source: Mapping[str, Any] | Path) -> World:
    """Read a world from a mapping or from a YAML (or JSON) file; raises WorldError."""
    value: object = source
    if isinstance(source, Path):
        text = source.read_text()
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            value = json.loads(text) if source.suffix == ".json" else yaml.load(text, loader)
        except (yaml.YAMLError, ValueError) as error:
            raise WorldError(f"{source}: {error}") from None
    return _fill(build(World, value, "world"))


def _fill(world: World) -> World:
    """Put the real value wherever a field says AUTO, and check what the types cannot."""
    if not world.projects:
        raise WorldError("world.projects: at least one project is needed")
    for n, fault in enumerate(world.faults.issuers):
        if fault.refuse and fault.kind != "metadata":
            raise WorldError(f"world.faults.issuers[{n}].refuse: only kind metadata can refuse")
    first = next(iter(world.projects))
    settings = _fill_settings(world.settings, first)
    accounts = world.accounts if world.accounts is not None else default_accounts(world, settings)
    projects = {
        name: _fill_project(name, project, settings) for name, project in world.projects.items()
    }
    return dataclasses.replace(world, settings=settings, accounts=accounts, projects=projects)


def _fill_settings(settings: Settings, project: str) -> Settings:
    def auto(value: str, default: str) -> str:
        return default if value == AUTO else value

    domain = f"{project}.iam.gserviceaccount.com"
    identity = auto(settings.identity, f"prometheus@{domain}")
    on_metadata = settings.metadata_identity
    return dataclasses.replace(
        settings,
        identity=identity,
        impersonated=auto(settings.impersonated, f"scraper@{domain}"),
        delegate=auto(settings.delegate, f"delegate@{domain}"),
        metadata_identity=on_metadata if on_metadata is None else auto(on_metadata, identity),
        metadata_project=auto(settings.metadata_project, project),
    )


def federated_principal(world: World) -> str:
    """The principal that a workload-identity-federation token stands for."""
    number = next(iter(world.projects.values())).number
    pool = f"projects/{number}/locations/global/workloadIdentityPools/emulator"
    return f"principal://iam.googleapis.com/{pool}/subject/runner"


def default_accounts(world: World, settings: Settings) -> dict[str, Account]:
    """Who may act as whom in a world that does not say."""
    federated = federated_principal(world)
    return {
        settings.identity: Account((settings.delegate, federated)),
        settings.delegate: Account((settings.user,)),
        settings.impersonated: Account((settings.user, settings.identity, federated)),
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
    return dataclasses.replace(project, regions=regions, services=services)


def _fill_service(name: str, project: Project, service: Service, settings: Settings) -> Service:
    host = f"{service.name}-{service_hash(project.number, service.region)}"
    suffix = f"{abbreviation(service.region)}.a.run.app"
    uri = f"https://{host}-{suffix}" if service.uri == AUTO else service.uri
    deterministic = f"https://{service.name}-{project.number}.{service.region}.run.app"
    urls = service.urls
    if urls is None:
        urls = (deterministic, uri) if uri else ()
    revision = f"{service.name}-00001-{host[-3:]}" if service.ready else None
    if service.latest_ready_revision != AUTO:
        revision = service.latest_ready_revision
    uid = str(_uuid(f"{name}/{service.region}/{service.name}"))
    filled = dataclasses.replace(
        service,
        uri=uri,
        urls=urls,
        uid=uid if service.uid == AUTO else service.uid,
        latest_ready_revision=revision,
        invokers=(settings.identity, settings.impersonated)
        if service.invokers is None
        else service.invokers,
        traffic=tuple(_fill_traffic(target, uri) for target in service.traffic),
    )
    object.__setattr__(filled, "project", name)
    return filled


def _fill_traffic(target: Traffic, uri: str | None) -> Traffic:
    if target.uri != AUTO:
        return target
    tagged = target.tag and uri
    own = uri.replace("https://", f"https://{target.tag}---", 1) if tagged and uri else ""
    return dataclasses.replace(target, uri=own)


def service_hash(number: int, region: str) -> str:
    """Ten characters, the same for every service of a project and region, as Cloud Run has it."""
    digest = hashlib.sha256(f"{number}/{region}".encode()).digest()
    return "".join(_ALPHABET[byte % 32] for byte in digest[:10])


def _uuid(text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))


def big(projects: int = 10, regions: int = 40, services: int = 10_000) -> dict[str, Any]:
    """Make a world for benchmarks: *services* spread evenly over *projects* times *regions*."""
    names = [region for region in REGIONS if region != "me-central2"][:regions]
    scopes = [(f"project-{p:02}", region) for p in range(projects) for region in names]
    world: dict[str, Any] = {
        f"project-{p:02}": {
            "number": 100_000_000_000 + p,
            "regions": names,
            "services": [],
        }
        for p in range(projects)
    }
    for n in range(services):
        project, region = scopes[n % len(scopes)]
        labels = {"team": f"team-{n % 17}", "env": "prod"}
        entry = {"name": f"svc-{n:05}", "region": region, "labels": labels, "max_instances": 1}
        world[project]["services"].append(entry)
    return {"projects": world}
