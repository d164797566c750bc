"""When to renew and when to try again, as tables."""

from __future__ import annotations

import pytest

from runscrape_proxy.model import Token
from runscrape_proxy.tokens.schedule import expires_in, is_usable, refresh_at, retry_at

HOUR = 3600.0


def ending(left: float, *, repeats: bool = False) -> Token:
    return Token("t", 1000 + left, repeats)


@pytest.mark.parametrize(
    ("left", "jitter", "expected"),
    [(HOUR, 0.5, 1800), (HOUR, 0.0, 1620), (HOUR, 1.0, 1980), (600, 0.5, 300), (20, 0.5, 10)],
)
def test_minted_anew_at_half_life(left: float, jitter: float, expected: float) -> None:
    """Whatever mints a new token at each call is asked at half of what is left, ±10 %."""
    assert refresh_at(ending(left), 1000, jitter) == pytest.approx(1000 + expected)


@pytest.mark.parametrize(
    ("left", "jitter", "expected"),
    [
        (HOUR, 0.0, HOUR - 285),
        (HOUR, 1.0, HOUR - 225),
        (1000, 0.5, 1000 - 255),
        (285, 0.0, 15),
        (285, 1.0, 30),
        (120, 1.0, 30),
        (60, 0.5, 15),
        (40, 0.5, 10),
        (20, 0.5, 5),
        (2, 0.5, 1),
    ],
)
def test_metadata_server_near_the_end(left: float, jitter: float, expected: float) -> None:
    """The metadata server is asked 4:45 to 3:45 before the end, then every 15 to 30 s.

    In the last minute or two it is every quarter of what is left: it may keep a token until the
    last seconds.
    """
    due = refresh_at(ending(left, repeats=True), 1000, jitter)
    assert due == pytest.approx(1000 + expected)


@pytest.mark.parametrize(
    ("failures", "least", "most"),
    [(1, 0.8, 1.2), (2, 1.6, 2.4), (3, 3.2, 4.8), (6, 25.6, 38.4), (7, 40, 60), (10_000, 40, 60)],
)
def test_back_off(failures: int, least: float, most: float) -> None:
    """A failure is tried again after 1 s, doubled each time, ±20 %, and 60 s at the very most."""
    for held_until in (None, 50 - 1.0, 50 + HOUR):
        assert retry_at(50, failures, 0.0, held_until=held_until) == pytest.approx(50 + least)
        assert retry_at(50, failures, 1.0, held_until=held_until) == pytest.approx(50 + most)


@pytest.mark.parametrize("failures", [1, 4, 9])
@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.99])
def test_no_back_off_past_the_end_of_what_is_held(failures: int, jitter: float) -> None:
    """However long Google has failed, it is asked several times before the held token ends."""
    now, ends, tries = 1000.0, 1130.0, 0
    while now < ends - 5:
        due = retry_at(now, failures + tries, jitter, held_until=ends)
        assert 0.5 < due - now <= max(1.2, (ends - now) / 4 + 1e-6)
        now, tries = due, tries + 1
    assert now < ends
    assert 5 <= tries <= 20


@pytest.mark.parametrize(
    ("left", "usable", "promise"),
    [
        (3600, True, 3570),
        (61, True, 31),
        (60, True, 30),
        (45, True, 30),
        (35, True, 30),
        (34, True, 29),
        (20, True, 15),
        (6, True, 1),
        (5.1, True, 1),
        (5, False, 1),
        (4, False, None),
        (-1, False, None),
    ],
)
def test_what_a_client_is_told(left: float, *, usable: bool, promise: int | None) -> None:
    """A client is promised what is left less 30 s, of the last minute less 5 s, and never 0."""
    assert is_usable(ending(left), 1000) is usable
    assert expires_in(ending(left), 1000) == promise


def test_no_token_is_not_usable() -> None:
    """Nothing held is nothing usable."""
    assert not is_usable(None, 0)
