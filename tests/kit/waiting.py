"""Waiting for something to become true, without a guess at how long that takes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

QUIET = 30.0
"""Seconds without any change after which nothing more is expected, even on a busy machine."""
_LONGEST = 20 * QUIET
_PAUSE, _LONGEST_PAUSE = 0.01, 0.2


def until(
    look: Callable[[], T],
    why: str,
    *,
    changing: Callable[[], object] = lambda: None,
    quiet: float = QUIET,
    pause: float = _PAUSE,
) -> T:
    """Poll until ``look`` gives something true; gives that.

    Fails once neither what ``look`` gives nor what ``changing`` shows (a log, counts) has changed
    for ``quiet`` seconds. An OSError (nobody answers yet) counts as nothing. Of a pause in which
    this process did not run only a second counts. ``pause`` is longer where a look is dear;
    it grows with the time that it takes.
    """
    seen: object = None
    still = waited = 0.0
    before = time.monotonic()
    while True:
        found: T | None = None
        with contextlib.suppress(OSError):
            found = look()
        if found:
            return found
        state = (found, changing())
        now = time.monotonic()
        step = min(now - before, 1.0)
        before, waited = now, waited + step
        still = still + step if state == seen else 0.0
        seen = state
        if still > quiet or waited > _LONGEST:
            raise AssertionError(f"waited {waited:.0f} s for {why}; last seen: {found!r:.500}")
        time.sleep(pause)
        pause = max(pause, min(pause * 1.2, _LONGEST_PAUSE))
