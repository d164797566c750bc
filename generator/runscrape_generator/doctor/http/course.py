"""The steps of one request so far, and the time that is left for the rest."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from typing import Any

from runscrape_generator.doctor.evidence import Failure, Stage, Step
from runscrape_generator.doctor.http.failures import classified


class StepFailedError(Exception):
    """A step that failed, as :class:`Failure` tells it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class Course:
    """Takes steps, one after the other, all before one deadline (on ``time.monotonic``)."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.steps: list[Step] = []

    @property
    def left(self) -> float:
        """Seconds that are left; never 0, which would mean no limit to a socket."""
        return max(self.until - time.monotonic(), 0.001)

    def step(self, stage: Stage, take: Callable[[], Any], tell: Callable[[Any], str]) -> Any:
        """Take a step and note what it showed. Raises StepFailedError."""
        began = time.monotonic()
        try:
            result = take()
        except (OSError, ValueError, http.client.HTTPException) as error:
            failure = classified(stage, error)
            self.steps.append(Step(stage, time.monotonic() - began, failure.reason))
            raise StepFailedError(failure) from error
        self.steps.append(Step(stage, time.monotonic() - began, tell(result)))
        return result
