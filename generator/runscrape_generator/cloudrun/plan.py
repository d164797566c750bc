"""Which projects to list, and what is known of each before: named, found by a search, or known."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from runscrape_generator.cloudrun.calls import CallPool
from runscrape_generator.cloudrun.credentials import Access
from runscrape_generator.cloudrun.recall import LastKnown
from runscrape_generator.cloudrun.rest import ListingError
from runscrape_generator.cloudrun.retries import Retries
from runscrape_generator.cloudrun.search import Hit, SearchPage, search_page
from runscrape_generator.config.settings import Settings
from runscrape_generator.progress import Progress
from runscrape_generator.text import plural

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPlan:
    """A project to list."""

    project: str
    named: bool
    """Whether ``--project`` names it, or the credentials where no option says what to list."""
    found: frozenset[str]
    """The regions where the search found services."""
    known: Mapping[str, bool]
    """The regions that the inventory has, and whether it has services there."""

    @property
    def expected(self) -> frozenset[str]:
        """The regions where there should be services."""
        return self.found | {region for region, services in self.known.items() if services}

    @property
    def has_services(self) -> bool:
        """Whether the inventory has services of it."""
        return any(self.known.values())

    def to_ask_again(
        self, listed: Iterable[str], unreachable: frozenset[str]
    ) -> tuple[frozenset[str], frozenset[str]]:
        """Say which regions a listing of all regions leaves open, and which are empty as before.

        Open are the regions that Google did not reach (of a project that a search found: if there
        should be services), and those where there should be services and none were listed.
        """
        listed = frozenset(listed)
        missed = unreachable if self.named else unreachable & self.expected
        again = missed | (self.expected - listed)
        return again, frozenset(self.known) - listed - again

    def some_of(self, regions: Iterable[str]) -> tuple[str, ...]:
        """Choose from the regions of ``--region``: for a project that was found, those it uses."""
        used = self.found | self.known.keys()
        return tuple(region for region in regions if self.named or region in used)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to list, and what became of the searches."""

    projects: tuple[ProjectPlan, ...]
    searched: bool
    """Whether any search was answered."""
    failed: Mapping[str, Exception]
    """By ``folders/ID`` or ``organizations/ID``."""


def containers(settings: Settings) -> tuple[str, ...]:
    """Name what to search, as the API does: ``organizations/ID``, ``folders/ID``."""
    named = [f"organizations/{one}" for one in settings.organizations]
    named += [f"folders/{one}" for one in settings.folders]
    return tuple(dict.fromkeys(named))


def without_search(settings: Settings, access: Access, known: LastKnown) -> Plan:
    """Plan with what is known already."""
    return _plan(settings, access, known, {}, {})


def with_search(
    settings: Settings, access: Access, retries: Retries, known: LastKnown, progress: Progress
) -> Plan:
    """Search the folders and organisations of the settings, if any, and plan.

    A search that fails is in the result; what else is known is listed all the same.
    """
    found: dict[str, set[Hit]] = {name: set() for name in containers(settings)}
    failed: dict[str, Exception] = {}
    if found:
        with progress("searching", len(found)) as advance:
            for name, outcome in _searched(settings, access, retries, found):
                if outcome is not None:
                    failed[name] = outcome
                advance(1)
    return _plan(settings, access, known, found, failed)


def _searched(
    settings: Settings, access: Access, retries: Retries, found: Mapping[str, set[Hit]]
) -> Iterable[tuple[str, Exception | None]]:
    """Fill in what is found, page by page; gives each search as it ends, with its error if any."""
    calls: CallPool[tuple[str, int], SearchPage] = CallPool(settings.concurrency, settings.timeout)
    tokens: dict[str, set[str]] = {name: {""} for name in found}
    for name in found:
        calls.submit((name, 1), partial(search_page, access, retries, name, ""))
    for (name, number), outcome in calls.outcomes():
        if isinstance(outcome, Exception):
            yield name, outcome
            continue
        found[name].update(outcome.hits)
        token = outcome.next_token
        if not token:
            projects = plural(len({hit.project for hit in found[name]}), "project")
            log.debug(f"{name}: services in {projects}, found on {plural(number, 'page')}")
            yield name, None
        elif token in tokens[name]:
            yield name, ListingError(f"page {number} of the search leads back to an earlier page")
        else:
            tokens[name].add(token)
            calls.submit((name, number + 1), partial(search_page, access, retries, name, token))


def _plan(
    settings: Settings,
    access: Access,
    known: LastKnown,
    found: Mapping[str, set[Hit]],
    failed: Mapping[str, Exception],
) -> Plan:
    hits = {hit for some in found.values() for hit in some}
    ids = {hit.number: hit.project for hit in hits if not hit.project.isdigit()}
    named = dict.fromkeys(ids.get(project, project) for project in access.projects)
    regions: dict[str, set[str]] = {project: set() for project in named}
    for hit in sorted(hits, key=lambda hit: (hit.project, hit.region)):
        regions.setdefault(ids.get(hit.project, hit.project), set()).add(hit.region)
    known_regions: dict[str, dict[str, bool]] = {}
    for scope, services in known.items():
        known_regions.setdefault(scope.project, {})[scope.region] = bool(services)
    if containers(settings):
        for project in known_regions.keys() - ids.keys():
            regions.setdefault(project, set())
    return Plan(
        tuple(
            ProjectPlan(
                project=project,
                named=project in named,
                found=frozenset(regions[project]),
                known=known_regions.get(project, {}),
            )
            for project in (*named, *sorted(regions.keys() - named.keys()))
        ),
        searched=len(failed) < len(found),
        failed=failed,
    )
