"""Where each setting of a service came from: a flag, a file, a rule, the service, a default.

The order is that of :mod:`runscrape_generator.selection.endpoints`. What is shown is in force; of a
value that no source has, two were made to fit each other, and a warning of the service says how.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runscrape_generator.config.durations import DEFAULT_INTERVAL, DEFAULT_TIMEOUT
from runscrape_generator.config.settings import BY_KEY, EndpointRule, Rule, Settings
from runscrape_generator.model import Decision, Endpoint
from runscrape_generator.selection.annotations import ANNOTATION, LABEL, read_annotations
from runscrape_generator.selection.rules import matches

_WORKED_OUT = "worked out: see the warnings"
_OURS = "on every target"


@dataclass(frozen=True, slots=True)
class Fact:
    """A setting in force for one service, and where it came from."""

    name: str
    value: Any
    """Plain data."""
    origin: str
    path: str = ""
    """The endpoint's, where it is one of several that differ."""

    @property
    def text(self) -> str:
        """The value for people."""
        return self.value if isinstance(self.value, str) else json.dumps(self.value)

    def as_json(self) -> dict[str, Any]:
        """The fact for programs."""
        return {"name": self.name, "value": self.value, "origin": self.origin} | (
            {"endpoint": self.path} if self.path else {}
        )


def facts(decision: Decision, settings: Settings, origins: Mapping[str, str]) -> list[Fact]:
    """Everything in force for a service; *origins* says where each setting of its own key is from.

    What all of its endpoints have alike is told once.
    """
    sources = _Sources(decision, settings, origins)
    each = [list(sources.of_endpoint(*item)) for item in enumerate(decision.endpoints)]
    shared = [fact for fact in each[0] if all(fact in other for other in each)] if each else []
    own = [
        replace(fact, path=endpoint.metrics_path)
        for endpoint, found in zip(decision.endpoints, each, strict=True)
        for fact in found
        if fact not in shared
    ]
    return [*sources.of_service(), *shared, *own]


