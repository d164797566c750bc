"""What an operator reads when Google gives no token."""

from __future__ import annotations

import json
import socket
import ssl
from typing import Any

import pytest
import requests
from google.auth.exceptions import MalformedError, RefreshError
from urllib3.exceptions import (
    ConnectTimeoutError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
)

from runscrape_proxy.errors import MintError
from runscrape_proxy.google.remedies import clean, refused, unreachable, unusable

OAUTH = "https://oauth2.googleapis.com/token"
STS = "https://sts.googleapis.com/v1/token"
IAM = (
    "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
    "scraper@demo.iam.gserviceaccount.com"
)
METADATA = (
    "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/identity"
)

SLOW = ReadTimeoutError(None, "/", "slow")  # type: ignore[arg-type]
REFUSED = NewConnectionError(None, "refused")  # type: ignore[arg-type]
REFUSED.__cause__ = ConnectionRefusedError(111, "Connection refused")


def iam(code: str, message: str, reason: str = "") -> str:
    """An error as the IAM Credentials API sends it."""
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]
    return json.dumps({"error": {"status": code, "message": message, "details": details}})


def oauth(code: str, description: str) -> str:
    """An error as the token endpoints send it."""
    return json.dumps({"error": code, "error_description": description})


@pytest.mark.parametrize(
    ("url", "status", "body", "said", "remedy"),
    [
        (
            f"{IAM}:generateIdToken",
            403,
            iam("PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getOpenIdToken' denied"),
            "iamcredentials.googleapis.com answered 403 PERMISSION_DENIED",
            "grant roles/iam.serviceAccountOpenIdTokenCreator on scraper@demo.iam.gservice",
        ),
        (
            f"{IAM}:generateAccessToken",
            403,
            iam("PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getAccessToken' denied"),
            "403 PERMISSION_DENIED",
            "grant roles/iam.serviceAccountTokenCreator on scraper@demo",
        ),
        (
            f"{IAM}:generateIdToken",
            403,
            iam("PERMISSION_DENIED", "IAM Service Account Credentials API", "SERVICE_DISABLED"),
            "403",
            "gcloud services enable iamcredentials.googleapis.com",
        ),
        (
            f"{IAM}:generateIdToken",
            403,
            iam("PERMISSION_DENIED", "Request had insufficient authentication scopes."),
            "403",
            "give the machine the access scope cloud-platform",
        ),
        (
            f"{IAM}:generateIdToken",
            404,
            iam("NOT_FOUND", "Not found; Gaia id not found"),
            "404 NOT_FOUND",
            "there is no service account scraper@demo.iam.gserviceaccount.com",
        ),
        (f"{IAM}:generateIdToken", 429, iam("RESOURCE_EXHAUSTED", "Quota"), "429", "quota"),
        (f"{IAM}:generateIdToken", 503, iam("UNAVAILABLE", "Try later"), "503 UNAVAILABLE", ""),
        (
            OAUTH,
            400,
            oauth("invalid_grant", "Invalid JWT Signature."),
            "oauth2.googleapis.com answered 400 invalid_grant (Invalid JWT Signature.)",
            "the key was deleted, disabled or replaced",
        ),
        (
            OAUTH,
            400,
            oauth("invalid_grant", "Invalid grant: account not found"),
            "invalid_grant",
            "the service account was deleted or disabled",
        ),
        (
            OAUTH,
            400,
            oauth(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
                "timeframe. Check your iat and exp values in the JWT claim.",
            ),
            "invalid_grant",
            "set this machine's clock",
        ),
        (
            OAUTH,
            400,
            oauth("invalid_grant", "Token has been expired or revoked."),
            "invalid_grant",
            "log in again with gcloud auth application-default login",
        ),
        (
            OAUTH,
            400,
            json.dumps({"error": "invalid_grant", "error_subtype": "invalid_rapt"}),
            "invalid_grant",
            "log in again",
        ),
        (STS, 400, oauth("invalid_grant", "The token expired"), "sts", "identity pool's provider"),
        (METADATA, 404, "", "metadata.google.internal answered 404", "has no service account"),
        (METADATA, 403, "", "403", "is a proxy answering"),
        (OAUTH, 302, "<html>log in</html>", "answered 302", "credentials follow no redirect"),
        (OAUTH, 407, "", "407", "HTTPS_PROXY"),
        (OAUTH, 500, "[1, 2]", "answered 500", ""),
    ],
)
def test_refusals(url: str, status: int, body: str, said: str, remedy: str) -> None:
    """What Google refuses is told in one line with what Google said and what to do."""
    error = refused(url, status, body.encode())
    assert said in error.reason
    assert remedy in error.remedy
    assert bool(error.remedy) == bool(remedy)
    assert "\n" not in str(error)
    assert "html" not in str(error)


