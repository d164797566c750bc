"""The token issuers: oauth2.googleapis.com, sts.googleapis.com, and the emulator's own control.

All answer on one address; each checks what Google checks, and errors read as Google's do.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

from emulator.assets import Assets
from emulator.errors import GoogleError, json_response, oauth_error, of_http
from emulator.faults import IssuerFault, fired
from emulator.iam import Iam
from emulator.secret import Secrets
from emulator.state import State
from emulator.tokens import CLOUD_SCOPES, TokenError, check_window
from emulator.wire import Answer, Drop, Handler, Hang, Request, Response, outcome
from emulator.world import federated_principal

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"
SUBJECT_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:jwt"
_TOKEN_URL = "https://oauth2.googleapis.com/token"

_BOUNDARY = re.compile(r"/v1/(?:projects|locations)/.*/allowedLocations")

Form = Mapping[str, str]


class Issuer:
    """Routes requests; ``url`` is set once the server has its port."""

    def __init__(self, state: State, secrets: Secrets) -> None:
        self._state = state
        self._secrets = secrets
        self._iam = Iam(state)
        self._assets = Assets(state)
        self.url = ""
        self._routes: dict[tuple[str, str], Handler] = {
            ("POST", "/token"): self._token,
            ("POST", "/oauth2/v4/token"): self._token,
            ("POST", "/v1/token"): lambda it: self._form(it, "sts", self._exchange),
            ("POST", "/v1/oauthtoken"): lambda it: self._form(it, "sts", self._workforce),
            ("GET", "/subject-token"): self._subject_token,
            ("GET", "/certs"): lambda _: json_response(state.tokens.jwks()),
            ("GET", "/oauth2/v3/certs"): lambda _: json_response(state.tokens.jwks()),
            ("GET", "/_emulator/counts"): lambda _: json_response(state.counts.tree()),
            ("POST", "/_emulator/reset"): self._reset,
        }

    def handle(self, request: Request) -> Answer:
        """Answer a request, faults included."""
        route = self._routes.get((request.method, request.path), self._google_api)
        return route(request)

    def _google_api(self, request: Request) -> Answer:
        call = self._iam.route(request)
        if call is not None:
            return self._play(*call)
        if request.method == "GET" and _BOUNDARY.fullmatch(request.path):
            # google-auth asks in the background; this answer means that there is no boundary.
            return json_response({"encodedLocations": "0x0"})
        if search := self._assets.route(request):
            return search()
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["v1", "projects", number] if found := self._state.world.project(number):
                return json_response({"projectId": found[0], "projectNumber": str(found[1].number)})
        return GoogleError("NOT_FOUND", "Requested entity was not found.").response()

    def _play(self, kind: str, audience: str, answer: Callable[[], Response]) -> Answer:
        return play(self._state, kind, audience, answer)

    def _form(
        self, request: Request, kind: str, answer: Callable[[Request, Form], Response]
    ) -> Answer:
        form = parse_form(request)
        if form is None:
            return oauth_error("invalid_request", "The request is not a form.")
        return self._play(kind, "", lambda: answer(request, form))

    def _token(self, request: Request) -> Answer:
        form = parse_form(request) or {}
        grant = form.get("grant_type", "")
        if grant == "refresh_token":
            return self._play("authorized_user", "", lambda: self._refresh(form))
        if grant != JWT_GRANT:
            return oauth_error("unsupported_grant_type", f"Invalid grant_type: {grant}")
        claims = _peek(form.get("assertion", ""))
        audience = str(claims.get("target_audience", ""))
        return self._play("service_account", audience, lambda: self._jwt_grant(form))

    def _jwt_grant(self, form: Form) -> Response:
        try:
            claims = self._state.tokens.assertion(form.get("assertion", ""))
        except TokenError as error:
            return _grant_error(str(error))
        if claims.get("aud") not in (_TOKEN_URL, f"{self.url}/token"):
            right = f"Invalid JWT: Failed audience check. The right audience is {_TOKEN_URL}"
            return oauth_error("invalid_grant", right)
        try:
            check_window(claims, self._state.clock())
        except TokenError:
            return oauth_error(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
                "timeframe. Check your iat and exp values in the JWT claim.",
            )
        return self._granted(claims)

    def _granted(self, claims: Mapping[str, Any]) -> Response:
        settings = self._state.world.settings
        audience, scope = claims.get("target_audience"), claims.get("scope")
        if audience and isinstance(audience, str):
            self._state.counts.add("mints", "service_account", audience)
            token = self._state.tokens.id_token(audience, claims["iss"], settings.token_lifetime)
            return json_response({"id_token": token})
        if not scope:
            return oauth_error(
                "invalid_scope", "Invalid OAuth scope or ID token audience provided."
            )
        return self._access("service_account", claims["iss"], str(scope).split())

    def _access(self, kind: str, identity: str, scopes: object, **more: object) -> Response:
        lifetime = self._state.world.settings.access_token_lifetime
        self._state.counts.add("access_tokens", kind)
        names = [str(scope) for scope in scopes] if isinstance(scopes, list) else CLOUD_SCOPES
        token = self._state.tokens.access_token(identity, lifetime, names)
        value = {"access_token": token, "expires_in": int(lifetime), "token_type": "Bearer"}
        return json_response(value | more)

    def _refresh(self, form: Form) -> Response:
        known = self._secrets
        client = (form.get("client_id"), form.get("client_secret"))
        if client != (known.client_id, known.client_secret):
            return oauth_error("invalid_client", "The provided client secret is invalid.", 401)
        if form.get("refresh_token") != known.refresh_token:
            return oauth_error("invalid_grant", "Token has been expired or revoked.")
        scopes = form.get("scope", "").split() or sorted(CLOUD_SCOPES)
        user, lifetime = self._state.world.settings.user, self._state.world.settings.token_lifetime
        # As Google does: an ID token for gcloud's own client, of no use to any Cloud Run service.
        own = self._state.tokens.id_token(known.client_id, user, lifetime)
        return self._access("authorized_user", user, scopes, id_token=own, scope=" ".join(scopes))

    def _exchange(self, _request: Request, form: Form) -> Response:
        expected = (
            ("grant_type", EXCHANGE_GRANT, "unsupported_grant_type"),
            ("requested_token_type", ACCESS_TOKEN_TYPE, "invalid_request"),
            ("subject_token_type", SUBJECT_TOKEN_TYPE, "invalid_request"),
            ("audience", self._secrets.audience(self._state.world), "invalid_target"),
            ("subject_token", self._secrets.subject_token, "invalid_grant"),
        )
        for name, value, error in expected:
            if form.get(name, "").strip() != value:
                return oauth_error(error, f'Invalid value for "{name}".')
        scopes = form.get("scope", "").split()
        if not scopes:  # required for an external credential, says the API's reference
            return oauth_error("invalid_request", 'Invalid value for "scope".')
        principal = federated_principal(self._state.world)
        return self._access("sts", principal, scopes, issued_token_type=ACCESS_TOKEN_TYPE)

    def _workforce(self, request: Request, form: Form) -> Response:
        known = self._secrets
        if _basic(request) != (known.client_id, known.client_secret):
            return oauth_error("invalid_client", "Client authentication failed.", 401)
        if form.get("grant_type") != "refresh_token":
            return oauth_error("unsupported_grant_type", "Unsupported grant_type.")
        if form.get("refresh_token") != known.refresh_token:
            return oauth_error("invalid_grant", "Token has been expired or revoked.")
        principal = federated_principal(self._state.world).replace("workload", "workforce")
        return self._access("sts", principal, sorted(CLOUD_SCOPES))

    def _subject_token(self, request: Request) -> Answer:
        def answer() -> Response:
            if request.headers.get("x-emulator-source") != "yes":
                return Response(403, b"the credential source's own header is missing\n")
            return json_response({"value": self._secrets.subject_token})

        return self._play("subject_token", "", answer)

    def _reset(self, _request: Request) -> Response:
        self._state.counts.reset()
        return Response(204)


def play(state: State, kind: str, audience: str, answer: Callable[[], Response]) -> Answer:
    """Answer as *kind*, after the latency and with the faults that the world asks for; count it."""
    if audience:
        state.counts.add("requests", kind, audience)
    faults = [fault for fault in state.world.faults.issuers if fault.matches(kind, audience)]
    latency, fault = fired(faults)
    with state.counts.running(kind):
        state.wait(latency)
        given = _played(kind, fault, answer)
    state.counts.add("issuers", kind, outcome(given))
    return given


def _played(kind: str, fault: IssuerFault | None, answer: Callable[[], Response]) -> Answer:
    if fault is None:
        return answer()
    if fault.hang or fault.drop:
        return Hang() if fault.hang else Drop()
    if fault.garbage:
        page = b"<!doctype html><title>Sign in</title>"
        return Response(200, page, (("Content-Type", "text/html"),))
    if fault.status:
        return _failure(kind, fault.status)
    return dataclasses.replace(answer(), drip=fault.drip, close=True)


def _failure(kind: str, status: int) -> Response:
    if kind in ("service_account", "authorized_user", "sts"):
        error = "internal_failure" if status >= 500 else "invalid_grant"
        return oauth_error(error, f"The emulator was asked for HTTP status {status}.", status)
    plain = of_http(status).response()
    return Response(status, plain.body, plain.headers)


def _grant_error(reason: str) -> Response:
    if reason == "account not found":
        return oauth_error("invalid_grant", "Invalid grant: account not found")
    if reason == "malformed":
        return oauth_error("invalid_grant", "Bad Request")
    return oauth_error("invalid_grant", "Invalid JWT Signature.")


def parse_form(request: Request) -> Form | None:
    """Read an URL-encoded form; None where the Content-Type says that it is none."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind == "application/x-www-form-urlencoded":
        return dict(urllib.parse.parse_qsl(request.body.decode("utf-8", "replace")))
    return None


def _peek(assertion: str) -> dict[str, Any]:
    """Claims of a JWT, unverified: enough to pick the faults that are meant for it."""
    try:
        part = assertion.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _basic(request: Request) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(encoded).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (user, password) if scheme.lower() == "basic" else ("", "")
