"""Everything that a soak runs: Google's emulator, the proxy, two generators, Prometheus."""

from __future__ import annotations

import contextlib
import resource
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from demo.processes import get_json
from emulator import Emulator
from tests.kit.consumers import releases_of
from tests.kit.ports import free_port
from tests.kit.programs import Program, clean_environment, running
from tests.kit.prometheus import prometheus
from tests.kit.waiting import until
from tests.proxy.harness import children_of
from tests.soak.judge import Samples
from tests.soak.plan import INTERVAL

FILES = ("prometheus.yml", "targets.json", "jobs/inventory.json", "gateway/inventory.json")
"""Every file that is published."""
PROXY = """
import datetime, os, runpy, sys, time
from google.auth import _helpers
real, file = time.time, os.open(sys.argv.pop(1), os.O_RDONLY)
time.time = lambda: real() + float(os.pread(file, 9, 0))
now = lambda: datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
_helpers.utcnow = lambda: now().replace(tzinfo=None)
runpy.run_module("runscrape_proxy", run_name="__main__")
"""
"""The proxy with a wall clock that is as far ahead as a file says; other clocks are left alone."""


@dataclass
class Kept:
    """A program that is started again when it ends, as systemd does it."""

    name: str
    command: Sequence[str | Path]
    logs: Path
    env: Mapping[str, str]
    starts: int = 0
    _ending: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def start(self) -> None:
        self.starts += 1
        log = self.logs / f"{self.name}-{self.starts}.log"
        self.program: Program = self._ending.enter_context(running(self.command, log, env=self.env))
        if self.name == "proxy":
            self.program.until_it_says("listening")

    def restart(self, with_signal: int = signal.SIGKILL) -> None:
        self.program.stop(with_signal)
        self.close()
        self.start()

    def close(self) -> None:
        self._ending.close()

    @property
    def pids(self) -> list[int]:
        """The process and those that it started."""
        return [self.program.process.pid, *children_of(self.program.process.pid)]

    def limit(self, what: int, soft: int | None) -> None:
        """Set a limit of the running processes (None: as it is for us)."""
        ours, hard = resource.getrlimit(what)
        for pid in self.pids:
            resource.prlimit(pid, what, (ours if soft is None else soft, hard))

    def figures(self) -> dict[str, float]:
        """Measure the processes together. Raises OSError or KeyError where they just ended."""
        found = dict.fromkeys(("MB of memory", "threads", "descriptors"), 0.0)
        for folder in (Path(f"/proc/{pid}") for pid in self.pids):
            lines = (folder / "status").read_text().splitlines()
            status = dict(line.split(":", 1) for line in lines)
            found["MB of memory"] += int(status["VmRSS"].split()[0]) / 1024
            found["threads"] += int(status["Threads"])
            found["descriptors"] += sum(1 for _ in (folder / "fd").iterdir())
        return found


@dataclass
class Stage:
    """What runs, and where its files are."""

    etc: Path
    google: Emulator
    programs: Mapping[str, Kept]
    prometheus: str = ""

    def samples(self, seconds: float) -> dict[tuple[str, str, str], Samples]:
        """Ask Prometheus for each sample of ``up``, as stored, by mode, project and service."""
        query = urlencode({"query": f'up{{service_name!=""}}[{seconds + 60:.0f}s]'})
        found: dict[tuple[str, str, str], Samples] = {}
        for series in get_json(f"{self.prometheus}/api/v1/query?{query}")["data"]["result"]:
            labels = series["metric"]
            target = (labels["job"].partition("/")[0], labels["project_id"], labels["service_name"])
            values = [(float(at), value == "1") for at, value in series["values"]]
            found[target] = sorted([*found.get(target, ()), *values])
        return found

    def up(self) -> int:
        """Count targets whose last scrape was good."""
        return sum(samples[-1][1] for samples in self.samples(0).values())

    def set_clock(self, ahead: float) -> None:
        """Put the proxy's wall clock ahead (negative: behind), at once."""
        with (self.etc.parent / "clock").open("r+b" if ahead else "w+b", buffering=0) as file:
            file.write(f"{ahead:+9.0f}".encode())

    def wrong_audiences(self) -> int:
        """Count tokens that reached a service for which they were not."""
        refused = self.google.counts()["refused_tokens"].values()
        return sum(count.get("wrong audience", 0) for count in refused)


