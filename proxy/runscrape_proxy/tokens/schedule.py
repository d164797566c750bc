"""When to renew a token and when to try again: pure functions, in seconds.

``jitter`` is a number in [0, 1) that the caller draws, so that many audiences do not ask at the
same moment. No function here reads a clock. The figures are the design's: half life is what the
Cloud SQL connectors and SPIRE hold to, 3:45 is what google-auth calls stale
(``google.auth._helpers.REFRESH_THRESHOLD``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from runscrape_proxy.model import Token

SERVED: Final = 5.0
"""A token is served while it has more seconds than this left."""

DEDUCTION: Final = 30
"""What ``expires_in`` keeps back of a token's life, while it has much left."""

_HALF_LIFE: Final = 0.5
_HALF_LIFE_SPREAD: Final = 0.1
_REPEATED_LATEST: Final = 3 * 60.0 + 45
_REPEATED_EARLIEST: Final = 4 * 60.0 + 45
_POLL: Final = 15.0
_BACK_OFF_MOST: Final = 50.0
_BACK_OFF_SPREAD: Final = 0.2
_LAST_SHARE: Final = 0.25
_SHORTEST: Final = 1.0
_SINCE_LOOKED_UP: Final = 1.0


def refresh_at(token: Token, now: float, jitter: float) -> float:
    """When to ask Google for the token that follows ``token``.

    Most issuers mint a new token at each call: they are asked at half of what is left, ±10 %. The
    metadata server repeats a token until its last minutes: it is asked from 4:45 to 3:45 before
    the end, and from then on every 15 to 30 s, more often in the last minute.
    """
    left = token.ends_at - now
    if not token.repeats:
        return now + left * _HALF_LIFE * (1 + _HALF_LIFE_SPREAD * (2 * jitter - 1))
    if left > _REPEATED_EARLIEST:
        ahead = _REPEATED_EARLIEST - jitter * (_REPEATED_EARLIEST - _REPEATED_LATEST)
        return token.ends_at - ahead
    return now + min(_POLL * (1 + jitter), _last_tries(left))


def retry_at(now: float, failures: int, jitter: float, *, held_until: float | None = None) -> float:
    """When to try again after ``failures`` failures in a row (1 is the first).

    1 s, doubled each time, ±20 %, never more than 60 s. While a token is held that ends at
    ``held_until``, never more than a quarter of what it has left either: several tries are made
    before it ends, however long Google has been failing.
    """
    delay = min(2.0 ** min(failures - 1, 16), _BACK_OFF_MOST)
    delay *= 1 + _BACK_OFF_SPREAD * (2 * jitter - 1)
    if held_until is not None and held_until > now:
        delay = min(delay, _last_tries(held_until - now))
    return now + delay


def is_usable(token: Token | None, now: float) -> bool:
    """Whether ``token`` may be served."""
    return token is not None and token.ends_at - now > SERVED


def expires_in(token: Token, now: float) -> int | None:
    """What a client may count on, in whole seconds, at least 1; None where too little is left.

    What is left less 30 s. In the last minute that would be next to nothing, so there it is what
    is left less 5 s, and 30 at most. (Never 0: Prometheus keeps such a token for ever.)
    """
    left = token.ends_at - now
    if left <= SERVED - _SINCE_LOOKED_UP:
        return None
    return max(1, round(max(left - DEDUCTION, min(DEDUCTION, left - SERVED))))


def _last_tries(left: float) -> float:
    """How long to wait for the next try while the held token has ``left`` seconds."""
    return max(_SHORTEST, left * _LAST_SHARE)
