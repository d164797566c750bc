"""A job as an entry of Prometheus' ``scrape_configs``: plain data, in the order it is written.

What these functions return is what is meant; the templates write it, and the check of
:mod:`runscrape_generator.render.formats` compares what it reads back with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from runscrape_generator.addresses import in_url
from runscrape_generator.config import durations, releases
from runscrape_generator.config.durations import DEFAULT_INTERVAL, DEFAULT_TIMEOUT
from runscrape_generator.config.settings import Format, Mode, Settings, TargetsFrom
from runscrape_generator.model import Job
from runscrape_generator.selection import naming
from runscrape_generator.selection.rules import merge, rule_for_all

UNUSED_SECRET = "unused"
"""Prometheus before 2.51 refuses an empty secret, and the proxy on loopback takes any."""

FALLBACK_PROTOCOL = "PrometheusText0.0.4"

_REFRESH_INTERVAL = "30s"
"""Prometheus 2 may miss a change of a target file right after a reload until it looks again."""

Data = dict[str, Any]


def scrape_configs(jobs: Iterable[Job], settings: Settings) -> list[Data]:
    """The entries for *jobs*; in gateway mode the one entry for all of them."""
    if settings.mode is Mode.GATEWAY:
        return [gateway(settings)]
    return [scrape_config(job, settings) for job in jobs]


def scrape_config(job: Job, settings: Settings) -> Data:
    """One job, with the rules' ``scrape_config`` merged in last."""
    own = job.shared
    data: Data = {"job_name": job.name}
    data |= _times(own.scrape_interval, own.scrape_timeout, settings)
    data |= {"scheme": own.scheme, "metrics_path": own.metrics_path}
    if own.params:
        data["params"] = {name: list(values) for name, values in own.params.items()}
    data["follow_redirects"] = False
    data |= _fallback(settings)
    if own.audience is not None:
        data["oauth2"] = oauth2(own.audience, settings)
    data["static_configs"] = [
        {"targets": [each.target], "labels": dict(each.labels)} for each in job.endpoints
    ]
    extra = dict(own.scrape_config)
    if own.audience is None:
        # Half an oauth2 block, as a rule for all services may bring, breaks the whole file.
        extra.pop("oauth2", None)
    return merge(data, extra)


def oauth2(audience: str, settings: Settings) -> Data:
    """How Prometheus asks the proxy for a token for *audience*."""
    return {
        "client_id": settings.client_id,
        **_secret("client_secret", settings),
        "token_url": settings.token_url,
        "endpoint_params": {"audience": audience},
    }


def gateway(settings: Settings) -> Data:
    """The one job whose targets come from a list and go through the proxy's gateway.

    The scheme is http because Prometheus then sends the proxy ``GET http://HOST/PATH`` in full,
    where it would ask for a tunnel with https; a target that says otherwise, because it was written
    for the other mode, is told so. Path, interval, timeout and parameters come with each target;
    the job label too, so that series are named as in the other mode.
    """
    extra = dict(rule_for_all(settings.rules).scrape_config)
    data: Data = {"job_name": naming.gateway(settings)}
    if settings.scrape_interval or settings.scrape_timeout:
        interval, timeout = both_times(settings.scrape_interval, settings.scrape_timeout)
        data |= {"scrape_interval": interval, "scrape_timeout": timeout}
    data |= {"scheme": "http", "follow_redirects": False}
    data |= _fallback(settings)
    data |= {
        "proxy_url": gateway_url(settings),
        "basic_auth": _basic_auth(settings),
        **_discovery(settings),
        "relabel_configs": [
            {"target_label": "__scheme__", "replacement": "http"},
            {"source_labels": ["__meta_cloudrun_job"], "target_label": "job"},
            *extra.pop("relabel_configs", []),
        ],
    }
    return merge(data, extra)


def _discovery(settings: Settings) -> Data:
    """Where the gateway's job finds its targets; vmagent sets how often by flags of its own."""
    vmagent = settings.format is Format.VMAGENT
    often: Data = {} if vmagent else {"refresh_interval": _REFRESH_INTERVAL}
    if settings.targets_from is TargetsFrom.FILE:
        return {"file_sd_configs": [{"files": [settings.targets_file], **often}]}
    login = {} if settings.client_secret_file is None else {"basic_auth": _basic_auth(settings)}
    return {"http_sd_configs": [{"url": f"{gateway_url(settings)}/targets", **often, **login}]}


def _basic_auth(settings: Settings) -> Data:
    return {"username": settings.client_id, **_secret("password", settings)}


def gateway_url(settings: Settings) -> str:
    """``--gateway-url``, or the scheme, host and port of ``--token-url``."""
    if settings.gateway_url is not None:
        return settings.gateway_url
    parts = urlsplit(settings.token_url)
    return f"{parts.scheme}://{parts.netloc}"


def proxy_config(settings: Settings) -> Data:
    """The proxy's own metrics, at the host of ``--token-url``."""
    parts = urlsplit(settings.token_url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    return {
        "job_name": "runscrape-proxy",
        "scheme": parts.scheme,
        "static_configs": [{"targets": [f"{in_url(parts.hostname or '')}:{port}"]}],
    }


def prometheus_config() -> Data:
    """Prometheus' own metrics, where it listens unless told otherwise."""
    return {"job_name": "prometheus", "static_configs": [{"targets": ["localhost:9090"]}]}


def has_global(settings: Settings) -> bool:
    """Whether the output has a ``global`` block of our own, which then holds the defaults."""
    own_file = settings.template is None and settings.into is None
    return settings.format is Format.PROMETHEUS and own_file


def global_times(settings: Settings) -> Data:
    """The interval and timeout that jobs have unless they say otherwise, where they are set."""
    return _given(settings.scrape_interval, settings.scrape_timeout)


def _times(interval: str | None, timeout: str | None, settings: Settings) -> Data:
    """A job's own times; the global ones too where the output has no place of its own for them.

    A timeout never goes without an interval: the reader's own default might be shorter than it,
    and Prometheus would refuse the whole file.
    """
    if not has_global(settings):
        interval = interval or settings.scrape_interval
        timeout = timeout or settings.scrape_timeout
        if timeout is not None:
            interval = interval or DEFAULT_INTERVAL
    return _given(interval, timeout)


def _given(interval: str | None, timeout: str | None) -> Data:
    times = {"scrape_interval": interval, "scrape_timeout": timeout}
    return {name: value for name, value in times.items() if value is not None}


def both_times(interval: str | None, timeout: str | None) -> tuple[str, str]:
    """Interval and timeout together: a timeout above the interval drops the target.

    What is not given is Prometheus' default; the timeout is never the longer one.
    """
    interval = interval or DEFAULT_INTERVAL
    return interval, min(timeout or DEFAULT_TIMEOUT, interval, key=durations.parse)


def _secret(name: str, settings: Settings) -> Data:
    """*name* itself, or *name*``_file``: the secret is read by Prometheus, never by us."""
    if settings.client_secret_file is None:
        return {name: UNUSED_SECRET}
    return {f"{name}_file": settings.client_secret_file}


def _fallback(settings: Settings) -> Data:
    """Prometheus 3 refuses a target without Content-Type unless told what to take it for."""
    if releases.prometheus(settings) >= (3, 0) and settings.format is not Format.VMAGENT:
        return {"fallback_scrape_protocol": FALLBACK_PROTOCOL}
    return {}
