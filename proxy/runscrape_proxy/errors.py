"""Every error of the proxy, as one tree.

::

    ProxyError
    ├── StartError               the proxy cannot start; exit code 2
    │   └── CredentialsError     these credentials cannot mint an ID token
    ├── MintError                Google gave no token, this time
    ├── ScrapeError              an answer of the gateway's own, 400 to 505
    └── OAuthError               an answer of RFC 6749, section 5.2
        ├── InvalidRequest           400 invalid_request
        ├── UnsupportedMediaType     415 invalid_request
        ├── UnsupportedGrantType     400 unsupported_grant_type
        ├── InvalidClient            401 invalid_client
        ├── InvalidTarget            400 invalid_target (RFC 8707, section 2)
        ├── Forbidden                403 access_denied
        └── TemporarilyUnavailable   503 temporarily_unavailable, with Retry-After

Every message is one line, says what to do, and holds no token and no secret: Prometheus shows it
on its targets page.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping


class ProxyError(Exception):
    """The root: whatever the proxy raises on purpose."""


class StartError(ProxyError):
    """The proxy cannot start: a bad option, an unreadable file, a busy port."""

    exit_code: ClassVar[int] = 2


class CredentialsError(StartError):
    """These credentials cannot mint an ID token; the message says which could."""


class MintError(ProxyError):
    """Google gave no token for an audience, this time.

    ``remedy`` is what an operator can do about it (empty where waiting is all), in one line;
    ``status`` that of Google's answer, if there was one.
    """

    def __init__(self, reason: str, *, remedy: str = "", status: int | None = None) -> None:
        super().__init__(f"{reason}: {remedy}" if remedy else reason)
        self.reason = reason
        self.remedy = remedy
        self.status = status


class ScrapeError(ProxyError):
    """The gateway answers itself, with ``status`` and one line that names the remedy.

    ``phrase`` stands in the status line, for answers of which people see nothing else.
    """

    def __init__(
        self,
        status: HTTPStatus,
        reason: str,
        headers: Mapping[str, str] | None = None,
        *,
        phrase: str = "",
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = dict(headers or {})
        self.phrase = phrase or status.phrase


class OAuthError(ProxyError):
    """An error answer of the token endpoint: RFC 6749, section 5.2."""

    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST
    error: ClassVar[str] = "invalid_request"

    def __init__(self, description: str) -> None:
        super().__init__(description)
        self.description = description

    @property
    def headers(self) -> dict[str, str]:
        """What the answer carries beside the JSON body."""
        return {}


class InvalidRequest(OAuthError):
    """The request is malformed, or lacks or repeats a parameter."""


class UnsupportedMediaType(OAuthError):
    """The body is not application/x-www-form-urlencoded."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class UnsupportedGrantType(OAuthError):
    """The grant is not client_credentials (RFC 6749, section 4.4)."""

    error = "unsupported_grant_type"


class InvalidClient(OAuthError):
    """The client did not prove who it is."""

    status = HTTPStatus.UNAUTHORIZED
    error = "invalid_client"
    challenge: ClassVar[str] = 'Basic realm="runscrape-proxy", charset="UTF-8"'

    @property
    def headers(self) -> dict[str, str]:
        """RFC 6749, section 5.2: a 401 names the scheme that the client is to use."""
        return {"WWW-Authenticate": self.challenge}


class InvalidTarget(OAuthError):
    """The audience is not one that this proxy may mint for (RFC 8707, section 2)."""

    error = "invalid_target"


class Forbidden(OAuthError):
    """The request came by a way that no Prometheus takes: forwarded, or from a page."""

    status = HTTPStatus.FORBIDDEN
    error = "access_denied"


class TemporarilyUnavailable(OAuthError):
    """No token within the mint timeout; ``retry_after`` is in whole seconds."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    error = "temporarily_unavailable"

    def __init__(self, description: str, *, retry_after: int) -> None:
        super().__init__(description)
        self.retry_after = max(1, retry_after)

    @property
    def headers(self) -> dict[str, str]:
        """RFC 9110, section 10.2.3."""
        return {"Retry-After": str(self.retry_after)}


def printed(text: str) -> str:
    """Put ``?`` for what a message cannot show of others' texts, such as control characters."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else "?" for each in text)
