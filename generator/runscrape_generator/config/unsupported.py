"""What rules ask for and the chosen output cannot say: a mistake in the rules, told at once.

Each of these would otherwise be lost without a word, or make a file that its reader refuses whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from runscrape_generator.config import operator_fields, relabeling
from runscrape_generator.config.messages import Place
from runscrape_generator.config.releases import Reader, prometheus, reader
from runscrape_generator.config.settings import Format, Match, Mode, Rule, Settings
from runscrape_generator.errors import ConfigError

Finding = tuple[Place, str]

HISTOGRAM_FIELDS = (
    "scrape_native_histograms",
    "always_scrape_classic_histograms",
    "convert_classic_histograms_to_nhcb",
)
"""What Prometheus 3.13 also takes from a target, as a label ``__NAME__`` with true or false."""
_HISTOGRAM_LABELS = (3, 13)

_PARAM_NAME = re.compile(r"[A-Za-z0-9_]+")


def require(settings: Settings, command: Literal["generate", "targets"]) -> None:
    """Raise ConfigError with all findings, each where it stands in the file."""
    if found := list(findings(settings, command)):
        raise ConfigError("\n".join(f"{settings.where(place)}: {why}" for place, why in found))


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
        yield from _gateway(rule, settings)
    own = reader(settings)
    if settings.format is Format.OPERATOR:
        found = _not_in_the_crd(rule.scrape_config, operator_fields.FIELDS)
    else:
        found = own.refused(rule.scrape_config)
    for place, message in (*found, *_steps(rule, own)):
        yield ("scrape_config", *place), message


def _gateway(rule: Rule, settings: Settings) -> Iterator[Finding]:
    """One job for all services: only a rule for all can say something of it."""
    own = rule.scrape_config.keys() - carried_by_targets(settings)
    if own and rule.match != Match():
        message = "belongs in a rule without match: --mode gateway has one job for all services"
        yield ("scrape_config",), message
    for name in ("oauth2", "proxy_url"):
        if name in rule.scrape_config:
            message = (
                "is not for --mode gateway, in which the proxy asks for the tokens and every "
                "scrape goes through --gateway-url"
            )
            yield ("scrape_config", name), message


def carried_by_targets(settings: Settings) -> set[str]:
    """The fields of a scrape_config that a target can have for itself."""
    return {*HISTOGRAM_FIELDS} if prometheus(settings) >= _HISTOGRAM_LABELS else set()


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


def _steps(rule: Rule, own: Reader) -> Iterator[Finding]:
    """What of its relabelling the reader of the output would refuse."""
    for name in ("relabel_configs", "metric_relabel_configs"):
        for number, step in enumerate(rule.scrape_config.get(name) or ()):
            for field, message in relabeling.refused(step, own):
                yield (name, number, field), message


def _not_in_the_crd(value: Any, names: Mapping[str, str]) -> Iterator[Finding]:
    """The fields, at any depth, for which the operator's resource has none."""
    message = "--format operator cannot write it: ScrapeConfig v1alpha1 has no such field"
    if isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from (((number, *p), m) for p, m in _not_in_the_crd(each, names))
    elif isinstance(value, Mapping):
        for name, each in value.items():
            if name not in names:
                yield (name,), message
            elif name in operator_fields.PARTS:
                inner = _not_in_the_crd(each, operator_fields.PARTS[name])
                yield from (((name, *p), m) for p, m in inner)
