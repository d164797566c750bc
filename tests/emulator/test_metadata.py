"""The metadata server, asked by google-auth and by plain HTTP."""

from __future__ import annotations

import pytest
import requests
from google.auth.transport.requests import Request

from emulator import Emulator
from tests.conftest import MakeEmulator, UseCredentials
from tests.emulator.support import GOOGLE, Clock, claims, scrape, uri, world

FLAVOR = {"Metadata-Flavor": "Google"}
IDENTITY = "instance/service-accounts/default/identity"


def get(emulator: Emulator, path: str, **query: str) -> requests.Response:
    url = f"http://{emulator.metadata_host}/computeMetadata/v1/{path}"
    return requests.get(url, query, headers=FLAVOR, timeout=10)


def test_google_auth_finds_it(emulator: Emulator, use_credentials: UseCredentials) -> None:
    """google-auth recognises the server and gets project, account, access token, ID token."""
    use_credentials(emulator, "metadata")
    with requests.Session() as http:
        request = Request(http)
        assert GOOGLE.metadata.ping(request)
        assert GOOGLE.metadata.get_project_id(request) == "demo"
        assert GOOGLE.metadata.get_universe_domain(request) == "googleapis.com"
        access = GOOGLE.compute_engine.Credentials()
        access.refresh(request)
        credentials = GOOGLE.compute_engine.IDTokenCredentials(
            request, uri(emulator), use_metadata_identity_endpoint=True
        )
        credentials.refresh(request)
    assert access.service_account_email == emulator.world.settings.identity
    assert scrape(emulator, credentials.token).status_code == 200
    headers = {"Authorization": f"Bearer {access.token}"}
    url = f"{emulator.api}/v1/projects/demo/locations"
    assert requests.get(url, headers=headers, timeout=10).status_code == 200


def test_flavor(emulator: Emulator) -> None:
    """Without Metadata-Flavor, or forwarded, a request gets 403; every answer has the header."""
    url = f"http://{emulator.metadata_host}/computeMetadata/v1/project/project-id"
    bare = requests.get(url, timeout=10)
    forwarded = requests.get(url, headers=FLAVOR | {"X-Forwarded-For": "10.0.0.1"}, timeout=10)
    good = requests.get(url, headers=FLAVOR, timeout=10)
    assert [answer.status_code for answer in (bare, forwarded, good)] == [403, 403, 200]
    assert {answer.headers["Metadata-Flavor"] for answer in (bare, good)} == {"Google"}


def test_email_only_in_full_format(emulator: Emulator) -> None:
    """format=full carries the email, the standard format does not; no audience is a bad request."""
    full = get(emulator, IDENTITY, audience="https://a.example", format="full")
    standard = get(emulator, IDENTITY, audience="https://a.example")
    assert claims(full.text)["email"] == emulator.world.settings.identity
    assert "email" not in claims(standard.text)
    assert get(emulator, IDENTITY).status_code == 400


def test_same_token_until_its_last_minutes(make_emulator: MakeEmulator) -> None:
    """The same token is given until fewer than 5 minutes are left, then a new one."""
    clock = Clock()
    emulator = make_emulator(clock=clock)

    def token() -> str:
        return get(emulator, IDENTITY, audience="https://a.example", format="full").text

    first = token()
    clock.now += 3600 - 300
    assert token() == first
    clock.now += 1
    second = token()
    assert second != first
    assert claims(second)["exp"] == clock.now + 3600
    assert emulator.counts()["mints"]["metadata"] == {"https://a.example": 2}
    assert emulator.counts()["requests"]["metadata"] == {"https://a.example": 3}


def test_a_token_that_somebody_asked_for_before(make_emulator: MakeEmulator) -> None:
    """The first token for an audience may have only minutes left; the next is made in time."""
    clock = Clock()
    emulator = make_emulator(world(settings={"metadata_token_left": 360}), clock=clock)

    def left() -> float:
        token = get(emulator, IDENTITY, audience="https://a.example", format="full").text
        assert claims(token)["exp"] - claims(token)["iat"] == 3600
        return float(claims(token)["exp"] - clock.now)

    assert left() == 360
    clock.now += 60
    assert left() == 300
    clock.now += 1
    assert left() == 3600


