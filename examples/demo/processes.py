"""Child processes that never outlive the demo: started, waited for, stopped in reverse order."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

START_WITHIN = 45.0
"""Seconds that a program may take to answer, on a slow machine."""
STOP_WITHIN = 12.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Past any proxy of the environment."""


class DemoError(Exception):
    """The demo cannot go on; the message says why, in words for people."""


@contextlib.contextmanager
def running(
    name: str, argv: Sequence[str | Path], *, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[Callable[[Callable[[], bool]], None]]:
    """Run a program; gives a function that waits until its argument is true, or says why not."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,  # Ctrl-C is for the demo, which stops the others in order
        )
    try:
        yield lambda ready: _wait(name, process, ready, log)
    finally:
        _stop(process)


def _wait(
    name: str, process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path
) -> None:
    end = time.monotonic() + START_WITHIN
    while not ready():
        if process.poll() is not None:
            raise DemoError(f"{name} ended with code {process.returncode}:\n{_tail(log)}")
        if time.monotonic() > end:
            raise DemoError(f"{name} did not answer within {START_WITHIN:.0f} s:\n{_tail(log)}")
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_WITHIN)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # whatever it left behind
    process.wait()


def _tail(log: Path, lines: int = 8) -> str:
    text = log.read_text("utf-8", "replace").strip().splitlines()
    return "\n".join(f"  {line}" for line in text[-lines:])


def free_port(preferred: int) -> int:
    """Give the preferred port of 127.0.0.1 if nobody has it, else any other that is free."""
    for port in (preferred, 0):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(sock.getsockname()[1])
    raise DemoError("no port of 127.0.0.1 is free")


def get_json(url: str) -> Any:
    """GET a loopback address past any proxy of the environment."""
    with _DIRECT.open(url, timeout=10) as answer:
        return json.load(answer)


def answers(url: str) -> bool:
    """Whether a GET of this loopback address gives 200."""
    try:
        with _DIRECT.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
