"""The inventory that ``runscrape`` writes: the audiences that this proxy may mint for.

The file is ``{"version": 1, "scopes": {"PROJECT/REGION": [service, …]}}``; of a service the proxy
reads ``state``, ``audience`` (null where the service is public) and ``endpoints``, a list of
mappings with an ``audience`` each; the gateway reads ``scheme``, ``target``, ``metrics_path`` and
``token_header`` too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runscrape_proxy import gateway_targets
from runscrape_proxy.watched import WatchedFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION = 1


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one inventory file says."""

    audiences: frozenset[str]
    services: int
    """How many services are kept."""
    targets: gateway_targets.Places = field(default_factory=dict)
    """Where the gateway may go."""


def watch(path: Path) -> WatchedFile[Inventory]:
    """Return the inventory at ``path``, which is read when it is first refreshed."""
    return WatchedFile(path, parse, what="inventory")


def parse(content: bytes) -> Inventory:
    """Read one inventory file. Raises ValueError that says where it is wrong."""
    document = _mapping(json.loads(content), "the file")
    if document.get("version") != VERSION or isinstance(document["version"], bool):
        raise ValueError(f"version is not {VERSION}: written by another runscrape?")
    kept = list(_kept(document))
    audiences = frozenset(
        audience for where, service in kept for audience in _audiences(service, where)
    )
    endpoints = [entry for where, service in kept for entry in _endpoints(service, where)]
    targets = gateway_targets.collect(endpoints)
    return Inventory(audiences=audiences, services=len(kept), targets=targets)


def _kept(document: dict[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    for scope, services in _mapping(document.get("scopes"), "scopes").items():
        for number, entry in enumerate(_list(services, f"scopes: {scope}")):
            where = f"scopes: {scope}: service {number + 1}"
            service = _mapping(entry, where)
            if not isinstance(service.get("state"), str):
                raise ValueError(f"{where}: state is missing")  # noqa: TRY004  as below
            if service["state"] == "kept":
                yield where, service


def _audiences(service: dict[str, object], where: str) -> Iterator[str]:
    for entry in [service, *_more_endpoints(service, where)]:
        audience = entry.get("audience")
        if audience is None:
            continue
        if not isinstance(audience, str) or not audience.isprintable() or not audience.strip():
            raise ValueError(f"{where}: audience is not a line of text")
        yield audience


def _endpoints(service: dict[str, object], where: str) -> list[dict[str, object]]:
    """Give all that the service has; where they are listed, what it says itself is the first."""
    return _more_endpoints(service, where) or [service]


def _more_endpoints(service: dict[str, object], where: str) -> list[dict[str, object]]:
    endpoints = _list(service.get("endpoints", []), f"{where}: endpoints")
    return [_mapping(item, f"{where}: endpoints") for item in endpoints]


def _mapping(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is not an object")  # noqa: TRY004  one kind for a bad file
    return value


def _list(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"{where} is not a list")  # noqa: TRY004  one kind for a bad file
    return value
