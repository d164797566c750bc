"""The transport under google-auth, against a server that misbehaves byte by byte."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from runscrape_proxy.clock import GoogleClock
from runscrape_proxy.errors import MintError
from runscrape_proxy.google.http import GoogleHttp
from tests.proxy.raw_server import OK

if TYPE_CHECKING:
    from tests.proxy.conftest import Serve


@pytest.fixture
def http(monkeypatch: pytest.MonkeyPatch) -> GoogleHttp:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    return GoogleHttp(clock=GoogleClock())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK" + b" " * 500,
        b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 500,
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + b"x" * 500,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 500,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 100,
    ],
    ids=["status", "header", "body", "until close", "chunks"],
)
def test_a_drip_ends_at_the_deadline(serve: Serve, http: GoogleHttp, answer: bytes) -> None:
    """Wherever an answer drips, it is given up at the deadline though no single byte is late."""
    server = serve(answer, 0.1)
    began = time.monotonic()
    with pytest.raises(MintError, match=r"127\.0\.0\.1 did not answer within 0\.3 s"):
        http.within(0.3)(f"{server.url}/token", method="POST", body=b"x")
    assert time.monotonic() - began < 20, "all of it takes 50 s"


def test_a_dripping_proxy_ends_at_the_deadline(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer of a CONNECT proxy has to come before the deadline too."""
    server = serve(b"HTTP/1.1 200 Connection established\r\nX-Padding: " + b"x" * 500, 0.1)
    monkeypatch.setenv("HTTPS_PROXY", server.url)
    monkeypatch.setenv("NO_PROXY", "")
    began = time.monotonic()
    with pytest.raises(MintError, match=r"did not answer|the proxy on the way"):
        GoogleHttp(clock=GoogleClock()).within(0.3)(
            "https://oauth2.googleapis.com/token", method="POST", body=b"x"
        )
    assert time.monotonic() - began < 20, "all of it takes 50 s"
    assert server.requests[0].startswith(b"CONNECT oauth2.googleapis.com:443")


def test_one_deadline_for_all_calls(serve: Serve, http: GoogleHttp) -> None:
    """The calls of one mint share its deadline; after it nothing is sent any more."""
    server = serve(OK, 0.004)
    request = http.within(0.4)
    calls = (request(server.url) for _ in range(100))
    with pytest.raises(MintError, match="did not answer within"):
        list(calls)
    sent = len(server.requests)
    with pytest.raises(MintError, match="did not answer within"):
        request(server.url)
    assert 1 <= sent < 10
    assert len(server.requests) == sent


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(serve: Serve, http: GoogleHttp, status: int) -> None:
    """Credentials never follow a redirect; the operator hears of it."""
    elsewhere = serve(OK)
    moved = f"HTTP/1.1 {status} Moved\r\nLocation: {elsewhere.url}/\r\nContent-Length: 0\r\n\r\n"
    server = serve(moved.encode())
    with pytest.raises(MintError, match=f"answered {status}: credentials follow no redirect"):
        http.within(5)(server.url, headers={"Authorization": "Bearer ya29.secret"})
    assert elsewhere.requests == []


def test_connections_are_kept(serve: Serve, http: GoogleHttp) -> None:
    """Mint after mint goes over one connection."""
    server = serve(OK)
    for _ in range(5):
        answer = http.within(5)(server.url)
        assert (answer.status, answer.data) == (200, b"{}")
    assert server.connections == 1


def test_a_kept_connection_that_was_closed(serve: Serve, http: GoogleHttp) -> None:
    """A request that finds its kept connection closed is sent once more, on a new one."""
    server = serve(OK)
    server.most = 1
    for _ in range(3):
        assert http.within(5)(server.url).status == 200
    assert server.connections == 3
    assert len(server.requests) == 5


@pytest.mark.parametrize(("most", "last"), [(0, b""), (0, OK[:9]), (1, OK[:9])])
def test_no_second_try_where_it_may_have_been_answered(
    serve: Serve, http: GoogleHttp, most: int, last: bytes
) -> None:
    """What a new connection swallowed, or what was answered in part, is not sent twice."""
    server = serve(OK)
    server.most, server.last = most, last
    for _ in range(most):
        http.within(5)(server.url)
    with pytest.raises(MintError, match=r"no connection to 127\.0\.0\.1"):
        http.within(5)(server.url)
    assert len(server.requests) == most + 1


def test_an_answer_that_ends_with_the_connection(serve: Serve, http: GoogleHttp) -> None:
    """An answer without a length is read to its end."""
    server = serve(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 50_000)
    for _ in range(2):
        assert len(http.within(5)(server.url).data) == 50_000


def test_an_endless_answer_is_cut_off(serve: Serve, http: GoogleHttp) -> None:
    """An answer of more than 1 MiB is no token and is not kept."""
    server = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 2_000_000)
    with pytest.raises(MintError, match="more than 1048576 bytes"):
        http.within(20)(server.url)
