"""The token issuers, asked by google-auth's own credentials classes."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from google.auth import exceptions
from google.auth.transport.requests import Request

from emulator import Emulator
from emulator.keys import SHARED, key_id
from emulator.tokens import encode
from tests.conftest import MakeEmulator, UseCredentials
from tests.emulator.support import (
    CLOUD,
    GOOGLE,
    auth_request,
    claims,
    scrape,
    session,
    uri,
    world,
)
from tests.kit.waiting import until

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
FORM = "application/x-www-form-urlencoded"


def info(emulator: Emulator, kind: str) -> dict[str, Any]:
    loaded = json.loads(emulator.credentials(kind).read_text())
    assert isinstance(loaded, dict)
    return loaded


def source(emulator: Emulator, kind: str) -> Any:
    makers: dict[str, Callable[[dict[str, Any]], Any]] = {
        "service_account": lambda it: GOOGLE.service_account.Credentials.from_service_account_info(
            it, scopes=CLOUD
        ),
        "authorized_user": GOOGLE.user_credentials.Credentials.from_authorized_user_info,
        "impersonated_service_account": lambda it: (
            GOOGLE.impersonated_credentials.Credentials.from_impersonated_service_account_info(
                it, scopes=CLOUD
            )
        ),
        "external_account_file": lambda it: GOOGLE.identity_pool.Credentials.from_info(
            it, scopes=CLOUD
        ),
        "external_account_authorized_user": (
            GOOGLE.external_account_authorized_user.Credentials.from_info
        ),
        "gdch": GOOGLE.gdch_credentials.ServiceAccountCredentials.from_service_account_info,
    }
    makers["external_account_url"] = makers["external_account_file"]
    makers["external_account_no_impersonation"] = makers["external_account_file"]
    return makers[kind](info(emulator, kind))


def id_token(target: Any, audience: str, request: Request) -> str:
    credentials = GOOGLE.impersonated_credentials.IDTokenCredentials(
        target, audience, include_email=True
    )
    credentials.refresh(request)
    return str(credentials.token)


def key_token(emulator: Emulator, audience: str) -> str:
    path = emulator.credentials("service_account")
    credentials = GOOGLE.service_account.IDTokenCredentials.from_service_account_file(
        path, target_audience=audience
    )
    with auth_request(emulator) as request:
        credentials.refresh(request)
    return str(credentials.token)


def test_key(emulator: Emulator) -> None:
    """A service-account key gets an ID token that the service accepts, with Google's claims."""
    audience = uri(emulator)
    token = key_token(emulator, audience)
    said = claims(token)
    assert scrape(emulator, token).status_code == 200
    assert said["iss"] == "https://accounts.google.com"
    assert (said["aud"], said["email"]) == (audience, emulator.world.settings.identity)
    assert (said["email_verified"], said["azp"]) == (True, said["sub"])
    assert said["exp"] - said["iat"] == 3600
    assert emulator.counts()["mints"] == {"service_account": {audience: 1}}


def test_lifetime(make_emulator: MakeEmulator) -> None:
    """Tokens live as long as the world says."""
    emulator = make_emulator(world(settings={"token_lifetime": 90}))
    said = claims(key_token(emulator, "https://a.example"))
    assert said["exp"] - said["iat"] == 90


