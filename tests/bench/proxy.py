"""The token endpoint: warm, cold, with Google hanging, and with 10,000 audiences."""

from __future__ import annotations

import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from runscrape_proxy.settings import Settings
from tests.bench import load
from tests.proxy.harness import clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS, ROUND_SECONDS, CONNECTIONS = 25, 0.4, 8
MINT_SECONDS = 0.1
COLD = 1000
JOBS, INTERVAL = 10_000, 15


def main() -> None:
    """Print each figure on a line of its own."""
    throughput()
    cold_start()
    scrape_interval()
    hanging()


def throughput() -> None:
    """Warm /token against a bare Flask app on the same gunicorn settings, in turns."""
    with running("tests.bench.bare") as (bare, _), proxy(0.01) as (ours, _):
        addresses = {"bare": bare, "proxy": ours}
        rates: dict[str, list[float]] = {name: [] for name in addresses}
        for _, (name, address) in itertools.product(range(ROUNDS), addresses.items()):
            result = load.closed_loop(
                address, _cycle(10), connections=CONNECTIONS, seconds=ROUND_SECONDS
            )
            _only_200(result)
            rates[name].append(result.rate)
    ratio = statistics.median(a / b for a, b in zip(rates["proxy"], rates["bare"], strict=True))
    _say(
        "warm /token against a bare Flask app",
        f"{ratio:.2f} of its throughput"
        f" ({statistics.median(rates['proxy']):.0f}/s of {statistics.median(rates['bare']):.0f}/s)",
        wanted="at least 0.50",
        good=ratio >= 0.5,
    )


def cold_start() -> None:
    """1,000 cold audiences at once, 100 ms a mint: through google-auth, with real signatures."""
    ideal = COLD * MINT_SECONDS / Settings().mint_concurrency
    with _google() as environment, running("runscrape_proxy", "--listen", env=environment) as us:
        address, process = us
        before = cpu_seconds(process)
        result = load.all_at_once(address, _requests(COLD))
        spent = (cpu_seconds(process) - before) / COLD
        mints = metric(address, 'mints_total{result="ok"}')
    answered = result.statuses.get(200, 0)
    ratio = result.seconds / ideal
    _say(
        f"{COLD} cold audiences at once, {MINT_SECONDS * 1000:.0f} ms a mint",
        f"{answered} answered, {mints:.0f} mints, {result.seconds:.2f} s ="
        f" {ratio:.2f} x what the mints wait for Google ({spent * 1000:.1f} ms of CPU each)",
        wanted="all, one each, at most 1.50",
        good=answered == COLD == mints and ratio <= 1.5,
    )


@contextmanager
def _google() -> Iterator[dict[str, str]]:
    """The emulator as a process of its own; gives the environment of a proxy that uses its key."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        world = {
            "projects": {"demo": {"number": 1}},
            "faults": {"issuers": [{"kind": "service_account", "latency": MINT_SECONDS}]},
        }
        file = directory / "world.yaml"
        file.write_text(json.dumps(world))
        command = [sys.executable, "-m", "emulator", "--world", str(file), "--directory", name]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout
                process.stdout.readline()
                places = json.loads((directory / "emulator.json").read_text())
                yield clean_environment() | places["env"]["service_account"]
            finally:
                process.terminate()


def scrape_interval() -> None:
    """One interval of 10,000 jobs that each ask for their token, warm; and the memory it takes."""
    with _inventory(JOBS) as inventory, proxy(0.0, "--inventory", inventory) as (address, process):
        _warm(address, 10)
        small = resident(process)
        _warm(address, JOBS)
        large = resident(process)
        result = load.open_loop(address, _cycle(JOBS), rate=JOBS / INTERVAL, seconds=INTERVAL)
        _only_200(result)
    p99 = result.quantile(0.99) * 1000
    _say(
        f"{JOBS} jobs, {JOBS / INTERVAL:.0f} requests/s for {INTERVAL} s, warm",
        f"p99 {p99:.1f} ms, median {result.quantile(0.5) * 1000:.1f} ms",
        wanted="p99 under 20 ms",
        good=p99 < 20,
    )
    _say(
        "resident memory with 10 and 10,000 audiences",
        f"{small / 2**20:.0f} MiB and {large / 2**20:.0f} MiB",
    )


def hanging() -> None:
    """Google hangs for 1,000 cold audiences, each asked for at once, while warm ones go on."""
    with proxy(0.0) as (address, process):
        _warm(address, 10)
        quiet = load.open_loop(address, _cycle(10), rate=200, seconds=4)
        before = resident(process)
        with _cold_from_elsewhere(address) as cold:
            busy = load.open_loop(address, _cycle(10), rate=200, seconds=4)
            threads = int(status_line(process, "Threads"))
            memory = resident(process) - before
            statuses, slowest = cold()
        _only_200(busy)
        after = load.all_at_once(address, _requests(30)[10:])
    ratio = busy.quantile(0.99) / quiet.quantile(0.99)
    _say(
        f"Google hanging, {COLD} cold audiences at once: warm answers",
        f"median {busy.quantile(0.5) * 1000:.1f} ms, p99 {busy.quantile(0.99) * 1000:.0f} ms,"
        f" {ratio:.0f} x that of an idle proxy; {threads} threads, {memory / 2**20:+.0f} MiB",
        wanted="p99 under 1 s",
        good=busy.quantile(0.99) < 1,
    )
    _say(
        "  and the cold ones",
        f"{statuses}, the slowest after {slowest:.2f} s",
        wanted="503 within 5 s",
        good=statuses == {"503": COLD} and slowest <= Settings().mint_timeout + 1,
    )
    _say(
        "  and 20 new ones at once after it",
        f"{after.statuses} in {after.seconds * 1000:.0f} ms",
        wanted="within 1 s",
        good=after.statuses == {200: 20} and after.seconds < 1,
    )


@contextmanager
def _cold_from_elsewhere(
    address: load.Address,
) -> Iterator[Callable[[], tuple[dict[str, int], float]]]:
    """Ask for cold audiences from another process; call what this gives for how that went."""
    command = [sys.executable, "-m", "tests.bench.load", *map(str, address), "hang", str(COLD)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:

        def ended() -> tuple[dict[str, int], float]:
            result = json.loads(process.communicate(timeout=60)[0])
            return result["statuses"], max(result["latencies"])

        yield ended


@contextmanager
def proxy(mint_seconds: float, *options: str) -> Iterator[tuple[load.Address, int]]:
    """The real command with a minter that takes ``mint_seconds``; its address and worker's pid."""
    with running("tests.proxy.fake", str(mint_seconds), *options, "--listen") as started:
        yield started


