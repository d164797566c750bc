"""What the Admin API says now of the services behind the targets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from runscrape_generator.cloudrun.discovery import discover
from runscrape_generator.cloudrun.policies import INVOKER, Policies, UnreadableError
from runscrape_generator.config.settings import Settings
from runscrape_generator.doctor.evidence import Evidence, Facts
from runscrape_generator.doctor.targets import Target
from runscrape_generator.errors import RunscrapeError
from runscrape_generator.model import Discovery, Scope, Service
from runscrape_generator.progress import Progress

LISTING_SECONDS = 15.0
"""Seconds at most for listing a scope: the scrapes matter, this only explains them."""
_PERIMETER = "VPC Service Controls"


@dataclass(frozen=True, slots=True)
class Listed:
    """The services of the projects that targets are in, as far as they could be listed."""

    scopes: Mapping[Scope, Mapping[str, Service]] = field(default_factory=dict)
    """By scope and name."""
    problems: Mapping[tuple[str, str | None], str] = field(default_factory=dict)
    """Why a region of a project (None: the project) could not be listed."""
    problem: str = ""
    """Why nothing could be listed at all."""

    def about(self, targets: Iterable[Target]) -> tuple[str, ...]:
        """Say why facts are missing for some of the targets, each reason once."""
        problems = (self.of(each).problem for each in targets if each.place[2])
        return tuple(dict.fromkeys(filter(None, problems)))

    @classmethod
    def of_discovery(cls, found: Discovery) -> Listed:
        """Make it of one round of listing."""
        return cls(
            scopes={s: {one.name: one for one in some} for s, some in found.scopes.items()},
            problems={
                (each.project, each.region): f"{each.reason}; {each.remedy}"
                for each in found.failures
            },
        )

    def of(self, target: Target) -> Facts:
        """Give what is known of the service behind a target."""
        project, region, name = target.place
        if not name:
            return Facts(problem="nobody says which service this is")
        services = self.scopes.get(Scope(project, region))
        if services is not None:
            return Facts(service=services.get(name), listed=True)
        of_project = self.problems.get((project, None)) or self.problem
        problem = self.problems.get((project, region)) or of_project
        if not problem and project:
            # Listed, and nothing is in that region any more.
            return Facts(listed=any(scope.project == project for scope in self.scopes))
        return Facts(problem=problem, perimeter=_PERIMETER in problem)


def with_facts(found: Iterable[Evidence], listed: Listed, settings: Settings) -> Iterator[Evidence]:
    """Add what is known of the service behind each target; who may invoke it, if it refused."""
    every = [dataclasses.replace(each, facts=listed.of(each.target)) for each in found]
    services = (each.service for each in every if each.status == HTTPStatus.FORBIDDEN)
    refused = {service.id: service for service in services if service is not None}
    grants = _invokers(refused.values(), settings) if refused else {}
    for each in every:
        invokers = grants.get(each.service.id) if each.service else None
        facts = dataclasses.replace(each.facts, invokers=invokers)
        yield dataclasses.replace(each, facts=facts)


def _invokers(services: Iterable[Service], settings: Settings) -> Mapping[str, frozenset[str]]:
    """Read who may invoke each service by its own policy, by its id; left out what is not told."""
    try:
        policies = Policies(settings)
    except UnreadableError:
        return {}
    return {
        key: found.get(INVOKER, frozenset())
        for key, found in policies.of_services(services, settings.concurrency).items()
        if not isinstance(found, Exception)
    }


def listed(targets: Iterable[Target], settings: Settings, progress: Progress) -> Listed:
    """List the projects of the targets; whatever fails is in the result."""
    places = [target.place for target in targets]
    projects = tuple(sorted({project for project, _, name in places if project and name}))
    if not projects:
        return Listed(problem="no target says which project it is in")
    wanted = dataclasses.replace(
        settings,
        projects=projects,
        folders=(),
        organizations=(),
        timeout=min(settings.timeout, LISTING_SECONDS),
    )
    try:
        return Listed.of_discovery(discover(wanted, {}, progress))
    except RunscrapeError as error:
        return Listed(problem=str(error))
