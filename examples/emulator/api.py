"""The Run Admin API on one port: gRPC (v2) and REST (v1, v2); Cloud Asset's search as well."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.cloud import run_v2

from emulator.errors import GoogleError
from emulator.httpd import Server
from emulator.listing import Call, Hangs, Listing
from emulator.relay import relay
from emulator.rest import Rest
from emulator.state import State
from emulator.wire import bearer

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_METHOD = "/google.cloud.run.v2.Services/ListServices"
_MAX_CALLS = 1024


class Api:
    """Serves both protocols on one port: HTTP/2 goes to a gRPC server behind it."""

    def __init__(self, state: State, port: int = 0) -> None:
        self._state = state
        self._listing = Listing(state)
        self.handle = Rest(state, self._listing).handle
        self._server = Server(
            self.handle,
            port,
            listening=False,
            closing=state.closing,
            clock=state.clock,
            take_over=self._sniff,
        )
        self.url = f"http://{self._server.address}"
        self._pool = ThreadPoolExecutor(_MAX_CALLS, thread_name_prefix="emulator-grpc")
        self._grpc = grpc.server(self._pool, options=[("grpc.so_reuseport", 0)])
        self._grpc.add_generic_rpc_handlers((_Handlers(self.list_services),))
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
        self.speak_http2(sock)
        return True

    def speak_http2(self, sock: socket.socket) -> None:
        """Let gRPC serve a connection until it ends."""
        inner = socket.create_connection(("127.0.0.1", self._grpc_port))
        self._server.watch(inner)
        with contextlib.suppress(OSError):
            relay(sock, inner)
        self._server.forget(inner)

    def list_services(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        asked = run_v2.ListServicesRequest.deserialize(request)
        metadata = {str(key): value for key, value in context.invocation_metadata()}
        try:
            return self._page(asked, bearer(str(metadata.get("authorization", ""))))
        except Hangs:
            self._hang(context)
        except GoogleError as error:
            error.abort(context)
        raise AssertionError  # abort() raises

    def _page(self, asked: run_v2.ListServicesRequest, token: str | None) -> bytes:
        project, region = _parent(asked.parent)
        call = Call(
            project,
            region,
            f"{asked.parent}/services",
            token,
            asked.page_size,
            asked.page_token,
            asked.show_deleted,
        )
        page = self._listing.services(call)
        answer = run_v2.ListServicesResponse.pb()()
        answer.services.extend(record.message for record in page.records)
        answer.next_page_token = page.next_page_token
        answer.unreachable.extend(page.unreachable)
        return bytes(answer.SerializeToString())

    def _hang(self, context: grpc.ServicerContext) -> None:
        """Wait for the client to give up, or for the end; raises GoogleError."""
        gone = threading.Event()
        if context.add_callback(gone.set):
            while not gone.wait(0.5) and not self._state.closing.is_set():
                pass
        GoogleError("CANCELLED", "The operation was cancelled.").abort(context)


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Maps the one method; bytes in and out, as Listing makes messages itself."""

    def __init__(self, list_services: Callable[[bytes, grpc.ServicerContext], bytes]) -> None:
        self._handler = grpc.unary_unary_rpc_method_handler(list_services)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return self._handler if details.method == _METHOD else None


def _parent(parent: str) -> tuple[str, str]:
    match parent.split("/"):
        case ["projects", project, "locations", region] if project and region:
            return project, region
    raise GoogleError("UNIMPLEMENTED", "Operation is not implemented, or supported, or enabled.")
