"""Run Admin API v2 over gRPC: one page of the services of a region, or of all regions at once."""

from __future__ import annotations

import os
import re
import resource
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import google.auth.transport.grpc
import grpc
from google.cloud import run_v2
from google.cloud.run_v2.services.services.transports import ServicesGrpcTransport

from runscrape_generator.cloudrun.credentials import Access
from runscrape_generator.cloudrun.rest import ListingError
from runscrape_generator.cloudrun.retries import Retries
from runscrape_generator.cloudrun.services import service_of
from runscrape_generator.errors import DiscoveryError
from runscrape_generator.model import Scope, Service

PAGE_SIZE = 500
"""Services a page, of which there are none side by side. The API names no maximum (others ask for
1,000); a service is 2 to 10 KB, so a page stays below 5 MB."""

ALL_REGIONS = "-"
"""As the region of a scope: all of the project's. Google's reference says that the location cannot
be this, yet Google's firebase-tools lists so (src/gcp/runv2.ts); not every endpoint takes it."""

_OPTIONS = (("grpc.max_receive_message_length", -1),)
"""As Google's own client: without it a page above 4 MB fails."""

_REGION = re.compile(r"(?:projects/[^/]+/)?(?:locations/)?([a-z0-9-]*[a-z0-9])", re.ASCII)


@dataclass(frozen=True, slots=True)
class ServicesPage:
    """One page of a listing."""

    services: tuple[Service, ...]
    unreachable: frozenset[str]
    """Names of regions that are not, or not whole, in this listing."""
    next_token: str
    seconds: float


_DESCRIPTORS = 16
"""What a channel of gRPC needs at once; where it gets none, gRPC ends the process (SIGABRT)."""


def require_descriptors() -> None:
    """Raise DiscoveryError where a channel would not get the file descriptors that it needs."""
    held = []
    try:
        for _ in range(_DESCRIPTORS):
            held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))  # noqa: PERF401 - closed below
    except OSError as error:
        soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        raise DiscoveryError(
            f"cannot ask Google: {error.strerror} (the limit of this process is {soft}); "
            "raise it (ulimit -n, LimitNOFILE= of systemd), or have others close theirs"
        ) from error
    finally:
        for each in held:
            os.close(each)


class RunApi:
    """One gRPC channel for every scope; safe to call from many threads.

    HTTP/2 allows Google's servers 100 calls at once on it; gRPC queues what is above.
    """

    def __init__(self, access: Access, retries: Retries) -> None:
        require_descriptors()
        self._retries = retries
        self._channel = _channel(access)
        self._metadata = tuple(access.headers().items()) if access.address.plaintext else ()
        transport = ServicesGrpcTransport(channel=self._channel)
        self._client = run_v2.ServicesClient(transport=transport)

    def close(self) -> None:
        """End every call that is still under way."""
        self._retries.stop()
        self._channel.close()

    def page(self, scope: Scope, token: str, number: int, until: float) -> ServicesPage:
        """Get page ``number`` (from 1) of a scope, whose region may be :data:`ALL_REGIONS`.

        ``until``: the deadline on ``time.monotonic``, retries included. Raises CallFailedError for
        a call, ListingError for an answer, that is no page of this scope.
        """
        begun = time.monotonic()
        request = run_v2.ListServicesRequest(
            parent=f"projects/{scope.project}/locations/{scope.region}",
            page_size=PAGE_SIZE,
            page_token=token,
        )

        def once(seconds: float) -> Any:
            pager = self._client.list_services(  # its iterator shows services only, so one page
                request, retry=None, timeout=seconds, metadata=self._metadata
            )
            return run_v2.ListServicesResponse.pb(next(iter(pager.pages)))

        answer = self._retries.call(f"ListServices, page {number}", until, once)
        return ServicesPage(
            _services(answer, scope),
            _regions(answer.unreachable),
            answer.next_page_token,
            time.monotonic() - begun,
        )


def _services(answer: Any, scope: Scope) -> tuple[Service, ...]:
    """Convert a page's services but those that are deleted, and kept for a while by Google."""
    region = None if scope.region == ALL_REGIONS else scope.region
    try:
        return tuple(
            service_of(pb, scope.project, region)
            for pb in answer.services
            if not pb.HasField("delete_time")
        )
    except ValueError as error:
        raise ListingError(str(error)) from error


def _regions(names: Iterable[str]) -> frozenset[str]:
    """Read ``us-east1`` or ``projects/P/locations/us-east1``; empty names have been seen, too.

    Raises ListingError for what names no region: nobody knows then what is missing.
    """
    found = set()
    for name in filter(None, names):
        match = _REGION.fullmatch(name)
        if match is None:
            raise ListingError(f"Google could not reach {name}")
        found.add(match[1])
    return frozenset(found)


def _channel(access: Access) -> grpc.Channel:
    target, url = access.address.target, access.address.url
    options = (*_OPTIONS, *access.network.channel_options(url))
    if access.address.plaintext:
        return grpc.insecure_channel(target, options=options)
    secure: Any = google.auth.transport.grpc.secure_authorized_channel
    channel: grpc.Channel = secure(
        access.credentials,
        access.network.token_request(),
        target,
        ssl_credentials=access.network.channel_credentials(),
        options=options,
    )
    return channel