def grant(emulator: Emulator, **changes: Any) -> requests.Response:
    """Send a hand-made assertion; *changes* are claims, ``key`` the name of the signing key."""
    email = emulator.world.settings.identity
    signer = changes.pop("key", email)
    now = int(time.time())
    said = {
        "iss": email,
        "aud": "https://oauth2.googleapis.com/token",
        "iat": now,
        "exp": now + 3600,
        "target_audience": "https://a.example",
    } | changes
    kept = {name: value for name, value in said.items() if value is not None}
    assertion = encode(kept, SHARED.rsa(signer), key_id(SHARED.rsa(email)))
    form = {"grant_type": JWT_GRANT, "assertion": assertion}
    return requests.post(f"{emulator.issuer}/token", form, timeout=10)


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        ({"key": "foreign"}, "invalid_grant", "Invalid JWT Signature."),
        ({"iss": "nobody@example.com"}, "invalid_grant", "account not found"),
        ({"aud": "https://example.com/token"}, "invalid_grant", "audience check"),
        ({"iat": 0, "exp": 3600}, "invalid_grant", "short-lived"),
        ({"exp": 2**40}, "invalid_grant", "short-lived"),
        ({"exp": None}, "invalid_grant", "short-lived"),
        ({"target_audience": None}, "invalid_scope", "Invalid OAuth scope"),
        ({"target_audience": ""}, "invalid_scope", "Invalid OAuth scope"),
    ],
)
def test_bad_assertions(
    emulator: Emulator, changes: dict[str, Any], error: str, description: str
) -> None:
    """An assertion that Google would refuse is refused, with Google's words."""
    assert "id_token" in grant(emulator).json()
    answer = grant(emulator, **changes)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert description in answer.json()["error_description"]


def test_unknown_grants(emulator: Emulator) -> None:
    """Other grant types are unsupported, and a malformed assertion is an invalid grant."""
    url = f"{emulator.issuer}/token"
    other = requests.post(url, {"grant_type": "client_credentials"}, timeout=10)
    assert (other.status_code, other.json()["error"]) == (400, "unsupported_grant_type")
    malformed = requests.post(url, {"grant_type": JWT_GRANT, "assertion": "x"}, timeout=10)
    assert (malformed.status_code, malformed.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("service_account", "impersonated"),
        ("authorized_user", "impersonated"),
        ("external_account_no_impersonation", "impersonated"),
        ("impersonated_service_account", None),
        ("external_account_no_impersonation", "identity"),
    ],
)
def test_generate_id_token(
    emulator: Emulator, use_credentials: UseCredentials, kind: str, target: str | None
) -> None:
    """Each kind of credentials gets an ID token for an account that it may act as."""
    use_credentials(emulator, kind)  # google-auth makes a session of its own for this
    with auth_request(emulator) as request:
        base = source(emulator, kind)
        if kind.startswith("external_account_") and target == "identity":
            # What a user of the file does: federate without, then impersonate for the ID token.
            base = source(emulator, "external_account_no_impersonation")
            assert base.service_account_email is None
        email = getattr(emulator.world.settings, target) if target else None
        if email is not None:
            base = GOOGLE.impersonated_credentials.Credentials(base, email, CLOUD)
        token = id_token(base, uri(emulator), request)
    assert scrape(emulator, token).status_code == 200
    assert emulator.counts()["mints"] == {"generate_id_token": {uri(emulator): 1}}
    assert claims(token)["email"] == (email or emulator.world.settings.identity)


@pytest.mark.parametrize("kind", ["external_account_file", "external_account_url"])
def test_external_account(emulator: Emulator, kind: str) -> None:
    """Federated credentials exchange their subject token and act as the account in their file."""
    with auth_request(emulator) as request:
        credentials = source(emulator, kind)
        credentials.refresh(request)
    assert credentials.service_account_email == emulator.world.settings.identity
    counted = emulator.counts()["access_tokens"]
    assert counted == {"sts": 1, "generate_access_token": 1}
    headers = {"Authorization": f"Bearer {credentials.token}"}
    url = f"{emulator.api}/v1/projects/demo/locations"
    assert requests.get(url, headers=headers, timeout=10).status_code == 200


@pytest.mark.parametrize(
    "kind", ["authorized_user", "external_account_authorized_user", "service_account"]
)
def test_access_token(make_emulator: MakeEmulator, kind: str) -> None:
    """Access tokens of every source are good for the Run Admin API."""
    emulator = make_emulator(world(settings={"require_credentials": True}))
    with auth_request(emulator) as request:
        credentials = source(emulator, kind)
        credentials.refresh(request)
    url = f"{emulator.api}/v1/projects/demo/locations"
    headers = {"Authorization": f"Bearer {credentials.token}"}
    assert requests.get(url, headers=headers, timeout=10).status_code == 200


