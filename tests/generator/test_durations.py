"""Durations: what Prometheus reads, and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from runscrape_generator.config import durations

GOOD = {
    "0": 0.0,
    "0s": 0.0,
    "30s": 30.0,
    "5m": 300.0,
    "1h30m": 5400.0,
    "1500ms": 1.5,
    "1s500ms": 1.5,
    "007s": 7.0,
    "1y1w1d1h1m1s1ms": 31_536_000 + 604_800 + 86_400 + 3_600 + 60 + 1 + 0.001,
    "292y": 292 * 31_536_000.0,
}
BAD = (
    "",
    "1",
    "30",
    "-5s",
    "1.5s",
    "5 m",
    "5m ",
    "5m\n",
    "30s1m",
    "1m1m",
    "1S",
    "٣s",
    "300y",
    "s",
)  # one digit is not ASCII


@pytest.mark.parametrize(("text", "seconds"), GOOD.items())
def test_a_duration_is_the_sum_of_its_units(text: str, seconds: float) -> None:
    """Units in Prometheus' order add up to seconds."""
    assert durations.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", BAD)
def test_what_prometheus_refuses_is_refused_here(text: str) -> None:
    """Anything else is a ValueError that shows what was written."""
    with pytest.raises(ValueError, match=r"is (not a duration|longer than)") as caught:
        durations.parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["1y", "365d", "300ms"])
def test_runscrape_waits_a_year_at_most(text: str) -> None:
    """What runscrape waits itself is bounded, long before the system's own sleep fails."""
    assert durations.parse_wait(text) == durations.parse(text)
    with pytest.raises(ValueError, match="is longer than 1y, the most that runscrape waits"):
        durations.parse_wait("1y1ms")


def test_a_number_of_absurd_length_is_refused_not_computed() -> None:
    """A number of thousands of digits is refused like any other mistake."""
    with pytest.raises(ValueError, match="is not a duration"):
        durations.parse("9" * 10_000 + "s")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_agrees(tmp_path: Path) -> None:
    """Real promtool accepts a scrape interval exactly where our parser accepts the duration."""
    files = {tmp_path / f"{number}.yml": text for number, text in enumerate((*GOOD, *BAD)) if text}
    for file, text in files.items():
        quoted = text.replace("\n", "\\n")
        file.write_text(f'scrape_configs: [{{job_name: a, scrape_interval: "{quoted}"}}]\n')
    checked = subprocess.run(
        ["promtool", "check", "config", *files], check=False, capture_output=True, text=True
    )
    refused = {
        text
        for file, text in files.items()
        for line in checked.stderr.splitlines()
        if f"{file}: " in line and re.search("not a valid duration|unknown unit|out of range", line)
    }
    assert refused == {bad for bad in BAD if bad}, checked.stderr
