"""Whole runs of ``runscrape generate``, against a bare client that makes the same calls.

The bare client is Google's own: one channel, as many calls at once, every page fetched and dropped.
Both are whole processes, imports included; each call takes 100 ms.
``python -m tests.bench.discovery ENDPOINT PROJECT|folders/ID…`` runs the bare client by itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator.regions import REGIONS
from tests.bench.processes import Cost, cost_of, google, waited_for_a_core
from tests.bench.table import row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROUNDS, CONCURRENCY, LATENCY = 3, 32, 0.1
PROJECTS, SERVICES = 10, 10_000
SIZES = (1_000, 4_000, 10_000)
MANY_PROJECTS, FOLDER = 1_000, "123456789012"
OPEN = [region for region in REGIONS if region != "me-central2"][:42]
IN_USE = ("europe-west1", "us-central1", "us-east1")
DURATION = re.compile(r"^runscrape_run_duration_seconds (\S+)", re.MULTILINE)


def main() -> None:
    """Fill in the lines of point 1."""
    with tempfile.TemporaryDirectory() as name:
        few_projects(Path(name))
        slope(Path(name))
        by_folder(Path(name))


def few_projects(folder: Path) -> None:
    """10,000 services: a first run, one that changes nothing, and rounds of --watch."""
    with google(folder, world(PROJECTS, SERVICES)) as places:
        endpoint, what = places["api"], names(PROJECTS)
        bare(endpoint, *what)  # the emulator makes its answers at the first listing
        theirs, first, again = [], [], []
        for n in range(ROUNDS):
            output = folder / f"round-{n}" / "prometheus.yml"
            output.parent.mkdir()
            theirs.append(bare(endpoint, *what))
            first.append(generate(endpoint, output, *projects(what)))
            before = stamps(output.parent)
            again.append(generate(endpoint, output, *projects(what)))
            assert stamps(output.parent) == before, "an unchanged run wrote"
        watched = watch(endpoint, output, *projects(what))
    scene = f"{SERVICES:,} services in {PROJECTS} projects"
    against("1", f"generate, {scene}", first, theirs, 2.0)
    against("1", "the same again, nothing changed", again, theirs, 2.5)
    ratio = statistics.median(watched) / statistics.median(one.seconds for one in theirs)
    row(
        "1",
        "a round of --watch, nothing changed",
        f"{statistics.median(watched):.2f} s",
        f"{statistics.median(one.seconds for one in theirs):.2f} s",
        ratio=ratio,
        wanted="≤ 2.5",
        good=ratio <= 2.5,
    )
    for label, costs in (("a first run", first), ("an unchanged one", again)):
        peak, base = (max(one.peak for one in some) / 2**20 for some in (costs, theirs))
        figure = f"{peak:.0f} MiB"
        row(
            "1",
            f"memory of {label}",
            figure,
            f"{base:.0f} MiB",
            wanted="≤ 150 MiB",
            good=peak <= 150,
        )


def against(point: str, what: str, ours: list[Cost], theirs: list[Cost], most: float) -> None:
    """A line for whole runs: the median of the ratios of each round."""
    ratio = statistics.median(a.seconds / b.seconds for a, b in zip(ours, theirs, strict=True))
    row(
        point,
        what,
        _shown(ours),
        _shown(theirs),
        ratio=ratio,
        wanted=f"≤ {most}",
        good=ratio <= most,
    )


def _shown(costs: list[Cost]) -> str:
    seconds = statistics.median(one.seconds for one in costs)
    return f"{seconds:.2f} s, {statistics.median(one.cpu for one in costs):.2f} s of CPU"


def slope(folder: Path) -> None:
    """What one service more costs, in small and in large sites."""
    points = []
    for size in SIZES:
        with google(folder, world(PROJECTS, size, latency=0.0)) as places:
            output = folder / f"of-{size}" / "prometheus.yml"
            output.parent.mkdir()
            runs = [generate(places["api"], output, *projects(names(PROJECTS))) for _ in range(2)]
            points.append((size, min(run.cpu for run in runs[1:]), max(run.peak for run in runs)))
    (small, a, low), (middle, b, mid), (large, c, high) = points
    early, late = (b - a) / (middle - small), (c - b) / (large - middle)
    kilobytes = (mid - low) / (middle - small) / 1024, (high - mid) / (large - middle) / 1024
    row(
        "1",
        f"one service more, {middle:,} to {large:,}; against {small:,} to {middle:,}",
        f"{late * 1e6:.0f} µs, {kilobytes[1]:.1f} KB",
        f"{early * 1e6:.0f} µs, {kilobytes[0]:.1f} KB",
        ratio=late / early,
        wanted="≤ 1.5",
        good=late <= 1.5 * early,
    )


def by_folder(folder: Path) -> None:
    """1,000 projects with three services each, found by a search; and what a terminal is told."""
    with google(folder, world(MANY_PROJECTS, 3 * MANY_PROJECTS)) as places:
        endpoint, searched = places["api"], f"folders/{FOLDER}"
        bare(endpoint, searched)
        ours, theirs = [], []
        for n in range(2):
            theirs.append(bare(endpoint, searched))
            output = folder / f"many-{n}" / "prometheus.yml"
            output.parent.mkdir()
            ours.append(generate(endpoint, output, "--folder", FOLDER))
        seen = progress(command(endpoint, output, "--folder", FOLDER))
    against(
        "1",
        f"{MANY_PROJECTS:,} projects by folder, {3 * MANY_PROJECTS:,} services",
        ours,
        theirs,
        1.5,
    )
    row(
        "1",
        "how often its progress bar says how far it is",
        f"{seen} times",
        wanted="≥ 10",
        good=seen >= 10,
    )


def world(count: int, services: int, latency: float = LATENCY) -> dict[str, Any]:
    """Projects with as many services each, in three of their regions."""
    slow = [{"latency": latency}] if latency else []
    return {
        "projects": {
            name: {
                "number": number + 1,
                "regions": OPEN,
                "folders": [FOLDER],
                "services": [
                    {"name": f"svc-{n:05}", "region": IN_USE[n % 3], "labels": {"team": "web"}}
                    for n in range(services // count)
                ],
            }
            for number, name in enumerate(names(count))
        },
        "faults": dict.fromkeys(("list_services", "locations", "search"), slow),
    }


def names(count: int) -> list[str]:
    """The projects of a world."""
    return [f"project-{number:04}" for number in range(count)]


def projects(found: Iterable[str]) -> list[str]:
    """The options that name projects."""
    return [word for name in found for word in ("--project", name)]


def command(endpoint: str, output: Path, *what: str) -> list[str]:
    """``runscrape generate`` without promtool; files are in ``output``'s folder."""
    words = [sys.executable, "-m", "runscrape_generator", "generate", *what]
    words += ["--api-endpoint", endpoint, "--concurrency", str(CONCURRENCY)]
    return [*words, "--output", str(output), "--promtool", "none"]


