"""The gateway's rules about targets, header fields and fullness, without a socket."""

from __future__ import annotations

from typing import Any

import pytest

from runscrape_proxy.errors import ScrapeError
from runscrape_proxy.gateway import headers as gateway_headers
from runscrape_proxy.gateway.client import Client
from runscrape_proxy.gateway.slots import Slots
from runscrape_proxy.gateway.targets import AUTHORIZATION, SERVERLESS, Index, Target, find, index
from runscrape_proxy.http_client import Deadline
from runscrape_proxy.inventory import Endpoint

API = {"scheme": "https", "target": "api.a.run.app:443", "audience": "https://api.a.run.app"}


def index_of(*endpoints: dict[str, Any]) -> Index:
    return index(Endpoint(**API | fields) for fields in endpoints)


def target(**fields: Any) -> Target:
    (by_path,) = index_of(fields).values()
    (found,) = by_path.values()
    return found


@pytest.mark.parametrize(
    ("inventory", "host", "port", "found"),
    [
        ("api.a.run.app:443", "api.a.run.app", 80, True),
        ("API.a.run.app:443", "api.a.run.app", 80, True),
        ("api.a.run.app:443", "api.a.run.app", 443, True),
        ("api.a.run.app:443", "api.a.run.app", 8443, False),
        ("api.a.run.app:443", "xapi.a.run.app", 80, False),
        ("api.a.run.app:443", "a.run.app", 80, False),
        ("api.a.run.app:8443", "api.a.run.app", 8443, True),
        ("api.a.run.app:8443", "api.a.run.app", 443, False),
        ("api.a.run.app:8443", "api.a.run.app", 80, False),
        ("api.a.run.app:80", "api.a.run.app", 80, True),
    ],
)
def test_ports(inventory: str, host: str, port: int, *, found: bool) -> None:
    """Port 80 stands for 443; any other is the target's own, or there is no such target."""
    targets = index_of({"target": inventory})
    assert (find(targets, host, port, "/metrics") is not None) == found


@pytest.mark.parametrize(
    "fields",
    [
        {"scheme": "http"},
        {"scheme": None},
        {"target": "10.0.0.1:443"},
        {"target": "2130706433:443"},
        {"target": "[::1]:443"},
        {"target": "api.a.run.app"},
        {"target": "user@api.a.run.app:443"},
        {"target": None},
        {"target": "api.a.run.app.:443"},
    ],
)
def test_places_that_no_token_goes_to(fields: dict[str, Any]) -> None:
    """What is not https to a name is no target of the gateway, whatever the inventory says."""
    assert index_of(fields) == {}


def test_a_shared_domain() -> None:
    """Of services behind one domain the path tells which token to use; an unknown path, none."""
    targets = index_of(
        {"target": "metrics.example.com:443", "metrics_path": "/a", "audience": "a"},
        {"target": "metrics.example.com:443", "metrics_path": "/b", "audience": "b"},
    )
    audiences = {}
    for path in ("/a", "/b", "/c"):
        found = find(targets, "metrics.example.com", 80, path)
        audiences[path] = found and found.audience
    assert audiences == {"/a": "a", "/b": "b", "/c": None}


def test_several_paths_of_one_service() -> None:
    """A service that is scraped at two paths may be asked for any: path and query are as given."""
    targets = index_of({"metrics_path": "/a"}, {"metrics_path": "/b"})
    assert find(targets, "api.a.run.app", 80, "/c") == target()


@pytest.mark.parametrize(
    ("named", "header"),
    [
        (None, AUTHORIZATION),
        ("X-Serverless-Authorization", SERVERLESS),
        ("x-serverless-authorization", SERVERLESS),
        ("X-Evil", AUTHORIZATION),
    ],
)
def test_where_the_token_goes(named: str | None, header: str) -> None:
    """Into Authorization, or the other header that Cloud Run reads; into no other."""
    assert target(token_header=named).token_header == header


