"""The private services, as Cloud Run's front end guards them."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import pytest
import requests

from emulator import Emulator
from tests.conftest import MakeEmulator
from tests.emulator.support import API, many_services, one_service, scrape, session, uri

STRANGER = "stranger@demo.iam.gserviceaccount.com"


def test_accepted(emulator: Emulator) -> None:
    """An ID token for the service's URL gets Prometheus text, and a counter that goes up."""
    token = emulator.id_token(uri(emulator))
    first, second = scrape(emulator, token), scrape(emulator, token)
    assert first.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "emulator_scrapes_total 1\n" in first.text
    assert "emulator_scrapes_total 2\n" in second.text
    assert 'service_name="api"' in first.text
    assert emulator.counts()["scrapes"] == {API: {"200": 2}}


def bad_tokens(emulator: Emulator) -> dict[str, str | None]:
    audience = uri(emulator)
    good = emulator.id_token(audience)
    return {
        "malformed": "no-jwt",
        "not base64": "a.b.c",
        "access token": emulator.access_token(),
        "expired": emulator.id_token(audience, lifetime=-1),
        "foreign key": emulator.id_token(audience, key="foreign"),
        "tampered": good[:-8] + ("A" * 8 if not good.endswith("A" * 8) else "B" * 8),
        "other service": emulator.id_token(uri(emulator, "demo/us-central1/shop")),
        "with a path": emulator.id_token(audience + "/metrics"),
        "without scheme": emulator.id_token(audience.removeprefix("https://")),
        "other issuer": emulator.id_token(audience, iss="https://example.com"),
    }


def test_bad_tokens(emulator: Emulator) -> None:
    """A malformed, expired, foreign or misdirected token gets 401."""
    statuses = {name: scrape(emulator, token) for name, token in bad_tokens(emulator).items()}
    assert {name: answer.status_code for name, answer in statuses.items()} == dict.fromkeys(
        statuses, 401
    )
    assert "invalid_token" in statuses["expired"].headers["WWW-Authenticate"]
    assert emulator.counts()["scrapes"] == {API: {"401": len(statuses)}}


def test_unsigned_token(emulator: Emulator) -> None:
    """A token that says it needs no signature gets 401."""
    _, claims, _ = emulator.id_token(uri(emulator)).split(".")
    header = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    assert scrape(emulator, f"{header}.{claims}.").status_code == 401


def test_invokers(emulator: Emulator) -> None:
    """A good token of an identity without roles/run.invoker gets 403."""
    audience = uri(emulator)
    assert scrape(emulator, emulator.id_token(audience, STRANGER)).status_code == 403
    impersonated = emulator.world.settings.impersonated
    assert scrape(emulator, emulator.id_token(audience, impersonated)).status_code == 200


def test_token_without_email(emulator: Emulator) -> None:
    """The subject alone names the identity."""
    token = emulator.id_token(uri(emulator), email=None, email_verified=None)
    assert scrape(emulator, token).status_code == 200


@pytest.mark.parametrize("invokers", [["allUsers"], ["allAuthenticatedUsers"]])
def test_special_invokers(make_emulator: MakeEmulator, invokers: list[str]) -> None:
    """AllUsers needs no token, allAuthenticatedUsers any identity's."""
    emulator = make_emulator(one_service(invokers=invokers))
    token = emulator.id_token(uri(emulator), STRANGER)
    assert scrape(emulator, token).status_code == 200
    assert scrape(emulator, None).status_code == (200 if invokers == ["allUsers"] else 403)


def test_public(emulator: Emulator) -> None:
    """A service without the invoker check answers without a token."""
    assert scrape(emulator, None, "demo/europe-west1/hello").status_code == 200


def test_every_audience(make_emulator: MakeEmulator) -> None:
    """The service's URLs and custom audiences are accepted, tag URLs and domains are not."""
    emulator = make_emulator(
        one_service(
            custom_audiences=["mine"], domains=["api.example.com"], traffic=[{"tag": "canary"}]
        )
    )
    service = emulator.world.service(API)
    for audience in (*(service.urls or ()), "mine"):
        assert scrape(emulator, emulator.id_token(audience)).status_code == 200
    for audience in (service.traffic[0].uri, "https://api.example.com"):
        assert scrape(emulator, emulator.id_token(audience)).status_code == 401


