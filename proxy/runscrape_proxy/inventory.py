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
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from runscrape_proxy.files import MEBIBYTE, WatchedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

T = TypeVar("T")

VERSION = 1

MAX_BYTES: Final = 256 * MEBIBYTE
"""The inventory of 100,000 services has about half of that."""

_LINE: Final = re.compile(r"(?! *\Z)[^\x00-\x1f\x7f\ud800-\udfff]+")
"""Whatever runscrape takes for an audience or a path: a service may name one with characters that
nobody sees, and the file is read whole or not at all."""

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
    job: str | None = None
    target_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of the target beside the facts about its service, ``__scrape_interval__`` and
    ``__param_…`` among them."""


LINES: Final = (
    "audience",
    "scheme",
    "target",
    "metrics_path",
    "token_header",
    "app_credentials",
    "job",
)
"""The fields of an endpoint that are a line of text each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A kept service: where it is, and what tokens for it are made for."""

    project: str
    region: str
    name: str
    audience: str | None
    endpoints: tuple[Endpoint, ...]
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What Google says of it, as the inventory has it: any JSON, not checked."""

    @property
    def id(self) -> str:
        """``PROJECT/REGION/NAME``."""
        return f"{self.project}/{self.region}/{self.name}"

    @property
    def urls(self) -> tuple[str, ...]:
        """Its own URLs; those of its tags are not among them."""
        urls = self.facts.get("urls")
        named = [self.facts.get("uri"), *(urls if isinstance(urls, list) else ())]
        return tuple(url for url in named if isinstance(url, str))


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one inventory file says, or several."""

    audiences: frozenset[str]
    kept: tuple[Service, ...]
    """The kept services, in the order of the files."""

    @property
    def endpoints(self) -> Iterator[Endpoint]:
        """Those of the kept services."""
        return (endpoint for service in self.kept for endpoint in service.endpoints)


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


class OncePerInventory(Generic[T]):
    """What ``make`` makes of an inventory, once for each: of a large one it takes long."""

    def __init__(self, make: Callable[[Inventory], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: tuple[Inventory, T] | None = None

    def of(self, inventory: Inventory) -> T:
        """Give what is made of ``inventory``. Whoever comes while it is made waits for it."""
        made = self._made
        if made is None or made[0] is not inventory:
            with self._lock:
                made = self._made
                if made is None or made[0] is not inventory:
                    made = self._made = inventory, self._make(inventory)
        return made[1]


def _union(parts: list[Inventory]) -> Inventory:
    if len(parts) == 1:
        return parts[0]
    return Inventory(
        audiences=frozenset().union(*(part.audiences for part in parts)),
        kept=tuple(service for part in parts for service in part.kept),
    )


def watch(path: Path) -> WatchedFile[Inventory]:
    """Return the inventory at ``path``, which is read when it is first refreshed."""
    return WatchedFile(path, parse, what="inventory", limit=MAX_BYTES)


def parse(content: bytes) -> Inventory:
    """Read one inventory file. Raises ValueError that says where it is wrong."""
    document = _object(json.loads(content), "the file")
    if document.get("version") != VERSION or isinstance(document["version"], bool):
        raise ValueError(f"version is not {VERSION}: written by another runscrape?")
    audiences = set[str]()
    kept: list[Service] = []
    for where, entry in _kept(document):
        urls = _urls(entry, where)
        own = _endpoint(entry, urls, where)
        # What the service says itself is the first of those that are listed.
        listed = [_endpoint(each, urls, where) for each in _listed(entry, where)]
        audiences.update(each.audience for each in (own, *listed) if each.audience is not None)
        project, region, name = (str(entry.get(part, "")) for part in ("project", "region", "name"))
        kept.append(
            Service(
                project=project,
                region=region,
                name=name,
                audience=own.audience,
                endpoints=tuple(listed or [own]),
                facts=entry,
            )
        )
    return Inventory(frozenset(audiences), tuple(kept))


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
    lines = {name: entry.get(name) for name in LINES}
    for name, value in lines.items():
        if value is not None and not _is_line(value):
            raise ValueError(f"{where}: {name} is not a line of text")
    labels = _object(entry.get("target_labels", {}), f"{where}: target_labels")
    if not all(isinstance(value, str) for value in labels.values()):
        raise ValueError(f"{where}: target_labels are not texts")
    return Endpoint(**lines, urls=urls, target_labels=labels)


def _is_line(value: object) -> bool:
    return isinstance(value, str) and _LINE.fullmatch(value) is not None


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is not an object")  # noqa: TRY004  one kind for a bad file
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{where} is not a list")  # noqa: TRY004  one kind for a bad file
    return value
