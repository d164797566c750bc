"""What exists: every service of every scope that the settings ask for.

Discovery is: an access token, the searches of folders and organisations, then a round of listing
(:mod:`runscrape_generator.cloudrun.round`).
"""

from __future__ import annotations

import logging

from runscrape_generator.cloudrun.calls import CallPool
from runscrape_generator.cloudrun.client import RunApi
from runscrape_generator.cloudrun.credentials import Access, open_access, with_credentials
from runscrape_generator.cloudrun.failures import circumstances, failure, search_failure
from runscrape_generator.cloudrun.plan import containers, with_search, without_search
from runscrape_generator.cloudrun.recall import LastKnown
from runscrape_generator.cloudrun.retries import Retries
from runscrape_generator.cloudrun.round import Round
from runscrape_generator.config.settings import Settings
from runscrape_generator.model import Discovery
from runscrape_generator.progress import Progress
from runscrape_generator.text import one_line

log = logging.getLogger(__name__)


def discover(settings: Settings, known: LastKnown, progress: Progress) -> Discovery:
    """List every scope that the settings ask for; ``known`` is what the inventory has.

    Blocks for ``settings.timeout`` seconds a call at most, and can be interrupted by a signal
    handler that raises. Raises ConfigError or DiscoveryError where nothing says what to list;
    everything else that fails is in the result.
    """
    access = open_access(settings)
    access.network.proxy(access.address.url)  # a mistake in it is said before anything is called
    problem = _sign_in(access, settings)
    if problem is not None:
        return _nothing(settings, access, known, problem)
    found, unauthorized = _listed(settings, access, known, progress)
    if not (unauthorized and access.address.plaintext and access.address.loopback):
        return found
    access = with_credentials(access)
    problem = _sign_in(access, settings)
    if problem is not None:
        log.warning(f"{access.address.url} wants credentials: {one_line(problem)}")
        return found
    log.debug(f"{access.address.url} wants credentials, and is on this machine: it gets them")
    return _listed(settings, access, known, progress)[0]


def _listed(
    settings: Settings, access: Access, known: LastKnown, progress: Progress
) -> tuple[Discovery, bool]:
    """List all there is; also whether any call failed for want of (other) credentials."""
    retries = Retries()
    api = RunApi(access, retries)
    try:
        plan = with_search(settings, access, retries, known, progress)
        listing = Round(settings, plan, access, api, retries)
        return listing.run(progress), listing.unauthorized
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


def _nothing(settings: Settings, access: Access, known: LastKnown, problem: Exception) -> Discovery:
    """Report that everything failed, for one reason."""
    about = circumstances(settings, access)
    plan = without_search(settings, access, known)
    regions = tuple(dict.fromkeys(settings.regions))
    searches = (search_failure(problem, name, about) for name in containers(settings))
    projects = (
        failure(problem, one.project, region, about)
        for one in plan.projects
        for region in (one.some_of(regions) if regions else (None,))
    )
    return Discovery(scopes={}, failures=(*searches, *projects))
