"""How many calls, and how long, it takes to list real sites, with 100 ms a call.

A project with 43 regions, 3 of them in use; and 1,000 projects with 3,000 services, by folder.
Whole processes, imports included, against an emulator in this one, which counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from emulator import Emulator
from emulator.regions import REGIONS

LATENCY = 0.1
PROJECTS = 1_000
FOLDER = "123456789012"
OPEN = [region for region in REGIONS if region != "me-central2"][:42]
IN_USE = ("europe-west1", "us-central1", "us-east1")
SLOW = {kind: [{"latency": LATENCY}] for kind in ("list_services", "locations", "search")}


def main() -> None:
    """Print each figure on a line of its own."""
    with tempfile.TemporaryDirectory() as folder, Emulator(demo(), Path(folder)) as google:
        calls, seconds = measure(google, Path(folder), "--project", "demo")
        say("a project, 43 regions, 3 in use", calls, seconds, most=3)
        google.update(organization())
        calls, seconds = measure(google, Path(folder), "--folder", FOLDER)
        say(f"{PROJECTS} projects, 3,000 services, by folder", calls, seconds, most=PROJECTS + 10)


def demo() -> dict[str, Any]:
    """A project with ten services in each region that is in use."""
    services = [{"name": f"svc-{n}", "region": IN_USE[n % 3]} for n in range(30)]
    projects = {"demo": {"number": 1, "regions": OPEN, "services": services}}
    return {"projects": projects, "faults": SLOW}


def organization() -> dict[str, Any]:
    """A folder of projects with three services each, in two of the regions."""
    projects = {
        f"project-{number:04}": {
            "number": number + 1,
            "regions": OPEN,
            "folders": [FOLDER],
            "services": [{"name": f"svc-{n}", "region": IN_USE[n % 2]} for n in range(3)],
        }
        for number in range(PROJECTS)
    }
    return {"projects": projects, "faults": SLOW}


def measure(google: Emulator, folder: Path, *what: str) -> tuple[dict[str, int], float]:
    """Run ``runscrape explain --json``; gives the calls of each kind, and the seconds."""
    google.reset_counts()
    command = [sys.executable, "-m", "runscrape_generator", "explain", "--json", *what]
    command += ["--api-endpoint", google.api]
    begun = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, cwd=folder)
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command)
    assert len(json.loads(done.stdout)["services"]) in {30, 3 * PROJECTS}
    counts = google.counts()
    kinds = ("list_services", "locations", "searches")
    return {kind: sum(map(sum_of, counts[kind].values())) for kind in kinds}, seconds


def sum_of(counts: dict[str, int]) -> int:
    """Add up the counts of one scope."""
    return sum(counts.values())


def say(what: str, calls: dict[str, int], seconds: float, *, most: int) -> None:
    """Print a line, with whether it is good."""
    total = sum(calls.values())
    parts = ", ".join(f"{kind} {number}" for kind, number in calls.items() if number)
    verdict = "ok" if total <= most else "MISSED"
    figure = f"{total} calls ({parts}) in {seconds:.1f} s"
    print(f"{what}: {figure}  [{verdict}: at most {most} calls]", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
