"""``GET /targets``: the inventory for ``http_sd_configs``, as ``runscrape targets`` writes it.

A Prometheus that scrapes through the gateway needs no file then that it shares with the generator.
The format is Prometheus' (https://prometheus.io/docs/prometheus/latest/http_sd/): a list of groups
of ``targets`` and string ``labels``, in which a label's name is ``[a-zA-Z_][a-zA-Z0-9_]*``.
"""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscrape_proxy.inventory import Endpoint, Inventory, Service

log = logging.getLogger(__name__)

META: Final = "__meta_cloudrun_"

_TEXTS: Final = ("ingress", "launch_stage", "latest_ready_revision")
_COUNTS: Final = ("min_instances", "max_instances")
_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_NOT_IN_NAME: Final = re.compile(r"[^a-zA-Z0-9_]")
_LONGEST_NAME: Final = 500

_SHOWN: Final = 3
"""Of the endpoints that are left out, how many the log names."""


def as_json(inventory: Inventory) -> bytes:
    """A group for each endpoint of the kept services, in the order of the inventory.

    Prometheus drops the whole list for one label that is none to it, and the job of a service may
    have a parameter that no label can stand for (``match[]``): such an endpoint is left out.
    """
    groups: list[dict[str, Any]] = []
    left_out: list[str] = []
    for service in inventory.kept:
        for endpoint in service.endpoints:
            bad = next((name for name in endpoint.target_labels if not _NAME.fullmatch(name)), None)
            if bad is not None:
                left_out.append(f"{bad!r} of {service.id}")
            elif endpoint.target:
                groups.append(_group(service, endpoint))
    if left_out:
        log.warning(
            "GET /targets leaves %d endpoints out whose labels Prometheus does not take: %s",
            len(left_out),
            ", ".join(left_out[:_SHOWN]) + (" …" if len(left_out) > _SHOWN else ""),
        )
    return json.dumps(groups).encode()


def _group(service: Service, endpoint: Endpoint) -> dict[str, Any]:
    labels = {
        **endpoint.target_labels,
        "__scheme__": "http",
        "__metrics_path__": endpoint.metrics_path or "",
        META + "job": endpoint.job or "",
        META + "audience": endpoint.audience or "",
        **_meta(service),
    }
    # To Prometheus an empty label is one that is not there.
    named = {name: value for name, value in labels.items() if value}
    return {"targets": [_target(endpoint.target or "")], "labels": named}


def _target(target: str) -> str:
    """The host with port 80 for 443: what http without a port of its own means to a proxy."""
    host, _, port = target.rpartition(":")
    return f"{host}:80" if port == "443" else target


def _meta(service: Service) -> dict[str, str]:
    """The facts about a service, as far as the inventory has them."""
    facts = service.facts
    urls = facts.get("urls")
    told = {
        "project": service.project,
        "region": service.region,
        "service": service.name,
        "service_uid": _text(facts.get("uid")),
        "url": _text(facts.get("uri")),
        "urls": _listed(urls if isinstance(urls, list) else []),
        **{name: _text(facts.get(name)) for name in _TEXTS},
        **{name: _count(facts.get(name)) for name in _COUNTS},
        "invoker_iam_disabled": "true" if facts.get("invoker_iam_disabled") is True else "false",
    }
    labels = {META + name: value for name, value in told.items()}
    for kind in ("label", "annotation"):
        labels |= _sanitized(f"{kind}_", facts.get(f"{kind}s"))
    return labels


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> str:
    return str(value) if isinstance(value, int) else ""


def _listed(values: Iterable[object]) -> str:
    """``,a,b,``: a regex finds ``,a,`` without knowing where in the list it stands."""
    joined = ",".join(value for value in values if isinstance(value, str))
    return f",{joined}," if joined else ""


def _sanitized(kind: str, given: object) -> dict[str, str]:
    """A label for each of the service's labels or annotations.

    Of two keys that give the same name, one that needed no change wins, else the first in order.
    """
    values = given if isinstance(given, dict) else {}
    labels: dict[str, str] = {}
    for key in sorted(values, key=lambda each: (bool(_NOT_IN_NAME.search(each)), each)):
        name = META + kind + _NOT_IN_NAME.sub("_", key)
        if len(name) <= _LONGEST_NAME and isinstance(values[key], str):
            labels.setdefault(name, values[key])
    return labels
