"""The tokens in memory, kept fresh by threads: a thin shell around the ledger.

A warm audience is answered without a lock. Everything else happens under one lock that is never
held across a call to Google, so that no audience can hold up another. The threads are those of
:mod:`runscrape_proxy.tokens.threads`: ``mint_concurrency`` mint for audiences without a token, a
quarter of that again for renewals.
"""

from __future__ import annotations

import logging
import math
import random as random_module
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runscrape_proxy.clock import monotonic
from runscrape_proxy.errors import MintError, TemporarilyUnavailable
from runscrape_proxy.model import AudienceStatus, Token
from runscrape_proxy.tokens import schedule
from runscrape_proxy.tokens.entry import Entry, Pool, State
from runscrape_proxy.tokens.ledger import Ledger
from runscrape_proxy.tokens.threads import MintThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runscrape_proxy.model import Minted, Minter

_LOGGER = logging.getLogger(__name__)

_CLOSE_WAIT: Final = 0.5
_MINT_SHARE: Final = 0.95  # a mint ends just before its callers' patience, so that they hear why


@dataclass(frozen=True, slots=True)
class MintResult:
    """How one mint ended."""

    audience: str
    ok: bool
    seconds: float
    error: str
    """Why it failed and what to do, in one line; empty after a success."""