@contextlib.contextmanager
def stage(folder: Path, world: Mapping[str, Any]) -> Iterator[Stage]:
    """Start everything, and wait until every target is up in both modes."""
    etc = folder / "etc"
    for place in (etc / "jobs", etc / "gateway", folder / "logs"):
        place.mkdir(parents=True)
    (etc / "secret").write_text("s3cr et+/%\n")
    proxy, server = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with contextlib.ExitStack() as ending:
        google = ending.enter_context(Emulator(world, folder / "google"))
        env = clean_environment() | google.env("service_account")
        _write_settings(etc, google, proxy, server)
        commands: dict[str, list[str | Path]] = {
            "proxy": [sys.executable, "-c", PROXY, folder / "clock", *_flags(etc, proxy)],
            "jobs": [sys.executable, "-m", "runscrape_generator", "generate"],
            "gateway": [sys.executable, "-m", "runscrape_generator", "targets"],
        }
        for name in ("jobs", "gateway"):
            commands[name] += ["--config", etc / name / "runscrape.yaml"]
        programs = {
            name: Kept(name, words, folder / "logs", env) for name, words in commands.items()
        }
        made = Stage(etc, google, programs)
        made.set_clock(0)
        for each in programs.values():
            ending.callback(each.close)
            each.start()
        newest = releases_of("prometheus")[-1].path
        port = int(server.partition(":")[2])
        made.prometheus = ending.enter_context(
            prometheus(etc / "prometheus.yml", "--web.enable-lifecycle", port=port, program=newest)
        )
        count = 2 * sum(len(project.services) for project in google.world.projects.values())
        until(lambda: made.up() == count, f"{count} targets to be up", changing=made.up)
        yield made


def _flags(etc: Path, address: str) -> list[str | Path]:
    flags: list[str | Path] = ["--listen", address, "--gateway", "--mint-timeout", "2s"]
    for mode in ("jobs", "gateway"):
        flags += ["--inventory", etc / mode / "inventory.json"]
    return [*flags, "--client-secret-file", etc / "secret"]


def _write_settings(etc: Path, google: Emulator, proxy: str, server: str) -> None:
    """Write both generators' settings, and the user's prometheus.yml with the gateway's job."""
    way = {"proxy_url": google.proxy_url, "tls_config": {"ca_file": str(google.ca_file)}}
    own: dict[str, dict[str, Any]] = {
        "jobs": {
            "job_name": "oauth2/{project}/{region}/{service}",
            "into": str(etc / "prometheus.yml"),
            "reload": f"http://{server}/-/reload",
            "rules": [{"scrape_config": way}],
        },
        "gateway": {
            "job_name": "gateway/{project}/{region}/{service}",
            "output": str(etc / "targets.json"),
            "mode": "gateway",
        },
    }
    for mode, settings in own.items():
        settings |= {
            "project": ["one", "two"],
            "api_endpoint": google.api,
            "token_url": f"http://{proxy}/token",
            "client_secret_file": str(etc / "secret"),
            "inventory": "inventory.json",
            "timeout": "5s",
            "watch": "2s",
        }
        (etc / mode / "runscrape.yaml").write_text(yaml.safe_dump(settings))
    job = {
        "job_name": "gateway",
        "scheme": "http",
        "proxy_url": f"http://{proxy}",
        "basic_auth": {"username": "prometheus", "password_file": "secret"},
        "file_sd_configs": [{"files": ["targets.json"], "refresh_interval": "5s"}],
        "relabel_configs": [
            {"target_label": "__scheme__", "replacement": "http"},
            {"source_labels": ["__meta_cloudrun_job"], "target_label": "job"},
        ],
    }
    pace = dict.fromkeys(("scrape_interval", "scrape_timeout"), f"{INTERVAL:.0f}s")
    config = {"global": pace, "scrape_configs": [job]}
    (etc / "prometheus.yml").write_text(yaml.safe_dump(config))
