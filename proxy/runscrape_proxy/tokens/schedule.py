"""When to renew and when to try again: pure functions, in seconds since the epoch.

``jitter`` is a number in [0, 1) that the caller draws; it spreads a herd. No function here reads a
clock. The figures are the design's: half life is what the Cloud SQL connectors and SPIRE hold to,
3:45 is what google-auth calls stale (``google.auth._helpers.REFRESH_THRESHOLD``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runscrape_proxy.model import Kind

if TYPE_CHECKING:
    from runscrape_proxy.model import Token

FRESH: Final = 60.0
"""A token answers from memory while it has more seconds than this left."""

DEDUCTION: Final = 30
"""What ``expires_in`` keeps back, and the least that it may say."""

_HALF_LIFE: Final = 0.5
_HALF_LIFE_SPREAD: Final = 0.1
_METADATA_LATEST: Final = 3 * 60.0 + 45
_METADATA_EARLIEST: Final = 4 * 60.0 + 45
_METADATA_POLL: Final = 15.0
_SHORTEST: Final = 15.0
_BACK_OFF_MOST: Final = 50.0
_BACK_OFF_SPREAD: Final = 0.2


def refresh_at(token: Token, obtained_at: float, kind: Kind, jitter: float) -> float:
    """When to ask Google for the token that follows ``token``.

    Keys and impersonation mint a new token at each call: half of what was left, ±10 %. The
    metadata server answers with the same token until its last minutes: from 4:45 to 3:45 before
    the end, and once that is reached every 15 to 30 s while the end does not move.
    """
    left = token.expires_at - obtained_at
    if kind is not Kind.METADATA:
        share = _HALF_LIFE * (1 + _HALF_LIFE_SPREAD * (2 * jitter - 1))
        return obtained_at + max(left * share, _SHORTEST)
    if left > _METADATA_EARLIEST:
        ahead = _METADATA_EARLIEST - jitter * (_METADATA_EARLIEST - _METADATA_LATEST)
        return token.expires_at - ahead
    return obtained_at + _METADATA_POLL * (1 + jitter)


def retry_at(now: float, failures: int, jitter: float, *, held_until: float | None = None) -> float:
    """When to try again after ``failures`` failures in a row (1 is the first).

    1 s, doubled each time, ±20 %, never more than 60 s. A held token (``held_until``, its end)
    gets one try more, just before it is no longer good for an answer: an outage that ended in the
    meantime then costs nothing.
    """
    delay = min(2.0 ** min(failures - 1, 16), _BACK_OFF_MOST)
    due = now + delay * (1 + _BACK_OFF_SPREAD * (2 * jitter - 1))
    if held_until is None:
        return due
    last_chance = held_until - FRESH - _SHORTEST
    return last_chance if now < last_chance < due else due


def is_fresh(token: Token | None, now: float) -> bool:
    """Whether ``token`` may answer from memory."""
    return token is not None and token.expires_at - now > FRESH


def expires_in(token: Token, now: float) -> int | None:
    """What a client may count on, in whole seconds; None where that is under 30.

    Rounded, not cut: a token that was fresh when it was looked up stays good until the answer is
    written. The 30 s kept back are far more than what rounding gives away.
    """
    left = round(token.expires_at - now - DEDUCTION)
    return left if left >= DEDUCTION else None
