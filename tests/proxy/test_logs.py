"""Log lines: one a mint and a refusal, none a warm answer, and never a token."""

from __future__ import annotations

import io
import json
import logging
import time
from typing import TYPE_CHECKING

import pytest

from runscrape_proxy import log as logs
from runscrape_proxy.proxy import TokenProxy
from runscrape_proxy.settings import Settings
from runscrape_proxy.tokens.keeper import MintResult
from runscrape_proxy.troubles import MAX_EACH, TOLD_AGAIN, Troubles
from tests.proxy.fake import FakeMinter, jwt_for
from tests.proxy.harness import API, SHOP, fake_with

if TYPE_CHECKING:
    from pathlib import Path

    from runscrape_proxy.settings import LogFormat
    from tests.proxy.conftest import StartProxy

TOKEN = jwt_for(API, 0)


@pytest.mark.usefixtures("root_logger")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_token_gets_through(log_format: LogFormat) -> None:
    """What looks like a JWT is cut out of messages, fields and tracebacks."""
    stream = io.StringIO()
    logs.configure(log_format, "info", stream)
    log = logging.getLogger("runscrape_proxy.test")
    try:
        int(TOKEN)
    except ValueError:
        log.exception("failed with %s", TOKEN, extra={"fields": {"token": TOKEN}})
    assert stream.getvalue().count("[token]") == 3
    assert "eyJ" not in stream.getvalue()
    assert TOKEN[20:40] not in stream.getvalue()


@pytest.mark.usefixtures("root_logger")
def test_json_has_the_names_of_cloud_logging() -> None:
    """severity, time, message and labels are where Cloud Logging's agents look for them."""
    stream = io.StringIO()
    logs.configure("json", "info", stream)
    logging.getLogger("runscrape_proxy.test").warning(
        "two\nlines", extra={"fields": {"audience": API, "status": 503}}
    )
    entry = json.loads(stream.getvalue())
    assert stream.getvalue().count("\n") == 1
    assert entry["severity"] == "WARNING"
    assert entry["message"] == "two\nlines"
    assert entry["time"].endswith("Z")
    assert entry["logging.googleapis.com/labels"] == {"audience": API, "status": "503"}


@pytest.mark.usefixtures("root_logger")
def test_text_is_one_line_whatever_is_in_it() -> None:
    """A forged line break or escape sequence does not start a line of its own."""
    stream = io.StringIO()
    logs.configure("text", "info", stream)
    log = logging.getLogger("runscrape_proxy.test")
    log.info("a\r\nb\x1b[31m", extra={"fields": {"audience": "c\u2028d"}})
    log.debug("nothing")
    assert stream.getvalue().count("\n") == 1
    assert " INFO a??b?[31m audience=c?d\n" in stream.getvalue()


def test_one_line_a_mint_and_a_trouble(start_proxy: StartProxy) -> None:
    """Ten answers of one token are one line, and so is a trouble however often it comes."""
    proxy = start_proxy("--log-format", "json")
    before = len(proxy.log.splitlines())
    for _ in range(10):
        assert proxy.token(API).status == 200
    for _ in range(20):
        proxy.token("https://evil.example")
        proxy.token("https://fail-uc.a.run.app")
        proxy.get("/token")
    lines = [json.loads(line) for line in proxy.log.splitlines()[before:]]
    assert [line["message"].partition(":")[0] for line in lines] == [
        "minted",
        "refused",  # evil.example
        "not minted",
        "refused",  # fail
        "refused",  # GET
    ]
    labels = [line["logging.googleapis.com/labels"] for line in lines]
    assert labels[0]["audience"] == API
    assert labels[1] == {
        "audience": "https://evil.example",
        "client": "127.0.0.1",
        "error": "invalid_target",
        "status": "400",
    }
    assert (lines[1]["severity"], labels[4]["status"]) == ("WARNING", "405")


