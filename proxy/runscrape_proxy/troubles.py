"""What was logged already: a trouble is told when it begins, not each time that it is met."""

from __future__ import annotations

import threading
import time
from typing import Final

MAX_KNOWN: Final = 50_000
"""Hosts or clients remembered at once; an inventory has fewer services. More are not told."""

MAX_EACH: Final = 16
"""Troubles of each that are remembered; more are not told either."""

TOLD_AGAIN: Final = 3600.0
"""Seconds after which a trouble that goes on is told once more."""

SWEEP_SECONDS: Final = 60.0
"""How often it is looked for room, which takes milliseconds where there is none."""


class Troubles:
    """The troubles that each of many has had since all was well, such as a host or a client."""

    def __init__(self, limit: int = MAX_KNOWN) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, float]] = {}
        """When each trouble was told."""
        self._sweep_at = 0.0

    def is_new(self, whose: str, trouble: str) -> bool:
        """Note a trouble; say whether it is another one than those before, or worth telling again.

        Whoever comes with two in turn has two, not a new one each time.
        """
        now = time.monotonic()
        with self._lock:
            known = _fresh(self._known.get(whose, {}), now)
            if trouble in known or len(known) >= MAX_EACH:
                return False
            if whose not in self._known and not self._has_room(now):
                return False
            self._known[whose] = known | {trouble: now}
            return True

    def _has_room(self, now: float) -> bool:
        if len(self._known) >= self._limit and now >= self._sweep_at:
            self._sweep_at = now + SWEEP_SECONDS
            fresh = {each: _fresh(known, now) for each, known in self._known.items()}
            self._known = {each: known for each, known in fresh.items() if known}
        return len(self._known) < self._limit

    def is_over(self, whose: str) -> bool:
        """Note that all is well; say whether there was a trouble before."""
        if not self._known:
            return False
        with self._lock:
            return self._known.pop(whose, None) is not None


def _fresh(known: dict[str, float], now: float) -> dict[str, float]:
    return {trouble: at for trouble, at in known.items() if now - at < TOLD_AGAIN}
