"""Every kind of credentials, minting through google-auth against the emulator."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.auth.compute_engine import _metadata

from emulator import Emulator
from runscrape_proxy.errors import CredentialsError, MintError
from runscrape_proxy.google.credentials import Credentials
from runscrape_proxy.model import CredentialKind
from runscrape_proxy.settings import Settings
from tests.proxy.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runscrape_proxy.model import Minted, Minter

AUDIENCE = "https://api-x7k2mq4wza-uc.a.run.app"
IDENTITY = "prometheus@demo.iam.gserviceaccount.com"
SCRAPER = "scraper@demo.iam.gserviceaccount.com"
DELEGATE = "delegate@demo.iam.gserviceaccount.com"
PATIENCE = 30.0  # seconds that a mint may take on a busy machine

BAD_KEY = json.dumps(
    {
        "type": "service_account",
        "client_email": IDENTITY,
        "token_uri": "https://oauth2.googleapis.com/token",
        "private_key": "c3VwZXJzZWNyZXQ=",
    }
)
NO_SOURCE = json.dumps(
    {
        "type": "external_account",
        "service_account_impersonation_url": f"https://h/{IDENTITY}:generateAccessToken",
    }
)
WORLD: dict[str, Any] = {
    "projects": {"demo": {"number": 1, "services": [{"name": "api", "region": "us-central1"}]}}
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(WORLD, tmp_path_factory.mktemp("google")) as emulator:
        yield emulator


@pytest.fixture
def google(running: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator as it is at first, and the environment that leads to it."""
    running.update(WORLD)
    running.reset_counts()
    for name, value in running.env("metadata").items():
        monkeypatch.setenv(name, value)
    # google-auth reads this one when it is imported.
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", running.metadata_host)
    return running


def with_faults(*faults: Mapping[str, Any], **settings: object) -> dict[str, Any]:
    return WORLD | {"faults": {"issuers": list(faults)}, "settings": settings}


def minter(google: Emulator, kind: str, target: str = "", *delegates: str) -> Minter:
    path = None if kind == "metadata" else google.credentials(kind)
    return Credentials(
        Settings(credentials_file=path, impersonate_service_account=target, delegates=delegates),
        environ={},
    )


def claims(token: Minted) -> dict[str, Any]:
    payload = token.value.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return found


@pytest.mark.parametrize(
    ("asked", "kind", "email", "issuer"),
    [
        (("service_account",), CredentialKind.SERVICE_ACCOUNT, IDENTITY, "service_account"),
        (("service_account", SCRAPER), CredentialKind.IMPERSONATED, SCRAPER, "generate_id_token"),
        (("metadata",), CredentialKind.METADATA, IDENTITY, "metadata"),
        (("metadata", SCRAPER), CredentialKind.IMPERSONATED, SCRAPER, "generate_id_token"),
        # Only the delegate that the file names may act as the identity: the chain is needed.
        (
            ("impersonated_service_account",),
            CredentialKind.IMPERSONATED,
            IDENTITY,
            "generate_id_token",
        ),
        (
            ("impersonated_service_account", SCRAPER),
            CredentialKind.IMPERSONATED,
            SCRAPER,
            "generate_id_token",
        ),
        (
            ("external_account_file",),
            CredentialKind.EXTERNAL_ACCOUNT,
            IDENTITY,
            "generate_id_token",
        ),
        (("external_account_url",), CredentialKind.EXTERNAL_ACCOUNT, IDENTITY, "generate_id_token"),
        (
            ("external_account_file", SCRAPER),
            CredentialKind.EXTERNAL_ACCOUNT,
            SCRAPER,
            "generate_id_token",
        ),
        (
            ("external_account_no_impersonation", SCRAPER),
            CredentialKind.EXTERNAL_ACCOUNT,
            SCRAPER,
            "generate_id_token",
        ),
        (
            ("authorized_user", SCRAPER),
            CredentialKind.AUTHORIZED_USER,
            SCRAPER,
            "generate_id_token",
        ),
        (
            ("authorized_user", IDENTITY, DELEGATE),
            CredentialKind.AUTHORIZED_USER,
            IDENTITY,
            "generate_id_token",
        ),
    ],
)
def test_each_kind_mints(
    google: Emulator, asked: tuple[str, ...], kind: CredentialKind, email: str, issuer: str
) -> None:
    """Each kind mints a token of its own identity by its own way, and asks nobody else."""
    found = minter(google, *asked)
    assert found.kind is kind
    assert found.identity == ("" if kind is CredentialKind.METADATA else email)
    token = found.mint(AUDIENCE, timeout=PATIENCE)
    assert claims(token)["aud"] == AUDIENCE
    assert claims(token)["email"] == email
    assert 3590 < token.seconds <= claims(token)["exp"] - claims(token)["iat"] == 3600
    assert token.repeats == (found.kind is CredentialKind.METADATA)
    assert found.identity == email
    assert google.counts()["mints"] == {issuer: {AUDIENCE: 1}}
    assert ("metadata" in google.counts()["issuers"]) == ("metadata" in asked)
    assert token.value not in repr(token)


