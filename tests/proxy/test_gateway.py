"""The gateway over real sockets: gunicorn in front, TLS and odd services behind."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.kit.authority import Authority
from tests.proxy.gateway_kit import (
    OWN,
    SECRET,
    Gateway,
    basic,
    gateway,
    service,
    write_inventory,
)
from tests.proxy.harness import (
    PATIENCE,
    Proxy,
    children_of,
    clean_environment,
    eventually,
    fake,
    read_all,
    refused,
)
from tests.proxy.odd_services import BODY, HUGE, LARGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import MakeEmulator
    from tests.proxy.conftest import StartProxy
    from tests.proxy.harness import Answer

API = "http://api.a.run.app:80"


@pytest.fixture(scope="module", name="gate")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway"), "--mint-timeout", "1s") as running:
        yield running


def audience_of(authorization: str) -> str:
    """The audience of a Bearer token that the fake Google made."""
    claims = authorization.removeprefix("Bearer ").split(".")[1]
    decoded = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    return str(decoded["aud"])


def test_a_scrape(gate: Gateway) -> None:
    """The service gets path and query as given and its own token; the body comes back as it is."""
    answer = gate.scrape(f"{API}/metrics/a?x=%C3%BC&y=1")
    assert (answer.status, answer.body) == (200, BODY)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4"
    assert answer.headers["content-length"] == str(len(BODY))
    assert gate.services.heads[-1].startswith("GET /metrics/a?x=%C3%BC&y=1 HTTP/1.1\r\n")
    sent = gate.services.last()
    assert audience_of(sent.pop("authorization")) == "https://api.a.run.app"
    assert sent == {
        "host": "api.a.run.app",
        "accept": "application/openmetrics-text;version=1.0.0",
        "accept-encoding": "gzip",
        "user-agent": "Prometheus/2.42.0",
        "x-prometheus-scrape-timeout-seconds": "10",
    }


@pytest.mark.parametrize(
    ("url", "host", "audience"),
    [
        ("http://shop.a.run.app/", "shop.a.run.app", "https://shop.a.run.app"),
        ("http://SHOP.a.run.app:443/", "shop.a.run.app", "https://shop.a.run.app"),
        (
            "http://metrics.example.com:8443/",
            "metrics.example.com:8443",
            "https://custom.a.run.app",
        ),
        (
            "http://canary---tagged-x7k2mq4wza-uc.a.run.app:80/",
            "canary---tagged-x7k2mq4wza-uc.a.run.app",
            "https://tagged.a.run.app",
        ),
        ("http://shared.example.com/a", "shared.example.com", "https://a.a.run.app"),
        ("http://shared.example.com/b", "shared.example.com", "https://b.a.run.app"),
    ],
)
def test_where_and_for_whom(gate: Gateway, url: str, host: str, audience: str) -> None:
    """Host, port and path find the service in the inventory, and so the audience."""
    assert gate.scrape(url).status == 200
    sent = gate.services.last()
    assert sent["host"] == host
    assert audience_of(sent["authorization"]) == audience


@pytest.mark.parametrize(
    "target",
    [
        "/-._~!$&'()*+,;=:@aZ9%7E%c3%bc/%22?-._~!$&'()*+,;=:@/?%00%2f",
        "/?",
        "/a?b=c?d",
        "/a;b=..",
        "/" + "x" * 4000 + "?a=" + "y" * 3900,
    ],
)
def test_path_and_query_as_given(gate: Gateway, target: str) -> None:
    """Nothing is decoded, encoded or merged on the way, so that no two ends read it differently."""
    assert gate.scrape(API + target).status == 200
    sent = gate.services.heads[-1].partition("\r\n")[0]
    assert sent == f"GET {target} HTTP/1.1"


def test_a_token_that_ends_soon(gate: Gateway) -> None:
    """The gateway uses a token at once, so that it need not be good for long."""
    assert gate.scrape("http://brief.a.run.app/metrics").status == 200
    assert audience_of(gate.services.last()["authorization"]) == "https://brief.a.run.app"


def test_a_public_service(gate: Gateway) -> None:
    """Where the inventory has no audience no token goes out, and nothing of ours in its place."""
    assert gate.scrape("http://public.a.run.app/metrics").status == 200
    assert "authorization" not in gate.services.last()


def test_credentials_that_a_rule_has_for_an_app(gate: Gateway) -> None:
    """The app gets what its file says, whatever the client has, and the token the other way."""
    url = "http://own.a.run.app/metrics"
    for headers in {}, {"Proxy_Authorization": basic(), "Authorization": "Bearer x"}:
        assert gate.scrape(url, **headers).status == 200
        sent = gate.services.last()
        assert sent["authorization"] == OWN
        assert audience_of(sent["x-serverless-authorization"]) == "https://own.a.run.app"
    assert gate.scrape("http://public-own.a.run.app/metrics").status == 200
    sent = gate.services.last()
    assert sent["authorization"] == OWN
    assert "x-serverless-authorization" not in sent


def test_credentials_that_are_rotated(gate: Gateway) -> None:
    """The file is read for each scrape."""
    file = gate.inventory.parent / "apps" / "own.authorization"
    file.write_text("Basic bmV3OnBhaXI=")
    assert gate.scrape("http://own.a.run.app/metrics").status == 200
    assert gate.services.last()["authorization"] == "Basic bmV3OnBhaXI="
    file.write_text(OWN)


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("none", 503, "file none: No such file"),
        ("odd", 503, "file odd: it is not one line such as Bearer TOKEN"),
        ("pipe", 503, "file pipe: not a regular file"),
        ("outside", 403, "no target of a kept service"),
    ],
)
def test_credentials_that_cannot_be_used(gate: Gateway, name: str, status: int, words: str) -> None:
    """Without them nothing is asked; no name leads out of the folder, and no file is quoted."""
    before = len(gate.services.heads)
    answer = gate.scrape(f"http://{name}.a.run.app/metrics")
    assert answer.status == status
    assert words in answer.text
    assert len(gate.services.heads) == before
    assert OWN not in gate.proxy.log + answer.text


def test_an_app_that_uses_authorization_itself(gate: Gateway) -> None:
    """By rule the token goes the other way, and the client's Authorization reaches the app."""
    url = "http://app.a.run.app/metrics"
    gate.scrape(url, Proxy_Authorization=basic(), Authorization="Bearer of-the-app")
    sent = gate.services.last()
    assert sent["authorization"] == "Bearer of-the-app"
    assert audience_of(sent["x-serverless-authorization"]) == "https://app.a.run.app"
    assert "proxy-authorization" not in sent


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://app.a.run.app/", {"Authorization": basic()}),
        ("http://app.a.run.app/", {"Authorization": basic(), "Proxy_Authorization": basic()}),
        ("http://api.a.run.app/", {"Authorization": "Bearer x", "Proxy_Authorization": basic()}),
        ("http://public.a.run.app/", {"Authorization": "Bearer x", "Proxy_Authorization": basic()}),
        ("http://public.a.run.app/", {"X_Serverless_Authorization": "Bearer x"}),
        ("http://api.a.run.app/", {"X_Serverless_Authorization": "Bearer x"}),
        ("http://api.a.run.app/", {"Connection": "Authorization"}),
    ],
)
def test_whose_credentials_never_leave(gate: Gateway, url: str, headers: dict[str, str]) -> None:
    """Neither the proxy's secret nor what the rule does not ask for reaches a service."""
    assert gate.scrape(url, **headers).status == 200
    sent = {name: value for name, value in gate.services.last().items() if "auth" in name}
    assert all(value.startswith("Bearer eyJ") for value in sent.values()), sent
    assert len(sent) == ("public" not in url)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": basic("wrong")},
        {"Authorization": basic(username="somebody")},
        {"Authorization": basic(SECRET.replace(" ", "+"))},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic !"},
        {"Proxy_Authorization": basic("wrong")},
        {"Proxy_Authorization": "Bearer x"},
    ],
)
def test_who_may_not(gate: Gateway, headers: dict[str, str]) -> None:
    """Without the secret of this proxy nothing is asked; 407 is no status of a service."""
    before = len(gate.services.heads)
    answer = gate.scrape(f"{API}/metrics", **headers)
    assert answer.status == 407
    assert answer.headers["proxy-authenticate"].startswith("Basic realm=")
    assert answer.text.startswith("runscrape-proxy: ")
    assert answer.text.count("\n") == 1
    assert len(gate.services.heads) == before


