"""What stands in a token that Google gave: read, not verified (it came over TLS from the issuer).

RFC 7519, sections 3 and 4.1. No message here holds any part of a token.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Final

from runscrape_proxy.errors import MintError, printed

LONGEST_LIFE: Final = 24 * 3600.0
"""Seconds; a token that says more is renewed as if it said this. Google's live for an hour."""

_YEAR_10000: Final = 253_402_300_800
_REMEDY: Final = "is something between here and Google answering in its place?"


@dataclass(frozen=True, slots=True)
class IdToken:
    """A token for the audience that was asked, and what it says of itself."""

    value: str = field(repr=False)
    issued_at: float | None
    """The ``iat`` claim, in seconds since the epoch by Google's clock; None where it has none."""
    expires_at: float
    """The ``exp`` claim, likewise."""
    email: str
    """The address it speaks for; empty where it does not say."""

    def seconds_left(self, *times: float | None) -> float:
        """How long it is still good for: ``exp - iat``, less its age.

        ``times`` are what clocks say now, the best one first. Nobody hands out a token that has
        ended, or is from the future: a clock that says so is wrong. If none is right, it is new.
        """
        if self.issued_at is None:
            given = [self.expires_at - now for now in times if now is not None]
            return min(max(given, default=LONGEST_LIFE), LONGEST_LIFE)
        life = self.expires_at - self.issued_at
        ages = [now - self.issued_at for now in times if now is not None]
        age = next((age for age in ages if 0 < age < life), 0.0)
        return min(life - age, LONGEST_LIFE)


def read(value: object, audience: str) -> IdToken:
    """Check that ``value`` is a JWT for ``audience`` with a readable end.

    Raises MintError for anything else: such a token is never handed out.
    """
    claims = _claims(value)
    if claims.get("aud") != audience:
        raise MintError("Google's token is for another audience than was asked", remedy=_REMEDY)
    ends, begins = _time(claims.get("exp")), _time(claims.get("iat"))
    if ends is None:
        raise MintError("Google's token does not say when it ends", remedy=_REMEDY)
    if "iat" in claims and (begins is None or begins >= ends):
        raise MintError("Google's token does not say when it begins", remedy=_REMEDY)
    email = claims.get("email")
    return IdToken(str(value), begins, ends, printed(email) if isinstance(email, str) else "")


_JWT = re.compile(r"[\w-]+\.([\w-]+)\.[\w-]+", re.ASCII)
"""The compact form: header, payload and signature in base64url (RFC 7515, section 7.1)."""


def _claims(value: object) -> dict[str, object]:
    parts = _JWT.fullmatch(value) if isinstance(value, str) else None
    try:
        payload = parts[1] if parts else ""
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise MintError("what Google gave is not an ID token", remedy=_REMEDY)
    return claims


def _time(claim: object) -> float | None:
    """A NumericDate (RFC 7519, section 2) of a year with four digits; None for anything else."""
    if isinstance(claim, bool) or not isinstance(claim, (int, float)):
        return None
    return float(claim) if 0 <= claim < _YEAR_10000 else None
