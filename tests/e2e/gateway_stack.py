"""The gateway with everything real around it but Google, which the emulator plays."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo.processes import get_json
from emulator import Emulator
from tests.e2e.stack import QUICK, targets_seen
from tests.generator.commands_kit import run_here
from tests.kit import fast_yaml as yaml
from tests.kit.programs import clean_environment, running
from tests.kit.prometheus import get, prometheus
from tests.kit.waiting import until
from tests.proxy import harness

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EXAMPLE = Path(__file__).parents[2] / "examples" / "gateway"
SECRET = "s3cr et+/%"
APP = "Bearer of-the-app"
REGION = "us-central1"

Services = dict[str, dict[str, Any]]


def world(services: Mapping[str, Mapping[str, Any]], **faults: Any) -> dict[str, Any]:
    """A world with these services in one region."""
    listed = [{"name": name, "region": REGION} | dict(extra) for name, extra in services.items()]
    project = {"number": 123456789012, "regions": [REGION], "services": listed}
    return {"projects": {"my-project": project}, "faults": faults}


@dataclass
class Site:
    """A folder that stands for /etc and /var/lib, the emulator, and the gateway."""

    folder: Path
    google: Emulator
    proxy: harness.Proxy
    settings: dict[str, Any] = field(default_factory=dict)
    """What is set on top of the example's runscrape.yaml."""

    @property
    def config(self) -> Path:
        return self.folder / "etc" / "prometheus.yml"

    @property
    def targets(self) -> Path:
        return self.folder / "targets.json"

    def run(self, command: str, *more: str) -> None:
        """Run ``runscrape`` once."""
        done = run_here([*self._words(command)[3:], *more], self._environ())
        assert done.returncode == 0, done.stderr

    @contextlib.contextmanager
    def watch(self) -> Iterator[Path]:
        """Keep the targets with ``runscrape targets --watch``; gives its log."""
        log = self.folder / "watch.log"
        command = [*self._words("targets"), "--watch", "500ms", "--max-removed", "100"]
        with running(command, log, env=self._environ(), forked=True):
            yield log

    @contextlib.contextmanager
    def prometheus(self) -> Iterator[Prometheus]:
        """A real Prometheus on the generated configuration."""
        with prometheus(self.config, "--web.enable-lifecycle", QUICK) as address:
            yield Prometheus(address)

    def _words(self, command: str) -> list[str]:
        settings = yaml.safe_load((EXAMPLE / "runscrape.yaml").read_text())
        settings |= {
            "gateway_url": self.proxy.url,
            "token_url": f"{self.proxy.url}/token",
            "client_secret_file": str(self.folder / "secret"),
            "output": str(self.targets),
            "targets_file": str(self.targets),
            "inventory": str(self.folder / "inventory.json"),
        } | self.settings
        file = self.folder / "runscrape.yaml"
        file.write_text(yaml.safe_dump({k: v for k, v in settings.items() if v is not None}))
        words = [sys.executable, "-m", "runscrape_generator", command, "--config", str(file)]
        return words if command == "targets" else [*words, "--output", str(self.config)]

    def _environ(self) -> dict[str, str]:
        own = {"RUNSCRAPE_API_ENDPOINT": self.google.api}
        return clean_environment() | self.google.env("service_account") | own


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    address: str

    def seen(self) -> Services:
        """Every Cloud Run target that it has now, by ``service_name``, scraped or not yet."""
        return targets_seen(self.address)

    def until_health(self, **wanted: str) -> Services:
        """Wait until it has just these targets, each up or down."""
        found: Services = {}

        def as_wanted() -> bool:
            time.sleep(len(wanted) / 1000)  # listing targets costs Prometheus and us
            found.clear()
            found.update(self.seen())
            return {name: each["health"] for name, each in found.items()} == wanted

        until(
            as_wanted,
            why=f"{len(wanted)} targets as wanted",
            changing=lambda: sorted((name, each["health"]) for name, each in found.items()),
        )
        return found

    def series(self, query: str) -> list[dict[str, Any]]:
        """What a query gives now."""
        url = f"{self.address}/api/v1/query?" + urllib.parse.urlencode({"query": query})
        found: list[dict[str, Any]] = get_json(url)["data"]["result"]
        return found

    def reload(self) -> None:
        """Have it read its configuration again."""
        request = urllib.request.Request(f"{self.address}/-/reload", method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200

    def reloaded_at(self) -> str:
        """When the configuration was loaded last, as its own metrics say."""
        name = "prometheus_config_last_reload_success_timestamp_seconds "
        lines = get(f"{self.address}/metrics").splitlines()
        return next(line for line in lines if line.startswith(name))


@contextlib.contextmanager
def site(folder: Path, first: dict[str, Any], **settings: Any) -> Iterator[Site]:
    """Start the emulator and the gateway; nothing is generated yet."""
    (folder / "etc").mkdir()
    (folder / "secret").write_text(SECRET + "\n")
    (folder / "apps").mkdir()
    (folder / "apps" / "api.authorization").write_text(APP + "\n")
    with contextlib.ExitStack() as ending:
        google = ending.enter_context(Emulator(first, folder / "google"))
        proxy = ending.enter_context(
            harness.running(
                folder,
                harness.COMMAND,
                "--gateway",
                *("--inventory", folder / "inventory.json"),
                *("--client-secret-file", folder / "secret"),
                *("--gateway-credentials", folder / "apps"),
                env=google.env("service_account"),
            )
        )
        yield Site(folder, google, proxy, settings)


def targets_of(path: Path) -> int:
    """How many targets a file of them has."""
    return sum(len(group["targets"]) for group in json.loads(path.read_text()))
