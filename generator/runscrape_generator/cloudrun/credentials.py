"""Who calls Google, and where: the API's endpoint, and Application Default Credentials."""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import google.auth
import google.auth.transport.requests
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError

from runscrape_generator.addresses import is_loopback
from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import ConfigError, DiscoveryError

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
"""The one OAuth scope that v1 ``projects.locations.list`` documents; what may be done is IAM's."""

GLOBAL_HOST = "run.googleapis.com"
"""Serves list methods for every region, so that one channel is enough; writes need a regional host
(the Cloud Run connector's reference, ``namespaces.services.list``)."""

_no_token: Any = RefreshError  # google-auth does not annotate it

LOGIN = (
    "run 'gcloud auth application-default login', "
    "or set GOOGLE_APPLICATION_CREDENTIALS to a credentials file"
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the Run Admin API answers."""

    target: str
    """``host:port`` for gRPC."""
    url: str
    """``scheme://host:port`` for REST, without a slash at the end."""
    plaintext: bool
    """``http://``: no TLS, and therefore no credentials either, except on loopback."""

    @property
    def loopback(self) -> bool:
        """Whether what is sent there stays on this machine."""
        return is_loopback(urlsplit(self.url).hostname or "")


@dataclass(frozen=True, slots=True)
class Access:
    """An endpoint, the projects to list there, and what to call it with."""

    endpoint: Endpoint
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


def endpoint_of(text: str | None) -> Endpoint:
    """Read ``--api-endpoint``: ``http://HOST:PORT``, ``https://HOST[:PORT]`` or ``HOST[:PORT]``.

    Raises ConfigError for anything else.
    """
    text = text or GLOBAL_HOST
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        parts, port = urlsplit(""), None
    more = (parts.path.strip("/"), parts.query, parts.fragment, parts.username)
    if not parts.hostname or not port or any(more) or any(c.isspace() for c in text):
        raise ConfigError(
            f"--api-endpoint: {text!r} is neither http://HOST:PORT (plaintext) nor "
            f"https://HOST[:PORT] nor HOST[:PORT]"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Endpoint(f"{host}:{port}", f"{parts.scheme}://{host}:{port}", parts.scheme == "http")


def open_access(settings: Settings) -> Access:
    """Find credentials and projects; asks the metadata server at most, and mints no token yet.

    Credentials that cannot be found are no error while ``--project`` says what to list: then
    every scope fails for that reason and the inventory stands in. Raises DiscoveryError where
    nothing says the project because there are no credentials, ConfigError where they name none.
    """
    endpoint = endpoint_of(settings.api_endpoint)
    projects = tuple(dict.fromkeys(settings.projects))
    if projects and endpoint.plaintext:
        return Access(endpoint, projects)
    try:
        credentials, project = _default()
    except GoogleAuthError as error:
        if projects:
            return Access(endpoint, projects, problem=error)
        raise DiscoveryError(_no_project(error)) from error
    projects = projects or ((project,) if project else ())
    if not projects:
        raise ConfigError(
            "no project: the credentials name none; give --project, or set GOOGLE_CLOUD_PROJECT"
        )
    return Access(endpoint, projects, None if endpoint.plaintext else credentials)


def with_credentials(access: Access) -> Access:
    """Give the same with credentials, for a server on loopback that asks for them.

    Raises ValueError for any other server that is called without TLS.
    """
    if access.endpoint.plaintext and not access.endpoint.loopback:
        raise ValueError(access.endpoint.target)
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
        return f"no credentials, and no --project: {first_line(error)}; {LOGIN}"
    return f"no credentials, and no --project: {first_line(error)}; try again, or give --project"


def first_line(error: BaseException, limit: int = 300) -> str:
    """Shorten an error to one line of at most ``limit`` characters, for messages."""
    text = " ".join(str(error.args[0] if error.args else error).split()) or type(error).__name__
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
