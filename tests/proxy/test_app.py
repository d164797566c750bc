"""The application by itself: page, health, metrics and errors, over WSGI with parts given to it."""

from __future__ import annotations

import base64
import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from runscrape_proxy.access.audiences import Audiences
from runscrape_proxy.access.callers import Clients, watch_secrets
from runscrape_proxy.access.origin import Origins
from runscrape_proxy.access.policy import Policy
from runscrape_proxy.clock import GoogleClock
from runscrape_proxy.errors import TemporarilyUnavailable
from runscrape_proxy.inventory import Inventories
from runscrape_proxy.model import AudienceStatus, Token
from runscrape_proxy.tokens.keeper import Tokens
from runscrape_proxy.web.app import create_app
from runscrape_proxy.web.metrics import Metrics
from runscrape_proxy.web.page import LIMIT, in_words
from tests.proxy.fake import FakeMinter, jwt_for
from tests.proxy.harness import API, SHOP

if TYPE_CHECKING:
    from pathlib import Path

    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse


NOW = 1_800_000_000.0


class Holder(Tokens):
    """Tokens as a test lays them out; nothing is minted."""

    def __init__(self, *statuses: AudienceStatus) -> None:
        self.held = statuses
        self.answer: Token | Exception = Token(jwt_for(API, NOW + 3600), 3600.0)
        self.left: int | Exception = 3570

    def get(self, _audience: str, *, timeout: float | None = None) -> Token:  # noqa: ARG002
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def expires_in(self, _token: Token) -> int:
        if isinstance(self.left, Exception):
            raise self.left
        return self.left

    def statuses(self) -> tuple[AudienceStatus, ...]:
        return self.held

    def ready(self) -> bool:
        return all(status.left is not None for status in self.held)


def status(audience: str, left: float | None, error: str = "") -> AudienceStatus:
    return AudienceStatus(audience, left, error, 90.0 if error else None)


def client(
    tokens: Holder,
    file: Inventories | None = None,
    *,
    secret: Path | None = None,
    clock: GoogleClock | None = None,
) -> FlaskClient:
    clock = clock or GoogleClock()
    metrics = Metrics(tokens, file, clock, wall=lambda: NOW)
    secrets = None if secret is None else watch_secrets(secret)
    if secrets is not None:
        secrets.load()
    origin = Origins(open_allowed=secret is not None)
    policy = Policy(origin, Clients("me", secrets), Audiences((), file))
    app = create_app(
        tokens=tokens,
        policy=policy,
        metrics=metrics,
        minter=FakeMinter(),
        clock=clock,
        wall=lambda: NOW,
    )
    return app.test_client()


def ask(tokens: Holder) -> TestResponse:
    return client(tokens).post("/token", data={"audience": API})


def test_a_bug_is_a_500_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What nobody foresaw is server_error in JSON without detail, counted and logged."""
    tokens = Holder()
    tokens.answer = RuntimeError("the cause")
    asked = client(tokens)
    answer = asked.post("/token", data={"audience": API})
    assert answer.status_code == 500
    assert answer.get_json()["error"] == "server_error"
    assert "the cause" not in answer.text
    assert "the cause" in caplog.text
    assert 'token_requests_total{result="server_error"} 1.0' in asked.get("/metrics").text


def test_a_bug_in_a_page_is_a_500_too(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page fails as the token endpoint does."""
    tokens = Holder()
    asked = client(tokens)
    monkeypatch.setattr(tokens, "held", None)
    answer = asked.get("/")
    assert (answer.status_code, answer.get_json()["error"]) == (500, "server_error")
    assert "TypeError" in caplog.text


def test_a_token_about_to_end_is_no_answer() -> None:
    """Where nothing honest can be said of expires_in there is a 503 with Retry-After."""
    tokens = Holder()
    tokens.left = TemporarilyUnavailable("about to end", retry_after=7)
    answer = ask(tokens)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")


def test_descriptions_hold_only_what_they_may() -> None:
    """What Google says may have any characters; RFC 6749, section 5.2, has not."""
    tokens = Holder()
    tokens.answer = TemporarilyUnavailable('said "no"\nand\\left\u2028' + "x" * 1000, retry_after=1)
    description = ask(tokens).get_json()["error_description"]
    assert description.startswith("said ?no??and?left?x")
    assert len(description) == 603


