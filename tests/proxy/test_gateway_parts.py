"""The gateway's rules about targets, header fields and fullness, without a socket."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any, Self

import pytest

from runscrape_proxy.errors import ScrapeError
from runscrape_proxy.gateway import headers as gateway_headers
from runscrape_proxy.gateway.client import ServiceClient
from runscrape_proxy.gateway.slots import Slot, Slots
from runscrape_proxy.gateway.targets import AUTHORIZATION, SERVERLESS, Index, Target, find, index
from runscrape_proxy.http_client import CutOff, Deadline
from runscrape_proxy.inventory import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    ("named", "asked", "others"),
    [
        ("/a//b", ["/a//b"], ["/a//c", "//a//b", "/a///b"]),
        ("/a/../b", ["/a/../b"], ["/a/../c", "/a/../../b", "/../b", "/a/%2e%2e/b"]),
        ("/a%20b", ["/a%2520b", "/a%20b"], ["/a%252520b", "/a%00b"]),
        ("/a%2Fb", ["/a%252Fb", "/a%2Fb"], ["/a%2F..%2Fb", "/a%2Fb%2F"]),
        ("/a;b\\c", ["/a;b%5Cc"], ["/a;b%5Cd"]),
        ("a//b", ["/a//b"], ["//b"]),
    ],
)
def test_a_path_with_two_readings(named: str, asked: list[str], others: list[str]) -> None:
    """It is let through where the inventory names just that path, and no other one is for it."""
    targets = index_of({"metrics_path": named})
    for path in asked:
        found = find(targets, "api.a.run.app", 80, path)
        assert found is not None
        assert found.is_named_by(path)
    assert find(targets, "api.a.run.app", 80, "/c") is not None
    assert [path for path in others if find(targets, "api.a.run.app", 80, path)] == []


def test_paths_on_a_shared_domain_as_prometheus_asks_for_them() -> None:
    """A path that has to be encoded tells which service is meant all the same."""
    shared = {"target": "metrics.example.com:443"}
    targets = index_of(
        shared | {"metrics_path": "/ü(a)", "audience": "a"},
        shared | {"metrics_path": "/b", "audience": "b"},
    )
    found = find(targets, "metrics.example.com", 80, "/%C3%BC%28a%29")
    assert found is not None
    assert found.audience == "a"


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
    client = ServiceClient(ca_file=None, connections=2, lookups=9, max_body=1000)
    with pytest.raises(ScrapeError, match="HTTPS_PROXY must name") as refused:
        client.ask(target(target=f"{host}:443"), "/metrics", {}, Deadline(1))
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


def test_a_slot_for_each_up_to_the_limits() -> None:
    """So many in all, so many to one host; a slot given back twice is one slot."""
    slots = Slots(3, per_host=2, now=lambda: 0.0)
    for host in "abc":
        slot = slots.take(host, Deadline(9))
        slot.in_time = True
        slot.give_back()
    first, second = slots.take("a", Deadline(9)), slots.take("a", Deadline(9))
    with pytest.raises(ScrapeError, match="2 scrapes of a are under way") as refused:
        slots.take("a", Deadline(9))
    assert refused.value.status == 503
    assert refused.value.headers == {"Retry-After": "1"}
    slots.take("b", Deadline(9))
    with pytest.raises(ScrapeError, match="gateway-concurrency"):
        slots.take("c", Deadline(9))
    first.give_back()
    first.give_back()
    assert slots.in_flight == 2
    slots.take("a", Deadline(9))
    with pytest.raises(ScrapeError):
        slots.take("c", Deadline(9))
    second.give_back()
    slots.take("c", Deadline(9))


class Scrapes:
    """Four slots, two for one host; each scrape waits on a socket. ``now`` is set by the test."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slots = Slots(4, per_host=2, now=lambda: self.now)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def knows(self, host: str, *, in_time: bool) -> None:
        """Have a scrape of ``host`` end in time, or not."""
        slot = self.slots.take(host, Deadline(60))
        slot.in_time = in_time
        slot.give_back()

    def begin(self, host: str, *, named: bool = True) -> tuple[Slot, Deadline]:
        """Begin a scrape that waits for its service."""
        deadline = Deadline(60)
        slot = self.slots.take(host, deadline, named=named)
        with deadline.over(self._socket()):
            return slot, deadline

    def send(self, slot: Slot) -> socket.socket:
        """Have a scrape send to its client; gives the client's end."""
        ours, client = socket.socketpair()
        for end in (ours, client):
            self._stack.enter_context(end)
        self._stack.enter_context(slot.sending(ours))
        return client

    def _socket(self) -> socket.socket:
        ours, service = socket.socketpair()
        self._stack.enter_context(service)
        return self._stack.enter_context(ours)


@pytest.fixture(name="scrapes")
def running_scrapes() -> Iterator[Scrapes]:
    with Scrapes() as scrapes:
        yield scrapes


def test_slow_hosts_leave_slots_for_the_others(scrapes: Scrapes) -> None:
    """Hosts whose last scrape timed out share half of the slots, until one is quick again."""
    for host in "abc":
        scrapes.knows(host, in_time=False)
    first, _ = scrapes.begin("a")
    scrapes.begin("b")
    with pytest.raises(ScrapeError, match="did not answer in time"):
        scrapes.begin("c")
    scrapes.begin("d")
    first.in_time = True
    first.give_back()
    scrapes.begin("c")
    with pytest.raises(ScrapeError):
        scrapes.begin("b")
    scrapes.begin("a")


