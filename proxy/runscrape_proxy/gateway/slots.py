"""How many scrapes are under way at once, and which of them give way to others.

A scrape has a slot from before the service is asked to the last byte. Nobody waits for a slot:
where there is none left, either a scrape that does no good gives way or the new one is refused.

- A client that does not read gives way to anybody who wants a slot of the same host, or any.
- A host whose last scrape timed out is slow: all slow hosts together have half of the slots.
- The resolver gets half of the slots at most, as nothing ends a wait for it.
- Where all slots are taken and more than half of them wait for services, the one that has waited
  longest gives way to a host that answered last time (and to a host that is new, if it is to one
  that did not answer last time itself). So there is always room for hosts that answer.
- Scrapes of paths that the inventory does not name give way to those of paths that it does.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from runscrape_proxy.errors import ScrapeError
from runscrape_proxy.http_client import shut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from runscrape_proxy.http_client import Deadline

SLOW_SHARE: Final = 0.5
"""Of all slots, what hosts may take whose last scrape timed out."""

LONG_WAIT: Final = 1.0
"""Seconds that a host which answered last time may take before its scrape gives way."""

UNREAD: Final = 0.25
"""Seconds that a client in all may leave unread what is there before its scrape gives way."""

MAX_HOSTS: Final = 50_000
"""Hosts of which it is remembered how the last scrape ended; an inventory has fewer."""


class Slot:
    """One scrape's slot. Give it back, whatever becomes of the scrape."""

    def __init__(
        self,
        slots: Slots,
        host: str,
        deadline: Deadline,
        *,
        named: bool,
        last_answered: bool | None,
    ) -> None:
        self.host = host
        self.named = named
        self.last_answered = last_answered
        """Whether the host answered the scrape before this one; None for a new host."""
        self.in_time: bool | None = None
        """Whether it answered this one in time; None as long as nothing is known of that."""
        self._slots = slots
        self._deadline = deadline
        self._client: socket.socket | None = None
        self._began = slots.now()
        self._sending_since: float | None = None
        self._sent_for = 0.0

    @contextlib.contextmanager
    def sending(self, client: object) -> Iterator[None]:
        """Say that it is the client now that is waited for."""
        self._client = client if isinstance(client, socket.socket) else None
        self._sending_since = began = self._slots.now()
        try:
            yield
        finally:
            self._sent_for += self._slots.now() - began
            self._sending_since = None

    @property
    def unread_for(self) -> float:
        """Seconds that the client has left unread what was there; 0 if it reads."""
        since = self._sending_since
        return 0.0 if since is None else self._sent_for + self._slots.now() - since

    @property
    def waits_for_service(self) -> bool:
        """Whether it is the service now that is waited for, or the token for it."""
        return self._sending_since is None

    @property
    def waited(self) -> float:
        """Seconds that were spent on waiting for the service."""
        return self._slots.now() - self._began - self._sent_for

    def cut(self) -> bool:
        """End the scrape, whatever it waits for; False where that cannot be done now."""
        if self.waits_for_service:
            return self._deadline.cut()
        if self._client is not None:
            shut(self._client)
        return self._client is not None

    def give_back(self) -> None:
        """Give the slot back; once is enough."""
        self._slots.give_back(self)


class Slots:
    """``limit`` slots in all, ``per_host`` for one host."""

    def __init__(
        self, limit: int, per_host: int, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit = limit
        self.now = now
        self._per_host = per_host
        self.half = max(1, int(limit * SLOW_SHARE))
        """How many slots all slow hosts together may have."""
        self._lock = threading.Lock()
        self._taken: dict[Slot, None] = {}
        self._slow = 0
        """How many of them are to slow hosts."""
        self._by_host: Counter[str] = Counter()
        self._answered: dict[str, bool] = {}
        """Whether the last scrape of each host was answered in time."""

    @property
    def in_flight(self) -> int:
        """How many scrapes are under way."""
        return len(self._taken)

    def take(self, host: str, deadline: Deadline, *, named: bool = True) -> Slot:
        """Take a slot; ``named`` says that the path is one of the inventory's.

        Raises ScrapeError (503) where there is none.
        """
        with self._lock:
            answered = self._answered.get(host)
            if answered is False and self._slow >= self.half:
                raise _full(
                    f"{self.half} scrapes of hosts that did not answer in time are under way"
                )
            if self._by_host[host] >= self._per_host and not self._end_one_of(host, named=named):
                raise _full(f"{self._per_host} scrapes of {host} are under way already")
            if len(self._taken) >= self.limit and not self._end_one_for(answered):
                raise _full(f"{self.limit} scrapes are under way (--gateway-concurrency)")
            slot = Slot(self, host, deadline, named=named, last_answered=answered)
            self._taken[slot] = None
            self._by_host[host] += 1
            if answered is False:
                self._slow += 1
        return slot

    def give_back(self, slot: Slot) -> None:
        """Give a slot back; once is enough."""
        with self._lock:
            if slot in self._taken:  # it may have given way to another scrape
                self._free(slot)
                self._remember(slot.host, slot.in_time)

    def _end_one_of(self, host: str, *, named: bool) -> bool:
        """Make room at a host: for anybody, that of an idle client; for a named path, another."""
        of_host = [slot for slot in self._taken if slot.host == host]
        unread = [slot for slot in of_host if slot.unread_for >= UNREAD]
        others = [slot for slot in of_host if not slot.named and slot.waits_for_service]
        return self._end_first(_by_unread(unread)) or (named and self._end_first(others))

    def _end_one_for(self, answered: bool | None) -> bool:  # noqa: FBT001  a host's state
        """Make room for a host that answered last time, or that is new."""
        unread = [slot for slot in self._taken if slot.unread_for >= UNREAD]
        if self._end_first(_by_unread(unread)):
            return True
        waiting = [slot for slot in self._taken if slot.waits_for_service]
        if answered is False or len(waiting) <= self.half:
            return False
        return self._end_first(
            slot
            for slot in waiting  # the oldest first
            if not slot.last_answered or (answered and slot.waited >= LONG_WAIT)
        )

    def _end_first(self, candidates: Iterable[Slot]) -> bool:
        for slot in candidates:
            if slot.cut():
                if slot.waits_for_service and slot.waited >= LONG_WAIT:
                    self._remember(slot.host, in_time=False)
                self._free(slot)
                return True
        return False

    def _free(self, slot: Slot) -> None:
        del self._taken[slot]
        if slot.last_answered is False:
            self._slow -= 1
        self._by_host[slot.host] -= 1
        if not self._by_host[slot.host]:
            del self._by_host[slot.host]

    def _remember(self, host: str, in_time: bool | None) -> None:  # noqa: FBT001  as above
        if in_time is not None and (host in self._answered or len(self._answered) < MAX_HOSTS):
            self._answered[host] = in_time


def _by_unread(slots: list[Slot]) -> list[Slot]:
    return sorted(slots, key=lambda slot: slot.unread_for, reverse=True)


def _full(reason: str) -> ScrapeError:
    return ScrapeError(HTTPStatus.SERVICE_UNAVAILABLE, reason, {"Retry-After": "1"})
