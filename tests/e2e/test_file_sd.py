"""examples/file-sd under a real Prometheus: targets follow Cloud Run, with no reload or loss."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.stack import (
    DOWN,
    EXAMPLE,
    NAMES,
    REGIONS,
    Prometheus,
    Stack,
    placed,
    rewrite,
    stack,
    world,
)
from tests.generator.commands_kit import run_here
from tests.generator.publishing_kit import state
from tests.kit.waiting import until

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Prometheus")

READ = "prometheus_sd_file_scan_duration_seconds_count"
RELOADED = "prometheus_config_last_reload_success_timestamp_seconds"
REWRITES = 60


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything but Prometheus, with the targets of a first run as JSON and as YAML."""
    with stack(tmp_path_factory.mktemp("file-sd")) as running:
        for output in (running.targets, running.targets_yaml):
            done = running.run("--output", output)
            assert done.returncode == 0, done.stderr
        yield running


@pytest.fixture(scope="module")
def servers(whole: Stack) -> Iterator[tuple[Prometheus, Prometheus]]:
    """Two servers for the whole module: one reads JSON, one YAML."""
    with whole.prometheus() as json, whole.prometheus("targets.yml") as yaml:
        yield json, yaml


@pytest.fixture
def site(whole: Stack) -> Iterator[Stack]:
    """The world and the files as they were in the beginning, for each test."""
    files = [whole.targets, whole.targets_yaml, whole.inventory]
    kept = {path: path.read_bytes() for path in files}
    yield whole
    whole.google.update(world())
    for path, data in kept.items():
        path.with_name("next").write_bytes(data)
        path.with_name("next").replace(path)


@pytest.fixture
def web(site: Stack, servers: tuple[Prometheus, Prometheus]) -> Prometheus:
    """The server that reads JSON, with all targets of the beginning up."""
    assert site.targets.exists()
    servers[0].until_up(*NAMES)
    return servers[0]


@contextmanager
def polled(*servers: Prometheus) -> Iterator[set[frozenset[str]]]:
    """Ask for the targets all the while; gives every set of services that showed."""
    found: set[frozenset[str]] = set()
    over = threading.Event()

    def poll() -> None:
        while True:
            last = over.wait(0.05)
            found.update(frozenset(server.seen()) for server in servers)
            if last:
                return

    with ThreadPoolExecutor(1) as pool:
        polling = pool.submit(poll)
        try:
            yield found
        finally:
            over.set()
            polling.result()


def test_the_token_goes_only_to_those_it_is_made_for(site: Stack, web: Prometheus) -> None:
    """A public service is scraped without a token, and one with another audience not at all."""
    assert "odd" in site.targets.read_text()
    assert "odd" not in web.seen()
    assert web.seen()["hello"]["scrapePool"] == "cloudrun-public"
    assert "authorization" not in site.google.last_headers(f"demo/{REGIONS[1]}/hello")
    assert "authorization" in site.google.last_headers(f"demo/{REGIONS[1]}/api")


def test_an_outage_of_google(site: Stack, web: Prometheus) -> None:
    """While nothing can be listed runs exit 3 or 4, touch nothing, and no target is lost."""
    site.google.update(world(faults=DOWN))
    with polled(web) as found:
        before = state(site.targets.parent)
        assert site.run().returncode == 3
        assert state(site.targets.parent) == before
        site.inventory.unlink()
        del before["inventory.json"]
        assert site.run().returncode == 4
        assert state(site.targets.parent) == before
    assert found == {frozenset(NAMES)}


@pytest.mark.parametrize("left", [(), ("api", "odd")])
def test_the_guard_keeps_the_targets(site: Stack, web: Prometheus, left: tuple[str, ...]) -> None:
    """A run that would remove all or more than half is refused, and no target is lost."""
    site.google.update(world(left))
    before = state(site.targets.parent)
    with polled(web) as found:
        refused = site.run()
        assert state(site.targets.parent) == before
    assert (refused.returncode, found) == (5, {frozenset(NAMES)})
    assert "--max-removed 100" in refused.stderr


