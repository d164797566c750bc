"""One run: the pipeline, what becomes of its result, and what is said and measured of it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TextIO

from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import LockedError, RunscrapeError
from runscrape_generator.log import NOTICE
from runscrape_generator.pipeline import (
    Command,
    Made,
    Places,
    documents,
    find_places,
    make,
    refuse_other_kinds,
    targets,
)
from runscrape_generator.progress import Progress
from runscrape_generator.publish import diff, files, guard, lock, prometheus_version, reload
from runscrape_generator.publish import metrics as textfile
from runscrape_generator.publish import promtool as validation
from runscrape_generator.publish import publish as publishing
from runscrape_generator.publish.promtool import Promtool
from runscrape_generator.publish.publish import Published, Reloading
from runscrape_generator.summary import Summary

log = logging.getLogger(__name__)

_PATIENCE = 3 * reload.TIMEOUT
"""Seconds to wait for another run to publish: it may reload, roll back and reload again."""

Hold = Callable[[], AbstractContextManager[None]]


def once(
    command: Command,
    settings: Settings,
    progress: Progress,
    *,
    stdout: TextIO,
    hold: Hold = nullcontext,
    quiet: bool = False,
) -> Summary:
    """Run ``generate`` or ``targets`` once; raises a RunscrapeError where that fails.

    ``hold`` is entered while files are published. ``quiet`` keeps the summary line of a run in
    which nothing happened for terminals and ``-v`` (``--watch``).
    """
    begun = time.monotonic()
    record = partial(_record, settings, begun)
    try:
        summary, measured = _run(command, settings, progress, stdout, hold)
    except LockedError:
        raise  # the run that has the lock will write the metrics
    except Exception as error:
        record(None, getattr(error, "exit_code", RunscrapeError.exit_code))
        raise
    record(measured, summary.exit_code)
    log.log(logging.INFO if quiet and not summary.eventful else NOTICE, summary.line())
    return summary


def _run(
    command: Command, settings: Settings, progress: Progress, stdout: TextIO, hold: Hold
) -> tuple[Summary, textfile.Measured]:
    version = None
    if command == "generate":
        settings, version = prometheus_version.resolved(settings)
    places = find_places(settings)
    with _locked(places.output or places.inventory, settings):
        refuse_other_kinds(command, places)
        promtool = validation.promtool(settings) if command == "generate" else None
        made = make(command, settings, progress, places)
        if settings.dry_run:
            published, text = _preview(settings, places, made, promtool)
        else:
            with _locked(places.inventory if places.output else None, settings, _PATIENCE), hold():
                published = _publish(command, settings, places, made, promtool=promtool)
                prometheus_version.remember(version, settings)
            text = "" if places.output else made.text
    stdout.write(text)
    stdout.flush()
    return _summary(command, settings, places, made, published), _measured(made)


def _locked(
    path: Path | None, settings: Settings, patience: float = 0.0
) -> AbstractContextManager[None]:
    """Hold the lock of a file; a dry run writes nothing and needs none.

    That of the output is held for the whole run, so that no two runs list for the same file. That
    of the inventory only while files are published: ``generate`` and ``targets`` that are started
    by one timer may share it, and must not shut each other out.
    """
    return nullcontext() if path is None or settings.dry_run else lock.held(path, patience=patience)


def _publish(
    command: Command,
    settings: Settings,
    places: Places,
    made: Made,
    *,
    promtool: Promtool | None,
) -> Published:
    known, output = documents(places, made)
    if output is None and promtool:
        promtool.check(made.text.encode())
    reloads = output is not None and command == "generate"  # target files are watched
    call = reload.reloader(settings.reload, settings.reload_command) if reloads else None
    return publishing.publish(
        known,
        output,
        check=promtool.check_file if promtool else None,
        reloading=Reloading(call, (settings.reload, settings.reload_command)) if call else None,
    )


def _preview(
    settings: Settings, places: Places, made: Made, promtool: Promtool | None
) -> tuple[Published, str]:
    """Say what would change, and its diff; fails as the real run would, and writes nothing."""
    known, output = documents(places, made)
    data = made.text.encode()
    old = files.read(output.path) if output else None
    if promtool and old != data:
        promtool.check(data)
    both = ((known, files.read(known.path) if known else None), (output, old))
    would = Published(tuple(item.path for item, was in both if item and was != item.data))
    return would, diff.unified(settings.output or Path("standard-output"), old, data)


def _summary(
    command: Command, settings: Settings, places: Places, made: Made, published: Published
) -> Summary:
    """Count jobs, or for ``targets`` those; what is new to the inventory, and what only it has."""
    found = frozenset(targets(made.decisions))
    known = made.before.targets if made.before else frozenset()
    of_jobs = command == "generate"
    now, before = (_names(found), _names(known)) if of_jobs else (found, known)
    return Summary(
        services=len(made.decisions),
        jobs=len(made.jobs) if of_jobs else len(found),
        noun="job" if of_jobs else "target",
        added=len(now - before),
        removed=len(before - now),
        skipped=sum(not item.kept for item in made.decisions),
        stale=made.recalled.stale,
        missing=made.recalled.missing,
        output=settings.output,
        written=places.output is None or places.output in published.written,
        inventory_written=places.inventory in published.written,
        reload=published.reload,
        dry_run=settings.dry_run,
    )


def _names(found: frozenset[guard.Target]) -> frozenset[str]:
    return frozenset(job for job, _, _ in found)


def _measured(made: Made) -> textfile.Measured:
    kept = sum(item.kept for item in made.decisions)
    stale = set(made.recalled.stale)
    return textfile.Measured(
        jobs=len(made.jobs),
        services={"kept": kept, "skipped": len(made.decisions) - kept},
        scopes={scope: scope in stale for scope in made.recalled.scopes},
        missing=tuple((one.project, one.region or "") for one in made.recalled.missing),
    )


def _record(
    settings: Settings,
    begun: float,
    measured: textfile.Measured | None,
    exit_code: int,
) -> None:
    """Write the metrics file; that it cannot be written is a warning, the run counts."""
    if settings.metrics_file is None or settings.dry_run:
        return
    try:
        textfile.write(
            settings.metrics_file,
            ended=time.time(),
            seconds=time.monotonic() - begun,
            changed=_modified(settings.output),
            measured=measured,
            exit_code=exit_code,
        )
    except (RunscrapeError, OSError) as error:
        log.warning(f"the metrics file was not written: {error}")


def _modified(output: Path | None) -> float | None:
    """When the output last changed: its mtime, since nothing else touches it."""
    try:
        return os.stat(output).st_mtime if output else None  # noqa: PTH116 - follows links as well
    except OSError:
        return None
