"""Each platform's bundle, run with the very commands, arguments, environment and files it names."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.bootstrap.commands import execute
from tests.bootstrap.conftest import Running
from tests.bootstrap.processes import PROGRAMS, eventually, get
from tests.bootstrap.test_dashboard import queries


def test_prometheus_reports_every_target_up(stack: Running) -> None:
    """The bundle runs as it is: Cloud Run, proxy, generator metrics and Prometheus are all up,
    a service that came after the bundle was written among them.
    """
    everything = {"api", "hello", "shop", "prometheus", "runscrape-proxy", "runscrape"}

    def settled() -> bool:
        up = stack.up()
        return up.keys() == everything and set(up.values()) == {"1"}

    try:
        eventually(settled, f"{stack.platform}: all up")
    except AssertionError:
        raise AssertionError(stack.up()) from None


@pytest.mark.parametrize("stack", ["compose", "kubernetes"], indirect=True)
def test_every_probe_finds_its_process_well(stack: Running, tmp_path: Path) -> None:
    """Each command that asks after a process ends with 0 while it is well; the same of a port that
    nobody listens on, or of a file that nobody writes, does not.
    """
    environment = {"PATH": f"{PROGRAMS}:{os.environ['PATH']}"}
    assert len(stack.probes) >= 3
    for probe in stack.probes:
        if shutil.which(probe[0], path=environment["PATH"]) is None:
            continue  # Prometheus' image has a program for it that this machine has not
        execute(probe, tmp_path, environment)
        gone = [re.sub(r"127.0.0.1:\d+", "127.0.0.1:1", word) for word in probe]
        gone = [word.replace("/runscrape.prom", "/none.prom") for word in gone]
        assert gone != probe
        assert execute(gone, tmp_path, environment, check=False).returncode != 0


@pytest.mark.parametrize("stack", ["compose"], indirect=True)
def test_every_query_returns_data(stack: Running) -> None:
    """With the bundle running, no panel is empty; of the series, the numbers are numbers."""
    plain = [(title, re.sub(r"\$\w+", ".*", expression)) for title, expression in queries()]

    def empty() -> list[str]:
        return [
            f"{title}: {expression}" for title, expression in plain if not stack.query(expression)
        ]

    try:
        eventually(lambda: not empty(), "data for every panel")
    except AssertionError:
        raise AssertionError("\n".join(empty())) from None


@pytest.mark.parametrize("stack", ["compose"], indirect=True)
def test_rules_are_loaded(stack: Running) -> None:
    """Prometheus runs the bundle's rules, and none of them fails."""
    found = json.loads(get(f"{stack.prometheus}/api/v1/rules"))["data"]["groups"]
    names = {group["name"] for group in found}
    assert names >= {"runscrape-proxy", "runscrape-generator", "runscrape-targets"}
    assert names >= {"runscrape-recording", "runscrape-down"}
    for rule in (rule for group in found for rule in group["rules"]):
        assert rule["health"] != "err", rule
