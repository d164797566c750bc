"""Starting what a bundle names: its very commands, environment and files, in a scratch root.

Containers and system folders are not to be had in a test, so each path and address that the bundle
gives a process (by a mount, a secret, a socket …) is replaced by one in the scratch root, in the
arguments, the environment and the files alike. What the bundle does not give has no replacement,
and whoever names it fails.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.kit.ports import free_port
from tests.kit.prometheus import fetch as get
from tests.kit.waiting import QUIET as DEADLINE
from tests.kit.waiting import until as eventually

__all__ = ["eventually", "free_port", "get"]
PROGRAMS = Path(sys.executable).parent


@dataclass(frozen=True)
class Process:
    """One process as its bundle describes it; paths and addresses still the bundle's."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    once: bool = False
    listen: str = ""
    """The address of a socket that it is handed, as systemd does it."""


@dataclass(frozen=True)
class Plan:
    """A bundle, ready to be run."""

    processes: Sequence[Process]
    """In the order of their start."""
    places: Mapping[str, str]
    """What the bundle calls something → where it is in the scratch root."""
    root: Path
    """The files to rewrite are below it."""
    probes: Sequence[Sequence[str]] = ()
    """The commands that ask a process whether it is well."""


def replacer(places: Mapping[str, str]) -> Callable[[str], str]:
    """Replace whole paths and addresses, the longest first."""
    names = sorted(places, key=len, reverse=True)
    pattern = re.compile(
        r"(?<![A-Za-z0-9_./-])(https?://)?("
        + "|".join(map(re.escape, names))
        + r")(?![A-Za-z0-9_-])"
    )
    return lambda text: pattern.sub(lambda found: (found[1] or "") + places[found[2]], text)


def relocate(plan: Plan) -> None:
    """Rewrite the files of the bundle's copy."""
    replace = replacer(plan.places)
    for path in plan.root.rglob("*"):
        if path.is_file() and path.suffix in {".yml", ".yaml", ".j2", ".env", ".json"}:
            path.write_text(replace(path.read_text()))


@contextlib.contextmanager
def running(plan: Plan, base: Mapping[str, str], logs: Path) -> Iterator[dict[str, str]]:
    """Run all of it; gives the addresses, and ends with every process ended."""
    relocate(plan)
    replace = replacer(plan.places)
    started: list[subprocess.Popen[bytes]] = []
    clean = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    clean |= {"PATH": f"{PROGRAMS}:/usr/bin:/bin", "HOME": "/nonexistent"}
    try:
        for process in plan.processes:
            argv = [replace(word) for word in process.argv]
            own = {name: replace(value) for name, value in process.environment.items()}
            log = logs / f"{process.name}.log"
            child = _start(argv, clean | dict(base) | own, log, replace(process.listen))
            if process.once:
                assert child.wait(DEADLINE) == 0, log.read_text()
            else:
                started.append(child)
        yield dict(plan.places)
        for child, process in zip(
            started, (each for each in plan.processes if not each.once), strict=True
        ):
            assert child.poll() is None, (logs / f"{process.name}.log").read_text()
    finally:
        for child in reversed(started):
            child.send_signal(signal.SIGTERM)
        for child in reversed(started):
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _start(
    argv: Sequence[str], environment: Mapping[str, str], log: Path, listen: str
) -> subprocess.Popen[bytes]:
    with log.open("wb") as output, contextlib.ExitStack() as stack:
        passed: tuple[int, ...] = ()
        if listen:
            host, port = listen.rsplit(":", 1)
            opened = stack.enter_context(socket.create_server((host, int(port))))
            # sd_listen_fds(3): from descriptor 3 on, and only for the process of that number.
            script = f"exec 3<&{opened.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "
            argv = ["/bin/bash", "-c", script + shlex.join(argv)]
            passed = (opened.fileno(),)
        return subprocess.Popen(
            list(argv),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=passed,
            cwd=log.parent,
            start_new_session=True,
        )
