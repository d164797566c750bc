"""The real command, a real Prometheus, and Google as the emulator plays it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.proxy.harness import COMMAND, PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator import Emulator
    from tests.conftest import MakeEmulator
    from tests.proxy.conftest import StartProxy

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None and "CI" not in os.environ, reason="needs Prometheus"
)

EXAMPLE = Path(__file__).parents[2] / "examples" / "gcp-oidc-token-proxy" / "prometheus.yml"
PLACEHOLDER = "some-service-xxxxxxxxxx-uc.a.run.app"


@contextlib.contextmanager
def prometheus(directory: Path, config: dict[str, Any]) -> Iterator[str]:
    """Run Prometheus; give the URL of its API."""
    file = directory / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={address}",
    ]
    with (
        (directory / "prometheus.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            yield f"http://{address}/api/v1"
        finally:
            process.kill()


def targets(api: str) -> dict[str, dict[str, Any]]:
    """What the targets page shows, by job; empty until each target was scraped."""
    try:
        with urllib.request.urlopen(f"{api}/targets", timeout=PATIENCE) as answer:
            active = json.load(answer)["data"]["activeTargets"]
    except OSError:
        return {}
    done = [target for target in active if target["health"] != "unknown"]
    return {target["scrapePool"]: target for target in done if len(done) == len(active)}


def url_of(google: Emulator) -> str:
    url = google.world.service("demo/us-central1/api").uri
    assert url
    return url


def reaching(google: Emulator, job: dict[str, Any]) -> dict[str, Any]:
    """The job, by way of the emulator's front end, which stands for the internet."""
    if job.get("scheme") != "https":
        return job
    return job | {"proxy_url": google.proxy_url, "tls_config": {"ca_file": str(google.ca_file)}}


def test_a_configuration_for_another_token_proxy(
    emulator: Emulator, start_proxy: StartProxy, tmp_path: Path
) -> None:
    """gcp-oidc-token-proxy's README configuration works unchanged: POST /, any client, a key."""
    api = url_of(emulator)
    proxy = start_proxy(command=COMMAND, env=emulator.env("service_account"))
    text = EXAMPLE.read_text().replace(f"https://{PLACEHOLDER}", api)
    text = text.replace(PLACEHOLDER, api.removeprefix("https://"))
    text = text.replace("localhost:7777", f"localhost:{proxy.address[1]}").replace("1m", "1s")
    config = yaml.safe_load(text)
    config["scrape_configs"] = [reaching(emulator, job) for job in config["scrape_configs"]]
    with prometheus(tmp_path, config) as url:
        eventually(lambda: len(targets(url)) == 2, "two scraped targets")
        eventually(
            lambda: {target["health"] for target in targets(url).values()} == {"up"},
            f"both up:\n{proxy.log}",
        )
    assert proxy.log.count("INFO minted ") == 1, "one token, however often it is scraped"


def test_the_targets_page_tells_the_remedy(
    make_emulator: MakeEmulator, start_proxy: StartProxy, tmp_path: Path
) -> None:
    """What is wrong, and what to do, stands where people look: on Prometheus' targets page."""
    world = {
        "projects": {"demo": {"number": 1, "services": [{"name": "api", "region": "us-central1"}]}},
        "faults": {"issuers": [{"kind": "service_account", "status": 503}]},
    }
    google = make_emulator(world)
    service = url_of(google)
    secret = tmp_path / "secret"
    secret.write_text("s3cr et+/%\n")
    proxy = start_proxy(
        "--client-secret-file", secret, command=COMMAND, env=google.env("service_account")
    )

    def job(name: str, audience: str, client_secret: str) -> dict[str, Any]:
        oauth2 = {
            "client_id": "prometheus",
            "client_secret": client_secret,
            "token_url": f"{proxy.url}/token",
            "endpoint_params": {"audience": audience},
        }
        static = [{"targets": [service.removeprefix("https://") + ":443"]}]
        return reaching(
            google,
            {"job_name": name, "scheme": "https", "oauth2": oauth2, "static_configs": static},
        )

    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            job("wrong secret", service, "wrong"),
            job("wrong audience", "https://api.example.com", "s3cr et+/%"),
            job("google fails", service, "s3cr et+/%"),
        ],
    }
    with prometheus(tmp_path, config) as url:
        eventually(lambda: len(targets(url)) == 3, "three scraped targets")
        errors = {name: target["lastError"] for name, target in targets(url).items()}
        assert "invalid_client" in errors["wrong secret"]
        assert "--client-secret-file" in errors["wrong secret"]
        assert "invalid_target" in errors["wrong audience"]
        assert "--allow-audience" in errors["wrong audience"]
        assert "temporarily_unavailable" in errors["google fails"]
        google.update(world | {"faults": {}})
        eventually(
            lambda: targets(url).get("google fails", {}).get("health") == "up",
            f"a good scrape once Google answers:\n{proxy.log}",
        )
    assert "s3cr" not in proxy.log


def test_promtool_has_nothing_to_say(emulator: Emulator, start_proxy: StartProxy) -> None:
    """`promtool check metrics` accepts /metrics without a remark, warm and failing."""
    proxy = start_proxy(command=COMMAND, env=emulator.env("metadata"))
    assert proxy.token(url_of(emulator)).status == 200
    assert proxy.token("https://other.example").status == 400
    metrics = proxy.get("/metrics").body
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
