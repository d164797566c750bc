"""Who calls Google, and where: Application Default Credentials, and the API's address."""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from typing import Any

import google.auth
import google.auth.transport.requests
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError

from runscrape_generator.cloudrun.address import ApiAddress, api_address
from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import ConfigError, DiscoveryError
from runscrape_generator.text import one_line

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
"""The one OAuth scope that v1 ``projects.locations.list`` documents; what may be done is IAM's."""

_no_token: Any = RefreshError  # google-auth does not annotate it

LOGIN = (
    "run 'gcloud auth application-default login', "
    "or set GOOGLE_APPLICATION_CREDENTIALS to a credentials file"
)


@dataclass(frozen=True, slots=True)
class Access:
    """The API's address, the projects to list there, and the credentials to call it with."""

    address: ApiAddress
    projects: tuple[str, ...]
    credentials: Any = None
    """``google.auth.credentials.Credentials``; None where ``problem`` is set, and over plaintext
    unless that is on loopback and the server there has asked for them."""
    problem: GoogleAuthError | None = None
    """Why there are no credentials; every call of the run then fails for this reason."""

    def refresh(self) -> None:
        """Get an access token. Raises GoogleAuthError; blocks as long as google-auth likes."""
        request = google.auth.transport.requests.Request()
        try:
            self.credentials.refresh(request)
        except GoogleAuthError:
            raise
        except Exception as error:  # TypeError, of a proxy's page where the token should be
            raise _no_token(f"the answer is no token ({type(error).__name__})") from error

    def headers(self) -> dict[str, str]:
        """Give what a plaintext call carries: nothing, or the token that ``refresh`` got.

        In lower case, as gRPC wants its metadata.
        """
        headers: dict[str, str] = {}
        if self.credentials is not None:
            self.credentials.apply(headers)
        return headers

    @property
    def member(self) -> str:
        """Who calls, as IAM writes members (``serviceAccount:EMAIL``); empty while unknown."""
        email = getattr(self.credentials, "service_account_email", None)
        if email and email != "default":  # what a VM says before its first token
            return f"serviceAccount:{email}"
        account = getattr(self.credentials, "account", None)
        return f"user:{account}" if account else ""


def open_access(settings: Settings) -> Access:
    """Find credentials and projects; asks the metadata server at most, and mints no token yet.

    Credentials that cannot be found are no error while ``--project`` says what to list: then
    every scope fails for that reason and the inventory stands in. Raises DiscoveryError where
    nothing says the project because there are no credentials, ConfigError where they name none.
    """
    address = api_address(settings.api_endpoint)
    projects = tuple(dict.fromkeys(settings.projects))
    if projects and address.plaintext:
        return Access(address, projects)
    try:
        credentials, project = _default()
    except GoogleAuthError as error:
        if projects:
            return Access(address, projects, problem=error)
        raise DiscoveryError(_no_project(error)) from error
    projects = projects or ((project,) if project else ())
    if not projects:
        raise ConfigError(
            "no project: the credentials name none; give --project, or set GOOGLE_CLOUD_PROJECT"
        )
    return Access(address, projects, None if address.plaintext else credentials)


def with_credentials(access: Access) -> Access:
    """Give the same with credentials, for a server on loopback that asks for them.

    Raises ValueError for any other server that is called without TLS.
    """
    if access.address.plaintext and not access.address.loopback:
        raise ValueError(access.address.target)
    try:
        credentials, _ = _default()
    except GoogleAuthError as error:
        return dataclasses.replace(access, problem=error)
    return dataclasses.replace(access, credentials=credentials)


def _default() -> tuple[Any, str | None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "no quota project": told by the call that needs one
        found: tuple[Any, str | None] = google.auth.default(scopes=SCOPES)
    return found


def _no_project(error: GoogleAuthError) -> str:
    if isinstance(error, DefaultCredentialsError):
        return f"no credentials, and no --project: {one_line(error)}; {LOGIN}"
    return f"no credentials, and no --project: {one_line(error)}; try again, or give --project"
