"""For what a request may ask, where it may come from, and what counts as a secret."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runscrape_proxy.access import service_urls
from runscrape_proxy.access.audiences import Audiences, printable
from runscrape_proxy.access.callers import Clients, parse_secrets, watch_secrets
from runscrape_proxy.access.origin import Origins, host_of
from runscrape_proxy.errors import (
    Forbidden,
    InvalidClient,
    InvalidTarget,
    OAuthError,
    StartError,
)
from runscrape_proxy.inventory import Inventories

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.mark.parametrize(
    ("audience", "allowed"),
    [
        ("https://api-x7k2mq4wza-uc.a.run.app", True),
        ("https://api-123456789012.us-central1.run.app", True),
        ("https://canary---api-x7k2mq4wza-uc.a.run.app", True),
        ("https://run.app", False),
        ("https://.run.app", False),
        ("https://a..run.app", False),
        ("http://api-uc.a.run.app", False),
        ("https://evil.com/.run.app", False),
        ("https://evil.com?.run.app", False),
        ("https://evil.com#.run.app", False),
        ("https://user@api.run.app", False),
        ("https://evil.com:443@api.run.app", False),
        ("https://evil.com\\.run.app", False),
        ("https://evil.com%2f.run.app", False),
        ("https://api.run.app/", False),
        ("https://api.run.app/path", False),
        ("https://api.run.app:443", False),
        ("https://api.run.app\n", False),
        ("https://api.run.app.", False),
        ("https://api.run.app.evil.com", False),
        ("https://api.xrun.app", False),
        ("https://apirun.app", False),
        ("https://ápi.run.app", False),
        ("https://" + "a" * 600 + ".run.app", False),
        ("", False),
    ],
)
def test_default_audiences(audience: str, allowed: bool) -> None:  # noqa: FBT001
    """With neither inventory nor glob, a Cloud Run URL is all that may be asked for."""
    assert Audiences().allows(audience) is allowed


@given(st.text(alphabet="a.-/@:?#%\\\n ", max_size=12))
def test_a_star_never_leaves_the_host(text: str) -> None:
    """Whatever stands where the star is, a match means that it is a host name."""
    if Audiences().allows(f"https://{text}.run.app"):
        assert re.fullmatch(r"[a-z-]+(\.[a-z-]+)*", text)


@pytest.mark.parametrize(
    ("globs", "audience", "allowed"),
    [
        (["https://shop-*.a.run.app"], "https://shop-x-uc.a.run.app", True),
        (["https://shop-*.a.run.app"], "https://api-x-uc.a.run.app", False),
        (["*.apps.googleusercontent.com"], "12-ab.apps.googleusercontent.com", True),
        (["https://api.example.com"], "https://api.example.com", True),
        (["https://api.example.com"], "https://apixexample.com", False),
        (["a", "b"], "b", True),
        (["https://a.example/[x]?"], "https://a.example/[x]?", True),
        (["https://a.example/[x]?"], "https://a.example/x", False),
    ],
)
def test_globs(globs: list[str], audience: str, allowed: bool) -> None:  # noqa: FBT001
    """Only * is special in a glob; giving one replaces the default."""
    audiences = Audiences(globs)
    assert audiences.allows(audience) is allowed
    assert not audiences.allows("https://other-uc.a.run.app")


@pytest.mark.parametrize("glob", ["", "*-*-*.run.app", "x" * 600])
def test_bad_globs(glob: str) -> None:
    """A glob that says nothing, or takes long to match, ends the start."""
    with pytest.raises(StartError, match="--allow-audience"):
        Audiences([glob])


def test_inventory_is_exact(tmp_path: Path) -> None:
    """With an inventory only its audiences pass, and the globs; before it is read, the globs."""
    path = tmp_path / "inventory.json"
    file = Inventories([path])
    alone, with_glob = Audiences((), file), Audiences(["https://extra"], file)
    api = "https://api-uc.a.run.app"
    assert not alone.allows(api), "a missing inventory is not the default"
    assert with_glob.allows("https://extra")
    with pytest.raises(InvalidTarget, match="no inventory could be read yet"):
        alone.resolve(api)
    service = f'{{"state": "kept", "audience": "{api}"}}'
    path.write_text(f'{{"version": 1, "scopes": {{"p/r": [{service}]}}}}')
    file.refresh()
    for audiences in (alone, with_glob):
        assert audiences.allows(api)
        assert not audiences.allows("https://other-uc.a.run.app")
    with pytest.raises(InvalidTarget, match="run runscrape"):
        alone.resolve("https://other-uc.a.run.app")


def test_a_new_service_is_known_at_once(tmp_path: Path) -> None:
    """An audience that is asked for right after the inventory was written is looked up there."""
    path = tmp_path / "inventory.json"
    audiences = Audiences((), Inventories([path]))
    for number in range(3):
        audience = f"https://new{number}-uc.a.run.app"
        with pytest.raises(InvalidTarget):
            audiences.resolve(audience)
        service = f'{{"state": "kept", "audience": "{audience}"}}'
        path.write_text(f'{{"version": 1, "scopes": {{"p/r": [{service}]}}}}')
        audiences.resolve(audience)


def test_what_was_nearly_meant_is_looked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job whose audience is wrong asks at each scrape; the answer changes with the inventory."""
    looked_for = []

    def nearest(audience: str, known: Mapping[str, str]) -> None:
        looked_for.append((audience, *known))

    monkeypatch.setattr(service_urls, "nearest", nearest)
    path = tmp_path / "inventory.json"
    audiences = Audiences((), Inventories([path]))
    for kept in ("https://a", "https://b"):
        service = f'{{"state": "kept", "audience": "{kept}"}}'
        path.write_text(f'{{"version": 1, "scopes": {{"p/r": [{service}]}}}}')
        for _ in range(3):
            with pytest.raises(InvalidTarget):
                audiences.resolve("https://x")
    assert looked_for == [("https://x", "https://a"), ("https://x", "https://b")]