@pytest.mark.parametrize(
    ("kind", "access", "identity", "said"),
    [
        ("gke-direct", 200, 404, "is not annotated with a target Google service account"),
        ("gke-unbound", 403, 403, "Permission 'iam.serviceAccounts.getAccessToken' denied"),
        ("gke-no-account", 404, 404, "Not found; Gaia id not found for email prometheus@demo"),
        ("build", 200, 404, ""),
    ],
)
def test_other_metadata_servers(
    make_emulator: MakeEmulator, kind: str, access: int, identity: int, said: str
) -> None:
    """A pod without a service account of Google's, or without a role on it, gets no ID token."""
    emulator = make_emulator(world(settings={"metadata": kind}))
    assert get(emulator, "instance/service-accounts/default/token").status_code == access
    answer = get(emulator, IDENTITY, audience="https://a.example")
    assert (answer.status_code, said in answer.text) == (identity, True)


def test_a_pod_as_itself(make_emulator: MakeEmulator) -> None:
    """The access token of a pod without annotation stands for the pod's own principal."""
    emulator = make_emulator(world(settings={"metadata": "gke-direct"}))
    accounts = "instance/service-accounts/default"
    assert get(emulator, f"{accounts}/email").text == "demo.svc.id.goog"
    token = get(emulator, f"{accounts}/token").json()["access_token"]
    principal = (
        "principal://iam.googleapis.com/projects/123456789012/locations/global/"
        "workloadIdentityPools/demo.svc.id.goog/subject/ns/monitoring/sa/prometheus"
    )
    closed = world(settings={"metadata": "gke-direct"})
    for viewers, status in (([], 403), ([principal], 200)):
        closed["projects"]["demo"]["viewers"] = viewers
        emulator.update(closed)
        url = f"{emulator.api}/v1/projects/demo/locations"
        headers = {"Authorization": f"Bearer {token}"}
        assert requests.get(url, headers=headers, timeout=10).status_code == status


def test_no_service_account(make_emulator: MakeEmulator) -> None:
    """A VM without a service account answers 404."""
    emulator = make_emulator(world(settings={"metadata_identity": None}))
    assert get(emulator, IDENTITY, audience="https://a.example").status_code == 404
    assert get(emulator, "project/project-id").status_code == 200


def test_another_identity(make_emulator: MakeEmulator) -> None:
    """The VM's account may be one that is not an invoker, so that a wrong way shows as 403."""
    other = "vm@demo.iam.gserviceaccount.com"
    emulator = make_emulator(world(settings={"metadata_identity": other}))
    token = get(emulator, IDENTITY, audience=uri(emulator), format="full").text
    assert claims(token)["email"] == other
    assert scrape(emulator, token).status_code == 403


def test_not_up_yet(make_emulator: MakeEmulator) -> None:
    """A metadata server that is not up refuses connections, on the port where it later answers."""
    down = world(faults={"issuers": [{"kind": "metadata", "refuse": True}]})
    emulator = make_emulator(down)
    url = f"http://{emulator.metadata_host}/computeMetadata/v1/project/project-id"
    with requests.Session() as http:  # its open connection is no way in
        for _ in range(2):
            with pytest.raises(requests.exceptions.ConnectionError, match="refused"):
                http.get(url, headers=FLAVOR, timeout=10)
            emulator.update(world())
            assert http.get(url, headers=FLAVOR, timeout=10).text == "demo"
            emulator.update(down)


def test_faults(make_emulator: MakeEmulator) -> None:
    """A failing metadata server still sends its header, and its faults choose by audience."""
    fault = {"kind": "metadata", "audience": "https://bad*", "status": 503}
    emulator = make_emulator(world(faults={"issuers": [fault]}))
    bad = get(emulator, IDENTITY, audience="https://bad.example")
    assert (bad.status_code, bad.headers["Metadata-Flavor"]) == (503, "Google")
    assert get(emulator, IDENTITY, audience="https://a.example").status_code == 200
    assert get(emulator, "project/project-id").status_code == 200
