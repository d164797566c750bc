"""Why Google gives no token: told from Google's own words, whoever repeats them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.auth.compute_engine import _metadata

from emulator import Emulator
from runscrape_generator.doctor.faults.minting import no_token, project_of
from runscrape_generator.doctor.mint import mint
from runscrape_proxy.errors import MintError
from runscrape_proxy.google import remedies
from runscrape_proxy.http_client.errors import NoConnection, TooSlow
from tests.doctor.clinic import IDENTITY, Case, Clinic, by_name, clinic, diagnosed, words_of
from tests.kit.odd_server import OddServer, hangs

SCRAPER = "scraper@demo.iam.gserviceaccount.com"
AUDIENCE = "https://api-x7k2mq4wza-uc.a.run.app"
CREATOR = "roles/iam.serviceAccountOpenIdTokenCreator"

MINTED: dict[str, tuple[str, dict[str, Any], tuple[str, ...], str, tuple[str, ...]]] = {
    "a key": ("service_account", {}, (), "", ()),
    "a key, as another": ("service_account", {}, (SCRAPER,), "", ()),
    "the metadata server": ("metadata", {}, (), "", ()),
    "a login": (
        "authorized_user",
        {},
        (),
        "cannot-mint",
        ("gcloud's login cannot mint", "--impersonate-service-account"),
    ),
    "a login, as another": ("authorized_user", {}, (SCRAPER,), "", ()),
    "a login without the role": (
        "authorized_user",
        {"accounts": {SCRAPER: {"token_creators": []}}},
        (SCRAPER,),
        "no-impersonation-role",
        (f"add-iam-policy-binding {SCRAPER} --member", CREATOR),
    ),
    "the API is off": (
        "authorized_user",
        {"settings": {"iam_credentials_disabled": True}},
        (SCRAPER,),
        "credentials-api-off",
        ("gcloud services enable iamcredentials.googleapis.com --project demo",),
    ),
    "no such account": (
        "authorized_user",
        {},
        ("nobody@demo.iam.gserviceaccount.com",),
        "account-gone",
        ("gcloud iam service-accounts enable nobody@demo.iam.gserviceaccount.com",),
    ),
    "a pod without annotation": (
        "metadata",
        {"settings": {"metadata": "gke-direct"}},
        (),
        "pod-not-annotated",
        ("monitoring/prometheus",),
    ),
    "a pod without binding": (
        "metadata",
        {"settings": {"metadata": "gke-unbound"}},
        (),
        "pod-not-bound",
        ("roles/iam.workloadIdentityUser",),
    ),
    "a pod for nobody": (
        "metadata",
        {"settings": {"metadata": "gke-no-account"}},
        (),
        "account-gone",
        (IDENTITY,),
    ),
    "no service account": (
        "metadata",
        {"settings": {"metadata_identity": None}},
        (),
        "no-credentials",
        ("gcloud auth application-default login",),
    ),
    "Google is down": (
        "service_account",
        {"faults": {"issuers": [{"kind": "service_account", "drop": True}]}},
        (),
        "google-unreachable",
        (),
    ),
}
"""Kind of credentials, what is wrong in the world, whom to be, the cause, what is said."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with clinic(tmp_path_factory.mktemp("minting"), {"api": Case("")}) as running:
        yield running