class Broken(io.RawIOBase):
    """A body that breaks off in a way of the server's own."""

    def __init__(self) -> None:
        self.was_read = False

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: object) -> int:
        self.was_read = True
        raise KeyError("a chunk without a size")


@pytest.mark.parametrize("secret", ["s3cret", "wrong"])
def test_the_secret_is_looked_at_before_the_body(tmp_path: Path, secret: str) -> None:
    """Under any server, a body that cannot be read is a 400, and none is read for a stranger."""
    file = tmp_path / "secret"
    file.write_text("s3cret")
    body = Broken()
    answer = client(Holder(), secret=file).post(
        "/token",
        content_type="application/x-www-form-urlencoded",
        headers={"Authorization": "Basic " + base64.b64encode(f"me:{secret}".encode()).decode()},
        environ_overrides={
            "wsgi.input": body,
            "wsgi.input_terminated": True,
            "HTTP_TRANSFER_ENCODING": "chunked",
        },
    )
    good = secret == "s3cret"
    assert (answer.status_code, body.was_read) == (400 if good else 401, good)


def test_ready_names_what_is_missing() -> None:
    """/-/ready is 503 and says which audience has no token and why; with all of them it is 200."""
    assert client(Holder()).get("/-/ready").status_code == 200
    assert client(Holder(status(API, 1000, "renewal failed"))).get("/-/ready").status_code == 200
    answer = client(Holder(status(API, 1000), status(SHOP, None, "no role"))).get("/-/ready")
    assert answer.status_code == 503
    assert answer.text == f"not ready\n{SHOP}: no role\n"
    odd = client(Holder(status("a\x9bb", None, "c\ud800"))).get("/-/ready").text
    assert odd == "not ready\na?b: c?\n"


def test_ready_is_short_however_much_is_missing() -> None:
    """A thousand audiences without a token do not make a thousand lines."""
    tokens = Holder(*(status(f"https://s{n}.run.app", None) for n in range(1000)))
    lines = client(tokens).get("/-/ready").text.splitlines()
    assert len(lines) == 102
    assert lines[-1] == "and 900 more"


def test_ready_waits_for_the_inventory(tmp_path: Path) -> None:
    """An inventory that was never read keeps /-/ready red, and health green."""
    good, late = tmp_path / "good.json", tmp_path / "late.json"
    good.write_text('{"version": 1, "scopes": {}}')
    file = Inventories([good, late])
    file.refresh()
    asked = client(Holder(), file)
    assert asked.get("/-/ready").status_code == 503
    assert f"inventory {late}: No such file" in asked.get("/-/ready").text
    assert str(good) not in asked.get("/-/ready").text
    assert asked.get("/-/healthy").status_code == 200
    late.write_text('{"version": 1, "scopes": {}}')
    file.refresh()
    assert asked.get("/-/ready").status_code == 200


def inventory(path: Path, *services: dict[str, Any]) -> Inventories:
    kept = [{"state": "kept"} | service for service in services]
    path.write_text(json.dumps({"version": 1, "scopes": {"demo/us-central1": kept}}))
    file = Inventories([path])
    file.refresh()
    return file


def named(name: str, audience: str) -> dict[str, Any]:
    return {"project": "demo", "region": "us-central1", "name": name, "audience": audience}


def test_page_shows_what_people_look_for(tmp_path: Path) -> None:
    """Services by name, time left, the last error with its remedy, identity; no token."""
    file = inventory(tmp_path / "good.json", named("api", API), named("shop", SHOP))
    tokens = Holder(status(API, 3125), status(SHOP, None, "permission denied: grant the role"))
    page = client(tokens, file).get("/").text
    for shown in (
        "<strong>api</strong>",
        "<strong>shop</strong>",
        "demo/us-central1",
        API,
        "52 min",
        f'data-expires="{int(NOW) + 3125}"',
        "permission denied: grant the role",
        "1 min ago",
        "no token",
        "1 of 2 audiences",
        FakeMinter.identity,
        "service_account",
        str(tmp_path / "good.json"),
        "2 services",
    ):
        assert shown in page
    assert page.index(SHOP) < page.index(API), "what has no token comes first"
    assert "eyJ" not in page
    assert "refusals" not in page.partition("<body>")[2]
    assert client(tokens, file).get("/?q=us-central1/sho").text.count("<tr class") == 1


