"""What processes cost: seconds, CPU and memory, as far as other load on the machine allows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Cost:
    """What a process took.

    ``seconds`` are those of the clock, less those in which its main thread was ready to run and
    got no core; ``cpu`` is in seconds, ``peak`` the most resident memory in bytes.
    """

    seconds: float
    cpu: float
    peak: int


def cost_of(command: list[str], **options: Any) -> Cost:
    """Run a program to its end."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, **options)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    seconds = time.perf_counter() - begun - waited_for_a_core(process.pid)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def waited_for_a_core(pid: int) -> float:
    """Seconds in which a process' main thread was ready to run, and another one ran."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


@contextmanager
def google(folder: Path, world: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The emulator as a process; gives its addresses, and the environment of each credential."""
    (folder / "world.json").write_text(json.dumps(world))
    command = [sys.executable, "-m", "emulator", "--world", str(folder / "world.json")]
    command += ["--directory", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            process.stdout.readline()
            yield json.loads((folder / "emulator.json").read_text())
        finally:
            process.terminate()
