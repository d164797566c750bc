"""The gateway: against a bare streaming proxy, and against a job for each service."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import load
from tests.bench.gateway_peers import LARGE, SLOW, SMALL
from tests.bench.proxy import cpu_seconds, metric, resident, running
from tests.bench.table import row
from tests.e2e.gateway_stack import site, world
from tests.generator.publishing_kit import prometheus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.e2e.gateway_stack import Services, Site

ROUNDS, ROUND_SECONDS, CONNECTIONS, HOSTS = 7, 1.0, 8, 100
JOBS, RELOADS = 1000, 5
BODIES = 25
WAITING, WAITING_MEMORY, BATCH = 2000, 60, 50
SECRET = "secret"
AUTHORIZATION = "Basic cHJvbWV0aGV1czpzZWNyZXQ="
IDLE = "30m"
"""So rarely does Prometheus scrape while it is its own cost that is measured."""


def main() -> None:
    """Fill in the lines of point 4, and Prometheus' part of point 6."""
    with tempfile.TemporaryDirectory() as name, peers(Path(name)) as addresses:
        scrapes(addresses)
        streams(addresses)
        waiting(addresses["gateway"])
    if shutil.which("prometheus"):
        modes()


def scrapes(servers: dict[str, tuple[load.Address, int]]) -> None:
    """Small scrapes, with the secret checked and the token added, against a bare proxy."""
    rates: dict[str, list[float]] = {name: [] for name in servers}
    costs: dict[str, list[float]] = {name: [] for name in servers}
    for _, (name, (address, pid)) in itertools.product(range(ROUNDS + 1), servers.items()):
        before = cpu_seconds(pid)
        result = load.closed_loop(
            address, itertools.cycle(_requests()), connections=CONNECTIONS, seconds=ROUND_SECONDS
        )
        if set(result.statuses) != {200}:
            raise AssertionError(f"{name}: {result.statuses}")
        rates[name].append(result.rate)
        costs[name].append((cpu_seconds(pid) - before) / len(result.latencies) * 1000)
    # The first round made connections and tokens.
    pairs = zip(rates["gateway"][1:], rates["bare"][1:], strict=True)
    ratio = statistics.median(ours / bare for ours, bare in pairs)
    row(
        "4",
        f"scrapes of {SMALL // 1024} KiB through the gateway",
        f"{statistics.median(rates['gateway'][1:]):.0f}/s,"
        f" {statistics.median(costs['gateway'][1:]):.2f} ms of CPU",
        f"{statistics.median(rates['bare'][1:]):.0f}/s,"
        f" {statistics.median(costs['bare'][1:]):.2f} ms of CPU",
        ratio=ratio,
        wanted="≥ 0.9",
        good=ratio >= 0.9,
    )


def streams(servers: dict[str, tuple[load.Address, int]]) -> None:
    """Bodies that are too large to hold, against a bare proxy, and the memory that they take."""
    rates: dict[str, list[float]] = {name: [] for name in servers}
    costs: dict[str, list[float]] = {name: [] for name in servers}
    memory = resident(servers["gateway"][1])
    for _, (name, (address, pid)) in itertools.product(range(BODIES), servers.items()):
        before = cpu_seconds(pid)
        rates[name].append(LARGE / 2**20 / _read_large(address))
        costs[name].append((cpu_seconds(pid) - before) * 1000)
    # The best of each: a body takes 50 ms, and whatever else runs shows in it.
    ratio = max(rates["gateway"]) / max(rates["bare"])
    row(
        "4",
        f"bodies of {LARGE // 2**20} MiB, one at a time",
        f"{max(rates['gateway']):.0f} MiB/s, {statistics.median(costs['gateway']):.0f} ms of CPU,"
        f" {(resident(servers['gateway'][1]) - memory) / 2**20:+.1f} MiB resident",
        f"{max(rates['bare']):.0f} MiB/s, {statistics.median(costs['bare']):.0f} ms of CPU",
        ratio=ratio,
        wanted="≥ 0.85",
        good=ratio >= 0.85,
    )


def waiting(gateway: tuple[load.Address, int]) -> None:
    """What scrapes cost whose services take their time, once tokens and connections are there."""
    address, pid = gateway
    for first in range(0, WAITING, BATCH):
        with _begun(address, "/pause", range(first, first + BATCH)) as scrapes:
            _read_all(scrapes)
    before = resident(pid)
    with _begun(address, "/slow", range(WAITING)) as scrapes:
        time.sleep(SLOW / 2)
        under_way = metric(address, "gateway_requests_in_flight")
        memory = (resident(pid) - before) / 2**20
        _read_all(scrapes)
    row(
        "4",
        f"{WAITING:,} scrapes under way, of slow services",
        f"{memory:.0f} MiB, {memory * 1024 / WAITING:.0f} KiB each",
        wanted=f"≤ {WAITING_MEMORY} MiB",
        good=memory <= WAITING_MEMORY and under_way == WAITING,
    )


@contextmanager
def _begun(
    address: load.Address, path: str, numbers: Iterable[int]
) -> Iterator[list[socket.socket]]:
    """Scrapes that are under way, two to each host."""
    with ExitStack() as stack:
        scrapes = []
        for number in numbers:
            request = _request(f"slow-{number // 2:04}.a.run.app", path)
            scrapes.append(stack.enter_context(socket.create_connection(address, timeout=120)))
            scrapes[-1].sendall(request[:-2] + b"Connection: close\r\n\r\n")
        yield scrapes


