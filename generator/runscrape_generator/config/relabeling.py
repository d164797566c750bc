"""Steps of relabelling that their reader would refuse, and with them the whole file.

As Prometheus 2.42, 2.53 and 3.5 and vmagent 1.112 and 1.145 were seen to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from runscrape_generator.config import regexes
from runscrape_generator.config.releases import Reader, release
from runscrape_generator.text import show

_REFERENCE = r"\$(?:\{\w+\}|\w+)"
_NAME = re.compile(rf"(?:[a-zA-Z_]|{_REFERENCE})(?:\w|{_REFERENCE})*", re.ASCII)
"""A label's name; what a regex has matched may be a part of it."""

_ANY_NAME = re.compile(r".+", re.DOTALL)

_NOT_USED = {"modulus": 0, "separator": ";", "replacement": "$1"}
_REGEX_ALONE = _NOT_USED | {"source_labels": None, "target_label": ""}
_LABELS_ALONE = _NOT_USED | {"regex": None}
_MAY_BE: Mapping[str, Mapping[str, Any]] = {
    "lowercase": {"replacement": "$1"},
    "uppercase": {"replacement": "$1"},
    "keepequal": _LABELS_ALONE,
    "dropequal": _LABELS_ALONE,
    "labeldrop": _REGEX_ALONE,
    "labelkeep": _REGEX_ALONE,
}
"""Fields that may be nothing else with an action of Prometheus', which has no use for them."""
_NO_TARGET = {"keep", "drop", "labelmap", "labeldrop", "labelkeep"}

Reason = tuple[str, str]
"""A field of the step, and what is wrong with it."""


def refused(step: Mapping[str, Any], reader: Reader) -> Iterator[Reason]:
    """Say what of a step the reader would refuse."""
    regex = step.get("regex")
    if isinstance(regex, str) and (why := regexes.refused(regex)):
        yield "regex", f"{reader.name} would refuse it: {why}"
    if reader.name != "Prometheus":
        return
    if isinstance(regex, list | tuple):
        yield "regex", "Prometheus takes one regex: join them with |"
    action = str(step.get("action") or "replace").lower()
    for field, only in _MAY_BE.get(action, {}).items():
        if step.get(field) not in (None, only):
            yield field, f"action {action} takes none"
    yield from _names(step, action, reader)


def _names(step: Mapping[str, Any], action: str, reader: Reader) -> Iterator[Reason]:
    """Names of labels: UTF-8 from Prometheus 3.0 on."""
    old = reader.version is not None and release(reader.version) < (3, 0)
    given = [("source_labels", name) for name in step.get("source_labels") or ()]
    if action not in _NO_TARGET:
        given.append(("target_label", step.get("target_label")))
    if action == "labelmap":
        given.append(("replacement", step.get("replacement")))
    for field, name in given:
        if name is not None and not (_NAME if old else _ANY_NAME).fullmatch(str(name)):
            why = (
                f": letters, digits and _ before Prometheus 3.0, and {reader.which}" if old else ""
            )
            yield field, f"{show(str(name))} is no name of a label{why}"
