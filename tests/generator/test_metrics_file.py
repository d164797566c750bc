"""The metrics of the last run: right, readable by others, and kept over failures."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runscrape_generator.errors import WriteError
from runscrape_generator.model import Scope
from runscrape_generator.publish import metrics
from runscrape_generator.publish.metrics import Measured

MEASURED = Measured(
    jobs=3,
    services={"kept": 2, "skipped": 1},
    scopes={Scope("demo", "b"): True, Scope("demo", "a"): False},
)


def samples(path: Path) -> dict[str, float]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_success(tmp_path: Path) -> None:
    """After a success every metric of the generator is there, with this run's values."""
    path = tmp_path / "runscrape.prom"
    metrics.write(path, ended=100.0, seconds=2.5, changed=90.0, measured=MEASURED)
    assert samples(path) == {
        "runscrape_last_success_timestamp_seconds": 100.0,
        "runscrape_last_run_success": 1.0,
        "runscrape_last_exit_code": 0.0,
        "runscrape_run_duration_seconds": 2.5,
        "runscrape_last_change_timestamp_seconds": 90.0,
        "runscrape_jobs": 3.0,
        'runscrape_services{state="kept"}': 2.0,
        'runscrape_services{state="skipped"}': 1.0,
        'runscrape_scope_stale{project="demo",region="a"}': 0.0,
        'runscrape_scope_stale{project="demo",region="b"}': 1.0,
    }


def test_failure_keeps_what_it_cannot_know(tmp_path: Path) -> None:
    """After a failure success, exit code and duration change; the rest is of the last success."""
    path = tmp_path / "runscrape.prom"
    metrics.write(path, ended=100.0, seconds=2.5, changed=90.0, measured=MEASURED)
    before = samples(path)
    metrics.write(path, ended=200.0, seconds=1.0, changed=None, measured=None, exit_code=5)
    assert samples(path) == before | {
        "runscrape_last_run_success": 0.0,
        "runscrape_last_exit_code": 5.0,
        "runscrape_run_duration_seconds": 1.0,
    }


@pytest.mark.parametrize("old", [None, b"", b"\xff\xfe", b"{{{ not metrics", b"runscrape_jobs x\n"])
def test_first_run_that_fails(tmp_path: Path, old: bytes | None) -> None:
    """With nothing to carry over a failure says never, and nothing of what nobody counted."""
    path = tmp_path / "runscrape.prom"
    if old is not None:
        path.write_bytes(old)
    metrics.write(path, ended=200.0, seconds=1.0, changed=None, measured=None)
    assert samples(path)["runscrape_last_success_timestamp_seconds"] == 0.0
    assert samples(path)["runscrape_last_run_success"] == 0.0
    assert not any(name.startswith(("runscrape_jobs", "runscrape_serv")) for name in samples(path))


def test_promtool_says_nothing(tmp_path: Path) -> None:
    """Promtool check metrics finds nothing to say."""
    path = tmp_path / "runscrape.prom"
    metrics.write(path, ended=100.0, seconds=2.5, changed=90.0, measured=MEASURED)
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=path.read_bytes(),
        capture_output=True,
        check=True,
    )
    assert done.stdout + done.stderr == b""


def test_others_may_read_it(tmp_path: Path) -> None:
    """node_exporter, another user, can read the file."""
    path = tmp_path / "runscrape.prom"
    metrics.write(path, ended=1.0, seconds=1.0, changed=None, measured=None)
    assert path.stat().st_mode & 0o444 == 0o444


def test_nowhere_to_write(tmp_path: Path) -> None:
    """A folder that is missing is a WriteError, which the run turns into a warning."""
    with pytest.raises(WriteError):
        metrics.write(
            tmp_path / "no" / "m.prom", ended=1.0, seconds=1.0, changed=None, measured=None
        )
