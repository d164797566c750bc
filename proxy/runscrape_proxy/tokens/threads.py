"""The threads that mint and the one that watches what is due: no rule of their own.

A pool begins with one thread and keeps one spare, up to its slots: a small installation has few
threads, and a burst finds a free one. They are daemons, so that a mint that hangs does not keep
the process from ending.
"""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Final

from runscrape_proxy.tokens.entry import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runscrape_proxy.tokens.entry import Entry
    from runscrape_proxy.tokens.ledger import Ledger

_LONGEST_SLEEP: Final = 5.0  # a suspended machine or a clock that was set is noticed by then


class Workers:
    """Take what ``ledger`` has to do and call ``mint`` for it, in at most ``slots`` threads a pool.

    ``lock`` guards the ledger; ``mint`` is called without it.
    """

    def __init__(
        self,
        ledger: Ledger,
        lock: threading.Lock,
        mint: Callable[[Entry], None],
        *,
        clock: Callable[[], float],
        slots: Mapping[Pool, int],
    ) -> None:
        self.running = False
        self.stopped = False
        self._ledger = ledger
        self._lock = lock
        self._mint = mint
        self._clock = clock
        self._slots = slots
        self._size = dict.fromkeys(Pool, 0)
        self._idle = dict.fromkeys(Pool, 0)
        self._work = {pool: threading.Condition(lock) for pool in Pool}
        self._due = threading.Condition(lock)
        self._wakes_at = math.inf
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start once; not again after :meth:`stop`."""
        with self._lock:
            if self.running or self.stopped:
                return
            self.running = True
            self._size = dict.fromkeys(Pool, 1)
        self._spawn("schedule", self._watch)
        for pool in Pool:
            self._spawn(pool.name.lower(), self._serve, pool)

    def stop(self) -> None:
        """Tell the threads to end; they do once their mint has."""
        with self._lock:
            self.running, self.stopped = False, True
            for condition in (self._due, *self._work.values()):
                condition.notify_all()

    def join(self, seconds: float) -> None:
        """Wait for the threads, for at most ``seconds``."""
        with self._lock:
            threads = list(self._threads)
        deadline = time.monotonic() + seconds
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def wake(self, pool: Pool) -> None:
        """There is work for ``pool``. The caller holds the lock."""
        self._work[pool].notify()

    def reschedule(self) -> None:
        """Something may be due sooner than before. The caller holds the lock."""
        if self._ledger.next_due() < self._wakes_at:
            self._due.notify()

    def _spawn(self, name: str, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name=f"tokens-{name}", daemon=True)
        thread.start()
        with self._lock:
            self._threads.append(thread)

    def _watch(self) -> None:
        """The scheduler thread: queue what is due, sleep until more is."""
        with self._lock:
            while self.running:
                now = self._clock()
                if self._ledger.step(now):
                    for pool in Pool:
                        self.wake(pool)
                self._wakes_at = self._ledger.next_due()
                self._due.wait(min(max(self._wakes_at - now, 0.0), _LONGEST_SLEEP))

    def _serve(self, pool: Pool) -> None:
        """A worker thread."""
        while (entry := self._next(pool)) is not None:
            self._mint(entry)

    def _next(self, pool: Pool) -> Entry | None:
        """The next mint to do; None when stopping."""
        with self._lock:
            entry = self._await(pool)
            if entry is None:
                return None
            grow = self._idle[pool] == 0 and self._size[pool] < self._slots[pool]
            self._size[pool] += grow
            if self._ledger.has_work(pool):
                self.wake(pool)
        if grow:
            self._spawn(pool.name.lower(), self._serve, pool)
        return entry

    def _await(self, pool: Pool) -> Entry | None:
        while self.running:
            entry = self._ledger.take(pool, self._clock())
            if entry is not None:
                return entry
            self._idle[pool] += 1
            self._work[pool].wait()
            self._idle[pool] -= 1
        return None
