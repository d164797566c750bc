"""The page for people, which ``page.html`` lays out. No token ever gets here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import render_template

from runscrape_proxy.google.credentials import Credentials
from runscrape_proxy.web.metrics import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runscrape_proxy.access.policy import Policy
    from runscrape_proxy.clock import GoogleClock
    from runscrape_proxy.inventory import Inventory
    from runscrape_proxy.model import AudienceStatus, Minter

LIMIT = 500
"""Rows on one page; the filter finds the others."""

REFUSALS = 50
"""The newest are shown."""

MINUTE, HOUR, DAY = 60, 3600, 86_400


@dataclass(frozen=True, slots=True)
class Row:
    """One audience."""

    status: AudienceStatus
    services: Sequence[tuple[str, str]]
    """The services whose tokens are made for it: name, and project and region."""

    @property
    def state(self) -> str:
        """Whether it is ``missing`` a token, ``failing`` to renew one, or ``ok``."""
        if self.status.left is None or self.status.left <= 0:
            return "missing"
        return "failing" if self.status.last_error else "ok"

    def has(self, text: str) -> bool:
        """Whether the filter ``text`` (in lower case) leaves it."""
        names = (f"{where}/{name}" for name, where in self.services)
        return any(text in each.lower() for each in (self.status.audience, *names))


def render(
    statuses: Sequence[AudienceStatus],
    *,
    minter: Minter,
    policy: Policy,
    query: str,
    clock: GoogleClock,
    now: float,
    nonce: str,
) -> str:
    """Give the page: what has no token first, then what fails, then by name."""
    audiences = policy.audiences
    inventory = audiences.inventory
    services = _services(inventory.value) if inventory and inventory.value else {}
    rows = [Row(status, services.get(status.audience, ())) for status in statuses]
    states = [row.state for row in rows]
    found = [row for row in rows if row.has(query.lower())]
    order = {"missing": 0, "failing": 1, "ok": 2}
    found.sort(key=lambda row: (order[row.state], row.services or [(row.status.audience, "")]))
    return render_template(
        "page.html",
        version=VERSION,
        minter=minter,
        credentials=minter if isinstance(minter, Credentials) else None,
        clock=clock,
        now=now,
        in_words=in_words,
        rows=found[:LIMIT],
        matching=len(found),
        total=len(rows),
        missing=states.count("missing"),
        failing=states.count("failing"),
        query=query,
        audiences=audiences,
        inventories=inventory.files if inventory else (),
        refusals=policy.refusals.recent()[:REFUSALS],
        nonce=nonce,
    )


def in_words(seconds: float) -> str:
    """Say a time span as people do: ``52 min``, ``3 h 5 min``, ``2 d``."""
    whole = max(0, int(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    return f"{whole // DAY} d"


def _services(inventory: Inventory) -> Mapping[str, Sequence[tuple[str, str]]]:
    """The services of each audience, sorted by name."""
    places: dict[str, set[tuple[str, str]]] = {}
    for service in inventory.kept:
        for audience in (service.audience, *(each.audience for each in service.endpoints)):
            if audience is not None and service.name:
                place = service.name, f"{service.project}/{service.region}"
                places.setdefault(audience, set()).add(place)
    return {audience: sorted(found) for audience, found in places.items()}
