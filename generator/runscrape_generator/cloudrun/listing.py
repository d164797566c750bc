"""The pages of one listing put together: whole, or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field

from runscrape_generator.cloudrun.client import ALL_REGIONS, ServicesPage
from runscrape_generator.cloudrun.rest import ListingError
from runscrape_generator.model import Scope, Service

_MOST_PAGES = 10_000
"""A listing that is longer does not end: this is ten times what Cloud Run's quotas allow."""


@dataclass(slots=True)
class Listing:
    """What has come so far of a scope, whose region may be :data:`ALL_REGIONS`."""

    scope: Scope
    pages: int = 0
    seconds: float = 0.0
    unreachable: frozenset[str] = frozenset()
    """Regions that some page says are not, or not whole, in this listing."""
    _found: dict[tuple[str, str], Service] = field(default_factory=dict)
    _tokens: set[str] = field(default_factory=lambda: {""})

    def add(self, page: ServicesPage) -> str:
        """Take the next page; gives the token of the one after it, empty after the last.

        A service that moved to the next page meanwhile counts once. Raises ListingError where the
        pages do not end, or Google did not reach the one region that was asked for.
        """
        self.pages += 1
        self.seconds += page.seconds
        self.unreachable |= page.unreachable
        if self.unreachable and self.scope.region != ALL_REGIONS:
            raise ListingError(f"Google could not reach {', '.join(sorted(self.unreachable))}")
        for service in page.services:
            self._found.setdefault((service.region, service.name), service)
        token = page.next_token
        if token and (token in self._tokens or self.pages >= _MOST_PAGES):
            raise ListingError(f"page {self.pages} leads back to an earlier page")
        self._tokens.add(token)
        return token

    def by_region(self) -> dict[str, tuple[Service, ...]]:
        """Give the services of each region that has any, sorted by name."""
        regions: dict[str, list[Service]] = {}
        for _, service in sorted(self._found.items()):
            regions.setdefault(service.region, []).append(service)
        return {region: tuple(services) for region, services in regions.items()}