def test_without_a_secret(tmp_path: Path) -> None:
    """On loopback without a secret anybody is scraped for; basic_auth is still meant for us."""
    with gateway(tmp_path, wants_secret=False) as gate:
        assert gate.scrape("http://app.a.run.app/", Authorization=basic("unused")).status == 200
        assert "authorization" not in gate.services.last()
        assert gate.scrape("http://app.a.run.app/", Authorization="").status == 200
        refused = gate.scrape("http://own.a.run.app/", Authorization="")
        assert refused.status == 503
        assert "was started without --gateway-credentials" in refused.text


def test_proxy_url_with_credentials(gate: Gateway) -> None:
    """The secret may stand in proxy_url: then it comes as Proxy-Authorization alone."""
    headers = {"Authorization": "", "Proxy_Authorization": basic()}
    assert gate.scrape(f"{API}/metrics", **headers).status == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "Origin"])
def test_only_directly(gate: Gateway, header: str) -> None:
    """What came by another proxy or from a web page is refused, as at the token endpoint."""
    assert gate.scrape(f"{API}/metrics", **{header: "1.2.3.4"}).status == 403


@pytest.mark.parametrize(
    "url",
    [
        "http://skipped.a.run.app/metrics",
        "http://unknown.a.run.app/metrics",
        "http://api.a.run.app:8443/metrics",
        "http://metrics.example.com/metrics",
        "http://shared.example.com/c",
        "http://metadata.google.internal/computeMetadata/v1/",
    ],
)
def test_places_outside_the_inventory(gate: Gateway, url: str) -> None:
    """Only kept services, at their own port; the answer says what to do."""
    answer = gate.scrape(url)
    assert answer.status == 403
    assert "runscrape explain" in answer.text
    assert gate.metric('gateway_requests_total{code="403"}') > 0


