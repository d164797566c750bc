"""Who the two programs are to Google: asked from the credentials here, and from the proxy."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from google.auth.exceptions import GoogleAuthError

from runscrape_generator.cloudrun.credentials import authorized_access
from runscrape_generator.config.settings import Settings
from runscrape_generator.doctor import token
from runscrape_generator.doctor.remedies import member
from runscrape_generator.doctor.targets import SecretSource, TokenRequest
from runscrape_generator.errors import ConfigError, RunscrapeError
from runscrape_generator.model import Decision
from runscrape_generator.text import one_line

SECONDS = 10.0
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", re.ASCII)
_MEMBER = re.compile(r"(user|serviceAccount|group):[^\s'\"]+|principal(Set)?://[^\s'\"]+")


def named(value: str, option: str) -> str:
    """Read an identity that was given: an e-mail address, or what IAM calls a member."""
    if _EMAIL.fullmatch(value):
        return member(value)
    if _MEMBER.fullmatch(value):
        return value
    raise ConfigError(f"{option}: {value!r} is no e-mail address, and no member such as user:EMAIL")


def generator(settings: Settings) -> str:
    """Ask the credentials that are here. Raises ConfigError where they do not say."""
    try:
        access = authorized_access(settings)
        access.refresh()
    except (GoogleAuthError, RunscrapeError, ValueError) as error:
        raise ConfigError(f"{one_line(error)}; give --generator-identity EMAIL") from None
    if not access.member:
        raise ConfigError("the credentials do not say whose they are: give --generator-identity")
    return access.member


def proxy(settings: Settings, decisions: Iterable[Decision]) -> str:
    """Ask the proxy for one token, and whose it is. Raises ConfigError where that fails."""
    audiences = (end.audience for each in decisions for end in each.endpoints if end.audience)
    audience = next(audiences, "")
    if not audience:
        raise ConfigError("no service needs a token, so no identity needs a role on one")
    file = settings.client_secret_file
    wanted = TokenRequest(
        url=settings.token_url,
        client_id=settings.client_id,
        secret=SecretSource(file=Path(file) if file else None),
        params=(("audience", audience),),
    )
    try:
        found = token.ask(wanted, wanted.secret.read(), SECONDS)
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}; {_ELSE}") from None
    if found.claims is None or not found.claims.email:
        why = found.description or next(
            (each.failure.reason for each in found.exchanges if each.failure), "it names nobody"
        )
        raise ConfigError(
            f"the proxy at {settings.token_url} does not say who it is: {why}; {_ELSE}"
        )
    return member(found.claims.email)


_ELSE = "give --proxy-identity EMAIL (the proxy's page has it: Minted as)"
