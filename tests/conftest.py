"""Fixtures for every part: Google Cloud, as examples/emulator plays it."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import hypothesis
import pytest
from google.auth.compute_engine import _metadata

from emulator import Emulator
from tests.kit import measuring, programs

_WAITING = re.compile(r"/e2e/|/proxy/test_(gateway|serving|crowds)\.py")

DEMO_WORLD: dict[str, Any] = {
    "projects": {
        "demo": {
            "number": 123456789012,
            "regions": ["europe-west1", "us-central1"],
            "services": [
                {"name": "api", "region": "us-central1", "max_instances": 1},
                {"name": "shop", "region": "us-central1", "labels": {"team": "sales"}},
                {"name": "hello", "region": "europe-west1", "invoker_iam_disabled": True},
                {"name": "back-office", "region": "europe-west1", "ingress": "internal"},
            ],
        }
    }
}
"""Two private services, a public one and an internal one in two regions of one project."""


hypothesis.settings.register_profile("busy machine", deadline=None, max_examples=30)
hypothesis.settings.load_profile("busy machine")


def pytest_configure(config: pytest.Config) -> None:
    measuring.measure(config)


def pytest_sessionstart() -> None:
    """Let no test be skipped in CI for want of Prometheus, or fail because of nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    missing = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]
    if missing and "CI" in os.environ:
        pytest.exit(f"{' and '.join(missing)}: not installed, and CI must have it", returncode=1)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while tests are collected: all that is found stays, and is looked at anew
    each time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files whose tests wait the longest; all else, and more of it, fits beside."""
    items.sort(key=lambda item: _WAITING.search(str(item.path)) is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failed test what the programs that were started last have written."""
    report = yield
    if report.failed:
        for log in programs.started[-3:]:
            text = log.read_text("utf-8", "replace") if log.exists() else ""
            report.sections.append((f"end of {log} ({item.name})", text[-4000:]))
    return report


class MakeEmulator(Protocol):
    """Starts an emulator that ends with the test."""

    def __call__(
        self,
        world: Mapping[str, Any] | Path = ...,
        *,
        clock: Callable[[], float] = ...,
        **ports: int,
    ) -> Emulator: ...


@pytest.fixture
def make_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeEmulator]:
    with contextlib.ExitStack() as stack:

        def make(
            world: Mapping[str, Any] | Path = DEMO_WORLD,
            *,
            clock: Callable[[], float] = time.time,
            **ports: int,
        ) -> Emulator:
            directory = tmp_path_factory.mktemp("emulator")
            return stack.enter_context(Emulator(world, directory, clock=clock, **ports))

        yield make


class UseCredentials(Protocol):
    """Gives this process the environment of ``Emulator.env(kind)`` until the test ends."""

    def __call__(self, emulator: Emulator, kind: str) -> None: ...


@pytest.fixture
def use_credentials(monkeypatch: pytest.MonkeyPatch) -> UseCredentials:
    def use(emulator: Emulator, kind: str) -> None:
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        for name, value in emulator.env(kind).items():
            monkeypatch.setenv(name, value)
        # google-auth reads this variable once, when it is imported.
        monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", emulator.metadata_host)

    return use


@pytest.fixture(name="emulator")
def demo_emulator(make_emulator: MakeEmulator) -> Emulator:
    """Give an emulator of DEMO_WORLD."""
    return make_emulator()