def _read_all(scrapes: Iterable[socket.socket]) -> None:
    for scrape in scrapes:
        while scrape.recv(65536):
            pass


def modes() -> None:
    """What Prometheus itself takes: a job for each service, and one for all."""
    services: Services = {f"service-{number:04}": {} for number in range(JOBS)}
    found: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with site(directory, world(services), scrape_interval=IDLE) as running_site:
            running_site.run("generate")
            running_site.run("targets")
            found["gateway"] = _reload(running_site)
            running_site.settings |= {"mode": "oauth2", "gateway_url": None, "targets_file": None}
            running_site.run("generate")
            found["jobs"] = _reload(running_site)
    (gateway, gateway_memory), (jobs, jobs_memory) = found["gateway"], found["jobs"]
    row(
        "6",
        f"an unchanged reload of Prometheus, {JOBS:,} services by the gateway; a job each",
        f"{gateway * 1000:.0f} ms, {gateway_memory / 2**20:.0f} MiB",
        f"{jobs * 1000:.0f} ms, {jobs_memory / 2**20:.0f} MiB",
        ratio=gateway / jobs,
        wanted="< 1",
        good=gateway < jobs,
    )


def _reload(at: Site) -> tuple[float, float]:
    """Seconds of an unchanged reload (median), and bytes of memory with all targets known."""
    with prometheus(at.config, "--web.enable-lifecycle") as address:
        url = f"{address}/api/v1/targets?state=active"
        deadline = time.monotonic() + 60
        while _targets(url) < JOBS and time.monotonic() < deadline:
            time.sleep(0.5)
        pid = _listens(int(address.rpartition(":")[2]))
        memory = resident(pid)
        taken = []
        for _ in range(RELOADS):
            began = time.perf_counter()
            request = urllib.request.Request(f"{address}/-/reload", method="POST")
            with urllib.request.urlopen(request, timeout=60):
                taken.append(time.perf_counter() - began)
    return statistics.median(taken), memory


def _targets(url: str) -> int:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return len(json.load(answer)["data"]["activeTargets"] or [])


def _listens(port: int) -> int:
    """The pid of the Prometheus that was started with this port."""
    wanted = f"--web.listen-address=127.0.0.1:{port}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (process / "cmdline").read_bytes():
                return int(process.name)
        except OSError:
            continue
    raise LookupError(port)


def _requests() -> list[bytes]:
    return [_request(f"api-{number:03}.a.run.app", "/metrics") for number in range(HOSTS)]


def _request(host: str, path: str) -> bytes:
    return (
        f"GET http://{host}:80{path} HTTP/1.1\r\nHost: {host}:80\r\n"
        "User-Agent: Prometheus/2.42.0\r\nAccept: text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n"
        f"Accept-Encoding: gzip\r\nAuthorization: {AUTHORIZATION}\r\n"
        "X-Prometheus-Scrape-Timeout-Seconds: 120\r\n\r\n"
    ).encode()


def _read_large(address: load.Address) -> float:
    """Seconds for one large body."""
    buffer, got = bytearray(1 << 20), 0
    began = time.perf_counter()
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(_request("api-000.a.run.app", "/large"))
        while got < LARGE:
            count = connection.recv_into(buffer)
            if not count:
                raise ConnectionError(f"{got} bytes of {LARGE}")
            got += count
    return time.perf_counter() - began


@contextmanager
def peers(directory: Path) -> Iterator[dict[str, tuple[load.Address, int]]]:
    """The gateway and the bare proxy, each with its address and its worker's pid."""
    services = [
        {
            "state": "kept",
            "name": name,
            "audience": f"https://{name}.a.run.app",
            "scheme": "https",
            "target": f"{name}.a.run.app:443",
            "metrics_path": "/metrics",
        }
        for name in [
            *(f"api-{number:03}" for number in range(HOSTS)),
            *(f"slow-{number:04}" for number in range(WAITING // 2)),
        ]
    ]
    inventory = directory / "inventory.json"
    inventory.write_text(json.dumps({"version": 1, "scopes": {"demo/us-central1": services}}))
    (directory / "secret").write_text(SECRET)
    options = {
        "--inventory": inventory,
        "--client-secret-file": directory / "secret",
        "--ca-file": directory / "ca.pem",
        "--gateway-concurrency": WAITING + 100,
    }
    words = [str(word) for pair in options.items() for word in pair]
    with ExitStack() as stack:
        command = [sys.executable, "-m", "tests.bench.gateway_peers", "upstream", str(directory)]
        upstream = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        )
        stack.callback(upstream.terminate)
        if upstream.stdout is None:
            raise AssertionError
        env = os.environ | {
            "HTTPS_PROXY": f"http://127.0.0.1:{upstream.stdout.readline().strip()}",
            "BENCH_CA_FILE": str(directory / "ca.pem"),
        }
        gateway = ("tests.proxy.fake", "0", "--gateway", *words, "--listen")
        yield {
            "gateway": stack.enter_context(running(*gateway, env=env)),
            "bare": stack.enter_context(running("tests.bench.gateway_peers", "bare", env=env)),
        }


if __name__ == "__main__":
    main()