def generate(endpoint: str, output: Path, *what: str) -> Cost:
    """Run it once."""
    return cost_of([*command(endpoint, output, *what), "-q"])


def bare(endpoint: str, *what: str) -> Cost:
    """Run the bare client."""
    return cost_of([sys.executable, "-m", __name__, endpoint, *what])


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and mtime of each file."""
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.iterdir()}


def watch(endpoint: str, output: Path, *what: str, rounds: int = 3) -> list[float]:
    """Seconds of each round but the first, less those without a core."""
    metrics = output.with_name("run.prom")
    words = [*command(endpoint, output, *what), "--watch", "1s", "--metrics-file", str(metrics)]
    taken: list[float] = []
    with subprocess.Popen([*words, "-q"]) as process:
        try:
            written, waited = 0, 0.0
            while len(taken) <= rounds:
                time.sleep(0.05)
                now = metrics.stat().st_mtime_ns if metrics.exists() else 0
                if now == written:
                    continue
                before, waited, written = waited, waited_for_a_core(process.pid), now
                found = DURATION.search(metrics.read_text())
                assert found
                taken.append(float(found[1]) - (waited - before))
        finally:
            process.terminate()
    return taken[1:]


def progress(words: list[str]) -> int:
    """How many different counts of projects a terminal is shown."""
    ours, theirs = os.openpty()
    with subprocess.Popen(words, stderr=theirs, env=os.environ | {"TERM": "xterm"}):
        os.close(theirs)
        shown = b"".join(iter(lambda: _read(ours), b""))
    return len(set(re.findall(rb"(\d+)/1000", shown)))


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # its other end is closed
        return b""


def list_and_drop(endpoint: str, *what: str) -> None:
    """Be the bare client."""
    import grpc  # noqa: PLC0415 - timed with the rest
    import requests  # noqa: PLC0415
    from google.api_core import exceptions  # noqa: PLC0415
    from google.cloud import run_v2  # noqa: PLC0415
    from google.cloud.run_v2.services.services.transports import (  # noqa: PLC0415
        ServicesGrpcTransport,
    )

    channel = grpc.insecure_channel(endpoint.removeprefix("http://"))
    client = run_v2.ServicesClient(transport=ServicesGrpcTransport(channel=channel))

    def pages(parent: str) -> set[str]:
        request = run_v2.ListServicesRequest(parent=parent, page_size=500)
        return {name for page in client.list_services(request).pages for name in page.unreachable}

    def project(name: str) -> None:
        for region in pages(f"projects/{name}/locations/-"):
            if not found:  # else the search names the regions that count
                with contextlib.suppress(exceptions.GoogleAPICallError):  # closed to this project
                    pages(f"projects/{name}/locations/{region.rpartition('/')[2]}")

    found = what[0].startswith("folders/")
    if found:
        what = tuple(_search(requests.Session().get, f"{endpoint}/v1/{what[0]}"))
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        list(pool.map(project, what))


def _search(get: Callable[..., Any], container: str) -> set[str]:
    """The projects that a search finds, page by page."""
    params = {
        "assetTypes": "run.googleapis.com/Service",
        "readMask": "name,project,location",
        "pageSize": "500",
    }
    found: set[str] = set()
    while True:
        page = get(f"{container}:searchAllResources", params=params).json()
        found |= {result["name"].split("/")[4] for result in page.get("results", [])}
        if not page.get("nextPageToken"):
            return found
        params["pageToken"] = page["nextPageToken"]


if __name__ == "__main__":
    list_and_drop(*sys.argv[1:])
