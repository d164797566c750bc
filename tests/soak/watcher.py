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
_WARM = 60.0
"""Seconds of the proxy's life that do not count as growth."""


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

    def growth(self) -> Iterator[str]:
        """Say what the last proxy process grew by; lines that begin with ! are too much."""
        pid, last, _ = self._figures[-1]
        own = [(at, values) for each, at, values in self._figures if each == pid]
        begin = own[0][0] + min(_WARM, (last - own[0][0]) / 2)
        own = [(at, values) for at, values in own if at >= begin]
        for name, limit in LIMITS.items():
            points = [(at, values[name]) for at, values in own]
            grown, most = growth(points), max(value for _, value in points)
            mark = "!" if grown > limit else " "
            first, end = points[0][1], points[-1][1]
            yield (
                f"{mark} {name}: {first:.0f} at first, {most:.0f} at most, {end:.0f} at the end;"
                f" {grown:+.1f} by the line of best fit over {last - begin:.0f} s"
            )
