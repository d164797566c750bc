"""Cloud Run's front end: ingress and ID tokens are checked before the app sees a request."""

from __future__ import annotations

import html

from emulator.app import Apps
from emulator.model import Service
from emulator.state import State
from emulator.tokens import TokenError
from emulator.wire import Answer, Request, Response, bearer, outcome

_OWN_HEADER = "x-serverless-authorization"
_HTML = ("Content-Type", "text/html; charset=UTF-8")
_WORDS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "Page not found",
}
_INVALID = (
    "WWW-Authenticate",
    'Bearer error="invalid_token" error_description="The access token could not be verified"',
)
_MISSING = ("WWW-Authenticate", "Bearer")


class Services:
    """Answers for every ``run.app`` host and custom domain of the live world."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._apps = Apps(state)

    def handle(self, request: Request) -> Answer:
        """Answer a request to whatever its Host header names, as Cloud Run would."""
        index = self._state.index
        service = index.hosts.get(request.host)
        if service is None:
            self._state.counts.add("scrapes", request.host, "404")
            return _refusal(404, request)
        self._state.last_requests[service.key] = request
        refusal = self._refused(service, request, index.audiences(service))
        answer = refusal or self._apps.handle(service, request)
        self._state.counts.add("scrapes", service.key, outcome(answer))
        return answer

    def _refused(
        self, service: Service, request: Request, audiences: tuple[str, ...]
    ) -> Response | None:
        """Give the refusal, None where the request may pass."""
        if service.ingress != "all" or not service.ready:
            return _refusal(404, request)  # nothing here is inside the VPC
        if service.iap_enabled:
            return self._refused_by_iap(service, request)
        return None if service.public else self._refused_by_iam(service, request, audiences)

    def _refused_by_iam(
        self, service: Service, request: Request, audiences: tuple[str, ...]
    ) -> Response | None:
        """Cloud Run's own check: an ID token for one of *audiences* from one of the invokers."""
        token = bearer(request.headers.get(_OWN_HEADER, request.headers.get("authorization")))
        if token is None:
            return _refusal(401, request, _MISSING)
        try:
            identity = self._state.tokens.identity(token, audiences)
        except TokenError:
            return _refusal(401, request, _INVALID)
        invokers = service.invokers or ()
        if identity in invokers or "allAuthenticatedUsers" in invokers:
            return None
        return _refusal(403, request, _INVALID)

    def _refused_by_iap(self, service: Service, request: Request) -> Response | None:
        """Identity-Aware Proxy wants its own audience, which stands in ``custom_audiences``."""
        token = bearer(request.headers.get("authorization"))
        if token is None:
            location = "https://accounts.google.com/o/oauth2/v2/auth"
            return Response(302, headers=(("Location", location),))
        try:
            identity = self._state.tokens.identity(token, service.custom_audiences)
        except TokenError as error:
            text = f"Invalid IAP credentials: {error}"
            return Response(401, text.encode(), (("X-Goog-IAP-Generated-Response", "true"),))
        return None if identity in (service.invokers or ()) else _refusal(403, request)


def _refusal(status: int, request: Request, *headers: tuple[str, str]) -> Response:
    words = _WORDS[status]
    path = html.escape(request.path)
    said = (
        f"The requested URL <code>{path}</code> was not found on this server."
        if status == 404
        else f"Your client does not have permission to the requested URL <code>{path}</code>."
    )
    page = (
        f"<html><head><title>{status} {words}</title></head>"
        f"<body><h1>Error: {words}</h1><h2>{said}</h2></body></html>\n"
    )
    return Response(status, page.encode(), (_HTML, *headers))
