"""The inventories that ``runscrape`` writes: the audiences that this proxy may mint for.

Each file is ``{"version": 1, "scopes": {"PROJECT/REGION": [service, …]}}``; of a service the proxy
reads ``state`` and, where that is ``kept``, ``audience`` (null where the service is public) and the
rest of an :class:`Endpoint`. A service with several endpoints lists them in ``endpoints``, each
with the same fields.

The structure and the types of what is read are checked strictly, by hand: there is little of it,
and the message has to name the place. Fields that are not read may be anything, so that a newer
generator can add some.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from runscrape_proxy.files import WatchedFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

VERSION = 1

_BUSY_SECONDS: Final = 1.0
"""How long a request waits for another one's reading: a file system may hang."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One place to scrape, as the inventory names it; None for what it does not say."""

    audience: str | None = None
    scheme: str | None = None
    target: str | None = None
    """``HOST:PORT``."""
    metrics_path: str | None = None
    token_header: str | None = None
    app_credentials: str | None = None
    urls: tuple[str, ...] = ()
    """Every URL that Google serves the service at, ``https://HOST`` each."""


FIELDS: Final = tuple(name for name in Endpoint.__annotations__ if name != "urls")


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one inventory file says, or several."""

    audiences: frozenset[str]
    services: int
    """How many services are kept."""
    endpoints: tuple[Endpoint, ...] = ()
    """Those of the kept services, in the order of the files."""


class Inventories:
    """All the inventory files, as one; each of them keeps its own last good list.

    ``value`` is None until one of them could be read.
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
                self.value = _union([file.value for file in self.files if file.value is not None])
            return bool(changed)
        finally:
            self._lock.release()


def _union(parts: list[Inventory]) -> Inventory:
    if len(parts) == 1:
        return parts[0]
    return Inventory(
        audiences=frozenset().union(*(part.audiences for part in parts)),
        services=sum(part.services for part in parts),
        endpoints=tuple(endpoint for part in parts for endpoint in part.endpoints),
    )


def watch(path: Path) -> WatchedFile[Inventory]:
    """Return the inventory at ``path``, which is read when it is first refreshed."""
    return WatchedFile(path, parse, what="inventory")


def parse(content: bytes) -> Inventory:
    """Read one inventory file. Raises ValueError that says where it is wrong."""
    document = _object(json.loads(content), "the file")
    if document.get("version") != VERSION or isinstance(document["version"], bool):
        raise ValueError(f"version is not {VERSION}: written by another runscrape?")
    audiences = set[str]()
    endpoints: list[Endpoint] = []
    kept = 0
    for where, service in _kept(document):
        kept += 1
        urls = _urls(service, where)
        own = _endpoint(service, urls, where)
        # What the service says itself is the first of those that are listed.
        listed = [_endpoint(each, urls, where) for each in _listed(service, where)]
        audiences.update(each.audience for each in (own, *listed) if each.audience is not None)
        endpoints += listed or [own]
    return Inventory(frozenset(audiences), kept, tuple(endpoints))


def _kept(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each kept service, and where it stands."""
    for scope, services in _object(document.get("scopes"), "scopes").items():
        for number, entry in enumerate(_list(services, f"scopes: {scope}")):
            where = f"scopes: {scope}: service {number + 1}"
            service = _object(entry, where)
            if not isinstance(service.get("state"), str):
                raise ValueError(f"{where}: state is missing")  # noqa: TRY004  one kind for a bad file
            if service["state"] == "kept":
                yield where, service


def _listed(service: dict[str, Any], where: str) -> list[dict[str, Any]]:
    endpoints = _list(service.get("endpoints", []), f"{where}: endpoints")
    return [_object(each, f"{where}: endpoints") for each in endpoints]


def _urls(service: dict[str, Any], where: str) -> tuple[str, ...]:
    urls = _list(service.get("urls", []), f"{where}: urls")
    if not all(map(_is_line, urls)):
        raise ValueError(f"{where}: urls has what is not a line of text")
    return tuple(urls)


def _endpoint(entry: dict[str, Any], urls: tuple[str, ...], where: str) -> Endpoint:
    fields = {name: entry.get(name) for name in FIELDS}
    for name, value in fields.items():
        if value is not None and not _is_line(value):
            raise ValueError(f"{where}: {name} is not a line of text")
    return Endpoint(**fields, urls=urls)


def _is_line(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and bool(value.strip())


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is not an object")  # noqa: TRY004  one kind for a bad file
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{where} is not a list")  # noqa: TRY004  one kind for a bad file
    return value
