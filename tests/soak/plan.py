"""Which faults there are, what each may cost, and when each comes: all from a seed, no clock."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

INTERVAL = 3.0
"""Seconds between the scrapes of a target, and how long each may take."""
TOKEN_LIFETIME = 120
MODES = ("oauth2", "gateway")
PROJECTS = ("one", "two")
"""Both have services of the same names; faults of a service are those of the first project's."""
BASE = ("api", "cart", "pay", "shop", "stock", "users")
"""Services that are there from the first moment to the last."""
CHANGED = "changed"
"""A service that says something else at every turn, so that files are written; it is not judged."""

_FIRST, _REST, _LAST = 5.0, 8.0, 12.0
"""Seconds before the first fault, between two of a lane, and after the last."""
_LONG = 60.0
"""Seconds of a fault that is left out where it does not fit."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault: how long it is on, and which scrapes may be lost by it.

    ``costs`` names the modes, empty where no scrape may be lost. They may be lost from ``spares``
    seconds after the fault's begin until ``after`` seconds after its end. ``service`` is what the
    fault changes of one service's entry in the world, ``google`` of the world's faults.
    """

    seconds: tuple[float, float] = (8, 16)
    costs: Sequence[str] = ()
    spares: float = 0.0
    after: float = INTERVAL
    early: bool = False
    """In the first half, as growth is judged over the second: it ends the proxy, or lets so many
    requests wait at once that the threads that they need, which stay, are the most of the run."""
    service: Mapping[str, Any] = field(default_factory=dict)
    google: Mapping[str, Any] = field(default_factory=dict)


_TROUBLES: Mapping[str, Mapping[str, Any]] = {
    "service-hangs": {"app": {"hang": True}},
    "service-error": {"app": {"status": 500}},
    "service-resets": {"trouble": "crash"},
    "service-busy": {"trouble": "busy"},
    "service-slow": {"app": {"latency": 2 * INTERVAL}},
    "service-drips": {"app": {"drip": True}},
    "service-breaks-off": {"app": {"drop": True}},
    "service-malformed": {"app": {"paths": {"/metrics": {"odd": "malformed"}}}},
}
SERVICES = {name: Kind(costs=MODES, service=change) for name, change in _TROUBLES.items()}
"""Faults of one service; they cost its scrapes and no others."""

_ISSUER: Mapping[str, Mapping[str, Any]] = {
    "issuer-error": {"status": 503},
    "issuer-hangs": {"hang": True},
    "issuer-drops": {"drop": True},
    "issuer-garbage": {"garbage": True},
    "issuer-drips": {"drip": True},
}
"""On for less time than any token has left: nothing may be lost."""
_API: Mapping[str, Mapping[str, Any]] = {
    "api-error": {"code": "UNAVAILABLE"},
    "api-denied": {"code": "PERMISSION_DENIED"},
    "api-hangs": {"hang": True},
    "api-unreachable": {"region": "us-*", "unreachable": True},
    "api-omits": {"region": "us-*", "omitted": True},
}
_MOMENT = (0.0, 0.0)
OTHERS: Mapping[str, Kind] = {
    **{name: Kind(google={"issuers": [change]}) for name, change in _ISSUER.items()},
    **{name: Kind(google={"list_services": [change]}) for name, change in _API.items()},
    # Longer: the first token ends after 54 s (renewal at half life, 10 % later), less 5 s.
    "issuer-outage": Kind((90, 90), MODES, 45, 72, google={"issuers": [{"status": 503}]}),
    "disk-full": Kind(),  # for proxy and generators, logs too
    "inventory-moved": Kind(_MOMENT),  # mv inventory.json x; mv x inventory.json
    "generator-descriptors": Kind(),
    "proxy-descriptors": Kind(costs=MODES, early=True),
    "clock-ahead": Kind(),  # the proxy's own clock is minutes away from Google's Date
    "clock-behind": Kind(),
    "generators-killed": Kind(),  # again and again, while there is something to write
    "generators-hup": Kind(_MOMENT),
    "proxy-killed": Kind(_MOMENT, MODES, early=True),
    "proxy-terminated": Kind(_MOMENT, MODES, early=True),
    "proxy-hup": Kind(_MOMENT),
    "prometheus-reload": Kind(_MOMENT),
    "service-comes": Kind(_MOMENT),
    "service-goes": Kind(_MOMENT),
}
"""Faults of everything else, one at a time."""
STALLED = "machine-stalled"
"""Not planned: this process itself did not run for more than a second."""
KINDS: Mapping[str, Kind] = {**SERVICES, **OTHERS, STALLED: Kind(costs=MODES)}


