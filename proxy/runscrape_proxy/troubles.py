"""What was logged already: a trouble is told when it begins, not each time that it is met."""

from __future__ import annotations

import threading
import time
from typing import Final

MAX_KNOWN: Final = 50_000
"""Troubles remembered at once; an inventory has fewer services. More are not told."""

TOLD_AGAIN: Final = 3600.0
"""Seconds after which a trouble that goes on is told once more."""


class Troubles:
    """The trouble that each of many has now, such as a host or a client."""

    def __init__(self, limit: int = MAX_KNOWN) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, float]] = {}

    def is_new(self, whose: str, trouble: str) -> bool:
        """Note a trouble; say whether it is another one than before, or worth telling again."""
        now = time.monotonic()
        with self._lock:
            known, told_at = self._known.get(whose, ("", 0.0))
            if known == trouble and now - told_at < TOLD_AGAIN:
                return False
            if whose not in self._known and len(self._known) >= self._limit:
                self._known = {w: t for w, t in self._known.items() if now - t[1] < TOLD_AGAIN}
                if len(self._known) >= self._limit:
                    return False
            self._known[whose] = (trouble, now)
            return True

    def is_over(self, whose: str) -> bool:
        """Note that all is well; say whether there was a trouble before."""
        if not self._known:
            return False
        with self._lock:
            return self._known.pop(whose, None) is not None
