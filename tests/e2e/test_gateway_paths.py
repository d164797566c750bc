"""Paths that the generator takes reach a service through the gateway as they would directly."""

from __future__ import annotations

import contextlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from runscrape_generator.selection.annotations import path as taken
from tests.e2e.stack import QUICK
from tests.kit import fast_yaml as yaml
from tests.kit.prometheus import prometheus
from tests.kit.waiting import until
from tests.proxy.gateway_kit import SECRET, gateway, service, write_inventory

if TYPE_CHECKING:
    from pathlib import Path

PATHS = (
    "/metrics",
    "/a//b",
    "//a",
    "/a/../b",
    "/a/..;x/b",
    "/.",
    "/a%20b",
    "/a%2Fb",
    "/a/%2e%2e/b",
    "/a%25b",
    "/a%2Cb",
    "/a\\b",
    "/a;b=c",
    "/ü",
    "/~$&+:=@!'()*",
    '/<>"[]^`{|}',
)


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Prometheus")
def test_paths_under_prometheus(tmp_path: Path) -> None:
    """The service sees the same request line, whichever way Prometheus goes."""
    assert [taken(each) for each in PATHS] == list(PATHS)
    folder = tmp_path / "etc"
    folder.mkdir()
    with gateway(tmp_path) as gate, contextlib.ExitStack() as ending:
        kept = [service(f"path{n}", metrics_path=path) for n, path in enumerate(PATHS)]
        write_inventory(gate.inventory, *kept)
        until(lambda: gate.scrape("http://path0.a.run.app/metrics").status == 200, "the inventory")
        direct = [
            {"targets": [f"direct{n}.a.run.app"], "labels": {"__metrics_path__": path}}
            for n, path in enumerate(PATHS)
        ]
        (folder / "direct.json").write_text(json.dumps(direct))
        gate.services.asked.clear()
        config = folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(_jobs(gate.proxy.url, gate.services.proxy_url, tmp_path)))
        ending.enter_context(prometheus(config, QUICK))

        def asked() -> dict[str, set[str]]:
            found: dict[str, set[str]] = {}
            for each in gate.services.asked:
                if each.method == "GET":
                    found.setdefault(each.headers["host"].partition(".")[0], set()).add(each.target)
            return found

        until(lambda: len(asked()) == 2 * len(PATHS), "each to be asked", changing=asked)
        seen = asked()
        through = {path: seen[f"path{n}"] for n, path in enumerate(PATHS)}
        assert through == {path: seen[f"direct{n}"] for n, path in enumerate(PATHS)}


def _jobs(gateway_url: str, services_url: str, folder: Path) -> dict[str, Any]:
    login = {"username": "prometheus", "password": SECRET}
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {
                "job_name": "gateway",
                "proxy_url": gateway_url,
                "basic_auth": login,
                "http_sd_configs": [{"url": f"{gateway_url}/targets", "basic_auth": login}],
            },
            {
                "job_name": "direct",
                "scheme": "https",
                "proxy_url": services_url,
                "tls_config": {"ca_file": str(folder / "odd-ca.pem")},
                "file_sd_configs": [{"files": ["direct.json"]}],
            },
        ],
    }
