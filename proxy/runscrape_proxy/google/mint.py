"""The ways to mint an ID token, on google-auth's credentials.

``DirectMinter``: the issuer gives ID tokens by itself (a key's JWT grant, the metadata server).
``ImpersonatingMinter``: an access token of some source, and with it ``generateIdToken`` of the
IAM Credentials API for the service account that is to be impersonated. google-auth's own
``impersonated_credentials.IDTokenCredentials`` makes that call in a session of its own (a new
TLS connection for each token, 120 s, redirects followed), so it is made here.
"""

from __future__ import annotations

import json
import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from runscrape_proxy.errors import MintError
from runscrape_proxy.google import jwt, remedies
from runscrape_proxy.google.sources import resource_name
from runscrape_proxy.model import CredentialKind, Minted

if TYPE_CHECKING:
    from runscrape_proxy.google.access_tokens import AccessTokens
    from runscrape_proxy.google.http import GoogleHttp, GoogleRequest
    from runscrape_proxy.google.sources import Impersonation

log = logging.getLogger(__name__)


class DirectMinter:
    """Mints with credentials that have ``with_target_audience``.

    ``identity`` is empty where only the first token tells it (the metadata server).
    """

    def __init__(
        self, kind: CredentialKind, credentials: Any, http: GoogleHttp, *, identity: str
    ) -> None:
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
        except remedies.MALFORMED as error:
            raise remedies.unusable(error) from None
        token = jwt.read(credentials.token, audience)
        self._note(token.email)
        if self.kind is not CredentialKind.METADATA:
            return Minted(token.value, token.seconds_left())
        # It has kept the token for a while: its own Date tells how long, or else our clock.
        return Minted(token.value, token.seconds_left(request.date, time.time()), repeats=True)

    def _note(self, email: str) -> None:
        if email and email != self.identity:
            if self.identity:
                log.warning("tokens are minted as %s from now on, not as %s", email, self.identity)
            self.identity = email


class ImpersonatingMinter:
    """Mints for the account that is impersonated, with access tokens of the one that does it."""

    def __init__(
        self, impersonation: Impersonation, access_tokens: AccessTokens, http: GoogleHttp
    ) -> None:
        self.kind = impersonation.kind
        self.identity = impersonation.target
        self._endpoint = impersonation.endpoint
        self._delegates = [resource_name(delegate) for delegate in impersonation.delegates]
        self._access_tokens = access_tokens
        self._http = http

    def mint(self, audience: str, *, timeout: float) -> Minted:
        """One token; see :class:`runscrape_proxy.model.Minter`."""
        request = self._http.within(timeout)
        try:
            value = self._generate(request, audience)
        except remedies.MALFORMED as error:
            raise remedies.unusable(error) from None
        token = jwt.read(value, audience)
        return Minted(token.value, token.seconds_left())

    def _generate(self, request: GoogleRequest, audience: str) -> object:
        """Call generateIdToken, and once more if the access token is not taken any more."""
        headers = self._access_tokens.headers(request.deadline)
        try:
            return self._call(request, audience, headers)
        except MintError as error:
            if error.status != HTTPStatus.UNAUTHORIZED:
                raise
        self._access_tokens.drop(headers)
        return self._call(request, audience, self._access_tokens.headers(request.deadline))

    def _call(self, request: GoogleRequest, audience: str, headers: dict[str, str]) -> object:
        body = {"audience": audience, "delegates": self._delegates, "includeEmail": True}
        answer = request(
            self._endpoint,
            method="POST",
            headers=headers | {"Content-Type": "application/json"},
            body=json.dumps(body).encode(),
        )
        return json.loads(answer.data)["token"]
