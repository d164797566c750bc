"""Reading scrapes strictly: what is let through has one reading, and goes out as it came."""

from __future__ import annotations

import posixpath
import re
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from urllib3.util import parse_url

from runscrape_proxy.errors import ScrapeError
from runscrape_proxy.gateway import request as gateway_request
from runscrape_proxy.gateway.request import (
    ScrapeRequest,
    is_name,
    parse,
    seconds_for,
    two_readings,
)


def scrape(target: str, host: str = "api.a.run.app", **environ: str) -> ScrapeRequest:
    return parse(
        {
            "REQUEST_METHOD": "GET",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "RAW_URI": target,
            "HTTP_HOST": host,
        }
        | environ
    )


@pytest.mark.parametrize(
    ("target", "host", "port", "path", "sent"),
    [
        ("http://api.a.run.app:80/metrics", "api.a.run.app", 80, "/metrics", "/metrics"),
        ("http://api.a.run.app/metrics", "api.a.run.app", 80, "/metrics", "/metrics"),
        ("http://api.a.run.app", "api.a.run.app", 80, "/", "/"),
        ("http://api.a.run.app?a=b", "api.a.run.app", 80, "/", "/?a=b"),
        ("http://API.A.Run.App:8443/", "api.a.run.app", 8443, "/", "/"),
        ("http://api.a.run.app/a/b/?x=%2e%2E/..//", "api.a.run.app", 80, "/a/b/", None),
        ("http://api.a.run.app/a;v=1/b:c@d!$&'()*+,=-._~", "api.a.run.app", 80, None, None),
        (
            "http://api.a.run.app/%C3%BC?match%5B%5D=%7Ba%3D%22b%22%7D",
            "api.a.run.app",
            80,
            None,
            None,
        ),
        ("http://api.a.run.app/...?", "api.a.run.app", 80, "/...", "/...?"),
        ("http://canary---api_1.a.run.app/x", "canary---api_1.a.run.app", 80, "/x", "/x"),
    ],
)
def test_taken(target: str, host: str, port: int, path: str | None, sent: str | None) -> None:
    """Host in lower case, port 80 where none is given, path and query to the letter."""
    authority = re.split("[/?]", target.removeprefix("http://"))[0]
    read = scrape(target, authority)
    assert (read.host, read.port) == (host, port)
    assert read.target == (sent or target.removeprefix("http://" + authority))
    assert read.path == (path or read.target.partition("?")[0])


@pytest.mark.parametrize(
    "target",
    [
        "",
        "metrics",
        "api.a.run.app:443",
        "http:/api.a.run.app/metrics",
        "http:///metrics",
        "HTTP://api.a.run.app/metrics",
        "https://api.a.run.app/metrics",
        "ftp://api.a.run.app/metrics",
        "file:///etc/passwd",
        "http://user@api.a.run.app/metrics",
        "http://user:pass@api.a.run.app/metrics",
        "http://api.a.run.app:80@evil.example/metrics",
        "http://api.a.run.app%40evil.example/metrics",
        "http://api.a.run.app\\@evil.example/metrics",
        "http://api.a.run.app./metrics",
        "http://.api.a.run.app/metrics",
        "http://api..a.run.app/metrics",
        "http://-api.a.run.app/metrics",
        "http://api.a.run.app:/metrics",
        "http://api.a.run.app:0/metrics",
        "http://api.a.run.app:080/metrics",
        "http://api.a.run.app:+80/metrics",
        "http://api.a.run.app:123456/metrics",
        "http://127.0.0.1/metrics",
        "http://127.1/metrics",
        "http://0x7f.0x1/metrics",
        "http://2130706433/metrics",
        "http://017700000001/metrics",
        "http://[::1]/metrics",
        "http://[::ffff:127.0.0.1]:80/metrics",
        "http://api.a.run.app/metrics#x",
        "http://api.a.run.app#@evil.example/metrics",
        "http://api.a.run.app/a\\b",
        "http://api.a.run.app/a%u002fb",
        "http://api.a.run.app/a%2",
        "http://api.a.run.app/a%",
        "http://api.a.run.app/?a=%",
        "http://api.a.run.app/?a=%zz",
        "http://api.a.run.app/?a=b#c",
        "http://api.a.run.app/?a=b c",
        "http://api.a.run.app/?match[]=up",
        'http://api.a.run.app/"<>^`{|}',
        "http://api.a.run.app/\xfc",
        "http://api.a.run.app/\u2215",
        "http://\uff41pi.a.run.app/metrics",
        "http://api.a.run.app/metrics\n",
        "http://api.a.run.app/metrics\r\nX: y",
        "http://api.a.run.app/\tmetrics",
        "http://" + ".".join(["a" * 60] * 5) + "/",
        "http://" + "a" * 64 + ".run.app/",
    ],
)
def test_refused_targets(target: str) -> None:
    """Whatever two programs might read in two ways is a 400, and says so in one line."""
    with pytest.raises(ScrapeError) as refused:
        scrape(target, target.partition("//")[2].partition("/")[0])
    assert refused.value.status == HTTPStatus.BAD_REQUEST
    assert "\n" not in refused.value.reason


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/metrics",
        "/a//b",
        "/../metrics",
        "/a/./b",
        "/a/..",
        "/a/..;/b",
        "/a/.;x=y/b",
        "/%2e%2e/metrics",
        "/%2E/metrics",
        "/a%2fb",
        "/a%5Cb",
        "/a%00b",
        "/a%0d%0aHost:%20x",
        "/a%7fb",
        "/a%20b",
        "/a%23b",
        "/a%3Fb",
        "/..%3b/b",
        "/a%252fb",
        "/a%c0%afb",
        "/a%c0%ae%c0%ae/b",
        "/a%ffb",
    ],
)
def test_paths_with_two_readings(path: str) -> None:
    """What one program decodes, merges or cuts and another does not is told in words."""
    assert two_readings(path).startswith("the path ")
    assert not two_readings("/metrics/%C3%BC/...;a=b/")


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({"HTTP_HOST": "api.a.run.app:80"}, None),
        ({"HTTP_HOST": "API.a.run.app"}, None),
        ({"CONTENT_LENGTH": "0"}, None),
        ({"HTTP_HOST": ""}, 400),
        ({"HTTP_HOST": "shop.a.run.app"}, 400),
        ({"HTTP_HOST": "api.a.run.app:443"}, 400),
        ({"HTTP_HOST": "api.a.run.app."}, 400),
        ({"HTTP_HOST": "user@api.a.run.app"}, 400),
        ({"HTTP_HOST": "api.a.run.app,api.a.run.app"}, 400),
        ({"CONTENT_LENGTH": "1"}, 400),
        ({"CONTENT_LENGTH": "00"}, 400),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, 400),
        ({"HTTP_TRANSFER_ENCODING": "identity"}, 400),
        ({"REQUEST_METHOD": "POST"}, 405),
        ({"REQUEST_METHOD": "HEAD"}, 405),
        ({"REQUEST_METHOD": "CONNECT", "RAW_URI": "api.a.run.app:443"}, 405),
        ({"SERVER_PROTOCOL": "HTTP/1.0"}, 505),
    ],
)
def test_the_rest_of_the_request(environ: dict[str, str], status: int | None) -> None:
    """GET over HTTP/1.1, no body, and a Host that agrees: anything else is refused."""
    environ = {"RAW_URI": "http://api.a.run.app/metrics", "HTTP_HOST": "api.a.run.app"} | environ
    if status is None:
        assert scrape(environ.pop("RAW_URI"), environ.pop("HTTP_HOST"), **environ).port == 80
        return
    with pytest.raises(ScrapeError) as refused:
        scrape(environ.pop("RAW_URI"), environ.pop("HTTP_HOST"), **environ)
    assert refused.value.status == status


