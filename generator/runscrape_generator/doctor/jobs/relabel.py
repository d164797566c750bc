"""Relabelling as Prometheus does it: ``relabel_configs`` and ``metric_relabel_configs``.

https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
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
        apply = _ACTIONS.get(action)
        if apply is None:
            raise ValueError(f"relabelling knows no action {action!r}")
        if not apply(found, rule):
            return None
        found = {name: value for name, value in found.items() if value}
    return found


@lru_cache(maxsize=512)
def _regex(text: str) -> re.Pattern[str]:
    """Compile a regular expression; RE2's syntax is Python's for what is usual here."""
    try:
        return re.compile(text, re.DOTALL)
    except re.error as error:
        raise RegexError(f"relabelling: regex {text!r}: {error}") from None


def _pattern(rule: Mapping[str, Any]) -> re.Pattern[str]:
    return _regex(str(rule.get("regex", "(.*)")))


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


def _replace(labels: Labels, rule: Mapping[str, Any]) -> bool:
    match = _pattern(rule).fullmatch(_source(labels, rule))
    if match is not None:
        name = _expanded(match, str(rule.get("target_label", "")))
        labels[name] = _expanded(match, str(rule.get("replacement", "$1")))
    return True


def _keep(labels: Labels, rule: Mapping[str, Any]) -> bool:
    return bool(_pattern(rule).fullmatch(_source(labels, rule)))


def _drop(labels: Labels, rule: Mapping[str, Any]) -> bool:
    return not _keep(labels, rule)


def _keep_equal(labels: Labels, rule: Mapping[str, Any]) -> bool:
    return _source(labels, rule) == labels.get(str(rule.get("target_label")), "")


def _drop_equal(labels: Labels, rule: Mapping[str, Any]) -> bool:
    return not _keep_equal(labels, rule)


def _cased(change: Callable[[str], str]) -> Callable[[Labels, Mapping[str, Any]], bool]:
    def apply(labels: Labels, rule: Mapping[str, Any]) -> bool:
        labels[str(rule.get("target_label"))] = change(_source(labels, rule))
        return True

    return apply


def _hash(labels: Labels, rule: Mapping[str, Any]) -> bool:
    digest = hashlib.md5(_source(labels, rule).encode(), usedforsecurity=False).digest()
    number = int.from_bytes(digest[8:], "big") % int(rule.get("modulus") or 1)
    labels[str(rule.get("target_label"))] = str(number)
    return True


def _map(labels: Labels, rule: Mapping[str, Any]) -> bool:
    for name, value in list(labels.items()):
        if match := _pattern(rule).fullmatch(name):
            labels[_expanded(match, str(rule.get("replacement", "$1")))] = value
    return True


def _filtered(*, kept: bool) -> Callable[[Labels, Mapping[str, Any]], bool]:
    def apply(labels: Labels, rule: Mapping[str, Any]) -> bool:
        for name in [each for each in labels if bool(_pattern(rule).fullmatch(each)) != kept]:
            del labels[name]
        return True

    return apply


_ACTIONS: Mapping[str, Callable[[Labels, Mapping[str, Any]], bool]] = {
    "replace": _replace,
    "keep": _keep,
    "drop": _drop,
    "keepequal": _keep_equal,
    "dropequal": _drop_equal,
    "lowercase": _cased(str.lower),
    "uppercase": _cased(str.upper),
    "hashmod": _hash,
    "labelmap": _map,
    "labeldrop": _filtered(kept=False),
    "labelkeep": _filtered(kept=True),
}
