"""One run: the pipeline, what becomes of its result, and what is said and measured of it."""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TextIO

from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import LockedError, RunscrapeError
from runscrape_generator.log import NOTICE
from runscrape_generator.pipeline import Made, make, targets_of
from runscrape_generator.progress import Progress
from runscrape_generator.publish import (
    diff,
    files,
    guard,
    inventory,
    lock,
    metrics,
    prometheus_version,
    promtool,
    reload,
    users_config,
)
from runscrape_generator.publish.documents import Block, Document, WholeFile
from runscrape_generator.publish.file_kinds import FileKind
from runscrape_generator.publish.places import (
    WRITES,
    Command,
    Places,
    find_places,
    mode_of_output,
    require_replaceable,
)
from runscrape_generator.publish.promtool import Promtool
from runscrape_generator.publish.publish import Published, publish
from runscrape_generator.render.scrape_config import scrape_configs
from runscrape_generator.summary import Summary

log = logging.getLogger(__name__)

_LOCK_WAIT = 3 * reload.TIMEOUT
"""Seconds to wait for another run to publish: it may reload, roll back and reload again."""


def once(
    command: Command,
    settings: Settings,
    progress: Progress,
    *,
    stdout: TextIO,
    quiet: bool = False,
) -> Summary:
    """Run ``generate`` or ``targets`` once, and tell it; raises a RunscrapeError where that fails.

    ``quiet`` keeps the summary line of a run in which nothing happened for terminals and ``-v``
    (``--watch``).
    """
    summary = untold(command, settings, progress, stdout=stdout)
    log.log(logging.INFO if quiet and not summary.eventful else NOTICE, summary.line())
    return summary


def untold(command: Command, settings: Settings, progress: Progress, *, stdout: TextIO) -> Summary:
    """Run as :func:`once`; it is for the caller to tell of it."""
    begun = time.monotonic()
    record = partial(metrics.record, settings, begun)
    try:
        summary, measured = _run(command, settings, progress, stdout)
    except LockedError:
        raise  # the run that has the lock will write the metrics
    except Exception as error:
        record(None, getattr(error, "exit_code", RunscrapeError.exit_code))
        raise
    record(measured, summary.exit_code)
    return summary


def _run(
    command: Command, settings: Settings, progress: Progress, stdout: TextIO
) -> tuple[Summary, metrics.Measured]:
    version = None
    if command == "generate":
        settings, version = prometheus_version.resolved(settings)
    places = find_places(settings)
    with _locked(places.output or places.inventory, places, settings):
        require_replaceable(command, settings, places)
        mode, checker, reloading = files.NEW_FILE, None, None
        if command == "generate":  # Prometheus itself watches files of targets
            mode = mode_of_output(settings, places)
            checker = promtool.find(settings, has_told=version is not None and version.by_promtool)
            reloading = reload.reloading(settings) if places.output else None
        made = make(command, settings, progress, places)
        known, output = _documents(command, settings, places, made, mode)
        for warning in users_config.warnings(settings, places, made.jobs, made.data):
            log.warning(warning)
        if settings.dry_run:
            published, text = _preview(settings, known, output, made, checker)
        else:
            shared = places.inventory if places.output else None
            with _locked(shared, places, settings, _LOCK_WAIT):
                if output is None and checker:
                    checker.check(made.data)
                check = checker.check_file if checker else None
                published = publish(known, output, check=check, reloading=reloading)
                prometheus_version.remember(version, settings)
            text = "" if places.output else made.data.decode()
    stdout.write(text)
    stdout.flush()
    return _summary(command, settings, places, made, published), _measured(made)


def _locked(
    path: Path | None, places: Places, settings: Settings, wait: float = 0.0
) -> AbstractContextManager[None]:
    """Hold the lock of a file; a dry run writes nothing and needs none.

    That of the output is held for the whole run, so that no two runs list for the same file. That
    of the inventory only while files are published: ``generate`` and ``targets`` that are started
    by one timer may share it, and must not shut each other out.
    """
    if path is None or settings.dry_run:
        return nullcontext()
    return lock.held(path, places.state, wait=wait)


def _documents(
    command: Command, settings: Settings, places: Places, made: Made, mode: int
) -> tuple[Document | None, Document | None]:
    """Give inventory and output as they should be."""
    known: Document | None = None
    output: Document | None = None
    if places.inventory is not None:
        listed = inventory.render(made.decisions, made.recalled.scopes)
        known = WholeFile(
            places.inventory, listed, FileKind.INVENTORY, "--inventory", force=settings.force
        )
    if places.output is not None and settings.into is not None:
        output = Block(places.output, scrape_configs(made.jobs, settings))
    elif places.output is not None:
        output = WholeFile(
            places.output, made.data, WRITES[command], force=settings.force, mode=mode
        )
    return known, output


def _preview(
    settings: Settings,
    known: Document | None,
    output: Document | None,
    made: Made,
    checker: Promtool | None,
) -> tuple[Published, str]:
    """Say what would change, and its diff; fails as the real run would, and writes nothing."""
    would = []
    for document in filter(None, (known, output)):
        old = files.read(document.path)
        if document.content(old) != old:
            would.append(document.path)
    old = files.read(output.path) if output else None
    new = output.content(old) if output else made.data
    if checker and old != new:
        checker.check(new)
    name = settings.output_path or Path("standard-output")
    return Published(tuple(would)), diff.unified(name, old, new)


def _summary(
    command: Command, settings: Settings, places: Places, made: Made, published: Published
) -> Summary:
    """Count jobs, or for ``targets`` those; what is new to the inventory, and what only it has."""
    found = frozenset(targets_of(made.decisions))
    listed = made.before or frozenset()
    of_jobs = command == "generate"
    now, before = (_names(found), _names(listed)) if of_jobs else (found, listed)
    return Summary(
        services=len(made.decisions),
        jobs=len(made.jobs) if of_jobs else len(found),
        noun="job" if of_jobs else "target",
        added=len(now - before),
        removed=len(before - now),
        skipped=sum(not item.kept for item in made.decisions),
        stale=made.recalled.stale,
        missing=made.recalled.missing,
        output=settings.output_path,
        written=places.output is None or places.output in published.written,
        inventory_written=places.inventory in published.written,
        reload=published.reload,
        dry_run=settings.dry_run,
    )


def _names(found: frozenset[guard.Target]) -> frozenset[str]:
    return frozenset(job for job, _, _ in found)


def _measured(made: Made) -> metrics.Measured:
    kept = sum(item.kept for item in made.decisions)
    stale = set(made.recalled.stale)
    return metrics.Measured(
        jobs=len(made.jobs),
        services={"kept": kept, "skipped": len(made.decisions) - kept},
        scopes={scope: scope in stale for scope in made.recalled.scopes},
        missing=tuple((one.project, one.region or "") for one in made.recalled.missing),
    )
