"""Pages that look like metrics to their makers, and that Prometheus cannot take or should not."""

from __future__ import annotations

_SAMPLE = "# TYPE odd_total counter\nodd_total 1\n"

ODD_PAGES: dict[str, tuple[str | None, bytes]] = {
    "html": (
        "text/html; charset=utf-8",
        b"<!doctype html><title>Sign in</title><h1>Sign in</h1>\n",
    ),
    "json": ("application/json", b'{"status": "ok", "requests": 17}\n'),
    "malformed": (None, f"{_SAMPLE}odd{{le=}} 1 2 3\n".encode()),
    "duplicate": (None, b"odd_total 1\nodd_total 2\n"),
    "old": (None, b"odd_total 1 1000000000000\n"),  # a timestamp of 2001, in ms
    "future": (None, b"odd_total 1 4102444800000\n"),  # and of 2100
    "no-eof": ("application/openmetrics-text; version=1.0.0; charset=utf-8", _SAMPLE.encode()),
    "binary": ("application/octet-stream", bytes(range(256))),
}
"""Name → Content-Type (None: the page's own) and body."""
