"""What exists, as far as is known: what was listed now, and the last known state of what was not.

The last known state is the inventory's: the services of each scope, as the last run left them. A
scope without services that is in the inventory has been listed; one that is not in it never was.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from runscrape_generator.cloudrun.failures import folded
from runscrape_generator.errors import DiscoveryError
from runscrape_generator.model import Discovery, Scope, ScopeFailure, Service
from runscrape_generator.text import plural

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
    missing: tuple[ScopeFailure, ...] = ()
    """What could not be listed, and the inventory does not know."""
    scopes: tuple[Scope, ...]
    """Every scope, listed or stale, sorted; those without services among them."""

    @property
    def whole(self) -> bool:
        """Whether all of it was listed now."""
        return not self.stale and not self.missing


def recall(discovery: Discovery, known: LastKnown) -> Recalled:
    """Take the last known services of what failed, with a warning for each failure.

    Raises DiscoveryError where nothing could be listed and nothing that failed is known.
    """
    last = {failure: _last_known(failure, known) for failure in discovery.failures}
    stale = {scope: known[scope] for scopes in last.values() for scope in scopes}
    if discovery.failures and not (stale or discovery.scopes or discovery.listed):
        told = [line for line, _ in folded(discovery.failures)]
        told.append("nothing could be listed, and no inventory stands in: nothing is published")
        raise DiscoveryError("\n".join(told))
    missing = tuple(failure for failure, scopes in last.items() if not scopes)
    for line, failures in folded(failure for failure, scopes in last.items() if scopes):
        kept = sum(len(known[scope]) for one in failures for scope in last[one])
        log.warning(f"{line}; kept {plural(kept, 'service')} of the inventory")
    for line, (first, *_) in folded(missing):
        until = "new projects there are missing until it can be searched"
        log.warning(f"{line}; {until if first.is_search else 'missing until it can be listed'}")
    exist = {**stale, **discovery.scopes}
    services = (service for found in exist.values() for service in found)
    return Recalled(
        services=tuple(sorted(services, key=lambda one: one.place)),
        stale=tuple(sorted(stale)),
        missing=missing,
        scopes=tuple(sorted(exist)),
    )


def _last_known(failure: ScopeFailure, known: LastKnown) -> list[Scope]:
    if failure.region is not None:
        scope = Scope(failure.project, failure.region)
        return [scope] if scope in known else []
    return [scope for scope in known if scope.project == failure.project]
