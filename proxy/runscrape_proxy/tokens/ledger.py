"""What is held and what is to be minted, for each audience: a state machine without clock, threads.

An audience is ``IDLE`` (nothing to do until ``due_at``), ``QUEUED`` in one of three lanes, or
``RUNNING`` (the one mint in flight)::

    asked      somebody waits for it now; first come, first served
    retries    no token, nobody waits: failed before, or to be minted ahead (--prewarm)
    renewals   a token is held and its successor is due; the one that ends first goes first

Two pools of threads take from the lanes: ``COLD`` from asked and retries (retries in half of it
at most, so that whoever asks finds a slot), ``RENEWING`` from renewals. Neither can starve the
other. The caller holds a lock around every call; :mod:`runscrape_proxy.tokens.keeper` does.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import OrderedDict
from math import inf
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from runscrape_proxy.errors import TemporarilyUnavailable
from runscrape_proxy.tokens.entry import LANDED, Entry, Lane, Pool, State
from runscrape_proxy.tokens.schedule import SERVED, is_usable, refresh_at, retry_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscrape_proxy.model import Token

_FORGOTTEN_AFTER: Final = 3 * 3600.0  # three lives of a token: no client holds one that long
_FORGOTTEN_WITHOUT_TOKEN: Final = 15 * 60.0  # a failing job asks at every scrape
_REPLACED_WITHIN: Final = 30.0
_LEAST_SHARE: Final = 0.1  # of the callers' patience; with less of it left no mint is begun
_CLOCKS_DIFFER: Final = 0.1  # a wait is timed by another clock than the patience of callers

TOO_SLOW: Final = "Google answers too slowly: no mint slot came free in time"


class Ledger:
    """All audiences: those that ``is_listed`` knows, and at most ``limit`` others.

    ``obstacle`` says why mints are not begun, where that is not that Google is slow.
    """

    def __init__(
        self,
        *,
        random: Callable[[], float],
        retry_slots: int,
        limit: int,
        is_listed: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.entries: dict[str, Entry] = {}
        self.obstacle = ""
        self._random = random
        self._retry_slots = retry_slots
        self._limit = limit
        self._is_listed = is_listed
        self._unlisted: dict[str, Entry] = {}
        self._retries_running = 0
        self._identity = 0
        self._asked: OrderedDict[str, Entry] = OrderedDict()
        self._retries: OrderedDict[str, Entry] = OrderedDict()
        self._renewals: list[tuple[float, int, Entry]] = []
        self._due: list[tuple[float, int, Entry]] = []
        self._ticket = itertools.count()

    def ask(self, audience: str, now: float, *, patience: float) -> Entry:
        """Note that somebody wants a token now and waits ``patience`` seconds; queue its mint.

        Nothing is queued for an audience that is usable, resting or in flight. Raises
        TemporarilyUnavailable for an audience too many.
        """
        entry = self._known(audience, now)
        entry.asked_at = now
        entry.wanted_until = now + patience
        entry.begin_by = now + patience * (1 - _LEAST_SHARE)
        idle_and_due = entry.state is State.IDLE and not entry.is_resting(now)
        if entry.state is State.QUEUED or (idle_and_due and not is_usable(entry.token, now)):
            self._queue(entry, Lane.ASKED)
        return entry

    def prewarm(self, audience: str, now: float) -> None:
        """Queue a mint that nobody waits for, unless the audience is known already."""
        if audience not in self.entries:
            entry = self._known(audience, now)
            entry.prewarmed = True
            self._queue(entry, Lane.RETRIES)

    def retry_all(self, now: float) -> None:
        """Have all that fails tried again now: the credentials were replaced."""
        for entry in self.entries.values():
            if entry.is_resting(now):
                entry.failures = 0
                self._schedule(entry, now)

    def replace_all(self, now: float) -> None:
        """Have every token replaced by one of another identity, within half a minute.

        Until then those that are held are served.
        """
        self._identity += 1
        for entry in self.entries.values():
            if entry.state is State.IDLE:
                entry.failures = 0
                self._schedule(entry, now + self._random() * _REPLACED_WITHIN)

    def step(self, now: float) -> None:
        """Queue what is due, forget what nobody asks for any more."""
        while self._due and self._due[0][0] <= now:
            due_at, _, entry = heapq.heappop(self._due)
            if entry.state is not State.IDLE or entry.due_at != due_at or not self._knows(entry):
                continue
            if self._is_abandoned(entry, now):
                self.forget(entry)
            else:
                usable = is_usable(entry.token, now)
                self._queue(entry, Lane.RENEWALS if usable else Lane.RETRIES)

    def next_due(self) -> float:
        """When :meth:`step` has something to do again; infinity where it never has."""
        return self._due[0][0] if self._due else inf

    def has_work(self, pool: Pool) -> bool:
        """Whether :meth:`take` would find something (or something to drop)."""
        if pool is Pool.RENEWING:
            return bool(self._renewals)
        return bool(self._asked) or (
            bool(self._retries) and self._retries_running < self._retry_slots
        )

    def take(self, pool: Pool, now: float) -> Entry | None:
        """The next mint to do in ``pool``, now in flight; None where there is none."""
        entry = self._take_renewal() if pool is Pool.RENEWING else self._take_cold(now)
        if entry is not None:
            entry.state = State.RUNNING
            entry.started_at = now
            entry.minting_as = self._identity
            if entry.lane is Lane.RETRIES:
                self._retries_running += 1
        return entry

    def minted(self, entry: Entry, token: Token, now: float) -> str:
        """End a mint that gave ``token``; why that is no use, in one line, or an empty string.

        A held token of the same identity is never replaced by one that ends sooner, or by itself:
        how long it lives was counted when it came first.
        """
        self._ended(entry)
        held = entry.token
        later = held is None or (token.value != held.value and token.ends_at > held.ends_at)
        if held is None or later or entry.held_as != entry.minting_as:
            entry.token, entry.held_as = token, entry.minting_as
            held = token
        if not is_usable(held, now):
            reason = _short_lived(held.ends_at - now)
            self._rest(entry, reason, now)
            _land(entry)
            return reason
        entry.failures, entry.last_error = 0, ""
        current = entry.held_as == self._identity
        self._schedule(entry, refresh_at(held, now, self._random()) if current else now)
        _land(entry)
        return ""

    def failed(self, entry: Entry, reason: str, now: float) -> None:
        """End a mint that gave nothing: the held token stays, the next try is put off."""
        self._ended(entry)
        self._rest(entry, reason, now)
        _land(entry)

    def give_up(self, entry: Entry, now: float) -> None:
        """A caller's patience has ended: drop the mint if it has not begun and nobody waits."""
        waits = entry.state is State.QUEUED and entry.lane is Lane.ASKED
        if waits and entry.wanted_until <= now + _CLOCKS_DIFFER:
            self._unqueue(entry)
            self._drop(entry, now)

    def forget(self, entry: Entry) -> None:
        """Let go of an audience; what is in flight for it will be thrown away."""
        if self._knows(entry):
            del self.entries[entry.audience]
            self._unlisted.pop(entry.audience, None)
        self._unqueue(entry)
        _land(entry)

    def _known(self, audience: str, now: float) -> Entry:
        entry = self.entries.get(audience)
        if entry is None:
            entry = Entry(audience, asked_at=now)
            if not self._is_listed(audience):
                if len(self._unlisted) >= self._limit:
                    self._make_room()
                self._unlisted[audience] = entry
            self.entries[audience] = entry
        return entry

    def _make_room(self) -> None:
        """Forget the audience that nobody has asked for the longest."""
        idle = [entry for entry in self._unlisted.values() if entry.state is State.IDLE]
        if not idle:
            raise TemporarilyUnavailable(
                f"tokens for {self._limit} other audiences are being minted at this moment, which"
                " is the most that one proxy does: come again",
                retry_after=5,
            )
        self.forget(min(idle, key=attrgetter("asked_at")))

    def _knows(self, entry: Entry) -> bool:
        return self.entries.get(entry.audience) is entry

    def _is_abandoned(self, entry: Entry, now: float) -> bool:
        if entry.prewarmed and entry.token is None:
            return False
        without = entry.token is None or entry.token.ends_at <= now
        return now - entry.asked_at > (_FORGOTTEN_WITHOUT_TOKEN if without else _FORGOTTEN_AFTER)

    def _queue(self, entry: Entry, lane: Lane) -> None:
        """Queue, or move to a better lane; a place in the queue of those asked for is kept."""
        if entry.state is State.QUEUED:
            if entry.lane is lane:
                return
            self._unqueue(entry)
        else:
            entry.landed = threading.Event()
        entry.state, entry.lane = State.QUEUED, lane
        if lane is Lane.RENEWALS:
            ends_at = entry.token.ends_at if entry.token is not None else 0.0
            heapq.heappush(self._renewals, (ends_at, next(self._ticket), entry))
        else:
            queue = self._asked if lane is Lane.ASKED else self._retries
            queue[entry.audience] = entry

    def _unqueue(self, entry: Entry) -> None:
        """Take this very entry out of the queues, not another one of the same audience."""
        for queue in (self._asked, self._retries):
            if queue.get(entry.audience) is entry:
                del queue[entry.audience]

    def _take_renewal(self) -> Entry | None:
        while self._renewals:
            _, _, entry = heapq.heappop(self._renewals)
            waits = entry.state is State.QUEUED and entry.lane is Lane.RENEWALS
            if waits and self._knows(entry):
                return entry
        return None

    def _take_cold(self, now: float) -> Entry | None:
        while self._asked:
            _, entry = self._asked.popitem(last=False)
            if entry.begin_by > now:
                return entry
            self._drop(entry, now)
        if self._retries and self._retries_running < self._retry_slots:
            return self._retries.popitem(last=False)[1]
        return None

    def _drop(self, entry: Entry, now: float) -> None:
        """Give up a mint that was not begun.

        Whoever waits for it hears so when its own patience ends: a thousand requests are refused
        one after the other, as they came, and their clients come again so.
        """
        self._rest(entry, self.obstacle or TOO_SLOW, now)

    def _ended(self, entry: Entry) -> None:
        if entry.state is State.RUNNING and entry.lane is Lane.RETRIES:
            self._retries_running -= 1

    def _rest(self, entry: Entry, reason: str, now: float) -> None:
        entry.failures += 1
        entry.last_error, entry.last_error_at = reason, now
        held_until = entry.token.ends_at if entry.token is not None else None
        self._schedule(entry, retry_at(now, entry.failures, self._random(), held_until=held_until))

    def _schedule(self, entry: Entry, due_at: float) -> None:
        entry.state, entry.due_at = State.IDLE, due_at
        if self._knows(entry):
            heapq.heappush(self._due, (due_at, next(self._ticket), entry))


def _land(entry: Entry) -> None:
    """Wake whoever waits; an idle audience keeps no event of its own (a kilobyte each)."""
    entry.landed.set()
    entry.landed = LANDED


def _short_lived(left: float) -> str:
    if left <= 0:
        return "Google's token has ended already: ask again, or look at what gives the tokens"
    return f"the newest token ends in {left:.0f} s, and {SERVED:.0f} s must be left to use it"
