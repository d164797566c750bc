"""``/-/healthy`` and ``/-/ready``: open to anybody, as probes have no credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, request

from runscrape_proxy.errors import InvalidClient, printed

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscrape_proxy.access.policy import Policy
    from runscrape_proxy.model import AudienceStatus
    from runscrape_proxy.tokens.keeper import Tokens

MAX_REASONS = 100
"""Lines in the body of a red /-/ready."""

TEXT = "text/plain; charset=utf-8"


def blueprint(tokens: Tokens, policy: Policy, prewarming: Callable[[], bool]) -> Blueprint:
    """The two paths. Neither asks Google."""
    routes = Blueprint("health", __name__)

    @routes.get("/-/healthy")
    def healthy() -> Response:
        return Response("runscrape-proxy is up\n", content_type=TEXT)

    @routes.get("/-/ready")
    def ready() -> Response:
        inventory = policy.audiences.inventory
        files = inventory.files if inventory is not None else ()
        reasons = [f"inventory {f.path}: {f.error}" for f in files if f.value is None]
        if prewarming():
            reasons.append("the tokens of the inventory are still to be asked for (--prewarm)")
        if not tokens.ready():
            reasons += _missing(tokens.statuses())
        if not reasons:
            return Response("ready\n", content_type=TEXT)
        told = reasons if _may_read(policy) else []
        lines = "\n".join(["not ready", *map(printed, told), ""])
        return Response(lines, status=503, content_type=TEXT)

    return routes


def _may_read(policy: Policy) -> bool:
    """Whether the client of the request at hand may read names and errors."""
    try:
        policy.check_reader(request.environ)
    except InvalidClient:
        return False
    return True


def _missing(statuses: tuple[AudienceStatus, ...]) -> list[str]:
    waiting = [s for s in statuses if s.left is None or s.left <= 0 or s.last_error]
    reasons = [f"{s.audience}: {s.last_error or 'no token yet'}" for s in waiting[:MAX_REASONS]]
    if len(waiting) > MAX_REASONS:
        reasons.append(f"and {len(waiting) - MAX_REASONS} more")
    return reasons or ["tokens are about to end"]
