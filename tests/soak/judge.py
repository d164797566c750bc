"""What a run must not show: pure functions of what was seen, so that they can be tested to fail."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import yaml

from tests.soak.plan import BASE, INTERVAL, KINDS, MODES, PROJECTS, Fault

LIMITS = {"MB of memory": 12.0, "threads": 16.0, "descriptors": 16.0}
"""How much the proxy may grow in the second half of a run, by the line of best fit.

Threads and connections stay once they were needed, which makes steps; what is lost with each scrape
that fails would be far more.
"""
ARRIVAL = 20.0
"""Seconds from a service's coming until Prometheus has it: listings, reloads, discovery."""


@dataclass(frozen=True)
class Loss:
    """A scrape that was down or missing: of which target, and when it began (Unix time)."""

    mode: str
    project: str
    service: str
    at: float
    missing: bool


Samples = Sequence[tuple[float, bool]]
"""When each scrape began, and whether it was good."""


def all_losses(
    samples: Mapping[tuple[str, str, str], Samples],
    over: Iterable[Fault],
    since: float,
    until: float,
) -> list[Loss]:
    """Find the lost scrapes of a run: of all services, for as long as each was there by plan.

    Those that began in the last interval are not judged: they may be under way.
    """
    times = dict.fromkeys(BASE, (since, until))
    for each in over:
        if each.kind == "service-comes":
            times[each.service] = (each.end + ARRIVAL, until)
        elif each.kind == "service-goes":
            times[each.service] = (since, each.begin)
    return [
        loss
        for service, (start, end) in times.items()
        for mode in MODES
        for project in PROJECTS
        for loss in losses(
            (mode, project, service),
            samples.get((mode, project, service), ()),
            start,
            end - INTERVAL,
        )
    ]


def losses(
    target: tuple[str, str, str], samples: Samples, since: float, until: float
) -> list[Loss]:
    """Find the lost scrapes of a target that was there from ``since`` to ``until``."""
    within = [(at, up) for at, up in samples if since <= at <= until]
    found = [Loss(*target, at, missing=False) for at, up in within if not up]
    for before, after in pairwise([since, *(at for at, _ in within), until]):
        missing = round((after - before) / INTERVAL) - 1
        found += [
            Loss(*target, before + INTERVAL * number, missing=True)
            for number in range(1, missing + 1)
        ]
    return sorted(found, key=lambda loss: loss.at)


def cause(loss: Loss, over: Iterable[Fault]) -> Fault | None:
    """Find the fault that explains the loss: it was on, for this target, while it was scraped."""
    for fault in over:
        kind = KINDS[fault.kind]
        concerns = not fault.service or (loss.service, loss.project) == (fault.service, PROJECTS[0])
        begin, end = fault.begin + kind.spares, fault.end + kind.after
        if loss.mode in kind.costs and concerns and begin - INTERVAL <= loss.at <= end:
            return fault
    return None


@dataclass(frozen=True)
class Look:
    """What a file held at a moment: the services in it, None where it could not be parsed."""

    file: str
    at: float
    services: frozenset[str] | None


def look(file: str, at: float, text: str) -> Look:
    """Read a published file; services are PROJECT/NAME, which the names of their jobs hold."""
    try:
        yaml.load(text, yaml.CSafeLoader) if file.endswith(".yml") else json.loads(text)
    except (ValueError, yaml.YAMLError):
        return Look(file, at, None)
    jobs = re.findall(r"(?:oauth2|gateway)/(\w+)/[\w-]+/([\w-]+)", text)
    return Look(file, at, frozenset(f"{project}/{name}" for project, name in jobs))


def bad_looks(looks: Sequence[Look], over: Iterable[Fault]) -> list[str]:
    """Find broken files, and services that went from a file before their time."""
    found = []
    gone = {
        f"{project}/{each.service}": each.begin
        for each in over
        for project in PROJECTS
        if each.kind == "service-goes"
    }
    held: dict[str, frozenset[str]] = {}
    for each in looks:
        if each.services is None:
            found.append(f"{each.file} is broken")
            continue
        lost = held.get(each.file, frozenset()) - each.services
        early = (name for name in sorted(lost) if each.at < gone.get(name, float("inf")))
        found += [f"{each.file} lost {name}" for name in early]
        held[each.file] = each.services
    return found


def growth(points: Sequence[tuple[float, float]]) -> float:
    """Give how much a figure grew from the first point to the last, by the line of best fit."""
    if len(points) < 3:
        return 0.0
    times, values = zip(*points, strict=True)
    line = statistics.linear_regression(times, values)
    return float(line.slope * (times[-1] - times[0]))
