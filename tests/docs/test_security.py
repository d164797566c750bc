"""SECURITY.md: what it says is held by tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "SECURITY.md").read_text().splitlines()
    if line.startswith("|") and not line.startswith(("| what holds", "|---"))
]


def test_there_is_something_to_hold() -> None:
    """Each row says one thing, and who holds it."""
    assert len(ROWS) > 20
    assert all(len(row) == 2 for row in ROWS), [row for row in ROWS if len(row) != 2]
    assert all(row[0].endswith(".") for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:60] for row in ROWS])
def test_what_is_said_is_tested(row: list[str]) -> None:
    """Every test that a row names is there."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row[1])
    assert named
    assert re.sub(r"`tests/[\w/]+\.py::test_\w+`", "", row[1]).strip() == "", "nothing but tests"
    for file, test in named:
        assert re.search(rf"^ *def {test}\(", (ROOT / file).read_text(), re.MULTILINE), test