# --- What comes back -----------------------------------------------------------------------------


def test_header_fields_of_an_answer(gate: Gateway) -> None:
    """Compressed stays compressed, the service's own fields are kept, the hop's are dropped."""
    answer = gate.scrape(f"{API}/fields")
    assert (answer.status, answer.body) == (200, b"ok")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["x-odd"] == "kept"
    assert answer.headers["server"] == "gunicorn"
    hop = {"x-hop", "keep-alive", "proxy-authenticate", "trailer", "upgrade", "transfer-encoding"}
    assert not hop & answer.headers.keys()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/empty", 204),
        ("/moved", 302),
        ("/unauthorized", 401),
        ("/refused", 403),
        ("/absent", 404),
        ("/busy", 503),
    ],
)
def test_statuses_of_the_service(gate: Gateway, path: str, status: int) -> None:
    """The service's own status comes back, and no redirect is followed."""
    before = len(gate.services.heads)
    answer = gate.scrape(API + path)
    assert (answer.status, answer.body) == (status, b"")
    assert len(gate.services.heads) == before + 1
    assert answer.headers.get("location") == ("https://elsewhere/" if status == 302 else None)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/unauthorized", "audience https://shop.a.run.app"),
        ("/refused", "roles/run.invoker"),
        ("/absent", "ingress is internal"),
    ],
)
def test_likely_causes_in_the_log(gate: Gateway, path: str, words: str) -> None:
    """A refusal by the service is explained in one line, once, until it is over."""

    def lines() -> list[str]:
        every = gate.proxy.log.splitlines()
        return [line for line in every if " INFO minted " not in line]  # which comes when it likes

    gate.scrape("http://shop.a.run.app/metrics")
    before = len(lines())
    gate.scrape("http://shop.a.run.app" + path)
    gate.scrape("http://shop.a.run.app" + path)
    gate.scrape("http://shop.a.run.app/metrics")
    eventually(lambda: len(lines()) >= before + 2, "two lines")
    told, over = lines()[before:]
    assert words in told
    assert "shop.a.run.app is scraped again" in over


def test_chunks(gate: Gateway) -> None:
    """What comes in chunks goes on in chunks, with an end of its own."""
    answer = gate.bytes_of(f"{API}/chunked")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert b"Content-Length" not in head
    assert body.endswith(b"\r\n0\r\n\r\n")
    assert gate.scrape(f"{API}/chunked").body == BODY + b"# EOF\n"


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/half", 502, "broke its answer off half way"),
        ("/half-chunked", 502, "broke its answer off half way"),
        ("/nothing", 502, "closed the connection without an answer"),
        ("/garbage", 502, "did not answer as HTTP has it"),
        ("/two-lengths", 502, "did not answer as HTTP has it"),
        ("/no-length", 502, "neither Content-Length nor chunks"),
        ("/early", 502, "answered 103"),
        ("/both", 502, "did not answer as HTTP has it"),
        ("/endless-chunk", 502, "as HTTP has it"),
        ("/odd-chunk", 502, "as HTTP has it"),
        ("/endless-head", 504, "did not answer within"),
        ("/endless-body", 504, "did not answer within"),
        ("/hang", 504, "did not answer within 0.5 s"),
    ],
)
def test_answers_that_are_none(gate: Gateway, path: str, status: int, words: str) -> None:
    """What is no whole answer in time is a 502 or 504 that says so, in the body and in the log."""
    timeout = "1" if status == 504 else "60"
    answer = gate.scrape(f"http://api.a.run.app{path}", timeout=timeout)
    assert answer.status == status
    assert words in answer.text
    assert answer.text.count("\n") == 1
    assert words in gate.proxy.log


@pytest.mark.parametrize(
    ("host", "status", "words"),
    [
        ("unreachable.a.run.app", 502, "check HTTPS_PROXY"),
        ("untrusted.example.com", 502, "TLS to untrusted.example.com failed"),
        ("silent.a.run.app", 504, "silent.a.run.app did not answer within"),
        ("fail.a.run.app", 503, "roles/iam.serviceAccountOpenIdTokenCreator"),
        ("hang.a.run.app", 503, "no token: "),
    ],
)
def test_on_the_way_there(gate: Gateway, host: str, status: int, words: str) -> None:
    """Without a token or a connection there is a one-line reason, and in time."""
    timeout = "60" if status == 502 else "1.2"
    answer = gate.scrape(f"http://{host}/metrics", timeout=timeout)
    assert answer.status == status
    assert words in answer.text
    if status == 503:
        assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    "path",
    ["/half-large", "/half-large-chunked", "/cut-in-a-chunk", "/bad-chunk", "/endless-large"],
)
def test_answers_that_break_off(gate: Gateway, path: str) -> None:
    """Once the status is out, an answer that does not end well is cut: no client takes it whole."""
    timeout = "5" if path == "/endless-large" else "60"
    with ThreadPoolExecutor() as pool:  # the time of both is waited out at once
        whole = pool.submit(gate.scrape, API + path, timeout=timeout)
        answer = gate.bytes_of(API + path, timeout=timeout)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    if b"Transfer-Encoding" in head:
        assert not body.endswith(b"\r\n0\r\n\r\n")
    else:
        assert len(body) < 2 * LARGE
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        whole.result()
    broken = 'gateway_requests_total{code="broken"}'
    eventually(lambda: gate.metric(broken) >= 2, "both to be counted")
    eventually(lambda: gate.metric("gateway_requests_in_flight") == 0, "slots given back")


