"""What the run says on standard error: to a person at a terminal, to cron, or to a log collector.

On a terminal each step is a line, with a progress bar while scopes are listed. Elsewhere (cron)
only warnings, errors and the summary are. ``--log-format json`` writes one object a line with the
names that Cloud Logging reads (``severity``, ``message``, ``time``).
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

from runscrape_generator.plain_text import printable

PROGRAM = "runscrape"

_PLACE = re.compile(r"[^\s:]+:[0-9]+: ")
"""``FILE:LINE: `` at the start of a message, which editors and people look for just there."""
_CLEAR_LINE = "\r\x1b[K"
_SHOW_CURSOR = "\x1b[?25h"
"""Ends what click begins with a bar; it must also be said when the bar is cut short."""
_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m"}
_PREFIXES = {"WARNING": "warning: ", "ERROR": "error: "}


def _utc() -> datetime:
    return datetime.now(UTC)


class Console:
    """Implements :class:`runscrape_generator.talk.Talk` on one stream; safe from many threads."""

    def __init__(
        self,
        stream: TextIO | None,
        *,
        verbosity: int = 0,
        log_format: str = "text",
        environ: Mapping[str, str] = os.environ,
        now: Callable[[], datetime] = _utc,
    ) -> None:
        self._stream = stream
        self._json = log_format == "json"
        self._now = now
        self._lock = threading.RLock()
        self._bar: Any = None  # click's, while one is open
        terminal = stream is not None and stream.isatty() and not self._json
        capable = terminal and environ.get("TERM") != "dumb"
        self._details = verbosity > 0
        self._steps = verbosity > 0 or (terminal and verbosity == 0)
        self._summary = verbosity >= 0
        self._bars = capable and verbosity >= 0
        self._colour = capable and not environ.get("NO_COLOR")

    def detail(self, message: str) -> None:
        """One more detail, only for ``-v``."""
        if self._details:
            self._say("DEBUG", message)

    def step(self, message: str) -> None:
        """One step done: shown on a terminal or with ``-v``, not in cron."""
        if self._steps:
            self._say("INFO", message)

    def warning(self, message: str) -> None:
        """A problem that the run survives: always shown."""
        self._say("WARNING", message)

    def error(self, message: str) -> None:
        """What ends the run: always shown, the lines of several mistakes one by one."""
        for line in message.splitlines() or [""]:
            self._say("ERROR", line)

    def summary(self, message: str) -> None:
        """The one line that cron mails: shown unless ``-q``."""
        if self._summary:
            self._say("NOTICE", message)

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """Open a progress bar on a terminal (nothing elsewhere); gives ``advance(by)``."""
        if not self._bars:
            yield lambda _: None
            return
        import click  # noqa: PLC0415 (only where there is a bar to draw)

        bar = click.progressbar(
            length=total, label=printable(label), file=self._stream, show_pos=True, show_eta=False
        )
        with self._lock:
            self._bar = bar
            bar.render_progress()
        try:
            yield self._advance
        finally:
            with self._lock:
                self._bar = None
                self._write(_CLEAR_LINE + _SHOW_CURSOR)

    def _advance(self, by: int) -> None:
        with self._lock:
            if self._bar is not None:
                self._quietly(lambda: self._bar.update(by))

    def _say(self, severity: str, message: str) -> None:
        line = self._object(severity, message) if self._json else self._line(severity, message)
        with self._lock:
            if self._bar is None:
                self._write(f"{line}\n")
                return
            self._write(f"{_CLEAR_LINE}{line}\n")
            self._bar._last_line = None  # noqa: SLF001 (else click thinks the bar is still there)
            self._quietly(self._bar.render_progress)

    def _object(self, severity: str, message: str) -> str:
        return json.dumps(
            {"severity": severity, "message": message, "time": self._now().isoformat()}
        )

    def _line(self, severity: str, message: str) -> str:
        text = printable(message)
        if severity == "ERROR" and _PLACE.match(text):
            return text
        prefix = _PREFIXES.get(severity, "")
        if self._colour and prefix:
            prefix = f"{_COLOURS[severity]}{prefix}\x1b[0m"
        return f"{PROGRAM}: {prefix}{text}"

    def _write(self, text: str) -> None:
        self._quietly(lambda: self._stream and self._stream.write(text) and self._stream.flush())

    def _quietly(self, write: Callable[[], object]) -> None:
        """Talk to nobody where standard error is gone: the run matters, not its commentary."""
        try:
            write()
        except (OSError, ValueError):
            self._stream = None
            self._bar = None
            self._bars = False
