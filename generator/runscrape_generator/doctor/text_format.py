r"""Lines of the text format that Prometheus refuses although prometheus_client takes them.

As Prometheus 2.42, 2.53 and 3.5 were seen to do. A label's value may hold a line break to
Prometheus, and a NUL ends the text: neither is followed here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

QUOTED_NAMES = (2, 53)
"""Where names in quotes, such as ``{"a.b"}``, were first seen to be taken; 2.42 does not."""
INDENTED = (3, 0)
"""Where a line may begin with blanks: 3.5 takes it, 2.53 does not."""


_BLANKS = r"[ \t]*+"
TEXT = r'"(?:[^"\\]|\\.)*"'
"""A text in quotes."""


def _pattern(*, quoted: bool) -> re.Pattern[str]:
    """Describe ``NAME{LABELS} VALUE TIMESTAMP``; ``quoted`` where names may be texts in quotes."""
    name = rf"(?:[a-zA-Z_]\w*+|{TEXT})" if quoted else r"[a-zA-Z_]\w*+"
    label = f"{name}{_BLANKS}={_BLANKS}{TEXT}"
    first = f"(?:{label}|{TEXT})" if quoted else label  # the metric's own name, if in quotes
    labels = f"{first}(?:{_BLANKS},{_BLANKS}{label})*(?:{_BLANKS},)?{_BLANKS}"
    braces = rf"\{{{_BLANKS}(?:{labels})?\}}"
    metric = rf"(?:[a-zA-Z_:][\w:]*+{_BLANKS}(?:{braces})?|{braces})"
    value = rf"{_BLANKS}(?P<value>[^\s{{}},#]++)(?:[ \t]++\d++)?{_BLANKS}"
    return re.compile(rf"(?=[a-zA-Z_:{{]){metric}{value}", re.ASCII)


_TYPE = re.compile(r"#[ \t]+TYPE[ \t]+\S+[ \t]+(?P<type>.*)", re.DOTALL)
_TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}

_PATTERNS = {quoted: _pattern(quoted=quoted) for quoted in (False, True)}


def as_text(lines: Iterable[str], version: tuple[int, int]) -> Iterator[str]:
    """Give the lines. Raises ValueError for what *version* refuses."""
    for line in lines:
        if why := _problem(line, version):
            raise ValueError(why)
        yield line


def _problem(line: str, version: tuple[int, int]) -> str:
    """Say what is wrong with a line for a version of Prometheus; empty if nothing is known."""
    text = line.rstrip("\n")
    if version >= INDENTED:
        text = text.lstrip(" \t")
    if text.startswith("#"):
        found = _TYPE.fullmatch(text)
        return "" if found is None or found["type"] in _TYPES else "no type of metric"
    if not text.strip():
        return ""
    if "\r" in text:
        return "it ends in a carriage return"
    match = _PATTERNS[version >= QUOTED_NAMES].fullmatch(text)
    if match is None:
        return "not NAME{LABELS} VALUE TIMESTAMP"
    return "" if in_range(match["value"]) else "its value is out of range"


def in_range(value: str) -> bool:
    """Whether a value fits into a float64: Go refuses others, Python makes infinity of them."""
    try:
        return not math.isinf(float(value)) or "i" in value.lower()
    except ValueError:
        return True  # for the parser to refuse
