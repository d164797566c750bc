"""Record what a real Prometheus has of each fault, for ``test_faults.py``.

Run by hand, with Prometheus installed, after a change of what the proxy or the gateway answers::

    PYTHONPATH=examples:. .venv/bin/python -m tests.bootstrap.record_faults

It runs the Compose bundle in both modes with a service for each fault, waits until every target was
scraped several times, and writes the last sample of each series that the rules read (for counters
what they grew by in a minute) to ``recorded_faults.json``.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from emulator import Emulator
from runscrape_generator.cli import main as cli
from tests.bootstrap import bundles
from tests.bootstrap.processes import Plan, eventually, get, running

RECORDED = Path(__file__).with_name("recorded_faults.json")
MODES = ("oauth2", "gateway")
TIMEOUT = 4
SECONDS = 45
"""How long each run lasts: ten scrapes, and time for counters to grow."""

SERVICES: Mapping[str, Mapping[str, Any]] = {
    "well": {},
    "hangs": {"app": {"hang": True}},
    "drips": {"app": {"drip": True}},
    "near-timeout": {"app": {"latency": 3.3}},
    "breaks-off": {"app": {"drop": True}},
    "not-found": {"annotations": {"prometheus.io/path": "/nowhere"}},
    "forbidden": {"invokers": []},
    "error": {"app": {"status": 500}},
    "no-token": {},
    "token-hangs": {},
}
SERIES = (
    "up",
    "scrape_duration_seconds",
    "scrape_timeout_seconds",
    "runscrape_proxy_audiences",
    "runscrape_proxy_token_expiry_timestamp_seconds",
    "runscrape_proxy_inventory_last_reload_successful",
    "runscrape_proxy_mints_total",
    "runscrape_proxy_token_requests_total",
    "runscrape_proxy_gateway_requests_total",
)
TARGETS = "targets"
"""The name of the run with a service for each fault; the others are faults of all targets."""


def world() -> dict[str, Any]:
    services = [{"name": name, "region": "us-central1", **each} for name, each in SERVICES.items()]
    project = {"number": 123456789012, "regions": ["us-central1"], "services": services}
    tokens = [
        {"kind": "metadata", "audience": "*no-token*", "status": 500},
        {"kind": "metadata", "audience": "*token-hangs*", "hang": True},
    ]
    return {"projects": {"demo": project}, "faults": {"issuers": tokens}}


@contextmanager
def site(mode: str, fault: str, directory: Path) -> Iterator[str]:
    """Run the bundle with the fault; gives Prometheus' address."""
    with Emulator(world(), directory / "google") as google:
        config = directory / "runscrape.yaml"
        own: dict[str, Any] = {"api_endpoint": google.api}
        if mode == "oauth2":
            way = {"proxy_url": google.proxy_url, "tls_config": {"ca_file": str(google.ca_file)}}
            own["rules"] = [{"scrape_config": way}]
        config.write_text(yaml.safe_dump(own))
        bundle = directory / "bundle"
        words = ["bootstrap", str(bundle), "--platform", "compose", "--project", "demo", "-q"]
        words += ["--mode", mode, "--config", str(config)]
        words += ["--scrape-interval", f"{TIMEOUT}s", "--scrape-timeout", f"{TIMEOUT}s"]
        words += ["--prometheus-image", "docker.io/prom/prometheus:v2.42.0"]
        assert cli.main(words) == 0
        plan = bundles.compose(bundle)
        if fault == "other-secret":
            other = bundle / "secrets/other"
            other.write_text("another secret")
            (proxy,) = (each for each in plan.processes if each.name == "proxy")
            index = list(proxy.argv).index("--client-secret-file") + 1
            proxy.argv[index] = str(other)  # type: ignore[index]
        if fault == "proxy-down":
            kept = [each for each in plan.processes if each.name != "proxy"]
            plan = Plan(kept, plan.places, plan.root)
        machine = google.env("metadata")
        (directory / "logs").mkdir()
        with running(plan, machine, directory / "logs") as places:
            yield f"http://{places['127.0.0.1:9090']}"


def samples(prometheus: str, expression: str) -> list[dict[str, Any]]:
    answer = json.loads(get(f"{prometheus}/api/v1/query?query={quote(expression, safe='')}"))
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def record(prometheus: str) -> Iterator[dict[str, Any]]:
    """Give labels, last value and growth in a minute of each series."""
    now = time.time()
    for name in SERIES:
        grown = {}
        if name.endswith("_total"):
            for each in samples(prometheus, f"rate({name}[30s]) * 60"):
                grown[json.dumps(each["metric"], sort_keys=True)] = float(each["value"][1])
        for each in samples(prometheus, name):
            labels = {key: value for key, value in each["metric"].items() if key != "__name__"}
            value = float(each["value"][1])
            if name.endswith("_timestamp_seconds"):
                value -= now
            entry = {"name": name, "labels": labels, "value": round(value, 2)}
            if name.endswith("_total"):
                entry["per_minute"] = round(grown.get(json.dumps(labels, sort_keys=True), 0.0), 2)
            yield entry


def all_scraped(prometheus: str) -> bool:
    return len(samples(prometheus, 'up{service_name!=""}')) == len(SERVICES)


def main() -> None:
    recorded: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for fault in (TARGETS, "other-secret", "proxy-down"):
        for mode in MODES:
            directory = Path(tempfile.mkdtemp(prefix="faults-"))
            with site(mode, fault, directory) as prometheus:
                eventually(partial(all_scraped, prometheus), "all targets scraped")
                time.sleep(SECONDS)
                recorded.setdefault(fault, {})[mode] = list(record(prometheus))
            shutil.rmtree(directory)
    RECORDED.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
