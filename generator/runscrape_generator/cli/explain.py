"""``runscrape explain``: every service found, what became of it and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runscrape_generator.model import Decision, Endpoint, Job, Scope
from runscrape_generator.text import cut, cut_middle, pad, plural, printable, width

_NAMES, _FATE = ("SERVICE", "REGION", "PROJECT"), "JOB OR REASON"
_WARNINGS, _AUDIENCE, _TARGET = "WARNINGS", "AUDIENCE", "TARGET"
_HEADINGS = (*_NAMES, _FATE, _AUDIENCE, _TARGET, _WARNINGS)
_GAP = "  "
_LEAST = {_FATE: 36, _WARNINGS: 16, _AUDIENCE: 24, _TARGET: 20}
"""Columns below which a cell says nothing, in the order in which room is given."""
_NARROWEST = 6
"""Columns that a name keeps however narrow the terminal is."""
_MOST_WARNINGS = 5

Row = Mapping[str, str]
"""Cells by heading."""


def reasons(decisions: Iterable[Decision]) -> tuple[tuple[str, int], ...]:
    """Count why services were skipped: (reason, number), the most frequent first."""
    counted = Counter(decision.reason for decision in decisions if not decision.kept)
    return tuple(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def table(
    decisions: Sequence[Decision], jobs: Sequence[Job], stale: Iterable[Scope], *, width: int | None
) -> str:
    """Give an aligned line per service, then the counts; fit for *width* columns unless None.

    Where not all fits, job or reason gets the room first. A column that would say nothing is left
    out, and named in the last line; warnings that were cut are counted like the reasons.
    """
    lines: list[str] = []
    left_out: list[str] = []
    if decisions:
        rows = [{name: name for name in _HEADINGS}, *map(_row, decisions)]
        natural = _natural(rows)
        widths = _fitted(rows, natural, width)
        lines = [*(_line(row, widths) for row in rows), ""]
        if width is not None:
            lines = [cut(line, width) for line in lines]
        left_out = list(_left_out(decisions, natural, widths))
    footer = [printable(line) for line in (*_footer(decisions, jobs, stale), *left_out)]
    return "\n".join([*lines, *footer]) + "\n"


def _row(decision: Decision) -> Row:
    service, ends = decision.service, decision.endpoints
    cells = {
        "SERVICE": service.name,
        "REGION": service.region,
        "PROJECT": service.project,
        _FATE: _several(endpoint.job for endpoint in ends) or decision.reason,
        _AUDIENCE: _several(_audience(endpoint) for endpoint in ends) or "-",
        _TARGET: _several(endpoint.target for endpoint in ends) or "-",
        _WARNINGS: "; ".join(decision.warnings),
    }
    return {name: printable(cell) for name, cell in cells.items()}


def _audience(endpoint: Endpoint) -> str:
    return "public" if endpoint.audience is None else endpoint.audience


def _several(values: Iterable[str]) -> str:
    """Give the values, each once."""
    return ", ".join(dict.fromkeys(values))


def _line(row: Row, widths: Mapping[str, int]) -> str:
    cells = (pad(_cut(row, name, room), room) for name, room in widths.items())
    return _GAP.join(cells).rstrip()


def _cut(row: Row, name: str, room: int) -> str:
    """Cut names and jobs in the middle, so that they still differ; sentences at their end."""
    named = name in _NAMES or (name == _FATE and row[_TARGET] != "-")
    return (cut_middle if named else cut)(row[name], room)


def _natural(rows: Sequence[Row]) -> dict[str, int]:
    return {name: max(width(row[name]) for row in rows) for name in _HEADINGS}


def _fitted(rows: Sequence[Row], natural: Mapping[str, int], columns: int | None) -> dict[str, int]:
    """Give each column that is shown its width, in the order of the headings."""
    if columns is None or sum(natural.values()) + len(_GAP) * (len(natural) - 1) <= columns:
        return dict(natural)
    names = {name: natural[name] for name in _NAMES}
    if len({row["PROJECT"] for row in rows[1:]}) == 1:
        del names["PROJECT"]  # the same on every line
    room = columns - len(_GAP) * len(names)
    names = _shrunk(names, room - min(natural[_FATE], _LEAST[_FATE]))
    given, room = _given(natural, room - sum(names.values()))
    for name in given:  # what is left, in the same order
        more = min(natural[name] - given[name], room)
        given[name], room = given[name] + more, room - more
    widths = names | given
    return {name: widths[name] for name in _HEADINGS if name in widths}


def _given(natural: Mapping[str, int], room: int) -> tuple[dict[str, int], int]:
    """Give each column its least while there is room for that; also what is left."""
    given = {_FATE: min(natural[_FATE], _LEAST[_FATE], max(room, _NARROWEST))}
    room -= given[_FATE]
    for name, least in list(_LEAST.items())[1:]:
        wanted = min(natural[name], least)
        if wanted + len(_GAP) <= room:
            given[name] = wanted
            room -= wanted + len(_GAP)
    return given, max(room, 0)


def _shrunk(widths: Mapping[str, int], room: int) -> dict[str, int]:
    """Take columns from the widest names until all fit, or all are as narrow as may be."""
    widths = dict(widths)
    while sum(widths.values()) > room and max(widths.values()) > _NARROWEST:
        widths[max(widths, key=widths.__getitem__)] -= 1
    return widths


def _left_out(
    decisions: Iterable[Decision], natural: Mapping[str, int], widths: Mapping[str, int]
) -> Iterable[str]:
    """Say what the table has no room for."""
    if widths.get(_WARNINGS, 0) < natural[_WARNINGS]:
        counted = Counter(warning for decision in decisions for warning in decision.warnings)
        for warning, number in counted.most_common(_MOST_WARNINGS):
            yield f"  {number} warned: {warning}"
        if rest := counted.total() - sum(n for _, n in counted.most_common(_MOST_WARNINGS)):
            yield f"  {rest} more warnings"
    if names := ", ".join(name for name in _HEADINGS if name not in widths):
        yield f"no room here for {names}: runscrape explain | cat has all"


def _footer(
    decisions: Sequence[Decision], jobs: Sequence[Job], stale: Iterable[Scope]
) -> Iterable[str]:
    kept = sum(decision.kept for decision in decisions)
    skipped = len(decisions) - kept
    found, made = plural(len(decisions), "service"), plural(len(jobs), "job")
    yield f"{found}: {kept} kept in {made}, {skipped} skipped"
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
