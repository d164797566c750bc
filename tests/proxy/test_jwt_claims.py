"""Which of Google's answers are taken for an ID token."""

from __future__ import annotations

import base64
import json

import pytest

from runscrape_proxy.errors import MintError
from runscrape_proxy.google.jwt import read

AUDIENCE = "https://api.run.app"


def jwt(claims: object) -> str:
    """An unsigned JWT: nothing here looks at signatures."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJSUzI1NiJ9.{payload}.c2lnbmF0dXJl"


@pytest.mark.parametrize("ends", [1_800_000_000, 1_800_000_000.5])
def test_the_end_is_that_of_the_token(ends: float) -> None:
    """The end of a token is its own exp claim; the e-mail address is in it or not known."""
    minted = read(jwt({"aud": AUDIENCE, "exp": ends, "email": "a@b.example"}), AUDIENCE)
    assert minted.token.expires_at == ends
    assert minted.email == "a@b.example"
    assert read(jwt({"aud": AUDIENCE, "exp": ends}), AUDIENCE).email == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (jwt({"aud": "https://other.run.app", "exp": 1}), "another audience"),
        (jwt({"aud": [AUDIENCE], "exp": 1}), "another audience"),
        (jwt({"exp": 1}), "another audience"),
        (jwt({"aud": AUDIENCE}), "does not say when it ends"),
        (jwt({"aud": AUDIENCE, "exp": "1800000000"}), "does not say when it ends"),
        (jwt({"aud": AUDIENCE, "exp": True}), "does not say when it ends"),
        (jwt({"aud": AUDIENCE, "exp": float("nan")}), "does not say when it ends"),
        (jwt([AUDIENCE]), "not an ID token"),
        ("eyJhbGciOiJSUzI1NiJ9.bm90IGpzb24.c2ln", "not an ID token"),
        ("ya29.an-access-token", "not an ID token"),
        ("a.\u00e4.c", "not an ID token"),
        (jwt({"aud": AUDIENCE, "exp": 1}) + "\n", "not an ID token"),
        (jwt({"aud": AUDIENCE, "exp": 1}) + '", "expires_in": 1, "x": "', "not an ID token"),
        (jwt({"aud": AUDIENCE, "exp": 1}).replace(".", "\r\nX: y."), "not an ID token"),
        ("", "not an ID token"),
        (None, "not an ID token"),
        ({"token": "x"}, "not an ID token"),
    ],
)
def test_anything_else_is_refused(value: object, said: str) -> None:
    """A token for another audience or without a readable end is never handed out or shown."""
    with pytest.raises(MintError, match=said) as caught:
        read(value, AUDIENCE)
    assert "eyJ" not in str(caught.value)
    assert "ya29" not in str(caught.value)
