"""The token endpoint from outside: every answer of the design's table, over HTTP."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

import pytest

from tests.proxy.harness import API, FORM

if TYPE_CHECKING:
    from tests.proxy.harness import Answer, Proxy


def basic(client_id: str, secret: str) -> dict[str, str]:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def assert_error(answer: Answer, status: int, error: str, *words: str) -> None:
    """An answer of RFC 6749, section 5.2, that nobody may keep."""
    assert (answer.status, answer.json["error"]) == (status, error), answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json) == {"error", "error_description"}
    for word in words:
        assert word in answer.json["error_description"]


@pytest.mark.parametrize("path", ["/token", "/", "/token/", "/oauth2/token"])
def test_token(proxy: Proxy, path: str) -> None:
    """Each token path answers with token, type and an integer expires_in, not to cache."""
    answer = proxy.token(f"https://new-{len(path)}-uc.a.run.app", path=path)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    content = answer.json
    assert set(content) == {"access_token", "token_type", "expires_in"}
    assert content["token_type"] == "Bearer"
    assert content["access_token"].count(".") == 2
    assert type(content["expires_in"]) is int
    assert 3500 < content["expires_in"] <= 3570


def test_grant_type_may_be_missing(proxy: Proxy) -> None:
    """Jobs by hand send no grant_type to other proxies, and are answered here as well."""
    body = f"audience={quote_plus(API)}"
    answer = proxy.request("POST", "/token", body, {"Content-Type": f"{FORM}; charset=utf-8"})
    assert answer.status == 200


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", f"resource={quote_plus(API)}"),
        ("", f"resource={quote_plus(API)}&audience={quote_plus(API)}"),
        (f"?audience={quote_plus(API)}", ""),
        (f"?resource={quote_plus(API)}", "grant_type=client_credentials"),
        (f"?audience={quote_plus(API)}", f"audience={quote_plus(API)}"),
        ("", f"audience={quote_plus(API)}&scope=openid+email&flag&=&&"),
        ("", f"audience={quote_plus(API)}%2F"),
        ("", f"audience={quote_plus(API)}&audience=&resource=&grant_type=&client_secret="),
        ("?grant_type=client_credentials&audience=", f"audience={quote_plus(API)}"),
    ],
)
def test_how_clients_name_the_audience(proxy: Proxy, query: str, body: str) -> None:
    """Audience or resource (RFC 8707), in form or query; what else clients send is ignored.

    A parameter without a value counts as not sent (RFC 6749, section 3.2).
    """
    answer = proxy.request("POST", f"/token{query}", body, {"Content-Type": FORM})
    assert answer.status == 200, answer.text


@pytest.mark.parametrize(
    ("query", "error", "words"),
    [
        (f"audience={API}&audience={API}", "invalid_request", "audience came twice"),
        (f"audience={API}&grant_type=password", "unsupported_grant_type", "client_credentials"),
    ],
)
def test_the_query_is_held_to_the_same(proxy: Proxy, query: str, error: str, words: str) -> None:
    """What is refused in the form is refused in the query as well."""
    assert_error(proxy.request("POST", f"/token?{query}"), 400, error, words)


def test_no_body_at_all(proxy: Proxy) -> None:
    """With the audience in the query there need be no body, and no type of it."""
    assert proxy.request("POST", f"/token?audience={quote_plus(API)}").status == 200


@pytest.mark.parametrize(
    ("body", "content_type", "status", "error", "words"),
    [
        ("", FORM, 400, "invalid_request", "endpoint_params"),
        ("audience=", FORM, 400, "invalid_request", "no audience"),
        ("audience=a&audience=b", FORM, 400, "invalid_request", "one audience"),
        ("audience=a&scope=x&scope=y", FORM, 400, "invalid_request", "scope came twice"),
        ("audience=a&resource=b", FORM, 400, "invalid_request", "several audiences"),
        ('{"audience": "a"}', FORM, 400, "invalid_request", "no audience"),
        ("audience=%ff%fe", FORM, 400, "invalid_target", "--allow-audience"),
        ("audience=a&grant_type=password", FORM, 400, "unsupported_grant_type", "client_cred"),
        ("audience=" + "a" * 20_000, FORM, 413, "invalid_request", "16 KiB"),
        ("audience=" + "a" * (16 * 1024 - 8), FORM, 413, "invalid_request", "16 KiB"),
        ("audience=a", "application/json", 415, "invalid_request", FORM),
        ("audience=a", "", 415, "invalid_request", FORM),
        ("audience=http://plain-uc.a.run.app", FORM, 400, "invalid_target", "--allow-audience"),
        ('audience=https://"quoted\\%0aline', FORM, 400, "invalid_target", "https://?quoted??"),
        ("audience=https://fail-uc.a.run.app", FORM, 503, "temporarily_unavailable", "grant roles"),
    ],
)
def test_refused(
    proxy: Proxy, *, body: str, content_type: str, status: int, error: str, words: str
) -> None:
    """What is wrong with a request is named, with the status of the design's table."""
    answer = proxy.request("POST", "/token", body, {"Content-Type": content_type})
    assert_error(answer, status, error, words)