def test_a_connection_that_is_reset(gate: Gateway) -> None:
    """A reset, whose time nobody knows, is a 502 or a broken answer; never a whole one."""
    head, _, body = gate.bytes_of(f"{API}/reset").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 502") or len(body) < 2 * LARGE


def test_a_client_that_leaves(gate: Gateway) -> None:
    """A client that is gone half way costs neither place nor connection, and is counted so."""
    before = gate.metric('gateway_requests_total{code="gone"}')
    head = f"GET {API}/huge HTTP/1.1\r\nHost: api.a.run.app:80\r\nAuthorization: {basic()}\r\n\r\n"
    with socket.create_connection(gate.proxy.address, timeout=PATIENCE) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100)
    eventually(lambda: gate.metric('gateway_requests_total{code="gone"}') == before + 1, "counted")
    assert gate.metric("gateway_requests_in_flight") == 0
    assert gate.scrape(f"{API}/metrics").status == 200


def resident(gate: Gateway) -> int:
    """Resident memory of the worker, in bytes; the most that it ever was."""
    arbiter = gate.proxy.process.pid
    worker = Path(f"/proc/{arbiter}/task/{arbiter}/children").read_text().split()[0]
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{worker}/status").read_text())
    assert found
    return int(found[1]) * 1024


def test_a_large_body_is_not_held(tmp_path: Path) -> None:
    """50 MB pass through in pieces: memory does not grow with them."""
    with gateway(tmp_path) as gate:
        gate.scrape(f"{API}/metrics")
        before = resident(gate)
        assert len(gate.scrape(f"{API}/huge").body) == HUGE * LARGE
        assert resident(gate) - before < 8 * LARGE


def test_an_answer_that_is_too_large(tmp_path: Path, gate: Gateway) -> None:
    """Beyond --gateway-max-body it is a 502, or cut where that shows only in the middle.

    What chunks say beside their bytes counts: there are a million of it for 32 in a body here.
    """
    assert len(gate.scrape(f"{API}/large-chunked").body) == 2 * LARGE
    with gateway(tmp_path, "--gateway-max-body", "1MiB") as small:
        for path in ("/huge", "/large-extensions"):
            refused = small.scrape(f"{API}{path}")
            assert refused.status == 502
            assert "more than 1048576 bytes (--gateway-max-body)" in refused.text
        head, _, body = small.bytes_of(f"{API}/large-chunked").partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert len(body) < 1.2 * LARGE
        assert not body.endswith(b"\r\n0\r\n\r\n")
        assert small.scrape(f"{API}/metrics").status == 200


# --- Connections ---------------------------------------------------------------------------------


def test_connections_are_kept(gate: Gateway) -> None:
    """Scrapes of one host, one after the other, share a connection."""
    for _ in range(5):
        assert gate.scrape("http://many0.a.run.app/chunked").status == 200
    assert gate.services.connections["many0.a.run.app"] == 1


def test_a_kept_connection_that_was_closed(gate: Gateway) -> None:
    """A service that closes a kept connection, seen or unseen, costs no scrape."""
    for path in ("/once", "/metrics", "/stale", "/metrics"):
        assert gate.scrape(f"http://many1.a.run.app{path}").status == 200
    assert gate.services.connections["many1.a.run.app"] == 3


def test_kept_connections_are_bounded(tmp_path: Path) -> None:
    """Two connections are kept to a host, and no more in all than the option says."""
    with gateway(tmp_path, "--gateway-connections", "6") as gate:
        crowd = Crowd(gate, [f"{API}/held"] * 6)
        eventually(lambda: gate.services.open == 6, "six connections")
        gate.services.release.set()
        assert crowd.statuses() == {200: 6}
        eventually(lambda: gate.services.open <= 2, "all but two connections to be closed")
        for number in range(8):
            assert gate.scrape(f"http://many{number}.a.run.app/chunked").status == 200
        eventually(lambda: gate.services.open <= 3, "the longest unused ones to be closed")
        assert "pool is full" not in gate.proxy.log


