"""The endpoints of a service that is kept: where to scrape, as whom, how often, under which name.

Everything follows one order: a rule's endpoint beats the rule, which beats the service's own
annotation or label, which beats the global setting, which beats Prometheus' default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from runscrape_generator.config import durations
from runscrape_generator.config.durations import DEFAULT_INTERVAL, DEFAULT_TIMEOUT
from runscrape_generator.config.settings import EndpointRule, Rule, Settings
from runscrape_generator.model import Endpoint, Service
from runscrape_generator.selection import naming
from runscrape_generator.selection.annotations import ScrapeAnnotations
from runscrape_generator.selection.rules import rule_for_all
from runscrape_generator.text import show

_AUTHORITY = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_HTTPS_PORT = "443"


@dataclass(frozen=True, slots=True)
class HostPort:
    """Where a service answers, always over https."""

    address: str
    """``host:port``."""
    instance: str
    """The name to show for it: without the port where that is the usual one."""


def host_port(service: Service, rule: Rule) -> HostPort | None:
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
    address = f"{host}:{port}"
    return HostPort(address, host if port == _HTTPS_PORT else address)


@dataclass(frozen=True, slots=True)
class Timing:
    """The scrape interval and timeout of one endpoint; None leaves it to the global default."""

    interval: str | None
    timeout: str | None
    warning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What one endpoint is to be, by a rule or by the service itself."""

    path: str
    said: bool = False
    """Whether the service says so."""
    job: str | None = None
    interval: str | None
    timeout: str | None
    params: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


def _wanted(rule: Rule, annotated: ScrapeAnnotations, settings: Settings) -> list[_Wanted]:
    """List the endpoints: a rule's, else those of the service, else the one of the settings."""
    if rule.endpoints:
        return [_of_rule(each, rule) for each in rule.endpoints]
    paths = annotated.paths or (settings.metrics_path,)
    return [
        _Wanted(
            path=path,
            said=bool(annotated.paths),
            interval=rule.scrape_interval,
            timeout=rule.scrape_timeout,
        )
        for path in paths
    ]


def _of_rule(own: EndpointRule, rule: Rule) -> _Wanted:
    return _Wanted(
        path=own.path,
        job=own.job,
        interval=own.scrape_interval or rule.scrape_interval,
        timeout=own.scrape_timeout or rule.scrape_timeout,
        params=own.params,
        labels=own.labels,
    )


def timing(
    ruled: tuple[str | None, str | None], annotated: ScrapeAnnotations, settings: Settings
) -> Timing:
    """An interval and a timeout that Prometheus takes together: it refuses a longer timeout.

    ``ruled`` is the interval and timeout that rules set. In a scrape job a timeout that is longer
    than its interval breaks the whole file, and in file_sd it drops the target. So where the two
    disagree, what the service says gives way to what a rule says, else the timeout to the
    interval; and one that is set brings the other along where a default might not fit.
    """
    ruled_interval, ruled_timeout = ruled
    interval = ruled_interval or annotated.interval
    timeout = ruled_timeout or annotated.timeout
    if timeout is None:
        return _beside_default_timeout(interval, settings)
    against = interval or settings.scrape_interval or DEFAULT_INTERVAL
    if not _longer(timeout, against):
        return Timing(against, timeout)
    clash = f"scrape timeout {timeout} is longer than the interval {against}"
    if ruled_timeout and annotated.interval and not ruled_interval:
        settled = timing(ruled, replace(annotated, interval=None), settings)
        return replace(settled, warning=f"{clash}: the service's interval is ignored")
    settled = _beside_default_timeout(interval, settings)
    return replace(settled, warning=f"{clash}: the timeout is ignored")


def _beside_default_timeout(interval: str | None, settings: Settings) -> Timing:
    """*interval*, with a timeout of the same length where the default one is longer."""
    usual = settings.scrape_timeout or DEFAULT_TIMEOUT
    too_long = interval is not None and _longer(usual, interval)
    return Timing(interval, interval if too_long else None)


def _longer(one: str, other: str) -> bool:
    return durations.parse(one) > durations.parse(other)


