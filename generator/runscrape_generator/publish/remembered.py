"""Reading an inventory file: strict on its structure, lenient on the facts that it lacks.

The structure is what keeps targets alive, so a file that is not whole is no inventory at all.
Facts that an older version, or another program, did not write are made up from the rest.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runscrape_generator.model import Scope, Service

VERSION = 1


class CorruptError(ValueError):
    """The content is no inventory; the text says where and why, without quoting all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What an inventory file says."""

    scopes: Mapping[Scope, tuple[Service, ...]]
    jobs: frozenset[str] = frozenset()
    """The names of all jobs of kept services."""
    targets: frozenset[tuple[str, str, str]] = frozenset()
    """``(job, host:port, metrics path)`` of every endpoint of kept services."""
    audiences: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)
    """``PROJECT/REGION/NAME`` of every kept service, and what its tokens are made for."""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise CorruptError("not a string")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise CorruptError("not a list")
    return tuple(map(_text, value))


def _mapping(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise CorruptError("not an object")
    return {key: _text(item) for key, item in value.items()}


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise CorruptError("not a count")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise CorruptError("not true or false")
    return value


FACTS: Mapping[str, Callable[[Any], Any]] = {
    "uid": _text,
    "uri": _text,
    "urls": _texts,
    "custom_audiences": _texts,
    "labels": _mapping,
    "annotations": _mapping,
    "ingress": _text,
    "launch_stage": _text,
    "latest_ready_revision": _text,
    "min_instances": _count,
    "max_instances": _count,
    "invoker_iam_disabled": _flag,
    "default_uri_disabled": _flag,
    "iap_enabled": _flag,
}
"""The facts of ``model.Service`` that an entry holds, and how each is read."""


def parse(content: bytes) -> Inventory:
    """Read an inventory. Raises CorruptError for whatever is not one, whole."""
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"not JSON ({error})") from None
    if not isinstance(whole, dict) or whole.get("version") != VERSION:
        raise CorruptError(f"not an inventory of version {VERSION}")
    entries = whole.get("scopes")
    if not isinstance(entries, dict):
        raise CorruptError("'scopes' is not an object")
    scopes = {_scope(key): _services(key, value) for key, value in entries.items()}
    targets = frozenset(t for value in entries.values() for e in value for t in _targets(e))
    return Inventory(
        scopes=scopes,
        jobs=frozenset(job for job, _, _ in targets),
        targets=targets,
        audiences={
            f"{key}/{entry['name']}": frozenset(_audiences(entry))
            for key, value in entries.items()
            for entry in value
            if entry["state"] == "kept"
        },
    )


def _scope(key: str) -> Scope:
    project, slash, region = key.partition("/")
    if not (project and slash and region) or "/" in region:
        raise CorruptError(f"scope {key!r} is not PROJECT/REGION")
    return Scope(project, region)


def _services(key: str, entries: Any) -> tuple[Service, ...]:
    if not isinstance(entries, list):
        raise CorruptError(f"scope {key!r} is not a list")
    services = tuple(_service(key, number, entry) for number, entry in enumerate(entries, 1))
    if len({s.name for s in services}) != len(services):
        raise CorruptError(f"scope {key!r} has a service twice")
    return tuple(sorted(services, key=lambda s: s.name))


def _service(key: str, number: int, entry: Any) -> Service:
    where = f"scope {key!r}, service {number}"
    if not isinstance(entry, dict):
        raise CorruptError(f"{where}: not an object")
    _check(where, entry)
    if f"{entry['project']}/{entry['region']}" != key or not entry["name"]:
        raise CorruptError(f"{where}: belongs elsewhere")
    facts = {fact: _read(where, entry, fact, read) for fact, read in FACTS.items() if fact in entry}
    made_up = _made_up(entry) if entry["state"] == "kept" else {}
    return Service(
        name=entry["name"],
        project=entry["project"],
        region=entry["region"],
        **(made_up | facts),
    )


def _check(where: str, entry: dict[str, Any]) -> None:
    """Check what every entry has: its place, its state, and an endpoint if it is kept."""
    for field in ("name", "project", "region", "state"):
        _read(where, entry, field, _text)
    if entry["state"] not in {"kept", "skipped"}:
        raise CorruptError(f"{where}: state is neither kept nor skipped")
    if entry["state"] == "kept":
        for one in (entry, *_more_endpoints(where, entry)):
            for field in ("job", "scheme", "target", "metrics_path"):
                _read(where, one, field, _text)
            if one.get("audience") is not None:
                _read(where, one, "audience", _text)


def _more_endpoints(where: str, entry: dict[str, Any]) -> list[dict[str, Any]]:
    more = entry.get("endpoints", [])
    if not isinstance(more, list) or not all(isinstance(one, dict) for one in more):
        raise CorruptError(f"{where}: endpoints is not a list of objects")
    return more


def _read(where: str, entry: dict[str, Any], field: str, read: Callable[[Any], Any]) -> Any:
    try:
        return read(entry.get(field))
    except CorruptError as error:
        raise CorruptError(f"{where}: {field} is {error}") from None


def _made_up(entry: dict[str, Any]) -> dict[str, Any]:
    """Make up, for a kept service, the facts without which it would no longer be kept."""
    target, audience = entry["target"], entry.get("audience")
    usual = {"https": ":443", "http": ":80"}.get(entry["scheme"], "")
    uri = f"{entry['scheme']}://{target.removesuffix(usual)}"
    facts: dict[str, Any] = {"uri": uri, "urls": (uri,), "latest_ready_revision": "unknown"}
    if audience is None:
        facts["invoker_iam_disabled"] = True
    elif audience != uri:
        facts["custom_audiences"] = (audience,)
    return facts


def _audiences(entry: dict[str, Any]) -> Iterator[str]:
    for one in entry.get("endpoints") or [entry]:
        if one.get("audience") is not None:
            yield one["audience"]


def _targets(entry: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name the endpoints of an entry that has been checked."""
    if entry["state"] == "kept":
        for one in entry.get("endpoints") or [entry]:
            yield one["job"], one["target"], one["metrics_path"]
