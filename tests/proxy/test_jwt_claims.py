"""Which of Google's answers are taken for an ID token."""

from __future__ import annotations

import base64
import json

import pytest

from runscrape_proxy.errors import MintError
from runscrape_proxy.google.jwt import LONGEST_LIFE, read

AUDIENCE = "https://api.run.app"
NOW = 1_800_000_000.0


def jwt(claims: object) -> str:
    """An unsigned JWT: nothing here looks at signatures."""
    return raw_jwt(json.dumps(claims).encode())


def raw_jwt(content: bytes) -> str:
    payload = base64.urlsafe_b64encode(content).decode().rstrip("=")
    return f"eyJhbGciOiJSUzI1NiJ9.{payload}.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("issued", "ends", "times", "left"),
    [
        (NOW, NOW + 3600, (), 3600),
        (NOW, NOW + 3600, (NOW,), 3600),
        (NOW, NOW + 3600.5, (NOW + 0.25,), 3600.25),
        (NOW, NOW + 3600, (NOW + 3000,), 600),
        (NOW, NOW + 3600, (None, NOW + 3000), 600),
        (NOW, NOW + 3600, (NOW + 3000, NOW), 600),
        (NOW, NOW + 3600, (NOW + 3700,), 3600),
        (NOW, NOW + 3600, (NOW + 3700, NOW + 600), 3000),
        (NOW + 7200, NOW + 10_800, (NOW,), 3600),
        (NOW, NOW + 3e8, (NOW,), LONGEST_LIFE),
        (None, NOW + 3600, (NOW + 600,), 3000),
        (None, NOW + 3e8, (), LONGEST_LIFE),
    ],
)
def test_a_life_is_exp_less_iat(
    issued: float | None, ends: float, times: tuple[float | None, ...], left: float
) -> None:
    """A token lives from its iat to its exp, less its age by a clock that can be right."""
    claims = {"aud": AUDIENCE, "exp": ends} | ({} if issued is None else {"iat": issued})
    assert read(jwt(claims), AUDIENCE).seconds_left(*times) == left


def test_whom_a_token_speaks_for() -> None:
    """The e-mail address is in the token, or not known."""
    assert read(jwt({"aud": AUDIENCE, "exp": 1, "email": "a@b.example"}), AUDIENCE).email == (
        "a@b.example"
    )
    assert read(jwt({"aud": AUDIENCE, "exp": 1, "email": 7}), AUDIENCE).email == ""


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
        (jwt({"aud": AUDIENCE, "exp": 10**400}), "does not say when it ends"),
        (jwt({"aud": AUDIENCE, "exp": 1e300}), "does not say when it ends"),
        (jwt({"aud": AUDIENCE, "exp": -1}), "does not say when it ends"),
        (jwt({"aud": AUDIENCE, "exp": NOW, "iat": NOW}), "does not say when it begins"),
        (jwt({"aud": AUDIENCE, "exp": NOW, "iat": NOW + 1}), "does not say when it begins"),
        (jwt({"aud": AUDIENCE, "exp": NOW, "iat": None}), "does not say when it begins"),
        (jwt({"aud": AUDIENCE, "exp": NOW, "iat": -(10**400)}), "does not say when it begins"),
        (raw_jwt(b'{"aud": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "not an ID token"),
        (raw_jwt(b'{"exp": ' + b"9" * 10_000 + b"}"), "not an ID token"),
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