def test_many_rewrites(site: Stack, servers: tuple[Prometheus, Prometheus]) -> None:
    """However often the file is replaced, Prometheus never reads half of it or loses a target."""
    for server in servers:
        server.until_up(*NAMES)
    read = [server.metric(READ) for server in servers]
    both = (site.targets, site.targets_yaml)
    with polled(*servers) as found, ThreadPoolExecutor(2) as pool:
        for writer in [pool.submit(rewrite, file, REWRITES) for file in both]:
            writer.result()
    assert found == {frozenset(NAMES)}
    for server, before in zip(servers, read, strict=True):
        assert server.metric(READ) > before + 10
        assert server.metric("prometheus_sd_file_read_errors_total") == 0
        server.until_up(*NAMES)


def test_a_restart_of_prometheus(site: Stack, web: Prometheus) -> None:
    """Prometheus that is killed and started again has its targets, also while Google is down."""
    site.google.update(world(faults=DOWN))
    assert site.run().returncode == 3
    web.kill()
    web.start()
    web.until_up(*NAMES)


def test_services_come_go_and_change(site: Stack, web: Prometheus) -> None:
    """What is added, removed, labelled or moved shows, and is scraped, without a reload.

    The job that sees to it was started while Google failed.
    """
    started = web.metric(RELOADED)
    site.google.update(world(faults=DOWN))
    with site.watch() as log:
        until(lambda: "inventory" in log.read_text(), why="a run that failed")
        site.google.update(world([*NAMES, "odd", "desk"]))
        web.until_up(*NAMES, "desk")
        changed = {
            "labels": {"team": "core"},
            "annotations": {"prometheus.io/path": "/stats"},
            "app": {"paths": {"/stats": {}}},
        }
        site.google.update(world(["api", "cart", "desk", "hello", "odd"], {"cart": changed}))
        web.until_up("api", "cart", "desk", "hello")
        until(lambda: web.seen()["cart"]["labels"].get("team") == "core", why="the new label")
        web.until_up("api", "cart", "desk", "hello")
        assert web.seen()["cart"]["scrapeUrl"].endswith("/stats")
    assert web.metric(RELOADED) == started > 0


def test_a_reload_is_not_for_targets(site: Stack) -> None:
    """Settings shared with `generate` may name a reload; writing targets asks for none."""
    both = site.folder / "both.yaml"
    both.write_text((site.folder / "runscrape.yaml").read_text() + "reload_command: exit 1\n")
    site.google.update(world([*NAMES, "desk"]))
    done = site.run("--config", both)
    assert done.returncode == 0
    assert "desk" in site.targets.read_text()
    assert "reload" not in done.stderr


def test_several_audiences_are_named(site: Stack) -> None:
    """Whoever writes targets that no single token fits is told so, and what can be done."""
    mixed = site.run("-v")
    assert "no one token fits all targets" in mixed.stderr
    assert "https://metrics.example.com (3)" in mixed.stderr


def blocks(language: str, folder: Path) -> list[str]:
    """The README's code blocks in one language."""
    return re.findall(rf"```{language}\n(.*?)```", placed("README.md", folder), re.DOTALL)


def commands(folder: Path) -> Iterator[list[str]]:
    """What the README has cron and systemd run."""
    (crontab,) = blocks("crontab", folder)
    *_, entry = crontab.splitlines()
    _, user, command = entry[: len("*/2 * * * *")], *entry[len("*/2 * * * * ") :].split(" ", 1)
    assert user == "runscrape"
    yield shlex.split(command)
    (start,) = re.findall(r"^ExecStart=(.*)$", blocks("ini", folder)[0], re.MULTILINE)
    yield shlex.split(start)


def test_the_readmes_commands(site: Stack) -> None:
    """What cron and systemd are told to run finds everything, and -q is silent."""
    for program, *words in commands(site.folder):
        assert Path(program).name == "runscrape"
        site.targets.unlink()
        done = run_here(words, site.environ)
        assert (done.returncode, done.stdout) == (0, "")
        assert bool(done.stderr) == ("-q" not in words)
        assert all(name in site.targets.read_text() for name in NAMES)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """The service manager has nothing to say about the README's units."""
    service, timer = blocks("ini", tmp_path)
    service = service.replace("/usr/local/bin/runscrape", "/bin/true")
    (tmp_path / "runscrape-targets.service").write_text(service)
    (tmp_path / "runscrape-targets.timer").write_text(timer)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "runscrape-targets.timer"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_promtool_takes_the_example() -> None:
    """The example is a good configuration as it stands."""
    done = subprocess.run(
        ["promtool", "check", "config", EXAMPLE / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
