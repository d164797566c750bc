"""Alert and recording rules, asked of promtool."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runscrape_generator.bootstrap import templates as bootstrap_templates
from tests.bootstrap.conftest import Written
from tests.kit import fast_yaml as yaml

HERE = Path(__file__).parent
VALUES = {
    "operator": False,
    "proxy_log": "PROXY LOG",
    "generator_log": "GENERATOR LOG",
    "doctor": "runscrape doctor",
    "stale_after": 900,
    "failing_for": "15m",
    "scrape_timeout": "10",
}


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("rules")
    for name in ("alerts.yml", "recording.yml"):
        text = bootstrap_templates.render(f"common/{name}", **VALUES)
        (directory / name).write_text(text)
    (directory / "cases.yml").write_text((HERE / "alerts_test.yml").read_text())
    return directory


def promtool(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_promtool_accepts_them(rules: Path) -> None:
    """Both files are rules that Prometheus loads, without a lint."""
    done = promtool("check", "rules", "--lint=all", "alerts.yml", "recording.yml", cwd=rules)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout + done.stderr


def test_every_case_holds(rules: Path) -> None:
    """Each alert fires, with its text, when it should, and is silent when it should be."""
    done = promtool("test", "rules", "cases.yml", cwd=rules)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_case_can_fail(rules: Path) -> None:
    """The cases look at the rules: with a threshold moved, promtool refuses those that it is for,
    which it took before.
    """
    broken = rules / "broken"
    broken.mkdir()
    text = (rules / "alerts.yml").read_text()
    moved = "runscrape_proxy_inventory_last_reload_successful == 0"
    assert moved in text
    (broken / "alerts.yml").write_text(text.replace(moved, moved[:-1] + "2"))
    shutil.copy(rules / "recording.yml", broken)
    cases = yaml.safe_load((rules / "cases.yml").read_text())
    alert = "RunscrapeProxyInventoryUnreadable"
    cases["tests"] = [each for each in cases["tests"] if fires(each, alert)]
    (broken / "cases.yml").write_text(yaml.safe_dump(cases))
    done = promtool("test", "rules", "cases.yml", cwd=broken)
    assert done.returncode != 0
    assert set(re.findall(r"alertname: *(\w+)", done.stdout + done.stderr)) == {alert}


def fires(test: dict[str, Any], alert: str) -> bool:
    cases = test.get("alert_rule_test", [])
    return any(case["alertname"] == alert and case.get("exp_alerts") for case in cases)


def test_every_alert_has_both_cases(rules: Path) -> None:
    """No alert without a case in which it fires and one in which it does not."""
    cases: dict[str, set[bool]] = {}
    for test in yaml.safe_load((rules / "cases.yml").read_text())["tests"]:
        for case in test.get("alert_rule_test", []):
            cases.setdefault(case["alertname"], set()).add(bool(case.get("exp_alerts")))
    alerts = {each["alert"] for each in of(rules / "alerts.yml")}
    assert alerts == cases.keys()
    assert all(both == {True, False} for both in cases.values())


def test_every_record_has_a_case(rules: Path) -> None:
    """No recording rule that no case looks at."""
    tests = yaml.safe_load((rules / "cases.yml").read_text())["tests"]
    asked = " ".join(case["expr"] for test in tests for case in test.get("promql_expr_test", []))
    for record in {each["record"] for each in of(rules / "recording.yml")}:
        assert re.search(rf"(?<![\w:]){record}(?![\w:])", asked), record


def of(path: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load(path.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_operators_rules(written: Written, tmp_path: Path) -> None:
    """The rules of the PrometheusRule resources are those of the files but for the generator's,
    which leaves no metrics there: the CronJob's alert, by kube-state-metrics, stands for them.
    """
    text = (written.kubernetes / "operator/prometheusrules.yaml").read_text()
    groups = [group for each in yaml.safe_load_all(text) for group in each["spec"]["groups"]]
    config = written.kubernetes / "config/rules"
    files = [each for name in ("alerts.yml", "recording.yml") for each in named(config / name)]
    names = [group["name"] for group in groups]
    generators = [name for name in files if name != "runscrape-generator"]
    assert sorted(names) == sorted([*generators, "runscrape-cronjob"])
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": groups}))
    (tmp_path / "cases.yml").write_text(yaml.safe_dump(CRONJOB))
    done = promtool("test", "rules", "cases.yml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def named(path: Path) -> list[str]:
    return [group["name"] for group in yaml.safe_load(path.read_text())["groups"]]


LATE = 'kube_cronjob_status_last_successful_time{cronjob="runscrape",namespace="runscrape"}'
CRONJOB = {
    "rule_files": ["rules.yml"],
    "evaluation_interval": "1m",
    "tests": [
        {
            "interval": "1m",
            "input_series": [{"series": LATE, "values": "0x60"}],
            "promql_expr_test": [
                {
                    "expr": 'count(ALERTS{alertname="RunscrapeCronJobStale",alertstate="firing"})',
                    "eval_time": at,
                    "exp_samples": samples,
                }
                for at, samples in (("14m", []), ("20m", [{"labels": "{}", "value": 1}]))
            ],
        }
    ],
}


def test_they_name_metrics_that_exist(rules: Path) -> None:
    """Each runscrape metric in a rule is one that the proxy or the generator has."""
    root = Path(__file__).parents[2]
    code = "".join(path.read_text() for path in (root / "proxy").rglob("metrics.py"))
    code += (root / "generator/runscrape_generator/publish/metrics.py").read_text()
    names = set(re.findall(r"\brunscrape_\w+(?=[{ )])", (rules / "alerts.yml").read_text()))
    names |= set(re.findall(r"\brunscrape_\w+(?=[{ )])", (rules / "recording.yml").read_text()))
    assert len(names) > 8
    for name in names:
        short = name.removeprefix("runscrape_proxy_").removesuffix("_total")
        assert f'"{short}"' in code or f'"{name}"' in code, name
