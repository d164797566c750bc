"""``--metrics-file``: how the last run went, for node_exporter's textfile collector.

The file is written after each run, also after one that failed, and is whole at every moment. What
a failed run cannot know (services, jobs, when the last success was) is carried over from the file
before; where that does not say either, there are no services and jobs, rather than none: 0 would be
a number that nobody counted. Timestamps are Unix seconds; 0 where it never happened.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import RunscrapeError
from runscrape_generator.model import Scope
from runscrape_generator.publish import file_kinds, files
from runscrape_generator.publish.file_kinds import FileKind
from runscrape_generator.publish.journal import Journal

log = logging.getLogger(__name__)

_SUCCESS_TIME = "runscrape_last_success_timestamp_seconds"
_SUCCESS = "runscrape_last_run_success"
_EXIT_CODE = "runscrape_last_exit_code"
_SECONDS = "runscrape_run_duration_seconds"
_CHANGE = "runscrape_last_change_timestamp_seconds"
_JOBS = "runscrape_jobs"
_SERVICES = "runscrape_services"
_STALE = "runscrape_scope_stale"
_MISSING = "runscrape_scope_missing"

_HELP = {
    _SUCCESS_TIME: "When a run last published, or found nothing to change.",
    _SUCCESS: "1 if the last run published or found nothing to change, 0 if it failed.",
    _EXIT_CODE: "What the last run ended with: 5 is a refusal by the guard, see the manual.",
    _SECONDS: "How long the last run took.",
    _CHANGE: "When the output last changed.",
    _JOBS: "Scrape jobs in the output.",
    _SERVICES: "Services found, by what became of them.",
    _STALE: "1 if the scope could not be listed and the inventory stood in for it.",
    _MISSING: "1 for what could not be listed and is in no inventory: its services are missing.",
}


_LABELS = {
    _SERVICES: ("state",),
    _STALE: ("project", "region"),
    _MISSING: ("project", "region"),
}

_Samples = dict[tuple[str, ...], float]
"""By name and label values: ``("runscrape_services", "kept")``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a run that published found."""

    jobs: int
    services: Mapping[str, int]
    """By state: ``kept`` and ``skipped``."""
    scopes: Mapping[Scope, bool]
    """Every scope; True where it is stale."""
    missing: tuple[tuple[str, str], ...] = ()
    """Project and region; the region is empty where it is about the whole project."""


def record(settings: Settings, begun: float, measured: Measured | None, exit_code: int) -> None:
    """Write the file for a run that began at *begun* by ``time.monotonic``.

    That it cannot be written is a warning: the run counts. A file of somebody else's stays, and has
    ended the run, unless ``--force`` replaces it.
    """
    path = settings.metrics_file
    if path is None or settings.dry_run:
        return
    try:
        if path.is_file() and not file_kinds.is_ours(files.read(path) or b"", FileKind.METRICS):
            if not settings.force:
                return
            real = files.resolve(path)
            log.warning(f"what was there before is kept as {Journal(real, real.parent).save()}")
        write(
            path,
            ended=time.time(),
            seconds=time.monotonic() - begun,
            changed=_modified(settings.output_path),
            measured=measured,
            exit_code=exit_code,
        )
    except (RunscrapeError, OSError) as error:
        why = files.failure(path, error) if isinstance(error, OSError) else error
        log.warning(f"the metrics file was not written: {why}")


def _modified(output: Path | None) -> float | None:
    """When the output last changed: its mtime, since nothing else touches it."""
    try:
        return os.stat(output).st_mtime if output else None  # noqa: PTH116 - follows links as well
    except OSError:
        return None


def write(
    path: Path,
    *,
    ended: float,
    seconds: float,
    changed: float | None,
    measured: Measured | None,
    exit_code: int = 0,
) -> None:
    """Replace the file; raises WriteError.

    ``measured`` None: the run failed. ``changed`` is when the output last changed, None if unknown.
    """
    from prometheus_client import CollectorRegistry, Gauge, generate_latest  # noqa: PLC0415 (only here)

    real = files.resolve(path)
    samples: _Samples = {(_SUCCESS_TIME,): 0, (_CHANGE,): 0} | _read(real)
    if measured is not None:
        samples = _counted(measured) | {(_SUCCESS_TIME,): ended, (_CHANGE,): samples[_CHANGE,]}
    if changed is not None:
        samples[_CHANGE,] = changed
    samples |= {(_SUCCESS,): measured is not None, (_EXIT_CODE,): exit_code, (_SECONDS,): seconds}
    registry = CollectorRegistry()
    for name, text in _HELP.items():
        labels = _LABELS.get(name, ())
        values = {key[1:]: value for key, value in samples.items() if key[0] == name}
        if values or labels:
            gauge = Gauge(name, text, labels, registry=registry)
        for key, value in values.items():
            (gauge.labels(*key) if labels else gauge).set(value)
    files.replace(real, generate_latest(registry))


def _counted(measured: Measured) -> _Samples:
    """Give the samples of what a run has found."""
    return {
        (_JOBS,): measured.jobs,
        **{(_SERVICES, state): measured.services[state] for state in ("kept", "skipped")},
        **{(_STALE, *astuple(scope)): stale for scope, stale in sorted(measured.scopes.items())},
        **{(_MISSING, *place): 1 for place in measured.missing},
    }


def _read(path: Path) -> _Samples:
    """Read the samples of the file before; one that is missing or broken has none."""
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415 (only here)

    try:
        text = path.read_text(encoding="utf-8")
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if len(sample.labels) == len(_LABELS.get(sample.name, ()))
        }
    except (OSError, ValueError, KeyError, IndexError):
        return {}
