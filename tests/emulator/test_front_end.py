"""What stands in front of an app, and what it leaves of a request: knobs of the world."""

from __future__ import annotations

import http.client
import ssl
from typing import Any

import pytest
import requests

from emulator import Emulator
from tests.conftest import MakeEmulator
from tests.emulator.support import (
    API,
    Clock,
    claims,
    one_service,
    run_client,
    scrape,
    session,
    uri,
)


def good(emulator: Emulator, path: str = "/metrics") -> requests.Response:
    return scrape(emulator, emulator.id_token(uri(emulator)), path=path)


@pytest.mark.parametrize(
    ("trouble", "status", "said"),
    [
        ("busy", 429, "Rate exceeded."),
        ("overloaded", 500, "<h1>Error: Server Error</h1>"),
        ("start-failure", 500, "could not complete your request.<p>Please try again in 30 seconds"),
        ("unavailable", 503, "not available yet.<p>Please try again in 30 seconds."),
        ("crash", 503, "upstream connect error"),
        ("timeout", 504, "upstream request timeout"),
    ],
)
def test_trouble(make_emulator: MakeEmulator, trouble: str, status: int, said: str) -> None:
    """Cloud Run answers in place of an app that it cannot ask, after it checked the token."""
    emulator = make_emulator(one_service(trouble=trouble, trouble_first=1))
    assert scrape(emulator, None).status_code == 403
    answer = good(emulator)
    assert (answer.status_code, said in answer.text) == (status, True)
    assert answer.headers["Server"] == "Google Frontend"
    assert good(emulator).status_code == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"ready": False}, 503),
        ({"scaling_mode": "MANUAL", "manual_instances": 0}, 503),
        ({"scaling_mode": "MANUAL", "manual_instances": 2}, 200),
        ({"failure": {"reason": "SECRETS_ACCESS_CHECK_FAILED"}}, 200),
        ({"reconciling": True}, 200),
        ({"perimeter": True}, 403),
        ({"perimeter": True, "ingress": "internal"}, 404),
    ],
)
def test_states(make_emulator: MakeEmulator, fields: dict[str, Any], status: int) -> None:
    """No ready revision or no instance is 503, a failed update none of it, a perimeter 403."""
    emulator = make_emulator(one_service(**fields))
    assert good(emulator).status_code == status


def test_internal_before_the_token(make_emulator: MakeEmulator) -> None:
    """A service with internal ingress is not there, whatever the credentials are."""
    emulator = make_emulator(one_service(ingress="internal", iap_enabled=True))
    answers = [scrape(emulator, token) for token in (None, "garbage")] + [good(emulator)]
    assert {answer.status_code for answer in answers} == {404}
    assert "/metrics" not in answers[0].text


def test_reserved_path(make_emulator: MakeEmulator) -> None:
    """/healthz, and not /healthz/, is answered by Google's front end without asking anybody."""
    emulator = make_emulator(one_service(app={"paths": {"/healthz": {}, "/healthz/": {}}}))
    taken = good(emulator, "/healthz")
    assert (taken.status_code, "Error 404 (Not Found)!!1" in taken.text) == (404, True)
    assert not {"Server", "X-Cloud-Trace-Context"} & set(taken.headers)
    assert good(emulator, "/healthz/").status_code == 200


def test_several_authorizations(emulator: Emulator) -> None:
    """Two Authorization headers, or two tokens in one, get 401."""
    token = emulator.id_token(uri(emulator))
    assert scrape(emulator, f"{token}, {token}").status_code == 401
    host, _, port = emulator.proxy_url.removeprefix("http://").partition(":")
    context = ssl.create_default_context(cafile=str(emulator.ca_file))
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=10)
    connection.set_tunnel(uri(emulator).removeprefix("https://"), 443)
    connection.putrequest("GET", "/metrics")
    for _ in range(2):
        connection.putheader("Authorization", f"Bearer {token}")
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()


