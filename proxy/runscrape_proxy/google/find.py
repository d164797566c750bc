"""Which credentials there are, and the one way in which each of them mints.

The order is that of google.auth.default: a file that is named (``--credentials-file``, then
GOOGLE_APPLICATION_CREDENTIALS), gcloud's well-known file, the metadata server. A file that is
named and cannot mint is an error, never a reason to look further: what comes next would be
another identity. ``google.auth.default`` itself is not called, since it asks the metadata server
before it answers, and that may come up later than we do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from google.auth import compute_engine
from google.auth.exceptions import GoogleAuthError
from google.oauth2 import service_account

from runscrape_proxy.errors import CredentialsError, StartError
from runscrape_proxy.google import sources
from runscrape_proxy.google.access_tokens import AccessTokens
from runscrape_proxy.google.http import GoogleHttp
from runscrape_proxy.google.mint import DirectMinter, ImpersonatingMinter
from runscrape_proxy.google.remedies import clean
from runscrape_proxy.google.sources import Impersonation
from runscrape_proxy.model import CredentialKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.auth.credentials import Credentials as SourceCredentials

    from runscrape_proxy.clock import GoogleClock
    from runscrape_proxy.model import Minter
    from runscrape_proxy.settings import Settings

_EMAIL: Final = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", re.ASCII)
_PROJECT: Final = re.compile(r"[\w.:-]{1,100}", re.ASCII)
_UNUSABLE: Final = (GoogleAuthError, ValueError, LookupError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True)
class Finder:
    """Turns credentials into a minter; no call to Google is made.

    ``clock`` hears of the Date of Google's answers.
    """

    settings: Settings
    environ: Mapping[str, str]
    clock: GoogleClock

    def file(self) -> Path | None:
        """Where the credentials are; None for the metadata server."""
        if self.settings.credentials_file is not None:
            return self.settings.credentials_file
        named = self.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        if named:
            return Path(named)
        # Where ``gcloud auth application-default login`` puts them.
        home = self.environ.get("HOME", "")
        folder = self.environ.get("CLOUDSDK_CONFIG") or f"{home}/.config/gcloud"
        well_known = Path(folder) / "application_default_credentials.json"
        return well_known if well_known.is_file() else None

    def from_metadata(self) -> Minter:
        """The minter that asks the metadata server. Raises CredentialsError."""
        _check_names(self.settings)
        if self.environ.get("NO_GCE_CHECK") == "true":
            raise CredentialsError(
                "no credentials: name a file with --credentials-file or"
                " GOOGLE_APPLICATION_CREDENTIALS (NO_GCE_CHECK forbids the metadata server)"
            )
        direct = self.http(direct=True)
        if self.settings.impersonate_service_account:
            source = compute_engine.Credentials(
                scopes=sources.SCOPES, universe_domain=sources.DEFAULT_UNIVERSE
            )
            found = self._as_the_option_says(CredentialKind.IMPERSONATED, source, {})
            return self._impersonating(found, {}, source_http=direct)
        credentials = compute_engine.IDTokenCredentials(
            None, target_audience="", use_metadata_identity_endpoint=True
        )
        return DirectMinter(CredentialKind.METADATA, credentials, direct, identity="")

    def from_file(self, info: dict[str, Any], path: Path) -> Minter:
        """The minter for what a credentials file says.

        Raises CredentialsError, which says what would do, for a broken file and for a kind that
        cannot mint an ID token.
        """
        _check_names(self.settings)
        try:
            return self._from_info(info, path)
        except _UNUSABLE as error:
            raise CredentialsError(
                f"{path}: not a usable {info.get('type')} file: {clean(str(error))}"
            ) from None

    def http(self, *, direct: bool = False) -> GoogleHttp:
        """The way to Google. Raises CredentialsError for a ``--ca-file`` that cannot be used."""
        try:
            return GoogleHttp(ca_file=self.settings.ca_file, direct=direct, clock=self.clock)
        except StartError as error:
            raise CredentialsError(str(error)) from None
        except OSError as error:
            reason = clean(str(error.strerror or error))
            raise CredentialsError(f"REQUESTS_CA_BUNDLE cannot be used: {reason}") from None

    def _from_info(self, info: dict[str, Any], path: Path) -> Minter:
        if self.settings.impersonate_service_account:
            kind, source = sources.source_of(info, path)
            return self._impersonating(self._as_the_option_says(kind, source, info), info)
        match info.get("type"):
            case "service_account":
                credentials = service_account.IDTokenCredentials.from_service_account_info(
                    info, target_audience=""
                )
                email = credentials.service_account_email
                return DirectMinter(
                    CredentialKind.SERVICE_ACCOUNT, credentials, self.http(), identity=email
                )
            case "impersonated_service_account" | "external_account":
                return self._impersonating(sources.impersonation_of(info, path), info)
        raise sources.cannot_mint(info, path)

    def _as_the_option_says(
        self, kind: CredentialKind, source: SourceCredentials, info: dict[str, Any]
    ) -> Impersonation:
        """``--impersonate-service-account``, on top of whatever ``source`` is."""
        target = self.settings.impersonate_service_account
        universe = info.get("universe_domain") or sources.DEFAULT_UNIVERSE
        return Impersonation(
            kind=CredentialKind.IMPERSONATED if kind is CredentialKind.SERVICE_ACCOUNT else kind,
            source=source,
            target=target,
            endpoint=f"https://iamcredentials.{universe}/v1/projects/-/serviceAccounts/{target}:generateIdToken",
            delegates=self.settings.delegates,
        )

    def _impersonating(
        self,
        impersonation: Impersonation,
        info: dict[str, Any],
        *,
        source_http: GoogleHttp | None = None,
    ) -> Minter:
        http = self.http()
        tokens = self._access_tokens(impersonation.source, source_http or http, info)
        return ImpersonatingMinter(impersonation, tokens, http)

    def _access_tokens(
        self, source: SourceCredentials, http: GoogleHttp, info: dict[str, Any]
    ) -> AccessTokens:
        """As google.auth.default: the variable beats what the file says."""
        variable = self.environ.get("GOOGLE_CLOUD_QUOTA_PROJECT")
        quota_project = str(variable or info.get("quota_project_id") or "")
        if quota_project and not _PROJECT.fullmatch(quota_project):
            named = "GOOGLE_CLOUD_QUOTA_PROJECT" if variable else "quota_project_id"
            raise CredentialsError(f"{named} is not the name of a project")
        return AccessTokens(source, http, quota_project=quota_project)


def _check_names(settings: Settings) -> None:
    target = settings.impersonate_service_account
    for name in filter(None, (target, *settings.delegates)):
        if not _EMAIL.fullmatch(name):
            raise CredentialsError(
                f"{name!r} is not a service account's e-mail address "
                "(NAME@PROJECT.iam.gserviceaccount.com)"
            )
