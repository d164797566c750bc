"""The REST side of the Run Admin API's port: locations and services, v1 and v2; asset search."""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf import json_format  # type: ignore[import-untyped] # none shipped

from emulator.assets import Assets
from emulator.errors import GoogleError, json_response
from emulator.knative import knative_service
from emulator.listing import ALL_REGIONS, Call, Hangs, Listing
from emulator.policies import Policies
from emulator.state import State
from emulator.wire import Answer, Hang, Request, Response

HOST = "run.googleapis.com"
"""Whoever asks at this name, and not at the port of ours, needs credentials."""
_NOTHING = {"apiVersion": "serving.knative.dev/v1", "kind": "ServiceList", "metadata": {}}
"""For a location's name as v1 gives it (without ``projects/``) that is taken for a parent."""


class Rest:
    """Routes requests; errors become Google's JSON."""

    def __init__(self, state: State, listing: Listing) -> None:
        self._state = state
        self._listing = listing
        self._assets = Assets(state)
        self._policies = Policies(state)

    def handle(self, request: Request) -> Answer:
        """Answer a request."""
        found = self._policies.route(request)
        if found is None and request.method == "GET":
            found = self._route(request)
        if found is None:
            return GoogleError("NOT_FOUND", "Requested entity was not found.").response()
        return found()

    def _route(self, request: Request) -> Callable[[], Answer] | None:
        match request.path.strip("/").split("/"):
            case ["v1", "projects", project, "locations"]:
                return lambda: self._counted_locations(request, project)
            case ["v1", "projects", project, "locations", region, "services"]:
                return lambda: answered(lambda: self._v1(request, project, region))
            case ["apis", "serving.knative.dev", "v1", "namespaces", project, "services"]:
                return lambda: answered(lambda: self._v1(request, project, ALL_REGIONS))
            case ["v2", "projects", project, "locations", region, "services"]:
                return lambda: answered(lambda: self._v2(request, project, region))
            case ["v1", _, "locations", _, "services"]:
                return lambda: json_response(_NOTHING)
        return self._assets.route(request)

    def _counted_locations(self, request: Request, project: str) -> Answer:
        answer = answered(lambda: self._locations(request, project))
        status = str(answer.status) if isinstance(answer, Response) else "hang"
        self._state.counts.add("locations", project, status)
        return answer

    def _locations(self, request: Request, project: str) -> Response:
        query = request.query
        size = page_size(query.get("pageSize", "0"))
        page = self._listing.locations(
            project,
            request.bearer,
            size,
            query.get("pageToken", ""),
            required=request.host == HOST,
        )
        locations = [
            {
                "name": f"{page.project}/locations/{region}",  # v1: without "projects/"
                "locationId": region,
                "displayName": region.replace("-", " ").title(),
            }
            for region in page.regions
        ]
        following = {"nextPageToken": page.next_page_token} if page.next_page_token else {}
        return json_response({"locations": locations} | following)

    def _v2(self, request: Request, project: str, region: str) -> Response:
        query = request.query
        page = self._listing.services(
            Call(
                project,
                region,
                f"projects/{project}/locations/{region}/services",
                request.bearer,
                page_size(query.get("pageSize", "0")),
                query.get("pageToken", ""),
                show_deleted=query.get("showDeleted") == "true",
                required=request.host == HOST,
            )
        )
        fields: dict[str, object] = {
            "services": [json_format.MessageToDict(record.message) for record in page.records],
            "nextPageToken": page.next_page_token,
            "unreachable": page.unreachable,
        }
        return json_response({name: value for name, value in fields.items() if value})

    def _v1(self, request: Request, project: str, region: str) -> Response:
        query = request.query
        page = self._listing.services(
            Call(
                project,
                region,
                f"namespaces/{project}/services",
                request.bearer,
                page_size(query.get("limit", "0")) or 1_000_000,  # v1 pages only when asked to
                query.get("continue", ""),
                required=request.host == HOST,
            )
        )
        value: dict[str, object] = {
            "apiVersion": "serving.knative.dev/v1",
            "kind": "ServiceList",
            "metadata": {"continue": page.next_page_token} if page.next_page_token else {},
            "items": [knative_service(record.service, page.project) for record in page.records],
        }
        regions = [place.rpartition("/")[2] for place in page.unreachable]
        return json_response(value | ({"unreachable": regions} if regions else {}))


def answered(answer: Callable[[], Response]) -> Answer:
    """Answer, or give the error as JSON, or hang."""
    try:
        return answer()
    except Hangs:
        return Hang()
    except GoogleError as error:
        return error.response()


def page_size(text: str) -> int:
    """Read a page size of the query; raises GoogleError."""
    if not text.isdecimal():
        raise GoogleError("INVALID_ARGUMENT", f"Invalid value at 'page_size': {text!r}")
    return int(text)
