"""The pipeline up to publishing: discover, recall, decide, render, check; nothing is written."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runscrape_generator.cloudrun.discovery import discover
from runscrape_generator.cloudrun.recall import Recalled, recall
from runscrape_generator.config.settings import Mode, Settings
from runscrape_generator.errors import ConfigError
from runscrape_generator.model import Decision, Job
from runscrape_generator.progress import Progress
from runscrape_generator.publish import files, guard, inventory
from runscrape_generator.publish.places import Command, Places
from runscrape_generator.render import formats
from runscrape_generator.selection.decide import decide
from runscrape_generator.selection.jobs import assemble
from runscrape_generator.selection.rules import unmatched
from runscrape_generator.summary import no_one_token, why_none

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """What the pipeline made, before any of it is published."""

    recalled: Recalled
    decisions: tuple[Decision, ...]
    jobs: tuple[Job, ...]
    data: bytes
    """The output, as UTF-8."""
    before: frozenset[guard.Target] | None
    """The targets that the inventory had before; None where there is none."""


def make(command: Command, settings: Settings, progress: Progress, places: Places) -> Made:
    """Discover, decide, render and check; nothing is written."""
    users_own = _output(places) if settings.into is not None else b""
    usual, others = formats.surroundings(settings, users_own)
    recalled, before = recalled_now(settings, progress, places.inventory)
    log.info(f"{len(recalled.services)} services in {len(recalled.scopes)} scopes")
    decisions = decide(recalled.services, usual, others if command == "generate" else ())
    assembled = assemble(decisions)
    _tell(decisions)
    for line in unmatched(recalled.services, settings):
        log.warning(line)
    if command == "targets" and settings.mode is Mode.OAUTH2 and (told := no_one_token(decisions)):
        log.info(told)
    data = _render(command, decisions, assembled, settings).encode()
    _guard(before, decisions, data, places, settings)
    return Made(recalled, decisions, assembled, data, before)


def recalled_now(
    settings: Settings, progress: Progress, path: Path | None
) -> tuple[Recalled, frozenset[guard.Target] | None]:
    """Discover with the inventory at *path* in hand, if any; gives its targets, too."""
    before = inventory.load(path) if path is not None else None
    if before is None:
        return recall(discover(settings, {}, progress), {}), None
    return recall(discover(settings, before.scopes, progress), before.scopes), before.targets


def around_the_jobs(settings: Settings) -> tuple[Settings, frozenset[str]]:
    """:func:`formats.surroundings` of the output as it is; a template that is wrong has none."""
    output = files.read(settings.into) if settings.into is not None else None
    try:
        return formats.surroundings(settings, output or b"")
    except ConfigError:  # about which generate tells
        return settings, frozenset()


def _output(places: Places) -> bytes:
    return (files.read(places.output) if places.output else None) or b""


def _guard(
    before: frozenset[guard.Target] | None,
    decisions: tuple[Decision, ...],
    data: bytes,
    places: Places,
    settings: Settings,
) -> None:
    """Refuse to shrink what the inventory has or, where that is lost, what the output has."""
    if before is not None:
        old, new = before, frozenset(targets_of(decisions))
    else:
        there = formats.ours(_output(places), settings)
        old = guard.targets_in(there) if there else frozenset()
        new = guard.targets_in(data) if old else frozenset()
    guard.check(old, new, max_removed=settings.max_removed)


def _tell(decisions: tuple[Decision, ...]) -> None:
    """Say what is worth a look; the warnings of single services only where somebody watches."""
    warned = [(item, warning) for item in decisions for warning in item.warnings]
    for item, warning in warned:
        log.debug(f"{item.service.id}: {warning}")
    if warned:
        log.info(f"{len(warned)} warnings on services: runscrape explain shows them")
    if not any(item.kept for item in decisions):
        log.warning(why_none(decisions))


def _render(
    command: Command,
    decisions: tuple[Decision, ...],
    assembled: tuple[Job, ...],
    settings: Settings,
) -> str:
    if command == "generate":
        return formats.render(assembled, settings)
    suffix = settings.output.suffix.lower() if settings.output else ""
    return formats.render_targets(decisions, settings, yaml=suffix in {".yml", ".yaml"})


def targets_of(decisions: Iterable[Decision]) -> Iterable[guard.Target]:
    """List job, ``host:port`` and metrics path of everything that is kept."""
    for decision in decisions:
        for endpoint in decision.endpoints:
            yield endpoint.job, endpoint.target, endpoint.metrics_path
