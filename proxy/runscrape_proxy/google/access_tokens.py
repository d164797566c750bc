"""Access tokens for the IAM Credentials API, shared by all mints of one identity."""

from __future__ import annotations

import re
import subprocess
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from google.auth.credentials import TokenState

from runscrape_proxy.errors import MintError
from runscrape_proxy.google import remedies, sources
from runscrape_proxy.http_client import Deadline

if TYPE_CHECKING:
    from google.auth.credentials import Credentials as SourceCredentials

    from runscrape_proxy.google.http import GoogleHttp

_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
"""RFC 6749, appendix A.12, less the space, which no header field takes."""

_BUSY: Final = "the access token for the IAM Credentials API is still being fetched"


class AccessTokens:
    """One access token of ``source``, fetched by one caller at a time, within its deadline.

    ``quota_project`` pays for the calls, where it is not empty.
    """

    def __init__(self, source: SourceCredentials, http: GoogleHttp, *, quota_project: str) -> None:
        self._source = source
        self._http = http
        self._quota_project = quota_project
        self._lock = threading.Lock()

    def headers(self, deadline: Deadline) -> dict[str, str]:
        """What authorizes a call, and which project pays for it. Raises MintError."""
        if self._source.token_state is not TokenState.FRESH:
            self._renew(deadline)
        headers: dict[str, str] = {}
        self._source.apply(headers)
        if self._quota_project:
            headers["x-goog-user-project"] = self._quota_project
        return headers

    def drop(self, refused: dict[str, str]) -> None:
        """Google does not take the token of these headers any more: have the next one fetched."""
        with self._lock:
            current: dict[str, str] = {}
            self._source.apply(current)
            if current.get("authorization") == refused.get("authorization"):
                self._source.token = None

    def _renew(self, deadline: Deadline) -> None:
        # Google calls a token stale in its last 3:45, in which it is as good as before: then
        # nobody waits for the one that fetches another, and that one leaves time for its mint.
        stale = self._source.token_state is TokenState.STALE
        if not self._lock.acquire(timeout=0 if stale else max(0.0, deadline.left)):
            if stale:
                return
            raise MintError(_BUSY)
        try:
            if self._source.token_state is not TokenState.FRESH:
                self._fetch(Deadline(deadline.left / 2) if stale else deadline)
        except MintError:
            if self._source.token_state is not TokenState.STALE:
                raise
        finally:
            self._lock.release()

    def _fetch(self, deadline: Deadline) -> None:
        """Fetch a token that can be used; what was held stays where there is none."""
        held = self._source.token, self._source.expiry
        fetched = False
        try:
            self._refresh(deadline)
            token = self._source.token
            fetched = isinstance(token, str) and _TOKEN.fullmatch(token) is not None
        except remedies.MALFORMED as error:
            raise remedies.unusable(error) from None
        finally:
            if not fetched:
                self._source.token, self._source.expiry = held
        if not fetched:
            raise MintError("what Google gave is no access token", remedy=remedies.IN_PLACE)

    def _refresh(self, deadline: Deadline) -> None:
        """Have google-auth fetch a token, and once more if that is for a token that was revoked."""
        request = self._http.until(deadline)
        shortened = sources.let_take(self._source, deadline.left)
        try:
            self._source.refresh(request)
        except MintError as error:
            if error.status != HTTPStatus.UNAUTHORIZED or not _drop_below(self._source):
                raise
            self._source.refresh(request)
        except subprocess.TimeoutExpired as error:
            raise _slow_program(error.timeout, shortened=shortened) from None


def _drop_below(source: Any) -> bool:
    """Drop the tokens that ``source`` fetches its own with, in a chain; whether there were any."""
    dropped = False
    for name in ("_source_credentials", "_impersonated_credentials"):
        below = getattr(source, name, None)
        if below is not None:
            dropped |= below.token is not None
            below.token = None
            dropped |= _drop_below(below)
    return dropped


def _slow_program(seconds: float, *, shortened: bool) -> MintError:
    return MintError(
        "the program that the credentials name (credential_source.executable) did not answer"
        f" within {seconds:.3g} s",
        remedy="give it more with --mint-timeout, or let it keep its answer in an output_file"
        if shortened
        else "give it more with timeout_millis in the credentials file",
    )