class Tokens:
    """ID tokens by audience.

    ``mint_timeout`` (seconds) bounds both a mint and what a caller waits for one; ``max_waiting``
    bounds how many wait at once, ``max_unlisted`` how many audiences are held that ``is_listed``
    does not know; ``on_mint`` hears of each mint, from the thread that made it. ``clock`` is in
    seconds since any moment, and never set; what is due is looked for every ``look_every`` seconds.
    """

    def __init__(
        self,
        minter: Minter,
        *,
        mint_timeout: float = 4.0,
        mint_concurrency: int = 64,
        max_waiting: int = 1024,
        max_unlisted: int = 2000,
        is_listed: Callable[[str], bool] = lambda _: False,
        clock: Callable[[], float] = monotonic,
        look_every: float = 5.0,
        random: Callable[[], float] = random_module.random,
        on_mint: Callable[[MintResult], None] | None = None,
    ) -> None:
        self._minter = minter
        self._mint_timeout = mint_timeout
        self._max_waiting = max_waiting
        self._clock = clock
        self._on_mint = on_mint
        self._ledger = Ledger(
            random=random,
            retry_slots=max(1, mint_concurrency // 2),
            limit=max_unlisted,
            is_listed=is_listed,
        )
        self._lock = threading.Lock()
        renewing = max(2, math.ceil(mint_concurrency / 4))
        self._threads = MintThreads(
            self._ledger,
            self._lock,
            self._mint,
            clock=clock,
            slots={Pool.COLD: mint_concurrency, Pool.RENEWING: renewing},
            look_every=look_every,
        )
        self.waiting = 0
        """How many callers wait for a mint at this moment."""

    def start(self) -> None:
        """Start the threads; after a fork, never before one."""
        self._threads.start()

    def close(self) -> None:
        """Send every waiting caller away and end the threads, not waiting for Google."""
        self._threads.stop()
        with self._lock:
            for entry in self._ledger.entries.values():
                entry.landed.set()
        self._threads.join(_CLOSE_WAIT)

    def get(self, audience: str, *, timeout: float | None = None) -> Token:
        """A token with more than 5 s left.

        From memory where there is one; else from the mint in flight, waiting for at most the mint
        timeout, or ``timeout`` seconds if that is less; a mint goes on without those. But it ends
        with the mint timeout of its callers, however long it was queued, so that mints which were
        queued while Google hung hold no slot when it is back. Raises TemporarilyUnavailable, which
        says why, what to do and when to come again.
        """
        now = self._clock()
        entry = self._ledger.entries.get(audience)
        if entry is not None:
            token = entry.token
            if token is not None and token.ends_at - now > schedule.SERVED:
                entry.asked_at = now
                return token
        patience = self._mint_timeout if timeout is None else min(timeout, self._mint_timeout)
        return self._get_minted(audience, patience)

    def holds(self, audience: str) -> bool:
        """Whether :meth:`get` would answer without waiting."""
        entry = self._ledger.entries.get(audience)
        return entry is not None and schedule.is_usable(entry.token, self._clock())

    def expires_in(self, token: Token) -> int:
        """What a client may count on, in whole seconds.

        Raises TemporarilyUnavailable where nothing is left.
        """
        seconds = schedule.expires_in(token, self._clock())
        if seconds is None:
            raise TemporarilyUnavailable("the token at hand is about to end", retry_after=1)
        return seconds

    def prewarm(self, audiences: Iterable[str]) -> None:
        """Mint for audiences that nobody has asked for yet, in the background."""
        with self._lock:
            now = self._clock()
            for audience in audiences:
                self._ledger.prewarm(audience, now)
            self._threads.wake(Pool.COLD)

    def credentials_replaced(self, *, other_identity: bool) -> None:
        """Try again what fails, and have every token replaced where they are another's now."""
        with self._lock:
            now = self._clock()
            if other_identity:
                self._ledger.replace_all(now)
            else:
                self._ledger.retry_all(now)
            self._threads.reschedule()

    def retain(self, allowed: Callable[[str], bool]) -> None:
        """Forget every audience that is not allowed (any more)."""
        with self._lock:
            for entry in [e for e in self._ledger.entries.values() if not allowed(e.audience)]:
                self._ledger.forget(entry)

    def statuses(self) -> tuple[AudienceStatus, ...]:
        """What is known of each audience, sorted."""
        with self._lock:
            entries = list(self._ledger.entries.values())
        now = self._clock()
        entries.sort(key=lambda entry: entry.audience)
        return tuple(_status(entry, now) for entry in entries)

    def ready(self) -> bool:
        """Whether every audience asked for has a usable token; never calls Google."""
        with self._lock:
            entries = list(self._ledger.entries.values())
        now = self._clock()
        return all(schedule.is_usable(entry.token, now) for entry in entries)

    def _get_minted(self, audience: str, patience: float) -> Token:
        with self._lock:
            entry = self._ask(audience)
            self.waiting += 1
            landed = entry.landed
        landed.wait(max(0.0, patience))
        with self._lock:
            self.waiting -= 1
            now = self._clock()
            self._ledger.give_up(entry, now)
            token = entry.token
            if token is not None and schedule.is_usable(token, now):
                return token
            raise self._unavailable(entry, now)

    def _ask(self, audience: str) -> Entry:
        """Have a token minted that is to be waited for. Raises TemporarilyUnavailable."""
        now = self._clock()
        if not self._threads.running:
            raise TemporarilyUnavailable("the proxy is starting or stopping", retry_after=1)
        entry = self._ledger.ask(audience, now, patience=self._mint_timeout)
        overdue = now - entry.started_at > self._mint_timeout
        if entry.is_resting(now) or (entry.state is State.RUNNING and overdue):
            raise self._unavailable(entry, now)
        self._threads.wake(Pool.COLD)
        if self.waiting >= self._max_waiting:
            raise TemporarilyUnavailable(
                f"{self.waiting} requests wait for Google already, and it is being asked for "
                "this audience too: come again",
                retry_after=math.ceil(self._mint_timeout / 2),
            )
        return entry

    def _unavailable(self, entry: Entry, now: float) -> TemporarilyUnavailable:
        if self._threads.stopped:
            return TemporarilyUnavailable("the proxy is stopping", retry_after=1)
        if entry.is_resting(now):
            return TemporarilyUnavailable(
                entry.last_error, retry_after=math.ceil(entry.due_at - now)
            )
        obstacle = self._ledger.obstacle if entry.state is State.QUEUED else ""
        slow = f"Google has not answered within {self._mint_timeout:g} s"
        return TemporarilyUnavailable(
            obstacle or entry.last_error or slow,
            retry_after=math.ceil(self._mint_timeout / 2),
        )

    def _mint(self, entry: Entry) -> None:
        began = time.monotonic()
        timeout = min(self._mint_timeout, entry.seconds_left()) * _MINT_SHARE
        minted, error = self._call(entry.audience, timeout)
        seconds = time.monotonic() - began
        with self._lock:
            now = self._clock()
            if minted is not None:
                token = Token(minted.value, now + minted.seconds, minted.repeats)
                error = self._ledger.minted(entry, token, now)
            else:
                self._ledger.failed(entry, error, now)
            self._threads.reschedule()
        self._report(MintResult(entry.audience, not error, seconds, error))

    def _call(self, audience: str, timeout: float) -> tuple[Minted | None, str]:
        """One call to Google: a token, or why there is none."""
        try:
            return self._minter.mint(audience, timeout=timeout), ""
        except MintError as error:
            return None, str(error)
        except Exception as error:  # noqa: BLE001 (a thread outlives whatever a mint throws)
            # The text of a foreign exception may hold a token; its type does not.
            return None, f"an unexpected {type(error).__name__} while minting: report this as a bug"

    def _report(self, result: MintResult) -> None:
        if self._on_mint is None:
            return
        try:
            self._on_mint(result)
        except Exception:
            _LOGGER.exception("the observer of mints failed")


def _status(entry: Entry, now: float) -> AudienceStatus:
    token = entry.token
    return AudienceStatus(
        audience=entry.audience,
        left=None if token is None else token.ends_at - now,
        last_error=entry.last_error,
        failed_ago=now - entry.last_error_at if entry.last_error else None,
    )
