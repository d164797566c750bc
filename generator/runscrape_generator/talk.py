"""What the run says on standard error, while standard output carries the result alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


class Talk(Protocol):
    """Where every part of the run reports to; :mod:`runscrape_generator.console` is the real one.

    Safe to call from many threads. Each message is one line without a newline, and holds no secret.
    """

    def detail(self, message: str) -> None:
        """One more detail, only for ``-v``."""
        ...

    def step(self, message: str) -> None:
        """One step done: shown on a terminal or with ``-v``, not in cron."""
        ...

    def warning(self, message: str) -> None:
        """A problem that the run survives: always shown."""
        ...

    def error(self, message: str) -> None:
        """What ends the run: always shown."""
        ...

    def summary(self, message: str) -> None:
        """The one line that cron mails: shown unless ``-q``."""
        ...

    def progress(self, label: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Open a progress bar on a terminal (nothing elsewhere); gives ``advance(by)``."""
        ...
