"""Durations as Prometheus writes them: ``30s``, ``1h30m``, ``0``.

Source of the rules: ``ParseDuration`` of prometheus/common, as in Prometheus 2.27 to 3.x. The units
``y w d h m s ms`` stand in that order, each at most once, each with a whole number; a year has
365 days, a week 7; ``0`` alone needs no unit; the sum has to fit in 2**63-1 nanoseconds.
"""

from __future__ import annotations

import re

DEFAULT_INTERVAL, DEFAULT_TIMEOUT = "1m", "10s"
"""Prometheus' and vmagent's own, where no global block says otherwise."""

_UNITS_MS = {
    "y": 31_536_000_000,
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}

PATTERN = "".join(f"(?:([0-9]{{1,19}}){unit})?" for unit in _UNITS_MS)
"""The units in order, a group for each; also matches nothing at all, which is no duration."""

_LIMIT_MS = (2**63 - 1) // 1_000_000
LONGEST_WAIT = "1y"
"""The most that runscrape itself waits: the system's own sleep ends at 292 years."""
_MATCHER = re.compile(PATTERN)


def parse(text: str) -> float:
    """Seconds in the duration *text*; raises ValueError where Prometheus would refuse it."""
    if text == "0":
        return 0.0
    match = _MATCHER.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"{text!r} is not a duration such as 30s, 5m or 1h30m")
    parts = zip(match.groups(), _UNITS_MS.values(), strict=True)
    milliseconds = sum(int(number) * unit for number, unit in parts if number is not None)
    if milliseconds > _LIMIT_MS:
        raise ValueError(f"{text!r} is longer than the 292 years that Prometheus can hold")
    return milliseconds / 1000


def parse_wait(text: str) -> float:
    """Seconds that runscrape is to wait; as :func:`parse`, and no longer than a year."""
    seconds = parse(text)
    if seconds > parse(LONGEST_WAIT):
        raise ValueError(f"{text!r} is longer than {LONGEST_WAIT}, the most that runscrape waits")
    return seconds
