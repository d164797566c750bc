"""What the page for people shows; ``page.html`` lays it out. No token ever gets here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscrape_proxy.google.credentials import Credentials
from runscrape_proxy.web.metrics import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from runscrape_proxy.access.audiences import Audiences
    from runscrape_proxy.access.policy import Policy
    from runscrape_proxy.access.refusals import Refusal
    from runscrape_proxy.clock import GoogleClock
    from runscrape_proxy.files import WatchedFile
    from runscrape_proxy.inventory import Inventory
    from runscrape_proxy.model import AudienceStatus, Minter

LIMIT = 500
"""Rows on one page; the filter finds the others."""

REFUSALS = 50
"""The newest are shown."""

MINUTE, HOUR, DAY = 60, 3600, 86_400


@dataclass(frozen=True, slots=True)
class Row:
    """One audience. ``left`` is in words, ``state`` one of ok, failing, missing."""

    services: Sequence[tuple[str, str]]
    """The services whose tokens are made for it: name, and project and region."""
    audience: str
    state: str
    expires_at: float | None
    left: str
    error: str
    error_age: str

    def has(self, text: str) -> bool:
        """Whether the filter ``text`` (in lower case) leaves it."""
        names = (f"{where}/{name}" for name, where in self.services)
        return any(text in each.lower() for each in (self.audience, *names))


@dataclass(frozen=True, slots=True)
class RefusalView:
    """A trouble of a client. ``asked`` is empty where a stranger made it up."""

    age: str
    client: str
    asked: str
    status: int
    description: str
    count: int


@dataclass(frozen=True, slots=True)
class CredentialsView:
    """Where the tokens come from."""

    kind: str
    identity: str
    source: str
    """The file, or the metadata server; empty where it is not known."""
    age: str
    error: str


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
    credentials: CredentialsView
    clock: str
    """What is wrong with this machine's clock; empty for nothing."""
    now: float
    rows: Sequence[Row]
    matching: int
    """How many audiences the filter leaves, shown or not."""
    total: int
    missing: int
    failing: int
    """How many still have a token, whose renewal fails."""
    query: str
    globs: Sequence[str]
    inventories: Sequence[InventoryView]
    refusals: Sequence[RefusalView]


def view(
    statuses: Iterable[AudienceStatus],
    *,
    minter: Minter,
    policy: Policy,
    query: str,
    clock: GoogleClock,
    now: float,
) -> View:
    """Put the page together: what has no token first, then what fails, then by name."""
    audiences = policy.audiences
    names = _names(audiences)
    rows = [_row(status, names.get(status.audience, ()), now) for status in statuses]
    found = [row for row in rows if row.has(query.lower())]
    order = {"missing": 0, "failing": 1, "ok": 2}
    found.sort(key=lambda row: (order[row.state], row.services or [(row.audience, "")]))
    files = audiences.inventory.files if audiences.inventory else ()
    return View(
        version=VERSION,
        credentials=_credentials(minter, now),
        clock=clock.in_words() if clock.is_wrong else "",
        now=now,
        rows=found[:LIMIT],
        matching=len(found),
        total=len(rows),
        missing=sum(row.state == "missing" for row in rows),
        failing=sum(row.state == "failing" for row in rows),
        query=query,
        globs=audiences.globs,
        inventories=[_inventory(file, now) for file in files],
        refusals=[_refusal(*each, audiences) for each in policy.refusals.recent()[:REFUSALS]],
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


def _names(audiences: Audiences) -> Mapping[str, Sequence[tuple[str, str]]]:
    """The services of each audience in the inventory, sorted by name."""
    held = audiences.inventory.value if audiences.inventory else None
    names: dict[str, set[tuple[str, str]]] = {}
    for service in held.kept if held else ():
        for audience in (service.audience, *(each.audience for each in service.endpoints)):
            if audience is not None and service.name:
                place = service.name, f"{service.project}/{service.region}"
                names.setdefault(audience, set()).add(place)
    return {audience: sorted(places) for audience, places in names.items()}


def _row(status: AudienceStatus, services: Sequence[tuple[str, str]], now: float) -> Row:
    left = status.left if status.left is not None and status.left > 0 else None
    return Row(
        services=services,
        audience=status.audience,
        state="missing" if left is None else "failing" if status.last_error else "ok",
        expires_at=None if left is None else now + left,
        left="no token" if left is None else in_words(left),
        error=status.last_error,
        error_age=in_words(status.failed_ago) if status.failed_ago is not None else "",
    )


def _credentials(minter: Minter, now: float) -> CredentialsView:
    source, age, error = "", "", ""
    if isinstance(minter, Credentials):
        source = str(minter.path or "the metadata server")
        age, error = in_words(now - minter.read_at), minter.error
    return CredentialsView(minter.kind.value, minter.identity, source, age, error)


def _inventory(file: WatchedFile[Inventory], now: float) -> InventoryView:
    held = file.value
    return InventoryView(
        path=file.path,
        age=in_words(now - file.modified_at) if file.modified_at is not None else "",
        services=held.services if held else 0,
        audiences=len(held.audiences) if held else 0,
        error=file.error,
    )


def _refusal(refusal: Refusal, age: float, audiences: Audiences) -> RefusalView:
    trouble = refusal.trouble
    return RefusalView(
        age=in_words(age),
        client=trouble.client or "a Unix socket",
        asked=trouble.asked if audiences.allows(trouble.asked) else "",
        status=trouble.status,
        description=refusal.description,
        count=refusal.count,
    )
