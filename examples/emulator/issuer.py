"""The token issuers: oauth2.googleapis.com, sts.googleapis.com, and the emulator's own control.

All answer on one address; each checks what Google checks, and errors read as Google's do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from emulator.access_tokens import grant_access
from emulator.assets import Assets
from emulator.errors import GoogleError, json_response, oauth_error
from emulator.iam import Iam
from emulator.play import play
from emulator.secret import Secrets
from emulator.state import State
from emulator.sts import Sts
from emulator.tokens import CLOUD_SCOPES, TokenError, check_window, peek
from emulator.wire import Answer, Form, Handler, Request, Response

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_TOKEN_URL = "https://oauth2.googleapis.com/token"

_BOUNDARY = re.compile(r"/v1/(?:projects|locations)/.*/allowedLocations")


class Issuer:
    """Routes requests; ``url`` is set once the server has its port."""

    def __init__(self, state: State, secrets: Secrets) -> None:
        self._state = state
        self._secrets = secrets
        self._iam = Iam(state)
        self._assets = Assets(state)
        self.url = ""
        sts = Sts(state, secrets)
        self._routes: dict[tuple[str, str], Handler] = {
            ("POST", "/token"): self._token,
            ("POST", "/oauth2/v4/token"): self._token,
            ("POST", "/v1/token"): lambda it: self._form(it, "sts", sts.exchange),
            ("POST", "/v1/oauthtoken"): lambda it: self._form(it, "sts", sts.workforce),
            ("GET", "/subject-token"): self._subject_token,
            ("GET", "/certs"): lambda _: json_response(state.tokens.jwks()),
            ("GET", "/oauth2/v3/certs"): lambda _: json_response(state.tokens.jwks()),
            ("GET", "/_emulator/counts"): lambda _: json_response(state.counts.tree()),
            ("POST", "/_emulator/reset"): lambda _: self._done(state.counts.reset),
            ("POST", "/_emulator/revoke"): lambda _: self._done(state.tokens.revoke),
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
        form = request.form
        if form is None:
            return oauth_error("invalid_request", "The request is not a form.")
        return self._play(kind, "", lambda: answer(request, form))

    def _token(self, request: Request) -> Answer:
        form = request.form or {}
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
        return grant_access(self._state, "service_account", claims["iss"], str(scope).split())

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
        return grant_access(
            self._state, "authorized_user", user, scopes, id_token=own, scope=" ".join(scopes)
        )

    def _subject_token(self, request: Request) -> Answer:
        def answer() -> Response:
            if request.headers.get("x-emulator-source") != "yes":
                return Response(403, b"the credential source's own header is missing\n")
            return json_response({"value": self._secrets.subject_token})

        return self._play("subject_token", "", answer)

    def _done(self, action: Callable[[], None]) -> Response:
        action()
        return Response(204)


def _grant_error(reason: str) -> Response:
    if reason == "account not found":
        return oauth_error("invalid_grant", "Invalid grant: account not found")
    if reason == "malformed":
        return oauth_error("invalid_grant", "Bad Request")
    return oauth_error("invalid_grant", "Invalid JWT Signature.")


def _peek(assertion: str) -> dict[str, Any]:
    """Claims of a JWT, unverified: enough to pick the faults that are meant for it."""
    try:
        return peek(assertion)[1]
    except TokenError:
        return {}
