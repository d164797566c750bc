"""``rules`` of runscrape.yaml: which keys a rule has, and how they become settings.Rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runscrape_generator.config import durations
from runscrape_generator.config import vocabulary as words
from runscrape_generator.config.kinds import SWITCH, Field, Kind, choice, list_of, record
from runscrape_generator.config.scrape_config import SCRAPE_CONFIG
from runscrape_generator.config.settings import EndpointRule, Match, Rule
from runscrape_generator.config.values import Mistakes, Value

MATCH_FIELDS = (
    Field(key="project", kind=words.PROJECT_GLOB, help="A glob on the project's id."),
    Field(key="region", kind=words.REGION_GLOB, help="A glob on the region's name."),
    Field(key="service", kind=words.SERVICE_GLOB, help="A glob on the service's name."),
    Field(
        key="labels",
        kind=words.RUN_LABEL_GLOBS,
        help="Cloud Run labels that the service must carry; the values are globs.",
    ),
)

_SCRAPE_FIELDS = (
    Field(key="scrape_interval", kind=words.DURATION, help="How often to scrape."),
    Field(key="scrape_timeout", kind=words.DURATION, help="How long a scrape may take."),
    Field(key="params", kind=words.PARAMS, help="URL parameters of the scrape."),
    Field(key="labels", kind=words.LABEL_VALUES, help="Labels to put on the target."),
    Field(
        key="job",
        kind=words.JOB_NAME,
        help="The job's name; {project}, {region} and {service} stand for the service's own.",
    ),
)

ENDPOINT_FIELDS = (
    Field(key="path", kind=words.METRICS_PATH, help="The path to scrape.", required=True),
    *_SCRAPE_FIELDS,
)


def _checked_times(settings: dict[str, Any]) -> dict[str, Any]:
    interval, timeout = settings.get("scrape_interval"), settings.get("scrape_timeout")
    if interval and timeout and durations.parse(timeout) > durations.parse(interval):
        raise ValueError(f"scrape_timeout {timeout} is longer than scrape_interval {interval}")
    return settings


def _endpoint_rule(**settings: Any) -> EndpointRule:
    return EndpointRule(**_checked_times(settings))


def _rule(**settings: Any) -> Rule:
    if not settings.keys() - {"match"}:
        raise ValueError("sets nothing: add skip, audience, target, labels or another key")
    return Rule(**_checked_times(settings))


def _endpoint() -> Kind:
    """A path, or a mapping with a path and what differs for it."""
    whole = record(ENDPOINT_FIELDS, _endpoint_rule)

    def read(value: Value, mistakes: Mistakes) -> object:
        if isinstance(value.data, Mapping):
            return whole.read(value, mistakes)
        path = words.METRICS_PATH.read(value, mistakes)
        return None if path is None else EndpointRule(path=path)

    return Kind(metavar="", read=read, schema={"anyOf": [words.METRICS_PATH.schema, whole.schema]})


def _endpoints() -> Kind:
    many = list_of(_endpoint(), least=1)

    def read(value: Value, mistakes: Mistakes) -> object:
        endpoints = many.read(value, mistakes)
        seen = set()
        for each in endpoints:
            key = each and (each.path, tuple(sorted(each.params.items())))
            if each and key in seen:
                mistakes.add(value, f"{each.path!r} is listed twice with the same params")
            seen.add(key)
        return endpoints

    return Kind(metavar="", read=read, schema=many.schema)


RULE_FIELDS = (
    Field(
        key="match",
        kind=record(MATCH_FIELDS, Match),
        help="Which services the rule is for: those that match all of these; without it, all.",
    ),
    Field(
        key="skip", kind=SWITCH, help="true skips the service; false undoes that of a rule before."
    ),
    Field(key="audience", kind=words.AUDIENCE, help="What its tokens are made for."),
    Field(key="target", kind=words.HOST_PORT, help="The host to scrape: a custom domain."),
    Field(key="endpoints", kind=_endpoints(), help="Paths to scrape, each as a job of its own."),
    *_SCRAPE_FIELDS,
    Field(
        key="token_header",
        kind=choice(("Authorization", "X-Serverless-Authorization")),
        help="Where the gateway puts the token: the second, where the service uses the first.",
    ),
    Field(
        key="app_credentials",
        kind=words.CREDENTIALS_NAME,
        help="The file in the proxy's --gateway-credentials with what the service wants for itself "
        "in Authorization, such as Bearer TOKEN; the token goes in X-Serverless-Authorization.",
    ),
    Field(
        key="scrape_config",
        kind=SCRAPE_CONFIG,
        help="More of the job, as Prometheus names it: limits, metric_relabel_configs, ….",
    ),
)

_RULE = record(RULE_FIELDS, _rule)
_SETS_SOMETHING = {"minProperties": 1, "not": {"required": ["match"], "maxProperties": 1}}

RULES = list_of(replace(_RULE, schema={**_RULE.schema, **_SETS_SOMETHING}), single=False)