def test_self_signed_access_token(make_emulator: MakeEmulator) -> None:
    """A JWT that a key's owner signed itself is an access token too (AIP-4111), if it has scope."""
    emulator = make_emulator(world(settings={"require_credentials": True}))
    url = f"{emulator.api}/v1/projects/demo/locations"
    for scopes, status in ((CLOUD, 200), (["email"], 403)):
        credentials = GOOGLE.service_account.Credentials.from_service_account_file(
            emulator.credentials("service_account"), scopes=scopes, always_use_jwt_access=True
        )
        with auth_request(emulator) as request:
            credentials.refresh(request)
        headers = {"Authorization": f"Bearer {credentials.token}"}
        assert requests.get(url, headers=headers, timeout=10).status_code == status
    assert emulator.counts()["access_tokens"] == {}


def test_user_id_token_is_of_no_use(emulator: Emulator) -> None:
    """The ID token that comes with a refreshed user token is for gcloud's client: 401."""
    with auth_request(emulator) as request:
        credentials = source(emulator, "authorized_user")
        credentials.refresh(request)
    assert claims(credentials.id_token)["aud"] == info(emulator, "authorized_user")["client_id"]
    assert scrape(emulator, credentials.id_token).status_code == 401
    assert scrape(emulator, credentials.token).status_code == 401


def test_gdch_file(emulator: Emulator) -> None:
    """The file for Distributed Cloud is one that google-auth reads, though nothing answers it."""
    assert source(emulator, "gdch").__class__.__name__ == "ServiceAccountCredentials"


def generate(
    emulator: Emulator, token: str, action: str = "generateIdToken", **body: Any
) -> requests.Response:
    email = emulator.world.settings.identity
    url = f"{emulator.issuer}/v1/projects/-/serviceAccounts/{email}:{action}"
    headers = {"Authorization": f"Bearer {token}"}
    return requests.post(url, json=body, headers=headers, timeout=10)


def test_who_may_impersonate(emulator: Emulator) -> None:
    """Only a token creator may act as an account, through every link of the delegation chain."""
    settings = emulator.world.settings
    chain = [f"projects/-/serviceAccounts/{settings.delegate}"]
    user, delegate = (emulator.access_token(it) for it in (settings.user, settings.delegate))
    narrow = emulator.access_token(settings.delegate, scopes=["email"])
    body = {"audience": "https://a.example"}
    statuses = [
        generate(emulator, "made-up", **body).status_code,
        generate(emulator, emulator.access_token(lifetime=-1), **body).status_code,
        generate(emulator, user, **body).status_code,
        generate(emulator, user, **body, delegates=chain).status_code,
        generate(emulator, user, **body, delegates=chain * 2).status_code,
        generate(emulator, user, **body, delegates=[settings.delegate]).status_code,
        generate(emulator, delegate, **body).status_code,
        generate(emulator, delegate).status_code,
        generate(emulator, narrow, **body).status_code,
    ]
    assert statuses == [401, 401, 403, 200, 403, 400, 200, 400, 403]


def test_stale_access_tokens(emulator: Emulator) -> None:
    """Access tokens can be revoked while it runs: the same 401 as for one that was made up."""
    token = emulator.access_token(emulator.world.settings.delegate)
    assert generate(emulator, token, audience="a").status_code == 200
    emulator.revoke_access_tokens()
    stale, made_up = (generate(emulator, each, audience="a") for each in (token, "made-up"))
    assert (stale.status_code, stale.json()) == (401, made_up.json())
    assert stale.json()["error"]["details"][0]["reason"] == "ACCESS_TOKEN_INVALID"
    fresh = emulator.access_token(emulator.world.settings.delegate)
    requests.post(f"{emulator.issuer}/_emulator/revoke", timeout=10).raise_for_status()
    assert generate(emulator, fresh, audience="a").status_code == 401


def test_iam_credentials_off(make_emulator: MakeEmulator) -> None:
    """The IAM Credentials API may be off in the project: SERVICE_DISABLED with its name."""
    emulator = make_emulator(world(settings={"iam_credentials_disabled": True}))
    token = emulator.access_token(emulator.world.settings.delegate)
    error = generate(emulator, token, audience="a").json()["error"]
    assert error["message"].startswith("IAM Service Account Credentials API has not been used in")
    assert error["details"][0]["reason"] == "SERVICE_DISABLED"
    assert error["details"][0]["metadata"]["service"] == "iamcredentials.googleapis.com"


