"""The whole ``runscrape generate`` on 10,000 services, against a bare client of the same API.

The bare client is Google's own: one channel, as many calls at once, every page fetched and dropped;
also as its documentation has it, ``for service in client.list_services(…): pass``, which makes an
object of each service. All are whole processes, imports included.
``python -m tests.bench.discovery pages|services ENDPOINT CONCURRENCY`` runs it by itself.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS, CONCURRENCY = 7, 32
PROJECTS, REGIONS, SERVICES = 10, 40, 10_000
SIZES = (100, 300, 1_000, 3_000, 10_000)
LATENCY, PAGE = 0.2, 100
"""Seconds that a call takes; services on a page of the emulator's."""
NAMES = [f"project-{n:02}" for n in range(PROJECTS)]


@dataclass(frozen=True)
class Cost:
    """What a process took: seconds by the clock, seconds of CPU, bytes at its largest."""

    seconds: float
    cpu: float
    peak: int


def main() -> None:
    """Print each figure on a line of its own."""
    with tempfile.TemporaryDirectory() as folder:
        against_bare(Path(folder))
        table(Path(folder))
        latency(Path(folder))


def against_bare(folder: Path) -> None:
    """Time, memory, and a second run that changes nothing, at full size."""
    with google(folder, SERVICES) as endpoint:
        bare(endpoint, "services")  # the emulator makes its answers at the first listing
        ours, theirs, pages, again = [], [], [], []
        for n in range(ROUNDS):
            output = folder / f"{n}" / "prometheus.yml"
            output.parent.mkdir()
            theirs.append(bare(endpoint, "services"))
            pages.append(bare(endpoint, "pages"))
            ours.append(generate(endpoint, output))
            before = stamps(output.parent)
            again.append(generate(endpoint, output))
            untouched = stamps(output.parent) == before
    ratio = _least(ours) / _least(pages)
    _say(
        f"generate, {SERVICES} services in {PROJECTS * REGIONS} scopes, against a bare client",
        f"{ratio:.2f} x ({_least(ours):.2f} s of {_least(pages):.2f} s, the quickest of {ROUNDS};"
        f" medians {_median(ours) / _median(pages):.2f} x;"
        f" {_least(ours) / _least(theirs):.2f} x one that looks at each service it gets)",
        wanted="at most 4",
        good=ratio <= 4,
    )
    peak = max(one.peak for one in (*ours, *again)) / 2**20
    _say("its largest size", f"{peak:.0f} MB", wanted="at most 400", good=peak <= 400)
    _say(
        "an unchanged second run, which reads the inventory too",
        f"{_least(again) / _least(pages):.2f} x, files {'un' if untouched else ''}touched",
        wanted="untouched",
        good=untouched,
    )


def table(folder: Path) -> None:
    """How the cost of a run grows with the number of services."""
    points = []
    for size in SIZES:
        with google(folder, size) as endpoint:
            output = folder / f"of-{size}" / "prometheus.yml"
            output.parent.mkdir()
            bare(endpoint, "pages")
            cost = min((generate(endpoint, output) for _ in range(3)), key=lambda c: c.cpu)
        points.append((size, cost))
        _say(
            f"generate, {size:>6} services",
            f"{cost.seconds:.2f} s, {cost.cpu:.2f} s of CPU, {cost.peak / 2**20:.0f} MB",
        )
    (small, a), (middle, b), (large, c) = points[0], points[-2], points[-1]
    early, late = (b.cpu - a.cpu) / (middle - small), (c.cpu - b.cpu) / (large - middle)
    _say(
        "one service more",
        f"{early * 1e6:.0f} µs up to {middle}, {late * 1e6:.0f} µs from there to {large}",
        wanted="no more than 1.5 x",
        good=late <= 1.5 * early,
    )


