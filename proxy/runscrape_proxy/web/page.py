"""What the page for people shows; ``page.html`` lays it out. No token ever gets here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscrape_proxy.web.metrics import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from runscrape_proxy.clock import GoogleClock
    from runscrape_proxy.files import WatchedFile
    from runscrape_proxy.inventory import Inventories, Inventory
    from runscrape_proxy.model import AudienceStatus, Minter

LIMIT = 500
"""Rows on one page; the filter finds the others."""

MINUTE, HOUR, DAY = 60, 3600, 86_400


@dataclass(frozen=True, slots=True)
class Row:
    """One audience. ``left`` is in words, ``state`` one of ok, failing, missing."""

    audience: str
    state: str
    expires_at: float | None
    left: str
    error: str
    error_age: str


@dataclass(frozen=True, slots=True)
class InventoryView:
    """What is known of one inventory file."""

    path: Path
    age: str
    services: int
    audiences: int
    error: str


@dataclass(frozen=True, slots=True)
class View:
    """The whole page."""

    version: str
    kind: str
    identity: str
    now: float
    rows: Sequence[Row]
    matching: int
    """How many audiences the filter leaves, shown or not."""
    total: int
    missing: int
    query: str
    globs: Sequence[str]
    inventories: Sequence[InventoryView]


def view(
    statuses: Iterable[AudienceStatus],
    *,
    minter: Minter,
    inventory: Inventories | None,
    globs: Sequence[str],
    query: str,
    clock: GoogleClock,
    now: float,
) -> View:
    """Put the page together: what has no token first, then what fails, then by name."""
    rows = [_row(status, now) for status in statuses]
    found = [row for row in rows if query.lower() in row.audience.lower()]
    order = {"missing": 0, "failing": 1, "ok": 2}
    found.sort(key=lambda row: (order[row.state], row.audience))
    return View(
        version=VERSION,
        kind=minter.kind.value,
        identity=minter.identity,
        now=now,
        rows=found[:LIMIT],
        matching=len(found),
        total=len(rows),
        missing=sum(row.state == "missing" for row in rows),
        query=query,
        globs=globs,
        inventories=[_inventory(file, now) for file in inventory.files] if inventory else [],
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


def _row(status: AudienceStatus, now: float) -> Row:
    left = status.left if status.left is not None and status.left > 0 else None
    state = "missing" if left is None else "failing" if status.last_error else "ok"
    return Row(
        audience=status.audience,
        state=state,
        expires_at=None if left is None else now + left,
        left="no token" if left is None else in_words(left),
        error=status.last_error,
        error_age=in_words(status.failed_ago) if status.failed_ago is not None else "",
    )


def _inventory(file: WatchedFile[Inventory], now: float) -> InventoryView:
    held = file.value
    return InventoryView(
        path=file.path,
        age=in_words(now - file.modified_at) if file.modified_at is not None else "",
        services=held.services if held else 0,
        audiences=len(held.audiences) if held else 0,
        error=file.error,
    )