def test_accounts_are_the_worlds(emulator: Emulator) -> None:
    """A world that names its accounts replaces the default ones."""
    settings = emulator.world.settings
    delegate = emulator.access_token(settings.delegate)
    assert generate(emulator, delegate, audience="a").status_code == 200
    emulator.update(world(accounts={settings.identity: {"token_creators": ["bob@example.com"]}}))
    assert generate(emulator, delegate, audience="a").status_code == 403
    assert generate(emulator, emulator.access_token("bob@example.com"), audience="a").ok


def test_email_on_request(emulator: Emulator) -> None:
    """GenerateIdToken puts the email in only with includeEmail."""
    delegate = emulator.access_token(emulator.world.settings.delegate)
    plain = generate(emulator, delegate, audience="https://a.example").json()["token"]
    full = generate(emulator, delegate, audience="https://a.example", includeEmail=True)
    assert "email" not in claims(plain)
    assert claims(full.json()["token"])["email"] == emulator.world.settings.identity


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"scope": CLOUD, "lifetime": "600s"}, 200),
        ({"scope": CLOUD, "lifetime": "7200s"}, 400),
        ({"lifetime": "600s"}, 400),
    ],
)
def test_generate_access_token(emulator: Emulator, body: dict[str, Any], status: int) -> None:
    """GenerateAccessToken wants a scope and at most an hour."""
    delegate = emulator.access_token(emulator.world.settings.delegate)
    assert generate(emulator, delegate, "generateAccessToken", **body).status_code == status


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("grant_type", "authorization_code"),
        ("audience", "//iam.googleapis.com/projects/1/locations/global/x"),
        ("subject_token", "stale"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ("requested_token_type", ""),
        ("scope", ""),
    ],
)
def test_bad_exchanges(emulator: Emulator, name: str, value: str) -> None:
    """The token exchange checks every parameter that Google documents as required."""
    file = info(emulator, "external_account_file")
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": file["audience"],
        "subject_token": Path(file["credential_source"]["file"]).read_text(),
        "subject_token_type": file["subject_token_type"],
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "scope": CLOUD[0],
    }
    url = f"{emulator.issuer}/v1/token"
    assert requests.post(url, form, timeout=10).status_code == 200
    assert requests.post(url, form | {name: value}, timeout=10).status_code == 400


@pytest.mark.parametrize("kind", ["authorized_user", "external_account_authorized_user"])
@pytest.mark.parametrize("name", ["refresh_token", "client_id", "client_secret"])
def test_revoked_user(emulator: Emulator, kind: str, name: str) -> None:
    """A user's file with another refresh token, client or secret than was given is refused."""
    file = info(emulator, kind) | {name: "other"}
    module, maker = {
        "authorized_user": ("user_credentials", "from_authorized_user_info"),
        "external_account_authorized_user": ("external_account_authorized_user", "from_info"),
    }[kind]
    credentials = getattr(getattr(GOOGLE, module).Credentials, maker)(file)
    error = "revoked" if name == "refresh_token" else "invalid_client"
    with auth_request(emulator) as request, pytest.raises(exceptions.GoogleAuthError, match=error):
        credentials.refresh(request)


def test_subject_token_url(emulator: Emulator) -> None:
    """The subject token's URL wants the header that the credential file names."""
    url = f"{emulator.issuer}/subject-token"
    assert requests.get(url, timeout=10).status_code == 403
    assert requests.get(url, headers={"X-Emulator-Source": "yes"}, timeout=10).json()["value"]


def test_certs(emulator: Emulator) -> None:
    """/certs has the public key, by the key id that tokens name."""
    kids = [
        key["kid"] for key in requests.get(f"{emulator.issuer}/certs", timeout=10).json()["keys"]
    ]
    assert kids == [key_id(SHARED.rsa("google"))]


def faulty(fault: dict[str, Any]) -> dict[str, Any]:
    return world(faults={"issuers": [fault]})


