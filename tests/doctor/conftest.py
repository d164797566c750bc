"""Fixtures for the tests of doctor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.auth.compute_engine import _metadata

from tests.generator.conftest import nobody
from tests.kit.measuring import unmeasured_programs

__all__ = ["nobody", "unmeasured_programs"]


@pytest.fixture(scope="session", autouse=True)
def nowhere() -> Iterator[None]:
    """Let nobody look for the metadata server of this machine, which takes its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_metadata, "_GCE_METADATA_HOST", "127.0.0.1:1")
        patch.setattr(_metadata, "_GCE_DEFAULT_HOST", "127.0.0.1:1")
        patch.setattr(_metadata, "_GCE_METADATA_IP", "127.0.0.1:1", raising=False)
        yield
