"""Whether Prometheus would read our own files, as jobs, rules or targets.

``scrape_config_files: ['dir/*']`` takes every file of a folder, hidden ones too, and one that is no
list of jobs keeps Prometheus from reloading, and from starting.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from runscrape_generator.render.scrape_config import Data


def read_by(config: Data, folder: Path, ours: Iterable[Path]) -> Iterator[str]:
    """Name what of *ours* (real paths) a pattern of *config* takes; it counts from *folder*."""
    known = list(ours)
    for key, pattern in _patterns(config):
        absolute = folder / pattern
        for path in known:
            same = absolute.parent.resolve() == path.parent
            if same and fnmatch.fnmatchcase(path.name, absolute.name):
                yield f"{path} would be read by Prometheus: {key} {pattern!r} takes it"


def _patterns(config: Data) -> Iterator[tuple[str, str]]:
    for key in ("scrape_config_files", "rule_files"):
        yield from ((key, pattern) for pattern in _texts(config.get(key)))
    for job in _mappings(config.get("scrape_configs")):
        for discovery in _mappings(job.get("file_sd_configs")):
            for pattern in _texts(discovery.get("files")):
                yield "file_sd_configs", pattern


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _mappings(value: Any) -> list[Data]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