URIS = {
    "api": "https://api-x7k2mq4wza-uc.a.run.app",
    "shop": "https://shop-x7k2mq4wza-uc.a.run.app",
}


@pytest.fixture
def two_services(tmp_path: Path) -> Audiences:
    """The api by its URL, the shop by a custom audience; both have a second URL."""
    services = [
        {
            "state": "kept",
            "name": name,
            "audience": audience,
            "uri": URIS[name],
            "urls": [URIS[name], f"https://{name}-123456789012.us-central1.run.app"],
        }
        for name, audience in (("api", URIS["api"]), ("shop", "the-shop"))
    ]
    path = tmp_path / "inventory.json"
    path.write_text(json.dumps({"version": 1, "scopes": {"demo/us-central1": services}}))
    file = Inventories([path])
    file.refresh()
    return Audiences((), file)


@pytest.mark.parametrize(
    ("asked", "minted"),
    [
        (URIS["api"], URIS["api"]),
        (URIS["api"] + "/", URIS["api"]),
        (URIS["api"] + ":443", URIS["api"]),
        (URIS["api"] + ":443/", URIS["api"]),
        (URIS["api"].upper().replace("HTTPS", "https"), URIS["api"]),
        ("https://api-123456789012.us-central1.run.app", URIS["api"]),
        ("https://api-123456789012.us-central1.run.app/", URIS["api"]),
        ("the-shop", "the-shop"),
        (URIS["shop"], "the-shop"),
        ("https://shop-123456789012.us-central1.run.app:443", "the-shop"),
    ],
)
def test_every_url_of_a_service_means_it(two_services: Audiences, asked: str, minted: str) -> None:
    """Whatever spelling or URL of a service is asked for, its own audience is minted for."""
    assert two_services.resolve(asked) == minted
    both = Audiences(["https://*.run.app"], two_services.inventory)
    assert both.resolve(asked) == minted, "a glob that matches changes nothing"


