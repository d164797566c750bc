"""The token request, as Prometheus' OAuth 2.0 client (golang.org/x/oauth2) makes it.

First with the client's id and secret in Basic, each query-escaped; on any error at once again, with
both in the body. No token is ever shown: what is looked at are the claims.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import string
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlencode

from runscrape_generator.doctor.evidence import Answer, Claims, Exchange, TokenAnswer
from runscrape_generator.doctor.http.exchange import Request, exchange
from runscrape_generator.doctor.targets import Secret, TokenRequest
from runscrape_generator.text import from_json, printable, shortened

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_LONGEST = 600
"""Characters of a description that are shown."""
_GRANTED = range(200, 300)
_FORM_TYPES = {"text/plain", "application/x-www-form-urlencoded"}


def ask(wanted: TokenRequest, secret: Secret, seconds: float) -> TokenAnswer:
    """Ask for a token in both ways, until one gives it; ``seconds`` for each."""
    exchanges = []
    found = TokenAnswer()
    for request in _requests(wanted, secret):
        made = exchange(request, seconds)
        exchanges.append(made)
        found = _read(made)
        if found.token is not None or made.answer is None:
            break
    return dataclasses.replace(found, exchanges=tuple(exchanges))


def _requests(wanted: TokenRequest, secret: Secret) -> Iterator[Request]:
    form = {"grant_type": "client_credentials", **dict(wanted.params)}
    if wanted.scopes:
        form["scope"] = " ".join(wanted.scopes)
    pair = f"{quote_plus(wanted.client_id)}:{quote_plus(secret)}"
    basic = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    for more, headers in (
        ({}, _FORM | basic),
        ({"client_id": wanted.client_id, "client_secret": str(secret)}, _FORM),
    ):
        body = urlencode(sorted((form | more).items())).encode()
        yield Request(
            url=wanted.url,
            method="POST",
            headers=headers,
            body=body,
            transport=wanted.transport,
            secrets=(secret, quote_plus(secret)),
        )


def _read(made: Exchange) -> TokenAnswer:
    """Read an answer as x/oauth2 does: JSON by its Content-Type, else a query string."""
    answer = made.answer
    if answer is None or made.failure is not None:
        return TokenAnswer()
    content = _json(answer)
    if answer.status not in _GRANTED:
        return TokenAnswer(
            error=_text(content.get("error")), description=_text(content.get("error_description"))
        )
    if answer.content_type in _FORM_TYPES:
        content = {name: values[0] for name, values in parse_qs(answer.text).items()}
    try:
        return _granted(content)
    except ValueError as error:
        return TokenAnswer(unusable=str(error))


def _granted(content: Mapping[str, Any]) -> TokenAnswer:
    token = content.get("access_token")
    if not isinstance(token, str) or not token:
        raise ValueError("it has no access_token")
    if not set(token) <= _TOKEN_CHARACTERS:
        raise ValueError("its access_token is not text that fits into a header")
    return TokenAnswer(
        token=Secret(token), claims=claims(token), expires_in=_seconds(content.get("expires_in"))
    )


_TOKEN_CHARACTERS = set(string.ascii_letters + string.digits + string.punctuation)


def _seconds(value: object) -> float | None:
    """Read ``expires_in``: Go takes whole numbers, also as text, and fails on all else."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(  # noqa: TRY004 - of an answer, not of a caller's mistake
            f"its expires_in is {json.dumps(value)}, which is no whole number"
        )
    try:
        return int(value)
    except ValueError:
        raise ValueError("its expires_in is text that is no whole number") from None


def claims(token: str) -> Claims | None:
    """Read what a JWT says of itself, unverified; None for what is no JWT."""
    parts = token.split(".")
    try:
        payload = from_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (IndexError, ValueError):
        return None
    if not isinstance(payload, dict):
        return None
    return Claims(
        issuer=_text(payload.get("iss")),
        audience=_text(payload.get("aud")),
        email=_text(payload.get("email")),
        subject=_text(payload.get("sub")),
        issued_at=_number(payload.get("iat")),
        expires_at=_number(payload.get("exp")),
    )


def _json(answer: Answer) -> dict[str, Any]:
    try:
        content = from_json(answer.body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _text(value: object) -> str:
    """Take a text of a stranger for one line of a message."""
    if not isinstance(value, str):
        return ""
    return printable(shortened(value, _LONGEST))


def _number(value: object) -> float:
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if usable else 0.0  # type: ignore[arg-type]
