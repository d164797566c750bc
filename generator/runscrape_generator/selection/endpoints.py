"""The endpoints of a service that is kept: where to scrape, as whom, how often, under which name.

Everything follows one order: a rule's endpoint beats the rule, which beats the service's own
annotation or label, which beats the global setting, which beats Prometheus' default.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

from runscrape_generator.config import durations
from runscrape_generator.config.settings import EndpointRule, Rule, Settings
from runscrape_generator.model import Endpoint, Service
from runscrape_generator.selection import naming
from runscrape_generator.selection.annotations import ScrapeAnnotations
from runscrape_generator.selection.rules import rule_for_all

DEFAULT_INTERVAL = "1m"
"""Prometheus' and vmagent's own, where no global block says otherwise."""
DEFAULT_TIMEOUT = "10s"

_AUTHORITY = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_HTTPS_PORT = "443"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service answers, always over https: ``host:port``, and the name to show for it."""

    target: str
    instance: str


def place(service: Service, rule: Rule) -> Place | None:
    """The rule's target, else the host of the service's URL; None where that is unusable.

    A token never goes where anyone on the way can read it, so a URL with http is unusable too.
    """
    if rule.target is not None:
        match = _AUTHORITY.fullmatch(rule.target)
    else:
        scheme, _, authority = service.uri.partition("://")
        match = _AUTHORITY.fullmatch(authority.rstrip("/")) if scheme == "https" else None
    if match is None:
        return None
    host, port = match["host"], match["port"] or _HTTPS_PORT
    target = f"{host}:{port}"
    return Place(target, host if port == _HTTPS_PORT else target)


@dataclass(frozen=True, slots=True)
class Timing:
    """The scrape interval and timeout of one endpoint; None leaves it to the global default."""

    interval: str | None
    timeout: str | None
    warning: str = ""


def timing(
    own: EndpointRule, rule: Rule, annotated: ScrapeAnnotations, settings: Settings
) -> Timing:
    """An interval and a timeout that Prometheus takes together: it refuses a longer timeout.

    In a scrape job that breaks the whole file, and in file_sd it drops the target. So where the
    two disagree, what the service says gives way to what a rule says, else the timeout to the
    interval; and one that is set brings the other along where a default might not fit.
    """
    ruled_interval = own.scrape_interval or rule.scrape_interval
    ruled_timeout = own.scrape_timeout or rule.scrape_timeout
    interval = ruled_interval or annotated.interval
    timeout = ruled_timeout or annotated.timeout
    if timeout is None:
        return _beside_default_timeout(interval, settings)
    against = interval or settings.scrape_interval or DEFAULT_INTERVAL
    if not _longer(timeout, against):
        return Timing(against, timeout)
    clash = f"scrape timeout {timeout} is longer than the interval {against}"
    if ruled_timeout and annotated.interval and not ruled_interval:
        settled = timing(own, rule, dataclasses.replace(annotated, interval=None), settings)
        return dataclasses.replace(settled, warning=f"{clash}: the service's interval is ignored")
    settled = _beside_default_timeout(interval, settings)
    return dataclasses.replace(settled, warning=f"{clash}: the timeout is ignored")


def _beside_default_timeout(interval: str | None, settings: Settings) -> Timing:
    """*interval*, with a timeout of the same length where the default one is longer."""
    usual = settings.scrape_timeout or DEFAULT_TIMEOUT
    too_long = interval is not None and _longer(usual, interval)
    return Timing(interval, interval if too_long else None)


def _longer(one: str, other: str) -> bool:
    return durations.parse(one) > durations.parse(other)


def build(
    service: Service,
    where: Place,
    audience: str | None,
    *,
    rule: Rule,
    annotated: ScrapeAnnotations,
    settings: Settings,
) -> tuple[tuple[Endpoint, ...], tuple[str, ...]]:
    """The endpoints of *service*, in the rule's order, and warnings about their settings."""
    owns = rule.endpoints or (EndpointRule(path=annotated.path or settings.metrics_path),)
    made: list[Endpoint] = []
    warnings = []
    for own in owns:
        times = timing(own, rule, annotated, settings)
        if times.warning:
            warnings.append(times.warning)
        endpoint = Endpoint(
            service=service,
            job="",
            audience=audience,
            target=where.target,
            metrics_path=own.path,
            params={**annotated.params, **rule.params, **own.params},
            scrape_interval=times.interval,
            scrape_timeout=times.timeout,
            labels=_labels(service, where, rule, own),
            token_header=_token_header(rule),
            app_credentials=rule.app_credentials,
            scrape_config=rule.scrape_config,
        )
        job = naming.fill(own.job, service) if own.job else _job(endpoint, rule, settings, made)
        made.append(dataclasses.replace(endpoint, job=job))
    return tuple(made), tuple(dict.fromkeys(warnings))


def _token_header(rule: Rule) -> str:
    if rule.app_credentials is not None:
        return "X-Serverless-Authorization"  # the app's own are in the other one
    return rule.token_header or "Authorization"


def _labels(service: Service, where: Place, rule: Rule, own: EndpointRule) -> dict[str, str]:
    """Named as the labels of Cloud Monitoring's ``cloud_run_revision`` resource."""
    return {
        "instance": where.instance,
        "project_id": service.project,
        "location": service.region,
        "service_name": service.name,
        **rule.labels,
        **own.labels,
    }


def _job(endpoint: Endpoint, rule: Rule, settings: Settings, earlier: Sequence[Endpoint]) -> str:
    """The job's name: the rule's own, the shared audience's, or ``--job-name``.

    Of several endpoints the first keeps the plain name, so that a second one renames nothing;
    each later one adds its path, and a hash of its settings where the path alone is not new.
    """
    service, path = endpoint.service, endpoint.metrics_path
    if rule.job is None and settings.audience == "custom" and _is_shared(endpoint):
        differing = _differing(endpoint, rule_for_all(settings.rules), settings)
        return naming.shared(endpoint.audience or "", path, differing, settings)
    name = naming.fill(rule.job or settings.job_name, service)
    if not earlier:
        return name
    known = any(each.metrics_path == path for each in earlier)
    return naming.variant(name, path, _differing(endpoint, Rule(), settings) if known else {})


def _is_shared(endpoint: Endpoint) -> bool:
    return endpoint.audience not in (None, endpoint.service.uri)


def _differing(endpoint: Endpoint, usual: Rule, settings: Settings) -> dict[str, object]:
    """The job's settings that are not the *usual* ones: what makes it a job of another name."""
    times = timing(EndpointRule(path=""), usual, ScrapeAnnotations(), settings)
    pairs: dict[str, tuple[object, object]] = {
        "params": (dict(endpoint.params), dict(usual.params)),
        "interval": (endpoint.scrape_interval, times.interval),
        "timeout": (endpoint.scrape_timeout, times.timeout),
        "scrape_config": (dict(endpoint.scrape_config), dict(usual.scrape_config)),
    }
    return {name: own for name, (own, common) in pairs.items() if own != common}