_ODD = ("//", "..", "%2e", "%2F", "%5c", "%00", "%25", "%c3%bc", "a", "B", "7", "\n", "\xfc")
_PARTS = ("http://", "api.a.run.app", "evil.example", "127.0.0.1", ":80")
_PIECES = st.sampled_from([*"/.;:@?#\\%&=[]|~ ", *_ODD, *_PARTS])
TARGETS = st.lists(_PIECES, max_size=8).map("".join)


@given(TARGETS)
@example("/metrics?x=%c3%bc")
@settings(max_examples=100, deadline=None)
def test_what_is_taken_has_one_reading(rest: str) -> None:
    """Other parsers of URLs see the same host, path and query, and nothing left to resolve."""
    target = "http://api.a.run.app" + rest
    try:
        read = scrape(target)
    except ScrapeError:
        return
    if two_readings(read.path):
        return
    assert read.host == "api.a.run.app"
    split = urlsplit(target)
    assert (split.hostname, split.username, split.fragment) == ("api.a.run.app", None, "")
    assert split.path in {read.path, ""}
    decoded = unquote(read.path)
    assert posixpath.normpath(decoded).rstrip("/") == decoded.rstrip("/"), "no dots, no //"
    assert not re.search(r"[\x00-\x20\x7f\\%?#]", decoded)
    sent = parse_url(f"https://api.a.run.app:443{read.target}").request_uri
    assert sent.lower() == read.target.lower(), "urllib3 sends on what came, but for %c3 and %C3"


@given(st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=40))
@settings(max_examples=100, deadline=None)
def test_any_authority(authority: str) -> None:
    """No authority is taken for a host but a name with its port."""
    try:
        read = scrape(f"http://{authority}/", authority)
    except ScrapeError:
        return
    split = urlsplit(f"http://{authority}/")
    assert (split.hostname, split.port or 80, split.path) == (read.host, read.port, "/")
    assert is_name(read.host)
    assert "@" not in authority


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("10", 9.5),
        ("1.5", 1.0),
        ("0.2", 0.1),
        ("120", 119.5),
        ("9999", gateway_request.MAX_SECONDS - 0.5),
        (None, 9.5),
        ("", 9.5),
        ("inf", 9.5),
        ("nan", 9.5),
        ("-1", 9.5),
        ("1e9", 9.5),
        ("10,10", 9.5),
        ("\u0661", 9.5),
    ],
)
def test_the_time_there_is(told: str | None, seconds: float) -> None:
    """The scrape timeout less half a second, or half of a short one; 10 s where none is told."""
    assert seconds_for(told) == pytest.approx(seconds)
