"""What stands in a token that Google gave: read, not verified (it came over TLS from the issuer).

RFC 7519, sections 3 and 4.1. No message here holds any part of a token.
"""

from __future__ import annotations

import base64
import json
import math
import re
from dataclasses import dataclass

from runscrape_proxy.errors import MintError
from runscrape_proxy.model import Token


@dataclass(frozen=True, slots=True)
class Minted:
    """A token for the audience that was asked, and the e-mail address it speaks for, if any."""

    token: Token
    email: str


def read(value: object, audience: str) -> Minted:
    """Check that ``value`` is a JWT for ``audience`` with a readable end.

    Raises MintError for anything else: such a token is never handed out.
    """
    claims = _claims(value)
    if claims.get("aud") != audience:
        raise MintError("Google's token is for another audience than was asked", remedy=_REMEDY)
    ends = claims.get("exp")
    if isinstance(ends, bool) or not isinstance(ends, (int, float)) or not math.isfinite(ends):
        raise MintError("Google's token does not say when it ends", remedy=_REMEDY)
    email = claims.get("email")
    return Minted(Token(str(value), float(ends)), email if isinstance(email, str) else "")


_REMEDY = "is something between here and Google answering in its place?"


_JWT = re.compile(r"[\w-]+\.([\w-]+)\.[\w-]+", re.ASCII)
"""The compact form: header, payload and signature in base64url (RFC 7515, section 7.1)."""


def _claims(value: object) -> dict[str, object]:
    parts = _JWT.fullmatch(value) if isinstance(value, str) else None
    try:
        payload = parts[1] if parts else ""
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        claims = None
    if not isinstance(claims, dict):
        raise MintError("what Google gave is not an ID token", remedy=_REMEDY)
    return claims
