"""What is in a file that a run would replace: what kind of file it is, and what it scrapes.

A run never puts one kind of file in the place of another: a mistyped ``--output`` would have
Prometheus read a list of targets as its configuration.

The shrink guard compares with the inventory. Where that is lost or broken, what the file scrapes
stands in for it, so that a run which lost its memory cannot empty a good file either. Only targets
with a ``service_name`` count: those are ours, in every format that lists targets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import yaml

from runscrape_generator.publish.guard import Target


class Kind(StrEnum):
    """What a run writes, in words for people."""

    JOBS = "scrape jobs"
    TARGETS = "a list of targets"
    INVENTORY = "an inventory"


_LOOKS = {
    Kind.JOBS: re.compile(
        rb'^(?:(?:scrape_config(?:s|_files)|global|rule_files)[ \t]*:|- "?job_name"?[ \t]*:'
        rb'|"?kind"?:[ \t]*"?ScrapeConfig)',
        re.MULTILINE,
    ),
    Kind.TARGETS: re.compile(rb'\A\s*\[\s*\{\s*"(?:targets|labels)"|^- "?targets"?:', re.MULTILINE),
    Kind.INVENTORY: re.compile(rb'\A\s*\{\s*"(?:scopes|version)"'),
}
"""What files of each kind hold and others do not; enough for those that people wrote as well."""


def kind(data: bytes) -> Kind | None:
    """What kind of file it is; None for what is none of these, or empty."""
    return next((each for each, look in _LOOKS.items() if look.search(data)), None)


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def targets(data: bytes) -> frozenset[Target]:
    """List ``(PROJECT/REGION/SERVICE, host:port, metrics path)``; empty where it cannot be read."""
    try:
        content = yaml.load(data, _LOADER)  # noqa: S506 - a safe loader, in C; JSON is YAML too
        entries = content["scrape_configs"] if isinstance(content, dict) else content
        return frozenset(found for entry in entries for found in _entry(entry))
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        return frozenset()


def _entry(entry: dict[str, Any]) -> Iterator[Target]:
    """Read a scrape job with ``static_configs``, or a target group of file_sd."""
    groups = entry.get("static_configs") or ([entry] if "targets" in entry else [])
    for group in groups:
        labels = group.get("labels") or {}
        if "service_name" in labels:
            place = (labels.get("project_id"), labels.get("location"), labels["service_name"])
            path = labels.get("__metrics_path__") or entry.get("metrics_path") or ""
            for target in group["targets"]:
                yield "/".join(map(str, place)), str(target), str(path)
