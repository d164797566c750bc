"""What was refused of late: each trouble once, however often the client comes with it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from runscrape_proxy.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable

MOST: Final = 200
"""Troubles remembered at once; the one that was not seen for the longest makes room."""

FORGOTTEN_AFTER: Final = 3600.0
"""Seconds; what comes again after that is news."""


class Trouble(NamedTuple):
    """Who was refused what."""

    client: str
    """The client's address; empty for a Unix socket."""
    asked: str
    """The audience that was asked for, if any: whatever a client made up."""
    status: int
    error: str
    """The error of RFC 6749 or the like."""


@dataclass(slots=True)
class Refusal:
    """One trouble. Times by the monotonic clock."""

    trouble: Trouble
    description: str
    """What is wrong and what to do, as the client was told the last time."""
    count: int
    last_at: float


class Refusals:
    """Remembers refusals for the log and the page."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: OrderedDict[Trouble, Refusal] = OrderedDict()

    def note(self, trouble: Trouble, description: str) -> bool:
        """Count a refusal; whether the trouble is new, so that it belongs into the log."""
        now = self._clock()
        with self._lock:
            self._forget(now)
            known = self._seen.pop(trouble, None)
            if known is None and len(self._seen) >= MOST:
                self._seen.popitem(last=False)
            count = known.count + 1 if known else 1
            self._seen[trouble] = Refusal(trouble, description, count, now)
        return known is None

    def recent(self) -> list[tuple[Refusal, float]]:
        """Each trouble that is not forgotten, the newest first, and how many seconds ago it was."""
        now = self._clock()
        with self._lock:
            self._forget(now)
            return [(refusal, now - refusal.last_at) for refusal in reversed(self._seen.values())]

    def _forget(self, now: float) -> None:
        while self._seen:
            oldest = next(iter(self._seen.values()))
            if now - oldest.last_at < FORGOTTEN_AFTER:
                return
            del self._seen[oldest.trouble]
