"""``--mint``: an ID token by the credentials that are here, without the proxy."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import google.auth.transport.requests
from google.auth import compute_engine, external_account, impersonated_credentials
from google.auth.exceptions import GoogleAuthError, TransportError
from google.oauth2 import credentials as user
from google.oauth2 import service_account

from runscrape_generator.cloudrun.calls import CallPool
from runscrape_generator.cloudrun.credentials import SCOPES, find_default
from runscrape_generator.doctor.evidence import TokenAnswer
from runscrape_generator.doctor.faults.minting import project_of
from runscrape_generator.doctor.remedies import member
from runscrape_generator.doctor.targets import Secret
from runscrape_generator.doctor.token import claims
from runscrape_generator.text import printable, shortened

_CANNOT = (
    "{kind} cannot mint an ID token: give --impersonate-service-account EMAIL, an account that "
    "{who} may impersonate"
)


class CannotMintError(Exception):
    """Credentials of a kind that cannot mint."""


def mint(audience: str, seconds: float, *, impersonate: str) -> TokenAnswer:
    """Mint with Application Default Credentials, as ``impersonate`` if that is given.

    google-auth would wait for minutes: what takes longer than ``seconds`` is given up on.
    """
    calls: CallPool[str, TokenAnswer] = CallPool(1, seconds)
    calls.submit(audience, lambda _until: _minted(audience, impersonate))
    ((_, outcome),) = calls.outcomes()
    if isinstance(outcome, TimeoutError):
        return _failed("google-unreachable", f"Google did not answer within {seconds:g} s", {})
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _minted(audience: str, impersonate: str) -> TokenAnswer:
    request = google.auth.transport.requests.Request()
    known: dict[str, str] = {}
    try:
        source: Any = _source(audience, impersonate, request, known)
        source.refresh(request)
    except CannotMintError as error:
        return _failed("cannot-mint", str(error), known)
    except (GoogleAuthError, ValueError, OSError) as error:
        kind = "google-unreachable" if isinstance(error, TransportError) else "no-token"
        return _failed(kind, said(error), known)
    token = Secret(source.token)
    return TokenAnswer(minted_here=True, token=token, claims=claims(token))


def _failed(error: str, description: str, known: Mapping[str, str]) -> TokenAnswer:
    text = printable(shortened(description, 600))
    return TokenAnswer(minted_here=True, error=error, description=text, known=known)


def said(error: BaseException) -> str:
    """Take Google's words out of what google-auth makes of them: reprs of JSON and of bytes."""
    texts = [each for each in _texts(error) if each]
    text = max(texts, key=len, default=type(error).__name__)
    if found := re.search(r"\{.*\}", text, re.DOTALL):
        with contextlib.suppress(ValueError, SyntaxError, KeyError, TypeError):
            return str(ast.literal_eval(found[0])["error"]["message"])
    text = text.partition(" Response:")[0] + text.partition(" Response:")[2].lstrip("\nb'\"")
    return text.replace("\\n", " ").rstrip("'\"")


def _texts(error: BaseException) -> Iterator[str]:
    for each in error.args:
        if isinstance(each, str):
            yield each
        elif isinstance(each, bytes):
            yield each.decode("utf-8", "replace")
        elif isinstance(each, BaseException):
            yield from _texts(each)


def _caller(credentials: Any) -> str:
    """Name whose credentials these are, as IAM does; empty where they do not say."""
    email = getattr(credentials, "service_account_email", "") or ""
    if not email and (token := getattr(credentials, "id_token", None)):
        found = claims(token)
        email = found.email if found else ""
    return member(email or getattr(credentials, "account", "") or "")


def _source(audience: str, impersonate: str, request: Any, known: dict[str, str]) -> Any:
    """Give the credentials whose token is an ID token. google-auth carries no types.

    Notes in ``known`` who asks, and for whom, as soon as that is known.
    """
    found: Any
    found, _ = find_default(request)
    if impersonate:
        known["account"] = impersonate
        known["account_project"] = project_of(impersonate)
        found.refresh(request)
        known["caller"] = _caller(found)
        as_other: Any = impersonated_credentials.Credentials
        found = as_other(found, impersonate, SCOPES)
    if isinstance(found, service_account.Credentials):
        of_key: Any = service_account.IDTokenCredentials
        return of_key(found.signer, found.service_account_email, found._token_uri, audience)  # noqa: SLF001
    if isinstance(found, compute_engine.Credentials):
        of_machine: Any = compute_engine.IDTokenCredentials
        return of_machine(request, audience, use_metadata_identity_endpoint=True)
    if isinstance(found, impersonated_credentials.Credentials):
        of_other: Any = impersonated_credentials.IDTokenCredentials
        return of_other(found, target_audience=audience, include_email=True)
    if isinstance(found, external_account.Credentials) and found.service_account_email:
        return _impersonated(found, audience)
    kind = "gcloud's login" if isinstance(found, user.Credentials) else type(found).__name__
    raise CannotMintError(_CANNOT.format(kind=kind, who="it"))


def _impersonated(found: Any, audience: str) -> Any:
    """Mint as the account that a workload identity federation file names."""
    source = found._initialize_impersonated_credentials()  # noqa: SLF001 - no public way
    of_other: Any = impersonated_credentials.IDTokenCredentials
    return of_other(source, target_audience=audience, include_email=True)
