"""The HTTP side of the proxy: one Flask application, given everything that it needs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flask import Flask, Response, request

from runscrape_proxy.web import errors, health, reading, token

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscrape_proxy.access.policy import Policy
    from runscrape_proxy.clock import GoogleClock
    from runscrape_proxy.model import Minter
    from runscrape_proxy.tokens.keeper import Tokens
    from runscrape_proxy.web.metrics import Metrics


def create_app(
    *,
    tokens: Tokens,
    policy: Policy,
    metrics: Metrics,
    minter: Minter,
    clock: GoogleClock,
    wall: Callable[[], float] = time.time,
    prewarming: Callable[[], bool] = lambda: False,
) -> Flask:
    """Return the WSGI application; ``prewarming`` says that tokens are still to be asked for."""
    app = Flask(__name__, static_folder=None, template_folder=".")
    app.url_map.merge_slashes = False  # //metrics is another path, and no reason to redirect
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.config["MAX_CONTENT_LENGTH"] = token.MAX_BODY + 1
    app.jinja_env.trim_blocks = True
    app.jinja_env.get_template("page.html")  # read now: later there may be no file descriptor left
    app.before_request(lambda: policy.origin.check(request.environ))
    app.register_blueprint(token.blueprint(tokens, policy, metrics))
    app.register_blueprint(health.blueprint(tokens, policy, prewarming))
    app.register_blueprint(
        reading.blueprint(
            tokens=tokens,
            policy=policy,
            metrics=metrics,
            minter=minter,
            clock=clock,
            wall=wall,
        )
    )
    errors.install(app, metrics, policy)

    @app.after_request
    def keep_nothing(answer: Response) -> Response:
        answer.headers["Cache-Control"] = "no-store"
        if answer.is_json:  # RFC 6749, section 5.1: no cache may keep an answer that holds a token
            answer.headers["Pragma"] = "no-cache"
        return answer

    return app
