"""The whole set-up on loopback: an emulated Google, the proxy, the generator, a Prometheus."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .processes import DemoError, answers, free_port, running
from .scrapes import Prometheus, Scraper, SmallClient

HERE = Path(__file__).parent
COMMANDS = Path(sys.executable).parent
WATCH = "1s"
SCRAPE_INTERVAL = "2s"


@dataclass(frozen=True, slots=True)
class Stack:
    """What runs, and where to look at it."""

    directory: Path
    world: Path
    proxy: str
    prometheus: str | None
    scraper: Scraper

    @property
    def inventory(self) -> Path:
        """Where the generator keeps what it found."""
        return self.directory / "inventory.json"


@contextlib.contextmanager
def stack(directory: Path, *, prometheus: str | None) -> Iterator[Stack]:
    """Run everything below a folder; ``prometheus`` is the program, None where there is none."""
    world = directory / "world.yaml"
    shutil.copyfile(HERE / "world.yaml", world)
    config = directory / "prometheus.yml"
    web = f"http://127.0.0.1:{free_port(9090)}" if prometheus else None
    with contextlib.ExitStack() as processes:
        google = processes.enter_context(_google(directory, world))
        address = f"127.0.0.1:{free_port(7777)}"
        proxy = f"http://{address}"
        generate = _generate(directory, google, proxy)
        _once(generate, google)
        processes.enter_context(_proxy(directory, google, address))
        if prometheus and web:
            processes.enter_context(_prometheus(prometheus, web, directory))
            generate += ["--reload", f"{web}/-/reload"]
        processes.enter_context(
            running(
                "runscrape generate --watch",
                [*generate, "--watch", WATCH],
                log=directory / "runscrape.log",
                env=google["env"],
            )
        )
        scraper = Prometheus(web) if web else SmallClient(config)
        yield Stack(directory, world, proxy, web, scraper)


@contextlib.contextmanager
def _google(directory: Path, world: Path) -> Iterator[dict[str, Any]]:
    """Give the emulator's addresses, and the environment that makes it Google."""
    folder = directory / "google"
    ready = folder / "emulator.json"
    argv: list[str | Path] = [
        sys.executable,
        "-m",
        "emulator",
        "--world",
        world,
        "--directory",
        folder,
    ]
    with running(
        "the emulator", argv, log=directory / "emulator.log", env={"PYTHONPATH": str(HERE.parent)}
    ) as wait:
        wait(ready.exists)
        addresses: dict[str, Any] = json.loads(ready.read_text("utf-8"))
        yield {**addresses, "env": addresses["env"]["service_account"]}


@contextlib.contextmanager
def _proxy(directory: Path, google: Mapping[str, Any], address: str) -> Iterator[None]:
    argv: list[str | Path] = [COMMANDS / "runscrape-proxy", "--listen", address]
    argv += ["--inventory", directory / "inventory.json"]
    with running("runscrape-proxy", argv, log=directory / "proxy.log", env=google["env"]) as wait:
        wait(lambda: answers(f"http://{address}/-/healthy"))
        yield


@contextlib.contextmanager
def _prometheus(program: str, web: str, directory: Path) -> Iterator[None]:
    argv = [
        program,
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={web.removeprefix('http://')}",
        "--web.enable-lifecycle",
    ]
    with running("Prometheus", argv, log=directory / "prometheus.log") as wait:
        wait(lambda: answers(f"{web}/-/ready"))
        yield


def _generate(directory: Path, google: Mapping[str, Any], proxy: str) -> list[str]:
    """Write runscrape.yaml, as a user would, and give the command that reads it.

    Only what this machine's Google needs is in it: where the API is, and the way to the services
    (a corporate proxy with a certificate authority of its own is reached in just this way).
    """
    settings = {
        "api_endpoint": google["api"],
        "token_url": f"{proxy}/token",
        "scrape_interval": SCRAPE_INTERVAL,
        "scrape_timeout": SCRAPE_INTERVAL,
        "rules": [
            {
                "scrape_config": {
                    "proxy_url": google["proxy_url"],
                    "tls_config": {"ca_file": str(google["ca_file"])},
                }
            }
        ],
    }
    file = directory / "runscrape.yaml"
    file.write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")
    command = [str(COMMANDS / "runscrape"), "generate", "--config", str(file)]
    return [*command, "--output", str(directory / "prometheus.yml")]


def _once(generate: list[str], google: Mapping[str, Any]) -> None:
    """Run the generator once, in sight, so that Prometheus has something to start with."""
    print("$", *(Path(part).name for part in generate), flush=True)
    code = subprocess.run(generate, env={**os.environ, **google["env"]}, check=False).returncode
    if code != 0:
        raise DemoError(f"runscrape generate ended with code {code}")
