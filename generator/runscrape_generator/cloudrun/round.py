"""One round of listing: every project of a plan, side by side, all regions of each at once.

A project is one paged call for all of its regions. Regions that this leaves open are listed one by
one, and only their own answer counts. Where Google refuses to list all regions at once, each region
is listed (those that ``projects.locations.list`` names, or where a project that a search found
should have services). What fails is kept as a :class:`ScopeFailure`; half a scope is never given.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial

from google.api_core import exceptions

from runscrape_generator.cloudrun.calls import CallPool
from runscrape_generator.cloudrun.client import ALL_REGIONS, RunApi, ServicesPage
from runscrape_generator.cloudrun.credentials import Access
from runscrape_generator.cloudrun.failures import circumstances, failure, search_failure
from runscrape_generator.cloudrun.listing import Listing
from runscrape_generator.cloudrun.listing_progress import ListingProgress
from runscrape_generator.cloudrun.plan import Plan, ProjectPlan
from runscrape_generator.cloudrun.regions import list_regions
from runscrape_generator.cloudrun.remedies import error_reason
from runscrape_generator.cloudrun.rest import ListingError
from runscrape_generator.cloudrun.retries import Retries, is_outage, unwrapped
from runscrape_generator.config.settings import Settings
from runscrape_generator.model import Discovery, Scope, ScopeFailure, Service
from runscrape_generator.progress import Progress
from runscrape_generator.text import one_line, plural

log = logging.getLogger(__name__)

Regions = tuple[str, ...]
Outcome = ServicesPage | Regions | Exception
Key = str | Scope
"""A project whose regions are listed, or a scope whose services are."""


class Round:
    """What is known so far of a round of listing."""

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        access: Access,
        api: RunApi,
        retries: Retries,
    ) -> None:
        self._plan = plan
        self._only = tuple(dict.fromkeys(settings.regions))
        self._plans = {one.project: one for one in plan.projects}
        self._access = access
        self._api = api
        self._retries = retries
        self._about = circumstances(settings, access)
        self._concurrency = settings.concurrency
        self._calls: CallPool[Key, Outcome] = CallPool(settings.concurrency, settings.timeout)
        self._listings: dict[Scope, Listing] = {}
        self._scopes: dict[Scope, tuple[Service, ...]] = {}
        self._failures: list[ScopeFailure] = []
        self._unanswered = 0
        self._answered = False
        self.unauthorized = False
        """Whether a call was refused because nobody, or nobody known, made it."""

    def run(self, progress: Progress) -> Discovery:
        """List everything; the scopes and failures come out sorted."""
        for container, error in self._plan.failed.items():
            self._add(search_failure(error, container, self._about), error)
        for plan in self._plan.projects:
            self._list(plan, plan.some_of(self._only) if self._only else (ALL_REGIONS,))
        label = "regions" if self._only else "projects"
        with ListingProgress(progress, label, len(self._listings)) as shown:
            for key, outcome in self._calls.outcomes():
                self._take(key, outcome, shown)
                if isinstance(outcome, Exception) and self._is_down(outcome):
                    for waiting in self._calls.cancel_waiting():
                        self._take(waiting, outcome, shown)
        self._tell_unfound()
        return Discovery(
            scopes=dict(sorted(self._scopes.items())),
            failures=tuple(sorted(self._failures, key=lambda f: (f.project, f.region or ""))),
            listed=self._has_listed(),
        )

    def _has_listed(self) -> bool:
        """Say whether any project was listed, in any region; without one, whether a search was."""
        failed = {failure.project for failure in self._failures}
        whole = any(plan.project not in failed for plan in self._plan.projects)
        searched = self._plan.searched and not self._plan.projects
        return bool(self._scopes) or whole or searched

    def _tell_unfound(self) -> None:
        """Name the projects that stay for the inventory alone; a search that failed proves none."""
        if self._plan.failed:
            return
        there = {scope.project for scope, services in self._scopes.items() if services}
        there |= {failure.project for failure in self._failures}
        for plan in self._plan.projects:
            if plan.project in there and not (plan.named or plan.found):
                log.warning(
                    f"project {plan.project}: the search does not find it and it has services, so "
                    "they stay; if it is no longer to be listed, take its scopes out of the "
                    "inventory"
                )

    def _list(self, plan: ProjectPlan, regions: Iterable[str]) -> None:
        for region in sorted(regions):
            scope = Scope(plan.project, region)
            self._listings[scope] = Listing(scope)
            self._calls.submit(scope, partial(self._api.page, scope, "", 1))

    def _take(self, key: Key, outcome: Outcome, shown: ListingProgress) -> None:
        before = len(self._listings)
        if isinstance(key, str):
            self._take_regions(self._plans[key], outcome)
        elif isinstance(outcome, ServicesPage):
            if self._take_page(self._listings[key], outcome):
                shown.listed(first=self._is_first(key))
        elif isinstance(outcome, Exception):
            self._take_error(key, outcome)
            shown.listed(first=self._is_first(key))
        shown.more(len(self._listings) - before)

    def _is_first(self, scope: Scope) -> bool:
        """Say whether a scope was listed to begin with, and not for what another left open."""
        return bool(self._only) or scope.region == ALL_REGIONS

    def _take_page(self, listing: Listing, page: ServicesPage) -> bool:
        """Ask for the page after this one; or keep what was listed, and give True."""
        self._answered = True
        scope = listing.scope
        try:
            token = listing.add(page)
        except ListingError as error:
            self._take_error(scope, error)
            return True
        if token:
            call = partial(self._api.page, scope, token, listing.pages + 1)
            self._calls.submit(scope, call)
            return False
        log.debug(_told(listing))
        if scope.region == ALL_REGIONS:
            self._take_all_regions(self._plans[scope.project], listing)
        else:
            self._scopes[scope] = listing.by_region().get(scope.region, ())
        return True

    def _take_all_regions(self, plan: ProjectPlan, listing: Listing) -> None:
        regions = listing.by_region()
        again, still_empty = plan.to_ask_again(regions, listing.unreachable)
        for region in regions.keys() - again:
            self._scopes[Scope(plan.project, region)] = regions[region]
        for region in still_empty:
            self._scopes[Scope(plan.project, region)] = ()
        self._list(plan, again)

    def _take_error(self, scope: Scope, error: Exception) -> None:
        """Fail a scope, unless the error means that there is nothing, or another way to ask."""
        plan = self._plans[scope.project]
        cause = unwrapped(error)[1]
        reason = error_reason(cause)
        if reason == "LOCATION_POLICY_VIOLATED" and scope.region != ALL_REGIONS:
            if scope.region in self._only or plan.known.get(scope.region):
                self._fail(plan, scope.region, error)
            else:
                log.debug(f"{scope.key}: not available to this project")
        elif scope.region == ALL_REGIONS and _may_be_listed_singly(cause, reason):
            log.debug(f"{plan.project}: not all regions at once: {one_line(cause)}")
            self._list_region_by_region(plan)
        elif not plan.named and _has_none(plan, reason):
            log.debug(f"{plan.project}: no services: {one_line(cause)}")
        else:
            self._fail(plan, None if scope.region == ALL_REGIONS else scope.region, error)

    def _list_region_by_region(self, plan: ProjectPlan) -> None:
        if plan.named:
            call = partial(list_regions, self._access, self._retries, plan.project)
            self._calls.submit(plan.project, call)
        else:
            self._list(plan, plan.found | plan.known.keys())

    def _take_regions(self, plan: ProjectPlan, outcome: Outcome) -> None:
        if isinstance(outcome, tuple):
            self._answered = True
            log.debug(f"{plan.project}: {plural(len(outcome), 'region')}")
            self._list(plan, plan.expected.union(outcome))
        elif isinstance(outcome, Exception):
            self._fail(plan, None, outcome)

    def _fail(self, plan: ProjectPlan, region: str | None, error: Exception) -> None:
        self._add(failure(error, plan.project, region, self._about), error)

    def _add(self, one: ScopeFailure, error: Exception) -> None:
        self.unauthorized |= isinstance(unwrapped(error)[1], exceptions.Unauthorized)
        self._failures.append(one)
        log.debug(f"{one.where}: {one.reason}")

    def _is_down(self, error: Exception) -> bool:
        """Say whether as many calls as are made at once went unanswered, and none was answered.

        With Google out of reach, 400 scopes would else cost 13 timeouts one after the other. One
        answer, even a refusal, is enough to give every scope its chance: a region that is down
        may well take all the places at once.
        """
        if is_outage(error):
            self._unanswered += 1
        else:
            self._answered = True
        return not self._answered and self._unanswered >= self._concurrency


def _has_none(plan: ProjectPlan, reason: str | None) -> bool:
    """Say whether a project that nobody named has no services, as it cannot be listed.

    Its API is off, and the inventory knows of no services; or Google says that it is shut down,
    and the search does not find it either.
    """
    if reason == "SERVICE_DISABLED":
        return not plan.has_services
    return reason == "CONSUMER_INVALID" and not plan.found


def _may_be_listed_singly(error: BaseException, reason: str | None) -> bool:
    """Say whether each region may be listed though all of them at once cannot.

    INVALID_ARGUMENT, NOT_FOUND and UNIMPLEMENTED; that one of the regions is not available, or
    that there was no answer in time, since that may be for one of the regions.
    """
    refused = (
        exceptions.BadRequest,
        exceptions.NotFound,
        exceptions.MethodNotImplemented,
        exceptions.GatewayTimeout,  # and DEADLINE_EXCEEDED
        TimeoutError,
    )
    return reason == "LOCATION_POLICY_VIOLATED" or isinstance(error, refused)


def _told(listing: Listing) -> str:
    """Say what a listing came to: ``demo: 4 services in 2 regions on 1 page in 0.05 s``."""
    regions = listing.by_region()
    services = plural(sum(map(len, regions.values())), "service")
    where, scope = "", listing.scope
    if scope.region == ALL_REGIONS:
        where = f" in {plural(len(regions), 'region')}"
    name = scope.project if where else scope.key
    spent = f"on {plural(listing.pages, 'page')} in {listing.seconds:.2f} s"
    return f"{name}: {services}{where} {spent}"