def test_new_hosts_that_hang_give_way(scrapes: Scrapes) -> None:
    """With every slot waiting for a new host, the oldest gives way to another, and so on."""
    deadlines = [scrapes.begin(host)[1] for host in "abcd"]
    scrapes.begin("e")
    scrapes.begin("f")
    for deadline in deadlines[:2]:
        with pytest.raises(CutOff):
            deadline.check()
    for deadline in deadlines[2:]:
        deadline.check()
    assert scrapes.slots.in_flight == 4


def test_a_wait_for_the_resolver_does_not_give_way(scrapes: Scrapes) -> None:
    """Its thread could not be had back: the next one gives way, and where there is none, nobody."""
    first, second, *others = [scrapes.begin(host)[1] for host in "abcd"]
    with first.uninterrupted():
        fifth = scrapes.begin("e")[1]
        with pytest.raises(CutOff):
            second.check()
        first.check()
    with contextlib.ExitStack() as resolving:
        for deadline in (first, *others, fifth):
            resolving.enter_context(deadline.uninterrupted())
        with pytest.raises(ScrapeError, match="4 scrapes are under way"):
            scrapes.begin("f")


def test_giving_way_at_once_makes_no_slow_host(scrapes: Scrapes) -> None:
    """A host whose scrape gave way had no time to be slow, whatever its own thread says then."""
    first, _ = scrapes.begin("a")
    for host in "bcde":
        scrapes.begin(host)
    first.in_time = False
    first.give_back()
    for host in "fghia":
        scrapes.begin(host)


def test_hosts_that_answered_give_way_later(scrapes: Scrapes) -> None:
    """A host that answered last time has a second, and gives way only to another that did."""
    for host in "abcde":
        scrapes.knows(host, in_time=True)
    scrapes.knows("slow", in_time=False)
    deadlines = [scrapes.begin(host)[1] for host in "abcd"]
    for now, host in ((0.5, "e"), (5.0, "new"), (5.0, "slow")):
        scrapes.now = now
        with pytest.raises(ScrapeError):
            scrapes.begin(host)
    scrapes.begin("e")
    with pytest.raises(CutOff):
        deadlines[0].check()
    scrapes.begin("b")
    with pytest.raises(CutOff):
        deadlines[1].check()


def test_half_of_the_slots_may_wait(scrapes: Scrapes) -> None:
    """As long as no more than half of the scrapes wait for services, none of them gives way."""
    waiting = [scrapes.begin(host)[1] for host in "ab"]
    for host in "cd":
        scrapes.send(scrapes.begin(host)[0])
    with pytest.raises(ScrapeError):
        scrapes.begin("e")
    for deadline in waiting:
        deadline.check()


def test_clients_that_do_not_read_give_way(scrapes: Scrapes) -> None:
    """Whose client leaves unread what is there for a moment, goes when a slot is needed."""
    clients = [scrapes.send(scrapes.begin("a")[0]) for _ in range(2)]
    with pytest.raises(ScrapeError):
        scrapes.begin("a")
    scrapes.now = 1.0
    scrapes.begin("a")
    assert clients[0].recv(1) == b"", "closed towards the client"
    scrapes.begin("b")
    scrapes.begin("c")
    scrapes.begin("d")
    assert clients[1].recv(1) == b""


def test_other_paths_give_way(scrapes: Scrapes) -> None:
    """Scrapes of a path that the inventory names find a slot at their host, whoever asks too."""
    _, first = scrapes.begin("a", named=False)
    scrapes.begin("a", named=False)
    with pytest.raises(ScrapeError):
        scrapes.begin("a", named=False)
    scrapes.begin("a")
    with pytest.raises(CutOff):
        first.check()
    scrapes.begin("a")
    with pytest.raises(ScrapeError):
        scrapes.begin("a")


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("api-x7k2mq4wza-uc.a.run.app", True),
        ("api-123456789012.us-central1.run.app", True),
        ("canary---api-x7k2mq4wza-uc.a.run.app", True),
        ("canary---api-123456789012.us-central1.run.app", True),
        ("a---b---api-x7k2mq4wza-uc.a.run.app", False),
        ("---api-x7k2mq4wza-uc.a.run.app", False),
        ("canary--api-x7k2mq4wza-uc.a.run.app", False),
        ("canary---x.api-x7k2mq4wza-uc.a.run.app", False),
        ("x.canary---api-x7k2mq4wza-uc.a.run.app", False),
        ("canary---metrics.example.com", False),
    ],
)
def test_other_urls_of_a_service(host: str, *, found: bool) -> None:
    """The service's other URL and those of its tags are the service, with its own audience."""
    own = "api-x7k2mq4wza-uc.a.run.app"
    urls = (f"https://{own}", "https://api-123456789012.us-central1.run.app")
    targets = index_of(
        {"target": f"{own}:443", "audience": f"https://{own}", "urls": urls},
        {"target": "metrics.example.com:443"},
    )
    target = find(targets, host, 80, "/metrics")
    assert (target is not None) == found
    if target is not None:
        assert (target.host, target.port, target.audience) == (host, 443, f"https://{own}")


def test_a_host_of_its_own_beats_other_urls() -> None:
    """What looks like another URL of a service is its own service where the inventory says so."""
    other = "canary---api-x7k2mq4wza-uc.a.run.app"
    targets = index_of(
        {
            "target": "api-x7k2mq4wza-uc.a.run.app:443",
            "audience": "https://one",
            "urls": ("https://api-x7k2mq4wza-uc.a.run.app", "https://second.a.run.app"),
        },
        {"target": f"{other}:443", "audience": "https://two"},
        {"target": "second.a.run.app:443", "audience": "https://three"},
    )
    audiences = [
        found.audience
        for host in (other, "second.a.run.app")
        if (found := find(targets, host, 80, "/metrics"))
    ]
    assert audiences == ["https://two", "https://three"]