@contextmanager
def _inventory(count: int) -> Iterator[str]:
    """An inventory of as many services: without one, 2,000 audiences are held at most."""
    services = [{"state": "kept", "audience": _audience(number)} for number in range(count)]
    with TemporaryDirectory() as name:
        file = Path(name) / "inventory.json"
        file.write_text(json.dumps({"version": 1, "scopes": {"demo/us-central1": services}}))
        yield str(file)


@contextmanager
def running(
    module: str, *arguments: str, env: dict[str, str] | None = None
) -> Iterator[tuple[load.Address, int]]:
    """A server as a process, with an address as its last argument."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address: load.Address = probe.getsockname()
    command = [sys.executable, "-m", module, *arguments, f"{address[0]}:{address[1]}"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=env) as process:
        try:
            _wait_for(address)
            yield address, worker_of(process.pid)
        finally:
            process.terminate()


def worker_of(arbiter: int) -> int:
    """The pid of gunicorn's one worker."""
    return int(Path(f"/proc/{arbiter}/task/{arbiter}/children").read_text().split()[0])


def resident(pid: int) -> int:
    """Resident memory in bytes."""
    return int(status_line(pid, "VmRSS").split()[0]) * 1024


def status_line(pid: int, name: str) -> str:
    """One value of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(name + ":"))


def cpu_seconds(pid: int) -> float:
    """What a process has used of the CPU, in itself and in the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def metric(address: load.Address, name: str) -> float:
    """One of the proxy's own metrics."""
    url = f"http://{address[0]}:{address[1]}/metrics"
    with urllib.request.urlopen(url, timeout=60) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(f"runscrape_proxy_{name} "):
                return float(line.rpartition(" ")[2])
    raise LookupError(name)


def _wait_for(address: load.Address) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with socket.create_connection(address, timeout=5) as connection:
                connection.sendall(b"GET /-/healthy HTTP/1.0\r\n\r\n")
                if connection.recv(16):
                    return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _warm(address: load.Address, count: int) -> None:
    for first in range(0, count, 500):
        load.all_at_once(address, _requests(count)[first : first + 500])


def _requests(count: int) -> list[bytes]:
    return [load.token_request(_audience(number)) for number in range(count)]


def _audience(number: int) -> str:
    return f"https://api-{number:05d}-x7k2mq4wza-uc.a.run.app"


def _cycle(count: int) -> Iterator[bytes]:
    return itertools.cycle(_requests(count))


def _only_200(result: load.Result) -> None:
    if set(result.statuses) != {200}:
        raise AssertionError(f"answers: {result.statuses}")


def _say(what: str, figure: str, *, wanted: str = "", good: bool = True) -> None:
    verdict = f"  [{'ok' if good else 'MISSED'}{': ' + wanted if wanted else ''}]"
    print(f"{what}: {figure}{verdict if wanted or not good else ''}", flush=True)  # noqa: T201
