"""What coverage measures.

A trace function makes all Python three times as slow, whoever wrote it. So coverage's is there only
while a test of our parts or its fixture runs: not while pytest collects and does its own work, not
in the threads of the tests' servers, and not in the programs that some packages start.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import re
import sys
import threading
from collections.abc import Generator, Iterator
from types import FrameType
from typing import Any, Literal

import pytest
from coverage import Coverage

_Event = Literal["call", "line", "return", "exception", "opcode"]
_SERVERS = re.compile(r"\((serve_forever|process_request_thread|_accept|_serve|_relay)\)|emulator")
"""In the names of the threads of examples/emulator and of the tests' servers; most have a target's.
"""
_PARTS = re.compile(r"/tests/(bootstrap|docs|doctor|generator|proxy)/")
"""The tests that call our modules themselves; others start programs, or are about the emulator."""


@contextlib.contextmanager
def without_coverage() -> Iterator[dict[str, str]]:
    """Start programs unmeasured in the block; gives the variables by which they would be."""
    taken = {name: os.environ[name] for name in os.environ if name.startswith("COVERAGE_")}
    with pytest.MonkeyPatch.context() as patch:
        for name in taken:
            patch.delenv(name)
        yield taken


_taken: dict[str, str] = {}


@pytest.fixture(scope="package", autouse=True)
def unmeasured_programs() -> Iterator[None]:
    """The programs that a package's tests start run unmeasured, and faster.

    For packages whose lines are covered by the tests of the parts.
    """
    with without_coverage() as taken:
        _taken.update(taken)
        yield


@pytest.fixture
def measured_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that a test of such a package starts are measured all the same."""
    for name, value in _taken.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def unmeasured() -> Iterator[None]:
    """The programs that a test starts itself run unmeasured."""
    with without_coverage():
        yield


class Measuring:
    """The hooks of pytest that run under coverage's trace function."""

    def __init__(self) -> None:
        self._coverage = sys.gettrace()
        self._trace = self._coverage
        if "PYTEST_XDIST_WORKER" not in os.environ:  # once is enough, and xdist's first is idle
            _import_ours()
        sys.settrace(None)
        _leave_out_servers()

    def pytest_runtest_logstart(self, location: tuple[str, int | None, str]) -> None:
        self._trace = self._coverage if _PARTS.search(f"/{location[0]}") else None

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_pyfunc_call(self) -> Generator[None, object, object]:
        sys.settrace(self._trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_fixture_setup(self) -> Generator[None, object, object]:
        before = sys.gettrace()  # one fixture may ask for another, and so may a test
        sys.settrace(self._trace)
        try:
            return (yield)
        finally:
            sys.settrace(before)


def measure(config: pytest.Config) -> None:
    """Measure what tests run, where coverage measures this process by a trace function."""
    if Coverage.current() is not None and sys.gettrace() is not None:
        config.pluginmanager.register(Measuring())


def _import_ours() -> None:
    """Import all our modules but those that do something then; their definitions are lines too."""
    for name in ("runscrape_generator", "runscrape_proxy"):
        folders = importlib.import_module(name).__path__
        for module in pkgutil.walk_packages(folders, f"{name}."):
            if not module.name.endswith((".__main__", ".wsgi")):
                importlib.import_module(module.name)


def _leave_out_servers() -> None:
    """Have coverage begin only in threads that are none of the tests' servers."""
    begin = threading.gettrace()

    def begin_unless_server(frame: FrameType, event: _Event, arg: Any) -> Any:
        if begin is None or _SERVERS.search(threading.current_thread().name):
            sys.settrace(None)
            return None
        return begin(frame, event, arg)

    threading.settrace(begin_unless_server)
