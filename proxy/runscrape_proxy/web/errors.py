"""Every error of the Flask app, as one JSON answer of RFC 6749, section 5.2."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge

from runscrape_proxy.access.audiences import printable
from runscrape_proxy.access.refusals import Trouble
from runscrape_proxy.errors import OAuthError
from runscrape_proxy.troubles import Troubles
from runscrape_proxy.web.token import AUDIENCE_PARAMETERS, MAX_BODY, PATHS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscrape_proxy.access.policy import Policy
    from runscrape_proxy.web.metrics import Metrics

log = logging.getLogger(__name__)

MAX_TOLD = 1000
"""Different refusals that the log has in an hour: audiences can be invented without end."""


def install(app: Flask, metrics: Metrics, policy: Policy) -> None:
    """Answer all that is raised while a request is served."""
    told = Troubles(MAX_TOLD)

    def remember(status: int, error: str, description: str) -> None:
        """Log a trouble when it is new, and keep it for the page."""
        asked = printable(_asked())
        trouble = Trouble(request.remote_addr or "", asked, status, error)
        new = policy.refusals.note(trouble, description)
        new = new and told.is_new(" ".join(map(str, trouble)), error)
        level = logging.WARNING if new else logging.DEBUG
        fields: dict[str, object] = {"error": error, "status": status}
        if request.remote_addr:
            fields["client"] = request.remote_addr
        if asked:
            fields["audience"] = asked
        log.log(level, "refused: %s", description, extra={"fields": fields})

    @app.errorhandler(OAuthError)
    def refused(error: OAuthError) -> Response:
        _count(metrics, error.error)
        remember(error.status.value, error.error, error.description)
        return _answer(error.status, error.error, error.description, error.headers)

    @app.errorhandler(HTTPException)
    def not_served(error: HTTPException) -> Response:
        allow = _allow(error)
        said = f"{error.name}: see proxy/README.md for the paths of runscrape-proxy"
        if isinstance(error, RequestEntityTooLarge):
            said = f"the body of a token request has at most {MAX_BODY // 1024} KiB"
        elif allow and asks_for_a_token():
            said = "a token is asked for with POST"
        if asks_for_a_token():
            metrics.token_request("invalid_request")
            remember(error.code or 500, "invalid_request", said)
        return _answer(error.code or 500, "invalid_request", said, allow)

    @app.errorhandler(Exception)
    def our_fault(error: Exception) -> Response:
        _count(metrics, "server_error")
        log.error("a request failed in a way that it must not", exc_info=error)
        return _answer(500, "server_error", "an error inside runscrape-proxy: see its log")


def asks_for_a_token() -> bool:
    """Whether the request at hand is one of the token endpoint's."""
    page = request.path == "/" and request.method in {"GET", "HEAD"}
    return request.path in PATHS and not page


def _count(metrics: Metrics, result: str) -> None:
    if asks_for_a_token():
        metrics.token_request(result)


def _asked() -> str:
    """What was asked for, if that is known: a body that was not read yet is not read for this."""
    given = (g.get("form", {}), request.args)
    named = (source.get(name) for source in given for name in AUDIENCE_PARAMETERS)
    return next(filter(None, named), "")


def _allow(error: HTTPException) -> Mapping[str, str]:
    if not isinstance(error, MethodNotAllowed) or error.valid_methods is None:
        return {}
    return {"Allow": ", ".join(sorted(error.valid_methods))}


def _answer(
    status: int, error: str, description: str, headers: Mapping[str, str] | None = None
) -> Response:
    answer = jsonify(error=error, error_description=printable(description, 600))
    answer.status_code = status
    answer.headers.update(headers or {})
    return answer
