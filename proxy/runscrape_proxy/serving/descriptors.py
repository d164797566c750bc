"""How many connections the limit of open files has room for."""

from __future__ import annotations

import dataclasses
import logging
import resource
from typing import TYPE_CHECKING

from runscrape_proxy.errors import StartError
from runscrape_proxy.settings import WARM_THREADS

if TYPE_CHECKING:
    from runscrape_proxy.settings import Settings

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 16_384
SPARE_DESCRIPTORS = 256
"""For calls to Google, files and the interpreter; the rest of the limit is for connections."""


def raise_limit(spare: int = SPARE_DESCRIPTORS) -> int:
    """Raise the limit of open files as far as it goes, and say how many connections fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + spare
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit - spare


def needed(settings: Settings, threads: int) -> int:
    """How many descriptors it takes to serve with so many threads (beside the gateway's)."""
    spare = SPARE_DESCRIPTORS + settings.gateway_descriptors
    return spare + settings.gateway_threads + threads


def fit(settings: Settings) -> tuple[Settings, int]:
    """Let no more requests wait than leave room for the warm ones.

    Returns the settings with as many threads as can be used, and how many connections fit. Raises
    StartError, which says how many descriptors are needed.
    """
    spare = SPARE_DESCRIPTORS + settings.gateway_descriptors
    connections = raise_limit(spare)
    threads = connections - settings.gateway_threads
    if threads >= settings.threads:
        return settings, connections
    if threads <= WARM_THREADS:
        lower = "lower --gateway-concurrency and --gateway-connections, or "
        hint = lower if settings.gateway else ""
        raise StartError(
            f"the limit of open files (ulimit -Hn), {connections + spare}, leaves"
            f" {max(0, connections)} connections; {hint}raise it: at least"
            f" {needed(settings, WARM_THREADS + 1)} are needed,"
            f" {needed(settings, settings.threads)} for --threads {settings.threads}"
        )
    log.warning("the limit of open files leaves %d threads of %d", threads, settings.threads)
    return dataclasses.replace(settings, threads=threads), connections
