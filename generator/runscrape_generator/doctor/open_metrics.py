"""OpenMetrics as Prometheus takes it: strict about blanks, and lax about all else.

prometheus_client holds an app to the whole standard, such as buckets in order and no metric apart
in two places, which no Prometheus does. So each line is looked at here, and becomes one of the text
format. As Prometheus 2.42, 2.53 and 3.5 were seen to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from runscrape_generator.doctor.text_format import QUOTED_NAMES, TEXT, in_range

MEDIA_TYPE = "application/openmetrics-text"
_END = "# EOF"
_TYPES = {
    *("counter", "gauge", "histogram", "gaugehistogram"),
    *("summary", "info", "stateset", "unknown"),
}


def _pattern(*, quoted: bool) -> re.Pattern[str]:
    """Describe ``NAME{LABELS} VALUE TIMESTAMP # {LABELS} VALUE TIMESTAMP``."""
    label = rf"(?:[a-zA-Z_]\w*{f'|{TEXT}' if quoted else ''})={TEXT}"
    first = f"(?:{label}|{TEXT})" if quoted else label
    labels = rf"\{{(?:{first}(?:,{label})*{',?' if quoted else ''})?\}}"
    name = rf"[a-zA-Z_:][\w:]*(?:{labels})?" + (f"|{labels}" if quoted else "")
    value = r"[^\s#{}]+"
    exemplar = rf" # (?P<exemplar>{labels}) {value}(?: {value})?"
    metric = rf"(?P<metric>{name}) (?P<value>{value})(?: (?P<seconds>{value}))?"
    return re.compile(f"{metric}(?:{exemplar})?", re.ASCII)


_PATTERNS = {quoted: _pattern(quoted=quoted) for quoted in (False, True)}
_METADATA = re.compile(r'# (TYPE|HELP|UNIT) ([a-zA-Z_:][\w:]*|"[^"]+") (.*)', re.ASCII)


def as_text(lines: Iterable[str], version: tuple[int, int]) -> Iterator[str]:
    """Make each line one of the text format. Raises ValueError for what *version* refuses."""
    line = ""
    for each in lines:
        if line == _END:
            raise ValueError("it comes after # EOF")
        line = each.rstrip("\n")
        if line == _END:
            yield "\n"
        elif line.startswith("#"):
            yield _metadata(line)
        else:
            yield _sample(line, version)
    if line != _END:
        raise ValueError("the last line has to be # EOF")


def _metadata(line: str) -> str:
    match = _METADATA.fullmatch(line)
    if match is None:
        raise ValueError("no TYPE, HELP or UNIT")
    kind, name, said = match.groups()
    if kind == "UNIT" and not name.endswith(f"_{said}"):
        raise ValueError("the metric's name does not end in its unit")
    if kind == "TYPE" and said not in _TYPES:
        raise ValueError("no type of metric")
    return f"# TYPE {name}_total counter\n" if (kind, said) == ("TYPE", "counter") else "\n"


def _sample(line: str, version: tuple[int, int]) -> str:
    match = _PATTERNS[version >= QUOTED_NAMES].fullmatch(line)
    if match is None:
        raise ValueError("not NAME{LABELS} VALUE TIMESTAMP")
    name = match["metric"].partition("{")[0]
    if match["exemplar"] and version < QUOTED_NAMES and not name.endswith(("_total", "_bucket")):
        raise ValueError("this metric may have no exemplar")
    if not in_range(match["value"]):
        raise ValueError("its value is out of range")
    after = f" {float(match['seconds']) * 1000:.0f}" if match["seconds"] else ""
    return f"{match['metric']} {match['value']}{after}\n"