def test_one_try_on_a_new_connection(gate: Gateway) -> None:
    """A request that a new connection swallowed is not sent twice, a kept one before it or not."""
    assert gate.scrape("http://many2.a.run.app/once").status == 200
    before = len(gate.services.heads)
    assert gate.scrape("http://many2.a.run.app/nothing").status == 502
    assert len(gate.services.heads) == before + 1


class Crowd:
    """Scrapes that were begun at once; ``answers`` fills as they end."""

    def __init__(self, gate: Gateway, urls: list[str], timeout: str = "60") -> None:
        self.answers: list[Answer] = []
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._scrape, args=(gate, url, timeout)) for url in urls
        ]
        for thread in self._threads:
            thread.start()

    def _scrape(self, gate: Gateway, url: str, timeout: str) -> None:
        answer = gate.scrape(url, timeout=timeout)
        with self._lock:
            self.answers.append(answer)

    def statuses(self) -> Counter[int]:
        """How often each status came, once all have ended."""
        for thread in self._threads:
            thread.join()
        return Counter(answer.status for answer in self.answers)


def test_slots(tmp_path: Path) -> None:
    """With every slot taken one more scrape is a quick 503; tokens still come.

    And hosts that are known as slow leave half of the slots to the others.
    """
    few = ("--threads", "65", "--gateway-concurrency", "80", "--gateway-per-host", "4")
    with gateway(tmp_path, *few) as gate:
        hosts = [f"http://many{number}.a.run.app" for number in range(20)]
        assert {gate.scrape(f"{host}/metrics").status for host in hosts} == {200}, "warm tokens"
        held = [f"{host}/held" for host in hosts] * 4
        first = Crowd(gate, held)
        eventually(lambda: gate.metric("gateway_requests_in_flight") == 80, "a full gateway")
        assert gate.metric("gateway_requests_in_flight_limit") == 80
        refusal = gate.scrape(f"{API}/metrics")
        assert (refusal.status, refusal.headers["retry-after"]) == (503, "1")
        assert "--gateway-concurrency" in refusal.text
        credentials = {"Authorization": basic("s3cr%20et%2B%2F%25")}
        assert gate.proxy.token(headers=credentials).status == 400
        assert gate.proxy.get("/-/healthy").status == 200
        gate.services.release.set()
        assert first.statuses() == {200: 80}

        gate.services.release.clear()
        assert Crowd(gate, [f"{host}/hang" for host in hosts], "1").statuses() == {504: 20}
        second = Crowd(gate, held)
        eventually(lambda: len(second.answers) == 40, "half of them to be sent away")
        assert gate.metric("gateway_requests_in_flight") == 40
        assert gate.scrape(f"{API}/metrics").status == 200
        gate.services.release.set()
        assert second.statuses() == {200: 40, 503: 40}


def test_services_that_hang_leave_room(tmp_path: Path) -> None:
    """With every slot taken by new services that hang, one that answers is scraped all the same."""
    with gateway(tmp_path, "--gateway-concurrency", "8") as gate:
        hanging = Crowd(gate, [f"http://many{number}.a.run.app/hang" for number in range(8)])
        eventually(lambda: gate.metric("gateway_requests_in_flight") == 8, "a full gateway")
        for name in "api", "shop", "custom":
            host = "metrics.example.com:8443" if name == "custom" else f"{name}.a.run.app"
            assert gate.scrape(f"http://{host}/metrics").status == 200
        gate.services.closing.set()
        assert hanging.statuses()[504] >= 1


def test_clients_that_do_not_read(tmp_path: Path) -> None:
    """Clients that ask for a large answer and do not read it keep nobody from its service."""
    with gateway(tmp_path, wants_secret=False) as gate, contextlib.ExitStack() as stack:
        request = f"GET {API}/huge HTTP/1.1\r\nHost: api.a.run.app:80\r\n\r\n"
        for _ in range(8):
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(gate.proxy.address)
            deaf.sendall(request.encode())
        eventually(lambda: gate.metric("gateway_requests_in_flight") == 8, "all under way")
        for which in ("a scrape", "one after it"):  # whose slot is given back after its answer
            eventually(lambda: gate.scrape(f"{API}/metrics").status == 200, which)


def test_slow_services_take_no_thread(tmp_path: Path) -> None:
    """A scrape whose service takes its time waits without a thread, and is answered like any other.

    So it is for one that times out, for one that is cut off, and at the end of the process.
    """
    with gateway(tmp_path) as gate, contextlib.ExitStack() as stack:
        waiting = []
        for number in range(60):
            seconds = "2" if number < 10 else "600"
            url = f"http://many{number % 40}.a.run.app/held"
            waiting.append(stack.enter_context(begun(gate, url, seconds)))
            eventually(lambda: len(gate.services.heads) > number, "the service to be asked")  # noqa: B023
        assert gate.scrape(f"{API}/metrics").status == 200
        assert gate.metric("gateway_requests_in_flight") >= 50
        assert threads_of(gate) < 40
        answers = [read_all(connection) for connection in waiting[:10]]
        assert all(answer.startswith(b"HTTP/1.1 504 ") for answer in answers)
        gate.services.drop()
        answers = [read_all(connection) for connection in waiting[10:20]]
        assert all(answer.startswith(b"HTTP/1.1 502 ") for answer in answers)