def test_what_the_app_sees(make_emulator: MakeEmulator) -> None:
    """The token that was checked reaches the app without its signature, another one whole."""
    emulator = make_emulator(one_service(app={"verifies_tokens": True}))
    token, own = emulator.id_token(uri(emulator)), emulator.id_token("https://of.the.app")
    assert scrape(emulator, token).status_code == 401
    seen = emulator.app_headers(API)["authorization"]
    assert seen == f"Bearer {token.rpartition('.')[0]}.SIGNATURE_REMOVED_BY_GOOGLE"
    assert emulator.last_headers(API)["authorization"] == f"Bearer {token}"
    headers = {"Authorization": f"Bearer {own}", "X-Serverless-Authorization": f"Bearer {token}"}
    with session(emulator) as web:
        assert web.get(uri(emulator) + "/metrics", headers=headers, timeout=10).ok
    assert emulator.app_headers(API)["authorization"] == f"Bearer {own}"
    assert "SIGNATURE_REMOVED" in emulator.app_headers(API)["x-serverless-authorization"]


def test_audiences_by_practice(make_emulator: MakeEmulator) -> None:
    """A final slash is taken with a URL and not with a custom audience; gcloud's own token is."""
    emulator = make_emulator(one_service(custom_audiences=["https://mine.example"]))
    url = uri(emulator)
    for audience, status in (
        (f"{url}/", 200),
        ("https://mine.example", 200),
        ("https://mine.example/", 401),
        (url.upper(), 401),
        (f"{url}:443", 401),
        ("32555940559.apps.googleusercontent.com", 200),
    ):
        assert scrape(emulator, emulator.id_token(audience)).status_code == status, audience


def test_function(make_emulator: MakeEmulator) -> None:
    """A function has a URL of its own kind, which is one of its audiences."""
    emulator = make_emulator(one_service(function=True, invokers=["allUsers"]))
    url = "https://us-central1-demo.cloudfunctions.net/api"
    service = emulator.world.service(API)
    assert url in (service.urls or ())
    assert service.custom_audiences == (url,)
    with session(emulator) as web:
        assert web.get(f"{url}/metrics", timeout=10).status_code == 200
        assert emulator.last_target(API) == "/metrics"
        assert web.get(f"{url}x/metrics", timeout=10).status_code == 404
    emulator.update(one_service(function=True))
    assert scrape(emulator, emulator.id_token(url)).status_code == 200
    with run_client(emulator) as client:
        (listed,) = client.list_services(parent="projects/demo/locations/us-central1")
    assert listed.build_config.function_target == "api"
    assert listed.labels["goog-managed-by"] == "cloudfunctions"


def test_iap_says_who_it_is(make_emulator: MakeEmulator) -> None:
    """IAP marks its answers, redirects who has no token, and needs a role of its own."""
    iap = {"iap_enabled": True, "iap_clients": ["client-1"]}
    emulator = make_emulator(one_service(**iap))
    with session(emulator) as web:
        url = uri(emulator) + "/metrics"
        sent = web.get(url, allow_redirects=False, timeout=10)
    assert sent.headers["Location"].startswith("https://accounts.google.com/o/oauth2/v2/auth?")
    assert (sent.status_code, sent.text) == (302, "Invalid IAP credentials: empty token")
    assert sent.headers["Set-Cookie"].startswith("GCP_IAP_XSRF_NONCE_")
    said = {
        token: scrape(emulator, token)
        for token in (
            "garbage",
            emulator.id_token("other"),
            emulator.id_token("client-1", key="foreign"),
        )
    }
    assert [answer.text.partition(": ")[2] for answer in said.values()] == [
        "Unable to parse JWT",
        "Invalid bearer token. Invalid JWT audience.",
        "JWT signature is invalid",
    ]
    marker = "X-Goog-IAP-Generated-Response"
    assert {answer.headers[marker] for answer in (sent, *said.values())} == {"true"}
    emulator.update(one_service(**iap, iap_accessors=[]))
    denied = scrape(emulator, emulator.id_token("client-1"))
    assert (denied.status_code, denied.headers[marker]) == (403, "true")
    emulator.update(one_service(**iap, iap_agent=False))
    unable = scrape(emulator, emulator.id_token("client-1"))
    assert (unable.status_code, marker in unable.headers) == (401, False)


