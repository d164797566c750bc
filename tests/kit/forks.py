"""Programs forked from a process that has imported what they need.

To start Python and to import Flask, gunicorn and Google's libraries takes most of a second of CPU;
the fork server of the standard library does it once for all. A program that is forked has a
session, environment, output, signals and exit code of its own, like any other.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path

import coverage
from google.auth.compute_engine import _metadata

from tests.kit.measuring import without_coverage

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    [
        *("runscrape_proxy.serving.server", "runscrape_proxy.serving.worker"),
        *("runscrape_proxy.cli", "runscrape_proxy.proxy", "runscrape_proxy.web.app"),
        *("runscrape_proxy.google.credentials", "gunicorn.arbiter", "gunicorn.glogging"),
        *("runscrape_generator.cli.main", "runscrape_generator.cli.write"),
        *("runscrape_generator.run", "runscrape_generator.watch"),
        __name__,  # a fork would import it, and pytest with it, for itself
        "tests.kit.fork_server",
    ]
)


_PR_SET_PDEATHSIG = 1


class Fork:
    """A forked program, to be asked as subprocess.Popen is.

    ``words`` are those of ``python -m MODULE …`` or ``python -c CODE …``.
    """

    stdin = stdout = stderr = None

    def __init__(self, words: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        with without_coverage():
            forkserver.ensure_running()
        self._process = _SERVER.Process(target=_run, args=(list(words), log, dict(env)))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid
        with contextlib.suppress(ProcessLookupError):
            while os.getpgid(self.pid) != self.pid:  # it has no session of its own yet
                time.sleep(0.001)

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a forked program", timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def end_with_parent() -> None:
    """Have this process killed when the thread that has started it ends (Linux, prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _run(words: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
    """Become the program."""
    end_with_parent()
    os.setsid()
    with log.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.environ.clear()
    os.environ.update(env)
    importlib.reload(_metadata)  # it reads the variables that begin with GCE_
    coverage.process_startup()  # if the environment says so
    _, how, what, *arguments = words
    sys.argv = [what, *arguments]
    if how == "-m":
        runpy.run_module(what, run_name="__main__")
    else:
        exec(what, {"__name__": "__main__"})
