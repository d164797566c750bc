"""Which programs coverage measures."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def unmeasured_programs() -> Iterator[None]:
    """The programs that a package's tests start run unmeasured, and faster.

    For packages whose lines are covered by the tests of the parts.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
            patch.delenv(name)
        yield
