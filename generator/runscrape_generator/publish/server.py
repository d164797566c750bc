"""The Prometheus, or vmagent, that ``--reload`` names: how it is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import requests
from requests.auth import HTTPBasicAuth

from runscrape_generator.addresses import is_loopback
from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import ConfigError
from runscrape_generator.regular_file import read_regular

OWN_CA = "for a CA of your own set REQUESTS_CA_BUNDLE to its file"
"""What to say where a server's certificate is not trusted."""
_LONGEST_PASSWORD = 4096
_READ_AT_ONCE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Login:
    """User and password for Basic authentication."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Server:
    """Where it is, and as whom it is asked."""

    url: str
    """That of a reload: ``http://HOST:PORT/-/reload``."""
    login: Login | None = None
    ca_file: str | None = None
    """What signs its certificate; None for http."""

    @property
    def address(self) -> str:
        """What stands before the paths of its API."""
        return self.url.removesuffix("/-/reload")

    def request(
        self, method: Literal["GET", "POST"], path: str, timeout: float
    ) -> requests.Response:
        """Ask; the caller closes the answer, which is not read yet. Raises RequestException.

        A redirect is not followed: a POST would become a GET, which reloads nothing. Proxies are
        those of the environment, but none stands before this machine.
        """
        host = urlsplit(self.url).hostname or ""
        return requests.request(
            method,
            self.address + path,
            timeout=timeout,
            allow_redirects=False,
            stream=True,
            verify=self.ca_file,
            proxies={"no_proxy": host} if is_loopback(host) else {},
            auth=self._authorize,
        )

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Send the login, and without one nothing: requests would take what ``~/.netrc`` has."""
        if self.login is None:
            return request
        user, password = self.login.user.encode(), self.login.password.encode()
        HTTPBasicAuth(user, password)(request)
        return request


def beginning(response: requests.Response, limit: int) -> str:
    """Read the beginning of an answer, of at most *limit* bytes."""
    body = b""
    for part in response.iter_content(_READ_AT_ONCE):
        body += part
        if len(body) >= limit:
            break
    return body[:limit].decode(errors="replace")


def server(settings: Settings) -> Server | None:
    """Give the server that ``--reload`` names.

    Raises ConfigError where the file with the password cannot be read (it is read for each run), or
    that with the CA, which is the one of calls to Google.
    """
    if settings.reload is None:
        return None
    ca_file = None
    if settings.reload.startswith("https:"):
        from runscrape_generator.cloudrun.network import Network  # noqa: PLC0415 (slow to import)

        ca_file = Network().ca_file
    return Server(settings.reload, _login(settings), ca_file)


def _login(settings: Settings) -> Login | None:
    """White space around a password does not count."""
    path = settings.reload_password_file
    if settings.reload_user is None or path is None:
        return None
    try:
        password = read_regular(path, _LONGEST_PASSWORD).decode().strip()
    except OSError as error:
        raise ConfigError(f"--reload-password-file: {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"--reload-password-file: {path}: is not UTF-8 text") from None
    if not password:
        raise ConfigError(f"--reload-password-file: {path}: holds no password")
    return Login(settings.reload_user, password)