@pytest.mark.parametrize(
    ("error", "said", "remedy"),
    [
        (
            requests.ReadTimeout(SLOW),
            "did not answer within 3.8 s",
            "",
        ),
        (
            requests.ConnectionError(MaxRetryError(None, "/", ConnectTimeoutError(None, "slow"))),  # type: ignore[arg-type]
            "did not answer within 3.8 s",
            "",
        ),
        (
            requests.ConnectionError(
                MaxRetryError(None, "/", NameResolutionError("h", None, socket.gaierror()))  # type: ignore[arg-type]
            ),
            "oauth2.googleapis.com has no address here (DNS)",
            "check the network",
        ),
        (ConnectionRefusedError(111, "Connection refused"), "(Connection refused)", "network"),
        (
            requests.ConnectionError(MaxRetryError(None, "/", REFUSED)),  # type: ignore[arg-type]
            "no connection to oauth2.googleapis.com (Connection refused)",
            "network",
        ),
        (
            requests.exceptions.ProxyError(
                MaxRetryError(None, "/", ProxyError("http://me:pw@proxy", OSError(113, "No route")))  # type: ignore[arg-type]
            ),
            "the proxy on the way to oauth2.googleapis.com did not let us through (No route)",
            "check HTTPS_PROXY",
        ),
        (requests.exceptions.SSLError(ssl.SSLError(1, "bad record")), "TLS to oauth2", "--ca-file"),
    ],
)
def test_connections_that_fail(error: Exception, said: str, remedy: str) -> None:
    """A failed connection names the host and the system's reason, never a proxy's password."""
    told = unreachable(OAUTH, error, 3.8)
    assert said in told.reason
    assert remedy in told.remedy
    assert "me:pw" not in str(told)


def test_no_metadata_server() -> None:
    """Where no metadata server answers, credentials are probably missing altogether."""
    told = unreachable(METADATA, ConnectionRefusedError(111, "Connection refused"), 3.8)
    assert "GOOGLE_APPLICATION_CREDENTIALS" in told.remedy


@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2lnbmF0dXJl",
        "ya29.a0AfH6SMBx-1_2",
        "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7",
    ],
)
def test_no_token_in_a_message(secret: str) -> None:
    """A text of others loses whatever looks like a token or a key before anybody sees it."""
    refresh_error: Any = RefreshError  # google-auth carries no types
    malformed_error: Any = MalformedError
    body = oauth("invalid_grant", f"Bad token {secret} here")
    for error in (
        refused(OAUTH, 400, body.encode()),
        refused(OAUTH, 400, f"plain {secret}".encode()),
        unusable(refresh_error(f"No access token in {secret}")),
        unusable(malformed_error(f"Wrong number of segments in token: {secret}")),
        unusable(ValueError(secret)),
        unusable(KeyError(secret)),
    ):
        assert secret[5:] not in str(error)
        assert isinstance(error, MintError)


def test_long_texts_are_cut() -> None:
    """A message of others takes one line of bounded length."""
    assert clean("a b\n\tc") == "a b c"
    assert len(clean("word " * 1000)) < 250
