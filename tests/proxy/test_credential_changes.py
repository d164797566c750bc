"""Credentials that change while the proxy runs: files replaced, access tokens revoked."""

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from google.auth.compute_engine import _metadata
from google.oauth2.credentials import Credentials as UserCredentials

from runscrape_proxy.clock import GoogleClock
from runscrape_proxy.errors import MintError
from runscrape_proxy.google import kubernetes
from runscrape_proxy.google.access_tokens import AccessTokens
from runscrape_proxy.google.credentials import Credentials
from runscrape_proxy.google.http import GoogleHttp
from runscrape_proxy.http_client import Deadline
from runscrape_proxy.model import CredentialKind
from runscrape_proxy.settings import Settings
from tests.proxy.harness import COMMAND, eventually
from tests.proxy.issuer import UNBOUND, Asked, Told, jwt, serving

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from emulator import Emulator
    from tests.conftest import MakeEmulator, UseCredentials
    from tests.proxy.conftest import StartProxy

AUDIENCE = "https://api.run.app"
IDENTITY = "prometheus@demo.iam.gserviceaccount.com"
SCRAPER = "scraper@demo.iam.gserviceaccount.com"
PATIENCE = 30.0
WORLD: dict[str, Any] = {"projects": {"demo": {"number": 1}}}


@pytest.fixture
def google(emulator: Emulator, use_credentials: UseCredentials) -> Emulator:
    """The emulator, and the environment that leads to it."""
    use_credentials(emulator, "metadata")
    return emulator


def failing(**fault: object) -> dict[str, Any]:
    return WORLD | {"faults": {"issuers": [fault]}}


def of_file(path: Path | None, target: str = "", **environ: str) -> Credentials:
    return Credentials(
        Settings(credentials_file=path, impersonate_service_account=target), environ=environ
    )


@pytest.mark.parametrize("kind", ["authorized_user", "metadata", "impersonated_service_account"])
def test_an_access_token_that_is_not_taken_any_more(
    make_emulator: MakeEmulator, use_credentials: UseCredentials, kind: str
) -> None:
    """A 401 of generateIdToken, or of what the token is made with, costs one call more."""
    ahead = [0.0]
    google = make_emulator(clock=lambda: time.time() + ahead[0])
    use_credentials(google, kind)
    path = None if kind == "metadata" else google.credentials(kind)
    found = of_file(path, SCRAPER)
    found.mint(AUDIENCE, timeout=PATIENCE)
    google.reset_counts()
    ahead[0] = 7200.0  # every access token has ended for Google, and for nobody else
    for _ in range(3):
        assert found.mint(AUDIENCE, timeout=PATIENCE).seconds > 3500
    counts = google.counts()
    assert counts["mints"] == {"generate_id_token": {AUDIENCE: 3}}
    assert counts["issuers"]["generate_id_token"] == {"200": 3, "401": 1}


def test_no_more_than_once(google: Emulator) -> None:
    """A Google that takes no access token at all is asked twice, and then believed."""
    google.update(failing(kind="generate_id_token", status=401))
    found = of_file(google.credentials("authorized_user"), SCRAPER)
    with pytest.raises(MintError, match="answered 401"):
        found.mint(AUDIENCE, timeout=PATIENCE)
    assert google.counts()["issuers"]["generate_id_token"] == {"401": 2}