@pytest.mark.parametrize("url", ["socks5://me:pa55@h:1", "ftp://me:pa55@h", "http://me:pa55@[::1"])
def test_a_corporate_proxy_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """It is an answer of the gateway's own that says so, without the password in it."""
    monkeypatch.setenv("HTTPS_PROXY", url)
    host = f"{url.partition(':')[0]}.a.run.app"  # the answer of the environment is remembered
    client = Client(ca_file=None, connections=2, max_body=1000)
    with pytest.raises(ScrapeError, match="HTTPS_PROXY must name") as refused:
        client.get(target(target=f"{host}:443"), "/metrics", {}, Deadline(1))
    assert refused.value.status == 502
    assert "pa55" not in refused.value.reason


def test_outgoing_fields() -> None:
    """What a scrape says of itself goes on; credentials, cookies and the hop's own do not."""
    environ = {
        "HTTP_ACCEPT": "text/plain",
        "HTTP_ACCEPT_ENCODING": "gzip",
        "HTTP_USER_AGENT": "Prometheus/2.42.0",
        "HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS": "10",
        "HTTP_AUTHORIZATION": "Basic x",
        "HTTP_PROXY_AUTHORIZATION": "Basic x",
        "HTTP_X_SERVERLESS_AUTHORIZATION": "Bearer x",
        "HTTP_COOKIE": "a=b",
        "HTTP_CONNECTION": "keep-alive",
        "HTTP_TE": "trailers",
        "HTTP_X_HTTP_METHOD_OVERRIDE": "DELETE",
        "HTTP_HOST": "api.a.run.app",
    }
    assert gateway_headers.outgoing(environ) == {
        "Accept": "text/plain",
        "Accept-Encoding": "gzip",
        "User-Agent": "Prometheus/2.42.0",
        "X-Prometheus-Scrape-Timeout-Seconds": "10",
    }


def test_fields_that_connection_names() -> None:
    """RFC 9110, section 7.6.1: what Connection names ends here; nothing stands in for it."""
    environ = {"HTTP_ACCEPT_ENCODING": "gzip", "HTTP_CONNECTION": "close, Accept-Encoding"}
    sent = gateway_headers.outgoing(environ)
    assert sent == {}


@pytest.mark.parametrize("length", [None, 0, 7])
def test_returning_fields(length: int | None) -> None:
    """The answer's own fields come back in order; the hop's, the server's and odd ones do not."""
    headers = [
        ("Content-Type", "text/plain"),
        ("Connection", "close, X-Hop"),
        ("X-Hop", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Length", "999"),
        ("Proxy-Authenticate", "Basic"),
        ("Server", "odd"),
        ("Date", "yesterday"),
        ("X-Folded", "a\r\n b"),
        ("X Odd", "b"),
        ("Set-Cookie", "a=b"),
        ("Set-Cookie", "c=d"),
    ]
    expected = [("Content-Type", "text/plain"), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d")]
    if length is not None:
        expected.append(("Content-Length", str(length)))
    assert gateway_headers.returning(headers, length) == expected


def test_a_place_for_each_up_to_the_limits() -> None:
    """So many in all, so many to one host; a place given back twice is one place."""
    slots = Slots(3, per_host=2)
    first, second = slots.take("a"), slots.take("a")
    with pytest.raises(ScrapeError, match="2 scrapes of a are under way") as refused:
        slots.take("a")
    assert refused.value.status == 503
    assert refused.value.headers == {"Retry-After": "1"}
    slots.take("b")
    with pytest.raises(ScrapeError, match="gateway-concurrency"):
        slots.take("c")
    first.give_back()
    first.give_back()
    assert slots.in_flight == 2
    slots.take("a")
    with pytest.raises(ScrapeError):
        slots.take("c")
    second.give_back()
    slots.take("c")


def test_slow_hosts_leave_places_for_the_others() -> None:
    """Hosts whose last scrape timed out share half of the places, until one is quick again."""
    slots = Slots(4, per_host=1)
    for host in "abc":
        place = slots.take(host)
        place.slow = True
        place.give_back()
    slow = [slots.take("a"), slots.take("b")]
    with pytest.raises(ScrapeError, match="did not answer in time"):
        slots.take("c")
    quick = slots.take("d")
    slow[0].give_back()
    slots.take("c").give_back()
    again = slots.take("c")
    assert slots.take("a"), "a and c were quick, so only b counts as slow"
    assert quick
    assert again
