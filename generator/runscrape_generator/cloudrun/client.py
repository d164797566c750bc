"""Run Admin API v2 over gRPC: the services of one scope, all pages or none."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import Any

import google.auth.transport.grpc
import google.auth.transport.requests
import grpc
from google.cloud import run_v2
from google.cloud.run_v2.services.services.transports import ServicesGrpcTransport

from runscrape_generator.cloudrun.credentials import Access
from runscrape_generator.cloudrun.retries import Retries
from runscrape_generator.cloudrun.services import service_of
from runscrape_generator.model import Scope, Service

PAGE_SIZE = 100
"""Services a page. The API names no maximum ("Maximum number of Services to return in this call",
ListServicesRequest); a service is 2 to 10 KB, so a page stays below 1 MB."""

_OPTIONS = (("grpc.max_receive_message_length", -1),)
"""As Google's own client: without it a page above 4 MB fails."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A scope, listed whole."""

    services: tuple[Service, ...]
    """Sorted by name, each once."""
    pages: int
    seconds: float


class ListingError(Exception):
    """Google's answer makes no whole list: what is wrong with it, in one line."""


class RunApi:
    """One gRPC channel for every scope; safe to call from many threads.

    HTTP/2 allows Google's servers 100 calls at once on it; gRPC queues what is above.
    """

    def __init__(self, access: Access, retries: Retries) -> None:
        self._retries = retries
        self._channel = _channel(access)
        self._metadata = tuple(access.headers().items()) if access.address.plaintext else ()
        transport = ServicesGrpcTransport(channel=self._channel)
        self._client = run_v2.ServicesClient(transport=transport)

    def close(self) -> None:
        """End every call that is still under way."""
        self._retries.stop()
        self._channel.close()

    def services(self, scope: Scope, until: float) -> Listing:
        """List a scope whole.

        ``until``: the deadline on ``time.monotonic``, retries included. Raises CallFailedError
        for a call, ListingError for an answer, that did not come to a whole list.
        """
        found: dict[str, Service] = {}
        token, tokens = "", {""}
        begun = time.monotonic()
        for page in itertools.count(1):
            answer = self._page(scope, token, page, until)
            if answer.unreachable:
                raise ListingError(f"Google could not reach {', '.join(answer.unreachable)}")
            for pb in answer.services:
                if not pb.HasField("delete_time"):  # deleted, and kept for a while by Google
                    service = _convert(pb, scope)
                    found.setdefault(service.name, service)
            token = answer.next_page_token
            if not token:
                services = tuple(found[name] for name in sorted(found))
                return Listing(services, page, time.monotonic() - begun)
            if token in tokens:
                raise ListingError(f"page {page} leads back to an earlier page")
            tokens.add(token)
        raise AssertionError  # count() does not end

    def _page(self, scope: Scope, token: str, number: int, until: float) -> Any:
        """Ask for one page; gives the raw ``ListServicesResponse`` message."""
        request = run_v2.ListServicesRequest(
            parent=f"projects/{scope.project}/locations/{scope.region}",
            page_size=PAGE_SIZE,
            page_token=token,
        )

        def once(seconds: float) -> Any:
            pager = self._client.list_services(
                request, retry=None, timeout=seconds, metadata=self._metadata
            )
            return run_v2.ListServicesResponse.pb(next(iter(pager.pages)))

        return self._retries.call(f"ListServices, page {number}", until, once)


def _convert(pb: Any, scope: Scope) -> Service:
    try:
        return service_of(pb, scope)
    except ValueError as error:
        raise ListingError(str(error)) from error


def _channel(access: Access) -> grpc.Channel:
    target = access.address.target
    if access.address.plaintext:
        direct = (("grpc.enable_http_proxy", 0),) if access.credentials is not None else ()
        return grpc.insecure_channel(target, options=(*_OPTIONS, *direct))
    secure: Any = google.auth.transport.grpc.secure_authorized_channel
    request = google.auth.transport.requests.Request()
    channel: grpc.Channel = secure(access.credentials, request, target, options=_OPTIONS)
    return channel
