"""The emulator as a program of its own."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from emulator.__main__ import main
from emulator.credentials import KINDS
from tests.conftest import DEMO_WORLD
from tests.kit.ports import free_port
from tests.kit.programs import running
from tests.kit.waiting import QUIET

# What a child process does: google-auth's own look-up, in nothing but the given environment.
CHILD = """
import sys, google.auth, google.auth.transport.requests as transport, google.oauth2.id_token
request = transport.Request()
google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"], request=request)
token = google.oauth2.id_token.fetch_id_token(request, sys.argv[1])
answer = transport.requests.get(
    sys.argv[1] + "/metrics", headers={"Authorization": f"Bearer {token}"}, timeout=10)
print(answer.status_code)
"""


@contextlib.contextmanager
def program(directory: Path, *options: str, world: Any = DEMO_WORLD) -> Iterator[dict[str, Any]]:
    """Run the emulator; give emulator.json; SIGTERM must end it with 0."""
    path = directory / "world.json"
    path.write_text(json.dumps(world))
    command = [sys.executable, "-m", "emulator", "--world", str(path)]
    command += ["--directory", str(directory), *options]
    with running(command, directory / "log", forked=True) as started:
        started.until_it_says("listening.*\n")
        said = started.log
        yield json.loads((directory / "emulator.json").read_text())
        assert (started.stop(), started.log) == (0, said)


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with program(tmp_path_factory.mktemp("program")) as described:
        yield described


@pytest.mark.parametrize("kind", ["service_account", "impersonated_service_account", "metadata"])
def test_environment_is_all_a_child_needs(
    google: dict[str, Any], tmp_path: Path, kind: str
) -> None:
    """With emulator.json's variables alone, google-auth gets a token and the service answers."""
    service = "https://api-123456789012.us-central1.run.app"
    command = [sys.executable, "-c", CHILD, service]
    with running(command, tmp_path / "log", env=google["env"][kind], forked=True) as child:
        assert (child.process.wait(QUIET), child.log) == (0, "200\n")


def test_description(google: dict[str, Any]) -> None:
    """emulator.json has an address for each part, a file and an environment for each kind."""
    assert set(google["credentials"]) == set(KINDS)
    assert set(google["env"]) == {*KINDS, "metadata"}
    assert "GOOGLE_APPLICATION_CREDENTIALS" not in google["env"]["metadata"]
    assert requests.get(f"{google['api']}/v1/projects/demo/locations", timeout=10).ok
    for path in (*google["credentials"].values(), google["ca_file"]):
        assert Path(path).stat().st_size


def test_credential_files_are_private(google: dict[str, Any]) -> None:
    """Nobody else may read the credential files."""
    assert {Path(path).stat().st_mode & 0o777 for path in google["credentials"].values()} == {0o600}


def test_ports_and_keys_survive_a_restart(google: dict[str, Any], tmp_path: Path) -> None:
    """A fixed port is used, and with the keys of before a token from before is good."""
    before = requests.get(f"{google['issuer']}/certs", timeout=10).json()
    shutil.copytree(Path(google["ca_file"]).with_name("keys"), tmp_path / "keys")
    port = free_port()
    with program(tmp_path, "--api-port", str(port)) as restarted:
        assert restarted["api"] == f"http://127.0.0.1:{port}"
        assert requests.get(f"{restarted['issuer']}/certs", timeout=10).json() == before


@pytest.fixture
def handlers() -> Iterator[None]:
    """Signal handlers, put back as they were."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_bad_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad world or a taken port ends the start with a line a mistake, and status 1."""
    world = tmp_path / "world.yaml"
    arguments = ["--world", str(world), "--directory", str(tmp_path)]
    world.write_text("projects: {demo: {nummer: 1}}")
    assert main(arguments) == 1
    assert capsys.readouterr().err.splitlines() == [
        "emulator: world.projects.demo: 'number' is missing",
        "emulator: world.projects.demo: unknown key 'nummer'",
    ]
    world.write_text(json.dumps(DEMO_WORLD))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main([*arguments, "--proxy-port", str(taken.getsockname()[1])]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "Address already in use" in line
