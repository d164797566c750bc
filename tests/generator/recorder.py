"""What the generator logs, and each progress bar's steps, for tests to look at."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator

from runscrape_generator.log import NOTICE

_LEVELS = {
    logging.DEBUG: "detail",
    logging.INFO: "step",
    NOTICE: "summary",
    logging.WARNING: "warning",
    logging.ERROR: "error",
}


class Recorder(logging.Handler):
    """Keeps ``(level, message)`` in order from when it is made; also a ``Progress``."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, str]] = []
        self.bars: list[tuple[str, int, list[int]]] = []
        logger = logging.getLogger("runscrape_generator")
        logger.handlers[:] = [self]
        logger.setLevel(logging.DEBUG)
        logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append((_LEVELS[record.levelno], record.getMessage()))

    def of(self, level: str) -> list[str]:
        return [message for one, message in self.told if one == level]

    @contextlib.contextmanager
    def __call__(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        steps: list[int] = []
        self.bars.append((label, total, steps))
        yield steps.append
