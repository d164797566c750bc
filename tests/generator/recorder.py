"""A Talk that keeps what it is told, for tests to look at."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass
class Recorder:
    """Keeps ``(level, message)`` in order, and each progress bar's steps."""

    told: list[tuple[str, str]] = field(default_factory=list)
    bars: list[tuple[str, int, list[int]]] = field(default_factory=list)

    def detail(self, message: str) -> None:
        self.told.append(("detail", message))

    def step(self, message: str) -> None:
        self.told.append(("step", message))

    def warning(self, message: str) -> None:
        self.told.append(("warning", message))

    def error(self, message: str) -> None:
        self.told.append(("error", message))

    def summary(self, message: str) -> None:
        self.told.append(("summary", message))

    def of(self, level: str) -> list[str]:
        return [message for one, message in self.told if one == level]

    @contextlib.contextmanager
    def progress(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        steps: list[int] = []
        self.bars.append((label, total, steps))
        yield steps.append
