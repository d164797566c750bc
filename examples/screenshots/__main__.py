"""Pictures of the proxy's page in its four states: ``make screenshots`` writes them beside this.

An emulated Google, a proxy that starts from an inventory, and headless Chromium, all on loopback.
The pictures show no path and no host name of the machine that made them.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.processes import DemoError, answers, free_port, running
from emulator import Emulator

HERE = Path(__file__).parent
COMMANDS = Path(sys.executable).parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LARGEST = 150_000
"""Bytes of a picture."""
SERVICES = {
    "api": "us-central1",
    "billing": "europe-west1",
    "checkout": "us-central1",
    "search": "asia-northeast1",
}
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def world(*, left: float | None = None, **fault: Any) -> dict[str, Any]:
    """Describe a Google with a few services.

    ``left``: seconds that are left of the first tokens; ``fault``: the metadata server's.
    """
    return {
        "settings": {"metadata_token_left": left},
        "projects": {
            "demo": {
                "number": 481516234200,
                "regions": sorted(set(SERVICES.values())),
                "services": [{"name": name, "region": region} for name, region in SERVICES.items()],
            }
        },
        "faults": {"issuers": [{"kind": "metadata", **fault}] if fault else []},
    }


@dataclass(frozen=True)
class Page:
    """The page of a running proxy, and its Google."""

    url: str
    google: Emulator
    wait: Callable[[Callable[[], bool]], None]

    def until(self, text: str, times: int = 1) -> None:
        """Wait until the page has this so many times."""

        def look() -> bool:
            with DIRECT.open(self.url, timeout=10) as answer:
                return bool(answer.read().decode().count(text) >= times)

        self.wait(look)

    def ask(self, audience: str, secret: str) -> None:
        """Ask for a token that is refused."""
        form = {"audience": audience, "grant_type": "client_credentials"}
        form |= {"client_id": "prometheus", "client_secret": secret}
        with contextlib.suppress(urllib.error.HTTPError):
            DIRECT.open(f"{self.url}token", urllib.parse.urlencode(form).encode()).close()


def well(page: Page) -> None:
    """Every service has its token."""
    page.until('class="ok"', len(SERVICES))


def failing(page: Page) -> None:
    """Tokens are still good, and are not renewed."""
    page.until('class="ok"', len(SERVICES))
    page.google.update(world(left=230, status=503))
    page.until('class="failing"', len(SERVICES))


def missing(page: Page) -> None:
    """One token was not to be had from the start."""
    page.until('class="ok"', len(SERVICES) - 1)
    page.until('class="missing"')


def refused(page: Page) -> None:
    """Clients ask for what they do not get."""
    page.until('class="ok"', len(SERVICES))
    uri = page.google.world.service("demo/us-central1/api").uri
    page.ask(f"{uri}/metrics", "s3cret")
    page.ask("https://retired-4kqbsw2xpa-uc.a.run.app", "s3cret")
    for _ in range(3):
        page.ask(f"{uri}", "an-old-one")
    page.until('class="refused"', 3)


STATES: dict[str, tuple[Callable[[Page], None], dict[str, Any], int]] = {
    "well": (well, world(), 600),
    "failing": (failing, world(left=230), 645),
    "missing": (missing, world(audience="*checkout*", status=503), 630),
    "refused": (refused, world(), 910),
}
"""What brings each state about, from which Google on, and the height of its picture in pixels."""


@contextlib.contextmanager
def started(folder: Path, cloud: dict[str, Any]) -> Iterator[Page]:
    """Run the emulator and a proxy; its inventory and secret are in the current folder."""
    with Emulator(cloud, folder / "google") as google:
        env = google.env("metadata") | {"RUNSCRAPE_PROXY_CLIENT_SECRET_FILE": "client-secret"}
        Path("client-secret").write_text("s3cret")
        listing: list[str | Path] = [
            COMMANDS / "runscrape",
            "generate",
            "--project",
            "demo",
            "--quiet",
        ]
        listing += ["--api-endpoint", google.api, "--output", "prometheus.yml"]
        subprocess.run(listing, env=google.env("service_account"), check=True)
        address = f"127.0.0.1:{free_port(0)}"
        proxy: list[str | Path] = [COMMANDS / "runscrape-proxy", "--listen", address, "--prewarm"]
        proxy += ["--inventory", "inventory.json"]
        with running("runscrape-proxy", proxy, log=folder / "proxy.log", env=env) as wait:
            wait(lambda: answers(f"http://{address}/-/healthy"))
            yield Page(f"http://{address}/", google, wait)


def photograph(page: Page, picture: Path, height: int) -> None:
    """Have Chromium take a picture of the page."""
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        options += ["--disable-sync", "--disable-background-networking", "--hide-scrollbars"]
        options += [f"--user-data-dir={profile}", f"--window-size=1000,{height}"]
        command = [str(CHROMIUM), *options, f"--screenshot={picture}", page.url]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    if picture.stat().st_size > LARGEST:
        raise DemoError(f"{picture.name} is larger than {LARGEST} bytes")


def main() -> int:
    """Take all pictures; gives the exit code."""
    if CHROMIUM is None:
        print("no pictures: Chromium is needed (Debian: apt-get install chromium)", file=sys.stderr)
        return 1
    for name, (bring_about, cloud, height) in STATES.items():
        with (
            tempfile.TemporaryDirectory() as folder,
            contextlib.chdir(folder),
            started(Path(folder), cloud) as page,
        ):
            bring_about(page)
            photograph(page, HERE / f"proxy-{name}.png", height)
        print(f"examples/screenshots/proxy-{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
