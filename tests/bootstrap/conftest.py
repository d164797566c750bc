"""A Google with a few services, and each platform's bundle written for it and run."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from emulator import Emulator
from runscrape_generator.cli import main as cli
from tests.bootstrap import bundles
from tests.bootstrap.processes import (
    Plan,
    eventually,
    get,
    replacer,
    running,
)
from tests.kit import fast_yaml as yaml
from tests.kit.consumers import releases_of
from tests.kit.measuring import unmeasured_programs

__all__ = ["unmeasured_programs"]

METRICS = {
    "process_start_time_seconds": 1_700_000_000.0,
    "process_cpu_seconds_total": 12.5,
    "process_resident_memory_bytes": 5e7,
}
WORLD: dict[str, Any] = {
    "projects": {
        "demo": {
            "number": 123456789012,
            "regions": ["europe-west1", "us-central1"],
            "services": [
                {"name": "api", "region": "us-central1"},
                {"name": "hello", "region": "europe-west1", "invoker_iam_disabled": True},
            ],
        }
    }
}
for _service in WORLD["projects"]["demo"]["services"]:
    _service["app"] = {"paths": {"/metrics": {"metrics": METRICS}}}
LATER = {"name": "shop", "region": "us-central1", "app": {"paths": {"/metrics": {}}}}
"""A service that comes after the bundle was written."""

# Prometheus in these tests is Debian's, so the bundles are written for one as old.
OLD_PROMETHEUS = ("--prometheus-image", "docker.io/prom/prometheus:v2.42.0")


@pytest.fixture(scope="package", autouse=True)
def no_fsync() -> Iterator[None]:
    """Let no run wait for the disk: no test here is about a machine that stops."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@dataclass(frozen=True)
class Google:
    """The emulator, and what a user's own runscrape.yaml says to get there."""

    emulator: Emulator
    config: Path

    def write(self, directory: Path, *arguments: str) -> Path:
        """Run ``runscrape bootstrap`` in this process, which is quicker; gives the folder."""
        own = ["--project", "demo", "--api-endpoint", self.emulator.api, "-q"]
        assert cli.main(["bootstrap", str(directory), *arguments, *own]) == 0
        return directory


@pytest.fixture(scope="session")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    """Give a Google that nobody changes."""
    with _google(tmp_path_factory.mktemp("google")) as google:
        yield google


@contextlib.contextmanager
def _google(directory: Path) -> Iterator[Google]:
    with Emulator(WORLD, directory) as emulator:
        config = directory / "runscrape.yaml"
        through = {
            "proxy_url": emulator.proxy_url,
            "tls_config": {"ca_file": str(emulator.ca_file)},
        }
        content = {"api_endpoint": emulator.api, "rules": [{"scrape_config": through}]}
        config.write_text(yaml.safe_dump(content))
        yield Google(emulator, config)


@dataclass(frozen=True)
class Written:
    """The bundles as they are written with everything on."""

    compose: Path
    kubernetes: Path
    systemd: Path

    def each(self) -> dict[str, Path]:
        return {"compose": self.compose, "kubernetes": self.kubernetes, "systemd": self.systemd}


@pytest.fixture(scope="session")
def written(google: Google, tmp_path_factory: pytest.TempPathFactory) -> Written:
    directory = tmp_path_factory.mktemp("written")
    key = str(google.emulator.credentials("service_account"))
    return Written(
        google.write(
            directory / "c", "--platform", "compose", "--grafana", "--credentials-file", key
        ),
        google.write(directory / "k", "--platform", "kubernetes", "--operator"),
        google.write(directory / "s", "--platform", "systemd", "--credentials-file", key),
    )


@dataclass(frozen=True)
class Running:
    """A bundle that runs."""

    platform: str
    prometheus: str
    proxy: str
    probes: list[list[str]]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Ask Prometheus; gives the result's series."""
        request = quote(expression, safe="")
        answer = json.loads(get(f"{self.prometheus}/api/v1/query?query={request}"))
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def up(self) -> dict[str, str]:
        """Give ``up`` by service, or by job where it is none."""
        return {
            each["metric"].get("service_name", each["metric"]["job"]): each["value"][1]
            for each in self.query("up")
        }


