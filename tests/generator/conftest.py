"""What holds for every test of the generator."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator import Emulator
from tests.generator.commands_kit import world
from tests.kit.measuring import measured_programs, unmeasured_programs

__all__ = ["measured_programs", "unmeasured_programs"]


def pytest_configure() -> None:
    """Undo what a shell's ``&`` does: it has SIGINT ignored, and so would all that we start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Take away every credential that this machine may have."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    return monkeypatch


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator for all tests of a module; each begins with the world that it needs."""
    with Emulator(world(), tmp_path_factory.mktemp("google")) as running:
        yield running
