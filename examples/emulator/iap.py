"""Identity-Aware Proxy: it wants a token for an OAuth client, not for the service's URL."""

from __future__ import annotations

import secrets

from emulator.front_end import INVALID_TOKEN
from emulator.model import Service
from emulator.state import State
from emulator.tokens import TokenError
from emulator.wire import Request, Response, bearer

_MARKER = ("X-Goog-IAP-Generated-Response", "true")
_HTML = ("Content-Type", "text/html; charset=UTF-8")
_SERVER = ("Server", "Google Frontend")
_SIGN_IN = "https://accounts.google.com/o/oauth2/v2/auth?client_id={}&response_type=code&scope=openid+email"
_WORDS = {
    "malformed": "Unable to parse JWT",
    "unknown key": "JWT signature is invalid",
    "bad signature": "JWT signature is invalid",
    "wrong audience": "Invalid bearer token. Invalid JWT audience.",
    "wrong issuer": "Invalid bearer token. Invalid JWT issuer.",  # UNCONFIRMED
    "expired": "Invalid bearer token. Expired JWT.",  # UNCONFIRMED
}
"""What IAP says of a token, by what is wrong with it."""


def refusal_by_iap(state: State, service: Service, request: Request) -> Response | None:
    """Give IAP's refusal, None where the request may pass."""
    token = bearer(request.headers.get("authorization"))
    if token is None:
        return _sign_in(service)
    try:
        identity = state.tokens.identity(token, service.iap_clients)
    except TokenError as error:
        return _refusal(401, f"Invalid IAP credentials: {_WORDS[str(error)]}")
    accessors = service.iap_accessors
    if identity not in (state.invokers(service) if accessors is None else accessors):
        return _refusal(403, f"You don't have access: {identity} was denied by IAP.")  # C: wording
    if not service.iap_agent:  # IAP's own account lacks roles/run.invoker: Cloud Run's 401
        return Response(401, b"", (_HTML, INVALID_TOKEN, _SERVER))
    return None


def _sign_in(service: Service) -> Response:
    """Send the client to Google's sign-in page, where a client that follows ends with a 200."""
    client = next(iter(service.iap_clients), "0-managed.apps.googleusercontent.com")
    cookie = f"GCP_IAP_XSRF_NONCE_{secrets.token_urlsafe(9)}=1; Path=/; Secure; HttpOnly"
    headers = (("Location", _SIGN_IN.format(client)), ("Set-Cookie", cookie))
    return _refusal(302, "Invalid IAP credentials: empty token", *headers)


def _refusal(status: int, text: str, *headers: tuple[str, str]) -> Response:
    return Response(status, text.encode(), (_HTML, *headers, _MARKER, _SERVER))
