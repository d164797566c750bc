"""The scratch copy of a bundle, in which the generator runs before anything is written."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from runscrape_generator import run
from runscrape_generator.bootstrap import processes
from runscrape_generator.bootstrap import settings as bootstrap_settings
from runscrape_generator.bootstrap.bundle import FileStep
from runscrape_generator.bootstrap.folder import Folder
from runscrape_generator.bootstrap.options import Choices
from runscrape_generator.bootstrap.platforms import Platform
from runscrape_generator.config.settings import Format, Mode, Settings
from runscrape_generator.errors import RefusedError, RunscrapeError, WriteError
from runscrape_generator.progress import Progress
from runscrape_generator.publish.file_kinds import FileKind, is_ours
from runscrape_generator.publish.places import WRITES
from runscrape_generator.summary import Summary

BLOCK = "prometheus-block.yml"
"""Shows the jobs that the generator will keep in a prometheus.yml of the user's."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a private folder that goes in the end; raises WriteError where there is no room."""
    try:
        with tempfile.TemporaryDirectory(prefix="runscrape-") as name:
            yield Path(name).resolve()
    except OSError as error:
        raise WriteError(
            f"no temporary files ({error.strerror or error}): make room in"
            f" {os.environ.get('TMPDIR') or '/tmp'}, or let TMPDIR name another folder"  # noqa: S108
        ) from error


@contextmanager
def shown_as(scratch: Path, directory: Path) -> Iterator[None]:
    """Name the bundle's folder, not the scratch folder, in what is logged and raised."""

    def rename(record: logging.LogRecord) -> bool:
        record.msg, record.args = record.getMessage().replace(str(scratch), str(directory)), ()
        return True

    handlers = logging.getLogger("runscrape_generator").handlers[:]
    for handler in handlers:
        handler.addFilter(rename)
    try:
        yield
    except RunscrapeError as error:
        raise type(error)(str(error).replace(str(scratch), str(directory))) from error
    finally:
        for handler in handlers:
            handler.removeFilter(rename)


def copy_config(choices: Choices, folder: Folder, scratch: Path) -> Path:
    """Copy what the generator reads; gives the place of runscrape.yaml, there or not."""
    for name in (choices.places.bundle_config, *generated(choices)):
        for path in folder.files(name):
            _copy(folder, path, scratch)
    _copy(folder, BLOCK, scratch)
    return scratch / choices.places.bundle_config / "runscrape.yaml"


def _copy(folder: Folder, path: str, scratch: Path) -> None:
    data = folder.read(path)
    if data is not None:
        put(scratch / path, data)


def put(path: Path, data: bytes) -> None:
    """Write a file, and make the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def generated(choices: Choices) -> tuple[str, ...]:
    """Name the folders of the bundle that the generator writes to."""
    state = choices.places.bundle_state
    if choices.platform is Platform.SYSTEMD:
        return (state, f"{state}/jobs")
    return (state, "operator") if choices.operator else (state,)


def generate(
    choices: Choices, progress: Progress, scratch: Path, max_removed: float | None
) -> list[Summary]:
    """Run the generator in the scratch folder; ``max_removed`` is a percentage, for this run alone.

    Gives what each run did, with its output in the bundle: to be told once it is there.
    """
    for name in generated(choices):
        (scratch / name).mkdir(parents=True, exist_ok=True)
    runs = list(_runs(choices, scratch))
    if max_removed is not None:
        runs = [(command, replace(each, max_removed=max_removed)) for command, each in runs]
    for command, settings in runs:
        _require_ours(settings.output, WRITES[command])
        _require_ours(settings.inventory, FileKind.INVENTORY)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - no path of ours
        summaries = [
            run.untold(command, settings, progress, stdout=nowhere) for command, settings in runs
        ]
    return [
        replace(each, output=choices.directory / each.output.relative_to(scratch))
        for each in summaries
        if each.output
    ]


def _require_ours(path: Path | None, kind: FileKind) -> None:
    """Raise RefusedError for a file of somebody else's where the generator's is to be."""
    if path and path.is_file() and not is_ours(path.read_bytes(), kind):
        raise RefusedError(f"{path}: was not written by runscrape, and would be lost: move it away")


def _runs(
    choices: Choices, scratch: Path
) -> Iterator[tuple[Literal["generate", "targets"], Settings]]:
    """Give each run of the generator; raises ConfigError for a bad runscrape.yaml."""
    places = choices.places
    settings = bootstrap_settings.for_scratch(
        scratch / places.bundle_config / "runscrape.yaml", choices, scratch
    )
    state = scratch / places.bundle_state
    if processes.keeps_a_block(choices, settings):
        shown = replace(settings, output=scratch / BLOCK, format=Format.SCRAPE_CONFIGS)
        yield "generate", shown
    else:
        yield "generate", replace(settings, output=state / processes.output(choices))
    if settings.mode is Mode.GATEWAY:
        yield "targets", replace(settings, output=state / "targets.json")
    if choices.operator:
        own = bootstrap_settings.for_scratch(scratch / "operator/runscrape.yaml", choices, scratch)
        output = scratch / "operator" / "scrapeconfigs.yaml"
        yield "generate", replace(own, output=output)


def made(
    choices: Choices, folder: Folder, decided: Sequence[FileStep], scratch: Path
) -> Iterator[tuple[str, bytes]]:
    """Give each file that the generator made or changed.

    Its hidden files are for the next run in the same folder, and there is none in this one.
    """
    planned = {step.path for step in decided}
    found = {path for name in generated(choices) for path in (scratch / name).rglob("*")}
    for path in sorted({*found, scratch / BLOCK}):
        relative = str(path.relative_to(scratch))
        if path.is_file() and not path.name.startswith(".") and relative not in planned:
            data = path.read_bytes()
            if folder.read(relative) != data:
                yield relative, data
