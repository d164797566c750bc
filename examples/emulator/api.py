"""The Run Admin API: gRPC v2 ListServices and REST v1 locations, on one port."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.cloud import run_v2

from emulator.errors import (
    GoogleError,
    denied,
    disabled,
    json_response,
    message_for,
    unauthenticated,
)
from emulator.faults import ApiFault, fired
from emulator.httpd import Server
from emulator.model import Project, World
from emulator.paging import Pages, page_start, page_token, string_field
from emulator.state import State
from emulator.tokens import IAM_SCOPES, TokenError
from emulator.wire import Answer, Hang, Request, bearer

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_AUDIENCES = ("https://run.googleapis.com/",)
_METHOD = "/google.cloud.run.v2.Services/ListServices"
_SCOPES = IAM_SCOPES - {"https://www.googleapis.com/auth/iam"}
_MAX_CALLS = 1024


class Api:
    """Serves both protocols on one port: HTTP/2 goes to a gRPC server behind it."""

    def __init__(self, state: State, port: int = 0) -> None:
        self._state = state
        self._pages = Pages()
        self._server = Server(
            self._rest, port, listening=False, first_bytes=self._sniff, closing=state.closing
        )
        self.url = f"http://{self._server.address}"
        self._pool = ThreadPoolExecutor(_MAX_CALLS, thread_name_prefix="emulator-grpc")
        self._grpc = grpc.server(self._pool, options=[("grpc.so_reuseport", 0)])
        self._grpc.add_generic_rpc_handlers((_Handlers(self._list_services),))
        self._grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()
        self._server.listen(on=True)

    def close(self) -> None:
        """Stop both servers."""
        self._server.close()
        self._grpc.stop(0).wait(5)
        self._pool.shutdown()

    def _sniff(self, sock: socket.socket) -> bool:
        """Splice a connection that begins with HTTP/2's preface through to gRPC."""
        first = sock.recv(len(_PREFACE), socket.MSG_PEEK)
        if not first or not _PREFACE.startswith(first):
            return False
        inner = socket.create_connection(("127.0.0.1", self._grpc_port))
        self._server.watch(inner)
        back = threading.Thread(target=_pump, args=(inner, sock), daemon=True)
        back.start()
        _pump(sock, inner)
        back.join(5)
        self._server.forget(inner)
        return True

    def _list_services(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        asked = run_v2.ListServicesRequest.deserialize(request)
        scope = asked.parent.removeprefix("projects/").replace("/locations/", "/")
        try:
            metadata = {str(key): value for key, value in context.invocation_metadata()}
            return self._page(asked, context, bearer(str(metadata.get("authorization", ""))))
        except GoogleError as error:
            self._state.counts.add("list_services_errors", scope, error.code)
            error.abort(context)
            raise

    def _page(
        self, asked: run_v2.ListServicesRequest, context: grpc.ServicerContext, token: str | None
    ) -> bytes:
        world = self._state.world
        project, region = _parent(asked.parent)
        number, offset = page_start(asked.page_token, asked.parent)
        self._state.counts.add("list_services", f"{project}/{region}", str(number))
        fault = self._play(
            [f for f in world.faults.list_services if f.matches(project, region, number)]
        )
        if fault and fault.hang:
            self._hang(context)
        if asked.page_size < 0:
            raise GoogleError("INVALID_ARGUMENT", "Page size must not be negative.")
        resource = f"projects/{project}/locations/{region}"
        name, found = self._authorize(world, token, project, "run.services.list", resource)
        if region not in (found.regions or ()):
            raise GoogleError("INVALID_ARGUMENT", f"Location {region!r} is not valid.")
        if fault and fault.unreachable:
            return string_field(3, resource)
        size = min(asked.page_size or 100, world.settings.page_size_cap)
        records = self._pages.records(world, name, region)
        more = offset + size < len(records)
        following = page_token(asked.parent, number + 1, offset + size) if more else ""
        return b"".join(records[offset : offset + size]) + string_field(2, following)

    def _play(self, matching: list[ApiFault]) -> ApiFault | None:
        """Wait, raise the GoogleError that is asked for, or give another fault that fires."""
        latency, fault = fired(matching)
        self._state.wait(latency)
        if fault and fault.code:
            raise GoogleError(fault.code, fault.message or message_for(fault.code))
        return fault

    def _hang(self, context: grpc.ServicerContext) -> None:
        """Wait for the client to give up, or for the end; raises GoogleError."""
        gone = threading.Event()
        if context.add_callback(gone.set):
            while not gone.wait(0.5) and not self._state.closing.is_set():
                pass
        raise GoogleError("CANCELLED", "The operation was cancelled.")

    def _authorize(
        self, world: World, token: str | None, project: str, permission: str, resource: str
    ) -> tuple[str, Project]:
        """Find the project for a caller who may see it; raises GoogleError as Google does."""
        identity = self._identify(token, required=world.settings.require_credentials)
        found = world.project(project)
        if found is None:
            raise denied(permission, resource)
        name, entry = found
        if entry.api_disabled:
            raise disabled(entry.number)
        viewers = entry.viewers
        if viewers is not None and identity not in viewers:
            raise denied(permission, resource)
        return name, entry

    def _identify(self, token: str | None, *, required: bool) -> str | None:
        if token is None:
            if required:
                raise unauthenticated("is missing required", "CREDENTIALS_MISSING")
            return None
        try:
            access = self._state.tokens.access(token, _AUDIENCES[0])
        except TokenError:
            raise unauthenticated("had invalid", "ACCESS_TOKEN_INVALID") from None
        if not access.scopes & _SCOPES:
            raise GoogleError(
                "PERMISSION_DENIED",
                "Request had insufficient authentication scopes.",
                "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                metadata={"service": "run.googleapis.com"},
            )
        return access.identity

    def _rest(self, request: Request) -> Answer:
        parts = request.path.strip("/").split("/")
        match parts:
            case ["v1", "projects", project, "locations"] if request.method == "GET":
                pass
            case _:
                return GoogleError("NOT_FOUND", "Requested entity was not found.").response()
        try:
            answer = self._locations(request, project)
            status = "hang" if isinstance(answer, Hang) else "200"
        except GoogleError as error:
            answer = error.response()
            status = str(answer.status)
        self._state.counts.add("locations", project, status)
        return answer

    def _locations(self, request: Request, project: str) -> Answer:
        world = self._state.world
        number, offset = page_start(request.query.get("pageToken", ""), project)
        matching = [f for f in world.faults.locations if f.matches(project, "", number)]
        fault = self._play(matching)
        if fault and fault.hang:
            return Hang()
        resource = f"projects/{project}"
        name, found = self._authorize(
            world, request.bearer, project, "run.locations.list", resource
        )
        regions = found.regions or ()
        asked = _page_size(request.query.get("pageSize", "0"))
        size = min(asked or 100, world.settings.locations_page_size)
        page = regions[offset : offset + size]
        value: dict[str, object] = {
            "locations": [
                {
                    "name": f"projects/{name}/locations/{region}",
                    "locationId": region,
                    "displayName": region.replace("-", " ").title(),
                }
                for region in page
            ]
        }
        if offset + size < len(regions):
            value["nextPageToken"] = page_token(project, number + 1, offset + size)
        return json_response(value)


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Maps the one method; bytes in and out, so that pages are not serialised again."""

    def __init__(self, list_services: Callable[[bytes, grpc.ServicerContext], bytes]) -> None:
        self._handler = grpc.unary_unary_rpc_method_handler(list_services)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return self._handler if details.method == _METHOD else None


def _page_size(text: str) -> int:
    if not text.isdecimal():
        raise GoogleError("INVALID_ARGUMENT", f"Invalid value at 'page_size': {text!r}")
    return int(text)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(256 * 1024):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


def _parent(parent: str) -> tuple[str, str]:
    match parent.split("/"):
        case ["projects", project, "locations", region] if project and region not in ("", "-"):
            return project, region
    raise GoogleError("INVALID_ARGUMENT", f"Invalid resource name {parent!r} in field 'parent'.")