class _Sources:
    """Everything that may set something for one service."""

    def __init__(self, decision: Decision, settings: Settings, origins: Mapping[str, str]) -> None:
        self._service = decision.service
        self._settings = settings
        self._origins = origins
        numbered = enumerate(settings.rules)
        self._rules = [(n, rule) for n, rule in numbered if matches(rule.match, self._service)]
        self._annotated = read_annotations(self._service)

    def of_service(self) -> Iterator[Fact]:
        """What is said of the service as a whole."""
        for number, _ in self._rules:
            yield Fact("rule", f"rules[{number}]", self._line("rules", number))
        for number, rule in self._rules:
            if rule.skip is not None:
                yield Fact("skip", rule.skip, self._rule(number, "skip"))

    def of_endpoint(self, number: int, endpoint: Endpoint) -> Iterator[Fact]:
        """What is in force for one of its endpoints."""
        yield Fact("job", endpoint.job, self._job(number, endpoint))
        yield self._audience(endpoint)
        yield Fact("target", endpoint.target, self._last("target") or "the service's URL")
        path = self._from(endpoint.metrics_path, number, "path", "metrics_path")
        yield Fact("metrics_path", endpoint.metrics_path, path)
        yield from self._times(number, endpoint)
        for name, values in endpoint.params.items():
            origin = self._entry(number, "params", name) or self._annotation(f"param-{name}")
            yield Fact(f"params.{name}", list(values), origin)
        for name, value in endpoint.labels.items():
            yield Fact(f"labels.{name}", value, self._entry(number, "labels", name) or _OURS)
        if endpoint.token_header != "Authorization":
            origin = self._last("token_header") or self._last("app_credentials") or _WORKED_OUT
            yield Fact("token_header", endpoint.token_header, origin)
        if endpoint.app_credentials is not None:
            origin = self._last("app_credentials") or _WORKED_OUT
            yield Fact("app_credentials", endpoint.app_credentials, origin)
        for name, value in endpoint.scrape_config.items():
            origin = self._entry(number, "scrape_config", name) or _WORKED_OUT
            yield Fact(f"scrape_config.{name}", value, origin)

    def _job(self, number: int, endpoint: Endpoint) -> str:
        if self._own(number).job:
            return self._endpoint(number, "job")
        if origin := self._last("job"):
            return origin
        shared = endpoint.audience not in (None, self._service.uri)
        if shared and self._settings.audience == "custom":
            return f"the shared audience (audience: {self._origins['audience']})"
        return self._setting("job_name")

    def _audience(self, endpoint: Endpoint) -> Fact:
        audience = endpoint.audience
        if audience is None:
            return Fact("audience", "public", "the service lets everybody in")
        if origin := self._last("audience"):
            return Fact("audience", audience, origin)
        if audience == self._annotated.audience:
            return Fact("audience", audience, self._annotation("audience"))
        if audience in self._service.custom_audiences:
            origin = f"the service's custom audience (audience: {self._origins['audience']})"
            return Fact("audience", audience, origin)
        return Fact("audience", audience, "the service's URL")

    def _times(self, number: int, endpoint: Endpoint) -> Iterator[Fact]:
        for name, word, value, default in (
            ("scrape_interval", "interval", endpoint.scrape_interval, DEFAULT_INTERVAL),
            ("scrape_timeout", "timeout", endpoint.scrape_timeout, DEFAULT_TIMEOUT),
        ):
            usual = getattr(self._settings, name)
            if value is None and usual is None:
                yield Fact(name, default, "Prometheus' own default")
            else:
                yield Fact(
                    name, value or usual, self._from(value or usual, number, name, name, word)
                )

    def _from(
        self, value: object, number: int, of_endpoint: str, key: str, word: str = "path"
    ) -> str:
        """The first source, in the order of precedence, that has the value in force."""
        if getattr(self._own(number), of_endpoint) == value:
            return self._endpoint(number, of_endpoint)
        for rule_number, rule in reversed(self._rules):
            if getattr(rule, key, None) == value:
                return self._rule(rule_number, key)
        if value in self._said(word):
            return self._annotation(word)
        return self._setting(key) if getattr(self._settings, key) == value else _WORKED_OUT

    def _said(self, word: str) -> tuple[object, ...]:
        """What the service itself says, if it does: several values for its paths alone."""
        said = self._annotated
        values = {"path": said.paths, "interval": (said.interval,), "timeout": (said.timeout,)}
        return tuple(value for value in values[word] if value is not None)

    def _own(self, number: int) -> EndpointRule:
        """What the rules say of that endpoint alone."""
        found = self._endpoints()
        return found[1].endpoints[number] if found and found[1].endpoints else EndpointRule(path="")

    def _endpoints(self) -> tuple[int, Rule] | None:
        return next(((n, rule) for n, rule in reversed(self._rules) if rule.endpoints), None)

    def _last(self, key: str) -> str | None:
        """The last rule that sets *key*, which is the one that counts."""
        for number, rule in reversed(self._rules):
            if getattr(rule, key) is not None:
                return self._rule(number, key)
        return None

    def _entry(self, number: int, key: str, name: str) -> str | None:
        """The last rule that sets an entry of a mapping, unless the endpoint's own does."""
        if name in getattr(self._own(number), key, {}):
            return self._endpoint(number, key, name)
        for rule_number, rule in reversed(self._rules):
            if name in getattr(rule, key):
                return self._rule(rule_number, key, name)
        return None

    def _rule(self, number: int, *keys: str) -> str:
        return f"rules[{number}], {self._line('rules', number, *keys)}"

    def _endpoint(self, number: int, *keys: str) -> str:
        """An endpoint may be a path alone, which stands where its list does."""
        found = self._endpoints()
        rule = found[0] if found else 0
        return f"rules[{rule}], {self._line('rules', rule, 'endpoints', number, *keys)}"

    def _line(self, *place: str | int) -> str:
        return self._settings.line(place)

    def _annotation(self, word: str) -> str:
        if ANNOTATION + word in self._service.annotations:
            return f"annotation {ANNOTATION}{word}"
        return f"label {LABEL}{word}"

    def _setting(self, key: str) -> str:
        origin = self._origins[key]
        return f"default of {BY_KEY[key].flag}" if origin == "default" else origin
