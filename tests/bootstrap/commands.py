"""Running the commands that a bundle holds, as its platform or its reader would."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bootstrap.processes import DEADLINE, PROGRAMS, start


class Programs:
    """A PATH with stand-ins for what cannot run here; each notes how it was called."""

    def __init__(self, directory: Path, *names: str) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)
        for name in names:
            self.add(name, "")

    def add(self, name: str, body: str) -> None:
        """Have a program that notes its arguments, then runs *body* (shell)."""
        path = self.directory / name
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> "{self.log(name)}"\n{body}\n')
        path.chmod(0o755)

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def calls(self, name: str) -> list[str]:
        """Give the arguments of each call."""
        return self.log(name).read_text().splitlines() if self.log(name).exists() else []

    @property
    def path(self) -> str:
        return f"{self.directory}:{PROGRAMS}:{os.environ['PATH']}"


def blocks(readme: Path) -> list[str]:
    """Give the fenced blocks of commands in the order in which a reader types them."""
    found = re.findall(r"^ *```\n(.*?)^ *```$", readme.read_text(), re.MULTILINE | re.DOTALL)
    return [re.sub(r"^ {3}", "", each, flags=re.MULTILINE) for each in found]


def shell(
    script: str, cwd: Path, environment: Mapping[str, str], *, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run commands as a reader's bash does, and stop at the first that fails."""
    return execute(["bash", "-euo", "pipefail", "-c", script], cwd, environment, check=check)


def execute(
    argv: Sequence[str], cwd: Path, environment: Mapping[str, str], *, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run it with this environment alone."""
    done = subprocess.run(
        argv,
        cwd=cwd,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert not check or done.returncode == 0, (argv, done.stdout, done.stderr)
    return done


def with_forks(argv: Sequence[str], environment: Mapping[str, str], programs: Programs) -> int:
    """Run a shell whose ``runscrape`` is forked here, without its imports; gives the exit code.

    The stand-in says through a pipe how it was called, and waits at another one for its exit code.
    """
    asked, ask = os.pipe()
    answer, answered = os.pipe()
    said = f"""{{ printf '%s\\0' "$@"; echo; }} >/dev/fd/{ask}"""
    programs.add("runscrape", f"{said}; read code </dev/fd/{answer}; exit $code")
    path = {"PATH": programs.path}
    with subprocess.Popen(argv, env=dict(environment) | path, pass_fds=(ask, answer)) as shell:
        os.close(ask)
        os.close(answer)
        with os.fdopen(asked) as calls, os.fdopen(answered, "w", 1) as codes:
            for call in calls:  # until the shell has ended
                words = call.rstrip("\n").split("\0")[:-1]
                log = programs.directory / "log"
                with start(["runscrape", *words], environment, log) as program:
                    print(program.process.wait(DEADLINE), file=codes)
    return shell.wait()
