"""Where log messages become lines on standard error: for a person, for cron, for a log collector.

On a terminal each step is a line, with a progress bar while scopes are listed. Elsewhere (cron)
only warnings, errors and the summary are shown. ``--log-format json`` writes one JSON object a line
with the names that Cloud Logging reads (``severity``, ``message``, ``time``).
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

from runscrape_generator.log import NOTICE
from runscrape_generator.text import printable

PROGRAM = "runscrape"
_LOGGER = "runscrape_generator"
"""Above the loggers of all our modules."""

_PLACE = re.compile(r"[^\s:]+:[0-9]+: ")
"""``FILE:LINE: `` at the start of a message: editors find the place only if nothing precedes it."""
_CLEAR_LINE = "\r\x1b[K"
_SHOW_CURSOR = "\x1b[?25h"
"""Ends what click begins with a bar; it must also be said when the bar is cut short."""
_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m"}
_PREFIXES = {"WARNING": "warning: ", "ERROR": "error: "}


class JsonFormatter(logging.Formatter):
    """One JSON object for each record, with the field names of Cloud Logging."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the record as one line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat()
        return json.dumps(
            {"severity": record.levelname, "message": record.getMessage(), "time": time}
        )


class TextFormatter(logging.Formatter):
    """``runscrape: warning: …``, safe to show on a terminal."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Give the record as one line."""
        text = printable(record.getMessage())
        if record.levelname == "ERROR" and _PLACE.match(text):
            return text
        prefix = _PREFIXES.get(record.levelname, "")
        if self._colour and prefix:
            prefix = f"{_COLOURS[record.levelname]}{prefix}\x1b[0m"
        return f"{PROGRAM}: {prefix}{text}"


class Console(logging.Handler):
    """Writes log records to one stream, around a progress bar if one is open."""

    def __init__(
        self,
        stream: TextIO | None,
        *,
        verbosity: int = 0,
        log_format: str = "text",
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        super().__init__()
        self._stream = stream
        self._environ = environ
        self._bar: Any = None  # click's, while one is open
        self.configure(verbosity, log_format)

    def configure(self, verbosity: int, log_format: str) -> None:
        """Log as the settings say, which ``--watch`` may read again."""
        as_json = log_format == "json"
        terminal = self._stream is not None and self._stream.isatty() and not as_json
        capable = terminal and self._environ.get("TERM") != "dumb"
        self._bars = capable and verbosity >= 0
        colour = capable and not self._environ.get("NO_COLOR")
        self.setFormatter(JsonFormatter() if as_json else TextFormatter(colour=colour))
        self.setLevel(_threshold(verbosity, terminal=terminal))
        logging.getLogger(_LOGGER).setLevel(self.level)

    def install(self) -> None:
        """Be the one place where the generator's loggers write to."""
        logger = logging.getLogger(_LOGGER)
        logger.handlers[:] = [self]
        logger.setLevel(self.level)
        logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; called under the handler's lock."""
        line = self.format(record)
        if self._bar is None:
            self._write(f"{line}\n")
            return
        self._write(f"{_CLEAR_LINE}{line}\n")
        if self._bar is not None:  # else standard error is gone
            self._bar._last_line = None  # noqa: SLF001 (else click thinks the bar is still there)
            self._quietly(self._bar.render_progress)

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
        with self._locked():
            self._bar = bar
            bar.render_progress()
        try:
            yield self._advance
        finally:
            with self._locked():
                self._bar = None
                self._write(_CLEAR_LINE + _SHOW_CURSOR)

    def _advance(self, by: int) -> None:
        with self._locked():
            if self._bar is not None:
                self._quietly(lambda: self._bar.update(by))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def _write(self, text: str) -> None:
        self._quietly(lambda: self._stream and self._stream.write(text) and self._stream.flush())

    def _quietly(self, write: Callable[[], object]) -> None:
        """Say nothing more where standard error is gone: the run matters, not its commentary."""
        try:
            write()
        except (OSError, ValueError):
            self._stream = None
            self._bar = None
            self._bars = False


def _threshold(verbosity: int, *, terminal: bool) -> int:
    """The lowest level that is shown: ``-v`` shows all, ``-q`` problems only."""
    if verbosity > 0:
        return logging.DEBUG
    if verbosity < 0:
        return logging.WARNING
    return logging.INFO if terminal else NOTICE
