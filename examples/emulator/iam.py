"""The IAM Credentials API: generateIdToken and generateAccessToken, delegation chains checked."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from emulator.errors import GoogleError, disabled, json_response, unauthenticated
from emulator.state import State
from emulator.tokens import IAM_SCOPES, TokenError
from emulator.wire import Request, Response

_ACTION = re.compile(r"/v1/projects/-/serviceAccounts/([^/:]+):(generate(?:IdToken|AccessToken))")
_DELEGATE = re.compile(r"projects/-/serviceAccounts/([^/]+)")
_AUDIENCE = "https://iamcredentials.googleapis.com/"
_SERVICE = "iamcredentials.googleapis.com"

Call = tuple[str, str, Callable[[], Response]]


class Iam:
    """Answers for service accounts of the live world."""

    def __init__(self, state: State) -> None:
        self._state = state

    def route(self, request: Request) -> Call | None:
        """Issuer kind, audience and the way to the answer; None for other paths."""
        found = _ACTION.fullmatch(request.path)
        if found is None or request.method != "POST":
            return None
        email, action = found.groups()
        body = _body(request)
        if action == "generateIdToken":
            audience = str((body or {}).get("audience", ""))
            return "generate_id_token", audience, self._guarded(self._id_token, request, email)
        return "generate_access_token", "", self._guarded(self._access_token, request, email)

    def _guarded(
        self, answer: Callable[[str, dict[str, Any]], Response], request: Request, email: str
    ) -> Callable[[], Response]:
        def guarded() -> Response:
            try:
                body = _needed_body(request)
                self._authorize(request, email, _delegates(body), _permission(answer.__name__))
                return answer(email, body)
            except GoogleError as error:
                return error.response()

        return guarded

    def _authorize(
        self, request: Request, email: str, delegates: list[str], permission: str
    ) -> None:
        """Check that the caller may act as the first delegate, it as the next, to *email*."""
        world, token = self._state.world, request.bearer
        try:
            caller = self._state.tokens.access(token or "", _AUDIENCE)
        except TokenError:
            what, reason = (
                ("had invalid", "ACCESS_TOKEN_INVALID")
                if token
                else ("is missing required", "CREDENTIALS_MISSING")
            )
            raise unauthenticated(what, reason, _SERVICE) from None
        if not caller.scopes & IAM_SCOPES:
            raise GoogleError(
                "PERMISSION_DENIED",
                "Request had insufficient authentication scopes.",
                "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                metadata={"service": _SERVICE},
            )
        if world.settings.iam_credentials_disabled:
            number = next(iter(world.projects.values())).number
            raise disabled(number, _SERVICE, "IAM Service Account Credentials API")
        accounts = world.accounts or {}
        actor = caller.identity
        for target in (*delegates, email):
            if target not in accounts and not delegates:
                raise GoogleError("NOT_FOUND", "Not found; Gaia id not found for email " + target)
            if target not in accounts or actor not in self._state.token_creators(target):
                raise _denied(permission)
            actor = target

    def _id_token(self, email: str, body: dict[str, Any]) -> Response:
        audience = body.get("audience")
        if not audience or not isinstance(audience, str):
            raise GoogleError("INVALID_ARGUMENT", "The audience is required.")
        lifetime = self._state.world.settings.token_lifetime
        extra = None if _true(body.get("includeEmail")) else {"email": None, "email_verified": None}
        self._state.counts.add("mints", "generate_id_token", audience)
        token = self._state.tokens.id_token(audience, email, lifetime, extra=extra)
        return json_response({"token": token})

    def _access_token(self, email: str, body: dict[str, Any]) -> Response:
        scopes = body.get("scope")
        if not scopes or not isinstance(scopes, list):
            raise GoogleError("INVALID_ARGUMENT", "Scope required.")
        lifetime = _lifetime(body.get("lifetime"))
        self._state.counts.add("access_tokens", "generate_access_token")
        token = self._state.tokens.access_token(email, lifetime, map(str, scopes))
        expires = dt.datetime.fromtimestamp(self._state.clock() + lifetime, dt.UTC)
        when = expires.strftime("%Y-%m-%dT%H:%M:%SZ")
        return json_response({"accessToken": token, "expireTime": when})


def _permission(answer: str) -> str:
    action = "getOpenIdToken" if answer == "_id_token" else "getAccessToken"
    return f"iam.serviceAccounts.{action}"


def _denied(permission: str) -> GoogleError:
    return GoogleError(
        "PERMISSION_DENIED",
        f"Permission '{permission}' denied on resource (or it may not exist).",
        "IAM_PERMISSION_DENIED",
        "iam.googleapis.com",
        {"permission": permission},
    )


def _delegates(body: Mapping[str, Any]) -> list[str]:
    """Emails of the delegation chain.

    The API's reference demands the form ``projects/-/serviceAccounts/EMAIL``.
    """
    emails = []
    for delegate in body.get("delegates") or []:
        found = _DELEGATE.fullmatch(str(delegate))
        if found is None:
            raise GoogleError("INVALID_ARGUMENT", f"Invalid form of account ID {delegate}.")
        emails.append(found[1])
    return emails


def _lifetime(value: object) -> float:
    """Seconds of a protobuf Duration; at most an hour."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)s", str(value or "3600s"))
    if found is None or not 0 < float(found[1]) <= 3600:
        raise GoogleError("INVALID_ARGUMENT", "The token lifetime must be at most 1 hour.")
    return float(found[1])


def _true(value: object) -> bool:
    return value is True or value == "true"  # google-auth sends the string


def _needed_body(request: Request) -> dict[str, Any]:
    body = _body(request)
    if body is None:
        raise GoogleError("INVALID_ARGUMENT", "Invalid JSON payload received.")
    return body


def _body(request: Request) -> dict[str, Any] | None:
    try:
        value = json.loads(request.body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