CHUNKED = (
    f"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
    "Transfer-Encoding: chunked\r\n"
)


@pytest.mark.parametrize(
    "chunks", ["zz\r\nx\r\n", "-1\r\nx\r\n", "5\r\nabc", "5\r\nabcdefg\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("path", ["POST /token", "POST /", "GET /", "GET /metrics", "GET /nowhere"])
def test_a_body_that_breaks(proxy: Proxy, path: str, chunks: str) -> None:
    """A body with broken chunks, or one that does not end, is a 4xx, and answered once."""
    head = CHUNKED.replace("POST /token", path)
    answer = proxy.raw(f"{head}\r\n{chunks}".encode(), end=True)
    assert answer.count(b"HTTP/1.1 ") == 1, answer
    assert answer.startswith(b"HTTP/1.1 4")
    assert "Traceback" not in proxy.log


def test_unavailable_says_when_to_come_again(proxy: Proxy) -> None:
    """A 503 carries Retry-After in whole seconds, and comes within the mint timeout and a bit."""
    answer = proxy.token("https://hang-uc.a.run.app")
    assert_error(answer, 503, "temporarily_unavailable")
    assert int(answer.headers["retry-after"]) >= 1


def test_chunked_bodies_are_limited_as_well(proxy: Proxy) -> None:
    """Without Content-Length the limit of the body holds all the same."""
    head = (
        f"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    ).encode()
    small, large = b"audience=" + API.encode(), b"audience=" + b"a" * 20_000
    for body, status in ((small, b"200"), (large, b"413")):
        chunk = f"{len(body):x}".encode() + b"\r\n" + body + b"\r\n0\r\n\r\n"
        assert proxy.raw(head + chunk).split()[1] == status


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/token", "POST"),
        ("HEAD", "/token", "POST"),
        ("PUT", "/token", "POST"),
        ("OPTIONS", "/token", "POST"),
        ("DELETE", "/", "GET, HEAD, POST"),
    ],
)
def test_other_methods(proxy: Proxy, method: str, path: str, allow: str) -> None:
    """Another method on a token path is 405, and Allow lists what it knows."""
    answer = proxy.request(method, path)
    assert answer.status == 405
    assert answer.headers["allow"] == allow
    assert (method == "HEAD") == (answer.body == b"")


def test_other_paths_are_404_as_json(proxy: Proxy) -> None:
    """An unknown path is answered as errors are here, and is not a token path."""
    for method, path in (("GET", "/nowhere"), ("POST", "/tokens"), ("POST", "/Token")):
        assert_error(proxy.request(method, path), 404, "invalid_request")
    assert_error(proxy.request("POST", "/metrics"), 405, "invalid_request")


def test_without_a_secret_anybody_on_loopback_may_ask(proxy: Proxy) -> None:
    """Any client id and secret pass where none is set, however they come, as in jobs by hand."""
    assert proxy.token(form={"client_id": "dummy", "client_secret": "dummy"}).status == 200
    assert proxy.token(headers=basic("dummy", "dummy")).status == 200
    assert proxy.token(headers={"Authorization": "nonsense"}).status == 200


@pytest.mark.parametrize("secret", ["s3cr et+/%", "the new one"])
def test_each_secret_of_the_file(guarded: Proxy, secret: str) -> None:
    """Both secrets are good while rotating, as Basic (percent-decoded) and in the body."""
    assert guarded.token(headers=basic("prometheus", secret)).status == 200
    assert guarded.token(form={"client_id": "prometheus", "client_secret": secret}).status == 200
    empty = guarded.token(headers=basic("prometheus", secret), form={"client_secret": ""})
    assert empty.status == 200
    same_id = guarded.token(headers=basic("prometheus", secret), form={"client_id": "prometheus"})
    assert same_id.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("prometheus", "wrong"),
        basic("prometheus", ""),
        basic("somebody", "the new one"),
        basic("prometheus", "s3cr et+/%\r\nthe new one"),
        {"Authorization": "Bearer the-new-one"},
        {"Authorization": "Basic ***"},
        {"Authorization": "Basic"},
        {"Authorization": "Basic " + base64.b64encode(b"no colon").decode()},
    ],
)
def test_wrong_clients(guarded: Proxy, headers: dict[str, str]) -> None:
    """A client without id and secret is 401 invalid_client, told to use Basic."""
    answer = guarded.token(headers=headers)
    assert_error(answer, 401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic realm=")


def test_wrong_clients_in_the_body(guarded: Proxy) -> None:
    """A wrong pair in the body is refused as one in Basic, and both at once is invalid."""
    wrong = guarded.token(form={"client_id": "prometheus", "client_secret": "wrong"})
    assert_error(wrong, 401, "invalid_client", "--client-secret-file")
    good = basic("prometheus", "the new one")
    twice = guarded.token(headers=good, form={"client_secret": "the new one"})
    assert_error(twice, 400, "invalid_request", "twice")
    other = guarded.token(headers=good, form={"client_id": "somebody"})
    assert_error(other, 400, "invalid_request", "differs")


def test_a_refused_client_learns_nothing_of_audiences(guarded: Proxy) -> None:
    """Who asks is judged before what is asked for."""
    assert_error(guarded.token("https://evil.example"), 401, "invalid_client")
    assert_error(guarded.token(None), 401, "invalid_client")


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "Via", "Origin"])
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/token"), ("GET", "/"), ("GET", "/metrics")]
)
def test_forwarded_and_cross_origin(proxy: Proxy, name: str, method: str, path: str) -> None:
    """What came by another proxy or from a page is 403, whatever it asks for."""
    answer = proxy.request(method, path, headers={name: "null", "Content-Type": FORM})
    assert_error(answer, 403, "access_denied", name)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:7777", 200),
        ("LOCALHOST.", 200),
        ("[::1]:1", 200),
        ("127.9.9.9", 200),
        ("evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("localhost@evil.example", 400),
        ("localhost:80:90", 400),
        ("[::1", 400),
        ("10.0.0.1", 400),
        ("", 400),
    ],
)
def test_host(proxy: Proxy, host: str, status: int) -> None:
    """Only our own names pass as Host: a rebound name is foreign."""
    body = f"audience={API}"
    head = f"POST /token HTTP/1.1\r\nHost: {host}\r\nContent-Type: {FORM}\r\nConnection: close\r\n"
    answer = proxy.raw(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    assert int(answer.split()[1]) == status


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n",
        "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n",
        "GET http://localhost@evil.example/-/healthy HTTP/1.1\r\nHost: localhost\r\n",
        "GET / HTTP/1.1\r\nHost : localhost\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + "x" * 9000 + "\r\n",
        "GET /" + "x" * 5000 + " HTTP/1.1\r\nHost: localhost\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "CONNECT api.run.app:443 HTTP/1.1\r\nHost: api.run.app:443\r\n",
        "secret that is no header\r\n",
    ],
)
def test_odd_requests(proxy: Proxy, head: str) -> None:
    """What is no plain request to us is refused with a 4xx, and the process lives on."""
    answer = proxy.raw(head.encode() + b"\r\n", end=True)
    assert answer.startswith(b"HTTP/1.1 4"), answer
    assert proxy.get("/-/healthy").status == 200
    assert "no header" not in proxy.log


