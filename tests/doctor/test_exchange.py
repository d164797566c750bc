"""One request, step by step: every way in which it fails has its step, and none takes for ever."""

from __future__ import annotations

import contextlib
import gzip
import socket
import time
from base64 import b64encode
from pathlib import Path

import pytest

from runscrape_generator.doctor import scrape, token
from runscrape_generator.doctor.evidence import Exchange, Failed, Stage
from runscrape_generator.doctor.http.exchange import Request, exchange
from runscrape_generator.doctor.targets import (
    Secret,
    SecretSource,
    Target,
    TokenRequest,
    Transport,
)
from tests.kit.authority import Authority
from tests.kit.odd_server import (
    Asked,
    Connection,
    OddServer,
    Script,
    answers,
    drips,
    hangs,
    sends,
)

HEAD = b"HTTP/1.1 200 OK\r\n"
QUIET = 30.0

FAILING: dict[str, tuple[Script, float, Stage, Failed]] = {
    "nothing comes": (hangs, 0.3, Stage.ANSWER, Failed.TIMEOUT),
    "the head drips": (drips(HEAD + b"X-A: ", b"a"), 0.3, Stage.ANSWER, Failed.TIMEOUT),
    "the body drips": (
        drips(HEAD + b"Content-Length: 99999\r\n\r\n", b"a"),
        0.3,
        Stage.BODY,
        Failed.TIMEOUT,
    ),
    "closed at once": (sends(), QUIET, Stage.ANSWER, Failed.CLOSED),
    "another protocol": (sends(b"SSH-2.0-x\r\n"), QUIET, Stage.ANSWER, Failed.NOT_HTTP),
    "a status that is none": (
        sends(b"HTTP/1.1 abc\r\n\r\n"),
        QUIET,
        Stage.ANSWER,
        Failed.NOT_HTTP,
    ),
    "too many headers": (
        sends(HEAD + b"A: b\r\n" * 200 + b"\r\n"),
        QUIET,
        Stage.ANSWER,
        Failed.NOT_HTTP,
    ),
    "cut off": (
        sends(HEAD + b"Content-Length: 10\r\n\r\nabc"),
        QUIET,
        Stage.BODY,
        Failed.CLOSED,
    ),
    "cut off in a chunk": (
        sends(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"),
        QUIET,
        Stage.BODY,
        Failed.CLOSED,
    ),
    "a bad chunk": (
        sends(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab"),
        QUIET,
        Stage.BODY,
        Failed.CLOSED,
    ),
}


@pytest.mark.parametrize("case", FAILING)
def test_failing(case: str) -> None:
    """A failure has the step at which it came, its kind, and words on one line."""
    script, seconds, stage, how = FAILING[case]
    with OddServer(otherwise=script) as server:
        began = time.monotonic()
        made = exchange(Request(url=f"{server.url}/metrics"), seconds)
        took = time.monotonic() - began
    assert made.failure is not None
    assert (made.failure.stage, made.failure.how) == (stage, how)
    assert made.failure.reason.isprintable()
    assert made.steps[-1].stage is stage
    assert took < seconds + 10


def stages(made: Exchange) -> list[Stage]:
    return [step.stage for step in made.steps]


def test_steps() -> None:
    """An answer has all its steps, each with its time, and repeated headers as one."""
    raw = HEAD + b"A: 1\r\na: 2\r\nContent-Length: 3\r\n\r\nabc"
    with OddServer(otherwise=sends(raw)) as server:
        made = exchange(Request(url=f"{server.url}/a?b=c"), QUIET)
        asked, port = server.asked[0], server.port
    assert stages(made) == [Stage.DNS, Stage.CONNECTION, Stage.ANSWER, Stage.BODY]
    assert made.answer is not None
    assert (made.answer.status, made.answer.body) == (200, b"abc")
    assert made.answer.headers["a"] == "1, 2"
    assert (asked.target, asked.headers["host"]) == ("/a?b=c", f"127.0.0.1:{port}")
    assert sum(step.seconds for step in made.steps) <= made.seconds


ZIPPED = gzip.compress(b"a 1\n")


@pytest.mark.parametrize(
    ("body", "read", "undecodable"),
    [
        (ZIPPED, b"a 1\n", ""),
        (ZIPPED + ZIPPED, b"a 1\na 1\n", ""),
        (b"a 1\n", b"a 1\n", "Not a gzipped file"),
        (ZIPPED[:-9], ZIPPED[:-9], "ended before the end"),
    ],
    ids=["gzip", "twice", "plain", "cut off"],
)
def test_compressed(body: bytes, read: bytes, undecodable: str) -> None:
    """Gzip is undone; what only says that it is gzip stays as it is, with what is wrong."""
    with OddServer(otherwise=answers(200, body, Content_Encoding="gzip")) as server:
        made = exchange(Request(url=server.url), QUIET)
    assert made.answer is not None
    assert made.answer.body == read
    assert undecodable in made.answer.undecodable
    assert bool(undecodable) is bool(made.answer.undecodable)


def test_an_address_that_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several addresses one that does not answer leaves time for the next."""
    with (
        OddServer(otherwise=answers(200, b"a 1\n")) as server,
        socket.create_server(("127.0.0.2", 0), backlog=0) as silent,
        contextlib.ExitStack() as waiting,
    ):
        for _ in range(4):  # its queue is full, and it drops who comes after
            queued = waiting.enter_context(socket.socket())
            queued.setblocking(False)
            queued.connect_ex(silent.getsockname())
        found = [
            (2, 1, 6, "", place) for place in (silent.getsockname(), ("127.0.0.1", server.port))
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        made = exchange(Request(url="http://api.example"), QUIET)
    assert made.failure is None


def test_compressed_by_another_name() -> None:
    """Prometheus undoes gzip by this name only, in lower case."""
    with OddServer(otherwise=answers(200, ZIPPED, Content_Encoding="GZIP")) as server:
        made = exchange(Request(url=server.url), QUIET)
    assert made.answer is not None
    assert made.answer.body == ZIPPED


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def test_tls(authority: Authority) -> None:
    """A certificate is believed by tls_config alone: its CA, its server name, or not at all."""
    pem = authority.file.read_text()
    with OddServer(otherwise=answers(200, b"x"), tls=authority.server("localhost")) as server:
        for transport, how in (
            (Transport(ca_file=authority.file), None),
            (Transport(ca=pem), None),
            (Transport(insecure=True), None),
            (Transport(), Failed.UNTRUSTED),
            (Transport(ca_file=Path("/nowhere")), Failed.UNTRUSTED),
            (Transport(ca_file=authority.file, server_name="other.example"), Failed.WRONG_NAME),
            (Transport(ca_file=authority.file, cert_file=Path("/nowhere")), Failed.TLS),
        ):
            made = exchange(Request(url=server.url, transport=transport), QUIET)
            assert (made.failure.how if made.failure else None) == how, transport
            assert Stage.TLS in stages(made)


def test_through_a_proxy(authority: Authority) -> None:
    """An HTTP proxy gets its user and password, a tunnel for https, and the whole URL for http."""
    known = "Basic " + b64encode(b"me:p@ss").decode()
    with OddServer(tunnel=authority.server("api.example"), otherwise=answers(200, b"x")) as proxy:
        url = proxy.url.replace("http://", "http://me:p%40ss@")
        transport = Transport(proxy_url=url, ca_file=authority.file)
        made = exchange(Request(url="https://api.example/metrics", transport=transport), QUIET)
        assert made.failure is None
        assert stages(made)[:4] == [Stage.DNS, Stage.CONNECTION, Stage.TUNNEL, Stage.TLS]
        assert proxy.tunnels == {"api.example": 1}
        assert "p@ss" not in repr(made) + repr(transport)
    with OddServer(otherwise=answers(200, b"x")) as proxy:
        transport = Transport(proxy_url=proxy.url.replace("http://", "http://me:p%40ss@"))
        exchange(Request(url="http://api.example:80/metrics", transport=transport), QUIET)
        assert proxy.asked[0].target == "http://api.example:80/metrics"
        assert proxy.asked[0].headers["proxy-authorization"] == known


def test_a_login_in_the_url() -> None:
    """The user and password of a URL go as Basic, unless the request has its own."""
    with OddServer(otherwise=answers(200, b"x")) as server:
        url = server.url.replace("http://", "http://me:p%40ss@")
        made = exchange(Request(url=url), QUIET)
        exchange(Request(url=url, headers={"Authorization": "Bearer x"}), QUIET)
        sent = [asked.headers["authorization"] for asked in server.asked]
        assert made.url == server.url
    assert sent == ["Basic " + b64encode(b"me:p@ss").decode(), "Bearer x"]


def test_a_refused_tunnel(authority: Authority) -> None:
    """What the proxy says of its refusal is kept, its status and its words."""
    refusal = answers(407, b"who are you?\n")
    with OddServer(tunnel=authority.server("x"), refuse=lambda _: refusal) as proxy:
        made = exchange(
            Request(url="https://api.example/", transport=Transport(proxy_url=proxy.url)), QUIET
        )
    assert made.failure is not None
    assert made.failure.how is Failed.REFUSED_BY_PROXY
    assert "407" in made.failure.reason
    assert "who are you?" in made.failure.reason


def test_a_proxy_behind_tls(authority: Authority) -> None:
    """A proxy may speak TLS itself; its certificate counts, too."""
    with OddServer(otherwise=answers(200, b"x"), tls=authority.server("localhost")) as proxy:
        transport = Transport(proxy_url=proxy.url, ca_file=authority.file)
        made = exchange(Request(url="http://api.example/metrics", transport=transport), QUIET)
    assert made.failure is None
    assert proxy.asked[0].target == "http://api.example/metrics"


def test_secrets_that_come_back() -> None:
    """An answer that repeats what it was sent shows none of its secrets, wherever it says them."""
    bearer, secret, login = "eyJhbGciOiJS.eyJhdWQiOiJo.c2lnbmF0dXJl", "hunter2+/", "user:passw0rd"
    shown = [*bearer.split("."), secret, b64encode(login.encode()).decode()]
    said = " ".join(shown)

    def echo(client: Connection, _asked: Asked) -> bool:
        client.send(f"HTTP/1.1 500 {said}\r\nX-Said: {said}\r\n\r\n{said}".encode())
        return False

    with OddServer(otherwise=echo) as server:
        request = Request(
            url=server.url.replace("//", f"//{login}@"),
            headers={"Authorization": f"Bearer {bearer}"},
            secrets=(secret,),
        )
        made = exchange(request, QUIET)
    assert made.answer is not None
    assert len(made.answer.body) == len(said)
    assert not [each for each in shown if each in repr(made)]


def test_a_token_endpoint_that_repeats_the_request() -> None:
    """Neither the client secret nor the job's own headers are in what is shown of an answer."""

    def echo(client: Connection, asked: Asked) -> bool:
        said = f"{asked.head} {asked.body.decode()} hunter2 +/"
        answer = {"error": "invalid_client", "error_description": said}
        return answers(401, answer, Content_Type="application/json")(client, asked)

    with OddServer(otherwise=echo) as server:
        wanted = TokenRequest(url=f"{server.url}/token", client_id="me")
        refused = token.ask(wanted, Secret("hunter2 +/"), QUIET)
        key = {"X-Key": (SecretSource(Secret("hunter2 +/")),)}
        target = Target(job="one", url=f"{server.url}/metrics", headers=key)
        scraped = scrape.scrape(target, None, (2, 42), seconds=QUIET)
    assert refused.error == "invalid_client"
    assert "hunter2" not in repr((refused, scraped))
