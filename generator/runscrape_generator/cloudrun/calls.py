"""Calls on a bounded number of threads, with a deadline for each.

The threads are daemons, and the caller waits in the main thread: a signal handler that raises there
is heard at once. A call that ignores its deadline (a token server that sends a byte a second) is
given up on; it holds up neither the run nor the end of the process.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from runscrape_generator import signals

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

GRACE = 2.0
"""Seconds after its deadline in which a call may still report by itself what went wrong."""


class CallPool(Generic[Key, Value]):
    """Runs calls on at most ``threads`` threads, each for at most ``seconds``.

    ``call(until)`` gets its deadline on ``time.monotonic``; its time starts when it does.
    """

    def __init__(self, threads: int, seconds: float) -> None:
        self._threads = threads
        self._seconds = seconds
        self._waiting: deque[tuple[Key, Callable[[float], Value]]] = deque()
        self._running: dict[Key, float] = {}
        self._done: queue.SimpleQueue[tuple[Key, Value | Exception]] = queue.SimpleQueue()

    def submit(self, key: Key, call: Callable[[float], Value]) -> None:
        """Queue a call under a key of its own; also while :meth:`outcomes` is being read."""
        self._waiting.append((key, call))

    def cancel_waiting(self) -> list[Key]:
        """Drop the calls that have not begun; gives their keys."""
        keys = [key for key, _ in self._waiting]
        self._waiting.clear()
        return keys

    def outcomes(self) -> Iterator[tuple[Key, Value | Exception]]:
        """Yield the result or the error of each call as they come, until none is left."""
        while self._waiting or self._running:
            while self._waiting and len(self._running) < self._threads:
                self._start(*self._waiting.popleft())
            try:
                wait = min(self._running.values()) + GRACE - time.monotonic()
                with signals.waiting():
                    key, outcome = self._done.get(timeout=max(wait, 0.001))
            except queue.Empty:
                yield from self._overdue()
                continue
            if self._running.pop(key, None) is not None:  # else it was given up on before
                yield key, outcome

    def _start(self, key: Key, call: Callable[[float], Value]) -> None:
        until = self._running[key] = time.monotonic() + self._seconds
        threading.Thread(target=self._run, args=(key, call, until), daemon=True).start()

    def _run(self, key: Key, call: Callable[[float], Value], until: float) -> None:
        try:
            self._done.put((key, call(until)))
        except Exception as error:  # noqa: BLE001 - handed to whoever reads the outcomes
            self._done.put((key, error))

    def _overdue(self) -> Iterator[tuple[Key, Exception]]:
        late = [k for k, until in self._running.items() if until + GRACE <= time.monotonic()]
        for key in late:
            del self._running[key]
            yield key, TimeoutError()
