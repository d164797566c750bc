"""The threads that mint, and the one that watches what is due.

One rule: a mint thread is started while work waits and a slot is free, takes the next mint under
the lock until there is none, and ends, unless it is the last of its pool. So a small installation
has few threads, and where the system gives no more of them, those that are there do all the work.
They are daemons: a mint that hangs does not keep the process from ending.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import TYPE_CHECKING, Final

from runscrape_proxy.tokens.entry import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runscrape_proxy.tokens.entry import Entry
    from runscrape_proxy.tokens.ledger import Ledger

log = logging.getLogger(__name__)

NO_THREAD: Final = (
    "no thread could be started for the mint: this machine or container is at its limit of threads"
    " (ulimit -u, or the container's pids limit)"
)


class MintThreads:
    """Take what ``ledger`` has to do and call ``mint`` for it, in at most ``slots`` threads a pool.

    ``lock`` guards the ledger; ``mint`` is called without it. What is due is looked for at least
    every ``look_every`` seconds, since a thread does not notice that the machine was suspended.
    """

    def __init__(
        self,
        ledger: Ledger,
        lock: threading.Lock,
        mint: Callable[[Entry], None],
        *,
        clock: Callable[[], float],
        slots: Mapping[Pool, int],
        look_every: float,
    ) -> None:
        self.running = False
        self.stopped = False
        self._ledger = ledger
        self._lock = lock
        self._mint = mint
        self._clock = clock
        self._slots = slots
        self._look_every = look_every
        self._count = dict.fromkeys(Pool, 0)
        self._idle = dict.fromkeys(Pool, False)
        self._work = {pool: threading.Condition(lock) for pool in Pool}
        self._due = threading.Condition(lock)
        self._wakes_at = math.inf
        self._watching = False
        self._threads: set[threading.Thread] = set()

    def start(self) -> None:
        """Start once; not again after :meth:`stop`."""
        with self._lock:
            if self.running or self.stopped:
                return
            self.running = True
            self._start_watching()
            for pool in Pool:
                self._grow(pool)

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
        """Have the work of ``pool`` begun, if there is any. The caller holds the lock."""
        if not self.running or not self._ledger.has_work(pool):
            return
        if self._idle[pool]:
            self._work[pool].notify()
        elif self._count[pool] < self._slots[pool]:
            self._grow(pool)
        self._start_watching()

    def reschedule(self) -> None:
        """Something may be due sooner than before. The caller holds the lock."""
        if self._ledger.next_due() < self._wakes_at:
            self._due.notify()

    def _start_watching(self) -> None:
        if not self._watching:
            self._watching = self._start("schedule", self._watch)

    def _grow(self, pool: Pool) -> None:
        if self._start(pool.name.lower(), self._serve, pool):
            self._count[pool] += 1

    def _start(self, name: str, target: Callable[..., None], *args: object) -> bool:
        """Start a thread; False where the system gives none: the work stays queued."""
        thread = threading.Thread(target=target, args=args, name=f"tokens-{name}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if not self._ledger.obstacle:
                log.warning("%s; %d threads go on", NO_THREAD, len(self._threads))
            self._ledger.obstacle = NO_THREAD
            return False
        self._ledger.obstacle = ""
        self._threads.add(thread)
        return True

    def _watch(self) -> None:
        """The scheduler thread: queue what is due, sleep until more is."""
        with self._lock:
            while self.running:
                now = self._clock()
                self._ledger.step(now)
                for pool in Pool:
                    self.wake(pool)
                self._wakes_at = self._ledger.next_due()
                self._due.wait(min(max(self._wakes_at - now, 0.0), self._look_every))

    def _serve(self, pool: Pool) -> None:
        """A mint thread."""
        while (entry := self._next(pool)) is not None:
            self._mint(entry)

    def _next(self, pool: Pool) -> Entry | None:
        """The next mint to do; None where this thread is to end."""
        with self._lock:
            while self.running:
                entry = self._ledger.take(pool, self._clock())
                if entry is not None:
                    self.wake(pool)
                    return entry
                if self._count[pool] > 1:
                    break
                self._idle[pool] = True
                self._work[pool].wait()
                self._idle[pool] = False
            self._count[pool] -= 1
            self._threads.discard(threading.current_thread())
            return None