def test_a_workforce_login_impersonates(google: Emulator) -> None:
    """A workforce login mints with --impersonate-service-account, where it may."""
    principal = "principal://iam.googleapis.com/locations/global/workforcePools/emulator"
    found = minter(google, "external_account_authorized_user", SCRAPER)
    with pytest.raises(MintError, match=r"grant roles/iam.serviceAccountOpenIdTokenCreator") as no:
        found.mint(AUDIENCE, timeout=PATIENCE)
    assert principal not in str(no.value)
    assert google.counts()["issuers"]["generate_id_token"] == {"403": 1}


def test_file_source_is_read_again(google: Emulator, tmp_path: Path) -> None:
    """The subject token's file is read at each exchange: Kubernetes rotates it."""
    info = json.loads(google.credentials("external_account_file").read_text())
    right = Path(info["credential_source"]["file"]).read_text()
    subject = tmp_path / "subject-token"
    info["credential_source"]["file"] = str(subject)
    path = tmp_path / "wif.json"
    path.write_text(json.dumps(info))
    found = Credentials(Settings(credentials_file=path), environ={})
    with pytest.raises(MintError, match=r"File .*subject-token.* was not found"):
        found.mint(AUDIENCE, timeout=PATIENCE)
    subject.write_text("stale")
    with pytest.raises(MintError, match=r"invalid_grant .*: check the token file or URL"):
        found.mint(AUDIENCE, timeout=PATIENCE)
    subject.write_text(right)
    assert claims(found.mint(AUDIENCE, timeout=PATIENCE))["email"] == IDENTITY


@pytest.mark.parametrize("kind", ["pipe", "endless", "folder"])
def test_a_subject_token_that_is_no_file(google: Emulator, tmp_path: Path, kind: str) -> None:
    """Nothing waits at a pipe, nor reads a device to the end of the memory."""
    info = json.loads(google.credentials("external_account_file").read_text())
    subject = Path("/dev/zero") if kind == "endless" else tmp_path / "subject-token"
    if kind == "pipe":
        os.mkfifo(subject)
    elif kind == "folder":
        subject.mkdir()
    info["credential_source"]["file"] = str(subject)
    path = tmp_path / "external.json"
    path.write_text(json.dumps(info))
    with pytest.raises(MintError, match=f"the file of the subject token, {subject}: ") as caught:
        Credentials(Settings(credentials_file=path), environ={}).mint(AUDIENCE, timeout=PATIENCE)
    assert "\n" not in str(caught.value)


