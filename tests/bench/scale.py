"""What one service more costs each part, from a small and a large site: for sizes nobody has tried.

``python -m tests.bench.scale COUNT`` measures one size, in a process of its own.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runscrape_generator.config.settings import Settings
from runscrape_generator.model import Service
from runscrape_generator.publish import inventory as generators
from runscrape_generator.render import formats
from runscrape_generator.selection.decide import decide
from runscrape_generator.selection.jobs import assemble
from runscrape_proxy import inventory as proxys
from runscrape_proxy.web.targets import as_json
from tests.bench.table import row

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL, LARGE, WANTED = 5_000, 20_000, 100_000
FIGURES = {
    "inventory": ("the inventory", "MB"),
    "render": ("to decide, render, check and write the inventory", "s of CPU"),
    "read": ("the generator reads the inventory", "s of CPU"),
    "parse": ("the proxy reads the inventory", "s of CPU"),
    "held": ("the proxy holds the inventory", "MB"),
    "targets": ("the answer of GET /targets", "MB"),
    "write": ("to write that answer, once an inventory", "s of CPU"),
}


def main() -> None:
    """Fill in the lines of point 6."""
    small, large = (_in_a_process(size) for size in (SMALL, LARGE))
    for name, (what, unit) in FIGURES.items():
        slope = (large[name] - small[name]) / (LARGE - SMALL)
        more = f"{slope * 10_000:.2f} {unit} for 10,000 services more"
        row("6", what, more, f"{slope * WANTED:.1f} {unit} for {WANTED:,}")


def _in_a_process(count: int) -> dict[str, float]:
    command = [sys.executable, "-m", __name__, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measure(count: int) -> dict[str, float]:
    """Megabytes, and seconds of CPU."""
    gc.disable()  # as `runscrape generate` does
    written, render = _timed(lambda: _written(count))
    _, read = _timed(lambda: generators.parse(written))
    gc.enable()
    before = _resident()
    held, parse = _timed(lambda: proxys.parse(written))
    memory = _resident() - before
    targets, write = _timed(lambda: as_json(held))
    return {
        "inventory": len(written) / 1e6,
        "render": render,
        "read": read,
        "parse": parse,
        "held": memory / 1e6,
        "targets": len(targets) / 1e6,
        "write": write,
    }


def _written(count: int) -> bytes:
    settings = Settings()
    decisions = decide([_service(number) for number in range(count)], settings)
    formats.render(assemble(decisions), settings)
    return generators.render(decisions, ())


def _service(number: int) -> Service:
    """One of 20 in its project, with names of the usual lengths."""
    project, name = f"project-{number // 20:04}", f"service-{number:06}"
    url = f"https://{name}-x7k2mq4wza-uc.a.run.app"
    return Service(
        project=project,
        region="us-central1",
        name=name,
        uid=f"6b17595b-a506-56c3-9e14-{number:012}",
        uri=url,
        urls=(f"https://{name}-123456789012.us-central1.run.app", url),
        labels={"team": f"team-{number % 17}", "env": "prod"},
        annotations={"run.googleapis.com/client-name": "gcloud"},
        latest_ready_revision=f"{name}-00001-abc",
    )


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    json.dump(measure(int(sys.argv[1])), sys.stdout)
