"""Looks at files and at the proxy all the while, in a thread of its own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from tests.soak.judge import LIMITS, Look, growth, look
from tests.soak.plan import STALLED, Fault
from tests.soak.stage import FILES, Stage

_LOOK, _MEASURE = 0.2, 2.0
"""Seconds between two looks at the files, and two at the proxy."""
_STALL = 1.0


class Watcher:
    """What was seen: ``looks`` are those at which a file had changed, ``count`` is all of them."""

    def __init__(self, stage: Stage) -> None:
        self.looks: list[Look] = []
        self.count = 0
        self.stalls: list[Fault] = []
        self._figures: list[tuple[int, float, dict[str, float]]] = []
        self._stage = stage
        self._over = threading.Event()
        self._texts: dict[str, str] = {}

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _watch(self) -> None:
        measured = before = time.time()
        while not self._over.wait(_LOOK):
            if time.time() - before > _LOOK + _STALL:
                self.stalls.append(Fault(STALLED, before, time.time()))
            before = time.time()
            for name in FILES:
                with contextlib.suppress(FileNotFoundError):  # it is being moved
                    self._look(name, (self._stage.etc / name).read_text())
            if before - measured > _MEASURE:
                measured = before
                with contextlib.suppress(OSError, KeyError):  # it is being started again
                    proxy = self._stage.programs["proxy"]
                    self._figures.append((proxy.program.process.pid, before, proxy.figures()))

    def _look(self, name: str, text: str) -> None:
        self.count += 1
        if self._texts.get(name) != text:
            self._texts[name] = text
            self.looks.append(look(name, time.time(), text))

    def growth(self, since: float) -> Iterator[str]:
        """Say what the last proxy process grew by since then; lines with ! are too much."""
        last = self._figures[-1][0]
        own = [(at, values) for pid, at, values in self._figures if pid == last and at >= since]
        for name, limit in LIMITS.items():
            points = [(at, values[name]) for at, values in own]
            values = [value for _, value in points]
            grown = growth(points)
            yield (
                f"{'!' if grown > limit else ' '} {name}: {values[0]:.0f} at half-time, "
                f"{max(values):.0f} at most, {values[-1]:.0f} at the end; {grown:+.1f} by the line "
                f"of best fit"
            )
