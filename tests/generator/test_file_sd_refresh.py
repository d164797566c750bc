"""file_sd targets under a running Prometheus: seen within seconds, never lost, no reload."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator import Emulator
from runscrape_generator import files, run
from runscrape_generator.settings import Settings
from tests.generator.commands_kit import failing, world
from tests.generator.publishing_kit import free_port, get, prometheus, until
from tests.generator.recorder import Recorder

CONFIG = """
scrape_configs:
- job_name: cloud-run
  scrape_interval: 1d
  proxy_url: http://127.0.0.1:9  # nothing leaves this machine
  file_sd_configs: [{files: [targets.json]}]
"""


@pytest.fixture
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(world(), tmp_path_factory.mktemp("google")) as running:
        yield running


def seen(address: str) -> set[tuple[str, str]]:
    """Service and path of every target that Prometheus has now."""
    answer = json.loads(get(f"{address}/api/v1/targets?state=active") or '{"data": null}')
    targets = (answer["data"] or {}).get("activeTargets", [])
    return {
        (target["labels"]["service_name"], target["discoveredLabels"].get("__metrics_path__", ""))
        for target in targets
    }


def refresh(settings: Settings) -> int:
    return run.once("targets", settings, Recorder(), stdout=io.StringIO()).exit_code


def services(*names: str) -> set[tuple[str, str]]:
    return {(f"svc-{name}", "/metrics") for name in names}


def test_refresh_job(tmp_path: Path, google: Emulator) -> None:
    """Prometheus follows the world, through an outage, a thousand rewrites and its own restart."""
    folder = tmp_path / "etc"
    folder.mkdir()
    output = folder / "targets.json"
    settings = Settings(projects=("demo",), api_endpoint=google.api, output=output)
    (folder / "prometheus.yml").write_text(CONFIG)
    assert refresh(settings) == 0
    port = free_port()
    with prometheus(folder / "prometheus.yml", port=port) as address:
        until(lambda: seen(address) == services(*"abcd"), why="the first targets")
        changed = world("abce")
        changed["projects"]["demo"]["services"][0]["annotations"] = {"prometheus.io/path": "/m"}
        google.update(changed)
        assert refresh(settings) == 0
        expected = services(*"bce") | {("svc-a", "/m")}
        until(lambda: seen(address) == expected, why="the changed targets")
        google.update(world("", failing("*")))
        assert refresh(settings) == 3
        assert rewritten(output, address) == {frozenset(expected)}
    with prometheus(folder / "prometheus.yml", port=port) as address:
        until(lambda: seen(address) == expected, why="the targets after the restart")


def rewritten(output: Path, address: str) -> set[frozenset[tuple[str, str]]]:
    """Rewrite the file a thousand times; gives every set of targets that showed meanwhile."""
    data = output.read_bytes()
    found: set[frozenset[tuple[str, str]]] = set()

    def rewrite() -> None:
        for turn in range(1000):
            files.replace(output, data + b"\n" * (turn % 2))

    writer = threading.Thread(target=rewrite)
    writer.start()
    while writer.is_alive():
        found.add(frozenset(seen(address)))
    writer.join()
    return found