def test_verbose_logs_warm_answers_too(start_proxy: StartProxy) -> None:
    """-v adds a line for each answer, still without the token."""
    proxy = start_proxy("-v")
    for _ in range(3):
        assert proxy.token(API).status == 200
    assert proxy.log.count("token answered") == 3
    assert "eyJ" not in proxy.log


def test_no_secret_anywhere(start_proxy: StartProxy, tmp_path: Path) -> None:
    """After a run of everything: no secret and no token in logs, page, metrics or errors."""
    secret = "hunter2-Zm9v"
    file = tmp_path / "secret"
    file.write_text(secret)
    proxy = start_proxy("--client-secret-file", file, "-v", "--mint-timeout", "500ms")
    good = {"client_id": "prometheus", "client_secret": secret}
    answers = [
        proxy.token(API, form=good | {"client_secret": "x"}),
        proxy.token("https://fail-uc.a.run.app", form=good),
        proxy.token("https://hang-uc.a.run.app", form=good),
        proxy.token("https://bug-uc.a.run.app", form=good),
        proxy.token(secret, form=good),
        proxy.token(SHOP, form=good, headers={"Via": secret}),
        proxy.token(SHOP, headers={"Authorization": secret}),
        *(proxy.get(path) for path in ("/", "/metrics", "/-/ready", "/-/healthy", "/nowhere")),
    ]
    assert proxy.token(SHOP, form=good).status == 200
    proxy.raw(f"{secret}\r\n\r\n".encode(), end=True)
    proxy.raw(f"GET / HTTP/1.1\r\nAuthorization {secret}\r\n\r\n".encode(), end=True)
    proxy.process.terminate()
    proxy.process.wait(20)
    # An audience that is refused is quoted, whatever it is: that is how its job is found.
    asked_for = f"audience {secret} is not allowed", f"audience={secret}"
    seen = "".join(answer.text for answer in answers) + proxy.log
    for quoted in asked_for:
        seen = seen.replace(quoted, "")
    assert secret not in seen
    assert "eyJ" not in seen


def test_what_clients_make_up_is_told_so_often_only(start_proxy: StartProxy) -> None:
    """Audiences can be invented without end: the log has the first of them."""
    few = "from runscrape_proxy.web import errors; errors.MAX_TOLD = 20"
    proxy = start_proxy(command=fake_with(few))
    for number in range(30):
        assert proxy.token(f"https://{number}.example").status == 400
    assert proxy.log.count("is not allowed") == 20


def test_troubles_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is told once in an hour, and a few of them only, until all is well again."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    troubles = Troubles(limit=2)
    assert [troubles.is_new("a", trouble) for trouble in "xyxyx"] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert troubles.is_new("b", "x")
    assert not troubles.is_new("c", "x"), "one too many"
    assert troubles.is_over("a")
    assert not troubles.is_over("a")
    assert troubles.is_new("a", "x")
    assert sum(troubles.is_new("a", str(number)) for number in range(99)) == MAX_EACH - 1
    now[0] += TOLD_AGAIN
    assert troubles.is_new("c", "x")
    assert troubles.is_new("a", "x")


def test_mints_that_fail_in_turn(caplog: pytest.LogCaptureFixture) -> None:
    """Where Google fails in two ways by turns, each is told once, until it gives a token."""
    proxy = TokenProxy(Settings(), FakeMinter())
    errors = ["slow", "slower", "slow", "slower", "", "slow"]
    for error in errors:
        proxy._minted(MintResult(API, not error, 0.1, error))  # noqa: SLF001  what the mint threads call
    told = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert told == ["not minted: slow", "not minted: slower", "not minted: slow"]


def test_a_client_that_sends_no_http(start_proxy: StartProxy) -> None:
    """Its mistakes are logged once each, in whatever order it makes them."""
    proxy = start_proxy()
    for _ in range(5):
        for request in ("GET / HTTP/9.9\r\n\r\n", "G@T / HTTP/1.1\r\n\r\n"):
            assert proxy.raw(request.encode()).startswith(b"HTTP/1.1 400 ")
    assert proxy.log.count("not HTTP as it must be") == 2
