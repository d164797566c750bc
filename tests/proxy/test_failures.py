"""What an operator reads when Google gives no token."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.auth.exceptions import MalformedError, RefreshError

from runscrape_proxy.errors import MintError
from runscrape_proxy.google.remedies import clean, refused, unreachable, unusable
from runscrape_proxy.http_client import (
    BadAnswer,
    BadProxy,
    CallError,
    NoAddress,
    NoAnswer,
    NoConnection,
    NoDescriptors,
    ProxyRefused,
    TlsFailed,
    TooSlow,
)
from tests.proxy.issuer import GONE, UNANNOTATED, UNBOUND

OAUTH = "https://oauth2.googleapis.com/token"
STS = "https://sts.googleapis.com/v1/token"
IAM = (
    "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
    "scraper@demo.iam.gserviceaccount.com"
)
METADATA = (
    "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/identity"
)


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
        (METADATA, 429, "", "429", "asks its metadata server too often"),
        (METADATA, 500, "", "answered 500", ""),
        (METADATA, 503, "", "answered 503", ""),
        (
            METADATA,
            404,
            UNANNOTATED,
            "(monitoring/prometheus) is not annotated",
            (
                "kubectl annotate serviceaccount prometheus --namespace monitoring"
                " iam.gke.io/gcp-service-account=NAME@PROJECT.iam.gserviceaccount.com"
                " (or add --impersonate-service-account"
            ),
        ),
        (
            METADATA,
            403,
            UNBOUND,
            "answered 403",
            (
                "--role roles/iam.workloadIdentityUser --member"
                " 'serviceAccount:PROJECT.svc.id.goog[NAMESPACE/SERVICE_ACCOUNT]'"
            ),
        ),
        (
            METADATA,
            404,
            GONE,
            "answered 404",
            "there is no service account gone@demo.iam.gserviceaccount.com: correct the annotation",
        ),
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
        (TooSlow("no answer"), "oauth2.googleapis.com did not answer within 3.8 s", ""),
        (NoAddress("no"), "oauth2.googleapis.com has no address here (DNS)", "check the network"),
        (
            NoConnection("Connection refused"),
            "no connection to oauth2.googleapis.com (Connection refused)",
            "network",
        ),
        (NoAnswer("closed"), "no connection to oauth2.googleapis.com (closed)", "network"),
        (NoDescriptors("the limit is 256"), "(the limit is 256)", ""),
        (BadAnswer("odd"), "did not answer as HTTP has it (odd)", "answering in its place"),
        (
            ProxyRefused("No route"),
            "the proxy on the way to oauth2.googleapis.com did not let us through (No route)",
            "check HTTPS_PROXY",
        ),
        (BadProxy("must be http"), "no way to oauth2.googleapis.com (must", "SOCKS is not spoken"),
        (TlsFailed("bad record"), "TLS to oauth2.googleapis.com failed (bad", "--ca-file"),
    ],
)
def test_connections_that_fail(error: CallError, said: str, remedy: str) -> None:
    """A failed connection names the host, the system's reason, and what to look at."""
    told = unreachable(OAUTH, error, 3.8)
    assert said in told.reason
    assert remedy in told.remedy
    assert bool(remedy) == bool(told.remedy)


def test_no_metadata_server() -> None:
    """Where no metadata server answers, credentials are probably missing altogether."""
    told = unreachable(METADATA, NoConnection("Connection refused"), 3.8)
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
    assert clean("a\x1b[31mb\0\ud800") == "a?[31mb??"
    said = str(refused(IAM, 403, iam("A\nB\x1b" + "word " * 1000, "no").encode()))
    assert said.isprintable()
    assert len(said) < 600


@pytest.mark.parametrize("character", ["A", "_", "a", "=", "é", "A ", "Aé", "eyJ", "ya29."])
def test_large_answers_take_no_time(character: str) -> None:
    """Whatever an answer of a mebibyte consists of, it does not hold up all else while it is read.

    A search that began anew at each of its characters would take hours, and this test with it.
    """
    assert len(clean(character * (1 << 20))) < 250


def test_names_of_variables_are_told() -> None:
    """A long word that is all in capitals is no token; any other is."""
    name = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"
    assert clean(f"set {name}!") == f"set {name}!"
    assert clean(f"é{name}1é") == "é[hidden]é"
    assert clean(f"eyJhbG+{name}1 ya29.a+{name}1") == "[hidden] [hidden]"
