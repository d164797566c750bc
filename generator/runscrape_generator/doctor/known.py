"""The services that are known: those of the inventory, else those that Google lists now."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from runscrape_generator.cloudrun.discovery import discover
from runscrape_generator.config.settings import Settings
from runscrape_generator.doctor.facts import Listed
from runscrape_generator.doctor.remedies import WITH_NUMBER
from runscrape_generator.doctor.targets import Target
from runscrape_generator.model import Service
from runscrape_generator.progress import Progress
from runscrape_generator.publish import inventory
from runscrape_generator.selection.decide import decide


@dataclass(frozen=True, kw_only=True)
class KnownServices:
    """Services, and where they are known from."""

    services: tuple[Service, ...] = ()
    audiences: frozenset[str] = frozenset()
    """What the inventory would have the proxy mint for; empty without an inventory."""
    listed: Listed | None = None
    """What Google listed, where there was no inventory."""

    @property
    def unlisted(self) -> tuple[str, ...]:
        """What Google did not list, so that its services are not known, each with the reason."""
        problems = self.listed.problems if self.listed is not None else {}
        return tuple(
            f"{project}{f'/{region}' if region else ''} could not be listed: {why}"
            for (project, region), why in problems.items()
        )

    @cached_property
    def by_host(self) -> Mapping[str, Service]:
        """The service that answers at each host."""
        return {
            urlsplit(url).hostname or "": service
            for service in self.services
            for url in (service.uri, *service.urls, *service.tag_urls)
            if url
        }

    @cached_property
    def by_place(self) -> Mapping[tuple[str, str, str], Service]:
        """Each service by project, region and name."""
        return {(one.project, one.region, one.name): one for one in self.services}


def known_services(settings: Settings, progress: Progress) -> KnownServices:
    """Read the inventory, or list the services where there is none."""
    path = settings.inventory_path
    before = inventory.load(path) if path is not None else None
    if before is not None:
        services = tuple(one for found in before.scopes.values() for one in found)
        return KnownServices(services=services, audiences=_audiences(services, settings))
    found = discover(settings, {}, progress)
    services = tuple(one for some in found.scopes.values() for one in some)
    return KnownServices(services=services, listed=Listed.of_discovery(found))


def _audiences(services: tuple[Service, ...], settings: Settings) -> frozenset[str]:
    decided = decide(services, settings)
    return frozenset(end.audience for each in decided for end in each.endpoints if end.audience)


def attach(target: Target, known: KnownServices) -> Target:
    """Find the service behind a target of a job that was written by hand, if anything tells."""
    host = target.host
    by_place = known.by_place
    service = by_place.get(target.place) or by_place.get(_meta_place(target))
    service = service or known.by_host.get(host)
    if service is not None:
        return dataclasses.replace(target, service=service)
    match = WITH_NUMBER.fullmatch(host)
    if match is None or target.place[2]:
        return target
    labels = {
        **target.labels,
        "project_id": match["number"],
        "location": match["region"],
        "service_name": match["name"],
    }
    return dataclasses.replace(target, labels=labels)


def _meta_place(target: Target) -> tuple[str, str, str]:
    names = (f"__meta_cloudrun_{each}" for each in ("project", "region", "service"))
    project, region, name = (target.meta.get(each, "") for each in names)
    return project, region, name
