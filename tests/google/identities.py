"""Who gives tokens: the metadata server, IAM Credentials, OAuth's token endpoint, STS."""

from __future__ import annotations

import base64
import json
from typing import Any

import requests

from tests.google.belief import belief, equal, expect, need
from tests.google.listing import error_of
from tests.google.site import TIMEOUT, Site

ACCOUNT = "instance/service-accounts/default"
FLAVOR = {"Metadata_Flavor": "Google"}
IAM = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts"
REFERENCE = "iamcredentials.v1 discovery document"


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def metadata(site: Site, path: str, **headers: str) -> requests.Response:
    need(site.metadata, "a metadata server")
    return site.metadata_get(path, **headers)


@belief("metadata.needs-its-header", "Compute Engine's documentation of the metadata server", "A")
def flavor(site: Site) -> None:
    """A request without ``Metadata-Flavor: Google`` is 403, and so is one that was forwarded."""
    equal(metadata(site, "project/project-id").status_code, 403, "status")
    forwarded = metadata(site, "project/project-id", X_Forwarded_For="10.0.0.1", **FLAVOR)
    equal(forwarded.status_code, 403, "status, forwarded")


@belief("metadata.needs-an-audience", "five emulators agree", "B")
def needs_audience(site: Site) -> None:
    """An ID token without an audience is 400 with one sentence."""
    answer = metadata(site, f"{ACCOUNT}/identity", **FLAVOR)
    equal(answer.status_code, 400, "status")
    equal(answer.text.strip(), "non-empty audience parameter required", "body")


@belief("metadata.email-in-full-format", "Cloud Run's documentation of service identity", "A")
def full_format(site: Site) -> None:
    """``format=full`` puts the email into the token, and without it is not there."""
    for query, has in (("&format=full", True), ("", False)):
        answer = metadata(site, f"{ACCOUNT}/identity?audience={site.uri}{query}", **FLAVOR)
        need(answer.status_code == requests.codes.ok, f"an ID token ({answer.status_code})")
        equal("email" in claims(answer.text), has, "email")


@belief("metadata.same-token-again", "measured on Cloud Run", "B")
def same_token(site: Site) -> None:
    """Asked again for the same audience, it gives the same token."""
    path = f"{ACCOUNT}/identity?audience={site.uri}&format=full"
    first, second = (metadata(site, path, **FLAVOR) for _ in range(2))
    need(first.status_code == requests.codes.ok, f"an ID token ({first.status_code})")
    expect(first.text == second.text, "two different tokens")


@belief("metadata.no-such-account", "Compute Engine's documentation", "C")
def no_such_account(site: Site) -> None:
    """An account that the machine does not have is 404."""
    answer = metadata(site, f"instance/service-accounts/{site.nonsense}/token", **FLAVOR)
    equal(answer.status_code, 404, "status")


@belief("tokens.live-an-hour", "habit; no page says so", "C")
def live_an_hour(site: Site) -> None:
    """An ID token lives 3600 seconds, and its issuer is https://accounts.google.com."""
    need(site.id_token, "credentials that mint ID tokens")
    said = claims(site.mint(site.uri))
    equal(said["exp"] - said["iat"], 3600, "life")
    equal(said["iss"], "https://accounts.google.com", "issuer")
    equal(said["aud"], site.uri, "audience")


def generate(
    site: Site, account: str, body: dict[str, Any], token: str | None = None
) -> requests.Response:
    return site.post(f"{IAM}/{account}:generateIdToken", body, token)


@belief("iam-credentials.stale-token", "google.api.ErrorReason", "C")
def stale_token(site: Site) -> None:
    """A bad access token is 401 UNAUTHENTICATED, whoever is to be impersonated."""
    answer = generate(site, f"{site.nonsense}@example.com", {"audience": "a"}, "garbage")
    equal((answer.status_code, error_of(answer)["status"]), (401, "UNAUTHENTICATED"), "answer")


@belief("iam-credentials.no-such-account", "recorded answers", "B")
def unknown_account(site: Site) -> None:
    """An account that is not there is 404 "Gaia id not found", or the 403 of a missing role."""
    account = f"{site.nonsense}@{site.project}.iam.gserviceaccount.com"
    answer = generate(site, account, {"audience": "a"})
    known = {
        404: "Not found; Gaia id not found for email",
        403: "Permission 'iam.serviceAccounts.getOpenIdToken' denied on resource (or it may not",
    }
    text = error_of(answer)["message"]
    expect(known.get(answer.status_code, "?") in text, f"{answer.status_code}: {text}")


@belief("iam-credentials.delegates", REFERENCE, "A")
def delegates(site: Site) -> None:
    """A delegate that is not written ``projects/-/serviceAccounts/EMAIL`` is 400."""
    account = need(site.account, "an account to impersonate")
    body = {"audience": "a", "delegates": [account]}
    equal(generate(site, account, body).status_code, 400, "status")


@belief("iam-credentials.audience", REFERENCE, "A")
def audience_required(site: Site) -> None:
    """No audience is 400."""
    account = need(site.account, "an account to impersonate")
    equal(generate(site, account, {}).status_code, 400, "status")


@belief("iam-credentials.email-on-request", REFERENCE, "A")
def email_on_request(site: Site) -> None:
    """The token has the email only with ``includeEmail``."""
    account = need(site.account, "an account to impersonate")
    for include in (False, True):
        answer = generate(site, account, {"audience": site.uri, "includeEmail": include})
        equal(answer.status_code, 200, "status")
        equal("email" in claims(answer.json()["token"]), include, "email")


@belief("oauth.unknown-grant", "RFC 6749, section 5.2", "A")
def unknown_grant(site: Site) -> None:
    """oauth2.googleapis.com/token answers 400 ``unsupported_grant_type`` for a made-up grant."""
    form = {"grant_type": "nonsense"}
    answer = site.session.post("https://oauth2.googleapis.com/token", form, timeout=TIMEOUT)
    told = (answer.status_code, answer.json()["error"])
    equal(told, (400, "unsupported_grant_type"), "answer")


@belief("oauth.bad-assertion", "google-auth's handling of it", "A")
def bad_assertion(site: Site) -> None:
    """A malformed assertion is 400 ``invalid_grant``."""
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    form = {"grant_type": grant, "assertion": "garbage"}
    answer = site.session.post("https://oauth2.googleapis.com/token", form, timeout=TIMEOUT)
    equal((answer.status_code, answer.json()["error"]), (400, "invalid_grant"), "answer")


@belief("sts.bad-exchange", "nothing found", "U")
def bad_exchange(site: Site) -> None:
    """An exchange for a pool that is not there is 400 with an OAuth error."""
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": f"//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/"
        f"{site.nonsense}/providers/x",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token": "garbage",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    }
    answer = site.session.post("https://sts.googleapis.com/v1/token", form, timeout=TIMEOUT)
    equal(answer.status_code, 400, "status")
    expect(answer.json().get("error") in ("invalid_target", "invalid_request"), answer.json())
