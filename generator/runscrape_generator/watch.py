"""``--watch``: run, sleep, run again, until SIGTERM or SIGINT; SIGHUP reads the settings anew.

A run that fails never ends the watch, and what it fails with is what a single run would say. Only
the first run may end it, for a mistake in the settings: nobody has seen it work yet.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn, TextIO

from runscrape_generator import run
from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import ConfigError, LockedError, RunscrapeError
from runscrape_generator.log import NOTICE
from runscrape_generator.progress import Progress
from runscrape_generator.publish.places import Command
from runscrape_generator.signals import Hangup, Reread, behind

log = logging.getLogger(__name__)

JITTER = 0.1
"""Of the interval, either way: many watchers do not stay in step."""


def watch(
    command: Command,
    load: Callable[[], Settings],
    progress: Progress,
    *,
    stdout: TextIO,
    hangup: Hangup | None = None,
    sleep: Callable[[float], None] = time.sleep,
    uniform: Callable[[float, float], float] = random.uniform,
) -> NoReturn:
    """Run every ``settings.watch`` seconds (±10 %), counted from the end of a run.

    Ends only by what a signal handler raises (:mod:`runscrape_generator.signals`), or by the first
    run's ConfigError. ``load`` reads the settings; it is called again after each SIGHUP, also one
    that ``hangup`` has had before.
    """
    settings = load()
    hangup = hangup or Hangup()
    with hangup.installed():
        first = well = True
        while True:
            try:
                with hangup.armed():
                    well = _round(command, settings, progress, stdout, first=first, quiet=well)
                    first = False
                    with hangup.waiting():
                        sleep(interval(settings.watch or 0.0, uniform))
            except Reread:
                settings = _reread(load, settings)


def interval(seconds: float, uniform: Callable[[float, float], float]) -> float:
    """Jitter the interval."""
    return seconds * uniform(1 - JITTER, 1 + JITTER)


def _round(
    command: Command,
    settings: Settings,
    progress: Progress,
    stdout: TextIO,
    *,
    first: bool,
    quiet: bool,
) -> bool:
    """Run once, and say whether that went well; with *quiet* nothing is said of a run like before.

    The round after one that failed is told, so that the failure is not the last that is heard.
    """
    try:
        run.once(command, settings, progress, stdout=stdout, quiet=quiet)
    except ConfigError as error:
        if first:
            raise
        _tell(log.error, error)
    except LockedError as error:
        _tell(log.warning, error)
    except RunscrapeError as error:
        _tell(log.error, error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the next run may work
        if (signal := behind(error)) is not None:
            raise signal from None
        log.error(  # noqa: TRY400 - no traceback, which may hold anything
            f"unexpected {type(error).__name__}: {' '.join(str(error).split())}"
        )
    else:
        return True
    return False


def _tell(say: Callable[[str], None], error: RunscrapeError) -> None:
    for line in str(error).splitlines():
        say(line)


def _reread(load: Callable[[], Settings], old: Settings) -> Settings:
    """Read the settings again; a mistake in them keeps the old ones."""
    try:
        new = load()
    except RunscrapeError as error:
        _tell(log.warning, error)
        log.warning("the settings stay as they were")
        return old
    if new.watch is None:
        log.warning(f"watch is not set any more: still running every {old.watch:g} s until SIGTERM")
        new = replace(new, watch=old.watch)
    log.log(NOTICE, "settings read again")
    return new