def test_page_tells_of_tokens_that_are_not_renewed() -> None:
    """While tokens still work and renewal fails, the first line says so, and is no longer green."""
    page = client(Holder(status(API, 3125), status(SHOP, 100, "Google is down"))).get("/").text
    said = " ".join(page.partition("<dt>Tokens</dt>")[2].partition("</dd>")[0].split())
    assert said == (
        '<dd><span class="warn">2 audiences, all with a token; renewal fails for 1</span>'
    )


def test_page_names_a_broken_inventory(tmp_path: Path) -> None:
    """An inventory that cannot be read is named with the reason."""
    path = tmp_path / "broken.json"
    path.write_text('{"version": 2}')
    file = Inventories([path])
    file.refresh()
    page = client(Holder(), file).get("/").text
    assert str(path) in page
    assert "version is not 1" in page


UNKNOWN = (
    "audience hunter2 is not allowed: the inventory does not have it; run runscrape, or start with"
    " --allow-audience"
)


def test_page_shows_refusals_with_their_remedy(tmp_path: Path) -> None:
    """Who was refused what, why, and how often: each trouble once, and nothing made up."""
    file = inventory(tmp_path / "inventory.json", named("api", API))
    tokens = Holder()
    tokens.answer = TemporarilyUnavailable("grant the role", retry_after=1)
    asked = client(tokens, file)
    for _ in range(3):
        asked.post("/token", data={"audience": API})
    asked.post("/token", data={"audience": "hunter2", "client_secret": "hunter3"})
    asked.get("/token")
    page = asked.get("/").text
    rows = re.findall(r'<tr class="refused">(.*?)</tr>', page, re.DOTALL)
    texts = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows]
    assert texts == [
        "0 s ago 127.0.0.1 405 a token is asked for with POST 1",
        f"0 s ago 127.0.0.1 400 {UNKNOWN} 1",
        f"0 s ago 127.0.0.1 503 grant the role asked for {API} 3",
    ]
    assert "hunter3" not in page


def test_page_tells_of_a_wrong_clock() -> None:
    """A clock that is far from Google's is a line on the page, and always a metric."""
    wrong = GoogleClock(wall=lambda: NOW + 300, clock=lambda: 7.0)
    asked = client(Holder(), clock=wrong)
    assert "clock" not in asked.get("/").text.lower().partition("<table")[0].partition("<dl>")[2]
    wrong.note(NOW - 0.5)
    assert "clock is 300 s ahead of Google&#39;s" in asked.get("/").text


def test_targets_are_the_inventorys(tmp_path: Path) -> None:
    """Each kept endpoint comes with the facts of its service, and with a port that means http."""
    api = named("api", API) | {
        "target": API.removeprefix("https://") + ":443",
        "metrics_path": "/metrics",
        "uid": "1",
        "urls": [API, SHOP],
        "min_instances": 2,
        "labels": {"odd_label": "2", "odd-label": "1"},
    }
    file = inventory(tmp_path / "inventory.json", api, api | {"name": "b", "state": "skipped"})
    (group,) = client(Holder(), file).get("/targets").get_json()
    assert group["targets"] == [API.removeprefix("https://") + ":80"]
    labels = group["labels"]
    assert (labels["__scheme__"], labels["__metrics_path__"]) == ("http", "/metrics")
    facts = {"service": "api", "service_uid": "1", "urls": f",{API},{SHOP},", "min_instances": "2"}
    facts |= {"label_odd_label": "2"}
    assert {name: labels[f"__meta_cloudrun_{name}"] for name in facts} == facts
    assert "__meta_cloudrun_ingress" not in labels


def test_targets_without_labels_that_are_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One of them would have Prometheus drop the whole list, so its endpoint is left out."""
    names = ("ok", "__param_a", "bad-name", "", "__param_match[]", "\u00fc", "1a", "ok\n")
    services = [
        named("s", API) | {"target": f"h{n}:443", "target_labels": {name: "1"}}
        for n, name in enumerate(names)
    ]
    asked = client(Holder(), inventory(tmp_path / "inventory.json", *services))
    served = [group["targets"] for _ in range(2) for group in asked.get("/targets").get_json()]
    assert served == 2 * [["h0:80"], ["h1:80"]]
    (line,) = caplog.messages
    assert line.startswith("GET /targets leaves 6 endpoints out")
    assert "'bad-name' of " in line


OPEN = {"SERVER_NAME": "0.0.0.0", "HTTP_HOST": "10.1.2.3"}


@pytest.mark.parametrize("path", ["/", "/metrics", "/targets"])
def test_an_open_listener_tells_nothing_to_strangers(tmp_path: Path, path: str) -> None:
    """Where others than this machine reach it, page, metrics and targets are the clients' only."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    file = inventory(tmp_path / "inventory.json", named("api", API))
    asked = client(Holder(status(SHOP, None, "no role")), file, secret=secret)
    assert asked.get(path).status_code == 200
    answer = asked.get(path, environ_overrides=OPEN)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert API not in answer.text
    good = {"Authorization": "Basic " + base64.b64encode(b"me:s3cret").decode()}
    assert asked.get(path, environ_overrides=OPEN, headers=good).status_code == 200
    bad = {"Authorization": "Basic " + base64.b64encode(b"me:x").decode()}
    assert asked.get(path, environ_overrides=OPEN, headers=bad).status_code == 401


