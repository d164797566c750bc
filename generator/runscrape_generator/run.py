"""One run, from what Google lists to what Prometheus reads: the pipeline, strung together."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TextIO

from runscrape_generator import (
    diff,
    discovery,
    files,
    guard,
    inventory,
    jobs,
    lock,
    previous,
    publishing,
    rendering,
    selection,
    textfile,
    validation,
)
from runscrape_generator.errors import ConfigError, LockedError, RunscrapeError
from runscrape_generator.inventory import Inventory, Recalled
from runscrape_generator.model import Decision, Job
from runscrape_generator.publishing import Document, Published, Reloading
from runscrape_generator.reload import reloader
from runscrape_generator.settings import Settings
from runscrape_generator.summary import Summary, why_none
from runscrape_generator.talk import Talk

Command = Literal["generate", "targets"]
Hold = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class _Places:
    """Where the files really are, symbolic links resolved; None where there is none."""

    output: Path | None
    inventory: Path | None


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What the pipeline made, before any of it is published."""

    recalled: Recalled
    decisions: tuple[Decision, ...]
    jobs: tuple[Job, ...]
    text: str
    before: Inventory | None


def once(
    command: Command,
    settings: Settings,
    talk: Talk,
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
    record = partial(_record, settings, talk, begun)
    try:
        summary, measured = _run(command, settings, talk, stdout, hold)
    except LockedError:
        raise  # the run that has the lock will write the metrics
    except Exception as error:
        record(None, getattr(error, "exit_code", RunscrapeError.exit_code))
        raise
    record(measured, summary.exit_code)
    (talk.step if quiet and not summary.eventful else talk.summary)(summary.line())
    return summary


def _run(
    command: Command, settings: Settings, talk: Talk, stdout: TextIO, hold: Hold
) -> tuple[Summary, textfile.Measured]:
    places = _places(settings)
    with _locked(places, settings):
        made = _make(command, settings, talk, places)
        if settings.dry_run:
            published, text = _preview(command, settings, talk, places, made)
        else:
            with hold():
                published = _publish(command, settings, talk, places, made)
            text = "" if places.output else made.text
    stdout.write(text)
    stdout.flush()
    return _summary(settings, places, made, published), _measured(made)


def _places(settings: Settings) -> _Places:
    """Resolve every file before anything is listed, so that nobody waits for a mistyped folder.

    Raises WriteError for a place that cannot hold a file, ConfigError where two files are one.
    """
    output, known = settings.output, settings.inventory_path
    places = _Places(*(files.resolve(path) if path else None for path in (output, known)))
    real = {
        "--output": places.output,
        "--inventory": places.inventory,
        "--metrics-file": settings.metrics_file and Path(os.path.realpath(settings.metrics_file)),
    }
    for (option, path), (other, same) in itertools.combinations(real.items(), 2):
        if path is not None and path == same:
            raise ConfigError(f"{option} and {other} are the same file: {path}")
    return places


@contextmanager
def _locked(places: _Places, settings: Settings) -> Iterator[None]:
    """Hold the locks of output and inventory; a dry run writes nothing and needs none."""
    with ExitStack() as stack:
        for path in () if settings.dry_run else (places.output, places.inventory):
            if path is not None:
                stack.enter_context(lock.held(path))
        yield


def _make(command: Command, settings: Settings, talk: Talk, places: _Places) -> _Outcome:
    """Discover, decide, render and check; nothing is written."""
    before = inventory.load(places.inventory, talk) if places.inventory else None
    found = discovery.discover(settings, talk)
    recalled = inventory.recall(found, before, talk)
    talk.step(f"{len(recalled.services)} services in {len(recalled.scopes)} scopes")
    decisions = selection.decide(recalled.services, settings)
    assembled = jobs.assemble(decisions, settings)
    _tell(decisions, talk)
    text = _render(command, decisions, assembled, settings)
    _guard(before, decisions, text, places, settings)
    return _Outcome(recalled, decisions, assembled, text, before)


def _guard(
    before: Inventory | None,
    decisions: tuple[Decision, ...],
    text: str,
    places: _Places,
    settings: Settings,
) -> None:
    """Refuse to shrink what the inventory has or, where that is lost, what the output has."""
    if before is not None:
        old, new = before.targets, frozenset(_targets(decisions))
    else:
        data = files.read(places.output) if places.output else None
        old = previous.targets(data) if data else frozenset()
        new = previous.targets(text.encode()) if old else frozenset()
    guard.check(old, new, max_removed=settings.max_removed)


def _tell(decisions: tuple[Decision, ...], talk: Talk) -> None:
    """Say what is worth a look; the warnings of single services only where somebody watches."""
    warned = [(item, warning) for item in decisions for warning in item.warnings]
    for item, warning in warned:
        talk.detail(f"{item.service.id}: {warning}")
    if warned:
        talk.step(f"{len(warned)} warnings on services: runscrape explain shows them")
    if not any(item.kept for item in decisions):
        talk.warning(why_none(decisions))


def _render(
    command: Command,
    decisions: tuple[Decision, ...],
    assembled: tuple[Job, ...],
    settings: Settings,
) -> str:
    if command == "generate":
        return rendering.render(assembled, settings)
    suffix = settings.output.suffix.lower() if settings.output else ""
    return rendering.render_targets(decisions, settings, yaml=suffix in {".yml", ".yaml"})


def _targets(decisions: Iterable[Decision]) -> Iterable[guard.Target]:
    for decision in decisions:
        for endpoint in decision.endpoints:
            yield endpoint.job, endpoint.target, endpoint.metrics_path


def _documents(places: _Places, made: _Outcome) -> tuple[Document | None, Document | None]:
    """Give inventory and output as they should be."""
    listed = inventory.render(made.decisions, made.recalled.scopes)
    return (
        Document(places.inventory, listed.encode()) if places.inventory else None,
        Document(places.output, made.text.encode()) if places.output else None,
    )


def _publish(
    command: Command, settings: Settings, talk: Talk, places: _Places, made: _Outcome
) -> Published:
    known, output = _documents(places, made)
    promtool = validation.promtool(settings, talk) if command == "generate" else None
    if output is None and promtool:
        promtool.check(made.text.encode())
    call = reloader(settings.reload, settings.reload_command) if output else None
    return publishing.publish(
        known,
        output,
        talk=talk,
        check=promtool.check_file if promtool else None,
        reloading=Reloading(call, (settings.reload, settings.reload_command)) if call else None,
    )


def _preview(
    command: Command, settings: Settings, talk: Talk, places: _Places, made: _Outcome
) -> tuple[Published, str]:
    """Say what would change, and its diff; fails as the real run would, and writes nothing."""
    known, output = _documents(places, made)
    data = made.text.encode()
    old = files.read(output.path) if output else None
    promtool = validation.promtool(settings, talk) if command == "generate" else None
    if promtool and old != data:
        promtool.check(data)
    both = ((known, files.read(known.path) if known else None), (output, old))
    would = Published(tuple(item.path for item, was in both if item and was != item.data))
    return would, diff.unified(settings.output or Path("standard-output"), old, data)


def _summary(settings: Settings, places: _Places, made: _Outcome, published: Published) -> Summary:
    names = {job for job, _, _ in _targets(made.decisions)}
    before = made.before.jobs if made.before else frozenset()
    return Summary(
        services=len(made.decisions),
        jobs=len(made.jobs),
        added=len(names - before),
        removed=len(before - names),
        skipped=sum(not item.kept for item in made.decisions),
        stale=made.recalled.stale,
        output=settings.output,
        written=places.output is None or places.output in published.written,
        inventory_written=places.inventory in published.written,
        reload=published.reload,
        dry_run=settings.dry_run,
    )


def _measured(made: _Outcome) -> textfile.Measured:
    kept = sum(item.kept for item in made.decisions)
    stale = set(made.recalled.stale)
    return textfile.Measured(
        jobs=len(made.jobs),
        services={"kept": kept, "skipped": len(made.decisions) - kept},
        scopes={scope: scope in stale for scope in made.recalled.scopes},
    )


def _record(
    settings: Settings,
    talk: Talk,
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
        talk.warning(f"the metrics file was not written: {error}")


def _modified(output: Path | None) -> float | None:
    """When the output last changed: its mtime, since nothing else touches it."""
    try:
        return os.stat(output).st_mtime if output else None  # noqa: PTH116 - follows links as well
    except OSError:
        return None
