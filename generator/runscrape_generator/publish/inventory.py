"""The inventory: what existed at the last run, and what each service's token is made for.

One JSON file, ``{"version": 1, "scopes": {"PROJECT/REGION": [service, …]}}``, with a line for each
service, so that ``grep`` and ``diff`` show services: the last known good of the generator, for
scopes that Google does not list, and the proxy's list of audiences. Only its facts are used here;
what becomes of a service is decided anew, by the settings in force.

Reading is strict on the structure, which keeps targets alive: a file that is not whole is no
inventory at all. Facts that an older version, or another program, did not write are made up.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, cast

from pydantic import AfterValidator, BaseModel, Field, NonNegativeInt, ValidationError

from runscrape_generator.model import Decision, Endpoint, Scope, Service
from runscrape_generator.publish.files import MAX_BYTES
from runscrape_generator.publish.guard import Target
from runscrape_generator.regular_file import read_regular
from runscrape_generator.render.file_sd import target_labels

log = logging.getLogger(__name__)

VERSION = 1

_PLACE = ("name", "project", "region")
_ENDPOINT = ("job", "audience", "scheme", "target", "metrics_path")


class CorruptError(ValueError):
    """The content is no inventory; the text says where and why, without quoting all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What an inventory file says."""

    scopes: Mapping[Scope, tuple[Service, ...]]
    targets: frozenset[Target]
    """Every endpoint of the services that were kept."""


def load(path: Path) -> Inventory | None:
    """Read an inventory; None where there is none, or none that can be used (with a warning)."""
    try:
        return parse(read_regular(path, MAX_BYTES))
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


class _Endpoint(BaseModel, strict=True):
    job: str
    audience: str | None = None
    scheme: str
    target: str
    metrics_path: str


class _Facts(BaseModel, strict=True):
    """What Google says of a service, named as in :class:`runscrape_generator.model.Service`."""

    uid: str = ""
    uri: str = ""
    urls: tuple[str, ...] = ()
    custom_audiences: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    ingress: str = "all"
    launch_stage: str = "GA"
    latest_ready_revision: str = ""
    min_instances: NonNegativeInt = 0
    max_instances: NonNegativeInt = 0
    manual_instances: NonNegativeInt | None = None
    invoker_iam_disabled: bool = False
    default_uri_disabled: bool = False
    iap_enabled: bool = False


FACTS = tuple(_Facts.model_fields)
"""The facts of a service that an entry holds."""


class _Place(BaseModel, strict=True):
    name: str = Field(min_length=1)
    project: str
    region: str


class _Kept(_Place, _Endpoint, _Facts):
    state: Literal["kept"]
    endpoints: tuple[_Endpoint, ...] = ()
    """Empty: the entry's own fields are the only one."""


class _Skipped(_Place, _Facts):
    state: Literal["skipped"]


class _Read(NamedTuple):
    """What is kept of an entry: of 10,000 the models themselves would be 40 MB."""

    service: Service
    targets: tuple[Target, ...]


def _read(entry: _Kept | _Skipped) -> _Read:
    if entry.state == "skipped":
        return _Read(_service(entry), ())
    endpoints = entry.endpoints or (entry,)
    return _Read(_service(entry), tuple((e.job, e.target, e.metrics_path) for e in endpoints))


_Entry = Annotated[_Kept | _Skipped, Field(discriminator="state")]


class _File(BaseModel, strict=True):
    version: Literal[1]
    scopes: dict[str, list[Annotated[_Entry, AfterValidator(_read)]]]


def parse(content: bytes) -> Inventory:
    """Read an inventory. Raises CorruptError for whatever is not one, whole."""
    try:
        found = _File.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = "".join(f"[{part!r}]" for part in first["loc"] if part not in {"kept", "skipped"})
        raise CorruptError(f"{place} {first['msg']}".lstrip()) from None
    scopes = cast("dict[str, list[_Read]]", found.scopes)  # the validator's results
    return Inventory(
        scopes={_scope(key): _services(key, entries) for key, entries in scopes.items()},
        targets=frozenset(
            target for entries in scopes.values() for read in entries for target in read.targets
        ),
    )


def _scope(key: str) -> Scope:
    project, slash, region = key.partition("/")
    if not (project and slash and region) or "/" in region:
        raise CorruptError(f"scope {key!r} is not PROJECT/REGION")
    return Scope(project, region)


def _services(key: str, entries: list[_Read]) -> tuple[Service, ...]:
    services = {read.service.name: read.service for read in entries}
    if any(each.scope.key != key for each in services.values()):
        raise CorruptError(f"scope {key!r} has a service that belongs elsewhere")
    if len(services) != len(entries):
        raise CorruptError(f"scope {key!r} has a service twice")
    return tuple(services[name] for name in sorted(services))


def _service(entry: _Kept | _Skipped) -> Service:
    facts = {fact: getattr(entry, fact) for fact in FACTS if fact in entry.model_fields_set}
    made_up = _made_up(entry) if entry.state == "kept" else {}
    return Service(name=entry.name, project=entry.project, region=entry.region, **(made_up | facts))


def _made_up(entry: _Kept) -> dict[str, Any]:
    """Make up the facts without which a service that was kept would no longer be."""
    usual = {"https": ":443", "http": ":80"}.get(entry.scheme, "")
    uri = f"{entry.scheme}://{entry.target.removesuffix(usual)}"
    facts: dict[str, Any] = {"uri": uri, "urls": (uri,), "latest_ready_revision": "unknown"}
    if entry.audience is None:
        facts["invoker_iam_disabled"] = True
    elif entry.audience != uri:
        facts["custom_audiences"] = (entry.audience,)
    return facts


def render(decisions: Iterable[Decision], scopes: Iterable[Scope]) -> bytes:
    """Write an inventory of these scopes; a pure function, independent of the order given.

    Every decision's service belongs to one of the scopes, or a scope is made for it.
    """
    found: dict[str, list[Decision]] = {scope.key: [] for scope in scopes}
    for decision in sorted(decisions, key=lambda each: each.service.place):
        found.setdefault(decision.service.scope.key, []).append(decision)
    return b"".join(piece.encode() for piece in _pieces(found))


def _pieces(found: Mapping[str, list[Decision]]) -> Iterator[str]:
    """Give the JSON in pieces, a service on a line of its own."""
    yield '{\n  "scopes": {'
    for number, key in enumerate(sorted(found)):
        yield f"{',' if number else ''}\n    {_in_json(key)}: ["
        for count, decision in enumerate(found[key]):
            yield f"{',' if count else ''}\n      {_in_json(_entry(decision))}"
        yield "\n    ]" if found[key] else "]"
    yield "\n  }" if found else "}"
    yield f',\n  "version": {VERSION}\n}}\n'


_in_json = json.JSONEncoder(sort_keys=True, default=dict).encode
"""On one line: ``indent`` would be in pure Python, ten times as slow."""


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
    return entry | {fact: getattr(service, fact) for fact in FACTS}


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    entry: dict[str, Any] = {field: getattr(endpoint, field) for field in _ENDPOINT}
    return entry | {"target_labels": target_labels(endpoint)}


def _headers(endpoint: Endpoint) -> dict[str, str]:
    """What the gateway sends: the token's header, and the name of the file for the app's own."""
    own = endpoint.app_credentials
    return {"token_header": endpoint.token_header} | ({"app_credentials": own} if own else {})
