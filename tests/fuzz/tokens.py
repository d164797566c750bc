"""Requests to the proxy itself, over a socket to a real process."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_from_bytes

from hypothesis import strategies as st

from tests.fuzz import http
from tests.fuzz.target import Target
from tests.proxy.harness import API, FORM, Proxy, fake, running

SECRET = "not-to-be-told-to-anybody"
LINES = st.tuples(
    st.sampled_from([b"POST", b"GET", b"HEAD", b"PUT", b"OPTIONS", b"CONNECT", b"post", b"*"]),
    st.sampled_from([b" ", b" ", b" ", b"  ", b"\t", b""]),
    st.one_of(
        st.sampled_from(
            [
                b"/token",
                b"/",
                b"/metrics",
                b"/targets",
                b"/-/ready",
                b"*",
                b"//",
                b"/%ff",
                b"/token?",
            ]
        ),
        st.binary(max_size=20).map(quote_from_bytes).map(lambda text: b"/" + text.encode()),
        http.JUNK,
    ),
    st.sampled_from([b" HTTP/1.1", b" HTTP/1.1", b" HTTP/1.0", b" HTTP/2.0", b" HTTP/1.1 x", b""]),
    http.ENDS,
).map(b"".join)
NAMES = [
    *(b"Host", b"Content-Type", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Expect"),
    *(
        b"Authorization",
        b"Via",
        b"Origin",
        b"Cookie",
        b"Trailer",
        b"Upgrade",
        b"X_Y",
        b"Script_Name",
    ),
]
PAIRS = st.tuples(
    st.sampled_from(["audience", "resource", "grant_type", "client_id", "client_secret", "scope"]),
    st.one_of(
        st.sampled_from([API, "client_credentials", SECRET, "prometheus"]),
        st.binary(max_size=12).map(quote_from_bytes),
        st.text(max_size=8),
    ),
)
BODIES = st.one_of(
    st.lists(PAIRS.map("=".join), max_size=6)
    .map("&".join)
    .map(lambda s: s.encode("utf-8", "surrogatepass")),
    st.binary(max_size=60),
    st.lists(st.tuples(http.NUMBERS, http.ENDS, st.binary(max_size=8), http.ENDS), max_size=4).map(
        lambda chunks: b"".join(b"".join(chunk) for chunk in chunks)
    ),
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request that is right, or nearly, or not at all."""
    body = draw(BODIES)
    head = draw(LINES) + draw(http.fields(NAMES))
    if draw(st.booleans()):
        host = f"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
        framing = draw(
            st.sampled_from([f"Content-Length: {len(body)}", "Transfer-Encoding: chunked"])
        )
        head = f"{host}{framing}\r\n".encode() + draw(http.fields(NAMES))
    return head + draw(http.ENDS) + body


@contextlib.contextmanager
def token_requests() -> Iterator[Target]:
    """Whatever comes in is answered with HTTP that is no 500, and the process lives on."""
    with tempfile.TemporaryDirectory() as name:
        secret = Path(name) / "secret"
        secret.write_text(SECRET)
        with running(Path(name), fake(), "--client-secret-file", secret) as proxy:
            yield Target(http.spoilt(requests()), lambda request: _check(proxy, request))


def _check(proxy: Proxy, request: bytes) -> None:
    answer = proxy.raw(request, end=True)
    statuses = re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)
    assert all(status != b"500" for status in statuses), answer
    assert answer == b"" or answer.startswith(b"HTTP/1."), answer
    # Each answer but the last means another request that was read to its end.
    assert len(statuses) <= 1 + request.count(b"HTTP/1"), answer
    assert SECRET.encode() not in answer or SECRET.encode() in request
    assert proxy.code is None, proxy.log
    assert "Traceback" not in proxy.log, proxy.log
    assert "in a way that it must not" not in proxy.log, proxy.log
