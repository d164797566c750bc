"""``--mint``: an ID token by the credentials that are here, without the proxy."""

from __future__ import annotations

from typing import Any

import google.auth
import google.auth.transport.requests
from google.auth import compute_engine, external_account, impersonated_credentials
from google.auth.exceptions import GoogleAuthError
from google.oauth2 import credentials as user
from google.oauth2 import service_account

from runscrape_generator.doctor.checkup import Mint
from runscrape_generator.doctor.evidence import TokenAnswer
from runscrape_generator.doctor.secret import Secret
from runscrape_generator.doctor.token import claims
from runscrape_generator.text import one_line, printable

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_CANNOT = (
    "{kind} cannot mint an ID token: give --impersonate-service-account EMAIL, an account that "
    "{who} may impersonate"
)


class CannotMintError(Exception):
    """Credentials of a kind that cannot mint."""


def minter(impersonate: str) -> Mint:
    """Give what mints with Application Default Credentials, as ``impersonate`` if that is given."""

    def mint(audience: str, _seconds: float) -> TokenAnswer:
        try:
            request = google.auth.transport.requests.Request()
            source: Any = _source(audience, impersonate, request)
            source.refresh(request)
        except CannotMintError as error:
            return TokenAnswer(minted_here=True, error="cannot-mint", description=str(error))
        except (GoogleAuthError, ValueError, OSError) as error:
            said = printable(one_line(error, 600))
            return TokenAnswer(minted_here=True, error="no-token", description=said)
        token = Secret(source.token)
        return TokenAnswer(minted_here=True, token=token, claims=claims(token))

    return mint


def _source(audience: str, impersonate: str, request: Any) -> Any:
    """Give the credentials whose token is an ID token. google-auth carries no types."""
    found: Any
    found, _ = google.auth.default(scopes=SCOPES, request=request)
    if impersonate:
        as_other: Any = impersonated_credentials.Credentials
        found = as_other(found, impersonate, SCOPES)
    if isinstance(found, service_account.Credentials):
        of_key: Any = service_account.IDTokenCredentials
        return of_key(found.signer, found.service_account_email, found._token_uri, audience)  # noqa: SLF001
    if isinstance(found, compute_engine.Credentials):
        of_machine: Any = compute_engine.IDTokenCredentials
        return of_machine(request, audience, use_metadata_identity_endpoint=True)
    if isinstance(found, impersonated_credentials.Credentials):
        of_other: Any = impersonated_credentials.IDTokenCredentials
        return of_other(found, target_audience=audience, include_email=True)
    if isinstance(found, external_account.Credentials) and found.service_account_email:
        return _impersonated(found, audience)
    kind = "gcloud's login" if isinstance(found, user.Credentials) else type(found).__name__
    raise CannotMintError(_CANNOT.format(kind=kind, who="it"))


def _impersonated(found: Any, audience: str) -> Any:
    """Mint as the account that a workload identity federation file names."""
    source = found._initialize_impersonated_credentials()  # noqa: SLF001 - no public way
    of_other: Any = impersonated_credentials.IDTokenCredentials
    return of_other(source, target_audience=audience, include_email=True)
