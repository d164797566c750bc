"""Relabelling as Prometheus does it: ``relabel_configs`` and ``metric_relabel_configs``.

https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

Labels = dict[str, str]


class RegexError(ValueError):
    """A regular expression that Python does not take; Prometheus (RE2) perhaps does."""


def relabel(labels: Mapping[str, str], rules: Iterable[Mapping[str, Any]]) -> Labels | None:
    """Apply *rules* in order; None where one of them drops what the labels belong to.

    Raises ValueError for a rule that Prometheus would not take.
    """
    found: Labels = {name: value for name, value in labels.items() if value}
    for rule in rules:
        action = str(rule.get("action", "replace")).lower()
        if action in _DROPPING:
            if not _keeps(action, found, rule):
                return None
        else:
            _change(action, found, rule)
            found = {name: value for name, value in found.items() if value}
    return found


_DROPPING = {"keep", "drop", "keepequal", "dropequal"}
"""Actions that keep what the labels belong to, or drop it; the others change the labels."""


def _keeps(action: str, labels: Labels, rule: Mapping[str, Any]) -> bool:
    source = _source(labels, rule)
    if action in {"keepequal", "dropequal"}:
        same = source == labels.get(_target(rule), "")
        return same if action == "keepequal" else not same
    matches = bool(_pattern(rule).fullmatch(source))
    return matches if action == "keep" else not matches


def _change(action: str, labels: Labels, rule: Mapping[str, Any]) -> None:
    source = _source(labels, rule)
    match action:
        case "replace":
            if found := _pattern(rule).fullmatch(source):
                labels[_expanded(found, _target(rule))] = _expanded(found, _replacement(rule))
        case "lowercase":
            labels[_target(rule)] = source.lower()
        case "uppercase":
            labels[_target(rule)] = source.upper()
        case "hashmod":
            digest = hashlib.md5(source.encode(), usedforsecurity=False).digest()
            number = int.from_bytes(digest[8:], "big") % int(rule.get("modulus") or 1)
            labels[_target(rule)] = str(number)
        case "labelmap":
            labels |= {
                _expanded(found, _replacement(rule)): labels[name]
                for name, found in _matching(labels, rule).items()
            }
        case "labeldrop":
            _remove(labels, _matching(labels, rule))
        case "labelkeep":
            _remove(labels, labels.keys() - _matching(labels, rule).keys())
        case _:
            raise ValueError(f"relabelling knows no action {action!r}")


def _matching(labels: Labels, rule: Mapping[str, Any]) -> dict[str, re.Match[str]]:
    """Give the labels whose names match."""
    found = {name: _pattern(rule).fullmatch(name) for name in labels}
    return {name: match for name, match in found.items() if match is not None}


def _remove(labels: Labels, names: Iterable[str]) -> None:
    for name in names:
        del labels[name]


_CLASS = re.compile(r"\[:\^?[a-z]+:\]")
"""``[:digit:]``: Python would take it for the characters in it."""


@lru_cache(maxsize=512)
def _regex(text: str) -> re.Pattern[str]:
    """Compile a regular expression; RE2's syntax is Python's for what is usual here."""
    if found := _CLASS.search(text):
        raise RegexError(f"relabelling: regex {text!r}: {found[0]} is no class to Python")
    try:
        return re.compile(text, re.DOTALL | re.ASCII)
    except re.error as error:
        raise RegexError(f"relabelling: regex {text!r}: {error}") from None


def _pattern(rule: Mapping[str, Any]) -> re.Pattern[str]:
    return _regex(str(rule.get("regex", "(.*)")))


def _target(rule: Mapping[str, Any]) -> str:
    return str(rule.get("target_label", ""))


def _replacement(rule: Mapping[str, Any]) -> str:
    return str(rule.get("replacement", "$1"))


def _source(labels: Labels, rule: Mapping[str, Any]) -> str:
    names = rule.get("source_labels") or ()
    return str(rule.get("separator", ";")).join(labels.get(name, "") for name in names)


def _expanded(match: re.Match[str], template: str) -> str:
    """Fill ``$1``, ``${1}`` and ``${name}`` as Go does: what is not there is empty."""

    def fill(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        name = found[1] or found[2]
        try:
            return match[int(name) if name.isdigit() else name] or ""
        except IndexError:
            return ""

    return re.sub(r"\$\$|\$\{(\w+)\}|\$(\w+)", fill, template)
