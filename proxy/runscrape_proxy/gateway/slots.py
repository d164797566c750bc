"""How many scrapes are under way at once: in all, to one host, and to hosts that are slow."""

from __future__ import annotations

import threading
from collections import Counter
from http import HTTPStatus
from typing import Final

from runscrape_proxy.errors import ScrapeError

SLOW_SHARE: Final = 0.5
"""Of all slots, what hosts may take whose last scrape timed out: the others always find some."""

MAX_SLOW: Final = 50_000
"""Hosts remembered as slow; an inventory has fewer."""


class Slots:
    """Slots for scrapes: ``limit`` in all, ``per_host`` for one host. Nobody waits for one."""

    def __init__(self, limit: int, per_host: int) -> None:
        self.limit = limit
        self._per_host = per_host
        self._slow_limit = max(1, int(limit * SLOW_SHARE))
        self._lock = threading.Lock()
        self._by_host: Counter[str] = Counter()
        self._in_flight = 0
        self._slow: set[str] = set()
        self._slow_in_flight = 0

    @property
    def in_flight(self) -> int:
        """How many scrapes are under way."""
        return self._in_flight

    def take(self, host: str) -> Slot:
        """Take a slot. Raises ScrapeError (503) where there is none."""
        with self._lock:
            slow = host in self._slow
            if self._in_flight >= self.limit:
                raise _full(f"{self.limit} scrapes are under way (--gateway-concurrency)")
            if self._by_host[host] >= self._per_host:
                raise _full(f"{self._per_host} scrapes of {host} are under way already")
            if slow and self._slow_in_flight >= self._slow_limit:
                raise _full(
                    f"{self._slow_limit} scrapes of hosts that did not answer in time are under way"
                )
            self._in_flight += 1
            self._slow_in_flight += slow
            self._by_host[host] += 1
        return Slot(self, host, slow=slow)

    def give_back_for(self, host: str, *, was_slow: bool, is_slow: bool) -> None:
        """Give a slot back."""
        with self._lock:
            self._in_flight -= 1
            self._slow_in_flight -= was_slow
            self._by_host[host] -= 1
            if not self._by_host[host]:
                del self._by_host[host]
            if not is_slow:
                self._slow.discard(host)
            elif len(self._slow) < MAX_SLOW:
                self._slow.add(host)


class Slot:
    """One scrape's slot. Set ``slow`` before giving it back if the host did not answer in time."""

    def __init__(self, slots: Slots, host: str, *, slow: bool) -> None:
        self.slow = False
        self._slots = slots
        self._host = host
        self._was_slow = slow
        self._given_back = False

    def give_back(self) -> None:
        """Give the slot back, once."""
        if not self._given_back:
            self._given_back = True
            self._slots.give_back_for(self._host, was_slow=self._was_slow, is_slow=self.slow)


def _full(reason: str) -> ScrapeError:
    return ScrapeError(HTTPStatus.SERVICE_UNAVAILABLE, reason, {"Retry-After": "1"})
