"""The inventory: what existed at the last run, and what each service's token is made for.

One JSON file, ``{"version": 1, "scopes": {"PROJECT/REGION": [service, …]}}``, with a line for each
service, so that ``grep`` and ``diff`` show services: the last known good of the generator, for
scopes that Google does not list, and the proxy's list of audiences. Only its facts are used here;
what becomes of a service is decided anew, by the settings in force. Reading is in
:mod:`runscrape_generator.publish.remembered`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

from runscrape_generator.model import Decision, Endpoint, Scope
from runscrape_generator.publish.remembered import FACTS, VERSION, CorruptError, Inventory, parse
from runscrape_generator.render.file_sd import target_labels

log = logging.getLogger(__name__)

__all__ = ["Inventory", "load", "render"]

MAX_BYTES = 128 * 1024 * 1024
"""Ten times the inventory of 10,000 services: what is larger is something else."""

_in_order = attrgetter("project", "region", "name")


def load(path: Path) -> Inventory | None:
    """Read an inventory; None where there is none, or none that can be used (with a warning)."""
    try:
        return parse(_content(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        why = error.strerror or str(error)
    except CorruptError as error:
        why = str(error)
    log.warning(
        f"inventory {path} cannot be used: {why}; "
        f"until it is written anew, nothing stands in for what Google does not list"
    )
    return None


def _content(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise CorruptError("not a regular file")
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise CorruptError(f"larger than {MAX_BYTES} bytes")
    return content


def render(decisions: Iterable[Decision], scopes: Iterable[Scope]) -> str:
    """Write an inventory of these scopes; a pure function, independent of the order given.

    Every decision's service belongs to one of the scopes, or a scope is made for it.
    """
    content: dict[str, list[str]] = {scope.key: [] for scope in scopes}
    for decision in sorted(decisions, key=lambda d: _in_order(d.service)):
        content.setdefault(decision.service.scope.key, []).append(_in_json(_entry(decision)))
    listed = _lines((f"{_in_json(key)}: [{_lines(content[key], 3)}]" for key in sorted(content)), 2)
    return f'{{\n  "scopes": {{{listed}}},\n  "version": {VERSION}\n}}\n'


_in_json = json.JSONEncoder(sort_keys=True).encode
"""On one line: ``indent`` would be in pure Python, ten times as slow."""


def _lines(items: Iterable[str], depth: int) -> str:
    """Write the items of a JSON object or list on lines of their own; nothing where none are."""
    pad = "\n" + "  " * depth
    text = f",{pad}".join(items)
    return f"{pad}{text}{pad[:-2]}" if text else ""


def _entry(decision: Decision) -> dict[str, Any]:
    """Write one service: where it is, what became of it, and the facts to decide by again."""
    service, endpoints = decision.service, decision.endpoints
    entry: dict[str, Any] = {field: getattr(service, field) for field in _PLACE}
    entry["state"] = "kept" if decision.kept else "skipped"
    if not decision.kept:
        entry["reason"] = decision.reason
    entry |= _endpoint(endpoints[0]) if endpoints else dict.fromkeys(_ENDPOINT)
    if len(endpoints) > 1 or any(e.token_header != "Authorization" for e in endpoints):
        entry["endpoints"] = [_endpoint(e) | _headers(e) for e in endpoints]
    return entry | {fact: _plain(getattr(service, fact)) for fact in FACTS}


_PLACE = ("name", "project", "region")
_ENDPOINT = ("job", "audience", "scheme", "target", "metrics_path")


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    entry: dict[str, Any] = {field: getattr(endpoint, field) for field in _ENDPOINT}
    return entry | {"target_labels": target_labels(endpoint)}


def _headers(endpoint: Endpoint) -> dict[str, str]:
    """What the gateway sends: the token's header, and the name of the file for the app's own."""
    own = endpoint.app_credentials
    return {"token_header": endpoint.token_header} | ({"app_credentials": own} if own else {})


def _plain(value: Any) -> Any:
    """Make JSON's types of tuples and read-only mappings."""
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value