def test_a_slow_answer_is_whole(gate: Gateway) -> None:
    """What comes late comes on: head, chunks and the end, for several on one connection."""
    gate.services.release.clear()
    with (
        begun(gate, f"{API}/held-chunks", "60") as first,
        begun(gate, f"{API}/held", "60") as second,
    ):
        time.sleep(0.3)  # for longer than a thread waits
        gate.services.release.set()
        assert read_all(first).endswith(b"\r\n0\r\n\r\n")
        assert read_all(second).endswith(BODY)


@contextlib.contextmanager
def begun(gate: Gateway, url: str, timeout: str) -> Iterator[socket.socket]:
    """A scrape of which the answer is still to come."""
    authority = url.removeprefix("http://").partition("/")[0]
    head = f"GET {url} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: {basic()}\r\n"
    fields = f"X-Prometheus-Scrape-Timeout-Seconds: {timeout}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(gate.proxy.address, timeout=PATIENCE) as connection:
        connection.sendall((head + fields).encode())
        yield connection


def threads_of(gate: Gateway) -> int:
    """How many threads the worker has."""
    worker = children_of(gate.proxy.process.pid)[0]
    return len(list(Path(f"/proc/{worker}/task").iterdir()))


def test_one_host_does_not_take_all_slots(tmp_path: Path) -> None:
    """Of scrapes of one host at once, those beyond its share are sent away at once."""
    with gateway(tmp_path, "--gateway-per-host", "2", "--mint-timeout", "60s") as gate:
        crowd = Crowd(gate, [f"{API}/held"] * 5)
        eventually(lambda: len(crowd.answers) == 3, "three to be sent away")
        assert gate.scrape("http://shop.a.run.app/metrics").status == 200
        gate.services.release.set()
        assert crowd.statuses() == {200: 2, 503: 3}
        began = time.monotonic()
        assert gate.scrape("http://hang.a.run.app/metrics", timeout="1").status == 503
        assert time.monotonic() - began < PATIENCE, (
            "a mint may take 60 s, but this scrape had half of one"
        )


def test_hanging_mints_hold_up_no_scrape(tmp_path: Path) -> None:
    """While Google hangs for new services, those with a token are scraped as ever.

    Even where every slot is taken by a scrape that waits for its token.
    """
    with gateway(tmp_path, "--gateway-concurrency", "4") as gate:
        assert gate.scrape(f"{API}/metrics").status == 200
        waiting = Crowd(gate, ["http://hang.a.run.app/metrics"] * 4, "10")
        eventually(lambda: gate.metric("gateway_requests_in_flight") == 4, "a full gateway")
        began = time.monotonic()
        assert gate.scrape(f"{API}/metrics").status == 200
        assert time.monotonic() - began < PATIENCE / 2
        assert waiting.statuses() == {503: 4}


# The real command, with a worker that has less than the usual 15 s for a request.
_IN_A_HURRY = """
import runpy
from runscrape_proxy.serving import worker as gunicorn_worker
gunicorn_worker.REQUEST_SECONDS = 0.3
runpy.run_module("tests.proxy.fake", {}, "__main__")
"""
HASTY = (sys.executable, "-c", _IN_A_HURRY, "0")


def test_the_worker_s_own_patience(tmp_path: Path) -> None:
    """A scrape has the time that its client told; one that nobody reads holds no place for ever."""
    with gateway(tmp_path, "--mint-timeout", "100ms", command=HASTY) as gate:
        head = f"GET {API}/huge HTTP/1.1\r\nHost: api.a.run.app:80\r\n"
        fields = f"Authorization: {basic()}\r\nX-Prometheus-Scrape-Timeout-Seconds: 1\r\n\r\n"
        with socket.create_connection(gate.proxy.address, timeout=PATIENCE) as connection:
            connection.sendall((head + fields).encode())
            eventually(lambda: gate.metric("gateway_requests_in_flight") == 1, "under way")
            assert gate.scrape(f"{API}/hang", timeout="2.6").status == 504
            eventually(lambda: gate.metric("gateway_requests_in_flight") == 0, "cut off")


# --- Files and settings --------------------------------------------------------------------------


def test_services_come_and_go(tmp_path: Path) -> None:
    """A new service is scraped at once, one that is gone within seconds no more.

    A bad inventory leaves the old in force.
    """
    with gateway(tmp_path) as gate:
        url = "http://late.a.run.app/metrics"
        assert gate.scrape(url).status == 403
        write_inventory(gate.inventory, service("late"))
        assert gate.scrape(url).status == 200
        eventually(lambda: gate.scrape(f"{API}/metrics").status == 403, "the others to be gone")
        gate.inventory.write_text("{")
        eventually(lambda: "inventory" in gate.proxy.get("/metrics").text, "metrics")
        eventually(lambda: gate.metric("inventory_last_reload_successful") == 0, "a bad reload")
        assert gate.scrape(url).status == 200


