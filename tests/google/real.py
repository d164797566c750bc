"""A site from the environment: Application Default Credentials, proxies and CAs as they are set."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google.auth
import google.auth.transport.grpc
import google.auth.transport.requests
import grpc
import requests
from google.auth import impersonated_credentials
from google.auth.exceptions import GoogleAuthError
from google.oauth2 import id_token
from google.oauth2.credentials import Credentials as UserCredentials

from tests.google.site import Site

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
_AUTH: Any = google.auth
_IMPERSONATED: Any = impersonated_credentials
_ID_TOKEN: Any = id_token
_GRPC: Any = google.auth.transport.grpc


class NoSiteError(Exception):
    """Nothing can be asked; the message says why."""


def real_site(project: str, service: str, impersonate: str = "") -> Site:
    """Find the service (``NAME`` or ``REGION/NAME``) and what the credentials can do.

    Raises NoSiteError.
    """
    session = requests.Session()
    request = google.auth.transport.requests.Request(session)
    try:
        credentials, _ = _AUTH.default(scopes=SCOPES)
        credentials.refresh(request)
    except GoogleAuthError as error:
        raise NoSiteError(f"no credentials: {error}") from None

    def access_token() -> str:
        if not credentials.valid:
            credentials.refresh(request)
        return str(credentials.token)

    def channel() -> grpc.Channel:
        bundle = os.environ.get("REQUESTS_CA_BUNDLE")
        roots = Path(bundle).read_bytes() if bundle else None
        made: grpc.Channel = _GRPC.secure_authorized_channel(
            credentials,
            request,
            "run.googleapis.com:443",
            ssl_credentials=grpc.ssl_channel_credentials(roots),
        )
        return made

    region, _, name = service.rpartition("/")
    site = Site(
        project,
        region,
        name,
        session,
        channel,
        access_token,
        id_token=_minter(credentials, request, impersonate),
        metadata=_metadata(),
        account=impersonate,
    )
    site.region = region or _region(site)
    return site


def _region(site: Site) -> str:
    try:
        found = [each["name"] for each in site.services if each["name"].endswith(f"/{site.name}")]
    except requests.RequestException as error:
        raise NoSiteError(f"the project cannot be listed: {error}") from None
    if not found:
        raise NoSiteError(f"no service {site.name} in project {site.project}")
    return str(found[0].split("/")[3])


def _minter(credentials: Any, request: Any, impersonate: str) -> Callable[[str], str] | None:
    """What mints ID tokens; None where the credentials cannot.

    A user's cannot, and google-auth would ask the metadata server in their place.
    """
    if isinstance(credentials, UserCredentials) and not impersonate:
        return None

    def mint(audience: str) -> str:
        if not impersonate:
            return str(_ID_TOKEN.fetch_id_token(request, audience))
        target = _IMPERSONATED.Credentials(credentials, impersonate, SCOPES)
        token = _IMPERSONATED.IDTokenCredentials(target, audience, include_email=True)
        token.refresh(request)
        return str(token.token)

    try:
        mint("https://example.com")
    except GoogleAuthError:
        return None
    return mint


def _metadata() -> str:
    """The metadata server's address if one answers."""
    address = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
    with requests.Session() as session, contextlib.suppress(requests.RequestException):
        session.trust_env = False
        answer = session.get(f"http://{address}/", timeout=3)
        return address if answer.headers.get("Metadata-Flavor") == "Google" else ""
    return ""
