"""What the parts of the proxy hand each other: a token, one way to mint, what is known of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

METRICS_PREFIX: Final = "runscrape_proxy_"


class CredentialKind(StrEnum):
    """How tokens are minted."""

    SERVICE_ACCOUNT = "service_account"
    METADATA = "metadata"
    IMPERSONATED = "impersonated_service_account"
    EXTERNAL_ACCOUNT = "external_account"
    AUTHORIZED_USER = "authorized_user"


@dataclass(frozen=True, slots=True)
class Minted:
    """An ID token as it came from Google."""

    value: str = field(repr=False)
    """A JWT: base64url and dots, nothing else (RFC 7515, section 7.1)."""
    seconds: float
    """How long it is good for, from the moment when it came."""
    repeats: bool = False
    """The issuer gives the same token again until its last minutes: the metadata server does."""


@dataclass(frozen=True, slots=True)
class Token:
    """An ID token that is held."""

    value: str = field(repr=False)
    ends_at: float
    """By the clock of :mod:`runscrape_proxy.clock`, not since the epoch."""
    repeats: bool = False
    """As :attr:`Minted.repeats`."""


class Minter(Protocol):
    """One way to mint, as :func:`runscrape_proxy.google.find.load` found it."""

    @property
    def kind(self) -> CredentialKind:
        """Which way this is."""
        ...

    @property
    def identity(self) -> str:
        """The e-mail address that services see; empty while it is not known yet."""
        ...

    def mint(self, audience: str, *, timeout: float) -> Minted:
        """Ask Google for a token, for at most ``timeout`` seconds.

        Raises :class:`~runscrape_proxy.errors.MintError` for whatever goes wrong. Safe to call
        from many threads at once.
        """
        ...


@dataclass(frozen=True, slots=True)
class AudienceStatus:
    """What a page may show of an audience: never the token."""

    audience: str
    left: float | None
    """Seconds until the held token ends, negative if it has; None while there is none."""
    last_error: str
    """Why the newest mint failed, in one line; empty after a success."""
    failed_ago: float | None
    """Seconds since then; None after a success."""
