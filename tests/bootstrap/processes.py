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
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.kit.ports import free_port
from tests.kit.programs import Program
from tests.kit.programs import running as program_running
from tests.kit.prometheus import fetch as get
from tests.kit.waiting import QUIET as DEADLINE
from tests.kit.waiting import until as eventually

__all__ = ["DEADLINE", "eventually", "free_port", "get"]
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
    started: list[Program] = []
    with contextlib.ExitStack() as ending:
        for process in plan.processes:
            argv = [replace(word) for word in process.argv]
            own = {name: replace(value) for name, value in process.environment.items()}
            log = logs / f"{process.name}.log"
            program = ending.enter_context(
                start(argv, dict(base) | own, log, listen=replace(process.listen))
            )
            if process.once:
                assert program.process.wait(DEADLINE) == 0, program.log
            else:
                started.append(program)
        yield dict(plan.places)
        for program in started:
            assert program.code is None, program.log


PATH = f"{PROGRAMS}:/usr/bin:/bin"
OURS = {
    str(PROGRAMS / "runscrape"): "runscrape_generator",
    str(PROGRAMS / "runscrape-proxy"): "runscrape_proxy",
}


@contextlib.contextmanager
def start(
    argv: Sequence[str], environment: Mapping[str, str], log: Path, *, listen: str = ""
) -> Iterator[Program]:
    """Run a process with this environment until the block ends.

    Programs of ours are forked, which saves the time of their imports; but one that is handed a
    socket is executed.
    """
    clean = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    environment = clean | {"PATH": PATH, "HOME": "/nonexistent"} | dict(environment)
    module = OURS.get(shutil.which(argv[0], path=PATH) or "")
    if module and not listen:
        command = [sys.executable, "-m", module, *argv[1:]]
        with program_running(command, log, env=environment, forked=True) as program:
            yield program
        return
    with contextlib.ExitStack() as stack:
        passed: tuple[int, ...] = ()
        if listen:
            host, port = listen.rsplit(":", 1)
            opened = stack.enter_context(socket.create_server((host, int(port))))
            # sd_listen_fds(3): from descriptor 3 on, and only for the process of that number.
            script = f"exec 3<&{opened.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "
            argv = ["/bin/bash", "-c", script + shlex.join(argv)]
            passed = (opened.fileno(),)
        yield stack.enter_context(
            program_running(argv, log, env=environment, pass_fds=passed, cwd=log.parent)
        )
