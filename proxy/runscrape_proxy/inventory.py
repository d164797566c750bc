"""The inventories that ``runscrape`` writes: the audiences that this proxy may mint for.

Each file is ``{"version": 1, "scopes": {"PROJECT/REGION": [service, …]}}``; of a service the proxy
reads ``state``, ``audience`` (null where the service is public) and ``endpoints``, a list of
mappings with an ``audience`` each; the gateway reads ``scheme``, ``target``, ``metrics_path``,
``token_header`` and ``app_credentials`` too.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from runscrape_proxy.files import WatchedFile
from runscrape_proxy.gateway import targets as gateway_targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

VERSION = 1

_BUSY_SECONDS: Final = 1.0
"""How long a request waits for another one's reading: a file system may hang."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one inventory file says, or several."""

    audiences: frozenset[str]
    services: int
    """How many services are kept."""
    targets: gateway_targets.Places = field(default_factory=dict)
    """Where the gateway may go."""


class Inventories:
    """All the inventory files, as one; each of them keeps its own last good list.

    ``value`` is None until one of them could be read. A place that is in several files is the
    first one's.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self.files = tuple(watch(path) for path in paths)
        self.value: Inventory | None = None
        self._lock = threading.Lock()

    @property
    def error(self) -> str:
        """Which files could not be read the last time and why, in one line; empty for none."""
        return "; ".join(f"{file.path}: {file.error}" for file in self.files if file.error)

    def refresh(self) -> bool:
        """Read again the files that changed; True if there is a new ``value``.

        Takes microseconds where none did, so that a request may ask for it. Whoever comes while
        another one reads waits for that, but not for long.
        """
        if not self._lock.acquire(timeout=_BUSY_SECONDS):
            return False
        try:
            changed = [file for file in self.files if file.refresh()]
            if changed:
                self.value = _union(file.value for file in self.files if file.value is not None)
            return bool(changed)
        finally:
            self._lock.release()


def _union(parts: Iterable[Inventory]) -> Inventory:
    audiences: set[str] = set()
    services = 0
    targets: gateway_targets.Places = {}
    for part in parts:
        audiences |= part.audiences
        services += part.services
        for place, by_path in part.targets.items():
            targets[place] = by_path | targets.get(place, {})
    return Inventory(audiences=frozenset(audiences), services=services, targets=targets)


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
