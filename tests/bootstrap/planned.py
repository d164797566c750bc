"""A small plan of three files, and how bootstrap brings a folder to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runscrape_generator.bootstrap import bundle
from runscrape_generator.bootstrap.bundle import Manifest, Planned
from runscrape_generator.bootstrap.changes import Changes
from runscrape_generator.bootstrap.folder import Folder


def plan(version: int) -> Mapping[str, Planned]:
    return {name: Planned(f"{name} {version}\n") for name in "abc"}


def put(directory: Path, version: int) -> None:
    """Bring the three files of the plan to this version."""
    with Folder(directory) as folder, Changes(folder) as changes:
        known = bundle.load(folder) or Manifest("compose")
        bundle.apply(changes, bundle.steps(folder, plan(version), known), known)
        changes.commit()
