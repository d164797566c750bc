"""ID tokens and access tokens: made, remembered, checked.

ID tokens are RS256 JWTs as https://accounts.google.com issues them; access tokens are opaque
(``ya29.…``) or, for service accounts, JWTs that the account signed itself (AIP-4111).
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from emulator.keys import SHARED, key_id

ISSUER = "https://accounts.google.com"
IAM_SCOPES = frozenset(
    f"https://www.googleapis.com/auth/{name}" for name in ("cloud-platform", "iam")
)
CLOUD_SCOPES = frozenset({"https://www.googleapis.com/auth/cloud-platform"})
_SKEW = 300.0  # seconds that the clocks of signer and issuer may differ
_CLAIMS = ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")
_SIGNATURE_ONLY: Any = {f"verify_{name}": False for name in _CLAIMS}
"""Claims are checked here, by the emulator's clock."""


class TokenError(ValueError):
    """A token is not acceptable; the message says why."""


@dataclass(frozen=True)
class Access:
    """Whom an access token stands for, until when (Unix time), with which scopes."""

    identity: str
    expires: float
    scopes: frozenset[str]


def subject(email: str) -> str:
    """The 21-digit unique id of an account, the ``sub`` of its tokens."""
    return "1" + str(int(hashlib.sha256(email.encode()).hexdigest(), 16))[:20]


def encode(claims: Mapping[str, Any], key: rsa.RSAPrivateKey, kid: str) -> str:
    """Sign *claims* as an RS256 JWT."""
    return jwt.encode(dict(claims), key, "RS256", {"kid": kid})


def peek(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give header and claims, not yet trusted; raises TokenError."""
    try:
        parts = jwt.decode_complete(token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        raise TokenError("malformed") from None
    return parts["header"], parts["payload"]


def verify(token: str, key: rsa.RSAPrivateKey | None) -> dict[str, Any]:
    """Check the signature by the public half of *key*, and give the claims; raises TokenError."""
    if key is None:
        raise TokenError("unknown key")
    try:
        return jwt.decode(token, key.public_key(), ["RS256"], options=_SIGNATURE_ONLY)
    except jwt.InvalidAlgorithmError:
        raise TokenError("unknown key") from None
    except jwt.InvalidSignatureError:
        raise TokenError("bad signature") from None
    except jwt.InvalidTokenError:
        raise TokenError("malformed") from None


def check_window(claims: Mapping[str, Any], now: float) -> None:
    """Refuse a self-made JWT that is not valid now or for more than an hour; raises TokenError."""
    issued, expires = claims.get("iat"), claims.get("exp")
    if not isinstance(issued, int | float) or not isinstance(expires, int | float):
        raise TokenError("iat or exp missing")
    if issued > now + _SKEW or expires <= now - _SKEW or expires - issued > 3600:
        raise TokenError("iat or exp out of bounds")


class Tokens:
    """Makes and checks the tokens of one emulator. Thread-safe."""

    def __init__(self, clock: Callable[[], float], directory: Path | None) -> None:
        self.clock = clock
        self._directory = directory
        self._key = SHARED.rsa("google", directory)
        self._kid = key_id(self._key)
        self._access: dict[str, Access] = {}
        self._verified: dict[str, dict[str, Any]] = {}
        self._accounts: set[str] = set()
        self._emails: dict[str, str] = {}
        self._lock = threading.Lock()

    def account_key(self, email: str) -> rsa.RSAPrivateKey:
        """Get the key of a service account; from then on the account is known to have one."""
        key = SHARED.rsa(email, self._directory)
        with self._lock:
            self._accounts.add(email)
        return key

    def id_token(
        self,
        audience: str,
        email: str,
        lifetime: float,
        *,
        foreign: bool = False,
        extra: Mapping[str, Any] | None = None,
    ) -> str:
        """Make an ID token; *lifetime* in seconds; *extra* overrides claims (None removes one)."""
        now = int(self.clock())
        identity = subject(email)
        self._emails[identity] = email
        claims: dict[str, Any] = {
            "aud": audience,
            "azp": identity,
            "email": email,
            "email_verified": True,
            "exp": now + int(lifetime),
            "iat": now,
            "iss": ISSUER,
            "sub": identity,
        } | dict(extra or {})
        kept = {name: value for name, value in claims.items() if value is not None}
        key = SHARED.rsa("foreign", self._directory) if foreign else self._key
        return encode(kept, key, self._kid)

    def identity(self, token: str, audiences: Sequence[str]) -> str:
        """Check an ID token as Cloud Run does; the email it stands for; raises TokenError."""
        claims = self._verified.get(token)
        if claims is None:
            header, _ = peek(token)
            claims = verify(token, self._key if header.get("kid") == self._kid else None)
            if len(self._verified) > 20_000:
                self._verified.clear()
            self._verified[token] = claims
        if claims.get("iss") not in (ISSUER, "accounts.google.com"):
            raise TokenError("wrong issuer")
        if claims.get("aud") not in audiences:
            raise TokenError("wrong audience")
        if claims.get("exp", 0) <= self.clock():
            raise TokenError("expired")
        return str(claims.get("email") or self._emails.get(claims.get("sub", ""), ""))

    def access_token(self, identity: str, lifetime: float, scopes: Iterable[str]) -> str:
        """Make an opaque access token that lives *lifetime* seconds."""
        token = "ya29.c." + secrets.token_urlsafe(96)
        access = Access(identity, self.clock() + lifetime, frozenset(scopes))
        with self._lock:
            self._access[token] = access
        return token

    def access(self, token: str, audience: str) -> Access:
        """Check an access token; *audience* is the API's (``https://run.googleapis.com/``).

        Raises TokenError for one that is unknown or expired.
        """
        known = self._access.get(token)
        if known is None:
            known = self._self_signed(token, audience)
        if known.expires <= self.clock():
            raise TokenError("expired")
        return known

    def assertion(self, token: str) -> dict[str, Any]:
        """Claims of a JWT signed by the service account that it names as issuer."""
        header, claims = peek(token)
        email = claims.get("iss")
        if not isinstance(email, str) or email not in self._accounts:
            raise TokenError("account not found")
        signer = self.account_key(email)
        return verify(token, signer if header.get("kid") in (None, key_id(signer)) else None)

    def jwks(self) -> dict[str, Any]:
        """Google's public keys as a JWK set (RFC 7517)."""
        key = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [key | {"alg": "RS256", "use": "sig", "kid": self._kid}]}

    def revoke(self) -> None:
        """Make every opaque access token that was given so far a stale one."""
        with self._lock:
            self._access.clear()

    def _self_signed(self, token: str, audience: str) -> Access:
        claims = self.assertion(token)
        check_window(claims, self.clock())
        scopes = frozenset(str(claims.get("scope", "")).split())
        if claims.get("aud") == audience:
            scopes |= CLOUD_SCOPES  # a token for one API needs no scope
        return Access(claims["iss"], claims["exp"], scopes)
