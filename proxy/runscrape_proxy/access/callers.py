"""Who asks: the client id and secret of RFC 6749, section 2.3.1."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from runscrape_proxy.errors import InvalidClient, InvalidRequest
from runscrape_proxy.files import WatchedFile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Clients:
    """The client id and secrets that are good; ``secrets`` None lets everybody in (loopback)."""

    client_id: str = ""
    secrets: WatchedFile[Secrets] | None = None

    def check(self, authorization: str | None, form: Mapping[str, str]) -> None:
        """Check the client of RFC 6749, section 2.3.1, from Basic or from the body.

        Raises InvalidClient, and InvalidRequest for both ways at once.
        """
        if self.secrets is None:
            return
        if not self.knows(*_credentials(authorization, form)):
            raise InvalidClient(
                "wrong client_id or client_secret: both must be those that runscrape-proxy was"
                " started with (--client-id, --client-secret-file)"
            )

    def check_basic(self, credentials: str | None) -> None:
        """Check a client that shows id and secret as they are: RFC 7617, ``basic_auth``.

        Raises InvalidClient.
        """
        if self.secrets is None:
            return
        if credentials is None:
            raise InvalidClient(
                "no client secret: set basic_auth with username and password_file in the job"
            )
        if not self.knows(*_pair(credentials)):
            raise InvalidClient(
                "wrong username or password: both must be those that runscrape-proxy was started"
                " with (--client-id, --client-secret-file)"
            )

    def knows(self, client_id: bytes, secret: bytes) -> bool:
        """Compare both, in a time that tells nothing of them."""
        held = self.secrets.value if self.secrets else None
        known = held is not None and held.holds(secret)
        return _same(client_id, self.client_id) & known

    def is_ours(self, credentials: str) -> bool:
        """Say whether these are the credentials of this very proxy, which nobody else may see."""
        try:
            return self.knows(*_pair(credentials))
        except InvalidClient:
            return False


class Secrets:
    """The secrets of one file, as digests: neither a repr nor a core dump of ours shows them."""

    def __init__(self, digests: frozenset[bytes]) -> None:
        self._digests = digests

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secrets) and other._digests == self._digests

    def __hash__(self) -> int:
        return hash(self._digests)

    def holds(self, secret: bytes) -> bool:
        """Compare with every secret, in a time that tells nothing of them."""
        digest = _digest(secret)
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(digest, known)
        return found


def watch_secrets(path: Path) -> WatchedFile[Secrets]:
    """Return the secrets at ``path``, one a line; white space around each does not count."""
    return WatchedFile(path, parse_secrets, what="client secret file")


def parse_secrets(content: bytes) -> Secrets:
    """Read a secret file. Raises ValueError if there is no secret in it."""
    lines = [line.strip() for line in content.splitlines()]
    digests = frozenset(_digest(line) for line in lines if line)
    if not digests:
        raise ValueError("no secret in it")
    return Secrets(digests)


def _credentials(authorization: str | None, form: Mapping[str, str]) -> tuple[bytes, bytes]:
    if authorization is None:
        if "client_secret" not in form:
            raise InvalidClient(
                "no client_secret: set client_id and client_secret_file in the oauth2 block"
            )
        return form.get("client_id", "").encode(), form["client_secret"].encode()
    if "client_secret" in form:
        raise InvalidRequest("client_secret came twice, as Basic and in the body: send one")
    client_id, secret = _basic(authorization)
    if form.get("client_id", "").encode() not in {b"", client_id}:
        raise InvalidRequest("client_id differs between Basic and the body")
    return client_id, secret


def _basic(authorization: str) -> tuple[bytes, bytes]:
    client_id, secret = _pair(authorization)
    # Both parts are form-encoded before base64: RFC 6749, section 2.3.1, and appendix B.
    return _form_decoded(client_id), _form_decoded(secret)


def _pair(authorization: str) -> tuple[bytes, bytes]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient("only Basic is understood in the Authorization header")
    try:
        pair = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidClient("the Authorization header is not base64") from None
    client_id, _, secret = pair.partition(b":")
    return client_id, secret


def _form_decoded(part: bytes) -> bytes:
    return unquote_to_bytes(part.replace(b"+", b" "))


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def _same(given: bytes, wanted: str) -> bool:
    return hmac.compare_digest(_digest(given), _digest(wanted.encode()))
