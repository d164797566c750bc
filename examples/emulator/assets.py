"""Cloud Asset Inventory's ``searchAllResources``: which services an organisation has, and where.

It lags behind what is there, as the world's ``assets`` says.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from emulator.callers import Callers
from emulator.errors import GoogleError, denied, disabled, json_response, message_for
from emulator.faults import fired
from emulator.listing import Hangs
from emulator.model import Project, World
from emulator.paging import page_start, page_token
from emulator.state import State
from emulator.tokens import CLOUD_SCOPES
from emulator.wire import Answer, Hang, Request, Response

HOST = "cloudasset.googleapis.com"
_PATH = re.compile(r"/v1/((?:organizations|folders|projects)/[^/:]+):searchAllResources")
_SERVICE = "run.googleapis.com/Service"
_PROJECT = "cloudresourcemanager.googleapis.com/Project"
_PERMISSION = "cloudasset.assets.searchAllResources"
_QUERY = "the emulator searches by assetTypes only, and was given a query"


class Assets:
    """Answers searches of the live world."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._callers = Callers(state, HOST, CLOUD_SCOPES)

    def route(self, request: Request) -> Callable[[], Answer] | None:
        """Give the way to the answer; None for other requests."""
        found = _PATH.fullmatch(request.path)
        if found is None or request.method != "GET":
            return None
        return lambda: self._counted(request, found[1])

    def _counted(self, request: Request, scope: str) -> Answer:
        try:
            answer = self._search(request, scope)
        except Hangs:
            self._state.counts.add("searches", scope, "hang")
            return Hang()
        except GoogleError as error:
            answer = error.response()
        self._state.counts.add("searches", scope, str(answer.status))
        return answer

    def _search(self, request: Request, scope: str) -> Response:
        world = self._state.world
        query = request.query
        number, offset = page_start(query.get("pageToken", ""), scope)
        self._play(world, scope, number)
        self._authorize(request, world, scope)
        if query.get("query"):
            raise GoogleError("INVALID_ARGUMENT", _QUERY)
        kinds = request.parameters.get("assetTypes", [])
        results = [r for r in _results(world, scope) if not kinds or r["assetType"] in kinds]
        size = _size(query.get("pageSize", "0"), world, number)
        page, end = results[offset : offset + size], offset + size
        mask = {
            name for value in request.parameters.get("readMask", []) for name in value.split(",")
        }
        value: dict[str, object] = {"results": [_masked(result, mask) for result in page]}
        if end < len(results):
            value["nextPageToken"] = page_token(scope, number + 1, end)
        return json_response(value)

    def _play(self, world: World, scope: str, number: int) -> None:
        latency, fault = fired(f for f in world.faults.search if f.matches(scope, number))
        self._state.wait(latency)
        if fault and fault.hang:
            raise Hangs
        if fault and fault.code:
            raise GoogleError(
                fault.code, fault.message or message_for(fault.code, HOST), fault.reason
            )

    def _authorize(self, request: Request, world: World, scope: str) -> None:
        required = world.settings.require_credentials or request.host == HOST
        identity = self._callers.identify(request.bearer, required=required)
        if world.assets.api_disabled:
            billed = request.headers.get("x-goog-user-project", world.settings.metadata_project)
            found = world.project(billed)
            raise disabled(found[1].number if found else 0, HOST, "Cloud Asset API")
        viewers = world.assets.viewers
        if viewers is not None and identity not in viewers:
            raise denied(_PERMISSION, scope)
        if not _exists(world, scope):
            raise denied(_PERMISSION, scope)


def _exists(world: World, scope: str) -> bool:
    return any(scope in _scopes(world, name, p) for name, p in world.projects.items())


def _scopes(world: World, name: str, project: Project) -> tuple[str, ...]:
    """Every scope whose search finds what is in the project."""
    organization = f"organizations/{world.settings.organization}"
    folders = (f"folders/{folder}" for folder in project.folders)
    return (f"projects/{name}", f"projects/{project.number}", *folders, organization)


def _results(world: World, scope: str) -> Iterator[dict[str, Any]]:
    for name, project in world.projects.items():
        if scope not in _scopes(world, name, project):
            continue
        yield _project(world, name, project)
        for service in project.services:
            known = not any(fnmatch.fnmatchcase(service.key, g) for g in world.assets.not_yet)
            if known and not service.deleted:
                yield _service(world, service.key, project, service.labels)
        for key in world.assets.still:
            if key.split("/")[0] == name:
                yield _service(world, key, project, {})


def _service(world: World, key: str, project: Project, labels: Mapping[str, str]) -> dict[str, Any]:
    name, region, service = key.split("/")
    return _place(world, project) | {
        "name": f"//run.googleapis.com/projects/{name}/locations/{region}/services/{service}",
        "assetType": _SERVICE,
        "displayName": service,
        "location": region,
        "labels": dict(labels),
        "parentFullResourceName": f"//cloudresourcemanager.googleapis.com/projects/{name}",
        "parentAssetType": _PROJECT,
    }


def _project(world: World, name: str, project: Project) -> dict[str, Any]:
    return _place(world, project) | {
        "name": f"//cloudresourcemanager.googleapis.com/projects/{name}",
        "assetType": _PROJECT,
        "displayName": name,
        "location": "global",
        "state": "ACTIVE",
        "additionalAttributes": {"projectId": name},
    }


def _place(world: World, project: Project) -> dict[str, Any]:
    return {
        "project": f"projects/{project.number}",  # a number, whatever the name has
        "folders": [f"folders/{folder}" for folder in project.folders],
        "organization": f"organizations/{world.settings.organization}",
    }


def _masked(result: dict[str, Any], mask: set[str]) -> dict[str, Any]:
    kept = result.items() if not mask else ((k, v) for k, v in result.items() if k in mask)
    return {name: value for name, value in kept if value not in ({}, [])}


def _size(text: str, world: World, number: int) -> int:
    """How many results page *number* has; at most 500, as Google caps it (100 if none is said)."""
    if not text.isdecimal():
        raise GoogleError("INVALID_ARGUMENT", f"Invalid value at 'page_size': {text!r}")
    size = min(int(text) or 100, 500, world.assets.page_size)
    if not world.assets.short_pages:
        return size
    return (size, (size + 1) // 2, 0)[number % 3]
