"""When to renew and when to try again, as tables."""

from __future__ import annotations

import pytest

from runscrape_proxy.model import Kind, Token
from runscrape_proxy.tokens.schedule import expires_in, is_fresh, refresh_at, retry_at

HOUR = 3600.0


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.METADATA])
@pytest.mark.parametrize(
    ("left", "jitter", "expected"),
    [
        (HOUR, 0.5, 1800),
        (HOUR, 0.0, 1620),
        (HOUR, 1.0, 1980),
        (600, 0.5, 300),
        (20, 0.5, 15),
        (-5, 0.5, 15),
    ],
)
def test_minted_anew_at_half_life(kind: Kind, left: float, jitter: float, expected: float) -> None:
    """Whatever mints a new token at each call is asked at half of what is left, ±10 %."""
    assert refresh_at(Token("t", 1000 + left), 1000, kind, jitter) == pytest.approx(1000 + expected)


@pytest.mark.parametrize(
    ("left", "jitter", "expected"),
    [
        (HOUR, 0.0, HOUR - 285),
        (HOUR, 1.0, HOUR - 225),
        (1000, 0.5, 1000 - 255),
        (285, 0.0, 15),
        (285, 1.0, 30),
        (40, 0.5, 22.5),
    ],
)
def test_metadata_server_near_the_end(left: float, jitter: float, expected: float) -> None:
    """The metadata server is asked 4:45 to 3:45 before the end, then every 15 to 30 s."""
    due = refresh_at(Token("t", 1000 + left), 1000, Kind.METADATA, jitter)
    assert due == pytest.approx(1000 + expected)


@pytest.mark.parametrize(
    ("failures", "least", "most"),
    [(1, 0.8, 1.2), (2, 1.6, 2.4), (3, 3.2, 4.8), (6, 25.6, 38.4), (7, 40, 60), (10_000, 40, 60)],
)
def test_back_off(failures: int, least: float, most: float) -> None:
    """A failure is tried again after 1 s, doubled each time, ±20 %, and 60 s at the very most."""
    assert retry_at(50, failures, 0.0) == pytest.approx(50 + least)
    assert retry_at(50, failures, 1.0) == pytest.approx(50 + most)


@pytest.mark.parametrize(
    ("held_until", "expected"),
    [(1000, 50), (1125 - 1, 49), (1115, 40), (1076, 1), (1075, 50), (1030, 50)],
)
def test_last_chance(held_until: float, expected: float) -> None:
    """A held token gets one try more 15 s before it is no longer fresh, and only one."""
    assert retry_at(1000, 9, 0.5, held_until=held_until) == pytest.approx(1000 + expected)


@pytest.mark.parametrize(
    ("left", "fresh", "promise"),
    [
        (3600, True, 3570),
        (61, True, 31),
        (60.001, True, 30),
        (60, False, 30),
        (59.6, False, 30),
        (59, False, None),
        (30, False, None),
        (-1, False, None),
    ],
)
def test_what_a_client_is_told(left: float, *, fresh: bool, promise: int | None) -> None:
    """A client is promised what is left less 30 s, at least 30 s, or nothing."""
    token = Token("t", 1000 + left)
    assert is_fresh(token, 1000) is fresh
    assert expires_in(token, 1000) == promise


def test_no_token_is_not_fresh() -> None:
    """Nothing held is nothing fresh."""
    assert not is_fresh(None, 0)
