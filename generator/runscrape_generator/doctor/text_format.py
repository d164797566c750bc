r"""Lines of the text format that Prometheus refuses although prometheus_client takes them.

As Prometheus 2.42, 2.53 and 3.5 were seen to do. A label's value may hold a line break to
Prometheus, and a NUL ends the text: neither is followed here.
"""

from __future__ import annotations

import math
import re

_LABEL = r'(?:[a-zA-Z_]\w*+|{quoted})[ \t]*+=[ \t]*+"(?:[^"\\]|\\.)*+"'
_LINE = r"""(?=[a-zA-Z_:{{])(?:[a-zA-Z_:][\w:]*+[ \t]*+)?+
(?:\{{[ \t]*+(?:{first}(?:[ \t]*+,[ \t]*+{label})*+(?:[ \t]*+,)?+[ \t]*+)?+\}})?+
[ \t]*+(?P<value>[^\s{{}},\#]++)(?:[ \t]++\d++)?+[ \t]*+"""
_QUOTED = r'"(?:[^"\\]|\\.)*+"'


QUOTED_NAMES = (2, 53)
"""Where names in quotes, such as ``{"a.b"}``, were first seen to be taken; 2.42 does not."""
INDENTED = (3, 0)
"""Where a line may begin with blanks: 3.5 takes it, 2.53 does not."""


def _pattern(*, quoted: bool) -> re.Pattern[str]:
    label = _LABEL.format(quoted=_QUOTED if quoted else "(?!)")
    first = f"(?:{label}|{_QUOTED})" if quoted else label
    return re.compile(_LINE.format(label=label, first=first), re.ASCII | re.VERBOSE)


_PATTERNS = {quoted: _pattern(quoted=quoted) for quoted in (False, True)}


def problem(line: str, version: tuple[int, int]) -> str:
    """Say what is wrong with a line for a version of Prometheus; empty if nothing is known."""
    text = line.rstrip("\n")
    if version >= INDENTED:
        text = text.lstrip(" \t")
    if not text.strip() or text.startswith("#"):
        return ""
    if "\r" in text:
        return "it ends in a carriage return"
    match = _PATTERNS[version >= QUOTED_NAMES].fullmatch(text)
    if match is None:
        return "not NAME{LABELS} VALUE TIMESTAMP"
    return "" if _in_range(match["value"]) else "its value is out of range"


def _in_range(value: str) -> bool:
    """Go refuses what does not fit into a float64; Python makes infinity of it."""
    try:
        return not math.isinf(float(value)) or "i" in value.lower()
    except ValueError:
        return True  # for the parser to refuse
