"""``GET /targets``: a Prometheus that follows services with no file shared."""

from __future__ import annotations

import json
import shutil
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.gateway_stack import Site, site, world
from tests.kit import fast_yaml as yaml
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICES: dict[str, dict[str, Any]] = {
    "api": {
        "labels": {"team": "web", "odd-label": "1", "odd_label": "2"},
        "annotations": {
            "prometheus.io/path": "/internal",
            "prometheus.io/interval": "15s",
            "prometheus.io/timeout": "10s",
            "prometheus.io/param-module": "all",
        },
    },
    "slow": {"annotations": {"prometheus.io/timeout": "20s"}},
    "hello": {"invoker_iam_disabled": True, "max_instances": 3},
    "hidden": {"annotations": {"prometheus.io/scrape": "false"}},
    "many": {},
}
RULE = {
    "match": {"service": "many"},
    "labels": {"tier": "gold"},
    "endpoints": ["/metrics", {"path": "/slow", "scrape_interval": "5m", "scrape_timeout": "30s"}],
}


@pytest.fixture(scope="module", name="running")
def running_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("http-sd"), world(SERVICES), rules=[RULE]) as running:
        yield running


def test_no_inventory_yet(running: Site) -> None:
    """Before the inventory is there it is a 503, on which Prometheus keeps what it has."""
    if not (running.folder / "inventory.json").exists():
        answer = running.proxy.get("/targets")
        assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")


def test_the_same_as_the_file(running: Site) -> None:
    """What is served is to the letter what ``runscrape targets`` writes for the gateway."""
    running.run("targets")
    written = json.loads(running.targets.read_text())
    until(lambda: running.proxy.get("/targets").status == 200, why="the inventory to be seen")
    answer = running.proxy.get("/targets")
    assert answer.headers["content-type"] == "application/json"
    assert len(written) == 5
    assert json.loads(answer.body) == written


def test_a_broken_inventory_changes_nothing(running: Site) -> None:
    """While the file is broken, or away, the last good list is served."""
    running.run("targets")
    before = until(lambda: served(running), why="the proxy to read the inventory")
    inventory = running.folder / "inventory.json"
    good = inventory.read_bytes()
    inventory.write_bytes(good[: len(good) // 2])
    until(lambda: "inventory.json: " in running.proxy.log, why="a look at the broken file")
    answer = running.proxy.get("/targets")
    assert (answer.status, answer.body) == (200, before)
    inventory.write_bytes(good)


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Prometheus")
def test_prometheus_follows(running: Site) -> None:
    """Services come and go in a real Prometheus by one static job and the proxy alone."""
    running.google.update(world({"one": {}, "two": {}}))
    running.config.write_text(yaml.safe_dump(static_job(running)))
    with running.watch(), running.prometheus() as server:
        server.until_health(one="up", two="up")
        running.google.update(world({"two": {}, "three": {"labels": {"team": "web"}}}))
        seen = server.until_health(two="up", three="up")
        assert seen["three"]["labels"]["job"] == "cloudrun/my-project/us-central1/three"


def served(site: Site) -> bytes:
    """Give the list of targets; empty while the proxy has none."""
    answer = site.proxy.get("/targets")
    return answer.body if answer.status == HTTPStatus.OK else b""


def static_job(running: Site) -> dict[str, Any]:
    """A configuration that never changes."""
    job = {
        "job_name": "cloudrun",
        "proxy_url": running.proxy.url,
        "basic_auth": {
            "username": "prometheus",
            "password_file": str(running.folder / "secret"),
        },
        "http_sd_configs": [{"url": f"{running.proxy.url}/targets", "refresh_interval": "1s"}],
        "relabel_configs": [{"source_labels": ["__meta_cloudrun_job"], "target_label": "job"}],
    }
    return {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
