"""Smuggling and SSRF over raw sockets: nothing of it reaches a service, and the proxy lives on."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.proxy.gateway_kit import Gateway, basic, gateway
from tests.proxy.harness import PATIENCE, read_all
from tests.proxy.odd_services import BODY

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "api.a.run.app"
AUTH = f"Authorization: {basic()}\r\n"
INNER = f"GET http://shop.a.run.app/smuggled HTTP/1.1\r\nHost: shop.a.run.app\r\n{AUTH}\r\n"


@pytest.fixture(scope="module", name="gate")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("raw")) as running:
        yield running


def send(gate: Gateway, data: bytes) -> bytes:
    """Send bytes as they are, then nothing more; all that comes back."""
    with socket.create_connection(gate.proxy.address, timeout=PATIENCE) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def request(line: str, *fields: str, host: str = HOST) -> str:
    return "\r\n".join([line, f"Host: {host}", AUTH.strip(), *fields, "", ""])


TARGETS = [
    # Another place.
    "http://evil.example/metrics",
    "http://127.0.0.1/metrics",
    "http://127.0.0.1:9090/metrics",
    "http://[::1]:80/metrics",
    "http://[::ffff:7f00:1]/metrics",
    "http://0/metrics",
    "http://0x7f000001/metrics",
    "http://2130706433/metrics",
    "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://metadata/computeMetadata/v1/",
    "http://unix:%2Fvar%2Frun%2Fdocker.sock/",
    "http://api.a.run.app.evil.example/metrics",
    "http://evil.example/api.a.run.app/metrics",
    "http://evil.example?api.a.run.app",
    "http://api.a.run.app@evil.example/metrics",
    "http://api.a.run.app:80@evil.example/metrics",
    "http://evil.example\\@api.a.run.app/metrics",
    "http://evil.example#@api.a.run.app/metrics",
    "http://api.a.run.app%00.evil.example/metrics",
    "http://api.a.run.app:22/metrics",
    "http://api.a.run.app:65616/metrics",
    "http://api.a.run.app./metrics",
    "http://skipped.a.run.app/metrics",
    # Another scheme or form.
    "https://api.a.run.app/metrics",
    "ftp://api.a.run.app/metrics",
    "gopher://api.a.run.app/_x",
    "file:///etc/passwd",
    "data:text/plain,x",
    "javascript:alert(1)",
    "http:api.a.run.app/metrics",
    "http:/api.a.run.app/metrics",
    "http:///metrics",
    "http:\\\\api.a.run.app/metrics",
    "api.a.run.app:443",
    "metrics",
    # Another path.
    "http://api.a.run.app//evil.example/",
    "http://api.a.run.app/a/../admin",
    "http://api.a.run.app/a/%2e%2e/admin",
    "http://api.a.run.app/a/.%2e/admin",
    "http://api.a.run.app/a/..;/admin",
    "http://api.a.run.app/..%2fadmin",
    "http://api.a.run.app/..%5cadmin",
    "http://api.a.run.app/a%252e%252e/admin",
    "http://api.a.run.app/a%c0%ae%c0%ae/admin",
    "http://api.a.run.app/\\..\\admin",
    "http://api.a.run.app/metrics%00.txt",
    "http://api.a.run.app/metrics%0d%0aX-Injected:%20yes",
    "http://api.a.run.app/metrics%20HTTP/1.1",
    "http://api.a.run.app/metrics#fragment",
    "http://api.a.run.app/metrics?a=%zz",
]


@pytest.mark.parametrize("target", TARGETS)
def test_targets(gate: Gateway, target: str) -> None:
    """A request line that names another place, or may be read so, reaches nobody."""
    before = len(gate.services.heads)
    for host in (HOST, target.partition("//")[2].partition("/")[0] or "x"):
        answer = send(gate, request(f"GET {target} HTTP/1.1", host=host).encode("latin-1"))
        assert answer[:10] == b"HTTP/1.1 4", answer
        assert answer.count(b"HTTP/1.1 ") == 1
    assert len(gate.services.heads) == before
    assert gate.services.connections["evil.example"] == 0


GOOD = f"GET http://{HOST}/metrics HTTP/1.1"
LINES = [
    request(f"CONNECT {HOST}:443 HTTP/1.1"),
    request("CONNECT evil.example:443 HTTP/1.1", host="evil.example:443"),
    request(f"POST http://{HOST}/metrics HTTP/1.1", "Content-Length: 0"),
    request(f"PUT http://{HOST}/metrics HTTP/1.1", "Content-Length: 0"),
    request(f"DELETE http://{HOST}/metrics HTTP/1.1"),
    request(f"HEAD http://{HOST}/metrics HTTP/1.1"),
    request(f"OPTIONS http://{HOST}/metrics HTTP/1.1"),
    request(f"TRACE http://{HOST}/metrics HTTP/1.1"),
    request(f"get http://{HOST}/metrics HTTP/1.1"),
    request(f"GET http://{HOST}/metrics HTTP/1.0"),
    request(f"GET http://{HOST}/metrics HTTP/2.0"),
    request(f"GET http://{HOST}/metrics HTTP/1.1 HTTP/1.1"),
    request(f"GET http://{HOST}/met rics HTTP/1.1"),
    request(f"GET\thttp://{HOST}/metrics\tHTTP/1.1"),
    request(f"GET  http://{HOST}/metrics HTTP/1.1"),
    request(f"GET http://{HOST}/metrics"),
    request(GOOD, host="shop.a.run.app"),
    request(GOOD, host="evil.example"),
    request(GOOD, host=f"{HOST}:443"),
    request(GOOD, host=f"{HOST}."),
    request(GOOD, host=f"user@{HOST}"),
    request(GOOD, host=""),
    request(GOOD, "Host: evil.example"),
    request(GOOD, f"Host: {HOST}"),
    f"{GOOD}\r\n{AUTH}\r\n",
    f"{GOOD}\r\nHost : {HOST}\r\n{AUTH}\r\n",
    f"{GOOD}\r\n Host: {HOST}\r\n{AUTH}\r\n",
    f"{GOOD}\nHost: {HOST}\n{AUTH}\n",
    request(GOOD, "X-Folded: a", " b: c"),
    request(GOOD, "X-Forwarded-For: 1.2.3.4"),
    request(GOOD, "Forwarded: for=1.2.3.4"),
    request(GOOD, "Via: 1.1 other"),
    request(GOOD, "Origin: http://evil.example"),
    request(GOOD, f"Authorization: {basic()}"),
    request(GOOD, "Proxy-Authorization: Basic AAAA"),
    request(GOOD, "X-Bad: \x00"),
    request(GOOD, "Content-Length: 5") + "GET /",
    request(GOOD, "Content-Length: +0"),
    request(GOOD, "Content-Length: -1"),
    request(GOOD, "Content-Length: 0", "Content-Length: 5") + "GET /",
    request(GOOD, "Content-Length: 0, 5") + "GET /",
    request(GOOD, "Transfer-Encoding: chunked") + "0\r\n\r\n",
    request(GOOD, "Transfer-Encoding: xchunked") + "0\r\n\r\n",
    request(GOOD, "Transfer-Encoding: identity"),
    request(GOOD, "Transfer-Encoding : chunked") + "0\r\n\r\n",
    request(GOOD, "Transfer-Encoding: chunked", "Content-Length: 5") + "0\r\n\r\nX",
    request(GOOD, "Transfer-Encoding: chunked", "Transfer-Encoding: identity") + "0\r\n\r\n",
]


@pytest.mark.parametrize("text", LINES)
def test_requests(gate: Gateway, text: str) -> None:
    """What is not one plain GET of a service, from a client of ours, directly, is refused."""
    before = len(gate.services.heads)
    answer = send(gate, text.encode("latin-1"))
    assert answer[:10] in {b"HTTP/1.1 4", b"HTTP/1.1 5", b"HTTP/1.0 5"}, answer
    assert not answer.startswith((b"HTTP/1.1 500", b"HTTP/1.1 502"))
    assert len(gate.services.heads) == before


@pytest.mark.parametrize(
    "outer",
    [
        request(GOOD, f"Content-Length: {len(INNER)}"),
        request(GOOD, f"Content-Length: {len(INNER)}", "Transfer-Encoding: identity"),
        request(GOOD, "Content-Length: 0", f"Content-Length: {len(INNER)}"),
        request("POST /token HTTP/1.1", f"Content-Length: {len(INNER)}", host="localhost"),
        request(f"CONNECT {HOST}:443 HTTP/1.1"),
    ],
)
def test_a_request_in_a_body(gate: Gateway, outer: str) -> None:
    """A request that hides behind another, refused one is never taken for one of its own."""
    before = len(gate.services.heads)
    answer = send(gate, (outer + INNER).encode())
    assert answer.count(b"HTTP/1.1 ") == 1
    assert len(gate.services.heads) == before


def test_one_after_the_other(gate: Gateway) -> None:
    """Requests on one connection are answered in order, each on its own merits."""
    texts = [request(GOOD), request("GET http://evil.example/ HTTP/1.1"), request(GOOD)]
    texts.append(request("GET /-/healthy HTTP/1.1", host="localhost"))
    answer = send(gate, "".join(texts).encode())
    statuses = [line.split()[1] for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    # After a body the next status line follows without a line end.
    assert answer.count(b"HTTP/1.1 200 OK") == 3, statuses
    assert answer.count(BODY) == 2
    assert answer.count(b"HTTP/1.1 400 Bad Request") == 1


def test_the_proxy_lives_on(gate: Gateway) -> None:
    """After all of it scrapes are answered, and no secret is in the log."""
    for text in LINES:
        send(gate, text.encode("latin-1"))
    assert gate.scrape(f"http://{HOST}/metrics").status == 200
    assert gate.metric("gateway_requests_in_flight") == 0
    assert basic().split()[1] not in gate.proxy.log
    assert "Traceback" not in gate.proxy.log
