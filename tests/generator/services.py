"""Services, and what the middle of the pipeline makes of them, for the tests of it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from runscrape_generator.config.settings import Settings
from runscrape_generator.model import Decision, Endpoint, Job, Service
from runscrape_generator.render import formats
from runscrape_generator.selection import decide as selection
from runscrape_generator.selection import jobs
from tests.kit import fast_yaml as yaml

HOME = {"project": "demo", "region": "us-central1"}


def service(name: str = "api", **facts: Any) -> Service:
    """A private service with one instance that wants nothing: kept without a warning."""
    place = HOME | {key: facts[key] for key in HOME if key in facts}
    host = re.sub(r"[^a-z0-9-]+", "-", name)
    tail = "x7k2mq4wza-uc" if place == HOME else f"{place['project']}-{place['region']}"
    url = f"https://{host}-{tail}.a.run.app"
    usual: dict[str, Any] = {
        **place,
        "uri": url,
        "urls": (url,),
        "latest_ready_revision": f"{name}-00001-abc",
        "min_instances": 1,
        "max_instances": 1,
    }
    return Service(name=name, **{**usual, **facts})


def decide(*services: Service, **settings: Any) -> tuple[Decision, ...]:
    return selection.decide(services, Settings(**settings))


def decision(one: Service, **settings: Any) -> Decision:
    (only,) = decide(one, **settings)
    return only


def endpoint(one: Service, **settings: Any) -> Endpoint:
    (only,) = decision(one, **settings).endpoints
    return only


def assemble(services: Iterable[Service], **settings: Any) -> tuple[Job, ...]:
    return jobs.assemble(selection.decide(services, Settings(**settings)))


def render(services: Iterable[Service], **settings: Any) -> str:
    return formats.render(assemble(services, **settings), Settings(**settings))


def targets(services: Iterable[Service], *, as_yaml: bool = False, **settings: Any) -> str:
    chosen = Settings(**settings)
    return formats.render_targets(selection.decide(services, chosen), chosen, yaml=as_yaml)


def read_jobs(text: str) -> dict[str, Any]:
    """The scrape jobs in *text* by name, as PyYAML reads them."""
    data = yaml.safe_load(text)
    entries = data if isinstance(data, list) else data["scrape_configs"]
    return {entry["job_name"]: entry for entry in entries}


def promtool(text: str, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """What ``promtool check config`` says of *text*."""
    path = folder / "prometheus.yml"
    path.write_bytes(text.encode())
    return subprocess.run(
        ["promtool", "check", "config", *flags, path], capture_output=True, text=True, check=False
    )


def vmagent(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What ``vmagent -dryRun`` says of *text*, a file for its ``scrape_config_files``."""
    (folder / "jobs.yml").write_text(text)
    (folder / "main.yml").write_text("scrape_config_files: [jobs.yml]\n")
    command = ["vmagent", "-dryRun", "-loggerLevel=ERROR", "-promscrape.config=main.yml"]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
