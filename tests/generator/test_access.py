"""Where Google is called, with which credentials, and what happens without any."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from emulator import Emulator
from runscrape_generator.cloudrun import calls
from runscrape_generator.cloudrun.address import ApiAddress, api_address
from runscrape_generator.cloudrun.credentials import Access, with_credentials
from runscrape_generator.cloudrun.discovery import discover
from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import ConfigError, DiscoveryError
from tests.conftest import DEMO_WORLD, MakeEmulator
from tests.generator.recorder import Recorder
from tests.generator.tls_front import tls_front
from tests.kit.programs import running


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        (None, ApiAddress("run.googleapis.com:443", "https://run.googleapis.com:443", False)),
        ("http://127.0.0.1:80", ApiAddress("127.0.0.1:80", "http://127.0.0.1:80", True)),
        ("http://emulator", ApiAddress("emulator:80", "http://emulator:80", True)),
        (
            "https://run.p.example/",
            ApiAddress("run.p.example:443", "https://run.p.example:443", False),
        ),
        (
            "run-psc.p.example",
            ApiAddress("run-psc.p.example:443", "https://run-psc.p.example:443", False),
        ),
        ("host:8443", ApiAddress("host:8443", "https://host:8443", False)),
        ("https://[::1]:8443", ApiAddress("[::1]:8443", "https://[::1]:8443", False)),
    ],
)
def test_endpoint(text: str | None, endpoint: ApiAddress) -> None:
    """http:// is plaintext, everything else TLS, with the usual ports."""
    assert api_address(text) == endpoint


@pytest.mark.parametrize(
    "text",
    [
        "ftp://x",
        "https://",
        "http://h:port",
        "http://h:99999",
        "https://h/v1",
        "https://u@h",
        "a b",
        "[::1",
    ],
)
def test_bad_endpoint(text: str) -> None:
    """What is no endpoint is a mistake in the configuration, and quoted."""
    with pytest.raises(ConfigError, match="--api-endpoint: "):
        api_address(text)


LIST = """
import json, sys, warnings
from runscrape_generator.cloudrun.discovery import discover
from runscrape_generator.config.settings import Settings
from tests.generator.recorder import Recorder

warnings.simplefilter("error")
settings = Settings(api_endpoint=sys.argv[1], regions=tuple(sys.argv[2:]), timeout=20)
found = discover(settings, {}, Recorder())
print(json.dumps({
    "services": {s.key: [one.name for one in ones] for s, ones in found.scopes.items()},
    "failures": [[f.project, f.region, f.reason, f.remedy] for f in found.failures],
}))
"""

SERVICES = {"demo/europe-west1": ["back-office", "hello"], "demo/us-central1": ["api", "shop"]}


@pytest.fixture
def strict(make_emulator: MakeEmulator, tmp_path: Path) -> Iterator[tuple[Emulator, str, Path]]:
    """Give an emulator behind TLS that answers only to known access tokens."""
    emu = make_emulator(DEMO_WORLD | {"settings": {"require_credentials": True}})
    with tls_front(emu.api, tmp_path) as (endpoint, ca):
        ca.write_text(ca.read_text() + emu.ca_file.read_text())
        yield emu, endpoint, ca