def test_absolute_form_of_our_own(proxy: Proxy) -> None:
    """RFC 9112, section 3.2.2: a server takes the absolute form; for its own name we do."""
    request = (
        b"GET http://localhost/-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    assert proxy.raw(request).startswith(b"HTTP/1.1 200")


def test_absolute_form_without_a_path(proxy: Proxy) -> None:
    """http://HOST means its root, which is a token path; nobody is redirected."""
    request = f"POST http://localhost?audience={API} HTTP/1.1\r\nHost: localhost\r\n"
    answer = proxy.raw(f"{request}Connection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
def test_an_upgrade_is_ignored(proxy: Proxy, protocol: str) -> None:
    """RFC 9110, section 7.8: who does not switch protocols answers as if that was not asked."""
    for path in ("/", "/-/healthy"):
        answer = proxy.get(path, Upgrade=protocol, Connection="Upgrade")
        assert answer.status == 200, answer.text


@pytest.mark.parametrize(
    ("request_line", "status", "words"),
    [
        ("GET / HTTP/1.1\r\nX : y", 400, "RFC 9112"),
        ("GET /" + "x" * 9000 + " HTTP/1.1", 414, "8190 bytes"),
        ("GET / HTTP/1.1\r\nX: " + "x" * 20_000, 431, "16 KiB"),
        ("GET / HTTP/1.1\r\n" + "X: y\r\n" * 70 + "Y: z", 431, "64 fields"),
        ("POST /token HTTP/1.1\r\nTransfer-Encoding: br", 501, "Content-Length"),
        ("POST /token HTTP/1.1\r\nExpect: more", 417, "100-continue"),
    ],
)
def test_what_is_no_request_has_a_remedy_too(
    proxy: Proxy, request_line: str, status: int, words: str
) -> None:
    """An answer that no application makes says what to do as well."""
    answer = proxy.raw(f"{request_line}\r\nHost: localhost\r\n\r\n".encode(), end=True)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    assert b"Cache-Control: no-store" in head
    assert words in json.loads(body)["error_description"]


def test_no_answer_is_kept(proxy: Proxy) -> None:
    """No cache keeps a page, metrics or the state either, a red one least of all."""
    for path in ("/", "/metrics", "/-/healthy", "/-/ready", "/targets", "/nowhere"):
        assert proxy.get(path).headers["cache-control"] == "no-store", path


def test_a_mint_that_breaks_tells_nothing(proxy: Proxy) -> None:
    """A mint that throws what it should not gives a 503, and no token in answer or log."""
    assert_error(proxy.token("https://bug-uc.a.run.app"), 503, "temporarily_unavailable")
    assert "RuntimeError" in proxy.log
    assert "eyJ" not in proxy.log
