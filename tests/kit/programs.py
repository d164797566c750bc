"""Programs that a test runs: started, waited for, ended with all that they started themselves."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kit.forks import Fork
from tests.kit.waiting import QUIET, until

_FOREIGN = re.compile(
    r"(?i)GOOGLE_|GCE_|CLOUDSDK_|RUNSCRAPE_|LISTEN_|NOTIFY_|https?_proxy|all_proxy|no_proxy"
)
_ENDER = shutil.which("setpriv")
_WITH_US = [_ENDER, "--pdeathsig", "KILL", "--"] if _ENDER else []
"""Has a program end with this process, however that ends (Linux; another way would fork here)."""
started: list[Path] = []
"""Logs of all that was started; a test that fails shows the last ones (conftest.py)."""


def clean_environment() -> dict[str, str]:
    """Give the environment without anybody's Google or proxy settings."""
    return {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}


@dataclass
class Program:
    """A running program and the file that it writes to."""

    process: subprocess.Popen[bytes] | Fork
    log_file: Path

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return self.log_file.read_text("utf-8", "replace")

    @property
    def code(self) -> int | None:
        """Its exit code, None while it runs; negative for the signal that ended it."""
        return self.process.poll()

    def until(self, look: Callable[[], Any], why: str) -> Any:
        """Wait for something that it does; fails at once where it ends instead."""

        def alive() -> Any:
            found = look()
            if not found and self.code is not None:
                raise AssertionError(f"exit {self.code} in place of {why}:\n{self.log}")
            return found

        return until(alive, f"{why}:\n{self.log}", changing=lambda: len(self.log))

    def until_it_says(self, pattern: str) -> re.Match[str]:
        """Wait until its log matches a regular expression."""
        found: re.Match[str] = self.until(lambda: re.search(pattern, self.log), pattern)
        return found

    def send(self, number: int) -> None:
        """Send a signal to the program alone."""
        self.process.send_signal(number)

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        """End it if it still runs; gives its exit code."""
        if self.code is None:
            self.send(with_signal)
        return self.process.wait(QUIET)

    def kill(self) -> None:
        """End it, and whatever it started, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    forked: bool = False,
    **options: Any,
) -> Iterator[Program]:
    """Run a program in a session of its own until the block ends; stdout and stderr go to ``log``.

    It also ends with the thread that has started it, so that a pytest that is killed leaves none.

    ``env`` is all of its environment; without, it has the clean one. ``forked`` saves the time that
    its imports take (kit/forks.py). ``options`` are Popen's.
    """
    started.append(log)
    words = [str(word) for word in command]
    environment = clean_environment() if env is None else dict(env)
    process: subprocess.Popen[bytes] | Fork
    with log.open("wb") as output:
        given: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": output,
            "stderr": output,
        } | options
        if forked:
            process = Fork(words, log, environment)
        else:
            words = [*_WITH_US, *words]
            process = subprocess.Popen(words, env=environment, start_new_session=True, **given)
    program = Program(process, log)
    try:
        yield program
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.stop()
        program.kill()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