class Stacks:
    """The bundles that run, all at once: each Prometheus waits 5 s before its first targets
    (``updatert`` of its discovery manager), and they can all wait together.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: dict[str, tuple[Running, contextlib.ExitStack]] = {}

    def start(self, platform: str) -> None:
        """Write and start one, unless it runs already; what it is to do it may not do yet."""
        if platform not in self._running:
            directory = self._directory / platform
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            with contextlib.ExitStack() as stack:
                google = stack.enter_context(_google(directory))
                here = stack.enter_context(_stack(platform, google, directory))
                self._running[platform] = here, stack.pop_all()

    @contextlib.contextmanager
    def use(self, platform: str) -> Iterator[Running]:
        """Wait until it answers, and end it after use."""
        self.start(platform)
        here, stack = self._running.pop(platform)
        with stack:
            eventually(lambda: len(here.up()) > 0, f"{platform}: Prometheus answers")
            yield here

    def close(self) -> None:
        """End what nobody used."""
        for platform in list(self._running):
            self._running.pop(platform)[1].close()


@pytest.fixture(scope="module")
def stacks(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stacks]:
    """Start every platform's bundle that a test of this run asks for."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed")
    with contextlib.closing(Stacks(tmp_path_factory.mktemp("stacks"))) as stacks:
        calls = [getattr(item, "callspec", None) for item in request.session.items]
        for call in calls:
            if call and "stack" in call.params:
                stacks.start(call.params["stack"])
        yield stacks


@pytest.fixture(scope="module", params=["compose", "kubernetes", "systemd", "gateway"])
def stack(request: pytest.FixtureRequest, stacks: Stacks) -> Iterator[Running]:
    """One platform's bundle, written by the command, run by what is written in it."""
    with stacks.use(str(request.param)) as running_here:
        yield running_here


@contextlib.contextmanager
def _stack(platform: str, google: Google, directory: Path) -> Iterator[Running]:
    bundle, logs = directory / "bundle", directory / "logs"
    logs.mkdir()
    arguments = _arguments(platform, google)
    if "gateway" not in arguments:  # whose scrapes the proxy makes
        arguments += ["--config", str(google.config)]
    google.write(bundle, *arguments)
    plan = _plan(platform, bundle, directory)
    google.emulator.update(_with_later())
    with running(plan, _machine(platform, google), logs) as places:
        replace = replacer(places)
        yield Running(
            platform,
            f"http://{places['127.0.0.1:9090']}",
            f"http://{places['127.0.0.1:7777']}",
            [[replace(word) for word in probe] for probe in plan.probes],
        )


def _arguments(platform: str, google: Google) -> list[str]:
    quick = [*OLD_PROMETHEUS, "--scrape-interval", "1s", "--scrape-timeout", "1s"]
    if platform == "gateway":
        return [*quick, "--platform", "compose", "--mode", "gateway"]
    if platform == "systemd":
        if releases_of("prometheus")[-1].release < (2, 43):  # which has no scrape_config_files
            quick += ["--prometheus-version", "2.42"]
        return [*quick, "--platform", platform]
    quick += ["--platform", platform]
    if platform == "compose":
        quick += ["--credentials-file", str(google.emulator.credentials("service_account"))]
    return quick


def _plan(platform: str, bundle: Path, directory: Path) -> Plan:
    if platform in {"compose", "gateway"}:
        return bundles.compose(bundle)
    if platform == "kubernetes":
        return bundles.kubernetes(bundle)
    root = directory / "root"
    root.mkdir()
    subprocess.run(
        ["sh", bundle / "install.sh"], env=os.environ | {"DESTDIR": str(root)}, check=True
    )
    return bundles.systemd(root, bundle / "prometheus-lines.yml")


def _machine(platform: str, google: Google) -> Mapping[str, str]:
    """What the machine gives the processes: a way out, and for two of them its identity."""
    kind = "service_account" if platform == "compose" else "metadata"
    variables = dict(google.emulator.env(kind))
    variables.pop("GOOGLE_APPLICATION_CREDENTIALS", None)
    return variables


def _with_later() -> dict[str, Any]:
    world = copy.deepcopy(WORLD)
    world["projects"]["demo"]["services"].append(LATER)
    return world
