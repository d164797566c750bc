"""Where beliefs are checked: a project with a service, the way to Google's APIs, credentials."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import grpc
import requests
from google.cloud import run_v2
from google.cloud.run_v2.services.services.transports import ServicesGrpcTransport

TIMEOUT = 60.0
"""Seconds for one call."""
Service = Mapping[str, Any]
"""A service as REST v2 of the Run Admin API has it."""


@dataclass
class Site:
    """Asks for the checks; nothing here writes anything.

    ``session`` reaches the internet. ``access_token()`` may list; ``id_token(audience)`` mints for
    an identity that may invoke ``service``, None where the credentials cannot. ``metadata`` is the
    metadata server's address, empty where there is none. ``account`` is a service account that
    the credentials may impersonate, empty for none. ``expired(audience)`` makes a token that has
    expired, None for a real Google.
    """

    project: str
    region: str
    name: str
    session: requests.Session
    channel: Callable[[], grpc.Channel]
    access_token: Callable[[], str]
    id_token: Callable[[str], str] | None = None
    metadata: str = ""
    account: str = ""
    expired: Callable[[str], str] | None = None
    _tokens: dict[str, str] = field(default_factory=dict)

    @property
    def parent(self) -> str:
        """``projects/P/locations/R`` of the service."""
        return f"projects/{self.project}/locations/{self.region}"

    # --- asking -------------------------------------------------------------------------------

    def api(self, path: str, host: str = "run", token: str | None = None) -> requests.Response:
        """GET from ``https://HOST.googleapis.com`` with an access token (empty: without)."""
        token = self.access_token() if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"https://{host}.googleapis.com{path}"
        return self.session.get(url, headers=headers, timeout=TIMEOUT, allow_redirects=False)

    def post(
        self, url: str, body: Mapping[str, Any], token: str | None = None
    ) -> requests.Response:
        """POST JSON with an access token (empty: without)."""
        token = self.access_token() if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.session.post(url, json=dict(body), headers=headers, timeout=TIMEOUT)

    def get(self, url: str, **headers: str) -> requests.Response:
        """GET from a service; headers are named with _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.session.get(url, headers=named, timeout=TIMEOUT, allow_redirects=False)

    def with_token(self, url: str, token: str) -> requests.Response:
        """GET from a service with a bearer token."""
        return self.get(url, Authorization=f"Bearer {token}")

    def metadata_get(self, path: str, **headers: str) -> requests.Response:
        """GET below ``/computeMetadata/v1/``, past any proxy."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with requests.Session() as session:
            session.trust_env = False
            url = f"http://{self.metadata}/computeMetadata/v1/{path}"
            return session.get(url, headers=named, timeout=TIMEOUT)

    def mint(self, audience: str) -> str:
        """Give an ID token, the same one for the same audience."""
        assert self.id_token
        if audience not in self._tokens:
            self._tokens[audience] = self.id_token(audience)
        return self._tokens[audience]

    def grpc_pages(self, parent: str, page_size: int = 0) -> list[run_v2.ListServicesResponse]:
        """List by gRPC; raises google.api_core's exceptions."""
        with self.channel() as channel:
            client = run_v2.ServicesClient(transport=ServicesGrpcTransport(channel=channel))
            request = run_v2.ListServicesRequest(parent=parent, page_size=page_size)
            pager = client.list_services(request, retry=None, timeout=TIMEOUT)
            return list(pager.pages)

    # --- what there is ------------------------------------------------------------------------

    def pages(self, parent: str, page_size: int = 100) -> Iterator[dict[str, Any]]:
        """List by REST v2, page by page; raises requests.HTTPError."""
        token = ""
        while True:
            query = f"?pageSize={page_size}" + (f"&pageToken={token}" if token else "")
            answer = self.api(f"/v2/{parent}/services{query}")
            answer.raise_for_status()
            page: dict[str, Any] = answer.json()
            yield page
            token = page.get("nextPageToken", "")
            if not token:
                return

    @cached_property
    def services(self) -> list[Service]:
        """All services of the project."""
        pages = self.pages(f"projects/{self.project}/locations/-")
        return [service for page in pages for service in page.get("services", ())]

    @cached_property
    def service(self) -> Service:
        """The service that was named; raises StopIteration where it is not there."""
        name = f"{self.parent}/services/{self.name}"
        return next(each for each in self.services if each["name"] == name)

    @property
    def uri(self) -> str:
        """The service's main URL."""
        return str(self.service["uri"])

    def find(self, wanted: Callable[[Service], object]) -> Service | None:
        """Find any service of which something holds."""
        return next((each for each in self.services if each.get("uri") and wanted(each)), None)

    @cached_property
    def nonsense(self) -> str:
        """A name that nothing has."""
        return f"runscrape-{secrets.token_hex(4)}"
