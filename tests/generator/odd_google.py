"""A Run Admin API that answers what a test wrote down, however odd."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.cloud import run_v2

from tests.kit.odd_server import OddServer, answers


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
    def __init__(self, pages: dict[str, run_v2.ListServicesResponse]) -> None:
        self._pages = pages

    def service(self, _details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        token = run_v2.ListServicesRequest.deserialize(request).page_token
        return bytes(run_v2.ListServicesResponse.serialize(self._pages[token]))


@contextlib.contextmanager
def services(pages: dict[str, run_v2.ListServicesResponse]) -> Iterator[str]:
    """Answer every ListServices with the page of its token; gives the endpoint."""
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers((_Handlers(pages),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.stop(0).wait(5)


@contextlib.contextmanager
def rest(status: int, body: Any) -> Iterator[str]:
    """Answer every GET with this status and body (bytes, or JSON); gives the endpoint."""
    answer = answers(status, body, Location="https://login.example.com/")
    with OddServer(otherwise=answer) as server:
        yield server.url