def test_fault_status(make_emulator: MakeEmulator) -> None:
    """A status asked for one audience spares others, and stops after the first calls."""
    fault = {"kind": "service_account", "audience": "https://bad*", "status": 503, "first": 2}
    emulator = make_emulator(faulty(fault))
    assert grant(emulator).status_code == 200
    failed = [grant(emulator, target_audience="https://bad.example") for _ in range(3)]
    assert [answer.status_code for answer in failed] == [503, 503, 200]
    assert failed[0].json()["error"] == "internal_failure"
    counted = emulator.counts()
    assert counted["issuers"]["service_account"] == {"200": 2, "503": 2}
    assert counted["requests"]["service_account"]["https://bad.example"] == 3
    assert counted["mints"]["service_account"]["https://bad.example"] == 1


def test_fault_status_of_iam(make_emulator: MakeEmulator) -> None:
    """The IAM Credentials API fails with its own error JSON."""
    emulator = make_emulator(faulty({"kind": "generate_id_token", "status": 503}))
    answer = generate(emulator, "any", audience="https://a.example")
    assert (answer.status_code, answer.json()["error"]["status"]) == (503, "UNAVAILABLE")


def test_fault_garbage(make_emulator: MakeEmulator) -> None:
    """Garbage is a 200 that is no JSON."""
    emulator = make_emulator(faulty({"garbage": True}))
    answer = grant(emulator)
    assert answer.status_code == 200
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()


@pytest.mark.parametrize("fault", [{"hang": True}, {"drip": True}, {"latency": 60.0}])
def test_fault_slow(make_emulator: MakeEmulator, fault: dict[str, Any]) -> None:
    """A hanging, dripping or slow issuer outlasts its client, and does not hold up others."""
    emulator = make_emulator(faulty(fault | {"audience": "https://bad*"}))
    form = {"grant_type": JWT_GRANT, "assertion": _assertion(emulator, "https://bad.example")}
    with pytest.raises(requests.exceptions.RequestException, match="timed out"):
        requests.post(f"{emulator.issuer}/token", form, timeout=0.2)
    assert grant(emulator).status_code == 200


def _assertion(emulator: Emulator, audience: str) -> str:
    email, now = emulator.world.settings.identity, int(time.time())
    said = {"iss": email, "target_audience": audience, "iat": now, "exp": now + 60}
    said["aud"] = f"{emulator.issuer}/token"
    return encode(said, SHARED.rsa(email), key_id(SHARED.rsa(email)))


def test_fault_drop(make_emulator: MakeEmulator) -> None:
    """A dropped call is a closed connection."""
    emulator = make_emulator(faulty({"drop": True}))
    with pytest.raises(requests.exceptions.ConnectionError):
        grant(emulator)


def test_calls_wait_side_by_side(make_emulator: MakeEmulator) -> None:
    """Slow calls do not queue behind each other; the most at once stands under peaks."""
    emulator = make_emulator(faulty({"latency": 60.0}))

    def ask() -> None:
        with contextlib.suppress(requests.exceptions.RequestException):
            grant(emulator)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    until(lambda: emulator.counts()["peaks"].get("service_account") == 20, "20 at once")
    emulator.close()
    for thread in threads:
        thread.join()


def test_reset(emulator: Emulator) -> None:
    """Counts can be read and reset over HTTP."""
    grant(emulator)
    counts = requests.get(f"{emulator.issuer}/_emulator/counts", timeout=10).json()
    assert counts == emulator.counts()
    assert counts["mints"]
    assert requests.post(f"{emulator.issuer}/_emulator/reset", timeout=10).status_code == 204
    assert not emulator.counts()["mints"]


def test_google_hosts_behind_the_proxy(emulator: Emulator) -> None:
    """The issuers also answer under Google's names, which google-auth has built in."""
    with session(emulator) as http:
        for host in ("oauth2", "sts", "iamcredentials"):
            answer = http.post(f"https://{host}.googleapis.com/nothing", timeout=10)
            assert answer.json()["error"]["status"] == "NOT_FOUND"