def test_every_host(make_emulator: MakeEmulator) -> None:
    """Default, deterministic, tag and custom host names all lead to the service, over real TLS."""
    emulator = make_emulator(one_service(domains=["api.example.com"], traffic=[{"tag": "canary"}]))
    service = emulator.world.service(API)
    urls = [*(service.urls or ()), service.traffic[0].uri, "https://api.example.com"]
    headers = {"Authorization": f"Bearer {emulator.id_token(uri(emulator))}"}
    with session(emulator) as http:
        assert [http.get(f"{url}/metrics", headers=headers).status_code for url in urls] == [
            200
        ] * 4


def test_certificate_follows_the_world(make_emulator: MakeEmulator) -> None:
    """A custom domain that appears later is covered by the certificate."""
    emulator = make_emulator(one_service())
    with session(emulator) as http:
        with pytest.raises(requests.exceptions.ProxyError):
            http.get("https://late.example.com/metrics", timeout=10)
        emulator.update(one_service(domains=["late.example.com"], invokers=["allUsers"]))
        assert http.get("https://late.example.com/metrics", timeout=10).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"ingress": "internal"},
        {"ingress": "internal-and-cloud-load-balancing"},
        {"default_uri_disabled": True},
        {"deleted": True},
    ],
)
def test_not_found(make_emulator: MakeEmulator, fields: dict[str, Any]) -> None:
    """What is not reachable from here, or not there, gets 404 however good the token."""
    emulator = make_emulator(one_service(**fields))
    assert scrape(emulator, emulator.id_token(uri(emulator))).status_code == 404


def test_path_and_service_that_are_not_there(emulator: Emulator) -> None:
    """An unknown path gets the app's 404, an unknown run.app host gets Cloud Run's."""
    token = emulator.id_token(uri(emulator))
    assert scrape(emulator, token, path="/nope").text == "404 page not found\n"
    with session(emulator) as http:
        answer = http.get("https://gone-aaaaaaaaaa-uc.a.run.app/metrics", timeout=10)
    assert answer.status_code == 404
    assert "Error: Page not found" in answer.text


def test_own_header_wins(make_emulator: MakeEmulator) -> None:
    """X-Serverless-Authorization is checked when there, and Authorization is the app's."""
    emulator = make_emulator(one_service(app={"authorization": "Bearer app"}))
    token = emulator.id_token(uri(emulator))
    cases = [
        ({"Authorization": f"Bearer {token}"}, 401),
        ({"Authorization": "Bearer app"}, 401),
        ({"Authorization": "Bearer app", "X-Serverless-Authorization": f"Bearer {token}"}, 200),
        ({"Authorization": f"Bearer {token}", "X-Serverless-Authorization": "Bearer no"}, 401),
    ]
    with session(emulator) as http:
        for headers, status in cases:
            answer = http.get(uri(emulator) + "/metrics", headers=headers, timeout=10)
            assert answer.status_code == status


def test_behind_iap(make_emulator: MakeEmulator) -> None:
    """Identity-Aware Proxy wants its own audience, not the service's URL or custom audience."""
    emulator = make_emulator(
        one_service(iap_enabled=True, iap_clients=["iap-client"], custom_audiences=["mine"])
    )
    assert scrape(emulator, emulator.id_token("mine")).status_code == 401
    assert scrape(emulator, emulator.id_token(uri(emulator))).status_code == 401
    assert scrape(emulator, emulator.id_token("iap-client")).status_code == 200


def test_headers_are_recorded(emulator: Emulator) -> None:
    """The last request of each service can be looked at."""
    token = emulator.id_token(uri(emulator))
    with session(emulator) as http:
        headers = {"Authorization": f"Bearer {token}", "X-Prometheus-Scrape-Timeout-Seconds": "9"}
        http.get(uri(emulator) + "/metrics?a=1", headers=headers, timeout=10)
    assert emulator.last_headers(API)["x-prometheus-scrape-timeout-seconds"] == "9"
    assert emulator.last_target(API) == "/metrics?a=1"


def public(**app: Any) -> dict[str, Any]:
    return one_service(invokers=["allUsers"], app=app)


