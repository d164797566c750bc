"""The shrink guard: one run may not remove more of the jobs than the user allows.

Google can answer an empty list where it means "not yours to see", and a mistyped glob matches
nothing. So what would go is counted against what the inventory says is there.

Where the inventory is lost or broken, what the output scrapes stands in for it, so that a run which
lost its memory cannot empty a good file either. Only targets with a ``service_name`` count: those
are ours, in every format that lists targets.

A job counts as gone when its name is gone and none of its targets is scraped under another name:
a new ``--job-name`` renames, it does not remove. Targets are counted too, since a job that several
services share may lose most of them: one is lost when it is gone and its job has no new one in its
place (a custom domain replaces, it does not remove).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any

from runscrape_generator.errors import ShrinkError, ValidationError
from runscrape_generator.render.yaml import from_yaml

Target = tuple[str, str, str]
"""Job, ``host:port``, metrics path."""

_EVERYTHING = 100.0
_NAMED = 5


def check(old: AbstractSet[Target], new: AbstractSet[Target], *, max_removed: float) -> None:
    """Raise ShrinkError if more than ``max_removed`` percent would go, or all.

    100 allows everything: somebody who deletes the last service must be able to say so.
    """
    for what, gone, total in (
        ("jobs", lost_jobs(old, new), len({job for job, _, _ in old})),
        ("targets", lost_targets(old, new), len(old)),
    ):
        if not gone or max_removed >= _EVERYTHING:
            continue
        if len(gone) == total or 100 * len(gone) > max_removed * total:
            raise ShrinkError(_message(what, gone, total, max_removed))


def lost_jobs(old: AbstractSet[Target], new: AbstractSet[Target]) -> tuple[str, ...]:
    """Name the jobs that would go with all their targets, sorted."""
    names = {job for job, _, _ in new}
    places = {(target, path) for _, target, path in new}
    moved = {job for job, target, path in old if (target, path) in places}
    return tuple(sorted({job for job, _, _ in old} - names - moved))


def lost_targets(old: AbstractSet[Target], new: AbstractSet[Target]) -> tuple[str, ...]:
    """Name the targets (``host:port/path``) that would go with nothing in their place, sorted."""
    before = {(target, path) for _, target, path in old}
    after = {(target, path) for _, target, path in new}
    fresh = Counter(job for job, target, path in new if (target, path) not in before)
    lost = []
    for job, target, path in sorted(old):
        if (target, path) in after:
            continue
        if fresh[job]:
            fresh[job] -= 1
        else:
            lost.append(f"{target}{path}")
    return tuple(lost)


def _message(what: str, gone: tuple[str, ...], total: int, max_removed: float) -> str:
    amount = f"all {total}" if len(gone) == total else f"{len(gone)} of {total}"
    if total == 1:
        amount, what = "the only", what.removesuffix("s")
    some = ", ".join(gone[:_NAMED]) + (", …" if len(gone) > _NAMED else "")
    return (
        f"refused to remove {amount} {what} ({some}): --max-removed is {max_removed:g} percent; "
        "nothing was changed. If they are meant to go, run once with --max-removed 100"
    )


def targets_in(data: bytes) -> frozenset[Target]:
    """What an output scrapes, as ``(PROJECT/REGION/SERVICE, host:port, metrics path)``.

    Empty where it cannot be read.
    """
    try:
        (content,) = from_yaml(data.decode())  # JSON is YAML, too
        entries = content["scrape_configs"] if isinstance(content, dict) else content
        return frozenset(found for entry in entries for found in _targets(entry))
    except (ValidationError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError):
        return frozenset()


def _targets(entry: dict[str, Any]) -> Iterator[Target]:
    """Read a scrape job with ``static_configs``, or a target group of file_sd."""
    groups = entry.get("static_configs") or ([entry] if "targets" in entry else [])
    for group in groups:
        labels = group.get("labels") or {}
        if "service_name" in labels:
            place = (labels.get("project_id"), labels.get("location"), labels["service_name"])
            path = labels.get("__metrics_path__") or entry.get("metrics_path") or ""
            for target in group["targets"]:
                yield "/".join(map(str, place)), str(target), str(path)