@pytest.mark.parametrize("name", MINTED)
def test_minted_here(name: str, site: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --mint doctor needs no proxy, and tells what keeps these credentials from minting."""
    kind, changes, account, cause, says = MINTED[name]
    use(site.google, kind, monkeypatch)
    before = site.google.world.model_dump()
    changed = {key: {**(before.get(key) or {}), **value} for key, value in changes.items()}
    site.google.update(before | changed)
    try:
        words = ("--impersonate-service-account", *account) if account else ()
        _, content = diagnosed(site, "--mint", *words)
    finally:
        site.google.update(before)
    (target,) = by_name(content).values()
    assert (target["cause"]["name"] if target["cause"] else "") == cause
    for each in says:
        assert each in words_of(target["cause"])
    assert not any(step["step"] == "proxy" for step in target["steps"])


def test_google_hangs(site: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An issuer that never answers is given up on, and named as what cannot be reached."""
    with OddServer(otherwise=hangs) as issuer:
        key = json.loads(Path(site.google.credentials("service_account")).read_text())
        file = tmp_path / "key.json"
        file.write_text(json.dumps(key | {"token_uri": f"{issuer.url}/token"}))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        found = mint(AUDIENCE, 0.2, impersonate="")
    assert found.error == "google-unreachable"
    assert no_token(found.error, found.description).cause == "google-unreachable"


def use(google: Emulator, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in google.env(kind).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", google.metadata_host)


GENERATE = (
    f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{SCRAPER}:generateIdToken"
)
TOKEN = "https://oauth2.googleapis.com/token"
METADATA = (
    "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/identity"
)
DENIED = (
    b'{"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "Permission '
    b"'iam.serviceAccounts.getOpenIdToken' denied on resource (or it may not exist).\"}}"
)
DISABLED = (
    b'{"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "IAM Service Account '
    b"Credentials API has not been used in project 1 before or it is disabled. Enable it by "
    b'visiting https://console.developers.google.com/apis/api/iamcredentials.googleapis.com"}}'
)
GONE = (
    b'{"error": {"code": 404, "status": "NOT_FOUND", "message": "Not found; Gaia id not found for '
    b'email nobody@demo.iam.gserviceaccount.com"}}'
)

REFUSED = {
    "no role": (remedies.refused(GENERATE, 403, DENIED), "no-impersonation-role"),
    "API off": (remedies.refused(GENERATE, 403, DISABLED), "credentials-api-off"),
    "no account": (remedies.refused(GENERATE, 404, GONE), "account-gone"),
    "key deleted": (
        remedies.refused(
            TOKEN, 400, b'{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}'
        ),
        "key-refused",
    ),
    "account deleted": (
        remedies.refused(
            TOKEN,
            400,
            b'{"error": "invalid_grant", "error_description": "Invalid grant: account not found"}',
        ),
        "account-gone",
    ),
    "clock": (
        remedies.refused(
            TOKEN,
            400,
            b'{"error": "invalid_grant", "error_description": "Invalid JWT: Token must be a '
            b"short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp "
            b'values in the JWT claim."}',
        ),
        "clock-wrong",
    ),
    "login ended": (
        remedies.refused(
            TOKEN,
            400,
            b'{"error": "invalid_grant", "error_description": "Token has been expired or '
            b'revoked."}',
        ),
        "login-expired",
    ),
    "login to be renewed": (
        remedies.refused(
            TOKEN, 400, b'{"error": "invalid_grant", "error_subtype": "invalid_rapt"}'
        ),
        "login-expired",
    ),
    "no metadata server": (
        remedies.unreachable(METADATA, TooSlow(), 4.0),
        "no-credentials",
    ),
    "no service account": (remedies.refused(METADATA, 404, b""), "no-credentials"),
    "slow": (remedies.too_slow(TOKEN, 4.0), "google-unreachable"),
    "offline": (
        remedies.unreachable(TOKEN, NoConnection("Connection refused"), 4.0),
        "google-unreachable",
    ),
    "an outage": (
        remedies.refused(GENERATE, 503, b'{"error": {"status": "UNAVAILABLE", "message": "x"}}'),
        "no-token",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_as_the_proxy_says_it(name: str) -> None:
    """What runscrape-proxy makes of each refusal of Google's is understood as that refusal."""
    error, cause = REFUSED[name]
    assert isinstance(error, MintError)
    found = no_token("temporarily_unavailable", str(error))
    assert found.cause == cause, str(error)
    if cause in {"no-impersonation-role", "credentials-api-off"}:
        assert found.values["account"] in {SCRAPER, ""}


def test_a_grant_that_is_not_in_force(site: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """A role that the service's policy has, and that is not in force yet, is to be waited for."""
    use(site.google, "service_account", monkeypatch)
    before = site.google.world.model_dump()
    demo = before["projects"]["demo"]
    (api,) = demo["services"]

    def world(**changes: Any) -> dict[str, Any]:
        services = [api | {key: value for key, value in changes.items() if key == "invokers"}]
        settings = before["settings"] | {"iam_delay": changes.get("iam_delay", 0.0)}
        return before | {
            "projects": {"demo": demo | {"services": services}},
            "settings": settings,
        }

    site.google.update(world(invokers=[]))
    try:
        code, content = diagnosed(site)
        assert content["causes"] == {"no-invoker": 1}
        site.google.update(world(invokers=[IDENTITY], iam_delay=3600.0))
        code, content = diagnosed(site)
        assert (code, content["causes"]) == (1, {"grant-not-in-force": 1})
        said = words_of(content["targets"][0]["cause"])
        assert f"serviceAccount:{IDENTITY} has roles/run.invoker" in said
        assert "gcloud run services get-iam-policy api --project demo" in said
    finally:
        site.google.update(before)


@pytest.mark.parametrize(
    ("account", "project"),
    [
        ("scraper@demo-1.iam.gserviceaccount.com", "demo-1"),
        ("scraper@demo.example.com.iam.gserviceaccount.com", "example.com:demo"),
        ("123456789012-compute@developer.gserviceaccount.com", ""),
        ("demo@appspot.gserviceaccount.com", ""),
    ],
)
def test_the_project_of_an_account(account: str, project: str) -> None:
    """A command names an account's project as it is called, or there is no command."""
    assert project_of(account) == project
