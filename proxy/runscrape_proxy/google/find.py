"""Which credentials there are, and the one way in which each of them mints.

The order is that of google.auth.default: a file that is named (``--credentials-file``, then
GOOGLE_APPLICATION_CREDENTIALS), gcloud's well-known file, the metadata server. A file that is
named and cannot mint is an error, never a reason to look further: what comes next would be
another identity. ``google.auth.default`` itself is not called, since it asks the metadata server
before it answers, and that may come up later than we do.
"""

from __future__ import annotations

import json
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from google.auth import compute_engine
from google.auth.exceptions import GoogleAuthError
from google.oauth2 import service_account

from runscrape_proxy.errors import CredentialsError
from runscrape_proxy.google import sources
from runscrape_proxy.google.http import GoogleHttp
from runscrape_proxy.google.mint import DirectMinter, ImpersonatingMinter
from runscrape_proxy.google.remedies import clean
from runscrape_proxy.model import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscrape_proxy.model import Minter

_LOGGER = logging.getLogger(__name__)

_KEY_ID_TOKENS: Final[Any] = service_account.IDTokenCredentials  # google-auth carries no types
_MACHINE: Final[Any] = compute_engine.Credentials
_MACHINE_ID_TOKENS: Final[Any] = compute_engine.IDTokenCredentials

_LARGEST_FILE: Final = 1 << 20
_READABLE_BY_OTHERS: Final = 0o004
_EMAIL: Final = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", re.ASCII)
_UNUSABLE: Final = (GoogleAuthError, ValueError, LookupError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True)
class CredentialSettings:
    """What an operator says of credentials; empty and None mean that it was not said."""

    credentials_file: Path | None = None
    impersonate_service_account: str = ""
    delegates: tuple[str, ...] = ()
    ca_file: Path | None = None


def load(settings: CredentialSettings, *, environ: Mapping[str, str] = os.environ) -> Minter:
    """Find the credentials and how they mint; no call to Google is made.

    Raises CredentialsError, which says what would do, for a file that is named and missing or
    broken and for a kind that cannot mint an ID token.
    """
    _check_names(settings)
    path = _find(settings, environ)
    if path is None:
        return _from_metadata(settings, environ)
    info = _read(path)
    _warn_of_readers(path, info)
    try:
        return _from_info(info, path, settings)
    except _UNUSABLE as error:
        raise CredentialsError(
            f"{path}: not a usable {info.get('type')} file: {clean(str(error))}"
        ) from None


def _check_names(settings: CredentialSettings) -> None:
    target = settings.impersonate_service_account
    if settings.delegates and not target:
        raise CredentialsError("--delegate goes with --impersonate-service-account only")
    for name in filter(None, (target, *settings.delegates)):
        if not _EMAIL.fullmatch(name):
            raise CredentialsError(
                f"{name!r} is not a service account's e-mail address "
                "(NAME@PROJECT.iam.gserviceaccount.com)"
            )


def _find(settings: CredentialSettings, environ: Mapping[str, str]) -> Path | None:
    if settings.credentials_file is not None:
        return settings.credentials_file
    named = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named:
        return Path(named)
    folder = environ.get("CLOUDSDK_CONFIG") or f"{environ.get('HOME', '')}/.config/gcloud"
    well_known = Path(folder) / "application_default_credentials.json"
    return well_known if well_known.is_file() else None


def _from_metadata(settings: CredentialSettings, environ: Mapping[str, str]) -> Minter:
    if environ.get("NO_GCE_CHECK") == "true":
        raise CredentialsError(
            "no credentials: name a file with --credentials-file or GOOGLE_APPLICATION_CREDENTIALS "
            "(NO_GCE_CHECK forbids the metadata server)"
        )
    _LOGGER.info("no credentials file: tokens come from the metadata server")
    direct = _http(settings, direct=True)
    if settings.impersonate_service_account:
        source = _MACHINE(scopes=sources.SCOPES, universe_domain=sources.DEFAULT_UNIVERSE)
        return _impersonate(Kind.IMPERSONATED, source, settings, source_http=direct)
    credentials = _MACHINE_ID_TOKENS(None, target_audience="", use_metadata_identity_endpoint=True)
    return DirectMinter(Kind.METADATA, credentials, direct, identity="")


def _from_info(info: dict[str, Any], path: Path, settings: CredentialSettings) -> Minter:
    if settings.impersonate_service_account:
        kind, source = sources.source_of(info, path)
        universe = info.get("universe_domain") or sources.DEFAULT_UNIVERSE
        return _impersonate(kind, source, settings, universe=universe)
    match info.get("type"):
        case "service_account":
            credentials = _KEY_ID_TOKENS.from_service_account_info(info, target_audience="")
            email = credentials.service_account_email
            return DirectMinter(Kind.SERVICE_ACCOUNT, credentials, _http(settings), identity=email)
        case "impersonated_service_account" | "external_account":
            return _as_the_file_says(sources.impersonation_of(info, path), settings)
    raise sources.cannot_mint(info, path)


def _impersonate(
    kind: Kind,
    source: sources.Source,
    settings: CredentialSettings,
    *,
    universe: str = sources.DEFAULT_UNIVERSE,
    source_http: GoogleHttp | None = None,
) -> Minter:
    """Mint for ``--impersonate-service-account``, on top of whatever ``source`` is."""
    target = settings.impersonate_service_account
    return ImpersonatingMinter(
        Kind.IMPERSONATED if kind is Kind.SERVICE_ACCOUNT else kind,
        source,
        _http(settings),
        target=target,
        endpoint=f"https://iamcredentials.{universe}/v1/projects/-/serviceAccounts/{target}:generateIdToken",
        delegates=settings.delegates,
        source_http=source_http,
    )


def _as_the_file_says(found: sources.Impersonation, settings: CredentialSettings) -> Minter:
    return ImpersonatingMinter(
        found.kind,
        found.source,
        _http(settings),
        target=found.target,
        endpoint=found.endpoint,
        delegates=found.delegates,
    )


def _http(settings: CredentialSettings, *, direct: bool = False) -> GoogleHttp:
    try:
        return GoogleHttp(ca_file=settings.ca_file, direct=direct)
    except OSError as error:  # ssl.SSLError is one
        named = f"--ca-file {settings.ca_file}" if settings.ca_file else "REQUESTS_CA_BUNDLE"
        reason = error.strerror or "it holds no certificate"
        raise CredentialsError(f"{named} cannot be used: {clean(str(reason))}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            info = json.loads(file.read(_LARGEST_FILE))
    except OSError as error:
        raise CredentialsError(
            f"{path}: {error.strerror}: a credentials file that is named has to be there"
        ) from None
    except ValueError:
        raise CredentialsError(f"{path}: not JSON, so not a credentials file") from None
    if not isinstance(info, dict):
        raise CredentialsError(f"{path}: not a JSON object, so not a credentials file")
    return info


def _warn_of_readers(path: Path, info: dict[str, Any]) -> None:
    if sources.is_secret(info) and path.stat().st_mode & _READABLE_BY_OTHERS:
        _LOGGER.warning(
            "%s holds a secret, and every user of this machine can read it: chmod 600", path
        )
