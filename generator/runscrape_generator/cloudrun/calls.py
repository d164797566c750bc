"""Calls run side by side: so many at once, none for longer than its time, always interruptible.

Threads are daemons and the one who waits is the caller, so a signal handler that raises in the
main thread is heard at once, and a call that ignores every deadline (a credential's token server
that drips a byte a second) holds up neither the run nor the end of the process.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

GRACE = 2.0
"""Seconds that a call has, after its deadline, to say itself what went wrong."""


class Crew(Generic[Key, Value]):
    """Runs calls on at most ``limit`` threads, and gives up on those that overstay.

    ``call(until)`` gets its deadline on ``clock`` (seconds), which starts when the call does.
    """

    def __init__(
        self, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._waiting: deque[tuple[Key, Callable[[float], Value]]] = deque()
        self._running: dict[Key, float] = {}
        self._done: queue.SimpleQueue[tuple[Key, Value | Exception]] = queue.SimpleQueue()

    def submit(self, key: Key, call: Callable[[float], Value]) -> None:
        """Queue a call under a key of its own; also while :meth:`outcomes` is being read."""
        self._waiting.append((key, call))

    def withdraw(self) -> list[Key]:
        """Take back what has not begun; gives its keys."""
        keys = [key for key, _ in self._waiting]
        self._waiting.clear()
        return keys

    def outcomes(self) -> Iterator[tuple[Key, Value | Exception]]:
        """Yield each call's result or error, as they come, until none is left."""
        while self._waiting or self._running:
            while self._waiting and len(self._running) < self._limit:
                self._start(*self._waiting.popleft())
            try:
                wait = min(self._running.values()) + GRACE - self._clock()
                key, outcome = self._done.get(timeout=max(wait, 0.001))
            except queue.Empty:
                yield from self._overdue()
                continue
            if self._running.pop(key, None) is not None:  # else given up on before
                yield key, outcome

    def _start(self, key: Key, call: Callable[[float], Value]) -> None:
        until = self._running[key] = self._clock() + self._seconds
        threading.Thread(target=self._run, args=(key, call, until), daemon=True).start()

    def _run(self, key: Key, call: Callable[[float], Value], until: float) -> None:
        try:
            self._done.put((key, call(until)))
        except Exception as error:  # noqa: BLE001 - handed to whoever reads the outcomes
            self._done.put((key, error))

    def _overdue(self) -> Iterator[tuple[Key, Exception]]:
        late = [k for k, until in self._running.items() if until + GRACE <= self._clock()]
        for key in late:
            del self._running[key]
            yield key, TimeoutError()