def build(
    service: Service,
    where: HostPort,
    audience: str | None,
    *,
    rule: Rule,
    annotated: ScrapeAnnotations,
    settings: Settings,
) -> tuple[tuple[Endpoint, ...], tuple[str, ...]]:
    """The endpoints of *service*, in the rule's order, and warnings about their settings."""
    made: list[Endpoint] = []
    warnings: list[str] = []
    for wanted in _wanted(rule, annotated, settings):
        times = timing((wanted.interval, wanted.timeout), annotated, settings)
        warnings += filter(
            None, (times.warning, _kept_by_google(wanted.path), _encoded_again(wanted.path))
        )
        endpoint = Endpoint(
            service=service,
            job="",
            audience=audience,
            target=where.address,
            metrics_path=wanted.path,
            params={**annotated.params, **rule.params, **wanted.params},
            scrape_interval=times.interval,
            scrape_timeout=times.timeout,
            labels=_labels(service, where, rule, wanted),
            token_header=_token_header(rule),
            app_credentials=rule.app_credentials,
            scrape_config=rule.scrape_config,
        )
        made.append(_named(endpoint, wanted, rule, settings, made))
    return tuple(made), tuple(dict.fromkeys(warnings))


def _kept_by_google(path: str) -> str:
    """Warn of paths that never reach a service (cloud.google.com/run/docs/known-issues)."""
    if path in {"/healthz", "/eventlog"} or path.startswith("/_ah/"):
        return f"{show(path)} never reaches the service: Google keeps that path for itself"
    if path.endswith("z"):
        return f"{show(path)} may not reach the service: Google keeps some paths that end in z"
    return ""


def _encoded_again(path: str) -> str:
    """Warn of a path that is not asked for as it stands: vmagent alone takes it for encoded."""
    if "%" not in path:
        return ""
    asked_for = show(path.replace("%", "%25"))
    return f"{show(path)}: Prometheus encodes the % again, and asks for {asked_for}"


def _token_header(rule: Rule) -> str:
    if rule.app_credentials is not None:
        return "X-Serverless-Authorization"  # the app's own are in the other one
    return rule.token_header or "Authorization"


def _labels(service: Service, where: HostPort, rule: Rule, wanted: _Wanted) -> dict[str, str]:
    """Named as the labels of Cloud Monitoring's ``cloud_run_revision`` resource."""
    own = {**rule.labels, **wanted.labels}
    return {
        "instance": where.instance,
        "project_id": service.project,
        "location": service.region,
        "service_name": service.name,
        **{name: naming.fill_label(value, service) for name, value in own.items()},
    }


def _named(
    endpoint: Endpoint,
    wanted: _Wanted,
    rule: Rule,
    settings: Settings,
    earlier: Sequence[Endpoint],
) -> Endpoint:
    """Name the endpoint's job: by the rule, the shared audience, or ``--job-name``.

    Of several endpoints the first keeps the plain name, so that a second one renames nothing;
    each later one adds its path, and a hash of its settings where the path alone is not new.
    """
    service, path = endpoint.service, endpoint.metrics_path
    if wanted.job:
        return replace(endpoint, job=naming.fill(wanted.job, service), job_template=wanted.job)
    if rule.job is None and settings.audience == "custom" and _is_shared(endpoint):
        differing = _differing(endpoint, rule_for_all(settings.rules), settings)
        name = naming.shared(endpoint.audience or "", path, differing, settings)
        return replace(endpoint, job=name, said=True)
    template = rule.job or settings.job_name
    name = naming.fill(template, service)
    if not earlier:
        return replace(endpoint, job=name, job_template=template)
    known = any(each.metrics_path == path for each in earlier)
    differing = _differing(endpoint, Rule(), settings) if known else {}
    name = naming.variant(name, path, differing)
    return replace(endpoint, job=name, job_template=template, said=wanted.said)


def _is_shared(endpoint: Endpoint) -> bool:
    return endpoint.audience not in (None, endpoint.service.uri)


def _differing(endpoint: Endpoint, usual: Rule, settings: Settings) -> dict[str, object]:
    """The job's settings that are not the *usual* ones: what makes it a job of another name."""
    ruled = (usual.scrape_interval, usual.scrape_timeout)
    times = timing(ruled, ScrapeAnnotations(), settings)
    pairs: dict[str, tuple[object, object]] = {
        "params": (dict(endpoint.params), dict(usual.params)),
        "interval": (endpoint.scrape_interval, times.interval),
        "timeout": (endpoint.scrape_timeout, times.timeout),
        "scrape_config": (dict(endpoint.scrape_config), dict(usual.scrape_config)),
    }
    return {name: own for name, (own, common) in pairs.items() if own != common}
