"""``runscrape explain SERVICE…``: services in full, every setting with where it came from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from runscrape_generator.cli.provenance import Fact, facts
from runscrape_generator.config.messages import suggestion
from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import ConfigError
from runscrape_generator.model import Decision
from runscrape_generator.text import pad, printable, width

_ALIGNED = 48
"""Columns; a longer value does not push the others' origins away."""

Named = Sequence[tuple[Decision, Sequence[Fact]]]
"""The services that were asked for: what was decided, and every setting in force."""


def named(
    names: Sequence[str],
    decisions: Sequence[Decision],
    settings: Settings,
    origins: Mapping[str, str],
) -> Named:
    """Find the services that *names* mean: a name, ``PROJECT/REGION/NAME``, or a glob on either.

    Raises ConfigError for a name that means none.
    """
    for name in names:
        if not any(_means(name, decision) for decision in decisions):
            near = suggestion(name, (decision.service.name for decision in decisions))
            raise ConfigError(f"no service {name!r} was found{near}")
    chosen = [each for each in decisions if any(_means(name, each) for name in names)]
    return [(decision, facts(decision, settings, origins)) for decision in chosen]


def _means(name: str, decision: Decision) -> bool:
    return any(fnmatchcase(each, name) for each in (decision.service.name, decision.service.id))


def text(services: Named) -> str:
    """Give the services in full, a setting a line; nothing is cut."""
    return "\n".join("".join(f"{printable(line)}\n" for line in _lines(*each)) for each in services)


def _lines(decision: Decision, facts: Sequence[Fact]) -> Iterator[str]:
    service = decision.service
    fate = "kept" if decision.kept else f"skipped: {decision.reason}"
    yield f"{service.name} in {service.project}/{service.region}: {fate}"
    names = max((width(fact.name) for fact in facts), default=0)
    values = [width(fact.text) for fact in facts]
    aligned = max((each for each in values if each <= _ALIGNED), default=0)
    for path, group in itertools.groupby(facts, key=lambda fact: fact.path):
        if path:
            yield f"  endpoint {path}"
        for fact in group:
            yield f"  {pad(fact.name, names)}  {pad(fact.text, aligned)}  {fact.origin}"
    yield from (f"  warning: {warning}" for warning in decision.warnings)
