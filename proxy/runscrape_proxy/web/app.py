"""The HTTP side of the proxy: one Flask application, given everything that it needs."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from flask import Flask, Response, render_template, request

from runscrape_proxy.web import errors, metrics, page
from runscrape_proxy.web import token as endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscrape_proxy.access.audiences import Policy
    from runscrape_proxy.clock import GoogleClock
    from runscrape_proxy.model import AudienceStatus, Minter

MAX_REASONS = 100
"""Lines in the body of a red /-/ready."""

TEXT = "text/plain; charset=utf-8"


def create_app(
    *,
    tokens: endpoint.Tokens,
    policy: Policy,
    counters: metrics.Metrics,
    minter: Minter,
    clock: GoogleClock,
    wall: Callable[[], float] = time.time,
) -> Flask:
    """Return the WSGI application."""
    app = Flask(__name__, static_folder=None, template_folder=".")
    app.url_map.merge_slashes = False  # //metrics is another path, and no reason to redirect
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.config["MAX_CONTENT_LENGTH"] = endpoint.MAX_BODY + 1
    app.jinja_env.trim_blocks = True
    app.jinja_env.get_template("page.html")  # read now: later there may be no file descriptor left
    app.before_request(lambda: policy.origin.check(request.environ))
    app.register_blueprint(endpoint.blueprint(tokens, policy, counters))
    errors.install(app, counters, policy)
    inventory = policy.audiences.inventory

    @app.get("/")
    def people() -> Response:
        shown = page.view(
            tokens.statuses(),
            minter=minter,
            inventory=inventory,
            globs=policy.audiences.globs,
            query=request.args.get("q", "")[:200].strip(),
            clock=clock,
            now=wall(),
        )
        nonce = secrets.token_urlsafe(16)
        answer = Response(render_template("page.html", view=shown, nonce=nonce))
        answer.headers.update(_page_headers(nonce))
        return answer

    @app.get("/metrics")
    def exposition() -> Response:
        return Response(counters.exposition(), content_type=metrics.CONTENT_TYPE)

    @app.get("/-/healthy")
    def healthy() -> Response:
        return Response("runscrape-proxy is up\n", content_type=TEXT)

    @app.get("/-/ready")
    def ready() -> Response:
        reasons = []
        files = inventory.files if inventory is not None else ()
        reasons += [f"inventory {f.path}: {f.error}" for f in files if f.value is None]
        if not tokens.ready():
            reasons += _missing(tokens.statuses())
        if not reasons:
            return Response("ready\n", content_type=TEXT)
        body = "\n".join(["not ready", *reasons, ""])
        return Response(body, status=503, content_type=TEXT)

    @app.after_request
    def keep_nothing(answer: Response) -> Response:
        if answer.is_json:  # RFC 6749, section 5.1: no cache may keep an answer that holds a token
            answer.headers.update({"Cache-Control": "no-store", "Pragma": "no-cache"})
        return answer

    return app


def _missing(statuses: tuple[AudienceStatus, ...]) -> list[str]:
    waiting = [s for s in statuses if s.left is None or s.left <= 0 or s.last_error]
    reasons = [f"{s.audience}: {s.last_error or 'no token yet'}" for s in waiting[:MAX_REASONS]]
    if len(waiting) > MAX_REASONS:
        reasons.append(f"and {len(waiting) - MAX_REASONS} more")
    return reasons or ["tokens are about to end"]


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
        "Cache-Control": "no-store",
    }
