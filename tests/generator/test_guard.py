"""The shrink guard counts what would really go, and nothing that only moves."""

from __future__ import annotations

import pytest

from runscrape_generator.errors import ShrinkError
from runscrape_generator.publish import guard


def world(*jobs: str) -> frozenset[guard.Target]:
    """Make a target for each job of that name."""
    return frozenset((job, f"{job}.example:443", "/metrics") for job in jobs)


TEN = world(*"abcdefghij")


@pytest.mark.parametrize(
    ("new", "max_removed", "refused"),
    [
        (TEN, 0.0, ""),
        (world(*"abcdefghijk"), 0.0, ""),
        (world(*"abcdefghi"), 0.0, "1 of 10 jobs"),
        (world(*"abcde"), 50.0, ""),
        (world(*"abcd"), 50.0, "6 of 10 jobs"),
        (world(*"abcdxyz"), 50.0, "6 of 10 jobs"),
        (world(), 50.0, "all 10 jobs"),
        (world(), 99.9, "all 10 jobs"),
        (world(), 100.0, ""),
        (world("a"), 100.0, ""),
    ],
)
def test_limits(new: frozenset[guard.Target], max_removed: float, refused: str) -> None:
    """More than the percentage is refused, all of them too, and 100 allows everything."""
    if refused:
        with pytest.raises(ShrinkError, match=refused):
            guard.check(TEN, new, max_removed=max_removed)
    else:
        guard.check(TEN, new, max_removed=max_removed)


def test_last_job_of_one_is_all_of_them() -> None:
    """The only job going is all of them, and refused."""
    with pytest.raises(ShrinkError, match=r"remove the only job \(a\)"):
        guard.check(world("a"), world(), max_removed=50.0)


def test_nothing_before_is_never_a_loss() -> None:
    """The first run is not held up, with jobs or without."""
    guard.check(frozenset(), TEN, max_removed=0.0)
    guard.check(frozenset(), frozenset(), max_removed=0.0)


def test_new_names_for_the_same_targets() -> None:
    """A changed --job-name renames every job and removes none."""
    renamed = frozenset((f"x/{job}", target, path) for job, target, path in TEN)
    guard.check(TEN, renamed, max_removed=0.0)


def test_new_targets_under_the_same_names() -> None:
    """Custom domains or another path for every service replace targets and remove none."""
    moved = frozenset((job, f"{job}.corp.example:443", "/m") for job, _, _ in TEN)
    guard.check(TEN, moved, max_removed=0.0)


def test_shared_job_that_loses_its_targets() -> None:
    """A job that many services share may not quietly lose most of them either."""
    shared = frozenset(("shared", f"{n}.example:443", "/metrics") for n in range(10))
    few = frozenset(sorted(shared)[:4])
    with pytest.raises(ShrinkError, match="6 of 10 targets"):
        guard.check(shared, few, max_removed=50.0)
    guard.check(shared, few, max_removed=60.0)


def test_message_says_what_to_do() -> None:
    """The refusal names some jobs, the limit in force, and how to let it pass."""
    with pytest.raises(ShrinkError) as caught:
        guard.check(TEN, world("a", "b"), max_removed=50.0)
    assert str(caught.value) == (
        "refused to remove 8 of 10 jobs (c, d, e, f, g, …): --max-removed is 50 percent; nothing "
        "was changed. If they are meant to go, run once with --max-removed 100"
    )
