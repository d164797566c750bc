"""The ways to mint an ID token, on google-auth's credentials.

``DirectMinter``: the issuer gives ID tokens by itself (a key's JWT grant, the metadata server).
``ImpersonatingMinter``: an access token of some source, and with it ``generateIdToken`` of the
IAM Credentials API for the service account that is to be impersonated. google-auth's own
``impersonated_credentials.IDTokenCredentials`` makes that call in a session of its own (a new
TLS connection for each token, 120 s, redirects followed), so it is made here.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from google.auth.credentials import TokenState
from google.auth.exceptions import GoogleAuthError

from runscrape_proxy.errors import MintError
from runscrape_proxy.google import jwt, remedies
from runscrape_proxy.google.sources import resource_name
from runscrape_proxy.http_client import Deadline
from runscrape_proxy.model import Kind, Minted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscrape_proxy.google.http import GoogleHttp
    from runscrape_proxy.google.sources import Source

_BUSY: Final = "the access token for the IAM Credentials API is still being fetched"
_MALFORMED: Final = (
    GoogleAuthError,
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What google-auth and json raise for credentials and answers that are not what they should be."""


class DirectMinter:
    """Mints with credentials that have ``with_target_audience``.

    ``identity`` is empty where only the first token tells it (the metadata server).
    """

    def __init__(self, kind: Kind, credentials: Any, http: GoogleHttp, *, identity: str) -> None:
        self.kind = kind
        self.identity = identity
        self._credentials = credentials
        self._http = http

    def mint(self, audience: str, *, timeout: float) -> Minted:
        """One token; see :class:`runscrape_proxy.model.Minter`."""
        credentials = self._credentials.with_target_audience(audience)
        request = self._http.within(timeout)
        try:
            credentials.refresh(request)
        except _MALFORMED as error:
            raise remedies.unusable(error) from None
        token = jwt.read(credentials.token, audience)
        self.identity = self.identity or token.email
        repeats = self.kind is Kind.METADATA
        # A metadata server that says no Date leaves only this machine's clock to tell the age by.
        now = request.date or (time.time() if repeats else None)
        return Minted(token.value, token.seconds_left(now), repeats=repeats)


class ImpersonatingMinter:
    """Mints for ``target`` (an e-mail address) at ``endpoint`` with access tokens of ``source``.

    ``source_http`` is the way to the source's issuer, where that is not the way to the API.
    """

    def __init__(
        self,
        kind: Kind,
        source: Source,
        http: GoogleHttp,
        *,
        target: str,
        endpoint: str,
        delegates: Sequence[str] = (),
        source_http: GoogleHttp | None = None,
    ) -> None:
        self.kind = kind
        self.identity = target
        self._source = _AccessTokens(source, source_http or http)
        self._http = http
        self._endpoint = endpoint
        self._delegates = [resource_name(delegate) for delegate in delegates]

    def mint(self, audience: str, *, timeout: float) -> Minted:
        """One token; see :class:`runscrape_proxy.model.Minter`."""
        request = self._http.within(timeout)
        try:
            headers = self._source.headers(request.deadline)
            body = {
                "audience": audience,
                "delegates": self._delegates,
                "includeEmail": True,
            }
            answer = request(
                self._endpoint,
                method="POST",
                headers=headers | {"Content-Type": "application/json"},
                body=json.dumps(body).encode(),
            )
            value = json.loads(answer.data)["token"]
        except _MALFORMED as error:
            raise remedies.unusable(error) from None
        token = jwt.read(value, audience)
        return Minted(token.value, token.seconds_left(request.date))


class _AccessTokens:
    """One access token of ``source``, fetched by one caller at a time, within its deadline."""

    def __init__(self, source: Source, http: GoogleHttp) -> None:
        self._source = source
        self._http = http
        self._lock = threading.Lock()

    def headers(self, deadline: Deadline) -> dict[str, str]:
        """What authorizes a call: ``Authorization``, and the quota project where there is one."""
        if self._source.token_state is not TokenState.FRESH:
            self._renew(deadline)
        headers: dict[str, str] = {}
        self._source.apply(headers)
        return headers

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
                until = Deadline(deadline.left / 2) if stale else deadline
                self._source.refresh(self._http.until(until))
        except MintError:
            if self._source.token_state is not TokenState.STALE:
                raise
        finally:
            self._lock.release()
