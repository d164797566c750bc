"""The pod's first start: Prometheus finds its configuration, also while Google cannot be asked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.bootstrap import bundles
from tests.bootstrap.commands import Programs, with_forks
from tests.bootstrap.conftest import Google
from tests.bootstrap.processes import Plan, relocate, replacer


@pytest.fixture
def pod(google: Google, tmp_path: Path) -> Plan:
    bundle = google.write(tmp_path / "b", "--platform", "kubernetes", "--timeout", "1s")
    plan = bundles.kubernetes(bundle)
    relocate(plan)
    return plan


def start(plan: Plan) -> tuple[int, Path]:
    """Run the init container as the manifest has it; gives its exit code and prometheus.yml."""
    first, *_ = plan.processes
    argv = [replacer(plan.places)(word) for word in first.argv]
    code = with_forks(argv, {}, Programs(plan.root.parent / "programs"))
    return code, Path(plan.places["/var/lib/runscrape"]) / "prometheus.yml"


def take_google_away(plan: Plan, google: Google) -> None:
    config = Path(plan.places["/etc/runscrape"]) / "runscrape.yaml"
    config.write_text(config.read_text().replace(google.emulator.api, "http://127.0.0.1:1"))


def test_the_jobs_are_there_before_prometheus_starts(pod: Plan, google: Google) -> None:
    """The init container writes prometheus.yml with the jobs into the empty shared folder; a pod
    that starts elsewhere, with the volume but an empty emptyDir, has them while Google is down.
    """
    code, output = start(pod)
    assert code == 0
    assert "cloudrun/demo/us-central1/api" in output.read_text()
    before = output.read_bytes()
    shutil.rmtree(output.parent)
    output.parent.mkdir()
    (output.parent / "metrics").mkdir()
    take_google_away(pod, google)
    assert start(pod) == (0, output)
    assert output.read_bytes() == before


def test_a_first_start_while_google_is_down(pod: Plan, google: Google) -> None:
    """With nothing known at all it waits, failing, for Google: an empty list would look right."""
    take_google_away(pod, google)
    code, output = start(pod)
    assert code != 0
    assert not output.exists()
