"""Who asks: the client id and secret of RFC 6749, section 2.3.1, or of a job's ``basic_auth``."""

from __future__ import annotations

import base64
import binascii
import codecs
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

from runscrape_proxy.errors import InvalidClient, InvalidRequest
from runscrape_proxy.files import WatchedFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


class IdAndSecret(NamedTuple):
    """An id and a secret, as a client shows them."""

    client_id: bytes
    secret: bytes


@dataclass(frozen=True, slots=True)
class Clients:
    """The client id and secrets that are good; ``secrets`` None lets everybody in (loopback)."""

    client_id: str = ""
    secrets: WatchedFile[Secrets] | None = None

    def check_header(self, authorization: str | None) -> None:
        """Check the client of a token request by its Authorization header, if there is one.

        Raises InvalidClient.
        """
        if self.secrets is None or authorization is None:
            return
        if not self._knows(read_basic(authorization)):
            raise _wrong("client_id or client_secret")

    def check_form(self, form: Mapping[str, str], authorization: str | None) -> None:
        """Check the client by the form of a token request, where the header does not tell it.

        Raises InvalidClient, and InvalidRequest where both tell, and tell different things.
        """
        if self.secrets is None:
            return
        if authorization is not None:
            _check_agreement(form, authorization)
        elif "client_secret" not in form:
            raise InvalidClient(
                "no client_secret: set client_id and client_secret_file in the oauth2 block"
            )
        elif not self._knows(
            [IdAndSecret(form.get("client_id", "").encode(), form["client_secret"].encode())]
        ):
            raise _wrong("client_id or client_secret")

    def check_basic(self, credentials: str | None) -> None:
        """Check a client that is no OAuth 2.0 client: ``basic_auth`` of a scrape job.

        Raises InvalidClient.
        """
        if self.secrets is None:
            return
        if credentials is None:
            raise InvalidClient(
                "no client secret: set basic_auth with username and password_file in the job"
            )
        if not self._knows(read_basic(credentials)):
            raise _wrong("username or password")

    def is_ours(self, credentials: str) -> bool:
        """Say whether these are the credentials of this very proxy, which nobody else may see."""
        try:
            return self._knows(read_basic(credentials))
        except InvalidClient:
            return False

    def _knows(self, readings: Iterable[IdAndSecret]) -> bool:
        """Compare each reading, in a time that tells nothing of what is right."""
        held = self.secrets.value if self.secrets else None
        wanted = _digest(self.client_id.encode())
        found = False
        for shown in readings:
            known = held is not None and held.holds(shown.secret)
            found |= hmac.compare_digest(_digest(shown.client_id), wanted) & known
        return found


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of one file, as digests: neither a repr nor a core dump of ours shows them."""

    digests: frozenset[bytes] = field(repr=False)

    def holds(self, secret: bytes) -> bool:
        """Compare with every secret, in a time that tells nothing of them."""
        digest = _digest(secret)
        found = False
        for known in self.digests:
            found |= hmac.compare_digest(digest, known)
        return found


def watch_secrets(path: Path) -> WatchedFile[Secrets]:
    """Return the secrets at ``path``, one a line; white space around each does not count."""
    return WatchedFile(path, parse_secrets, what="client secret file")


def parse_secrets(content: bytes) -> Secrets:
    """Read a secret file. Raises ValueError if there is no secret in it."""
    if b"\0" in content:
        raise ValueError("no text: write it in UTF-8")
    digests = frozenset(_digest(line) for line in content.splitlines() if _bare(line))
    if not digests:
        raise ValueError("no secret in it")
    return Secrets(digests)


def read_basic(authorization: str) -> tuple[IdAndSecret, ...]:
    """Read a Basic header in each of the ways that clients write it.

    RFC 7617 puts id and secret into it as they are, in UTF-8 or, as Python's requests does, in
    Latin-1; RFC 6749 (section 2.3.1, appendix B) has each form-encoded first. Raises InvalidClient.
    """
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient("only Basic is understood in the Authorization header")
    try:
        pair = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidClient("the Authorization header is not base64") from None
    client_id, _, secret = pair.partition(b":")
    return (
        IdAndSecret(client_id, secret),
        IdAndSecret(_form_decoded(client_id), _form_decoded(secret)),
        IdAndSecret(_from_latin_1(client_id), _from_latin_1(secret)),
    )


def _check_agreement(form: Mapping[str, str], authorization: str) -> None:
    if "client_secret" in form:
        raise InvalidRequest("client_secret came twice, as Basic and in the body: send one")
    client_id = form.get("client_id", "").encode().strip()
    if client_id and client_id not in {
        each.client_id.strip() for each in read_basic(authorization)
    }:
        raise InvalidRequest("client_id differs between Basic and the body")


def _wrong(what: str) -> InvalidClient:
    return InvalidClient(
        f"wrong {what}: both must be those that runscrape-proxy was started with"
        " (--client-id, --client-secret-file)"
    )


def _form_decoded(part: bytes) -> bytes:
    return unquote_to_bytes(part.replace(b"+", b" "))


def _from_latin_1(part: bytes) -> bytes:
    return part.decode("latin-1").encode()


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(_bare(secret)).digest()


def _bare(secret: bytes) -> bytes:
    """White space at either end never counts: files and Kubernetes Secrets end in a newline.

    Nor does the byte order mark that some editors begin a file with.
    """
    return secret.strip().removeprefix(codecs.BOM_UTF8).strip()