def latency(folder: Path) -> None:
    """Each call takes 200 ms: what that adds, next to the longest chain and to the sum."""
    pages = SERVICES // PROJECTS // PAGE
    chain = LATENCY * (pages + 1)  # a project's pages, then the region that it leaves open
    took = []
    for slow in (0.0, LATENCY):
        with google(folder, SERVICES, slow) as endpoint:
            bare(endpoint, "pages")
            took.append(_least([generate(endpoint, folder / "slow.yml") for _ in range(4)]))
    added = took[1] - took[0]
    _say(
        f"{LATENCY * 1000:.0f} ms a call",
        f"{added:.2f} s more; the longest chain is {chain:.1f} s, the sum {PROJECTS * chain:.0f} s",
        wanted="at most 1.5 x the chain",
        good=added <= 1.5 * chain,
    )


@contextmanager
def google(folder: Path, services: int, slow: float = 0.0) -> Iterator[str]:
    """The emulator as a process, with a world of this size; gives its endpoint."""
    from emulator.world import big  # noqa: PLC0415 - not for the bare client

    world: dict[str, Any] = big(PROJECTS, REGIONS, services)
    if slow:
        world["faults"] = {"list_services": [{"latency": slow}]}
    (folder / "world.json").write_text(json.dumps(world))
    described = folder / "emulator.json"
    described.unlink(missing_ok=True)
    command = [sys.executable, "-m", "emulator", "--world", str(folder / "world.json")]
    command += ["--directory", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 60
            while not described.exists() and time.monotonic() < until:
                time.sleep(0.05)
            yield json.loads(described.read_text())["api"]
        finally:
            process.terminate()


def generate(endpoint: str, output: Path, concurrency: int = CONCURRENCY) -> Cost:
    """Run ``runscrape generate``, without promtool; files are in ``output``'s folder."""
    command = [sys.executable, "-m", "runscrape_generator", "generate", "-q"]
    command += [option for name in NAMES for option in ("--project", name)]
    command += ["--api-endpoint", endpoint, "--concurrency", str(concurrency)]
    return _cost([*command, "--output", str(output), "--promtool", "none"])


def bare(endpoint: str, depth: str) -> Cost:
    """Run the bare client."""
    return _cost([sys.executable, "-m", __name__, depth, endpoint, str(CONCURRENCY)])


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and mtime of each file."""
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.iterdir()}


def list_and_drop(depth: str, endpoint: str, concurrency: str) -> None:
    """Be the bare client: look at every service, or only get their pages."""
    import grpc  # noqa: PLC0415 - timed with the rest
    from google.cloud import run_v2  # noqa: PLC0415
    from google.cloud.run_v2.services.services.transports import (  # noqa: PLC0415
        ServicesGrpcTransport,
    )

    channel = grpc.insecure_channel(endpoint.removeprefix("http://"))
    client = run_v2.ServicesClient(transport=ServicesGrpcTransport(channel=channel))

    def services(project: str) -> None:
        parent = f"projects/{project}/locations/-"
        pager = client.list_services(run_v2.ListServicesRequest(parent=parent, page_size=100))
        for _ in pager if depth == "services" else pager.pages:
            pass

    with ThreadPoolExecutor(int(concurrency)) as pool:
        list(pool.map(services, NAMES))


def _cost(command: list[str]) -> Cost:
    begun = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    seconds = time.perf_counter() - begun
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def _median(costs: list[Cost]) -> float:
    return statistics.median(one.seconds for one in costs)


def _least(costs: list[Cost]) -> float:
    """The quickest: what is above it is what else the machine had to do."""
    return min(one.seconds for one in costs)


def _say(what: str, figure: str, *, wanted: str = "", good: bool = True) -> None:
    verdict = f"  [{'ok' if good else 'MISSED'}: {wanted}]" if wanted else ""
    print(f"{what}: {figure}{verdict}", flush=True)  # noqa: T201


if __name__ == "__main__":
    list_and_drop(*sys.argv[1:])
