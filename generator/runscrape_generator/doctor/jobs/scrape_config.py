"""One entry of ``scrape_configs`` and what it finds, made into targets as Prometheus makes them.

https://prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from requests.utils import get_environ_proxies, select_proxy, should_bypass_proxies

from runscrape_generator.addresses import without_secrets
from runscrape_generator.config import durations
from runscrape_generator.doctor.causes import Fault
from runscrape_generator.doctor.http.connection import is_url
from runscrape_generator.doctor.jobs.relabel import relabel
from runscrape_generator.doctor.scrape import PROMETHEUS_3
from runscrape_generator.doctor.targets import (
    Credentials,
    Limits,
    Secret,
    SecretSource,
    Target,
    TokenRequest,
    Transport,
)
from runscrape_generator.text import show

INTERVAL, TIMEOUT = "1m", "10s"
"""Prometheus' own defaults."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGTPE]?)i?B")
"""A part of a size. ``KB`` is ``KiB``: 1024 bytes."""

_PATH = "$&+,/:;=@~"
"""What Go leaves as it is in a path, besides letters, digits and ``-_.``."""

Data = Mapping[str, Any]
TargetGroup = tuple[Iterable[str], Mapping[str, str]]
"""Addresses, and the labels that they share."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for all jobs of a file: where relative paths begin, the ``global`` block."""

    folder: Path
    interval: str = INTERVAL
    timeout: str = TIMEOUT
    version: tuple[int, int] = (2, 42)
    """Of the Prometheus whose targets these are."""

    def path(self, value: object) -> Path | None:
        """Resolve a path of the configuration; None where there is none."""
        return self.folder / str(value) if value else None


def targets(job: Data, groups: Iterable[TargetGroup], defaults: Defaults) -> Iterator[Target]:
    """Make the targets of a job out of what its service discovery gives.

    Raises ValueError for what Prometheus would refuse.
    """
    base = _base(job, defaults)
    relabel({}, base.metric_relabel)  # for what is wrong with them
    for addresses, labels in groups:
        for address in addresses:
            target = _target(base, job, {**labels, "__address__": str(address)}, defaults)
            if target is not None:
                yield target


def transport(data: Data, defaults: Defaults, url: str = "") -> Transport:
    """Read how a job, or its ``oauth2`` block, gets to a URL: ``tls_config`` and its proxy."""
    tls: Data = data.get("tls_config") or {}
    return Transport(
        ca_file=defaults.path(tls.get("ca_file")),
        ca=str(tls.get("ca") or ""),
        cert_file=defaults.path(tls.get("cert_file")),
        key_file=defaults.path(tls.get("key_file")),
        server_name=str(tls.get("server_name") or ""),
        insecure=flag(tls, "insecure_skip_verify", default=False),
        proxy_url=proxy_for(data, url) if url else "",
    )


def token_request(data: Data, defaults: Defaults) -> TokenRequest:
    """Read an ``oauth2`` block."""
    return TokenRequest(
        url=str(data.get("token_url") or ""),
        client_id=str(data.get("client_id") or ""),
        secret=secret(data, "client_secret", defaults),
        params=tuple((str(k), str(v)) for k, v in (data.get("endpoint_params") or {}).items()),
        scopes=tuple(map(str, data.get("scopes") or ())),
        transport=transport(data, defaults, str(data.get("token_url") or "")),
    )


def secret(data: Data, name: str, defaults: Defaults) -> SecretSource:
    """Read *name* or *name*``_file``."""
    return SecretSource(Secret(data.get(name) or ""), defaults.path(data.get(f"{name}_file")))


def credentials(data: Data, defaults: Defaults) -> Credentials | None:
    """Read ``basic_auth`` or ``authorization``; None where a job has neither."""
    if basic := data.get("basic_auth"):
        user, password = (secret(basic, name, defaults) for name in ("username", "password"))
        return Credentials(username=user, secret=password)
    if other := data.get("authorization"):
        scheme = str(other.get("type") or "Bearer")
        return Credentials(scheme=scheme, secret=secret(other, "credentials", defaults))
    return None


def _base(job: Data, defaults: Defaults) -> Target:
    """Read what all targets of a job share."""
    oauth2 = job.get("oauth2")
    return Target(
        job=str(job.get("job_name") or ""),
        token=token_request(oauth2, defaults) if oauth2 else None,
        credentials=credentials(job, defaults),
        transport=transport(job, defaults),
        limits=Limits(
            samples=_limit(job, "sample_limit"),
            body_bytes=size(job.get("body_size_limit")),
            labels=_limit(job, "label_limit"),
            label_name=_limit(job, "label_name_length_limit"),
            label_value=_limit(job, "label_value_length_limit"),
        ),
        honor_labels=flag(job, "honor_labels", default=False),
        honor_timestamps=flag(job, "honor_timestamps", default=True),
        compression=flag(job, "enable_compression", default=True),
        follow_redirects=flag(job, "follow_redirects", default=True),
        protocols=tuple(map(str, job.get("scrape_protocols") or ())),
        fallback=str(job.get("fallback_scrape_protocol") or ""),
        metric_relabel=tuple(job.get("metric_relabel_configs") or ()),
        headers={
            str(name): _header(given, defaults)
            for name, given in (job.get("http_headers") or {}).items()
        },
    )


def flag(data: Data, name: str, *, default: bool) -> bool:
    """Read a boolean in each of the forms that YAML 1.1, and so Prometheus, knows."""
    value = str(data.get(name, default)).lower()
    return value in {"true", "yes", "on", "y"} if value else default


