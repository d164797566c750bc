"""What a credentials file is good for: google-auth's class for it, and whom it impersonates.

The kinds are those of ``google.auth._default``; the shape of each file is at
https://google.aip.dev/auth (4112, 4117) and in google-auth's classes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from google.auth import (
    aws,
    external_account_authorized_user,
    identity_pool,
    impersonated_credentials,
    pluggable,
)
from google.oauth2 import credentials as user_credentials
from google.oauth2 import service_account

from runscrape_proxy.errors import CredentialsError, MintError
from runscrape_proxy.files import MEBIBYTE, read_regular
from runscrape_proxy.model import CredentialKind

if TYPE_CHECKING:
    from google.auth.credentials import Credentials as SourceCredentials

DEFAULT_UNIVERSE: Final = "googleapis.com"
SCOPES: Final = ["https://www.googleapis.com/auth/iam"]
"""All that a source's access token is used for."""

_AWS: Final = "urn:ietf:params:aws:token-type:aws4_request"
_IMPERSONATION: Final = re.compile(r"(?P<base>https?://.+/(?P<target>[^/:]+)):generateAccessToken")
_FLAG: Final = "--impersonate-service-account NAME@PROJECT.iam.gserviceaccount.com"


@dataclass(frozen=True, slots=True)
class Impersonation:
    """Whom to impersonate, where, and from what credentials."""

    kind: CredentialKind
    source: SourceCredentials
    target: str
    """The e-mail address of the account."""
    endpoint: str
    """The URL of generateIdToken, on the host that a file names (it may be a regional one)."""
    delegates: tuple[str, ...]


def source_of(info: dict[str, Any], path: Path) -> tuple[CredentialKind, SourceCredentials]:
    """Credentials that give access tokens for the IAM Credentials API.

    Raises CredentialsError for a kind that has none, and what google-auth raises for a bad file.
    """
    match info.get("type"):
        case "service_account":
            return (
                CredentialKind.SERVICE_ACCOUNT,
                service_account.Credentials.from_service_account_info(info, scopes=SCOPES),
            )
        case "authorized_user":
            return (
                CredentialKind.AUTHORIZED_USER,
                user_credentials.Credentials.from_authorized_user_info(info),
            )
        case "external_account_authorized_user":
            return (
                CredentialKind.AUTHORIZED_USER,
                external_account_authorized_user.Credentials.from_info(info),
            )
        case "external_account":
            return CredentialKind.EXTERNAL_ACCOUNT, _external(info)
        case "impersonated_service_account":
            return (
                CredentialKind.IMPERSONATED,
                impersonated_credentials.Credentials.from_impersonated_service_account_info(
                    _with_full_delegates(info), scopes=SCOPES
                ),
            )
    raise cannot_mint(info, path)


def impersonation_of(info: dict[str, Any], path: Path) -> Impersonation:
    """Read the impersonation out of an impersonated_service_account or external_account file."""
    url = info.get("service_account_impersonation_url")
    found = _IMPERSONATION.fullmatch(url) if isinstance(url, str) else None
    if url and found is None:
        raise CredentialsError(
            f"{path}: service_account_impersonation_url does not end in "
            "/NAME@PROJECT.iam.gserviceaccount.com:generateAccessToken"
        )
    if found is None:
        raise cannot_mint(info, path)
    kind, source = _below(info, path)
    return Impersonation(
        kind=kind,
        source=source,
        target=found["target"],
        endpoint=f"{found['base']}:generateIdToken",
        delegates=tuple(info.get("delegates") or ()),
    )