def test_bodies(make_emulator: MakeEmulator) -> None:
    """Each path has its own body and Content-Type; none at all is possible."""
    paths = {
        "/om": {"body": "# EOF\n", "content_type": "application/openmetrics-text; version=1.0.0"},
        "/raw": {"body_base64": base64.b64encode(b"\x00\xff").decode(), "content_type": None},
        "/gauges": {"metrics": {"orders_open": 3}},
        "/moved": {"redirect": "https://elsewhere.example.com/metrics"},
    }
    emulator = make_emulator(public(paths=paths))
    with session(emulator) as http:
        base = uri(emulator)
        assert http.get(f"{base}/om").headers["Content-Type"].startswith("application/openm")
        raw = http.get(f"{base}/raw")
        assert (raw.content, "Content-Type" in raw.headers) == (b"\x00\xff", False)
        assert "\norders_open 3\n" in http.get(f"{base}/gauges").text
        moved = http.get(f"{base}/moved", allow_redirects=False)
        assert (moved.status_code, moved.headers["Location"]) == (
            302,
            "https://elsewhere.example.com/metrics",
        )


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_big_body(make_emulator: MakeEmulator, encoding: str) -> None:
    """A padded body is streamed, as large as asked for, gzipped only where the client takes it."""
    emulator = make_emulator(public(paths={"/metrics": {"body_mb": 2}}))
    with session(emulator) as http:
        url = uri(emulator) + "/metrics"
        answer = http.get(url, headers={"Accept-Encoding": encoding}, stream=True, timeout=10)
        raw = answer.raw.read(decode_content=False)
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.headers.get("Content-Encoding") == (encoding if encoding == "gzip" else None)
    assert len(gzip.decompress(raw) if encoding == "gzip" else raw) == 2 * 1024 * 1024


def test_instances(make_emulator: MakeEmulator) -> None:
    """A service of several instances answers from a random one: counters jump back."""
    emulator = make_emulator(public(instances=4))
    with session(emulator) as http:
        texts = [http.get(uri(emulator) + "/metrics").text for _ in range(40)]
    counted = [int(text.partition("\nemulator_scrapes_total ")[2].split()[0]) for text in texts]
    assert counted != sorted(counted)


def test_app_status_then_well(make_emulator: MakeEmulator) -> None:
    """An app that fails its first two requests answers the third."""
    emulator = make_emulator(public(status=503, first=2))
    assert [scrape(emulator, None).status_code for _ in range(3)] == [503, 503, 200]


def test_app_drops_half_way(make_emulator: MakeEmulator) -> None:
    """A dropped scrape is a broken body, never a short one that looks whole."""
    for app in ({"drop": True}, {"drop": True, "paths": {"/metrics": {"body_mb": 1}}}):
        emulator = make_emulator(public(**app))
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            scrape(emulator, None)


@pytest.mark.parametrize("app", [{"hang": True}, {"latency": 60.0}, {"drip": True}])
def test_app_slow(make_emulator: MakeEmulator, app: dict[str, Any]) -> None:
    """An app that hangs, dawdles or drips does not answer in time, and does not hold up close()."""
    emulator = make_emulator(public(**app))
    error = requests.exceptions.RequestException
    with session(emulator) as http, pytest.raises(error, match="timed out"):
        http.get(uri(emulator) + "/metrics", timeout=0.3)


def test_connection_is_kept(emulator: Emulator) -> None:
    """Scrapes over one session share one tunnel."""
    headers = {"Authorization": f"Bearer {emulator.id_token(uri(emulator))}"}
    with session(emulator) as http:
        for _ in range(5):
            assert http.get(uri(emulator) + "/metrics", headers=headers).status_code == 200
    assert list(emulator.counts()["proxy"]["accepted"].values()) == [1]


@pytest.mark.parametrize(
    ("url", "status"), [("https://example.com/", "502"), ("https://example.com:8443/", "403")]
)
def test_proxy_refuses_the_rest(emulator: Emulator, url: str, status: str) -> None:
    """The proxy leads to the world's hosts on port 443 and nowhere else."""
    with session(emulator) as http, pytest.raises(requests.exceptions.ProxyError, match=status):
        http.get(url, timeout=10)


def test_certificate_is_checked(emulator: Emulator) -> None:
    """A client that does not have the emulator's CA refuses its certificates."""
    with session(emulator) as http, pytest.raises(requests.exceptions.SSLError):
        http.get(uri(emulator) + "/metrics", timeout=10, verify=True)


def test_many_services_at_once(make_emulator: MakeEmulator) -> None:
    """Twenty services answer, each counted for itself."""
    emulator = make_emulator(many_services(20))
    with session(emulator) as http:
        for service in emulator.world.projects["demo"].services:
            headers = {"Authorization": f"Bearer {emulator.id_token(service.uri or '')}"}
            assert http.get(f"{service.uri}/metrics", headers=headers).status_code == 200
    assert len(emulator.counts()["scrapes"]) == 20
