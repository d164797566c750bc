"""What is fuzzed: a strategy for input, and what has to hold for each of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

EXAMPLES = 200
"""Of one round, after which the time is looked at."""


@dataclass(frozen=True)
class Target:
    """``check`` raises for input of ``strategy`` that is not dealt with as it must be."""

    strategy: SearchStrategy[Any]
    check: Callable[[Any], None]

    def run(self, seconds: float) -> int:
        """Try input for so long; gives how much of it. Raises what ``check`` raised."""
        ends = time.monotonic() + seconds
        tried = 0

        def counted(example: Any) -> None:
            nonlocal tried
            tried += 1
            self.check(example)

        while time.monotonic() < ends:
            one_round = settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                print_blob=True,
                suppress_health_check=list(HealthCheck),
            )(given(self.strategy)(counted))
            one_round()
        return tried