@dataclass(frozen=True)
class Fault:
    """One fault: its times (planned: seconds after the start), and its service, if it has one."""

    kind: str
    begin: float
    end: float
    service: str = ""


def plan(seed: int, seconds: float) -> list[Fault]:
    """Plan the faults of a run, in order: two lanes, services' own and all others."""
    chance = random.Random(seed)
    faults = [
        *_lane(chance, seconds, _endless(chance, [*SERVICES])),
        *_lane(chance, seconds, _others(chance)),
    ]
    return sorted(faults, key=lambda fault: fault.begin)


def _lane(chance: random.Random, seconds: float, kinds: Iterator[str]) -> Iterator[Fault]:
    now = _FIRST
    for number, name in enumerate(kinds):
        kind = KINDS[name]
        end = now + chance.uniform(*kind.seconds)
        if end + max(_LAST, kind.after) > seconds:
            if kind.seconds[0] > _LONG:
                continue
            return
        own = {"service-comes": f"guest-{number}", "service-goes": f"leaver-{number}"}
        service = chance.choice(BASE) if name in SERVICES else own.get(name, "")
        yield Fault(name, now, end, service)
        now = end + max(_REST, kind.after)


def _endless(chance: random.Random, names: list[str]) -> Iterator[str]:
    while True:
        chance.shuffle(names)
        yield from names


def _others(chance: random.Random) -> Iterator[str]:
    """Give every kind once, the early ones first or nearly so; then the rest again."""
    rest = [name for name, kind in OTHERS.items() if not kind.early]
    chance.shuffle(rest)
    early = [name for name, kind in OTHERS.items() if kind.early] + rest[:4]
    chance.shuffle(early)
    yield from early
    yield from rest[4:]
    yield from _endless(chance, rest)


def world(faults: Sequence[Fault], on: Sequence[Fault], over: Sequence[Fault], turn: int) -> Any:
    """Make Google's world: what is planned, on, over, and how often it has changed (``turn``)."""
    begun = [*on, *over]
    come = [each.service for each in begun if each.kind == "service-comes"]
    left = {each.service for each in begun if each.kind == "service-goes"}
    leavers = [each.service for each in faults if each.kind == "service-goes"]
    names = [*BASE, CHANGED, *come, *(name for name in leavers if name not in left)]
    projects: dict[str, Any] = {
        project: {"number": 123456789012 + index, "regions": ["europe-west1", "us-central1"]}
        for index, project in enumerate(PROJECTS)
    }
    for project, entry in projects.items():  # whose tokens must not be mixed up
        entry["services"] = [_entry(name, project, on, turn) for name in names]
    changes: dict[str, list[Any]] = {}
    for each in on:
        for section, entries in KINDS[each.kind].google.items():
            changes.setdefault(section, []).extend(entries)
    settings = {"identity": "prometheus@one.iam.gserviceaccount.com"}
    return {
        "settings": settings | {"token_lifetime": TOKEN_LIFETIME},
        "projects": projects,
        "faults": changes,
    }


def _entry(name: str, project: str, on: Sequence[Fault], turn: int) -> dict[str, Any]:
    region = ("europe-west1", "us-central1")[len(name) % 2]
    entry: dict[str, Any] = {"name": name, "region": region}
    if name == CHANGED:
        entry["annotations"] = {"prometheus.io/param-turn": str(turn)}
    for each in on:
        if each.service == name and project == PROJECTS[0]:
            entry |= KINDS[each.kind].service
    return entry