@pytest.mark.parametrize(
    ("asked", "said", "meant"),
    [
        ("https://canary---api-x7k2mq4wza-uc.a.run.app", "tag", URIS["api"]),
        ("https://canary---shop-x7k2mq4wza-uc.a.run.app/", "tag", "the-shop"),
        (URIS["api"] + "/metrics", "and no more", URIS["api"]),
        (URIS["api"].replace("https", "http"), "and no more", URIS["api"]),
        (URIS["api"].removeprefix("https://"), "and no more", URIS["api"]),
        (URIS["api"] + ":8443", "and no more", URIS["api"]),
        (URIS["shop"] + "?x", "and no more", "the-shop"),
        (f" {URIS['api']}", "and no more", URIS["api"]),
        (f'"{URIS["api"]}"', "and no more", URIS["api"]),
        (quote(URIS["api"], safe=""), "and no more", URIS["api"]),
        (URIS["api"].replace("://", "://user:secret@"), "and no more", URIS["api"]),
        (f"{URIS['api']}.", "and no more", URIS["api"]),
        (f"{URIS['api']};scope=x", "and no more", URIS["api"]),
        (f"https:/{URIS['api']}", "and no more", URIS["api"]),
        ("https://api-x7k2mq4wzb-uc.a.run.app", "much like it", URIS["api"]),
    ],
)
def test_what_was_nearly_meant(two_services: Audiences, asked: str, said: str, meant: str) -> None:
    """A refused audience that is nearly a service's is told which that is."""
    with pytest.raises(InvalidTarget) as caught:
        two_services.resolve(asked)
    assert said in caught.value.description
    assert caught.value.description.endswith(f"so ask for {meant}")


@pytest.mark.parametrize("asked", ["https://evil.example", "x", "https://", "https://a b/" * 99])
def test_what_is_like_nothing(two_services: Audiences, asked: str) -> None:
    """An audience that is like none is only refused."""
    with pytest.raises(InvalidTarget, match="the inventory does not have it"):
        two_services.resolve(asked)


def test_a_url_that_two_services_claim(tmp_path: Path) -> None:
    """A URL of two services with different audiences means neither of them."""
    url = "https://shared.run.app"
    services = [{"state": "kept", "audience": each, "urls": [url]} for each in ("one", "two")]
    path = tmp_path / "inventory.json"
    path.write_text(json.dumps({"version": 1, "scopes": {"p/r": services}}))
    file = Inventories([path])
    file.refresh()
    with pytest.raises(InvalidTarget):
        Audiences((), file).resolve(url)


def test_a_slash_without_an_inventory() -> None:
    """Where globs decide, a service's URL may be spelt with port and slash as well."""
    assert Audiences().resolve("https://api-uc.a.run.app:443/") == "https://api-uc.a.run.app"


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("LocalHost:7777", "localhost"),
        ("localhost.", "localhost"),
        ("[::1]:7777", "::1"),
        ("[::1]", "::1"),
        ("[::1", ""),
        ("[::1]x", ""),
        ("::1", ""),
        ("a:b", ""),
        ("a:1:2", ""),
        ("a:\N{ARABIC-INDIC DIGIT ONE}", ""),
        ("", ""),
    ],
)
def test_host_of(authority: str, host: str) -> None:
    """A Host is a name or an address, and perhaps a port; anything else is nobody's."""
    assert host_of(authority) == host


def environ(**changes: str) -> dict[str, Any]:
    base = {
        "HTTP_HOST": "127.0.0.1:7777",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "RAW_URI": "/token",
    }
    return base | changes


@pytest.mark.parametrize(
    ("origin", "request_", "passes"),
    [
        (Origins(), environ(), True),
        (Origins(names=frozenset({"proxy"})), environ(HTTP_HOST="proxy:7777"), True),
        (Origins(), environ(HTTP_HOST="proxy:7777"), False),
        # An open listener without a secret answers nobody, not even loopback.
        (Origins(), environ(SERVER_NAME="0.0.0.0"), False),
        (Origins(), environ(SERVER_NAME="10.0.0.5", HTTP_HOST="10.0.0.5"), False),
        # With one, it answers to its own address, and on a wildcard to each IP address.
        (
            Origins(open_allowed=True),
            environ(SERVER_NAME="10.0.0.5", HTTP_HOST="10.0.0.5"),
            True,
        ),
        (
            Origins(open_allowed=True),
            environ(SERVER_NAME="10.0.0.5", HTTP_HOST="10.0.0.6"),
            False,
        ),
        (
            Origins(open_allowed=True),
            environ(SERVER_NAME="0.0.0.0", HTTP_HOST="10.1.2.3:1"),
            True,
        ),
        (Origins(open_allowed=True), environ(SERVER_NAME="::", HTTP_HOST="[fd00::1]:1"), True),
        (
            Origins(open_allowed=True),
            environ(SERVER_NAME="0.0.0.0", HTTP_HOST="evil.com"),
            False,
        ),
        (Origins(open_allowed=True), environ(HTTP_HOST="10.1.2.3"), False),
        # The peer of a Unix socket has no address; what it may do is the file system's affair.
        (Origins(), environ(REMOTE_ADDR="", SERVER_NAME="any", HTTP_HOST="any"), True),
        (Origins(), environ(REMOTE_ADDR="", HTTP_ORIGIN="null"), False),
    ],
)
def test_origin(origin: Origins, request_: dict[str, Any], passes: bool) -> None:  # noqa: FBT001
    """Direct, by our own name, and beyond loopback only where there is a secret."""
    if passes:
        origin.check(request_)
    else:
        with pytest.raises(OAuthError):
            origin.check(request_)


