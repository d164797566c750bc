"""The gateway between hostile clients and hostile services."""

from __future__ import annotations

import contextlib
import re
import ssl
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from hypothesis import strategies as st

from runscrape_proxy.http_client import CallError, Client, Deadline, Request
from tests.fuzz import http
from tests.fuzz.target import Target
from tests.kit.odd_server import Asked, Connection, OddServer
from tests.proxy.gateway_kit import Gateway, basic, gateway

HOST = "api.a.run.app"
PARTS = [
    *("http://", "https://", "//", HOST, "shop.a.run.app", "evil.example", "127.0.0.1", "[::1]"),
    *(":80", ":443", "@", "/", "/metrics", "..", "%2e", "%2f", "%00", "\\", "?a=b", "#", ";", "%"),
]
TARGETS = st.one_of(
    st.just(f"http://{HOST}/metrics"),
    st.lists(st.sampled_from(PARTS), max_size=7).map("".join),
    st.text(max_size=20),
).map(lambda text: text.encode("utf-8", "surrogatepass"))
NAMES = [
    *(b"Host", b"Authorization", b"Proxy-Authorization", b"Connection", b"Content-Length"),
    *(b"Transfer-Encoding", b"X-Prometheus-Scrape-Timeout-Seconds", b"X-Serverless-Authorization"),
    *(b"Accept-Encoding", b"User-Agent", b"Via", b"Forwarded"),
]


@st.composite
def scrapes(draw: st.DrawFn) -> bytes:
    """A scrape that is right, or nearly."""
    target = draw(TARGETS)
    method = draw(st.sampled_from([b"GET", b"GET", b"GET", b"POST", b"CONNECT", b"HEAD", b"G"]))
    host = draw(st.sampled_from([HOST.encode(), HOST.encode(), b"evil.example", b"", b"localhost"]))
    known = [b"Host: " + host, b"Authorization: " + basic().encode()]
    head = b"\r\n".join([method + b" " + target + b" HTTP/1.1", *known, b""])
    return head + draw(http.fields(NAMES)) + b"\r\n" + draw(http.JUNK)


@contextlib.contextmanager
def scrape_requests() -> Iterator[Target]:
    """No request, however odd, reaches a host or carries credentials that it must not."""
    with tempfile.TemporaryDirectory() as name, gateway(Path(name)) as gate:
        yield Target(http.spoilt(scrapes()), lambda request: _check(gate, request))


def _check(gate: Gateway, request: bytes) -> None:
    gate.services.asked.clear()
    answer = gate.proxy.raw(request, end=True)
    assert not re.search(rb"HTTP/1\.[01] 500 ", answer), answer
    assert answer == b"" or answer.startswith(b"HTTP/1."), answer
    for asked in list(gate.services.asked):
        fields = asked.headers
        assert asked.method == "GET"
        assert fields["host"] in {HOST, "shop.a.run.app"}
        assert re.fullmatch(r"/[!-~]*", asked.target), asked.target
        assert not re.search(r"\.\.|//|\\|#", asked.path), asked.target
        assert fields["authorization"].startswith("Bearer eyJ")
        assert "s3cr" not in asked.head
        assert basic().split()[1] not in asked.head
    assert gate.proxy.code is None, gate.proxy.log
    assert "Traceback" not in gate.proxy.log, gate.proxy.log
    assert "in a way that it must not" not in gate.proxy.log, gate.proxy.log


ANSWER_NAMES = [
    *(b"Content-Length", b"Transfer-Encoding", b"Connection", b"Content-Type", b"Trailer"),
    *(b"Content-Encoding", b"Set-Cookie", b"Upgrade"),
]


@st.composite
def right_answers(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """An answer as RFC 9112 has it, and its body."""
    pieces = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5))
    interim = draw(st.lists(st.sampled_from([b"100 Continue", b"103 Hints"]), max_size=2))
    head = b"".join(b"HTTP/1.1 " + each + b"\r\n\r\n" for each in interim)
    head += b"HTTP/1.1 200 " + draw(st.sampled_from([b"OK", b"", b"\xe9 ?"])) + b"\r\n"
    head += b"X-Y: " + draw(st.text("abc ;=", max_size=9).map(str.strip)).encode() + b"\r\n"
    if draw(st.booleans()):
        body = b"".join(pieces)
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body, body
    extension = draw(st.sampled_from([b"", b";a=b", b';a="b c"']))
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(each), extension, each) for each in pieces)
    trailer = draw(st.sampled_from([b"", b"X-Trailer: y\r\n"]))
    message = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n" + trailer + b"\r\n"
    return message, b"".join(pieces)


ODD_ANSWERS = st.one_of(
    http.spoilt(right_answers().map(lambda pair: pair[0])),
    st.tuples(
        st.sampled_from(
            [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200\r\n", b"HTTP/1.1 103\r\n", b"ICY 200\r\n"]
        ),
        http.fields(ANSWER_NAMES),
        http.ENDS,
        st.one_of(
            st.binary(max_size=60),
            st.lists(st.tuples(http.NUMBERS, http.ENDS, http.JUNK, http.ENDS), max_size=4).map(
                lambda chunks: b"".join(b"".join(chunk) for chunk in chunks)
            ),
        ),
    ).map(b"".join),
)


@contextlib.contextmanager
def answers() -> Iterator[Target]:
    """A right answer is read to the letter; any other is one CallError, or bytes that came."""
    wire = _Wire()
    client = Client(ssl.create_default_context(), per_host=2, hosts=2, lookups=9, direct=True)
    with OddServer(otherwise=wire.script) as server, contextlib.closing(client):

        def check(example: tuple[bytes, bytes | None]) -> None:
            wire.message, body = example
            try:
                answer = client.send(
                    Request(host="127.0.0.1", port=server.port, tls=False, target="/", headers={}),
                    Deadline(10),
                )
                read = answer.read(1000)
            except CallError:
                assert body is None, "a right answer was refused"
                return
            assert body is None or read == body
            assert len(read) <= len(wire.message)

        right = right_answers()
        yield Target(st.one_of(right, ODD_ANSWERS.map(lambda odd: (odd, None))), check)


class _Wire:
    """Answers with a message, and closes."""

    def __init__(self) -> None:
        self.message = b""
        self.lock = threading.Lock()

    def script(self, client: Connection, _asked: Asked) -> bool:
        client.send(self.message)
        return False
