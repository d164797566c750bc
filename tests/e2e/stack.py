"""examples/file-sd with everything real around it but Google, which the emulator plays."""

from __future__ import annotations

import contextlib
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.processes import get_json
from emulator import Emulator
from runscrape_generator.publish import files
from tests.generator.commands_kit import run_here
from tests.kit import fast_yaml as yaml
from tests.kit.ports import free_port
from tests.kit.programs import clean_environment, running
from tests.kit.prometheus import get, prometheus
from tests.kit.waiting import until
from tests.proxy import harness

EXAMPLE = Path(__file__).parents[2] / "examples" / "file-sd"
QUICK = "--scrape.discovery-reload-interval=100ms"
"""Else Prometheus takes up to 5 s more to look at changed targets."""
AUDIENCE = "https://metrics.example.com"
REGIONS = ("europe-west1", "us-central1")

Seen = dict[str, dict[str, Any]]
"""The active targets of the targets API, by ``service_name``."""


def targets_seen(address: str) -> Seen:
    """Every Cloud Run target that a Prometheus has now, scraped or not yet."""
    active = get_json(f"{address}/api/v1/targets?state=active")["data"]["activeTargets"] or []
    return {
        each["labels"]["service_name"]: each for each in active if "service_name" in each["labels"]
    }


NAMES = ("api", "cart", "hello", "shop")
"""The services that Prometheus scrapes in the world that all begins with; hello is public."""

_OTHERS: dict[str, Mapping[str, Any]] = {
    "hello": {"invoker_iam_disabled": True},
    "odd": {"custom_audiences": []},
}


def world(
    names: Sequence[str] = (*NAMES, "odd"),
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    faults: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """A service for each name with the shared audience, but odd has its own URL only."""
    services = [
        {
            "name": name,
            "region": REGIONS[len(name) % 2],
            "custom_audiences": [AUDIENCE],
            **(_OTHERS | dict(changes or {})).get(name, {}),
        }
        for name in names
    ]
    demo = {"number": 123456789012, "regions": list(REGIONS), "services": services}
    return {"projects": {"demo": demo}, "faults": {"list_services": list(faults)}}


DOWN = ({"region": "[eu]*", "code": "PERMISSION_DENIED"},)
"""The faults of an API that lists nothing, and says so at once."""


@dataclass(frozen=True)
class Stack:
    """A folder that stands for /etc and /var/lib, the emulator, and the proxy's address."""

    folder: Path
    google: Emulator
    proxy: harness.Proxy

    @property
    def targets(self) -> Path:
        return self.folder / "runscrape" / "targets.json"

    @property
    def targets_yaml(self) -> Path:
        return self.targets.with_name("targets.yml")

    @property
    def inventory(self) -> Path:
        return self.folder / "runscrape" / "inventory.json"

    @property
    def environ(self) -> dict[str, str]:
        """What a child process needs to take the emulator for Google."""
        own = {"RUNSCRAPE_API_ENDPOINT": self.google.api}
        return clean_environment() | self.google.env("service_account") | own

    def run(self, *more: str | Path) -> subprocess.CompletedProcess[str]:
        """Run ``runscrape targets`` once, as the example's cron does, but for -q."""
        return run_here(self._words(*more)[3:], self.environ)

    @contextlib.contextmanager
    def watch(self) -> Iterator[Path]:
        """Run ``runscrape targets --watch`` until SIGTERM after the block; gives its log."""
        log = self.folder / "watch.log"
        with running(
            self._words("--watch", "500ms"), log, env=self.environ, forked=True
        ) as program:
            yield log
            assert program.stop() == 128 + signal.SIGTERM, program.log

    def _words(self, *more: str | Path) -> list[str]:
        config = self.folder / "runscrape.yaml"
        command = [sys.executable, "-m", "runscrape_generator", "targets", "--config", str(config)]
        return [*command, *map(str, more)]

    @contextlib.contextmanager
    def prometheus(self, targets: str = "targets.json") -> Iterator[Prometheus]:
        """Run the example's Prometheus on a file of targets."""
        config = self.folder / "etc" / f"prometheus-{targets}.yml"
        config.write_text(_config(self).replace("targets.json", targets))
        server = Prometheus(config, free_port())
        server.start()
        try:
            yield server
        finally:
            server.kill()


class Prometheus:
    """A server that can be killed and started again. It has no /-/reload to call."""

    def __init__(self, config: Path, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._config = config
        self._port = port
        self._ending = contextlib.ExitStack()

    def start(self) -> None:
        self._ending.enter_context(prometheus(self._config, QUICK, port=self._port))

    def kill(self) -> None:
        self._ending.close()

    def seen(self) -> Seen:
        """Every Cloud Run target that it has now, scraped or not yet."""
        return targets_seen(self.address)

    def until_up(self, *names: str) -> None:
        """Wait until it scrapes just these services, all of them well.

        It takes changes of its targets every 5 s (the discovery manager's own pace).
        """
        good = dict.fromkeys(names, "up")
        until(
            lambda: {name: each["health"] for name, each in self.seen().items()} == good,
            why=f"just {names} to be up",
            pause=0.2,
        )

    def metric(self, name: str) -> float:
        """A metric of its own, summed over its labels."""
        pattern = rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$"
        page = get(f"{self.address}/metrics")
        return sum(float(value) for value in re.findall(pattern, page, re.MULTILINE))


@contextlib.contextmanager
def stack(folder: Path) -> Iterator[Stack]:
    """Start the emulator and the proxy, and copy the example with their addresses in it."""
    with contextlib.ExitStack() as ending:
        google = ending.enter_context(Emulator(world(), folder / "google"))
        (folder / "etc").mkdir()
        (folder / "runscrape").mkdir()
        settings = placed("runscrape.yaml", folder).replace("[my-project]", "[demo]")
        (folder / "runscrape.yaml").write_text(settings)
        proxy = ending.enter_context(
            harness.running(
                folder,
                harness.COMMAND,
                *shlex.split(proxy_command(folder))[1:],
                env=google.env("service_account"),
            )
        )
        yield Stack(folder, google, proxy)


def proxy_command(folder: Path) -> str:
    """The README's command for the proxy."""
    (line,) = re.findall(r"^    (runscrape-proxy .*)$", placed("README.md", folder), re.MULTILINE)
    return str(line)


def placed(name: str, folder: Path) -> str:
    """A file of the example, with the test's folder in place of the system's."""
    text = (EXAMPLE / name).read_text()
    text = text.replace("/var/lib/runscrape", str(folder / "runscrape"))
    return text.replace("/etc/runscrape", str(folder))


def _config(stack: Stack) -> str:
    """The example's prometheus.yml, scraping every second and by way of the emulator."""
    text = placed("prometheus.yml", stack.folder)
    text = text.replace("127.0.0.1:7777", "{}:{}".format(*stack.proxy.address))
    config = yaml.safe_load(text.replace("30s", "1s"))
    way = {
        "proxy_url": stack.google.proxy_url,
        "tls_config": {"ca_file": str(stack.google.ca_file)},
    }
    for job in config["scrape_configs"]:
        if "file_sd_configs" in job:
            job.update(way)
    return str(yaml.safe_dump(config, sort_keys=False))


def rewrite(file: Path, count: int) -> None:
    """Replace the file over and over, as a run does, with two contents by turns.

    Both say the same, so that whoever reads the file ever finds the same targets.
    """
    data = file.read_bytes()
    for turn in range(count):
        files.replace(file, data + b"\n" * (turn % 2))
        time.sleep(0.01)  # for Prometheus to read it
