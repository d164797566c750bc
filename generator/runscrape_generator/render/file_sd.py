"""Targets for ``file_sd_configs``: one group per endpoint, with labels for relabelling.

Every reader takes a group as ``{targets, labels}`` with string labels and nothing else, and a
label's name as ``[a-zA-Z_][a-zA-Z0-9_]*`` (Prometheus 2 refuses the whole file for another).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from runscrape_generator.config.settings import Mode, Settings
from runscrape_generator.config.unsupported import HISTOGRAM_FIELDS
from runscrape_generator.model import Decision, Endpoint, Service
from runscrape_generator.render.scrape_config import both_times

META = "__meta_cloudrun_"

_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_]")
_LONGEST_NAME = 500
"""Characters; far above what Google allows, and below the 1024 bytes of a key in YAML."""

TargetGroup = dict[str, list[str] | dict[str, str]]


def groups(decisions: Iterable[Decision], settings: Settings) -> list[TargetGroup]:
    """A group for each endpoint, in the order of the decisions and of a rule's endpoints."""
    return [_group(endpoint, settings) for decision in decisions for endpoint in decision.endpoints]


def _group(endpoint: Endpoint, settings: Settings) -> TargetGroup:
    through_gateway = settings.mode is Mode.GATEWAY
    target = _gateway_target(endpoint) if through_gateway else endpoint.target
    labels = {
        **endpoint.labels,
        "__scheme__": "http" if through_gateway else endpoint.scheme,
        "__metrics_path__": endpoint.metrics_path,
        **_times(
            endpoint.scrape_interval or settings.scrape_interval,
            endpoint.scrape_timeout or settings.scrape_timeout,
        ),
        **_histograms(endpoint),
        **_params(endpoint),
        META + "job": endpoint.job,
        META + "audience": endpoint.audience or "",
        **meta(endpoint.service),
    }
    # To Prometheus an empty label is one that is not there.
    return {"targets": [target], "labels": {k: v for k, v in labels.items() if v}}


def is_ours(group: object) -> bool:
    """Whether a group of a target file is one that :func:`groups` made."""
    labels = group.get("labels") if isinstance(group, dict) else None
    return isinstance(labels, dict) and f"{META}service" in labels


def _gateway_target(endpoint: Endpoint) -> str:
    """The host with port 80 for 443: what http without a port of its own means to a proxy."""
    host, _, port = endpoint.target.rpartition(":")
    return f"{host}:80" if port == "443" else endpoint.target


def target_labels(endpoint: Endpoint) -> dict[str, str]:
    """Give the labels that are the endpoint's own: no fact about its service, no general setting.

    The inventory has them, so that ``runscrape-proxy`` can serve the same targets.
    """
    times = _times(endpoint.scrape_interval, endpoint.scrape_timeout)
    return {**endpoint.labels, **times, **_histograms(endpoint), **_params(endpoint)}


def _times(interval: str | None, timeout: str | None) -> dict[str, str]:
    """Both or none: an interval below the job's own timeout would drop the target."""
    if interval is None and timeout is None:
        return {}
    interval, timeout = both_times(interval, timeout)
    return {"__scrape_interval__": interval, "__scrape_timeout__": timeout}


def _histograms(endpoint: Endpoint) -> dict[str, str]:
    """What a rule says of native histograms: Prometheus 3.13 reads these, others pass over them."""
    return {
        f"__{name}__": "true" if endpoint.scrape_config[name] else "false"
        for name in HISTOGRAM_FIELDS
        if name in endpoint.scrape_config
    }


def _params(endpoint: Endpoint) -> dict[str, str]:
    """One value each, as :mod:`runscrape_generator.config.unsupported` sees to."""
    return {"__param_" + name: values[0] for name, values in endpoint.params.items()}


def meta(service: Service) -> dict[str, str]:
    """The facts about *service*, as ``__meta_cloudrun_…``; empty where Google says nothing."""
    facts = {
        "project": service.project,
        "region": service.region,
        "service": service.name,
        "service_uid": service.uid,
        "url": service.uri,
        "urls": _listed(service.urls),
        "ingress": service.ingress,
        "launch_stage": service.launch_stage,
        "latest_ready_revision": service.latest_ready_revision,
        "min_instances": str(service.min_instances),
        "max_instances": str(service.max_instances),
        "invoker_iam_disabled": "true" if service.invoker_iam_disabled else "false",
    }
    labels = {META + name: value for name, value in facts.items()}
    labels |= _sanitized("label_", service.labels)
    labels |= _sanitized("annotation_", service.annotations)
    return labels


def _listed(values: Iterable[str]) -> str:
    """``,a,b,``: a regex finds ``,a,`` without knowing where in the list it stands."""
    joined = ",".join(values)
    return f",{joined}," if joined else ""


def _sanitized(kind: str, values: Mapping[str, str]) -> dict[str, str]:
    """A label for each of *values*, sorted.

    Of two keys that give the same name, one that needed no change wins, else the first in order.
    """
    labels: dict[str, str] = {}
    for key in sorted(values, key=lambda each: (bool(_NOT_IN_NAME.search(each)), each)):
        name = META + kind + _NOT_IN_NAME.sub("_", key)
        if len(name) <= _LONGEST_NAME:
            labels.setdefault(name, values[key])
    return dict(sorted(labels.items()))