def test_probes_need_no_credentials(tmp_path: Path) -> None:
    """Health and readiness answer anybody; the reasons are for those who may read."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    asked = client(Holder(status(SHOP, None, "no role")), secret=secret)
    assert asked.get("/-/healthy", environ_overrides=OPEN).status_code == 200
    answer = asked.get("/-/ready", environ_overrides=OPEN)
    assert (answer.status_code, answer.text) == (503, "not ready\n")
    assert SHOP in asked.get("/-/ready").text


def test_page_is_locked_down() -> None:
    """No script or style but our own, no frame, no cache, nothing from elsewhere."""
    answer = client(Holder(status(API, 10))).get("/")
    policy = answer.headers["Content-Security-Policy"]
    nonce = re.search(r"script-src 'nonce-([\w-]+)'", policy)
    assert nonce
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.text.count(f'nonce="{nonce[1]}"') == 2
    assert answer.text.count("<script") == answer.text.count("<style") == 1
    assert not re.search(r"(src|href)=.(https?:)?//", answer.text)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cache-Control"] == "no-store"
    other = client(Holder()).get("/").headers["Content-Security-Policy"]
    assert other != policy, "a nonce is used once"


def test_page_escapes_hostile_text() -> None:
    """An audience or an error is text on the page, never markup."""
    hostile = "<script>alert(1)</script>"
    page = client(Holder(status(hostile, None, hostile))).get(f"/?q={hostile}").text
    assert hostile not in page
    assert page.count("&lt;script&gt;") == 3


def test_page_with_text_that_is_no_unicode(tmp_path: Path) -> None:
    """Half a surrogate pair, which JSON can hold and UTF-8 cannot, is a question mark."""
    known = inventory(tmp_path / "inventory.json", named("half \ud800", API))
    page = client(Holder(status(API, 1000)), known).get("/")
    assert (page.status_code, "half ?" in page.text) == (200, True)


def test_page_with_very_many_audiences() -> None:
    """10,000 audiences: those without a token first, the rest cut off, the filter finds each."""
    rows = [status(f"https://s{n:05d}.run.app", 1000) for n in range(9_999)]
    asked = client(Holder(*rows, status(SHOP, None, "broken")))
    page = asked.get("/").text
    assert page.count("<tr class") == LIMIT
    assert SHOP in page
    assert f"{LIMIT} of 10000" in page
    assert len(page) < 200_000
    found = asked.get("/?q=S09876").text
    assert found.count("<tr class") == 1
    assert "s09876" in found


def test_head_of_every_page() -> None:
    """HEAD answers as GET does, without the body."""
    asked = client(Holder())
    for path in ("/", "/metrics", "/-/healthy", "/-/ready"):
        answer = asked.head(path)
        assert (answer.status_code, answer.data) == (200, b"")


def test_metrics_of_the_state() -> None:
    """Each allowed audience has its expiry; one without a token counts, and has none."""
    tokens = Holder(status(API, 100), status(SHOP, None, "x"))
    text = client(tokens).get("/metrics").text
    expiry = "runscrape_proxy_token_expiry_timestamp_seconds"
    assert f'{expiry}{{audience="{API}"}} 1.8000001e+09' in text
    assert SHOP not in text
    assert "runscrape_proxy_audiences 2.0" in text
    assert 'runscrape_proxy_build_info{version="' in text
    assert "inventory_last_reload" not in text, "there is no inventory"
    assert "_created" not in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (86_399, "23 h 59 min"),
        (200_000, "2 d"),
    ],
)
def test_in_words(seconds: float, words: str) -> None:
    """A time span is shown in its two largest units."""
    assert in_words(seconds) == words