def test_an_executable_as_source(
    google: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A subject token that a program prints (where the operator allows programs) is exchanged."""
    info = json.loads(google.credentials("external_account_file").read_text())
    kind = info["subject_token_type"]
    token = Path(info["credential_source"]["file"]).read_text()
    said = {"version": 1, "success": True, "token_type": kind, "id_token": token}
    answer = tmp_path / "answer.json"
    answer.write_text(json.dumps(said))
    info["credential_source"] = {"executable": {"command": f"cat {answer}"}}
    path = tmp_path / "wif.json"
    path.write_text(json.dumps(info))
    found = Credentials(Settings(credentials_file=path), environ={})
    monkeypatch.delenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", raising=False)
    with pytest.raises(MintError, match="GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"):
        found.mint(AUDIENCE, timeout=PATIENCE)
    monkeypatch.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
    assert claims(found.mint(AUDIENCE, timeout=PATIENCE))["email"] == IDENTITY


def test_one_access_token_for_many(google: Emulator) -> None:
    """All mints of an impersonation share one access token of the source, also at the start."""
    google.update(with_faults({"kind": "authorized_user", "latency": 0.2}))
    found = minter(google, "authorized_user", SCRAPER)
    audiences = [f"https://service-{number}.run.app" for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda audience: found.mint(audience, timeout=PATIENCE), audiences))
    assert google.counts()["access_tokens"] == {"authorized_user": 1}
    assert google.counts()["mints"]["generate_id_token"] == dict.fromkeys(audiences, 1)


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("authorized_user", "is a person's login, .*: add --impersonate-service-account"),
        ("external_account_authorized_user", "is a person's login, .*--impersonate"),
        ("external_account_no_impersonation", "names no service account.*--impersonate"),
        ("gdch", "is for Google Distributed Cloud"),
    ],
)
def test_kinds_that_cannot_mint(google: Emulator, kind: str, remedy: str) -> None:
    """A kind without ID tokens is refused at start with the remedy, and nobody is asked."""
    path = google.credentials(kind)
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(path)}
    with pytest.raises(CredentialsError, match=remedy) as caught:
        Credentials(Settings(), environ=environ)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert google.counts()["issuers"] == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file or directory"),
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "has no type"),
        ('{"installed": {}}', "is an OAuth client"),
        ('{"type": "api_key"}', "'api_key' credentials mint no ID tokens"),
        ('{"type": "service_account"}', "not a usable service_account file"),
        (
            BAD_KEY,
            "not a usable service_account file",
        ),
        ('{"type": "impersonated_service_account"}', "mint no ID tokens"),
        (
            '{"type": "impersonated_service_account", "service_account_impersonation_url": "x"}',
            "does not end in",
        ),
        (
            NO_SOURCE,
            "not a usable external_account file",
        ),
    ],
)
def test_broken_files(google: Emulator, tmp_path: Path, content: str | None, message: str) -> None:
    """A file that is named and missing or broken ends the start, and nobody else is asked."""
    path = tmp_path / "credentials.json"
    if content is not None:
        path.write_text(content)
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(path)}
    with pytest.raises(CredentialsError, match=message) as caught:
        Credentials(Settings(), environ=environ)
    assert str(path) in str(caught.value)
    assert "c3VwZXJz" not in str(caught.value)
    assert google.counts()["issuers"] == {}


@pytest.mark.parametrize(
    ("target", "delegates", "message"),
    [
        ("scraper", (), "'scraper' is not a service account's e-mail address"),
        (SCRAPER, ("x/../y",), "is not a service account's e-mail address"),
    ],
)
def test_names(target: str, delegates: tuple[str, ...], message: str) -> None:
    """What is not an e-mail address never becomes part of a URL."""
    with pytest.raises(CredentialsError, match=message):
        Credentials(Settings(impersonate_service_account=target, delegates=delegates), environ={})


def test_order_of_sources(google: Emulator, tmp_path: Path) -> None:
    """The option beats the variable, which beats gcloud's file, which beats the metadata server."""
    gcloud = tmp_path / "gcloud"
    gcloud.mkdir()
    (gcloud / "application_default_credentials.json").write_bytes(
        google.credentials("impersonated_service_account").read_bytes()
    )
    option = Settings(credentials_file=google.credentials("service_account"))
    named = {"GOOGLE_APPLICATION_CREDENTIALS": str(google.credentials("external_account_file"))}
    well_known = {"CLOUDSDK_CONFIG": str(gcloud)}
    none = Settings()
    assert Credentials(option, environ=named | well_known).kind is CredentialKind.SERVICE_ACCOUNT
    assert Credentials(none, environ=named | well_known).kind is CredentialKind.EXTERNAL_ACCOUNT
    assert Credentials(none, environ=well_known).kind is CredentialKind.IMPERSONATED
    assert Credentials(none, environ={"HOME": str(tmp_path)}).kind is CredentialKind.METADATA
    with pytest.raises(CredentialsError, match="NO_GCE_CHECK"):
        Credentials(none, environ={"NO_GCE_CHECK": "true"})


def test_gcloud_file_in_the_home_folder(google: Emulator, tmp_path: Path) -> None:
    """The file that gcloud writes is found where gcloud writes it."""
    folder = tmp_path / ".config" / "gcloud"
    folder.mkdir(parents=True)
    path = folder / "application_default_credentials.json"
    path.write_bytes(google.credentials("authorized_user").read_bytes())
    with pytest.raises(CredentialsError, match="is a person's login") as caught:
        Credentials(Settings(), environ={"HOME": str(tmp_path)})
    assert str(path) in str(caught.value)


def test_a_new_process_on_google_cloud(google: Emulator) -> None:
    """With nothing but the environment of a VM, tokens come from the metadata server."""
    program = (
        "from runscrape_proxy.google.credentials import Credentials\n"
        "from runscrape_proxy.settings import Settings\n"
        "found = Credentials(Settings())\n"
        f"found.mint({AUDIENCE!r}, timeout=20)\n"
        "print(found.kind, found.identity)"
    )
    environ = {"PATH": os.environ["PATH"], **google.env("metadata")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == (f"metadata {IDENTITY}\n", "")


def test_metadata_server_not_up_yet(google: Emulator) -> None:
    """A metadata server that is not up yet fails a mint, not the start; later it serves."""
    google.update(with_faults({"kind": "metadata", "refuse": True}))
    found = minter(google, "metadata")
    with pytest.raises(MintError, match=r"no connection to 127.0.0.1 .*not on Google Cloud"):
        found.mint(AUDIENCE, timeout=PATIENCE)
    google.update(WORLD)
    assert claims(found.mint(AUDIENCE, timeout=PATIENCE))["email"] == IDENTITY


def test_a_machine_without_service_account(google: Emulator) -> None:
    """A VM without a service account is told apart from one without a metadata server."""
    google.update(with_faults(metadata_identity=None))
    with pytest.raises(MintError, match=r"answered 404.*this machine has no service account"):
        minter(google, "metadata").mint(AUDIENCE, timeout=PATIENCE)


def test_metadata_server_is_never_asked_through_a_proxy(
    google: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metadata server beyond a proxy would answer with another machine's identity."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert minter(google, "metadata").mint(AUDIENCE, timeout=PATIENCE)


@pytest.mark.parametrize("fault", ["hang", "drip"])
@pytest.mark.parametrize(
    ("file", "target", "issuer"),
    [
        ("service_account", "", "service_account"),
        ("metadata", "", "metadata"),
        ("impersonated_service_account", "", "generate_id_token"),
        ("authorized_user", SCRAPER, "authorized_user"),
        ("external_account_file", "", "sts"),
        ("external_account_url", "", "subject_token"),
    ],
)
def test_the_deadline_holds(
    google: Emulator, file: str, target: str, issuer: str, fault: str
) -> None:
    """A Google that hangs, or drips a byte a second, costs a mint its timeout and no more."""
    google.update(with_faults({"kind": issuer, fault: True}))
    found = minter(google, file, target)
    began = time.monotonic()
    with pytest.raises(MintError, match=r"did not answer within 0.2 s"):
        found.mint(AUDIENCE, timeout=0.2)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("file", "issuer", "fault", "said"),
    [
        ("service_account", "service_account", {"status": 503}, "answered 503"),
        ("metadata", "metadata", {"status": 503}, "answered 503"),
        ("impersonated_service_account", "generate_id_token", {"status": 500}, "answered 500"),
        ("external_account_file", "sts", {"status": 429}, "answered 429"),
        ("service_account", "service_account", {"garbage": True}, "is not a token"),
        ("metadata", "metadata", {"garbage": True}, "is not a token"),
        ("impersonated_service_account", "generate_id_token", {"garbage": True}, "is not a token"),
        (
            "impersonated_service_account",
            "authorized_user",
            {"garbage": True},
            "is not a token",
        ),
        ("service_account", "service_account", {"drop": True}, "no connection to 127.0.0.1"),
    ],
)
def test_a_failing_google_is_asked_once(
    google: Emulator, file: str, issuer: str, fault: dict[str, Any], said: str
) -> None:
    """A failure is one request and one line: google-auth's own retries and sleeps stay out."""
    google.update(with_faults({"kind": issuer, **fault}))
    found = minter(google, file)
    with pytest.raises(MintError, match=said) as caught:
        found.mint(AUDIENCE, timeout=PATIENCE)
    assert "\n" not in str(caught.value)
    assert "<" not in str(caught.value)
    assert sum(google.counts()["issuers"][issuer].values()) == 1
    google.update(WORLD)
    assert found.mint(AUDIENCE, timeout=PATIENCE)


def test_a_stale_access_token_outlives_its_issuer(google: Emulator) -> None:
    """An access token in its last minutes is used while its renewal fails."""
    google.update(with_faults(access_token_lifetime=120))
    found = minter(google, "authorized_user", SCRAPER)
    found.mint(AUDIENCE, timeout=PATIENCE)
    google.update(with_faults({"kind": "authorized_user", "status": 503}))
    assert found.mint("https://other.run.app", timeout=PATIENCE)


def test_a_stale_access_token_is_used_while_another_is_fetched(google: Emulator) -> None:
    """One mint fetches the next access token; the others go on with the one at hand."""
    google.update(with_faults(access_token_lifetime=120))
    found = minter(google, "authorized_user", SCRAPER)
    found.mint(AUDIENCE, timeout=PATIENCE)
    google.reset_counts()
    google.update(with_faults({"kind": "authorized_user", "hang": True}))
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(found.mint, AUDIENCE, timeout=6)
        eventually(lambda: "authorized_user" in google.counts()["issuers"], "a fetch under way")
        assert found.mint("https://other.run.app", timeout=PATIENCE)
    assert fetching.exception(PATIENCE) is None


def test_a_netrc_file_is_not_for_google(
    google: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A password for a host in ~/.netrc never takes the place of the access token."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert minter(google, "external_account_url").mint(AUDIENCE, timeout=PATIENCE)


def test_authorities(google: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """--ca-file is trusted on top of the usual; without it a foreign authority is named."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    path = google.credentials("external_account_file")
    with pytest.raises(MintError, match=r"TLS to sts.googleapis.com failed.*--ca-file"):
        Credentials(Settings(credentials_file=path), environ={}).mint(AUDIENCE, timeout=PATIENCE)
    trusting = Settings(credentials_file=path, ca_file=google.ca_file)
    assert Credentials(trusting, environ={}).mint(AUDIENCE, timeout=PATIENCE)
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    for wrong in (empty, tmp_path / "missing.pem"):
        with pytest.raises(CredentialsError, match=f"--ca-file {wrong}"):
            Credentials(Settings(credentials_file=path, ca_file=wrong), environ={})


@pytest.mark.parametrize(
    ("kind", "mode", "warned"),
    [
        ("service_account", 0o644, True),
        ("service_account", 0o640, False),
        ("impersonated_service_account", 0o604, True),
        ("external_account_file", 0o644, False),
    ],
)
def test_a_key_that_everybody_reads(
    google: Emulator,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    mode: int,
    *,
    warned: bool,
) -> None:
    """A file that holds a secret and is readable by others gets a warning with the remedy."""
    path = tmp_path / "credentials.json"
    path.write_bytes(google.credentials(kind).read_bytes())
    path.chmod(mode)
    Credentials(Settings(credentials_file=path), environ={})
    assert ("chmod 600" in caplog.text) is warned
    assert "PRIVATE KEY" not in caplog.text
