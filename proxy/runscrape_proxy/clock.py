"""Time: what the life of tokens is counted by, and how far this clock is from Google's."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

MOST_SKEW: Final = 30.0
"""Seconds; what is more gets a warning."""

_SPREAD: Final = 2.0
"""Seconds by which one answer's Date may differ from the next one's: the clock did not change."""

_DATE_ROUNDS: Final = 0.5  # a Date header is cut to whole seconds

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def monotonic() -> float:
    """Seconds since some moment in the past; setting the machine's clock does not move it.

    Unlike time.monotonic() it goes on while the machine is suspended, as tokens do.
    """
    return time.clock_gettime(_CLOCK)


class GoogleClock:
    """Google's time, by the Date header of its answers (RFC 9110, section 6.6.1).

    Between two answers it is carried on by the monotonic clock, so that setting this machine's
    clock shows at once in :attr:`skew`. A skew of more than 30 s is logged, once.
    """

    def __init__(
        self,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._wall = wall
        self._clock = clock
        self._ahead: float | None = None
        self._warned = False
        self._lock = threading.Lock()

    def note(self, date: float) -> None:
        """Take in the Date of an answer that has just come, in seconds since the epoch."""
        self._ahead = date + _DATE_ROUNDS - self._clock()
        self.check()

    @property
    def now(self) -> float | None:
        """Google's time in seconds since the epoch; None before its first answer."""
        return None if self._ahead is None else self._clock() + self._ahead

    @property
    def skew(self) -> float | None:
        """How many seconds this machine's clock is ahead of Google's; negative if it is behind."""
        google = self.now
        return None if google is None else self._wall() - google

    @property
    def is_wrong(self) -> bool:
        """Whether this machine's clock is more than 30 s off."""
        return abs(self.skew or 0.0) > MOST_SKEW

    def check(self) -> None:
        """Log that this machine's clock is wrong, or right again: each once."""
        with self._lock:
            limit = MOST_SKEW - _SPREAD if self._warned else MOST_SKEW
            wrong = abs(self.skew or 0.0) > limit
            if wrong == self._warned:
                return
            self._warned = wrong
        if wrong:
            log.warning("%s: set it (chrony, NTP); tokens are served all the same", self.in_words())
        else:
            log.info("this machine's clock agrees with Google's again")

    def in_words(self) -> str:
        """Say how far the clock is off, in one line."""
        skew = self.skew or 0.0
        side = "ahead of" if skew > 0 else "behind"
        return f"this machine's clock is {abs(skew):.0f} s {side} Google's"
