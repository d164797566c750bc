"""The one line that cron mails, and the reasons why there is nothing to scrape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runscrape_generator.model import Decision, Endpoint, Scope, Service
from runscrape_generator.publish.reload import Outcome
from runscrape_generator.summary import Summary, no_one_token, why_none


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (
            {"added": 2, "removed": 1, "written": True, "reload": Outcome.DONE},
            "120 jobs (+2 \N{MINUS SIGN}1), 8 skipped, written to a.yml, Prometheus reloaded",
        ),
        ({"added": 1}, "120 jobs (+1), 8 skipped, nothing changed"),
        (
            {"noun": "target", "removed": 1},
            "120 targets (\N{MINUS SIGN}1), 8 skipped, nothing changed",
        ),
        (
            {"stale": (Scope("a", "b"),), "written": True},
            "120 jobs, 8 skipped, 1 scope from the inventory, written to a.yml",
        ),
        (
            {"reload": Outcome.UNKNOWN},
            "120 jobs, 8 skipped, nothing changed, Prometheus not reached",
        ),
        (
            {"reload": Outcome.DONE},
            (
                "120 jobs, 8 skipped, nothing changed, Prometheus reloaded "
                "(it was not known to have read this)"
            ),
        ),
        ({"dry_run": True}, "120 jobs, 8 skipped, a.yml would not change"),
        ({"output": None}, "120 jobs, 8 skipped, written to standard output"),
    ],
)
def test_summary_line(values: dict[str, Any], line: str) -> None:
    """The line that cron mails counts first, then says what was done."""
    base = {"services": 128, "jobs": 120, "added": 0, "removed": 0, "skipped": 8}
    summary = Summary(**{**base, "output": Path("a.yml"), **values})
    assert summary.line() == f"128 services, {line}"


def test_reasons_are_counted() -> None:
    """The most frequent reasons come first, and a long list is cut."""
    decisions = [
        Decision(service=Service(project="p", region="r", name=f"s{n}"), reason=f"reason {n % 7}")
        for n in range(20)
    ]
    said = why_none(decisions).replace("\N{MULTIPLICATION SIGN}", "x")
    assert said.startswith("0 jobs: 20 skipped: 3 x reason 0; 3 x reason 1; ")
    assert "; … (runscrape explain has all)" in said


def kept(*audiences: str | None) -> list[Decision]:
    service = Service(project="p", region="r", name="s")
    ends = (Endpoint(service=service, job="j", audience=one, target="s:443") for one in audiences)
    return [Decision(service=service, endpoints=(end,)) for end in ends]


@pytest.mark.parametrize(
    ("audiences", "said"),
    [
        ((), ""),
        (("a", "a"), ""),
        ((None, None), ""),
        (
            ("a", "b", "b"),
            "no one token fits all targets: 2 audiences: b (2), a (1); an oauth2 job",
        ),
        (
            ("a", None),
            "no one token fits all targets: 2 audiences: a (1), public (1); an oauth2 job",
        ),
        (
            tuple("abcd"),
            "no one token fits all targets: 4 audiences: a (1), b (1), c (1), …; an oauth2 job",
        ),
    ],
)
def test_a_token_fits_one_audience(audiences: tuple[str | None, ...], said: str) -> None:
    """Targets of several audiences, or of one and public ones, take more than one token."""
    found = no_one_token(kept(*audiences))
    assert found.startswith(said)
    assert bool(found) == bool(said)
