"""The ``rules`` of runscrape.yaml: for which services, and what is set for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)
from pydantic.dataclasses import dataclass

from runscrape_generator.config import durations, vocabulary
from runscrape_generator.config.fields import OneOrMany
from runscrape_generator.config.scrape_config import ScrapeConfig

CONFIG = ConfigDict(
    extra="forbid",
    validate_default=True,
    validate_by_name=True,
    defer_build=True,  # validators are slow to build, and --help needs none
)


def _key(text: str, default: Any = None) -> Any:
    """Declare a key that may be left out; *text* is what the JSON Schema says of it."""
    return Field(default=default, description=text)


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Match:
    """Which services a rule is for: globs, all of which must match; none match all."""

    project: vocabulary.ProjectGlob = _key("A glob on the project's id.", "*")
    region: vocabulary.RegionGlob = _key("A glob on the region's name.", "*")
    service: vocabulary.ServiceGlob = _key("A glob on the service's name.", "*")
    labels: vocabulary.RunLabelGlobs = _key(
        "Cloud Run labels that the service must carry; the values are globs.", {}
    )


def _every_service() -> Match:
    return Match()  # made when it is needed: that takes validators, which are slow to build


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class _Scraping:
    """What a rule sets for a service as a whole, or for one of its endpoints."""

    scrape_interval: vocabulary.Duration | None = _key("How often to scrape.")
    scrape_timeout: vocabulary.Duration | None = _key("How long a scrape may take.")
    params: vocabulary.Params = _key("URL parameters of the scrape.", {})
    labels: vocabulary.Labels = _key(
        "Labels to put on the target; {project}, {region}, {service} and {label.KEY} stand for the "
        "service's own.",
        {},
    )
    job: vocabulary.JobName | None = _key(
        "The job's name; {project}, {region} and {service} stand for the service's own."
    )

    @model_validator(mode="after")
    def _timeout_within_interval(self, info: ValidationInfo) -> Self:
        interval, timeout = self.scrape_interval, self.scrape_timeout
        if (
            info.context
            and interval
            and timeout
            and durations.parse(timeout) > durations.parse(interval)
        ):
            raise ValueError(f"scrape_timeout {timeout} is longer than scrape_interval {interval}")
        return self


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class EndpointRule(_Scraping):
    """One of several paths to scrape on a service, each its own job."""

    path: vocabulary.MetricsPath = Field(description="The path to scrape.")


def _path_alone(value: Any) -> Any:
    """``/metrics`` is short for ``{path: /metrics}``."""
    return value if isinstance(value, Mapping | EndpointRule) else {"path": value}


def _distinct(endpoints: tuple[EndpointRule, ...]) -> tuple[EndpointRule, ...]:
    seen = []
    for each in endpoints:
        if (each.path, each.params) in seen:
            raise ValueError(f"{each.path!r} is listed twice with the same params")
        seen.append((each.path, each.params))
    return endpoints


_Endpoint = Annotated[
    EndpointRule, BeforeValidator(_path_alone, vocabulary.MetricsPath | EndpointRule)
]
_Endpoints = Annotated[
    tuple[_Endpoint, ...], Field(min_length=1), AfterValidator(_distinct), OneOrMany()
]


@dataclass(
    frozen=True,
    slots=True,
    kw_only=True,
    config=CONFIG
    | ConfigDict(
        json_schema_extra={
            "minProperties": 1,
            "not": {"required": ["match"], "maxProperties": 1},
        }
    ),
)
class Rule(_Scraping):
    """What the user sets for the services that match; None or empty leaves it as it is.

    Rules apply in order: a later rule beats an earlier one, mappings are merged key by key.
    """

    match: Match = Field(
        default_factory=_every_service,
        description="Which services the rule is for; without it, all.",
    )
    skip: vocabulary.OnOff | None = _key(
        "true skips the service; false undoes that of a rule before."
    )
    audience: vocabulary.Audience | None = _key("What its tokens are made for.")
    target: vocabulary.Target | None = _key("The host to scrape: a custom domain.")
    endpoints: _Endpoints | None = _key("Paths to scrape, each as a job of its own.")
    token_header: Literal["Authorization", "X-Serverless-Authorization"] | None = _key(
        "Where the gateway puts the token: the second, where the service uses the first."
    )
    app_credentials: vocabulary.CredentialsName | None = _key(
        "The file in the proxy's --gateway-credentials with what the service wants for itself in "
        "Authorization, such as Bearer TOKEN; the token goes in X-Serverless-Authorization."
    )
    scrape_config: ScrapeConfig = _key(
        "More of the job, as Prometheus names it: limits, metric_relabel_configs, ….", {}
    )

    @model_validator(mode="before")
    @classmethod
    def _sets_something(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and not data.keys() - {"match"}:
            raise ValueError("sets nothing: add skip, audience, target, labels or another key")
        return data
