"""What the rules of runscrape.yaml make of one service: all that match, folded into one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from runscrape_generator.config.settings import Match, Rule, Settings
from runscrape_generator.model import Service

_MAPPINGS = ("params", "labels", "scrape_config")
_SCALARS = tuple(
    each.name for each in dataclasses.fields(Rule) if each.name not in (*_MAPPINGS, "match")
)


def matches(match: Match, service: Service) -> bool:
    """Whether every glob of *match* fits; a label that is not there fits none."""
    return (
        fnmatchcase(service.project, match.project)
        and fnmatchcase(service.region, match.region)
        and fnmatchcase(service.name, match.service)
        and all(
            name in service.labels and fnmatchcase(service.labels[name], glob)
            for name, glob in match.labels.items()
        )
    )


def with_rules(
    services: Iterable[Service], rules: Sequence[Rule]
) -> Iterator[tuple[Service, Rule]]:
    """Give each service with all *rules* that match it folded into one; a later rule beats."""
    folded: dict[tuple[int, ...], Rule] = {}
    for service in services:
        which = tuple(n for n, rule in enumerate(rules) if matches(rule.match, service))
        if which not in folded:
            folded[which] = _folded(rules[n] for n in which)
        yield service, folded[which]


def unmatched(services: Sequence[Service], settings: Settings) -> tuple[str, ...]:
    """Tell of each rule that matches none of *services*; of no rule where there are none."""
    return tuple(
        f"{settings.where(('rules', number, 'match'))}: it matches none of the services"
        for number, rule in enumerate(settings.rules)
        if services and not any(matches(rule.match, service) for service in services)
    )


def rule_for_all(rules: Sequence[Rule]) -> Rule:
    """Fold the *rules* without ``match`` into one: what they set holds for every service."""
    return _folded(rule for rule in rules if rule.match == Match())


def _folded(rules: Iterable[Rule]) -> Rule:
    found: dict[str, Any] = {}
    for rule in rules:
        for name in _SCALARS:
            if (value := getattr(rule, name)) is not None:
                found[name] = value
        for name in _MAPPINGS:
            if value := getattr(rule, name):
                found[name] = merge(found.get(name, {}), value)
    return Rule(**found)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """*base* with *over* on top: mappings key by key all the way down, all else replaced."""
    merged = dict(base)
    for name, value in over.items():
        below = merged.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[name] = merge(below, value)
        else:
            merged[name] = value
    return merged
