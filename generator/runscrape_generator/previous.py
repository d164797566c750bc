"""What an output of ours scrapes, read back from the file itself.

The shrink guard compares with the inventory. Where that is lost or broken, this stands in for it,
so that a run which lost its memory cannot empty a good file either. Only targets with a
``service_name`` count: those are ours, in every format that lists targets.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from runscrape_generator.guard import Target

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