def cannot_mint(info: dict[str, Any], path: Path) -> CredentialsError:
    """Say why credentials of this kind mint no ID token, and what would."""
    match info.get("type"):
        case "authorized_user" | "external_account_authorized_user":
            return CredentialsError(
                f"{path} is a person's login, which cannot mint an ID token for a service: "
                f"add {_FLAG}"
            )
        case "external_account":
            return CredentialsError(
                f"{path} (workload identity federation) names no service account, and only a "
                f"service account has ID tokens: add {_FLAG}, or make the file again with "
                "gcloud iam workload-identity-pools create-cred-config --service-account"
            )
        case "gdch_service_account":
            return CredentialsError(
                f"{path} is for Google Distributed Cloud, whose tokens Cloud Run does not take: "
                "use a service account of Google Cloud"
            )
        case None if "installed" in info or "web" in info:
            return CredentialsError(f"{path} is an OAuth client, not credentials: {_USABLE}")
        case None:
            return CredentialsError(f"{path} has no type, so it is no credentials file: {_USABLE}")
        case kind:
            return CredentialsError(f"{path}: {kind!r} credentials mint no ID tokens: {_USABLE}")


def is_secret(info: dict[str, Any]) -> bool:
    """Whether whoever reads the file can act as its identity."""
    source = info.get("source_credentials")
    parts = [info, source if isinstance(source, dict) else {}]
    return any(part.get(key) for part in parts for key in ("private_key", "refresh_token"))


_USABLE: Final = (
    "use a service account's key, a workload identity federation file, an "
    "impersonated_service_account file, or a login with --impersonate-service-account"
)


def _below(info: dict[str, Any], path: Path) -> tuple[CredentialKind, SourceCredentials]:
    """The credentials that do the impersonating, themselves not impersonated."""
    if info["type"] == "external_account":
        return CredentialKind.EXTERNAL_ACCOUNT, _external(
            {key: value for key, value in info.items() if "impersonation" not in key}
        )
    below = info.get("source_credentials")
    if not isinstance(below, dict):
        raise CredentialsError(f"{path}: source_credentials is missing")
    _, source = source_of(below, path)
    return CredentialKind.IMPERSONATED, source


def _external(info: dict[str, Any]) -> SourceCredentials:
    """The class that google-auth has for the source of the subject token."""
    source = info.get("credential_source")
    kind: Any = _TokenCredentials
    if info.get("subject_token_type") == _AWS:
        kind = aws.Credentials
    elif isinstance(source, dict) and source.get("executable") is not None:
        kind = _ProgramCredentials
    credentials: SourceCredentials = kind.from_info(info, scopes=SCOPES)
    return credentials


class _TokenCredentials(identity_pool.Credentials):
    """Workload identity federation whose subject token is in a file, or at a URL."""

    def retrieve_subject_token(self, request: Any) -> Any:
        """Read it; google-auth would wait at a pipe, and read a device to the end of memory."""
        source = self._credential_source
        file = source.get("file") if isinstance(source, dict) else None
        try:
            if isinstance(file, str):
                read_regular(Path(file), MEBIBYTE)
        except FileNotFoundError:
            pass  # google-auth says so itself
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise MintError(f"the file of the subject token, {file}: {reason}") from None
        return super().retrieve_subject_token(request)


class _ProgramCredentials(pluggable.Credentials):
    """Workload identity federation whose subject token a program prints."""

    _of_the_file = 0
    """Milliseconds that the credentials file gives the program."""

    def let_take(self, seconds: float) -> bool:
        """Give the program at most ``seconds``; whether the file gives it more."""
        ours, in_force = max(1, int(seconds * 1000)), "_credential_source_executable_timeout_millis"
        if not self._of_the_file:
            self._of_the_file = int(getattr(self, in_force))
        setattr(self, in_force, min(self._of_the_file, ours))
        return ours < self._of_the_file


def let_take(source: SourceCredentials, seconds: float) -> bool:
    """Bound what google-auth does to get a token and that is no HTTP request.

    Whether that is less than the credentials file gives it.
    """
    return isinstance(source, _ProgramCredentials) and source.let_take(seconds)


def _with_full_delegates(info: dict[str, Any]) -> dict[str, Any]:
    """google-auth sends delegates as they stand; the API wants their resource names."""
    return info | {"delegates": [resource_name(name) for name in info.get("delegates") or ()]}


def resource_name(account: str) -> str:
    """The form that the IAM Credentials API's reference demands of a delegate."""
    return account if "/" in account else f"projects/-/serviceAccounts/{account}"
