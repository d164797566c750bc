"""The gateway: ``GET http://HOST/PATH``, as a forward proxy gets it, becomes a scrape of Cloud Run.

It is plain WSGI in front of everything else, by the request line itself: ``PATH_INFO`` holds no
host, so that Flask would take a request for another machine as one for us. The branch is there
without ``--gateway`` too, to refuse.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from runscrape_proxy.errors import (
    Forbidden,
    InvalidClient,
    ScrapeError,
    TemporarilyUnavailable,
    printed,
)
from runscrape_proxy.gateway import headers as gateway_headers
from runscrape_proxy.gateway import request as gateway_request
from runscrape_proxy.gateway.body import Body
from runscrape_proxy.gateway.log import GatewayLog
from runscrape_proxy.gateway.scrape import PARKED, WAIT_SECONDS, Parked, Scrape
from runscrape_proxy.gateway.targets import AUTHORIZATION, find, index
from runscrape_proxy.http_client import Deadline
from runscrape_proxy.inventory import OncePerInventory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from runscrape_proxy.access.policy import Policy
    from runscrape_proxy.gateway.app_credentials import AppCredentials
    from runscrape_proxy.gateway.client import ServiceAnswer, ServiceClient
    from runscrape_proxy.gateway.metrics import GatewayMetrics
    from runscrape_proxy.gateway.request import ScrapeRequest
    from runscrape_proxy.gateway.slots import Slots
    from runscrape_proxy.gateway.targets import Target
    from runscrape_proxy.inventory import Inventories
    from runscrape_proxy.tokens.keeper import Tokens

log = logging.getLogger(__name__)


class Middleware:
    """WSGI: takes what names another host, hands on the rest to ``app``.

    ``gateway`` is None without ``--gateway``.
    """

    def __init__(self, app: WSGIApplication, *, policy: Policy, gateway: Gateway | None) -> None:
        self._app = app
        self._policy = policy
        self._gateway = gateway
        self._log = GatewayLog(policy.refusals)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if self._is_ours(environ):
            # http://HOST means its root (RFC 9112, section 3.2.2).
            environ["PATH_INFO"] = environ.get("PATH_INFO") or "/"
            environ.pop("HTTP_UPGRADE", None)  # Flask would want a path for WebSockets
            return self._app(environ, start_response)
        if self._gateway is not None:
            return self._gateway(environ, start_response)
        error = ScrapeError(
            HTTPStatus.FORBIDDEN,
            "this is no forward proxy: start runscrape-proxy with --gateway to scrape through it",
            phrase="start runscrape-proxy with --gateway",
        )
        self._log.refused("", error, environ)
        return refusal(error, start_response)

    def _is_ours(self, environ: WSGIEnvironment) -> bool:
        if environ.get("RAW_URI", "/").startswith(("/", "*")):
            return True
        exactly = self._gateway is not None  # http://127.0.0.1/ could mean a server on port 80
        return self._policy.origin.is_named_by(environ, exactly=exactly)


class Gateway:
    """Answers scrapes with what the service answers, or with a 4xx or 5xx of its own."""

    def __init__(
        self,
        *,
        policy: Policy,
        inventory: Inventories,
        tokens: Tokens,
        client: ServiceClient,
        credentials: AppCredentials,
        slots: Slots,
        metrics: GatewayMetrics,
    ) -> None:
        self._policy = policy
        self._inventory = inventory
        self._targets = OncePerInventory(lambda held: index(held.endpoints))
        self._tokens = tokens
        self._client = client
        self._credentials = credentials
        self._slots = slots
        self._metrics = metrics
        self._log = GatewayLog(policy.refusals)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one scrape. Raises Parked, where the server takes that for what it is."""
        scrape: Scrape | None = environ.pop(PARKED, None)
        host, answer = "", None
        try:
            if scrape is None:
                request, target = self._admit(environ)
                host = target.host
                deadline = Deadline(request.seconds)
                slot = self._slots.take(host, deadline, named=target.is_named_by(request.path))
                scrape = Scrape(target, slot, deadline)
                headers = self._headers(environ, target, deadline)
                scrape.call = self._client.ask(target, request.target, headers, deadline)
            host = scrape.target.host
            answer = self._wait(environ, scrape)
            body = Body(scrape, answer, environ, metrics=self._metrics, log=self._log)
            body.read_ahead()
            returned = gateway_headers.returning(answer.headers, answer.length)
            start_response(_status(answer.status), returned)
        except Exception as error:  # noqa: BLE001  a slot must not be lost, whatever it is
            if answer is not None:
                answer.close()
            refused = _as_refusal(error)
            self._end(scrape, refused)
            self._log.refused(host, refused, environ)
            return refusal(refused, start_response)
        return body

    def _wait(self, environ: WSGIEnvironment, scrape: Scrape) -> ServiceAnswer:
        """Wait for the head of the answer, in this thread only if there is no other way."""
        seconds: float | None = environ.get(WAIT_SECONDS)
        while True:
            answer = self._client.answer(
                scrape.call,
                scrape.target.host,
                scrape.deadline.left if seconds is None else seconds,
            )
            if answer is not None:
                return answer
            if seconds is not None:
                raise Parked(scrape)

    def _end(self, scrape: Scrape | None, refused: ScrapeError) -> None:
        """Give the slot back of a scrape that comes to nothing, if it got as far as that."""
        if scrape is not None:
            if refused.status != HTTPStatus.SERVICE_UNAVAILABLE:  # the service was not asked
                scrape.slot.in_time = refused.status != HTTPStatus.GATEWAY_TIMEOUT
            scrape.slot.give_back()
        self._metrics.answered(
            str(refused.status.value), None if scrape is None else scrape.seconds
        )

    def _admit(self, environ: WSGIEnvironment) -> tuple[ScrapeRequest, Target]:
        """Whether this client may ask for this. Raises ScrapeError, Forbidden, InvalidClient."""
        self._policy.origin.check_way(environ)
        request = gateway_request.parse(environ)
        self._policy.clients.check_basic(gateway_headers.credentials(environ))
        return request, self._target(request)

    def _target(self, request: ScrapeRequest) -> Target:
        """Find what is meant; where nothing known is, in the inventory as it is now.

        Prometheus may see a new service in the target file before we look at the inventory.
        """
        target = self._known(request)
        if target is None:
            self._inventory.refresh()
            target = self._known(request)
        if target is not None:
            return target
        if self._inventory.value is None:
            raise ScrapeError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"no inventory could be read yet ({self._inventory.error})",
                {"Retry-After": "5"},
            )
        if reason := gateway_request.two_readings(request.path):
            reason += (
                ", and the inventory does not name it: run runscrape, and see runscrape explain"
            )
            raise ScrapeError(HTTPStatus.BAD_REQUEST, reason)
        raise ScrapeError(
            HTTPStatus.FORBIDDEN,
            f"{request.host}:{request.port} is no target of a kept service in the inventory:"
            " run runscrape, and see runscrape explain",
        )

    def _known(self, request: ScrapeRequest) -> Target | None:
        held = self._inventory.value
        if held is None:
            return None
        return find(self._targets.of(held), request.host, request.port, request.path)

    def _headers(
        self, environ: WSGIEnvironment, target: Target, deadline: Deadline
    ) -> dict[str, str]:
        """What the service is sent: the scrape's own, the app's credentials, and the ID token.

        What the app wants for itself comes from the rule, or else from the client.
        """
        headers = gateway_headers.outgoing(environ)
        own: str | None = environ.get("HTTP_AUTHORIZATION")
        if target.credentials is not None:
            headers[AUTHORIZATION] = self._credentials.read(target.credentials)
        elif (
            own is not None
            and target.token_header != AUTHORIZATION
            and "HTTP_PROXY_AUTHORIZATION" in environ  # without it, Authorization was for us
            and not self._policy.clients.is_ours(own)
        ):
            headers[AUTHORIZATION] = own
        if target.audience is not None:
            token = self._tokens.get(target.audience, timeout=deadline.left)
            headers[target.token_header] = f"Bearer {token.value}"
        return headers


