"""Cloud Run as a client meets it: what is checked, in which order, before the app is asked.

Host, reserved paths, ingress, IAP, the invoker, the instance, the app: the order is inferred from
recorded answers (a service with internal ingress answers 404 whatever the credentials are).
"""

from __future__ import annotations

import dataclasses
import threading

from emulator import front_end
from emulator.app import Apps
from emulator.iap import refusal_by_iap
from emulator.model import Service, World
from emulator.state import State
from emulator.tokens import TokenError
from emulator.wire import Answer, Request, Response, bearer, outcome

_OWN_HEADER = "x-serverless-authorization"
_RESERVED = ("/healthz",)
"""Paths that the Google Front End keeps. The documentation names more (/eventlog, /_ah/, some that
end in z); of nine that were tried, /_ah/health among them, only this one was."""
_GCLOUD = "32555940559.apps.googleusercontent.com"
"""The audience of a user's token from gcloud, which is taken for any service."""


class Services:
    """Answers for every ``run.app`` host and custom domain of the live world."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._apps = Apps(state)
        self._troubles: dict[str, int] = {}
        self._lock = threading.Lock()
        state.on_update.append(self._forget_troubles)

    def handle(self, request: Request) -> Answer:
        """Answer a request to whatever its Host header names."""
        service, request = self._state.index.find(request)
        name = service.key if service else request.host
        if service:
            self._state.last_requests[service.key] = request
        answer = self._answer(service, request)
        self._state.counts.add("scrapes", name, outcome(answer))
        return answer

    def _answer(self, service: Service | None, request: Request) -> Answer:
        if request.path in _RESERVED:
            return front_end.reserved(request)
        if service is None or service.ingress != "all":  # nothing here is inside the VPC
            return front_end.not_found()
        refusal = self._refusal(service, request) or self._trouble(service)
        if refusal:
            return refusal
        seen = _without_signature(request)
        self._state.app_requests[service.key] = seen
        answer = self._apps.handle(service, seen)
        if isinstance(answer, Response):
            headers = (*answer.headers, *front_end.through_cloud_run())
            return dataclasses.replace(answer, headers=headers)
        return answer

    def _refusal(self, service: Service, request: Request) -> Response | None:
        if service.perimeter:  # VPC Service Controls; UNCONFIRMED which page its 403 has
            return front_end.forbidden(request)
        if service.iap_enabled:
            return refusal_by_iap(self._state, service, request)
        invokers = self._state.invokers(service)
        if service.invoker_iam_disabled or "allUsers" in invokers:
            return None
        return self._refused_by_iam(service, request, invokers)

    def _refused_by_iam(
        self, service: Service, request: Request, invokers: tuple[str, ...]
    ) -> Response | None:
        """Cloud Run's own check: an ID token for the service from one of its invokers."""
        header = _OWN_HEADER if _OWN_HEADER in request.headers else "authorization"
        token = bearer(request.headers.get(header))
        if header in request.repeated or (token and "," in token):
            return front_end.unauthorized(request)
        if token is None:  # UNCONFIRMED for another scheme than Bearer
            return front_end.forbidden(request)
        try:
            identity = self._state.tokens.identity(token, (*_audiences(service), _GCLOUD))
        except TokenError as error:
            self._state.counts.add("refused_tokens", service.key, str(error))
            return front_end.unauthorized(request)
        if identity in invokers or "allAuthenticatedUsers" in invokers:
            return None
        return front_end.forbidden(request)

    def _trouble(self, service: Service) -> Response | None:
        """What keeps Cloud Run from asking the app."""
        idle = service.scaling_mode == "MANUAL" and not service.manual_instances  # UNCONFIRMED
        if not service.latest_ready_revision or idle:
            return front_end.in_trouble("unavailable")
        if service.trouble is None:
            return None
        with self._lock:
            count = self._troubles[service.key] = self._troubles.get(service.key, 0) + 1
        if service.trouble_first and count > service.trouble_first:
            return None
        return front_end.in_trouble(service.trouble)

    def _forget_troubles(self, _world: World) -> None:
        with self._lock:
            self._troubles.clear()


def _audiences(service: Service) -> tuple[str, ...]:
    """Audiences that the service takes: its URLs, with or without a final slash, and custom ones.

    A tag's URL, a path below the root and a name without scheme are none. UNCONFIRMED: that a host
    takes the audience of the service's other host (common use), and other cases or ports.
    """
    urls = service.urls or ()
    return (*urls, *(f"{url}/" for url in urls), *service.custom_audiences)


def _without_signature(request: Request) -> Request:
    """What reaches the container: the token that was checked no longer has its signature."""
    header = _OWN_HEADER if _OWN_HEADER in request.headers else "authorization"
    token = bearer(request.headers.get(header))
    if token is None or token.count(".") != 2:
        return request
    removed = f"Bearer {token.rpartition('.')[0]}.SIGNATURE_REMOVED_BY_GOOGLE"
    return dataclasses.replace(request, headers=request.headers | {header: removed})
