r"""Lines of the text format that Prometheus refuses although prometheus_client takes them.

As Prometheus 2.42 was seen to do; from 3.0 on names may be UTF-8, in quotes. A label's value may
hold a line break to Prometheus, and a NUL ends the text: neither is followed here.
"""

from __future__ import annotations

import math
import re

_LABEL = r'(?:[a-zA-Z_]\w*+|{quoted})[ \t]*+=[ \t]*+"(?:[^"\\]|\\.)*+"'
_LINE = r"""(?=[a-zA-Z_:{{])(?:[a-zA-Z_:][\w:]*+[ \t]*+)?+
(?:\{{[ \t]*+(?:{first}(?:[ \t]*+,[ \t]*+{label})*+(?:[ \t]*+,)?+[ \t]*+)?+\}})?+
[ \t]*+(?P<value>[^\s{{}},\#]++)(?:[ \t]++\d++)?+[ \t]*+"""
_QUOTED = r'"(?:[^"\\]|\\.)*+"'


def _pattern(*, utf8: bool) -> re.Pattern[str]:
    label = _LABEL.format(quoted=_QUOTED if utf8 else "(?!)")
    first = f"(?:{label}|{_QUOTED})" if utf8 else label
    return re.compile(_LINE.format(label=label, first=first), re.ASCII | re.VERBOSE)


_PATTERNS = {utf8: _pattern(utf8=utf8) for utf8 in (False, True)}


def problem(line: str, *, utf8: bool) -> str:
    """Say what is wrong with a line; empty if nothing is, as far as is looked at here."""
    text = line.rstrip("\n")
    if not text.strip() or text.startswith("#"):
        return ""
    if "\r" in text:
        return "it ends in a carriage return"
    match = _PATTERNS[utf8].fullmatch(text)
    if match is None:
        return "not NAME{LABELS} VALUE TIMESTAMP"
    return "" if _in_range(match["value"]) else "its value is out of range"


def _in_range(value: str) -> bool:
    """Go refuses what does not fit into a float64; Python makes infinity of it."""
    try:
        return not math.isinf(float(value)) or "i" in value.lower()
    except ValueError:
        return True  # for the parser to refuse
