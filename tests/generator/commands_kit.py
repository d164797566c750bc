"""The real command on an emulated Google, as the tests of whole runs use it."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator import Emulator
from runscrape_generator.cli.main import main
from runscrape_generator.config.settings import Settings
from tests.generator.publishing_kit import State, state
from tests.kit import programs
from tests.kit.programs import Program

REGIONS = ("europe-west1", "us-central1")


def world(
    names: Iterable[str] = "abcd", faults: Mapping[str, Any] | None = None, **service: Any
) -> dict[str, Any]:
    """Make a world of one project: a service for each name, in its two regions by turns."""
    services = [
        {"name": f"svc-{name}", "region": REGIONS[turn % 2], "max_instances": 1, **service}
        for turn, name in enumerate(names)
    ]
    demo = {"number": 123456789012, "regions": list(REGIONS), "services": services}
    return {"projects": {"demo": demo}, "faults": dict(faults or {})}


def failing(region: str, **fault: Any) -> dict[str, Any]:
    """Make the faults of a world in which listing one region fails."""
    return {"list_services": [{"region": region, "code": "PERMISSION_DENIED", **fault}]}


def make_settings(folder: Path, google: Emulator, **more: Any) -> Settings:
    """Make the settings of a run that writes to ``etc`` below the folder."""
    google.update(world())
    (folder / "etc").mkdir()
    return Settings(
        projects=("demo",),
        api_endpoint=google.api,
        output=folder / "etc" / "prometheus.yml",
        promtool="none",
        **more,
    )


@dataclass
class Site:
    """A folder where the command writes, and the emulator that it lists.

    promtool, which takes its time, is asked only where a test's words say so.
    """

    folder: Path
    google: Emulator
    environ: dict[str, str] = field(default_factory=lambda: {"RUNSCRAPE_PROMTOOL": "none"})

    @property
    def output(self) -> Path:
        return self.folder / "prometheus.yml"

    @property
    def metrics(self) -> Path:
        """The metrics file, in a folder of its own as node_exporter has it."""
        return self.folder.parent / "metrics" / "runscrape.prom"

    def words(self, *more: str, command: str = "generate") -> list[str]:
        return [
            *(sys.executable, "-m", "runscrape_generator", command),
            *("--project", "demo", "--api-endpoint", self.google.api),
            *("--output", str(self.output), "--metrics-file", str(self.metrics)),
            *more,
        ]

    def run(self, *more: str, command: str = "generate") -> subprocess.CompletedProcess[str]:
        """Run the command's main() in this process: imports cost it most of a second else."""
        return run_here(self.words(*more, command=command)[3:], self.environ)

    @contextlib.contextmanager
    def running(self, *more: str, command: str = "generate") -> Iterator[Program]:
        """Run the command in a process of its own until the block ends."""
        log = self.folder.parent / f"log-{time.monotonic_ns()}"
        environ = {**os.environ, **self.environ}
        words = self.words(*more, command=command)
        with programs.running(words, log, env=environ, forked=True) as program:
            yield program

    def state(self) -> State:
        return state(self.folder)

    def measured(self) -> dict[str, float]:
        """Read the metrics of the last run, without their prefix."""
        lines = self.metrics.read_text().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name.removeprefix("runscrape_"): float(value) for name, value in pairs}


def run_here(words: Sequence[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run ``runscrape`` in this process, with its own variables, streams and logging."""
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n")
    stderr = io.StringIO()
    before, root = os.environ.copy(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        os.environ.update(environ)
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            code = main(list(words))
            stdout.flush()
    finally:
        os.environ.clear()
        os.environ.update(before)
        root.handlers[:], root.level = handlers, level
    out = stdout.buffer
    assert isinstance(out, io.BytesIO)
    return subprocess.CompletedProcess(words, code, out.getvalue().decode(), stderr.getvalue())


def make_site(folder: Path, google: Emulator) -> Site:
    (folder / "etc").mkdir()
    (folder / "metrics").mkdir()
    return Site(folder / "etc", google)
