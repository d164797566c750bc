"""What rules ask for and the chosen output cannot say: a mistake in the rules, told at once.

Each of these would otherwise be lost without a word, or make a file that its reader refuses whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from runscrape_generator.config.consumers import (
    OPERATOR_FIELDS,
    OPERATOR_PARTS,
    VMAGENT_UNKNOWN,
)
from runscrape_generator.config.settings import Format, Match, Mode, Rule, Settings
from runscrape_generator.errors import ConfigError

Place = tuple[str | int, ...]
"""Keys and positions that lead to what is wrong."""
Finding = tuple[Place, str]

_PARAM_NAME = re.compile(r"[A-Za-z0-9_]+")


def require(settings: Settings, command: Literal["generate", "targets"]) -> None:
    """Raise ConfigError with all findings; load() has told the lines of those in a file."""
    found = [
        f"{place[0]}[{place[1]}].{'.'.join(map(str, place[2:]))}: {message}"
        for place, message in findings(settings, command)
    ]
    if found:
        raise ConfigError("\n".join(found))


def findings(settings: Settings, command: str) -> Iterator[Finding]:
    """What of the rules the output of *command* cannot say."""
    for number, rule in enumerate(settings.rules):
        for place, message in _of_rule(rule, settings, command):
            yield ("rules", number, *place), message


def _of_rule(rule: Rule, settings: Settings, command: str) -> Iterator[Finding]:
    if command == "targets":
        yield from _params(rule)
    if command != "generate":
        return
    if settings.mode is Mode.GATEWAY:
        yield from _gateway(rule)
    if settings.format is Format.VMAGENT:
        for name in sorted(VMAGENT_UNKNOWN & rule.scrape_config.keys()):
            message = f"vmagent does not know {name}, and would refuse the whole file"
            yield ("scrape_config", name), message
    if settings.format is Format.OPERATOR:
        for place in _unknown(rule.scrape_config, OPERATOR_FIELDS):
            message = "--format operator cannot write it: ScrapeConfig v1alpha1 has no such field"
            yield ("scrape_config", *place), message


def _gateway(rule: Rule) -> Iterator[Finding]:
    """One job for all services: only a rule for all can say something of it."""
    if rule.scrape_config and rule.match != Match():
        message = "belongs in a rule without match: --mode gateway has one job for all services"
        yield ("scrape_config",), message
    for name in ("oauth2", "proxy_url"):
        if name in rule.scrape_config:
            message = (
                "is not for --mode gateway, in which the proxy asks for the tokens and every "
                "scrape goes through --gateway-url"
            )
            yield ("scrape_config", name), message


def _unknown(value: Any, names: Mapping[str, str]) -> Iterator[Place]:
    """The keys, at any depth, for which the operator's resource has no field."""
    if isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from ((number, *place) for place in _unknown(each, names))
    elif isinstance(value, Mapping):
        for name, each in value.items():
            if name not in names:
                yield (name,)
            elif name in OPERATOR_PARTS:
                yield from ((name, *place) for place in _unknown(each, OPERATOR_PARTS[name]))


def _params(rule: Rule) -> Iterator[Finding]:
    """What no label of a target can carry."""
    own = enumerate(rule.endpoints or ())
    for start, params in (
        (("params",), rule.params),
        *((("endpoints", number, "params"), each.params) for number, each in own),
    ):
        for name, values in params.items():
            if not _PARAM_NAME.fullmatch(name) or len(values) != 1:
                message = (
                    "a target carries a parameter as the label __param_NAME, so its name is "
                    "letters, digits and _, with one value"
                )
                yield (*start, name), message
