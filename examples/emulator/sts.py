"""The Security Token Service: workload identity federation, and workforce users (RFC 8693)."""

from __future__ import annotations

import base64
import binascii

from emulator.access_tokens import grant_access
from emulator.errors import oauth_error
from emulator.secret import Secrets
from emulator.state import State
from emulator.tokens import CLOUD_SCOPES
from emulator.wire import Form, Request, Response
from emulator.world import federated_principal

EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"
SUBJECT_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:jwt"


class Sts:
    """Answers token exchanges and refreshes."""

    def __init__(self, state: State, secrets: Secrets) -> None:
        self._state = state
        self._secrets = secrets

    def exchange(self, _request: Request, form: Form) -> Response:
        """Exchange the workload's own token for an access token."""
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
        return grant_access(
            self._state, "sts", principal, scopes, issued_token_type=ACCESS_TOKEN_TYPE
        )

    def workforce(self, request: Request, form: Form) -> Response:
        """Refresh a workforce user's access token."""
        known = self._secrets
        if _basic(request) != (known.client_id, known.client_secret):
            return oauth_error("invalid_client", "Client authentication failed.", 401)
        if form.get("grant_type") != "refresh_token":
            return oauth_error("unsupported_grant_type", "Unsupported grant_type.")
        if form.get("refresh_token") != known.refresh_token:
            return oauth_error("invalid_grant", "Token has been expired or revoked.")
        principal = federated_principal(self._state.world).replace("workload", "workforce")
        return grant_access(self._state, "sts", principal, sorted(CLOUD_SCOPES))


def _basic(request: Request) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(encoded).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (user, password) if scheme.lower() == "basic" else ("", "")
