"""The token endpoint: RFC 6749, section 4.4 (client credentials), with an ``audience``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from flask import Blueprint, Response, g, jsonify, request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge

from runscrape_proxy.access.audiences import printable
from runscrape_proxy.errors import InvalidRequest, UnsupportedGrantType, UnsupportedMediaType

if TYPE_CHECKING:
    from runscrape_proxy.access.policy import Policy
    from runscrape_proxy.tokens.keeper import Tokens
    from runscrape_proxy.web.metrics import Metrics

log = logging.getLogger(__name__)

PATHS: Final = ("/token", "/token/", "/oauth2/token", "/")
"""Where tokens are asked for; ``/`` is so in jobs written for other token proxies."""

MAX_BODY: Final = 16 * 1024
"""Bytes: an audience has at most some hundred."""

FORM: Final = "application/x-www-form-urlencoded"

AUDIENCE_PARAMETERS: Final = ("audience", "resource")
"""``resource`` is what RFC 8707, section 2, calls it."""


def blueprint(tokens: Tokens, policy: Policy, metrics: Metrics) -> Blueprint:
    """The routes under which tokens are asked for."""
    routes = Blueprint("token", __name__)

    def answer() -> Response:
        authorization = request.headers.get("Authorization")
        policy.clients.check_header(authorization)  # no body is read for a wrong secret
        form = read_form()
        policy.clients.check_form(form, authorization)
        query = each_once(request.args)
        for given in (form, query):
            if given.get("grant_type", "client_credentials") != "client_credentials":
                raise UnsupportedGrantType("only grant_type=client_credentials is supported")
        audience = policy.audiences.resolve(asked_for(form, query))
        token = tokens.get(audience)
        seconds = tokens.expires_in(token)
        log.debug("token answered", extra={"fields": {"audience": audience, "expires_in": seconds}})
        metrics.token_request("ok")
        return jsonify(access_token=token.value, token_type="Bearer", expires_in=seconds)

    for path in PATHS:
        routes.post(path)(answer)
    return routes


def read_form() -> MultiDict[str, str]:
    """The form of a token request.

    Raises UnsupportedMediaType and InvalidRequest, werkzeug's RequestEntityTooLarge.
    """
    if has_body() and request.mimetype != FORM:
        raise UnsupportedMediaType(f"the body of a token request is {FORM}")
    read_body()
    g.form = request.form  # for what is told of a refusal
    return each_once(request.form)


def each_once(given: MultiDict[str, str]) -> MultiDict[str, str]:
    """The parameters that have a value: the others count as not sent (RFC 6749, section 3.2).

    Raises InvalidRequest for one that comes twice.
    """
    sent = MultiDict((name, value) for name, value in given.items(multi=True) if value)
    for name, values in sent.lists():
        if len(values) > 1:
            raise InvalidRequest(
                f"{printable(name, 40)} came twice: send one of each, one audience a request"
            )
    return sent


def read_body() -> None:
    """Read the body, however it comes. Raises InvalidRequest, werkzeug's RequestEntityTooLarge."""
    if (request.content_length or 0) > MAX_BODY:
        raise RequestEntityTooLarge
    try:
        size = len(request.get_data())
    except RequestEntityTooLarge:
        raise
    except Exception:  # noqa: BLE001  each server raises its own errors for what a client sent
        raise InvalidRequest("the body breaks off, or its chunks are not HTTP") from None
    if size > MAX_BODY:  # werkzeug cuts a chunked body there
        raise RequestEntityTooLarge


def has_body() -> bool:
    """Whether the request at hand comes with a body."""
    return bool(request.content_length) or "Transfer-Encoding" in request.headers


def asked_for(*given: MultiDict[str, str]) -> str:
    """The one audience that the parameters of a request name.

    Raises InvalidRequest for none and for several.
    """
    named = [each.getlist(name) for each in given for name in AUDIENCE_PARAMETERS]
    different = dict.fromkeys(value for values in named for value in values)
    if not different:
        raise InvalidRequest(
            "no audience: set endpoint_params: {audience: https://SERVICE-URL} in the oauth2 block"
        )
    if len(different) > 1:
        raise InvalidRequest("several audiences: send one audience a request")
    return next(iter(different))
