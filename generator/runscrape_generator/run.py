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
from runscrape_generator.errors import ConfigError, LockedError, RunscrapeError
from runscrape_generator.log import NOTICE
from runscrape_generator.pipeline import (
    Command,
    Made,
    Places,
    find_places,
    make,
    targets,
)
from runscrape_generator.progress import Progress
from runscrape_generator.publish import (
    diff,
    files,
    guard,
    inventory,
    lock,
    prometheus_version,
    reload,
    visible,
)
from runscrape_generator.publish import metrics as textfile
from runscrape_generator.publish import promtool as validation
from runscrape_generator.publish import publish as publishing
from runscrape_generator.publish.documents import (
    Block,
    Document,
    WholeFile,
    require_replaceable,
)
from runscrape_generator.publish.journal import Journal
from runscrape_generator.publish.promtool import Promtool
from runscrape_generator.publish.publish import Published, Reloading
from runscrape_generator.render import formats
from runscrape_generator.render.formats import Kind
from runscrape_generator.render.into import by_hand_as_well, take_apart
from runscrape_generator.render.scrape_config import scrape_configs
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
    with _locked(places.output or places.inventory, places, settings):
        _require_replaceable(command, settings, places)
        promtool = validation.promtool(settings) if command == "generate" else None
        reloading = _reloading(command, settings, places)
        made = make(command, settings, progress, places)
        known, output = _documents(command, settings, places, made)
        _warn(settings, places, made)
        if settings.dry_run:
            published, text = _preview(settings, known, output, made, promtool)
        else:
            shared = places.inventory if places.output else None
            with _locked(shared, places, settings, _PATIENCE), hold():
                published = _publish(known, output, made, promtool, reloading)
                prometheus_version.remember(version, settings)
            text = "" if places.output else made.text
    stdout.write(text)
    stdout.flush()
    return _summary(command, settings, places, made, published), _measured(made)


def _locked(
    path: Path | None, places: Places, settings: Settings, patience: float = 0.0
) -> AbstractContextManager[None]:
    """Hold the lock of a file; a dry run writes nothing and needs none.

    That of the output is held for the whole run, so that no two runs list for the same file. That
    of the inventory only while files are published: ``generate`` and ``targets`` that are started
    by one timer may share it, and must not shut each other out.
    """
    if path is None or settings.dry_run:
        return nullcontext()
    folder = places.inventory.parent if places.inventory else None
    return lock.held(path, folder, patience=patience)


def _require_replaceable(command: Command, settings: Settings, places: Places) -> None:
    """Raise where a file would be lost that somebody else wrote, before anything is listed."""
    output = Kind.JOBS if command == "generate" else Kind.TARGETS
    if settings.into is not None and not settings.into.exists():
        raise ConfigError(
            f"--into: {settings.into}: there is no such file to keep a block in: correct the name, "
            "or have a whole file written with --output"
        )
    for path, kind, option in (
        (None if settings.into else places.output, output, "--output"),
        (places.inventory, Kind.INVENTORY, "--inventory"),
        (_metrics_file(settings), Kind.METRICS, "--metrics-file"),
    ):
        if path is not None:
            require_replaceable(path, kind, option, command=command, force=settings.force)


def _metrics_file(settings: Settings) -> Path | None:
    """Where the metrics file really is, if it is one."""
    path = settings.metrics_file
    return Path(os.path.realpath(path)) if path is not None and path.is_file() else None


def _warn(settings: Settings, places: Places, made: Made) -> None:
    """Say what of the configuration that we can see does not go well with this run."""
    if places.output is None:
        return
    if settings.into is not None:
        config = take_apart(files.read(places.output) or b"", str(settings.into))
        for line in by_hand_as_well(config.jobs(), made.jobs):
            log.warning(f"{settings.into}: {line}: remove one of them")
        data = config.data()
    elif settings.template is not None:
        data = formats.configuration(made.text)
    else:
        data = {"scrape_configs": scrape_configs(made.jobs, settings)}
    ours = [path for path in (places.inventory,) if path is not None]
    for line in visible.read_by(data, places.output.parent, ours):
        log.warning(f"{line}: name a file in another folder with --inventory")


def _documents(
    command: Command, settings: Settings, places: Places, made: Made
) -> tuple[Document | None, Document | None]:
    """Give inventory and output as they should be."""
    known: Document | None = None
    output: Document | None = None
    if places.inventory is not None:
        listed = inventory.render(made.decisions, made.recalled.scopes).encode()
        known = WholeFile(
            places.inventory, listed, Kind.INVENTORY, "--inventory", force=settings.force
        )
    if places.output is not None and settings.into is not None:
        output = Block(places.output, scrape_configs(made.jobs, settings))
    elif places.output is not None:
        kind = Kind.JOBS if command == "generate" else Kind.TARGETS
        output = WholeFile(places.output, made.text.encode(), kind, force=settings.force)
    return known, output


def _reloading(command: Command, settings: Settings, places: Places) -> Reloading | None:
    """How to have Prometheus reload; target files are watched, and need none."""
    if places.output is None or command != "generate":
        return None
    call = reload.reloader(settings)
    return Reloading(call, (settings.reload, settings.reload_command)) if call else None


def _publish(
    known: Document | None,
    output: Document | None,
    made: Made,
    promtool: Promtool | None,
    reloading: Reloading | None,
) -> Published:
    if output is None and promtool:
        promtool.check(made.text.encode())
    check = promtool.check_file if promtool else None
    return publishing.publish(known, output, check=check, reloading=reloading)


def _preview(
    settings: Settings,
    known: Document | None,
    output: Document | None,
    made: Made,
    promtool: Promtool | None,
) -> tuple[Published, str]:
    """Say what would change, and its diff; fails as the real run would, and writes nothing."""
    would = []
    for document in filter(None, (known, output)):
        old = files.read(document.path)
        if document.content(old) != old:
            would.append(document.path)
    old = files.read(output.path) if output else None
    new = output.content(old) if output else made.text.encode()
    if promtool and old != new:
        promtool.check(new)
    name = settings.output_path or Path("standard-output")
    return Published(tuple(would)), diff.unified(name, old, new)


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
        output=settings.output_path,
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
        there = _metrics_file(settings)
        if there is not None and not formats.is_ours(files.read(there) or b"", Kind.METRICS):
            if not settings.force:
                return  # the run has ended for just that
            log.warning(f"what was there before is kept as {Journal(there, there.parent).save()}")
        textfile.write(
            settings.metrics_file,
            ended=time.time(),
            seconds=time.monotonic() - begun,
            changed=_modified(settings.output_path),
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
