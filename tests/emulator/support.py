"""Google's own clients, pointed at the emulator."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import google.auth.transport.requests
import grpc
import requests
from google.auth import (
    compute_engine,
    external_account_authorized_user,
    identity_pool,
    impersonated_credentials,
    jwt,
)
from google.auth.compute_engine import _metadata
from google.cloud import run_v2
from google.cloud.run_v2.services.services.transports import ServicesGrpcTransport
from google.oauth2 import credentials as user_credentials
from google.oauth2 import gdch_credentials, service_account

from emulator import Emulator
from tests.conftest import DEMO_WORLD

# google-auth's functions have no annotations, so its modules are used untyped.
GOOGLE: Any = SimpleNamespace(
    compute_engine=compute_engine,
    external_account_authorized_user=external_account_authorized_user,
    gdch_credentials=gdch_credentials,
    identity_pool=identity_pool,
    impersonated_credentials=impersonated_credentials,
    jwt=jwt,
    metadata=_metadata,
    service_account=service_account,
    user_credentials=user_credentials,
)
CLOUD = ["https://www.googleapis.com/auth/cloud-platform"]
API = "demo/us-central1/api"
PARENT = "projects/demo/locations/us-central1"


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def world(**sections: Any) -> dict[str, Any]:
    """DEMO_WORLD with other sections beside its projects."""
    return copy.deepcopy(DEMO_WORLD) | sections


def one_service(**fields: Any) -> dict[str, Any]:
    """A world of one service, ``demo/us-central1/api``, with *fields*."""
    service = {"name": "api", "region": "us-central1"} | fields
    return {"projects": {"demo": {"number": 123456789012, "services": [service]}}}


def many_services(count: int) -> dict[str, Any]:
    """A world of *count* services in one scope."""
    services = [{"name": f"svc-{n:03}", "region": "us-central1"} for n in range(count)]
    return {"projects": {"demo": {"number": 123456789012, "services": services}}}


@contextmanager
def run_client(emulator: Emulator) -> Iterator[run_v2.ServicesClient]:
    """Google's real Run client over a plaintext channel."""
    channel = grpc.insecure_channel(emulator.api.removeprefix("http://"))
    try:
        yield run_v2.ServicesClient(transport=ServicesGrpcTransport(channel=channel))
    finally:
        channel.close()


@contextmanager
def session(emulator: Emulator) -> Iterator[requests.Session]:
    """A requests session that reaches the services through the emulator's proxy."""
    with requests.Session() as http:
        http.trust_env = False
        http.proxies = {"https": emulator.proxy_url}
        http.verify = str(emulator.ca_file)
        yield http


@contextmanager
def auth_request(emulator: Emulator) -> Iterator[google.auth.transport.requests.Request]:
    """google-auth's transport over that session."""
    with session(emulator) as http:
        yield google.auth.transport.requests.Request(http)


def scrape(
    emulator: Emulator, token: str | None, service: str = API, path: str = "/metrics"
) -> requests.Response:
    """GET a path of a service with an ID token."""
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    with session(emulator) as http:
        return http.get(uri(emulator, service) + path, headers=headers, timeout=10)


def uri(emulator: Emulator, service: str = API) -> str:
    """The service's default URL, which is its audience."""
    return emulator.world.service(service).uri or ""


def claims(token: str) -> dict[str, Any]:
    """Claims of a JWT, unverified."""
    return dict(GOOGLE.jwt.decode(token, verify=False))
