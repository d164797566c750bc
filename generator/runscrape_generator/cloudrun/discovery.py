"""What exists: every service of every scope, all scopes listed side by side.

A round of listing is: a token for the credentials, the regions of each project (unless
``--region`` says them), the services of each project in each region. A scope starts as soon as it
is known. What fails is kept as a :class:`ScopeFailure`; half a scope is never returned.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from functools import partial

from google.api_core import exceptions

from runscrape_generator.cloudrun.calls import CallPool
from runscrape_generator.cloudrun.client import Listing, RunApi
from runscrape_generator.cloudrun.credentials import Access, open_access, with_credentials
from runscrape_generator.cloudrun.failures import Circumstances, failure, not_available
from runscrape_generator.cloudrun.recall import LastKnown
from runscrape_generator.cloudrun.regions import list_regions
from runscrape_generator.cloudrun.retries import Retries, is_outage, unwrapped
from runscrape_generator.config.settings import Settings
from runscrape_generator.model import Discovery, Scope, ScopeFailure, Service
from runscrape_generator.progress import Progress
from runscrape_generator.text import one_line

log = logging.getLogger(__name__)

Regions = tuple[str, ...]


def discover(settings: Settings, _known: LastKnown, progress: Progress) -> Discovery:
    """List every scope that the settings ask for.

    ``known`` is what the inventory has.

    Blocks for ``settings.timeout`` seconds a scope at most, and can be interrupted by a signal
    handler that raises. Raises ConfigError or DiscoveryError where not even the projects are
    known; everything else that fails is in the result.
    """
    access = open_access(settings)
    problem = _sign_in(access, settings)
    if problem is not None:
        return _nothing(access, settings, problem)
    found, unauthorized = _listed(settings, progress, access)
    if not (unauthorized and access.address.plaintext and access.address.loopback):
        return found
    access = with_credentials(access)
    problem = _sign_in(access, settings)
    if problem is not None:
        log.warning(f"{access.address.url} wants credentials: {one_line(problem)}")
        return found
    log.debug(f"{access.address.url} wants credentials, and is on this machine: it gets them")
    return _listed(settings, progress, access)[0]


def _listed(settings: Settings, progress: Progress, access: Access) -> tuple[Discovery, bool]:
    """List all there is; also whether any call failed for want of (other) credentials."""
    retries = Retries()
    api = RunApi(access, retries)
    try:
        listing = _Round(settings, progress, access, api, retries)
        return listing.run(), listing.unauthorized
    finally:
        api.close()


def _sign_in(access: Access, settings: Settings) -> Exception | None:
    """Get the one access token of the round, so that 32 calls do not each get one."""
    if access.credentials is None:
        return access.problem
    retries = Retries()

    def sign_in(until: float) -> None:
        retries.call("access token", until, lambda _: access.refresh())

    calls: CallPool[str, None] = CallPool(1, settings.timeout)
    calls.submit("", sign_in)
    try:
        (_, outcome), *_rest = calls.outcomes()
    finally:
        retries.stop()
    return outcome


def _nothing(access: Access, settings: Settings, problem: Exception) -> Discovery:
    """Report that every scope failed, for one reason."""
    about = _circumstances(access, settings)
    regions = tuple(dict.fromkeys(settings.regions)) or (None,)
    return Discovery(
        scopes={},
        failures=tuple(failure(problem, p, r, about) for p in access.projects for r in regions),
    )


def _circumstances(access: Access, settings: Settings) -> Circumstances:
    return Circumstances(
        member=access.member,
        quota_project=getattr(access.credentials, "quota_project_id", None) or "",
        endpoint=access.address.target,
        plaintext=access.address.plaintext and not access.address.loopback,
        timeout=settings.timeout,
    )


class _Round:
    """One round of listing, with what is known so far."""

    def __init__(
        self,
        settings: Settings,
        progress: Progress,
        access: Access,
        api: RunApi,
        retries: Retries,
    ) -> None:
        self._settings = settings
        self._progress = progress
        self._access = access
        self._api = api
        self._retries = retries
        self._calls: CallPool[str | Scope, Listing | Regions] = CallPool(
            settings.concurrency, settings.timeout
        )
        self._scopes: dict[Scope, tuple[Service, ...]] = {}
        self._failures: list[ScopeFailure] = []
        self._unanswered = 0
        self._answered = False
        self.unauthorized = False
        """Whether a call was refused because nobody, or nobody known, made it."""

    def run(self) -> Discovery:
        """List everything; the scopes and failures come out sorted."""
        regions = tuple(dict.fromkeys(self._settings.regions))
        for project in self._access.projects:
            if regions:
                self._add(project, regions)
            else:
                self._calls.submit(
                    project, partial(list_regions, self._access, self._retries, project)
                )
        self._collect()
        return Discovery(
            scopes=dict(sorted(self._scopes.items())),
            failures=tuple(sorted(self._failures, key=lambda f: (f.project, f.region or ""))),
        )

    def _add(self, project: str, regions: tuple[str, ...]) -> None:
        for region in regions:
            scope = Scope(project, region)
            self._calls.submit(scope, partial(self._api.services, scope))

    def _collect(self) -> None:
        """Take the outcomes as they come; each project's regions bring new scopes to list."""
        projects, regions = len(self._access.projects), len(set(self._settings.regions))
        with _Progress(self._progress, projects, regions) as progress:
            for key, outcome in self._calls.outcomes():
                self._take(key, outcome, progress)
                if isinstance(outcome, Exception) and self._is_down(outcome):
                    for other in self._calls.cancel_waiting():
                        self._take(other, outcome, progress)

    def _take(
        self, key: str | Scope, outcome: Listing | Regions | Exception, progress: _Progress
    ) -> None:
        if isinstance(key, Scope):
            self._take_services(key, outcome)
            progress.listed()
        else:
            progress.regions(self._take_regions(key, outcome))

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
        return not self._answered and self._unanswered >= self._settings.concurrency

    def _take_services(self, scope: Scope, outcome: Listing | Regions | Exception) -> None:
        if isinstance(outcome, Listing):
            self._answered = True
            self._scopes[scope] = outcome.services
            log.debug(
                f"{scope.key}: {len(outcome.services)} services on {outcome.pages} "
                f"page{'s' if outcome.pages > 1 else ''} in {outcome.seconds:.2f} s"
            )
        elif isinstance(outcome, Exception):
            self._fail(scope.project, scope.region, outcome)

    def _take_regions(self, project: str, outcome: Listing | Regions | Exception) -> int:
        """Queue a project's scopes; gives their number."""
        if isinstance(outcome, tuple):
            log.debug(f"{project}: {len(outcome)} regions")
            self._add(project, outcome)
            return len(outcome)
        if isinstance(outcome, Exception):
            self._fail(project, None, outcome)
        return 0

    def _fail(self, project: str, region: str | None, error: Exception) -> None:
        cause = unwrapped(error)[1]
        if not self._settings.regions and region and not_available(cause):
            log.debug(f"{project}/{region}: not available to this project")
            return
        self.unauthorized |= isinstance(cause, exceptions.Unauthorized)
        one = failure(error, project, region, _circumstances(self._access, self._settings))
        self._failures.append(one)
        log.debug(f"{project}{f'/{region}' if region else ''}: {one.reason}")


class _Progress(contextlib.ExitStack):
    """A bar over the projects until the regions of all are known, then one over the scopes."""

    def __init__(self, progress: Progress, projects: int, regions: int) -> None:
        super().__init__()
        self._progress = progress
        self._unknown = 0 if regions else projects
        self._total = projects * regions
        self._done = 0
        self._advance: Callable[[int], None]
        if regions:
            self._advance = self.enter_context(progress("services", self._total))
        else:
            self._advance = self.enter_context(progress("regions", projects))

    def regions(self, count: int) -> None:
        """Say that one more project's regions are known."""
        self._advance(1)
        self._total += count
        self._unknown -= 1
        if not self._unknown:
            self.close()
            self._advance = self.enter_context(self._progress("services", self._total))
            self._advance(self._done)

    def listed(self) -> None:
        """Say that one more scope is done."""
        self._done += 1
        if not self._unknown:
            self._advance(1)