def test_an_authority_that_is_replaced(tmp_path: Path) -> None:
    """At SIGHUP --ca-file is read again for services as well; a bad one leaves the old in force."""
    file = Authority(tmp_path, "authority.pem").file
    with gateway(tmp_path, "--ca-file", file) as gate:
        assert "TLS to api.a.run.app failed" in gate.scrape(f"{API}/metrics").text
        for content in (gate.services.ca_file.read_text(), "none"):
            file.write_text(content)
            gate.proxy.process.send_signal(signal.SIGHUP)
            eventually(lambda: gate.scrape(f"{API}/metrics").status == 200, "the new authority")
        eventually(lambda: f"--ca-file {file}: " in gate.proxy.log, "a line about the bad one")
        assert gate.scrape(f"{API}/metrics").status == 200


def test_no_inventory_yet(start_proxy: StartProxy, tmp_path: Path) -> None:
    """Until the inventory is there every scrape is a 503 that says so, whatever its path holds."""
    proxy = start_proxy("--gateway", "--inventory", tmp_path / "late\udcff.json")
    answer = proxy.get("http://api.a.run.app/metrics")
    assert "no inventory could be read yet" in answer.text
    for each in (answer, proxy.get("/-/ready")):
        assert each.status == 503
        assert "late?.json: No such file" in each.text


def test_without_gateway(start_proxy: StartProxy) -> None:
    """Without --gateway a request for another host is refused, and never taken for one to us."""
    proxy = start_proxy()
    answer = proxy.get("http://api.a.run.app/metrics")
    assert answer.status == 403
    assert "--gateway" in answer.text
    assert proxy.request("CONNECT", "api.a.run.app:443").status == 403


def test_our_own_address(gate: Gateway) -> None:
    """RFC 9112, section 3.2.2: the whole URL of the proxy itself is its own path; not of a port."""
    assert gate.proxy.get(f"{gate.proxy.url}/-/healthy").status == 200
    other = gate.proxy.url.rpartition(":")[0] + ":9090"
    assert gate.scrape(f"{other}/metrics").status == 400
    assert gate.scrape("http://169.254.169.254/metrics").status == 400


def test_options(tmp_path: Path) -> None:
    """The gateway goes nowhere without an inventory, and says so at start; so with a bad file."""
    code, stderr, _ = refused("--gateway")
    assert (code, stderr) == (2, "runscrape-proxy: --gateway needs --inventory\n")
    bad = tmp_path / "ca.pem"
    bad.write_text("no certificate")
    options = ("--gateway", "--inventory", tmp_path / "inventory.json", "--ca-file", bad)
    code, stderr, _ = refused(*options, command=fake())
    assert code != 0
    assert f"StartError: --ca-file {bad}: " in stderr
    few = ("/bin/sh", "-c", 'ulimit -n 3000; exec "$@"', "sh", *fake())
    code, stderr, _ = refused(*options[:3], command=few)
    assert code != 0
    assert "leaves 0 connections; lower --gateway-concurrency" in stderr
    assert "at least 6465 are needed, 7488 for --threads 1088" in stderr


def test_over_a_unix_socket_and_at_the_end(tmp_path: Path) -> None:
    """A Unix socket's client may scrape too; SIGTERM lets a scrape end, and then the process."""
    path = tmp_path / "gateway.sock"
    with gateway(tmp_path, "-v", "--listen", "127.0.0.1:0", "--listen", f"unix:{path}") as gate:
        head = f"GET {API}/held HTTP/1.1\r\nHost: api.a.run.app:80\r\nAuthorization: {basic()}\r\n"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(path))
            connection.sendall(f"{head}\r\n".encode())
            eventually(lambda: gate.metric("gateway_requests_in_flight") == 1, "under way")
            gate.proxy.process.terminate()
            eventually(lambda: "Handling signal: term" in gate.proxy.log, "the signal to arrive")
            gate.services.release.set()
            assert read_all(connection).endswith(BODY)
        assert gate.proxy.process.wait(PATIENCE) == 0


def test_the_page_says_who_was_refused_over_a_unix_socket(tmp_path: Path) -> None:
    """A client on a Unix socket has no address: the page says so, as of a token request."""
    path = tmp_path / "gateway.sock"
    with gateway(tmp_path, "--listen", "127.0.0.1:0", "--listen", f"unix:{path}") as gate:
        head = "GET http://unknown.a.run.app/ HTTP/1.1\r\nHost: unknown.a.run.app\r\n"
        head += f"Authorization: {basic()}\r\nConnection: close\r\n\r\n"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(path))
            connection.sendall(head.encode())
            assert b" 403 " in read_all(connection)
        assert '<td class="who">a Unix socket</td>' in gate.proxy.get("/").text
        assert "client=unix" in gate.proxy.log


