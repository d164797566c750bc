"""Where the files of a run are, and whether a run may write them."""

from __future__ import annotations

import itertools
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import ConfigError, RefusedError
from runscrape_generator.publish import file_kinds, files
from runscrape_generator.publish.file_kinds import FileKind
from runscrape_generator.render import templates

_OWNER, _OTHERS = 0o600, 0o077

Command = Literal["generate", "targets"]

WRITES = {"generate": FileKind.JOBS, "targets": FileKind.TARGETS}
"""What each command puts into its output."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the files really are, symbolic links resolved; None where there is none."""

    output: Path | None
    inventory: Path | None
    metrics: Path | None = None

    @property
    def state(self) -> Path | None:
        """The folder for all that is remembered of both: that of the inventory."""
        path = self.inventory or self.output
        return path.parent if path is not None else None


def find_places(settings: Settings) -> Places:
    """Resolve every file before anything is listed, so that nobody waits for a mistyped folder.

    Raises WriteError for a place that cannot hold a file, ConfigError where two files are one, or
    where there is no file for a block.
    """
    output, known, metrics = settings.output_path, settings.inventory_path, settings.metrics_file
    places = Places(
        files.resolve(output) if output else None,
        files.resolve(known) if known else None,
        Path(os.path.realpath(metrics)) if metrics else None,
    )
    real = {
        "--into" if settings.into else "--output": places.output,
        "--inventory": places.inventory,
        "--metrics-file": places.metrics,
    }
    for (option, path), (other, same) in itertools.combinations(real.items(), 2):
        if path is not None and path == same:
            raise ConfigError(f"{option} and {other} are the same file: {path}")
    if settings.into is not None and not settings.into.exists():
        raise ConfigError(
            f"--into: {settings.into}: there is no such file to keep a block in: correct the name, "
            "or have a whole file written with --output"
        )
    return places


def require_replaceable(command: Command, settings: Settings, places: Places) -> None:
    """Raise where a file would be lost, before anything is listed.

    RefusedError where it is not ours, ConfigError where it is ours, and of another kind: a mistyped
    ``--output`` would have Prometheus read a list of targets as its configuration.
    """
    if settings.into is not None:
        _require_users_own(settings.into)
    for path, kind, option in (
        (None if settings.into else places.output, WRITES[command], "--output"),
        (places.inventory, FileKind.INVENTORY, "--inventory"),
        (places.metrics, FileKind.METRICS, "--metrics-file"),
    ):
        if path is None or not os.path.isfile(path):  # noqa: PTH113 - fails where it may not look
            continue
        data = files.read(path) or b""
        found = file_kinds.kind_of(data)
        if found not in (None, kind) and file_kinds.is_ours(data, found):
            raise ConfigError(
                f"{option}: {path} holds {found}, and runscrape {command} would put {kind} in its "
                "place: name another file, or delete this one first"
            )
        if not settings.force and not file_kinds.is_ours(data, kind):
            old_template = kind is FileKind.JOBS and settings.template is not None
            raise RefusedError(refusal(path, kind, option, old_template=old_template))


def _require_users_own(path: Path) -> None:
    """Raise ConfigError for a file that ``--output`` wrote: all jobs of the block are there."""
    data = files.read(path) or b""
    if data.strip() and file_kinds.is_ours(data, FileKind.JOBS):
        raise ConfigError(
            f"--into: {path} was written whole by runscrape: go on with --output {path}, or make "
            "it a file of yours first: remove its first line, and the jobs that runscrape wrote"
        )


def mode_of_output(settings: Settings, places: Places) -> int:
    """Who may read a new output: nobody who may not read its template and what that includes.

    Raises ConfigError where an output that is there lets more people read it.
    """
    if settings.template is None:
        return files.NEW_FILE
    allowed = templates.mode(settings.template)
    if places.output is not None and places.output.exists():
        now = stat.S_IMODE(places.output.stat().st_mode)
        if now & _OTHERS & ~allowed:
            raise ConfigError(
                f"--template: {settings.template} and what it includes may be read by fewer than "
                f"{places.output} ({allowed & 0o777:04o}, {now:04o}): change one of the modes"
            )
    return files.NEW_FILE & allowed | _OWNER


def refusal(path: Path, kind: FileKind, option: str, *, old_template: bool = False) -> str:
    """Say that a file is not ours, and what can be done, on one line.

    With *old_template* it may be what the first release made of a template, without a mark in it.
    """
    force = f"let --force replace it once (it is kept as {path.name}.orig)"
    ways = f"name another file, or {force}"
    if old_template:
        ways = (
            f"if runscrape 0.1 made it of the template (it left no mark in it), {force}; else name "
            "another file"
        )
    elif kind is FileKind.JOBS:
        ways = (
            f"let runscrape keep its jobs in a block of it (--into {path} in place of {option}), "
            "or write them to a file of their own (--format scrape-configs) that it names under "
            f"scrape_config_files, or {ways}"
        )
    return f"{option}: {path} was not written by runscrape, and would be lost: {ways}"
