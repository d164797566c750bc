"""``runscrape explain``: every service found, what became of it and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from runscrape_generator.model import Decision, Endpoint, Job, Scope
from runscrape_generator.plain_text import cut, pad, printable, width

_HEADINGS = ("SERVICE", "REGION", "PROJECT", "JOB OR REASON", "AUDIENCE", "TARGET", "WARNINGS")
_GAP = "  "
_FIRST_TO_SHRINK = slice(3, 7)
"""Job or reason, audience, target and warnings: long, and not what tells the lines apart."""
_NARROW, _NARROWEST = 8, 6
"""Columns that those keep at least, and that every cell keeps however narrow the terminal is."""

Row = tuple[str, ...]


def reasons(decisions: Iterable[Decision]) -> tuple[tuple[str, int], ...]:
    """Count why services were skipped: (reason, number), the most frequent first."""
    counted = Counter(decision.reason for decision in decisions if not decision.kept)
    return tuple(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def table(
    decisions: Sequence[Decision], jobs: Sequence[Job], stale: Iterable[Scope], *, width: int | None
) -> str:
    """Give an aligned line per service, then the counts; cut to *width* columns unless None."""
    lines = _aligned([_HEADINGS, *map(_row, decisions)], width) if decisions else []
    footer = [printable(line) for line in _footer(decisions, jobs, stale)]
    return "\n".join([*lines, *([""] if lines else []), *footer]) + "\n"


def _row(decision: Decision) -> Row:
    service = decision.service
    cells = (
        service.name,
        service.region,
        service.project,
        _several(endpoint.job for endpoint in decision.endpoints) or decision.reason,
        _several(_audience(endpoint) for endpoint in decision.endpoints) or "-",
        _several(endpoint.target for endpoint in decision.endpoints) or "-",
        "; ".join(decision.warnings),
    )
    return tuple(printable(cell) for cell in cells)


def _audience(endpoint: Endpoint) -> str:
    return "public" if endpoint.audience is None else endpoint.audience


def _several(values: Iterable[str]) -> str:
    """Give the values, each once."""
    return ", ".join(dict.fromkeys(values))


def _aligned(rows: Sequence[Row], columns: int | None) -> list[str]:
    natural = [max(map(width, column)) for column in zip(*rows, strict=True)]
    widths = natural if columns is None else _fitted(natural, columns)
    lines = (
        _GAP.join(pad(cut(cell, room), room) for cell, room in zip(row, widths, strict=True))
        for row in rows
    )
    return [line.rstrip() if columns is None else cut(line.rstrip(), columns) for line in lines]


def _fitted(natural: Sequence[int], columns: int) -> list[int]:
    """Take columns from the widest cells until all fit, or all are as narrow as may be."""
    room = columns - len(_GAP) * (len(natural) - 1)
    names, rest = list(natural[: _FIRST_TO_SHRINK.start]), list(natural[_FIRST_TO_SHRINK])
    rest = _shrunk(rest, room - sum(names), _NARROW)
    return _shrunk([*names, *rest], room, _NARROWEST)


def _shrunk(widths: list[int], room: int, least: int) -> list[int]:
    widths = list(widths)
    while sum(widths) > room and max(widths) > least:
        widths[widths.index(max(widths))] -= 1
    return widths


def _footer(
    decisions: Sequence[Decision], jobs: Sequence[Job], stale: Iterable[Scope]
) -> Iterable[str]:
    kept = sum(decision.kept for decision in decisions)
    skipped = len(decisions) - kept
    yield f"{len(decisions)} services: {kept} kept in {len(jobs)} jobs, {skipped} skipped"
    if not decisions:
        yield "0 jobs: no service was found in the projects and regions listed"
    for reason, number in reasons(decisions):
        yield f"  {number} skipped: {reason}"
    if scopes := ", ".join(scope.key for scope in stale):
        yield f"not listed now, taken from the inventory: {scopes}"


def as_json(decisions: Sequence[Decision], jobs: Sequence[Job], stale: Iterable[Scope]) -> str:
    """Give the same as one JSON object, in ASCII, for programs."""
    content = {
        "services": [_object(decision) for decision in decisions],
        "jobs": [job.name for job in jobs],
        "skipped": dict(reasons(decisions)),
        "stale": [scope.key for scope in stale],
    }
    return json.dumps(content, indent=2) + "\n"


def _object(decision: Decision) -> dict[str, Any]:
    service = decision.service
    found: dict[str, Any] = {
        "project": service.project,
        "region": service.region,
        "name": service.name,
        "state": "kept" if decision.kept else "skipped",
    }
    if not decision.kept:
        found["reason"] = decision.reason
    found["endpoints"] = [
        {
            "job": endpoint.job,
            "audience": endpoint.audience,
            "scheme": endpoint.scheme,
            "target": endpoint.target,
            "metrics_path": endpoint.metrics_path,
        }
        for endpoint in decision.endpoints
    ]
    return found | {"warnings": list(decision.warnings)}