def test_over_tls(tmp_path: Path) -> None:
    """proxy_url may be https; a broken answer is broken there too."""
    authority = Authority(tmp_path)
    issued = authority.issue("localhost")
    (tmp_path / "front.pem").write_text(issued.cert.read_text() + issued.key.read_text())
    with gateway(tmp_path, "--tls-cert", tmp_path / "front.pem") as gate:
        context = authority.client()
        for path, whole in (("/metrics", True), ("/half-large", False)):
            head = f"GET {API}{path} HTTP/1.1\r\nHost: api.a.run.app:80\r\nConnection: close\r\n"
            with (
                socket.create_connection(gate.proxy.address, timeout=PATIENCE) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as secure,
            ):
                secure.sendall(f"{head}Authorization: {basic()}\r\n\r\n".encode())
                answer = http.client.HTTPResponse(secure)
                answer.begin()
                assert answer.status == 200
                if whole:
                    assert answer.read() == BODY
                else:
                    with pytest.raises((http.client.IncompleteRead, OSError)):
                        answer.read()


def test_plain_gunicorn(make_emulator: MakeEmulator, tmp_path: Path) -> None:
    """``gunicorn runscrape_proxy.wsgi:app`` reads the same settings from the environment."""
    google = make_emulator()
    url = google.world.service("demo/us-central1/api").uri
    assert url
    host = url.removeprefix("https://")
    entry = service("api", target=f"{host}:443", audience=url)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()
    command = (sys.executable, "-m", "gunicorn", "--threads=8", f"--bind=127.0.0.1:{address[1]}")
    env = clean_environment() | google.env("service_account")
    env |= {
        "RUNSCRAPE_PROXY_GATEWAY": "true",
        "RUNSCRAPE_PROXY_INVENTORY": str(write_inventory(tmp_path / "inventory.json", entry)),
        "RUNSCRAPE_PROXY_CA_FILE": str(google.ca_file),
    }
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen([*command, "runscrape_proxy.wsgi:app"], env=env, stderr=log) as process,
    ):
        try:
            proxy = Proxy(process, tmp_path / "log", address)
            eventually(lambda: answers(address), "a listening gunicorn")
            answer = proxy.get(f"http://{host}:80/metrics")
            assert (answer.status, "emulator_scrapes_total 1" in answer.text) == (200, True)
        finally:
            process.terminate()


def answers(address: tuple[str, int]) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(address) == 0


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_metrics_as_promtool_wants_them(gate: Gateway) -> None:
    """``promtool check metrics`` has nothing to say."""
    page = gate.proxy.get("/metrics").body
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_nothing_secret_is_told(gate: Gateway) -> None:
    """Neither the client's secret nor a token is in log, metrics or page."""
    gate.scrape(f"{API}/metrics")
    gate.scrape(f"{API}/refused")
    gate.scrape("http://fail.a.run.app/")
    told = gate.proxy.log + gate.proxy.get("/metrics").text + gate.proxy.get("/").text
    assert SECRET not in told
    assert basic().split()[1] not in told
    assert "eyJ" not in told


def test_one_line_for_each_trouble(gate: Gateway) -> None:
    """A client that is refused at each scrape is told of once in the log, and is on the page."""
    lines = len(gate.proxy.log.splitlines())
    for _ in range(5):
        assert gate.scrape(f"{API}/metrics", Authorization=basic("never right")).status == 407
        assert gate.proxy.request("CONNECT", "api.a.run.app:443").status == 405
        assert gate.scrape("http://unheard-of.a.run.app/metrics").status == 403
    told = gate.proxy.log.splitlines()[lines:]
    for words in "wrong username or password", "targets need http", "unheard-of.a.run.app:80 is no":
        assert sum(words in line for line in told) <= 1
        assert words in gate.proxy.get("/").text, "with the other refusals, on the page"


def test_connect_says_why_in_its_status_line(gate: Gateway, start_proxy: StartProxy) -> None:
    """It is all that Prometheus shows of the answer."""
    request = b"CONNECT api.a.run.app:443 HTTP/1.1\r\nHost: api.a.run.app:443\r\n\r\n"
    why = b"targets need http: use runscrape targets --mode gateway"
    assert gate.proxy.raw(request).startswith(b"HTTP/1.1 405 " + why + b"\r\n")
    plain = start_proxy()
    assert plain.raw(request).startswith(b"HTTP/1.1 403 start runscrape-proxy with --gateway\r\n")


def test_credentials_that_come_twice(gate: Gateway) -> None:
    """Proxy-Authorization may come twice, as vmagent sends it, if both are the same."""
    host = "Host: api.a.run.app:80\r\n"
    for second, status in ((basic(), b"200"), (basic("wrong"), b"407")):
        fields = f"Proxy-Authorization: {basic()}\r\nProxy-Authorization: {second}\r\n"
        request = f"GET {API}/metrics HTTP/1.1\r\n{host}Connection: close\r\n{fields}\r\n"
        assert gate.proxy.raw(request.encode()).split()[1] == status
