"""Who calls Google's APIs, and by which way: Application Default Credentials, address, network."""

from __future__ import annotations

import dataclasses
import os
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import google.auth
from google.auth import _cloud_sdk
from google.auth.exceptions import (
    DefaultCredentialsError,
    GoogleAuthError,
    InvalidValue,
    RefreshError,
)

from runscrape_generator.cloudrun.address import ApiAddress, api_address
from runscrape_generator.cloudrun.network import Network
from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import ConfigError, DiscoveryError
from runscrape_generator.regular_file import require_regular
from runscrape_generator.text import one_line, show

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
"""The one OAuth scope that v1 ``projects.locations.list`` and ``searchAllResources`` both document;
what may be done is IAM's."""

_no_token: Any = RefreshError  # google-auth does not annotate it
_unusable: Any = DefaultCredentialsError
_MAX_BYTES = 1 << 20
_PROJECT = re.compile("[a-z0-9.:-]+")
"""An id, or a number."""

LOGIN = (
    "run 'gcloud auth application-default login', "
    "or set GOOGLE_APPLICATION_CREDENTIALS to a credentials file"
)


@dataclass(frozen=True, slots=True)
class Access:
    """What an API is called with: its address, the network to it, and the caller's credentials."""

    address: ApiAddress
    projects: tuple[str, ...] = ()
    """The projects to list whatever a search finds."""
    credentials: Any = None
    """``google.auth.credentials.Credentials``; None where ``problem`` is set, and over plaintext
    unless that is on loopback and the server there has asked for them."""
    problem: GoogleAuthError | None = None
    """Why there are no credentials; every call of the run then fails for this reason."""
    network: Network = field(default_factory=Network)

    def refresh(self) -> None:
        """Get an access token. Raises GoogleAuthError; blocks as long as google-auth likes."""
        try:
            self.credentials.refresh(self.network.token_request())
        except GoogleAuthError:
            raise
        except Exception as error:  # TypeError, of a proxy's page where the token should be
            raise _no_token(f"the answer is no token ({type(error).__name__})") from error

    def headers(self) -> dict[str, str]:
        """Give what a call carries: nothing, or the token that ``refresh`` got, and who pays.

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

    @property
    def quota_project(self) -> str:
        """The project that calls are counted for, where the credentials name one; else empty."""
        return getattr(self.credentials, "quota_project_id", None) or ""


def open_access(settings: Settings) -> Access:
    """Find credentials and projects; asks the metadata server at most, and mints no token yet.

    Credentials that cannot be found are no error while the settings say what to list: then every
    call fails for that reason and the inventory stands in. Raises DiscoveryError where nothing says
    the project because there are no credentials, ConfigError where they name none.
    """
    address = api_address(settings.api_endpoint)
    projects = tuple(dict.fromkeys(settings.projects))
    named = bool(projects or settings.folders or settings.organizations)
    if named and address.plaintext:
        return Access(address, projects)
    try:
        credentials, project = find_default(Network().token_request())
    except GoogleAuthError as error:
        if named:
            return Access(address, projects, problem=error)
        raise DiscoveryError(_no_project(error)) from error
    if not named:
        projects = (_usable_project(project),)
    return Access(address, projects, None if address.plaintext else credentials)


def _usable_project(project: str | None) -> str:
    """Check what a variable or a file of credentials says; raises ConfigError."""
    if project and _PROJECT.fullmatch(project):
        return project
    found = f"{show(project)}, which is no project id" if project else "none"
    raise ConfigError(
        f"no project: the credentials name {found}; give --project, or set GOOGLE_CLOUD_PROJECT"
    )


def with_credentials(access: Access) -> Access:
    """Give the same with credentials, for a server on loopback that asks for them.

    Raises ValueError for any other server that is called without TLS.
    """
    if access.address.plaintext and not access.address.loopback:
        raise ValueError(access.address.target)
    try:
        credentials, _ = find_default(access.network.token_request())
    except GoogleAuthError as error:
        return dataclasses.replace(access, problem=error)
    return dataclasses.replace(access, credentials=credentials)


def authorized_access(settings: Settings) -> Access:
    """Find credentials and projects, for calls that always need credentials.

    Raises what :func:`open_access` and :func:`with_credentials` raise, and GoogleAuthError.
    """
    access = open_access(settings)
    if access.credentials is None and access.problem is None:
        access = with_credentials(access)
    if access.problem is not None:
        raise access.problem
    return access


_STUMBLES = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What google-auth raises for a file of JSON that is no credentials: it expects its own form."""


def find_default(request: Any) -> tuple[Any, str | None]:
    """Find Application Default Credentials, and the project that they name.

    Raises GoogleAuthError, also where the file is a pipe, which google-auth would wait for, or has
    a form at which google-auth stumbles.
    """
    named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    path = Path(named or _cloud_sdk.get_application_default_credentials_path())
    try:
        require_regular(path, _MAX_BYTES)
    except FileNotFoundError:
        pass  # google-auth knows more places, and says so where there is none
    except OSError as error:
        raise _unusable(f"credentials file {path}: {error.strerror}") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "no quota project": told by the call that needs one
        try:
            found: tuple[Any, str | None] = google.auth.default(scopes=SCOPES, request=request)
        except GoogleAuthError:
            raise
        except _STUMBLES:
            raise _unusable(f"credentials file {path}: not a usable credentials file") from None
    return found


def reason(error: GoogleAuthError) -> str:
    """Give google-auth's words and, where it keeps that apart, what is wrong with the file.

    Not those of InvalidValue, which may hold the key itself.
    """
    causes = (each for each in error.args[1:] if isinstance(each, Exception))
    told = (one_line(each) for each in causes if not isinstance(each, InvalidValue))
    return ": ".join([one_line(error), *told])


def _no_project(error: GoogleAuthError) -> str:
    remedy = LOGIN if isinstance(error, DefaultCredentialsError) else "try again, or give --project"
    return f"no credentials, and no --project: {reason(error)}; {remedy}"
