"""Each fault fires the alerts that name it, and no others, in both modes.

The series are a real Prometheus', as ``record_faults.py`` recorded them once for each fault.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.bootstrap import record_faults
from tests.bootstrap.test_rules import rules  # noqa: F401 - a fixture
from tests.kit import fast_yaml as yaml

RECORDED: Mapping[str, Mapping[str, list[dict[str, Any]]]] = json.loads(
    record_faults.RECORDED.read_text()
)
MINUTES = 30
Firing = tuple[str, str, str]
"""Alert, service, and cause or result."""

DOWN, NEAR = "RunscrapeTargetDown", "RunscrapeScrapeNearTimeout"
NO_TOKENS = {("RunscrapeProxyNotReady", "", ""), ("RunscrapeProxyMintFailures", "", "")}
CAUSES = {
    "hangs": "timeout",
    "drips": "timeout",
    "breaks-off": "refused",
    "not-found": "refused",
    "forbidden": "refused",
    "error": "refused",
    "no-token": "token",
    "token-hangs": "token",
}
EXPECTED: Mapping[str, set[Firing]] = {
    record_faults.TARGETS: {
        *NO_TOKENS,
        *((DOWN, service, cause) for service, cause in CAUSES.items()),
        (NEAR, "near-timeout", ""),
    },
    "other-secret": {
        *NO_TOKENS,
        ("RunscrapeProxyRefusesRequests", "", "invalid_client"),
        *(
            (DOWN, service, "token" if CAUSES.get(service) == "token" else "secret")
            for service in record_faults.SERVICES
        ),
    },
    "proxy-down": {("RunscrapeProxyDown", "", "")},
}


def series(recorded: Mapping[str, Any]) -> dict[str, str]:
    """Let a sample of the record go on for half an hour, by the minute, as it was."""
    labels = ",".join(f"{key}={json.dumps(value)}" for key, value in recorded["labels"].items())
    value, grows = recorded["value"], recorded.get("per_minute", 0)
    if recorded["name"].endswith("_timestamp_seconds"):
        grows = 60  # it stays as far ahead as it was
    values = f"{value}+{grows}x{MINUTES}" if grows else f"{value}x{MINUTES}"
    return {"series": f"{recorded['name']}{{{labels}}}", "values": values}


GENERATOR = {
    "series": 'runscrape_last_success_timestamp_seconds{job="runscrape"}',
    "values": f"0+60x{MINUTES}",
}
"""The generator is well in all of them; its alerts have cases of their own."""


@pytest.mark.parametrize("mode", record_faults.MODES)
@pytest.mark.parametrize("fault", EXPECTED)
def test_each_fault_fires_what_names_it(
    rules: Path,  # noqa: F811
    fault: str,
    mode: str,
) -> None:
    """Of the recorded faults each fires its own alert with its cause, through the gateway too."""
    shown = 'group by (alertname, service_name, cause, result) (ALERTS{alertstate="firing"})'
    firing = [
        {
            "labels": label(alert=alert, service=service, detail=detail),
            "value": 1,
        }
        for alert, service, detail in sorted(EXPECTED[fault])
    ]
    case = {
        "interval": "1m",
        "input_series": [GENERATOR, *map(series, RECORDED[fault][mode])],
        "promql_expr_test": [{"expr": shown, "eval_time": "25m", "exp_samples": firing}],
    }
    order = ["recording", "down", "proxy", "generator", "targets"]
    cases = {
        "rule_files": ["alerts.yml", "recording.yml"],
        "evaluation_interval": "1m",
        "group_eval_order": [f"runscrape-{name}" for name in order],
        "tests": [case],
    }
    path = rules / f"{fault}-{mode}.yml"
    path.write_text(yaml.safe_dump(cases))
    done = subprocess.run(
        ["promtool", "test", "rules", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def label(*, alert: str, service: str, detail: str) -> str:
    """Write the labels as promtool does; without those that are empty."""
    found = {"alertname": alert, "service_name": service}
    found["cause" if alert == DOWN else "result"] = detail
    return "{" + ", ".join(f'{key}="{value}"' for key, value in found.items() if value) + "}"


def test_every_fault_was_recorded() -> None:
    """The record has every service of every fault, in both modes, scraped."""
    assert RECORDED.keys() == EXPECTED.keys()
    for fault, modes in RECORDED.items():
        assert set(modes) == set(record_faults.MODES), fault
        for recorded in modes.values():
            scraped = {each["labels"].get("service_name") for each in recorded}
            assert record_faults.SERVICES.keys() <= scraped
