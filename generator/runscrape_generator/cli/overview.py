"""Every service found, what became of it and why: as a table, or as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runscrape_generator.cli.details import Named
from runscrape_generator.model import Decision, Endpoint, Job, Scope, ScopeFailure
from runscrape_generator.publish.prometheus_version import Found
from runscrape_generator.text import cut, cut_middle, pad, plural, printable, width

_SERVICE, _REGION, _PROJECT, _FATE = "SERVICE", "REGION", "PROJECT", "JOB OR REASON"
_AUDIENCE, _TARGET, _PATH, _WARNINGS = "AUDIENCE", "TARGET", "PATH", "WARNINGS"
_WIDE = (_SERVICE, _REGION, _PROJECT, _FATE, _AUDIENCE, _TARGET, _PATH, _WARNINGS)
_BOTH, _JOB = "AUDIENCE AND TARGET, OR REASON", "JOB"
_NARROW = (_SERVICE, _REGION, _PROJECT, _BOTH, _PATH, _JOB, _WARNINGS)
"""Where there is no room for all. What is skipped has a reason in place of audience and target."""
_GAP = "  "
_LEAST = {_SERVICE: 10, _PATH: 8, _BOTH: 6, _JOB: 16, _WARNINGS: 16}
"""Columns below which a cell says nothing; hosts are cut last of all."""
_MOST_WARNINGS = 5
_MOST_PADDING = 500
"""What one service says at length must not make the lines of thousands as long."""

Row = Mapping[str, str]
"""Cells by heading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What was found, and what became of it."""

    decisions: Sequence[Decision]
    jobs: Sequence[Job]
    stale: Sequence[Scope]
    """What was not listed now, but is in the inventory."""
    missing: Sequence[ScopeFailure]
    """What was not listed, and is in no inventory."""
    version: Found | None = None
    """That of Prometheus, where it was found out."""


def reasons(decisions: Iterable[Decision]) -> tuple[tuple[str, int], ...]:
    """Count why services were skipped: (reason, number), the most frequent first."""
    counted = Counter(decision.reason for decision in decisions if not decision.kept)
    return tuple(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def table(found: Overview, *, width: int | None) -> str:
    """Give an aligned line per service, then the counts; fit for *width* columns unless None.

    Where not all fits, audience, target and path have the room first; reasons are cut, and columns
    left out, which the last line names. Warnings that were cut are counted like reasons.
    """
    lines: list[str] = []
    left_out: list[str] = []
    if found.decisions:
        rows = [{name: name for name in (*_WIDE, *_NARROW)}, *map(_row, found.decisions)]
        widths = _fitted(rows, width)
        lines = [*(_line(row, widths) for row in rows), ""]
        if width is not None:
            lines = [cut(line, width) for line in lines]
        left_out = list(_left_out(found.decisions, _natural(rows), widths))
    footer = [printable(line) for line in (*_footer(found), *left_out)]
    return "\n".join([*lines, *footer]) + "\n"


def _row(decision: Decision) -> Row:
    service, ends = decision.service, decision.endpoints
    jobs = _several(endpoint.job for endpoint in ends)
    cells = {
        _SERVICE: service.name,
        _REGION: service.region,
        _PROJECT: service.project,
        _FATE: jobs or decision.reason,
        _AUDIENCE: _several(_audience(endpoint) for endpoint in ends) or "-",
        _TARGET: _several(endpoint.target for endpoint in ends) or "-",
        _BOTH: _several(_audience_and_target(endpoint) for endpoint in ends) or decision.reason,
        _PATH: _several(endpoint.metrics_path for endpoint in ends) or "-",
        _JOB: jobs or "-",
        _WARNINGS: "; ".join(decision.warnings),
    }
    return {name: printable(cell) for name, cell in cells.items()}


def _audience(endpoint: Endpoint) -> str:
    return "public" if endpoint.audience is None else endpoint.audience


def _audience_and_target(endpoint: Endpoint) -> str:
    """The audience; the host too, where the audience is not its URL."""
    host = endpoint.target.removesuffix(":443")
    audience = _audience(endpoint)
    return audience if audience == f"https://{host}" else f"{audience} at {host}"


def _several(values: Iterable[str]) -> str:
    """Give the values, each once."""
    return ", ".join(dict.fromkeys(values))


def _line(row: Row, widths: Mapping[str, int]) -> str:
    cells = (pad(_cut(row, name, room), min(room, _MOST_PADDING)) for name, room in widths.items())
    return _GAP.join(cells).rstrip()


def _cut(row: Row, name: str, room: int) -> str:
    """Cut names, hosts and jobs in the middle, so that they still differ; sentences at the end."""
    sentence = name == _WARNINGS or (name in {_FATE, _BOTH} and row[_JOB] == "-")
    return (cut if sentence else cut_middle)(row[name], room)


def _fitted(rows: Sequence[Row], columns: int | None) -> dict[str, int]:
    """Give each column that is shown its width, in the order of the headings."""
    natural = _natural(rows)
    if columns is None or _total(natural[name] for name in _WIDE) <= columns:
        return {name: natural[name] for name in _WIDE}
    # What names a target comes first, and gives way in this order where it alone is too wide.
    hosts = (width(row[_BOTH]) for row in rows[1:] if row[_JOB] != "-")
    widths = {_SERVICE: natural[_SERVICE], _BOTH: max(hosts, default=natural[_BOTH])}
    widths[_PATH] = natural[_PATH]
    for name in (_SERVICE, _PATH, _BOTH):
        too_many = max(_total(widths.values()) - columns, 0)
        widths[name] = max(widths[name] - too_many, min(widths[name], _LEAST[name]))
    # Then, while there is room: columns that differ, the rest of the reasons, and what is left.
    varied = [name for name in (_REGION, _PROJECT) if len({row[name] for row in rows[1:]}) > 1]
    for name in (*varied, _BOTH, _JOB, _WARNINGS, _REGION, _PROJECT):
        now = widths.get(name, -len(_GAP))  # a new column brings its gap along
        wanted = min(natural[name], now + columns - _total(widths.values()))
        if wanted > now and wanted >= min(natural[name], _LEAST.get(name, natural[name])):
            widths[name] = wanted
    return {name: widths[name] for name in _NARROW if name in widths}


def _natural(rows: Sequence[Row]) -> dict[str, int]:
    return {name: max(width(row[name]) for row in rows) for name in rows[0]}


def _total(widths: Iterable[int]) -> int:
    """Columns of a line, with the gaps between its cells."""
    each = list(widths)
    return sum(each) + len(_GAP) * (len(each) - 1)


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
    headings = _NARROW if _BOTH in widths else _WIDE
    if names := ", ".join(name for name in headings if name not in widths):
        yield f"no room here for {names}: runscrape explain | cat has all"


def _footer(found: Overview) -> Iterable[str]:
    decisions = found.decisions
    kept = sum(decision.kept for decision in decisions)
    skipped = len(decisions) - kept
    services, jobs = plural(len(decisions), "service"), plural(len(found.jobs), "job")
    yield f"{services}: {kept} kept in {jobs}, {skipped} skipped"
    if not decisions:
        yield "0 jobs: no service was found in the projects and regions listed"
    for reason, number in reasons(decisions):
        yield f"  {number} skipped: {reason}"
    if scopes := ", ".join(scope.key for scope in found.stale):
        yield f"not listed now, taken from the inventory: {scopes}"
    if places := ", ".join(failure.where for failure in found.missing):
        yield f"not listed, and in no inventory: {places}"
    if found.version is not None:
        yield version_line(found.version)


def version_line(version: Found) -> str:
    """Say which Prometheus the jobs are for, and who has told its version."""
    return f"for Prometheus {version.version}: {version.told_by}"


def as_json(found: Overview, named: Named | None = None) -> str:
    """Give the same as one JSON object, in ASCII, for programs; of *named* services in full."""
    content: dict[str, Any] = {
        "services": [_object(decision) for decision in found.decisions],
        "jobs": [job.name for job in found.jobs],
        "skipped": dict(reasons(found.decisions)),
        "stale": [scope.key for scope in found.stale],
        "missing": [failure.where for failure in found.missing],
    }
    if (version := found.version) is not None:
        content["prometheus_version"] = {"value": version.version, "origin": version.told_by}
    if named is not None:
        content["services"] = [
            _object(decision) | {"settings": [fact.as_json() for fact in facts]}
            for decision, facts in named
        ]
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