def test_a_file_that_is_replaced(
    google: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another file is in force once it is there; who mints from now on is logged."""
    caplog.set_level("INFO")
    path = tmp_path / "credentials.json"
    path.write_bytes(google.credentials("service_account").read_bytes())
    found = of_file(path)
    assert not found.refresh()
    path.write_bytes(google.credentials("impersonated_service_account").read_bytes())
    assert found.refresh()
    assert found.kind is CredentialKind.IMPERSONATED
    assert found.mint(AUDIENCE, timeout=PATIENCE)
    before, after = f"{IDENTITY} (service_account)", f"{IDENTITY} (impersonated_service_account)"
    assert f"{after}, not {before}" in caplog.text
    assert not found.refresh()
    assert found.refresh(again=True)
    assert f"{after} as before" in caplog.text


@pytest.mark.parametrize("content", ["{", "[]", '{"type": "authorized_user"}', None, "x" * 2**21])
def test_a_file_that_breaks(
    google: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str | None
) -> None:
    """What was read before stays in force while the file is broken, and is logged once.

    It is no trouble any more once the file is as it was, or another that is good.
    """
    path = tmp_path / "credentials.json"
    good = google.credentials("service_account").read_bytes()
    path.write_bytes(good)
    found = of_file(path)
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    for _ in range(3):
        assert not found.refresh()
    assert str(path) in found.error
    assert len([r for r in caplog.records if r.levelname == "ERROR"]) == 1
    assert found.mint(AUDIENCE, timeout=PATIENCE)
    path.write_bytes(good)
    found.refresh()
    assert found.error == ""
    path.write_bytes(google.credentials("impersonated_service_account").read_bytes())
    assert found.refresh()
    assert found.error == ""


def test_a_login_that_comes_after_the_start(google: Emulator, tmp_path: Path) -> None:
    """A file that appears is used where there was none, but not in the place of a machine's own."""
    folder = tmp_path / ".config" / "gcloud"
    folder.mkdir(parents=True)
    path = folder / "application_default_credentials.json"
    found = of_file(None, HOME=str(tmp_path))
    assert not found.refresh()
    path.write_bytes(google.credentials("impersonated_service_account").read_bytes())
    assert found.refresh()
    assert (found.kind, found.path) == (CredentialKind.IMPERSONATED, path)
    content = path.read_bytes()
    path.unlink()
    assert not found.refresh(again=True), "what comes next would be another identity"
    assert "No such file" in found.error
    assert found.mint(AUDIENCE, timeout=PATIENCE)
    path.write_bytes(content)
    found.refresh()
    assert found.error == ""


def test_a_file_does_not_replace_what_works(google: Emulator, tmp_path: Path) -> None:
    """While the metadata server gives tokens, a new file waits for a SIGHUP or a start."""
    found = of_file(None, CLOUDSDK_CONFIG=str(tmp_path))
    found.mint(AUDIENCE, timeout=PATIENCE)
    path = tmp_path / "application_default_credentials.json"
    path.write_bytes(google.credentials("service_account").read_bytes())
    assert not found.refresh()
    assert found.path is None
    assert found.refresh(again=True)
    assert found.kind is CredentialKind.SERVICE_ACCOUNT


@pytest.mark.parametrize(
    ("of_the_file", "variable", "sent"),
    [("payer", "", "payer"), ("payer", "other", "other"), ("", "other", "other"), ("", "", None)],
)
def test_the_quota_project(
    emulator: Emulator, tmp_path: Path, of_the_file: str, variable: str, sent: str | None
) -> None:
    """The project that pays is sent: the variable's, or else the file's."""
    seen: list[Mapping[str, str]] = []

    def answer(asked: Asked) -> Told:
        seen.append(asked.headers)
        if asked.path == "/token":
            return Told(200, '{"access_token": "ya29.x", "expires_in": 3600}')
        token = jwt({"aud": AUDIENCE, "iat": 1, "exp": 3601})
        return Told(200, json.dumps({"token": token}))

    with serving(answer) as address:
        key = json.loads(emulator.credentials("service_account").read_text())
        url = f"http://{address}/v1/projects/-/serviceAccounts/{SCRAPER}:generateAccessToken"
        info = {
            "type": "impersonated_service_account",
            "service_account_impersonation_url": url,
            "source_credentials": key | {"token_uri": f"http://{address}/token"},
        }
        if of_the_file:
            info["quota_project_id"] = of_the_file
        path = tmp_path / "credentials.json"
        path.write_text(json.dumps(info))
        environ = {"GOOGLE_CLOUD_QUOTA_PROJECT": variable} if variable else {}
        of_file(path, **environ).mint(AUDIENCE, timeout=PATIENCE)
    assert seen[-1].get("x-goog-user-project") == sent


def test_a_program_that_is_too_slow(
    google: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A program that the credentials name ends with the mint, and what to do is said."""
    monkeypatch.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
    info: dict[str, Any] = json.loads(google.credentials("external_account_file").read_text())
    info["credential_source"] = {"executable": {"command": "sleep 60", "timeout_millis": 30_000}}
    path = tmp_path / "wif.json"
    path.write_text(json.dumps(info))
    began = time.monotonic()
    with pytest.raises(MintError, match=r"within 0\.\d+ s: give it more with --mint-timeout"):
        of_file(path).mint(AUDIENCE, timeout=0.3)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("target", ["", SCRAPER])
def test_workload_identity_without_its_binding(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, target: str
) -> None:
    """GKE's 403 names the whole command that mends it: account, pool, namespace and name."""
    pod = jwt({"sub": "system:serviceaccount:monitoring:prometheus"})
    monkeypatch.setattr(kubernetes, "TOKEN", tmp_path / "token")
    kubernetes.TOKEN.write_text(pod)
    told = {"email": IDENTITY, "project-id": "demo"}

    def answer(asked: Asked) -> Told:
        name = asked.path.partition("?")[0].rpartition("/")[2]
        return Told(200, told[name]) if name in told else Told(403, UNBOUND)

    with serving(answer) as address:
        monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", address)
        with pytest.raises(MintError) as caught:
            of_file(None, target).mint(AUDIENCE, timeout=PATIENCE)
    assert caught.value.remedy == (
        f"gcloud iam service-accounts add-iam-policy-binding {IDENTITY}"
        " --role roles/iam.workloadIdentityUser"
        " --member 'serviceAccount:demo.svc.id.goog[monitoring/prometheus]'"
    )


def test_the_running_proxy_takes_what_is_new(
    emulator: Emulator, start_proxy: StartProxy, tmp_path: Path
) -> None:
    """A login that was renewed is used without a restart, and what failed is asked for again."""
    emulator.update(failing(kind="authorized_user", status=400))
    path = tmp_path / "credentials.json"
    path.write_bytes(emulator.credentials("impersonated_service_account").read_bytes())
    env = emulator.env("impersonated_service_account")
    proxy = start_proxy("--credentials-file", path, command=COMMAND, env=env)
    assert proxy.token(AUDIENCE).json["error"] == "temporarily_unavailable"
    path.write_bytes(emulator.credentials("service_account").read_bytes())
    eventually(lambda: "credentials were read again" in proxy.log, "a look at the file")
    eventually(lambda: proxy.token(AUDIENCE).status == 200, "a token")
    assert "(service_account), not" in proxy.log
    assert str(path) in proxy.get("/").text


def test_no_credentials_at_all(start_proxy: StartProxy, tmp_path: Path) -> None:
    """On a machine without any credentials the start says so, before anybody asks for a token."""
    environ = {"HOME": str(tmp_path), "GCE_METADATA_HOST": "127.0.0.1:1"}
    proxy = start_proxy(command=COMMAND, env=environ)
    eventually(lambda: "there is no credentials file, and" in proxy.log, "a word at the start")
    assert "--credentials-file" in proxy.log
    assert proxy.get("/-/healthy").status == 200


def test_a_metadata_server_that_comes_up_later(
    google: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """It is asked again until it answers, without holding anything up; then we know who we are."""
    caplog.set_level("INFO")
    google.update(failing(kind="metadata", refuse=True))
    found = of_file(None)
    stopped = threading.Event()
    asking = threading.Thread(target=found.find_out, args=(stopped, 0.05))
    asking.start()
    try:
        eventually(lambda: "there is no credentials file" in found.error, "a first try")
        google.update(WORLD)
        eventually(lambda: found.error == "", "an answer")
    finally:
        stopped.set()
        asking.join()
    assert f"this machine's account is {IDENTITY}" in caplog.text


def test_a_metadata_server_that_answers_nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be no answer at the start is a trouble like any other, and ends no thread."""
    stopped = threading.Event()

    def answer(_: Asked) -> Told:
        stopped.set()
        return Told(200, "[" * 100_000, {"Content-Type": "application/json"})

    found = of_file(None)
    with serving(answer) as address:
        monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", address)
        found.find_out(stopped)
    assert "what Google answered is not a token (RecursionError)" in found.error


def access_token(value: str) -> str:
    return f'{{"access_token": {value}, "expires_in": 3600}}'


@pytest.mark.parametrize(
    "body",
    [
        *map(access_token, ['""', "null", "5", '["a"]', '"a\\nb"', '"é"']),
        *("[]", "[" * 100_000, '{"access_token": "a", "expires_in": NaN}'),
    ],
    ids=range(9),
)
def test_an_answer_without_an_access_token(body: str) -> None:
    """It is not kept for the hour that it may say: the next mint asks again, or has the old one."""
    given = [body]
    with serving(lambda _: Told(200, given[0])) as address:
        login = UserCredentials(
            None,
            refresh_token="refresh",
            token_uri=f"http://{address}/token",
            client_id="id",
            client_secret="secret",
        )
        tokens = AccessTokens(login, GoogleHttp(clock=GoogleClock()), quota_project="")
        with pytest.raises(MintError, match=r"is no access token|is not a token"):
            tokens.headers(Deadline(PATIENCE))
        given[0] = access_token('"good"')
        assert tokens.headers(Deadline(PATIENCE)) == {"authorization": "Bearer good"}
        given[0] = body
        assert login.expiry is not None
        login.expiry -= timedelta(minutes=58)
        assert tokens.headers(Deadline(PATIENCE)) == {"authorization": "Bearer good"}
