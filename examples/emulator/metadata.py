"""The metadata server of a Compute Engine VM, a GKE pod, a Cloud Run instance or a build step."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable

from emulator.errors import json_response
from emulator.model import Settings
from emulator.play import play
from emulator.state import State
from emulator.tokens import CLOUD_SCOPES
from emulator.wire import Answer, Request, Response

_FLAVOR = ("Metadata-Flavor", "Google")
_SERVER = ("Server", "Metadata Server for VM")
_TEXT = ("Content-Type", "application/text")
_ROOT = "/computeMetadata/v1/"
_ACCOUNTS = "instance/service-accounts/"
_KSA = "monitoring/prometheus"
"""Namespace and name of the pod's Kubernetes service account, on GKE."""


class Metadata:
    """Gives the same token until it is in its last minutes, as the real one does."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._tokens: dict[tuple[str, ...], tuple[float, str]] = {}
        self._lock = threading.Lock()

    def handle(self, request: Request) -> Answer:
        """Answer a request, faults included."""
        audience = request.query.get("audience", "") if request.path.endswith("/identity") else ""
        answer = play(self._state, "metadata", audience, lambda: self._answer(request))
        if not isinstance(answer, Response):
            return answer
        return dataclasses.replace(answer, headers=(*answer.headers, _FLAVOR, _SERVER))

    def _answer(self, request: Request) -> Response:
        if request.method != "GET":
            return Response(405)
        if not request.path.startswith(_ROOT):
            return _text("computeMetadata/\n") if request.path == "/" else Response(404)
        if request.headers.get("metadata-flavor") != "Google":
            return Response(403, b"Missing Metadata-Flavor:Google header.\n")  # UNCONFIRMED: words
        if "x-forwarded-for" in request.headers:
            return Response(403, b"X-Forwarded-For is not allowed.\n")
        return self._value(request, request.path.removeprefix(_ROOT))

    def _value(self, request: Request, path: str) -> Response:
        settings = self._state.world.settings
        project, number = settings.metadata_project, self._number(settings)
        fixed = {
            "project/project-id": project,
            "project/numeric-project-id": str(number),
            "universe/universe-domain": "googleapis.com",
            "instance/zone": f"projects/{number}/zones/us-central1-a",
            "instance/region": f"projects/{number}/regions/us-central1",
            "instance/id": "4520031799277581759",
        }
        if path in fixed:
            return _text(fixed[path])
        if path.startswith(_ACCOUNTS):
            return self._account(request, path.removeprefix(_ACCOUNTS), settings)
        return Response(404)

    def _number(self, settings: Settings) -> int:
        found = self._state.world.project(settings.metadata_project)
        return found[1].number if found else 0

    def _account(self, request: Request, path: str, settings: Settings) -> Response:
        identity = settings.metadata_identity
        account, _, item = path.partition("/")
        if identity is None or account not in ("default", identity):
            return Response(404)
        pool = f"{settings.metadata_project}.svc.id.goog"
        shown = pool if settings.metadata == "gke-direct" else identity
        match item:
            case "":
                return _listing(request, shown)
            case "email":
                return _text(shown)
            case "token":
                return _gke_refusal(settings, identity) or self._access(request, settings, pool)
            case "identity":
                return self._identity(request, identity, settings)
        return Response(404)

    def _access(self, request: Request, settings: Settings, pool: str) -> Response:
        scopes = request.query.get("scopes", "").split(",") if "scopes" in request.query else []
        names = sorted(scopes or CLOUD_SCOPES)
        identity = settings.metadata_identity or ""
        if settings.metadata == "gke-direct":
            namespace, _, name = _KSA.partition("/")
            pools = f"projects/{self._number(settings)}/locations/global/workloadIdentityPools"
            identity = (
                f"principal://iam.googleapis.com/{pools}/{pool}/subject/ns/{namespace}/sa/{name}"
            )

        def make() -> tuple[float, str]:
            lifetime = settings.access_token_lifetime
            self._state.counts.add("access_tokens", "metadata")
            token = self._state.tokens.access_token(identity, lifetime, names)
            return self._state.clock() + lifetime, token

        expires, token = self._kept(("access", identity, *names), settings, make)
        left = int(expires - self._state.clock())
        return json_response({"access_token": token, "expires_in": left, "token_type": "Bearer"})

    def _identity(self, request: Request, identity: str, settings: Settings) -> Response:
        audience = request.query.get("audience", "")
        if not audience:
            return Response(400, b"non-empty audience parameter required\n")
        detail = request.query.get("format", "standard")
        if detail not in ("full", "standard"):
            return Response(400, b"format must be standard or full\n")
        if settings.metadata == "gke-direct":
            return Response(404, _NOT_ANNOTATED)
        if settings.metadata == "build":
            return Response(404)
        if refusal := _gke_refusal(settings, identity):
            return refusal
        key = ("identity", identity, audience, detail)

        def make() -> tuple[float, str]:
            lifetime = settings.token_lifetime
            left = lifetime
            if key not in self._tokens and settings.metadata_token_left is not None:
                left = settings.metadata_token_left
            issued = int(self._state.clock() - (lifetime - left))
            extra: dict[str, object] = {"iat": issued, "exp": issued + int(lifetime)}
            if detail != "full":
                extra |= {"email": None, "email_verified": None}
            self._state.counts.add("mints", "metadata", audience)
            token = self._state.tokens.id_token(audience, identity, lifetime, extra=extra)
            return issued + lifetime, token

        return _text(self._kept(key, settings, make)[1])

    def _kept(
        self, key: tuple[str, ...], settings: Settings, make: Callable[[], tuple[float, str]]
    ) -> tuple[float, str]:
        """Give the token of *key*, a new one where the old has less than the renewal time left."""
        with self._lock:
            expires, token = self._tokens.get(key, (0.0, ""))
            if expires - self._state.clock() >= settings.metadata_renewal:
                return expires, token
        made = make()
        with self._lock:
            self._tokens[key] = made
        return made


_NOT_ANNOTATED = (
    f"Your Kubernetes service account ({_KSA}) is not annotated with a target Google service "
    "account, which is a requirement for retrieving Identity Tokens using Workload Identity. "
    "Please add the iam.gke.io/gcp-service-account=[GSA_NAME]@[PROJECT_ID] annotation to your "
    "Kubernetes service account.\n"
).encode()


def _gke_refusal(settings: Settings, identity: str) -> Response | None:
    """What GKE's server says where the pod may not act as the account that it names.

    UNCONFIRMED for ID tokens: the words that are known speak of access tokens.
    """
    if settings.metadata == "gke-unbound":
        said = (
            "Unable to generate access token; IAM returned 403 Forbidden: Permission "
            "'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).\n"
            "This error could be caused by a missing IAM policy binding on the target IAM service "
            "account.\n"
        )
        return Response(403, said.encode())
    if settings.metadata == "gke-no-account":
        said = (
            "Unable to generate access token; IAM returned 404 Not Found: Not found; Gaia id not "
            f"found for email {identity}\n"
        )
        return Response(404, said.encode())
    return None


def _listing(request: Request, identity: str) -> Response:
    if request.query.get("recursive", "").lower() != "true":
        return _text("aliases\nemail\nidentity\nscopes\ntoken\n")
    scopes = sorted(CLOUD_SCOPES)
    return json_response({"aliases": ["default"], "email": identity, "scopes": scopes})


def _text(value: str) -> Response:
    return Response(200, value.encode(), (_TEXT,))


def environment(address: str) -> dict[str, str]:
    """Environment variables that lead google-auth to a metadata server at *address*."""
    names = ("GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT")
    return dict.fromkeys(names, address)
