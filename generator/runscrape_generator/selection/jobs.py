"""Scrape jobs out of decisions: a job per endpoint, or one for endpoints that may share it."""

from __future__ import annotations

from collections.abc import Iterable

from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import ConfigError
from runscrape_generator.model import Decision, Endpoint, Job


def assemble(decisions: Iterable[Decision], settings: Settings) -> tuple[Job, ...]:
    """One job for each name, in the order of the decisions (project, region, service).

    Endpoints of one name share the job where they have the same audience and settings, because
    Prometheus keeps one token per job. Raises ConfigError, a line for each name that two
    endpoints want for different jobs.
    """
    groups: dict[str, list[Endpoint]] = {}
    mistakes: dict[str, str] = {}
    for endpoint in (each for decision in decisions for each in decision.endpoints):
        group = groups.setdefault(endpoint.job, [])
        if group and not _may_share(group[0], endpoint):
            mistakes.setdefault(endpoint.job, _collision(group[0], endpoint, settings))
        group.append(endpoint)
    if mistakes:
        raise ConfigError("\n".join(mistakes.values()))
    return tuple(_job(name, tuple(group)) for name, group in groups.items())


def _may_share(one: Endpoint, other: Endpoint) -> bool:
    return one.audience is not None and _settings_of(one) == _settings_of(other)


def _settings_of(endpoint: Endpoint) -> tuple[object, ...]:
    """Everything that a target has from its job and not from its own labels."""
    return (
        endpoint.audience,
        endpoint.scheme,
        endpoint.metrics_path,
        dict(endpoint.params),
        endpoint.scrape_interval,
        endpoint.scrape_timeout,
        dict(endpoint.scrape_config),
    )


def _collision(one: Endpoint, other: Endpoint, settings: Settings) -> str:
    if one.service.id == other.service.id:
        return (
            f"job name {one.job!r} is wanted by two endpoints of {one.service.id}: "
            f"{one.metrics_path} and {other.metrics_path}; give one of them a job of its own"
        )
    return (
        f"job name {one.job!r} is wanted by two services: {one.service.id} and "
        f"{other.service.id}; tell them apart with {{project}}, {{region}} and {{service}} in "
        f"--job-name (now {settings.job_name!r}) or in a rule's job"
    )


def _job(name: str, endpoints: tuple[Endpoint, ...]) -> Job:
    first = endpoints[0]
    return Job(
        name=name,
        audience=first.audience,
        scheme=first.scheme,
        metrics_path=first.metrics_path,
        params=first.params,
        scrape_interval=first.scrape_interval,
        scrape_timeout=first.scrape_timeout,
        scrape_config=first.scrape_config,
        endpoints=endpoints,
    )