def test_http_1_0_may_leave_out_the_host() -> None:
    """RFC 9112, section 3.2, wants a Host of HTTP/1.1 only; simple probes send none."""
    probe = environ(SERVER_PROTOCOL="HTTP/1.0")
    del probe["HTTP_HOST"]
    Origins().check(probe)
    with pytest.raises(OAuthError, match="no Host"):
        Origins().check(probe | {"SERVER_PROTOCOL": "HTTP/1.1"})


def test_open_listeners_name_the_remedy() -> None:
    """Plain gunicorn on an open address is told what it lacks."""
    with pytest.raises(Forbidden, match="--client-secret-file"):
        Origins().check(environ(SERVER_NAME="0.0.0.0"))


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\t\n", b"\xef\xbb\xbf\n"])
def test_a_secret_file_without_a_secret(content: bytes) -> None:
    """An empty file must not mean that an empty secret is right."""
    with pytest.raises(ValueError, match="no secret"):
        parse_secrets(content)


def test_a_secret_in_utf_16() -> None:
    """What another machine's editor or shell may write is named, and not refused to each client."""
    with pytest.raises(ValueError, match="UTF-8"):
        parse_secrets("secret\n".encode("utf-16"))


def test_secrets_are_lines() -> None:
    """Each line is a secret, without the white space around it, as Prometheus reads it."""
    secrets = parse_secrets(b"\xef\xbb\xbf one \r\n\ntwo words\n")
    assert all(secrets.holds(each) for each in (b"one", b" one\n", b"two words"))
    assert secrets.holds(b"\xef\xbb\xbfone"), "Prometheus sends the byte order mark of its file"
    assert not any(secrets.holds(each) for each in (b"", b" ", b"o ne", b"two", b"one\ntwo words"))
    assert "one" not in repr(secrets)


def clients(directory: Path) -> Clients:
    file = directory / "secret"
    file.write_text("s3c+ret%21:x\n")
    secrets = watch_secrets(file)
    secrets.load()
    return Clients("me", secrets)


def basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


@pytest.mark.parametrize(
    ("pair", "good"),
    [
        ("me:s3c+ret%21:x", True),
        ("me:s3c%2Bret%2521%3Ax", True),
        ("me:s3c+ret%21:x\n", True),
        (" me :\ts3c+ret%21:x ", True),
        ("me:s3c%2Bret%2521%3Ax%0A", True),
        ("me:s3c ret!:x", False),
        ("me:s3c+ret%21", False),
        ("you:s3c+ret%21:x", False),
        ("me:", False),
        ("me", False),
    ],
)
def test_both_readings_of_basic(tmp_path: Path, pair: str, *, good: bool) -> None:
    """A secret is good as RFC 7617 puts it into Basic and as RFC 6749 does, blanks at its ends."""
    checked = clients(tmp_path)
    for check in (checked.check_header, checked.check_basic):
        if good:
            check(basic(pair))
        else:
            with pytest.raises(InvalidClient):
                check(basic(pair))


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_secret_with_other_letters(tmp_path: Path, encoding: str) -> None:
    """Python's requests puts a secret into Basic in Latin-1, others in UTF-8 (RFC 7617)."""
    (tmp_path / "secret").write_text("schlüssel\n")
    secrets = watch_secrets(tmp_path / "secret")
    secrets.load()
    shown = base64.b64encode("me:schlüssel".encode(encoding)).decode()
    Clients("me", secrets).check_header(f"Basic {shown}")


def test_printable() -> None:
    """An error_description holds only what RFC 6749, section 5.2, allows, and ends somewhere."""
    assert printable('a"b\\c\nd\x7fé') == "a?b?c?d??"
    assert printable("x" * 300) == "x" * 200 + "..."
