"""Log lines on stderr: text for people, or JSON with the field names of Cloud Logging.

See https://cloud.google.com/logging/docs/structured-logging#structured_logging_special_fields.
A record's ``fields`` (a mapping, given as ``extra={"fields": …}``) become ``key=value`` in text
and labels in JSON. Whatever looks like a JWT is cut out of every line, tracebacks included.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscrape_proxy.settings import LogFormat, LogLevel

NAME = "runscrape_proxy"

_JWT = re.compile(r"eyJ[\w-]+(?:\.[\w-]*){0,2}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def configure(log_format: LogFormat, level: LogLevel, stream: TextIO | None = None) -> None:
    """Send our log, gunicorn's and warnings to ``stream`` (stderr), from ``level`` on."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(NAME).setLevel(level.upper())
    logging.captureWarnings(capture=True)


class TextFormatter(logging.Formatter):
    """``2026-11-22T20:55:00.123Z INFO message key=value``, always one line but for tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        """Lay out one record."""
        line = f"{_time(record)} {record.levelname} {_clean(record.getMessage())}"
        for key, value in _fields(record).items():
            line += f" {key}={_clean(value)}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return without_tokens(line)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with the names that Cloud Logging reads."""

    def format(self, record: logging.LogRecord) -> str:
        """Lay out one record."""
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        entry: dict[str, object] = {
            "severity": record.levelname,
            "message": message,
            "time": _time(record),
        }
        if fields := _fields(record):
            entry["logging.googleapis.com/labels"] = {k: str(v) for k, v in fields.items()}
        return without_tokens(json.dumps(entry, ensure_ascii=False))


def without_tokens(text: str) -> str:
    """Cut out whatever looks like a JWT."""
    return _JWT.sub("[token]", text)


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    fields: Mapping[str, object] = getattr(record, "fields", {})
    return fields


def _clean(value: object) -> str:
    return _CONTROL.sub("?", str(value))


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
