"""Threads that go on with those there are where the system gives no more."""

from __future__ import annotations

import contextlib
import logging
import queue
from concurrent.futures import ThreadPoolExecutor

log = logging.getLogger(__name__)


class Threads(ThreadPoolExecutor):
    """A pool of threads. ``submit`` raises RuntimeError only where there is not a single one."""

    _told = 0

    @property
    def queued(self) -> int:
        """How much work waits for a thread."""
        return self._work_queue.qsize()

    def _adjust_thread_count(self) -> None:
        # The work is queued before this is called, so that a running thread will take it up.
        try:
            super()._adjust_thread_count()
        except RuntimeError:
            if not self._threads:
                with contextlib.suppress(queue.Empty):
                    self._work_queue.get_nowait()  # nobody is there to take it
                raise
            if self._told != len(self._threads):
                self._told = len(self._threads)
                log.warning("no more threads from the system: %d serve", self._told)