def test_iam_takes_its_time(make_emulator: MakeEmulator) -> None:
    """For ``iam_delay`` the invokers and token creators of before still hold, by the clock."""
    clock = Clock()
    delay = {"settings": {"iam_delay": 120}}
    emulator = make_emulator(one_service(invokers=[]) | delay, clock=clock)

    def statuses() -> tuple[int, int]:
        identity = emulator.world.settings.identity
        url = f"{emulator.issuer}/v1/projects/-/serviceAccounts/{identity}:generateIdToken"
        headers = {"Authorization": f"Bearer {emulator.access_token('bob@example.com')}"}
        minted = requests.post(url, json={"audience": "a"}, headers=headers, timeout=10)
        return good(emulator).status_code, minted.status_code

    assert statuses() == (403, 403)
    identity = emulator.world.settings.identity
    accounts = {"accounts": {identity: {"token_creators": ["bob@example.com"]}}}
    emulator.update(one_service() | delay | accounts)
    assert statuses() == (403, 403)
    clock.now += 121
    assert statuses() == (200, 200)
    emulator.update(one_service(invokers=[]) | delay)
    assert statuses() == (200, 200)
    clock.now += 121
    assert statuses() == (403, 403)


def test_dates_follow_the_clock(make_emulator: MakeEmulator) -> None:
    """Every Date header is of the emulator's clock, which tests set."""
    emulator = make_emulator(one_service(), clock=Clock(1_800_000_000))
    answers = [
        requests.get(f"{emulator.issuer}/certs", timeout=10),
        requests.get(f"{emulator.api}/v1/projects/demo/locations", timeout=10),
        requests.get(f"http://{emulator.metadata_host}/", timeout=10),
        good(emulator),
        scrape(emulator, None),
    ]
    assert {answer.headers["Date"] for answer in answers} == {"Fri, 15 Jan 2027 08:00:00 GMT"}
    assert claims(emulator.id_token("a"))["iat"] == 1_800_000_000


@pytest.mark.parametrize(
    ("odd", "kind", "start"),
    [
        ("html", "text/html; charset=utf-8", b"<!doctype html>"),
        ("json", "application/json", b"{"),
        ("malformed", "text/plain; version=0.0.4; charset=utf-8", b"# TYPE"),
        ("duplicate", "text/plain; version=0.0.4; charset=utf-8", b"odd_total 1\nodd_total 2"),
        ("old", "text/plain; version=0.0.4; charset=utf-8", b"odd_total 1 1000000000000"),
        ("future", "text/plain; version=0.0.4; charset=utf-8", b"odd_total 1 4102444800000"),
        ("no-eof", "application/openmetrics-text; version=1.0.0; charset=utf-8", b"# TYPE"),
        ("binary", "application/octet-stream", b"\x00\x01"),
    ],
)
def test_odd_pages(make_emulator: MakeEmulator, odd: str, kind: str, start: bytes) -> None:
    """An app can answer with pages that are no good metrics."""
    emulator = make_emulator(one_service(app={"paths": {"/metrics": {"odd": odd}}}))
    answer = good(emulator)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, kind)
    assert answer.content.startswith(start)


def test_cold_start(make_emulator: MakeEmulator) -> None:
    """Only the first request of a world waits for an instance."""
    emulator = make_emulator(one_service(app={"cold_start": 60}))
    headers = {"Authorization": f"Bearer {emulator.id_token(uri(emulator))}"}
    with session(emulator) as web, pytest.raises(requests.exceptions.ReadTimeout):
        web.get(uri(emulator) + "/metrics", headers=headers, timeout=0.5)
    assert good(emulator).status_code == 200


def test_failed_update(make_emulator: MakeEmulator) -> None:
    """A failed update is told with its reason, and the older revision stays the ready one."""
    failure = {"message": "no secret", "reason": "SECRETS_ACCESS_CHECK_FAILED"}
    emulator = make_emulator(one_service(failure=failure))
    with run_client(emulator) as client:
        (service,) = client.list_services(parent="projects/demo/locations/us-central1")
    condition = service.terminal_condition
    assert (condition.state.name, condition.message) == ("CONDITION_FAILED", "no secret")
    assert condition.reason.name == "SECRETS_ACCESS_CHECK_FAILED"
    assert service.latest_ready_revision
    assert service.latest_created_revision != service.latest_ready_revision
