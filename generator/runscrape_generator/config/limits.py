"""What rules ask for and the chosen output cannot say: a mistake in the rules, told at once.

Each of these would otherwise be lost without a word, or make a file that its reader refuses whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from runscrape_generator.config.settings import Format, Match, Mode, Rule, Settings
from runscrape_generator.errors import ConfigError
from runscrape_generator.render.operator import FIELDS, PARTS
from runscrape_generator.render.scrape_config import VMAGENT_UNKNOWN

Place = tuple[str | int, ...]
"""Keys and positions that lead from a rule to what is wrong in it."""
Finding = tuple[Place, str]

_PARAM_NAME = re.compile(r"[A-Za-z0-9_]+")


def require(settings: Settings, command: Literal["generate", "targets"]) -> None:
    """Raise ConfigError with all findings; the file's own lines are told by configuration."""
    found = [
        f"rules[{number}].{'.'.join(map(str, place))}: {message}"
        for number, rule in enumerate(settings.rules)
        for place, message in findings(rule, settings, command)
    ]
    if found:
        raise ConfigError("\n".join(found))


def findings(rule: Rule, settings: Settings, command: str) -> Iterator[Finding]:
    """What of *rule* the output of *command* cannot say, with the place in the rule."""
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
        for place in _unknown(rule.scrape_config, FIELDS):
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
            elif name in PARTS:
                yield from ((name, *place) for place in _unknown(each, PARTS[name]))


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