def _header(data: Data, defaults: Defaults) -> tuple[SecretSource, ...]:
    """Read the values of one of ``http_headers``."""
    said = [*(data.get("values") or ()), *(data.get("secrets") or ())]
    files = [SecretSource(file=defaults.path(each)) for each in data.get("files") or ()]
    return (*(SecretSource(Secret(each)) for each in said), *files)


def _limit(data: Data, name: str) -> int:
    """Read a number of things; 0 for no limit."""
    value = str(data.get(name) or 0)
    try:
        number = int(value)
    except ValueError:
        number = -1
    if number < 0:
        raise ValueError(f"{name}: {show(value)} is no whole number")
    return number


def size(value: object) -> int:
    """Read a size such as ``10MB`` or ``1KiB512B`` in bytes; 0 for none."""
    text = str(value or "0")
    if text == "0":
        return 0
    if _SIZE.sub("", text):
        raise ValueError(f"body_size_limit: {show(text)} is no size such as 10MB")
    parts = _SIZE.findall(text)
    return int(sum(float(number) * 1024 ** " KMGTPE".index(unit or " ") for number, unit in parts))


def _target(base: Target, job: Data, found: Mapping[str, str], defaults: Defaults) -> Target | None:
    """Make one target; None where relabelling drops it."""
    interval = str(job.get("scrape_interval") or defaults.interval)
    timeout = str(job.get("scrape_timeout") or _shorter(defaults.timeout, interval))
    params = job.get("params") or {}
    firsts = {f"__param_{name}": _first(values) for name, values in params.items()}
    said = {str(name): str(value) for name, value in found.items()}
    meta = {
        "job": base.job,
        "__scheme__": str(job.get("scheme") or "http"),
        "__metrics_path__": str(job.get("metrics_path") or "/metrics"),
        "__scrape_interval__": interval,
        "__scrape_timeout__": timeout,
        **(firsts | said if defaults.version >= PROMETHEUS_3 else said | firsts),
    }
    labels = relabel(meta, job.get("relabel_configs") or ())
    if labels is None or not labels.get("__address__"):
        return None
    shown = {name: value for name, value in labels.items() if not name.startswith("__")}
    address = labels["__address__"]
    if defaults.version < PROMETHEUS_3:
        address = _with_port(address, labels.get("__scheme__", "http"))
    shown.setdefault("instance", _without_login(address))
    made = dataclasses.replace(base, job=shown.get("job", base.job), labels=shown, meta=meta)
    if problem := _address_problem(labels["__address__"]) or _timing_problem(labels):
        return dataclasses.replace(made, problem=problem)
    seconds = durations.parse(labels["__scrape_timeout__"])
    url = _url(address, labels, params)
    transport = dataclasses.replace(base.transport, proxy_url=proxy_for(job, url))
    return dataclasses.replace(made, url=url, timeout=seconds, transport=transport)


def proxy_for(data: Data, url: str) -> str:
    """Give the HTTP proxy for a URL: ``proxy_url``, ``no_proxy``, ``proxy_from_environment``."""
    if flag(data, "proxy_from_environment", default=False):
        return select_proxy(url, get_environ_proxies(url)) or ""
    proxy, excepted = str(data.get("proxy_url") or ""), str(data.get("no_proxy") or "")
    return "" if excepted and should_bypass_proxies(url, no_proxy=excepted) else proxy


def _first(values: object) -> str:
    return str(values[0]) if isinstance(values, list) and values else ""


def _shorter(one: str, other: str) -> str:
    return one if durations.parse(one) <= durations.parse(other) else other


def _with_port(address: str, scheme: str) -> str:
    """Add the scheme's port, as Prometheus 2 does."""
    if re.search(r":\d+$", address):
        return address
    return f"{address}:{443 if scheme == 'https' else 80}"


def _address_problem(address: str) -> Fault | None:
    """Say why Prometheus refuses an address: a URL, say, or one with a path."""
    if not re.search(r"[/?#@\s]", address) and is_url(f"http://{address}"):
        return None
    return Fault("bad-address", show(_without_login(address)))


def _without_login(address: str) -> str:
    """Leave out the user and the password that somebody put before a host, or into a URL."""
    return without_secrets(address) if "://" in address else re.sub(r"^[^/?#]*@", "", address)


def _timing_problem(labels: Mapping[str, str]) -> Fault | None:
    """Say why Prometheus drops a target for its times; None where it does not."""
    interval, timeout = labels.get("__scrape_interval__", ""), labels.get("__scrape_timeout__", "")
    try:
        if 0 < durations.parse(timeout) <= durations.parse(interval):
            return None
        if not durations.parse(timeout):
            return Fault("dropped", "the scrape timeout is 0")
        detail = f"the scrape timeout {timeout} is longer than the interval {interval}"
    except ValueError as error:
        detail = str(error)
    return Fault("dropped", detail)


def _url(address: str, labels: Mapping[str, str], params: Mapping[str, Any]) -> str:
    """Put the URL together: the job's parameters, the first of each by the target's label."""
    query = {str(name): [str(v) for v in values] for name, values in params.items()}
    for label, value in labels.items():
        if label.startswith("__param_"):
            name = label.removeprefix("__param_")
            query[name] = [value, *query.get(name, [])[1:]]
    text = urlencode([(name, v) for name in sorted(query) for v in query[name]])
    path = labels.get("__metrics_path__", "")
    path = quote(f"/{path}" if path and not path.startswith("/") else path, safe=_PATH)
    return f"{labels.get('__scheme__', '')}://{address}{path}" + (f"?{text}" if text else "")
