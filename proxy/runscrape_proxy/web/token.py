"""The token endpoint: RFC 6749, section 4.4 (client credentials), with an ``audience``.

It is plain WSGI and not a Flask view: a warm answer takes tens of microseconds, and Flask's own
part of a request is several times that. Everything else of the app is Flask's.
"""

from __future__ import annotations

import json
import logging
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import unquote_to_bytes

from runscrape_proxy.access.audiences import printable
from runscrape_proxy.errors import (
    InvalidRequest,
    MethodNotAllowed,
    OAuthError,
    RequestTooLarge,
    UnsupportedGrantType,
    UnsupportedMediaType,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from runscrape_proxy.access.audiences import Policy
    from runscrape_proxy.model import AudienceStatus, Token
    from runscrape_proxy.web.metrics import Metrics

log = logging.getLogger(__name__)

TOKEN, PAGE = "/token", "/"
"""Where tokens are asked for; ``/`` is so in jobs written for other token proxies."""

MAX_BODY = 16 * 1024
"""Bytes: an audience has at most some hundred."""

MAX_KEPT, MAX_BODIES = 512, 16_384
"""Of how many bytes, and how many of them, bodies are remembered with what they say."""

FORM = "application/x-www-form-urlencoded"

# RFC 6749, section 5.1: no cache may keep an answer that holds a token.
NO_STORE = (("Cache-Control", "no-store"), ("Pragma", "no-cache"))
_AUDIENCE = "runscrape.audience"
_OK = f"{HTTPStatus.OK.value} {HTTPStatus.OK.phrase}"


class Tokens(Protocol):
    """What the HTTP side needs of :class:`runscrape_proxy.tokens.keeper.Tokens`."""

    def get(self, audience: str) -> Token:
        """Return a token, or raise TemporarilyUnavailable."""
        ...

    def expires_in(self, token: Token) -> int:
        """Say for how many seconds a client may use it, or raise TemporarilyUnavailable."""
        ...

    def statuses(self) -> tuple[AudienceStatus, ...]:
        """Say what is known of each audience, sorted by audience."""
        ...

    def ready(self) -> bool:
        """Say whether every audience asked for has a usable token."""
        ...


class Answer(NamedTuple):
    """One HTTP answer, whoever sends it."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


class TokenEndpoint:
    """WSGI: checks where every request comes from, answers token requests, hands on the rest."""

    def __init__(
        self, following: WSGIApplication, *, tokens: Tokens, policy: Policy, metrics: Metrics
    ) -> None:
        self._following = following
        self._tokens = tokens
        self._policy = policy
        self._metrics = metrics

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] == TOKEN or (
            environ["PATH_INFO"] == PAGE and environ["REQUEST_METHOD"] not in {"GET", "HEAD"}
        ):
            answer = self._token(environ)
        else:
            try:
                self._policy.origin.check(environ)
            except OAuthError as error:
                answer = refusal(error, environ)
            else:
                return self._following(environ, start_response)
        start_response(answer.status, answer.headers)
        return [answer.body]

    def _token(self, environ: WSGIEnvironment) -> Answer:
        try:
            self._policy.origin.check(environ)
            answer = self._grant(environ)
        except OAuthError as error:
            self._metrics.token_request(error.error)
            return refusal(error, environ)
        except Exception:
            self._metrics.token_request("server_error")
            log.exception("a token request failed in a way that it must not")
            return server_error()
        self._metrics.token_request("ok")
        return answer

    def _grant(self, environ: WSGIEnvironment) -> Answer:
        if environ["REQUEST_METHOD"] != "POST":
            allow = "POST" if environ["PATH_INFO"] == TOKEN else "GET, HEAD, POST"
            raise MethodNotAllowed("a token is asked for with POST", allow=allow)
        form = read_form(environ)
        if form.get("grant_type", "client_credentials") != "client_credentials":
            raise UnsupportedGrantType("only grant_type=client_credentials is supported")
        audience = form.get("audience", "")
        environ[_AUDIENCE] = audience
        self._policy.clients.check(environ.get("HTTP_AUTHORIZATION"), form)
        if not audience:
            raise InvalidRequest(
                "no audience: set endpoint_params: {audience: https://SERVICE-URL} in the oauth2"
                " block"
            )
        self._policy.audiences.check(audience)
        token = self._tokens.get(audience)
        seconds = self._tokens.expires_in(token)
        if log.isEnabledFor(logging.DEBUG):
            fields = {"audience": audience, "expires_in": seconds}
            log.debug("token answered", extra={"fields": fields})
        return token_answer(token, seconds)


def read_form(environ: WSGIEnvironment) -> Mapping[str, str]:
    """Read the form of a token request.

    Raises UnsupportedMediaType, RequestTooLarge and InvalidRequest: not a form, or a parameter
    that came twice (RFC 6749, section 3.2).
    """
    media_type = environ.get("CONTENT_TYPE", "")
    if media_type != FORM and media_type.partition(";")[0].strip().lower() != FORM:
        raise UnsupportedMediaType(f"the body of a token request is {FORM}")
    body = _body(environ)
    # A job sends the same bytes each time. What holds a secret is not kept.
    kept = len(body) <= MAX_KEPT and b"secret" not in body
    return _parse_kept(body) if kept else _parse(body)


def _parse(body: bytes) -> Mapping[str, str]:
    form: dict[str, str] = {}
    for part in filter(None, body.split(b"&")):
        name, equals, value = part.partition(b"=")
        if not equals:
            raise InvalidRequest(f"the body is not {FORM}")
        decoded = _decoded(name)
        if decoded in form:
            raise InvalidRequest(
                f"{printable(decoded, 40)} came twice: send one of each, one audience a request"
            )
        form[decoded] = _decoded(value)
    return form


_parse_kept = lru_cache(maxsize=MAX_BODIES)(_parse)


def _decoded(part: bytes) -> str:
    """Undo application/x-www-form-urlencoded; quicker than urllib's parse_qsl, which goes by text.

    Raises InvalidRequest for what is not UTF-8.
    """
    if b"%" in part or b"+" in part:
        part = unquote_to_bytes(part.replace(b"+", b" "))
    try:
        return part.decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"the body is not {FORM} in UTF-8") from None


def _body(environ: WSGIEnvironment) -> bytes:
    length = environ.get("CONTENT_LENGTH")
    # Without a length it is chunked: one byte more shows whether it is too large.
    wanted = int(length) if length else MAX_BODY + 1
    if wanted <= MAX_BODY or not length:
        body: bytes = environ["wsgi.input"].read(wanted)
        if len(body) <= MAX_BODY:
            return body
    raise RequestTooLarge(f"the body of a token request has at most {MAX_BODY // 1024} KiB")


def refusal(error: OAuthError, environ: WSGIEnvironment) -> Answer:
    """Turn an error into its answer (RFC 6749, section 5.2), and into one line of the log."""
    fields: dict[str, object] = {"error": error.error, "status": error.status.value}
    if client := environ.get("REMOTE_ADDR"):
        fields["client"] = client
    if audience := environ.get(_AUDIENCE):
        fields["audience"] = printable(audience)
    log.warning("refused: %s", error.description, extra={"fields": fields})
    return json_answer(
        f"{error.status.value} {error.status.phrase}",
        {"error": error.error, "error_description": printable(error.description, 600)},
        error.headers.items(),
    )


def server_error() -> Answer:
    """Answer for our own bug: nothing of it is told."""
    return json_answer(
        "500 Internal Server Error",
        {
            "error": "server_error",
            "error_description": "an error inside runscrape-proxy: see its log",
        },
    )


def token_answer(token: Token, seconds: int) -> Answer:
    """Lay out a token as RFC 6749, section 5.1, has it."""
    # As json.dumps would, in a tenth of the time: a JWT has nothing that JSON would escape.
    body = f'{{"access_token": "{token.value}", "token_type": "Bearer", "expires_in": {seconds:d}}}'
    return Answer(_OK, _headers(len(body)), body.encode())


def json_answer(
    status: str, content: dict[str, object], headers: Iterable[tuple[str, str]] = ()
) -> Answer:
    """Lay out one JSON answer that nobody may cache."""
    body = json.dumps(content).encode()
    return Answer(status, [*_headers(len(body)), *headers], body)


def _headers(length: int) -> list[tuple[str, str]]:
    # Prometheus' client parses JSON only where the media type says so.
    return [("Content-Type", "application/json"), ("Content-Length", str(length)), *NO_STORE]