def refusal(error: ScrapeError, start_response: StartResponse) -> list[bytes]:
    """Answer with one line of text."""
    body = f"runscrape-proxy: {printed(error.reason)}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        *error.headers.items(),
    ]
    start_response(f"{error.status:d} {error.phrase}", headers)
    return [body]


def _as_refusal(error: Exception) -> ScrapeError:
    """Put what the rules shared with the token endpoint raise into the gateway's terms."""
    match error:
        case ScrapeError():
            return error
        case Forbidden():
            return ScrapeError(HTTPStatus.FORBIDDEN, error.description)
        case InvalidClient():
            # Not 401, which would look like the service's own.
            return ScrapeError(
                HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
                error.description,
                {"Proxy-Authenticate": error.challenge},
            )
        case TemporarilyUnavailable():
            return ScrapeError(
                HTTPStatus.SERVICE_UNAVAILABLE, f"no token: {error.description}", error.headers
            )
    log.error("a scrape failed in a way that it must not", exc_info=error)
    return ScrapeError(
        HTTPStatus.INTERNAL_SERVER_ERROR, "an error inside runscrape-proxy: see its log"
    )


def _status(code: int) -> str:
    try:
        return f"{code:d} {HTTPStatus(code).phrase}"
    except ValueError:
        return f"{code:d} Unknown"