def listed(
    emu: Emulator, endpoint: str, ca: Path, kind: str, *regions: str, **more: str
) -> dict[str, Any]:
    """List in a process of its own: gRPC reads the CA file once in a process."""
    env = {"PATH": os.environ["PATH"], "HOME": str(ca.parent)} | emu.env(kind)
    env |= {"REQUESTS_CA_BUNDLE": str(ca), "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(ca)}
    env |= {"NO_PROXY": "127.0.0.1,localhost"} | more
    command = [sys.executable, "-c", LIST, endpoint, *regions]
    with running(command, ca.parent / "log", env=env, forked=True) as program:
        assert program.process.wait(60) == 0, program.log
        result: dict[str, Any] = json.loads(program.log)  # and nothing else is said
    return result


@pytest.mark.parametrize("kind", ["service_account", "metadata"])
def test_credentials(strict: tuple[Emulator, str, Path], kind: str) -> None:
    """Over TLS, both protocols carry the credentials' token, got once; their project is listed."""
    assert listed(*strict, kind) == {"services": SERVICES, "failures": []}
    assert strict[0].counts()["access_tokens"] == {kind: 1}


@pytest.mark.parametrize("kind", ["authorized_user", "impersonated_service_account"])
def test_credentials_without_project(strict: tuple[Emulator, str, Path], kind: str) -> None:
    """Credentials that name no project take it from GOOGLE_CLOUD_PROJECT."""
    assert listed(*strict, kind, GOOGLE_CLOUD_PROJECT="demo") == {
        "services": SERVICES,
        "failures": [],
    }


def test_refusal_names_the_caller(strict: tuple[Emulator, str, Path]) -> None:
    """Who lacks the role is named, so that the remedy can be pasted."""
    emu = strict[0]
    demo = DEMO_WORLD["projects"]["demo"] | {"viewers": []}
    emu.update({"projects": {"demo": demo}, "settings": {"require_credentials": True}})
    ((project, region, reason, remedy),) = listed(*strict, "service_account")["failures"]
    assert (project, region) == ("demo", None)
    assert "run.services.list" in reason
    email = "prometheus@demo.iam.gserviceaccount.com"
    assert f"--member=serviceAccount:{email} --role=roles/run.viewer" in remedy


@pytest.mark.parametrize("regions", [(), ("us-central1",)], ids=["REST", "gRPC"])
def test_unknown_authority(strict: tuple[Emulator, str, Path], regions: tuple[str, ...]) -> None:
    """A certificate that nothing vouches for fails at once, says what to set, and no more."""
    emu, endpoint, ca = strict
    ca.write_text(emu.ca_file.read_text())
    ((_, _, reason, remedy),) = listed(emu, endpoint, ca, "service_account", *regions)["failures"]
    assert "CERTIFICATE_VERIFY_FAILED" in reason
    assert "set REQUESTS_CA_BUNDLE to a file with its CA" in remedy


UNUSED = "https://127.0.0.1:9"
"""An endpoint that nothing listens at: it is not got to without a token."""


def failures(**settings: Any) -> list[tuple[str, str | None, str]]:
    talk = Recorder()
    discovery = discover(Settings(api_endpoint=UNUSED, **settings), {}, talk)
    assert discovery.scopes == {}
    return [(f.project, f.region, f.reason) for f in discovery.failures]


@pytest.mark.usefixtures("nobody")
def test_no_credentials() -> None:
    """Without credentials every scope that was asked for fails, so that the inventory stands in."""
    told = failures(projects=("a", "b"), regions=("r", "s"))
    assert [(project, region) for project, region, _ in told] == [
        ("a", "r"),
        ("a", "s"),
        ("b", "r"),
        ("b", "s"),
    ]
    assert all(r.startswith("no access token: Your default credentials") for *_, r in told)
    assert [(p, r) for p, r, _ in failures(projects=("a",))] == [("a", None)]


@pytest.mark.parametrize("name", [" ", "../x", "my project", "My-Project"])
def test_a_project_that_is_none(
    nobody: pytest.MonkeyPatch, make_emulator: MakeEmulator, name: str
) -> None:
    """What the environment says is held to what a project's id is made of, as --project is."""
    use_key(nobody, make_emulator(DEMO_WORLD))
    nobody.setenv("GOOGLE_CLOUD_PROJECT", name)
    with pytest.raises(ConfigError, match=r"no project: the credentials name .* is no project id"):
        failures()


@pytest.mark.usefixtures("nobody")
def test_nothing_at_all() -> None:
    """Without credentials or project there is nothing to list, and the remedy is to log in."""
    with pytest.raises(DiscoveryError, match="gcloud auth application-default login"):
        failures()


def test_missing_file(nobody: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A credentials file that is not there is named."""
    nobody.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(DiscoveryError, match=r"key\.json was not found"):
        failures()


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "null",
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '{"type": "external_account", "audience": 5, "credential_source": 5}',
        '{"type": "impersonated_service_account"}',
    ],
    ids=["list", "null", "deep", "numbers", "empty"],
)
def test_a_file_that_is_no_credentials(
    content: str, nobody: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """JSON of another form, at which google-auth stumbles, is named."""
    (tmp_path / "key.json").write_text(content)
    nobody.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(DiscoveryError, match=r"key\.json: not a usable credentials file"):
        failures()


def test_no_project(nobody: pytest.MonkeyPatch, emulator: Emulator) -> None:
    """Credentials that name no project need --project."""
    path = emulator.credentials("authorized_user")
    nobody.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(ConfigError, match="give --project"):
        failures()


def use_key(monkeypatch: pytest.MonkeyPatch, emu: Emulator) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(emu.credentials("service_account")))


def test_plaintext(nobody: pytest.MonkeyPatch, emulator: Emulator) -> None:
    """Over http:// no token is even made, though the credentials still say the project."""
    use_key(nobody, emulator)
    discovery = discover(Settings(api_endpoint=emulator.api), {}, Recorder())
    assert {s.project for s in discovery.scopes} == {"demo"}
    assert emulator.counts()["access_tokens"] == {}


WANTS = DEMO_WORLD | {"settings": {"require_credentials": True}}


def test_plaintext_on_loopback(nobody: pytest.MonkeyPatch, make_emulator: MakeEmulator) -> None:
    """A server on this machine that asks for credentials gets a token, one for both protocols."""
    emu = make_emulator(WANTS)
    use_key(nobody, emu)
    discovery = discover(Settings(api_endpoint=emu.api, timeout=10), {}, Recorder())
    assert {s.key: [each.name for each in some] for s, some in discovery.scopes.items()} == SERVICES
    assert discovery.failures == ()
    assert emu.counts()["access_tokens"] == {"service_account": 1}


def test_plaintext_on_loopback_by_grpc(
    nobody: pytest.MonkeyPatch, make_emulator: MakeEmulator
) -> None:
    """That gRPC is the first to be asked for credentials makes no difference."""
    emu = make_emulator(WANTS)
    use_key(nobody, emu)
    found = discover(Settings(api_endpoint=emu.api, regions=("us-central1",)), {}, Recorder())
    assert [len(services) for services in found.scopes.values()] == [2]


@pytest.mark.usefixtures("nobody")
def test_plaintext_on_loopback_without_credentials(make_emulator: MakeEmulator) -> None:
    """Where there are none to give, that is said, and where to get them."""
    emu, talk = make_emulator(WANTS), Recorder()
    settings = Settings(api_endpoint=emu.api, projects=("demo",), timeout=10)
    (failure,) = discover(settings, {}, talk).failures
    assert failure.reason.startswith("not authenticated: ")
    assert failure.remedy.startswith("run 'gcloud auth application-default login'")
    (warning,) = talk.of("warning")
    assert warning.startswith(f"{emu.api} wants credentials: Your default credentials were not")


def test_plaintext_to_another_host(nobody: pytest.MonkeyPatch, make_emulator: MakeEmulator) -> None:
    """A host that only resolves to loopback gets no token over http://, whatever it asks for."""
    emu = make_emulator(WANTS)
    use_key(nobody, emu)
    elsewhere = emu.api.replace("127.0.0.1", "emulator.localhost")
    (failure,) = discover(Settings(api_endpoint=elsewhere, timeout=10), {}, Recorder()).failures
    assert failure.remedy == "http:// sends no credentials: give --api-endpoint as https://"
    assert emu.counts()["access_tokens"] == {}


@pytest.mark.parametrize(
    ("endpoint", "loopback"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.8.9.1:1", True),
        ("http://[::1]:1", True),
        ("http://localhost", True),
        ("http://LOCALHOST:80", True),
        ("http://localhost.example.com:1", False),
        ("http://127.0.0.1.example.com", False),
        ("http://10.0.0.1", False),
        ("http://0.0.0.0", False),
        ("http://emulator:8080", False),
    ],
)
def test_loopback(endpoint: str, loopback: bool) -> None:  # noqa: FBT001 - the table's
    """Loopback is localhost, 127.0.0.0/8 and ::1, by name or number; only there a token goes."""
    found = api_address(endpoint)
    assert found.loopback == loopback
    if not loopback:
        with pytest.raises(ValueError, match=re.escape(found.target)):
            with_credentials(Access(found, ("demo",)))


class Spy(BaseHTTPRequestHandler):
    """A proxy that wants credentials, and keeps what it is sent."""

    heard: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.heard.append(f"{self.requestline}\n{self.headers}")
        self.send_error(401)

    do_CONNECT = do_GET  # noqa: N815 - http.server's name

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_token_on_loopback_takes_no_proxy(
    nobody: pytest.MonkeyPatch, make_emulator: MakeEmulator
) -> None:
    """A proxy of the environment is another host: it sees neither the token nor the calls."""
    emu = make_emulator(WANTS)
    use_key(nobody, emu)
    with ThreadingHTTPServer(("127.0.0.1", 0), Spy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        nobody.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_port}")
        for name in ("no_proxy", "NO_PROXY"):
            nobody.setenv(name, "127.0.0.1")  # the issuer
        endpoint = emu.api.replace("127.0.0.1", "localhost")
        found = discover(Settings(api_endpoint=endpoint, timeout=10), {}, Recorder())
        proxy.shutdown()
    assert len(found.scopes) == 2
    assert Spy.heard == []


@pytest.mark.parametrize(
    ("fault", "timeout", "reason"),
    [
        ({"status": 400}, 5.0, "no access token: "),
        ({"garbage": True}, 5.0, "no access token: the answer is no token"),
        ({"drop": True}, 3.0, "no access token: "),
        ({"status": 503}, 0.5, "no answer within 0.5 s"),  # google-auth tries for longer
        ({"hang": True}, 0.5, "no answer within 0.5 s"),
        ({"drip": True}, 0.5, "no answer within 0.5 s"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_no_token(
    nobody: pytest.MonkeyPatch,
    make_emulator: MakeEmulator,
    fault: dict[str, Any],
    timeout: float,
    reason: str,
) -> None:
    """Credentials that give no token fail every scope in one line, within the timeout."""
    nobody.setattr(calls, "GRACE", 0.1)
    faults = {"issuers": [{"kind": "service_account"} | fault]}
    use_key(nobody, make_emulator(DEMO_WORLD | {"faults": faults}))
    ((project, region, told),) = failures(timeout=timeout)
    assert (project, region) == ("demo", None)
    assert told.startswith(reason)
    assert "\n" not in told


@pytest.mark.usefixtures("measured_programs")
def test_no_descriptors_left(emulator: Emulator, tmp_path: Path) -> None:
    """Too few file descriptors for a connection are one error with its remedy, where gRPC would
    end the process.
    """
    code = (
        "import os, resource, sys\n"
        "from runscrape_generator.cli import main\n"
        "used = len(os.listdir('/proc/self/fd'))\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (used + 6, used + 6))\n"
        "sys.exit(main.main(sys.argv[1:]))"
    )
    words = ["generate", "--project", "demo", "--api-endpoint", emulator.api, "--promtool", "none"]
    with running([sys.executable, "-c", code, *words], tmp_path / "log", forked=True) as program:
        assert program.process.wait(60) == 4, program.log
    assert "Too many open files" in program.log
    assert "ulimit -n" in program.log
    assert "scrape_configs" not in program.log
