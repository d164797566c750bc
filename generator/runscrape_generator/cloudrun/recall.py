"""What exists, as far as is known: what was listed now, and the last known state of what was not.

The last known state is the inventory's: the services of each scope, as the last run left them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from runscrape_generator.cloudrun.failures import folded
from runscrape_generator.errors import DiscoveryError
from runscrape_generator.model import Discovery, Scope, ScopeFailure, Service

log = logging.getLogger(__name__)

LastKnown = Mapping[Scope, tuple[Service, ...]]
"""Every scope of the inventory; also those that were listed and have no services."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """What exists: listed now, or last known for scopes that could not be listed."""

    services: tuple[Service, ...]
    """Sorted by project, region and name."""
    stale: tuple[Scope, ...] = ()
    """The scopes that the inventory stands in for, sorted."""
    scopes: tuple[Scope, ...] = ()
    """Every scope, listed or stale, sorted; those without services among them."""


def recall(discovery: Discovery, known: LastKnown) -> Recalled:
    """Take the last known services of every scope that failed, with a warning for each.

    Raises DiscoveryError where a failed scope, or every scope of a project whose regions could not
    be listed, is not known.
    """
    lost = [failure for failure in discovery.failures if not _last_known(failure, known)]
    if lost:
        told = [line for line, _ in folded(lost)]
        raise DiscoveryError(
            "\n".join([*told, "no inventory stands in for what failed: nothing is published"])
        )
    stale: dict[Scope, tuple[Service, ...]] = {}
    for line, failures in folded(discovery.failures):
        kept = {scope: known[scope] for one in failures for scope in _last_known(one, known)}
        stale |= kept
        log.warning(f"{line}; kept {sum(map(len, kept.values()))} services of the inventory")
    scopes = {**stale, **discovery.scopes}
    services = (service for found in scopes.values() for service in found)
    return Recalled(
        services=tuple(sorted(services, key=lambda one: (one.project, one.region, one.name))),
        stale=tuple(sorted(stale)),
        scopes=tuple(sorted(scopes)),
    )


def _last_known(failure: ScopeFailure, known: LastKnown) -> list[Scope]:
    if failure.region is not None:
        scope = Scope(failure.project, failure.region)
        return [scope] if scope in known else []
    return [scope for scope in known if scope.project == failure.project]
