"""What may be read: the page for people, the metrics, the targets for service discovery."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from flask import Blueprint, Response, request

from runscrape_proxy.errors import TemporarilyUnavailable
from runscrape_proxy.inventory import OncePerInventory
from runscrape_proxy.web import page
from runscrape_proxy.web.metrics import CONTENT_TYPE
from runscrape_proxy.web.targets import as_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscrape_proxy.access.policy import Policy
    from runscrape_proxy.clock import GoogleClock
    from runscrape_proxy.model import Minter
    from runscrape_proxy.tokens.keeper import Tokens
    from runscrape_proxy.web.metrics import Metrics


def blueprint(
    *,
    tokens: Tokens,
    policy: Policy,
    metrics: Metrics,
    minter: Minter,
    clock: GoogleClock,
    wall: Callable[[], float],
) -> Blueprint:
    """The page, the metrics and the targets."""
    routes = Blueprint("reading", __name__)
    inventory = policy.audiences.inventory
    targets = OncePerInventory(as_json)

    @routes.before_request
    def only_for_clients() -> None:
        policy.check_reader(request.environ)

    @routes.get("/")
    def people() -> Response:
        nonce = secrets.token_urlsafe(16)
        content = page.render(
            tokens.statuses(),
            minter=minter,
            policy=policy,
            query=request.args.get("q", "")[:200].strip(),
            clock=clock,
            now=wall(),
            nonce=nonce,
        )
        # JSON can hold half a surrogate pair, which UTF-8 cannot.
        answer = Response(content.encode(errors="replace"))
        answer.headers.update(_page_headers(nonce))
        return answer

    @routes.get("/targets")
    def service_discovery() -> Response:
        held = inventory.value if inventory is not None else None
        if held is None:
            why = inventory.error if inventory is not None else "start it with --inventory"
            raise TemporarilyUnavailable(f"there is no inventory: {why}", retry_after=5)
        return Response(targets.of(held), content_type="application/json")

    @routes.get("/metrics")
    def exposition() -> Response:
        return Response(metrics.exposition(), content_type=CONTENT_TYPE)

    return routes


def _page_headers(nonce: str) -> dict[str, str]:
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}';"
        " img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
