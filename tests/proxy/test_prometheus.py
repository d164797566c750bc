"""The real command, a real Prometheus, and Google as the emulator plays it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from emulator import Emulator
from tests.docs.reference import PROXY
from tests.docs.tables import shows, symptoms
from tests.proxy.harness import COMMAND, PATIENCE, Proxy, eventually, running

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def url_of(google: Emulator, service: str) -> str:
    url = google.world.service(f"demo/us-central1/{service}").uri
    assert url
    return url


def reaching(google: Emulator, job: dict[str, Any]) -> dict[str, Any]:
    """The job, by way of the emulator's front end, which stands for the internet."""
    if job.get("scheme") != "https":
        return job
    return job | {"proxy_url": google.proxy_url, "tls_config": {"ca_file": str(google.ca_file)}}


@dataclass(frozen=True)
class Scene:
    """One Prometheus, a proxy with and one without a secret, and Google."""

    api: str
    google: Emulator
    open_to_all: Proxy
    guarded: Proxy

    def target(self, job: str) -> dict[str, Any]:
        return targets(self.api).get(job, {})


APPS: dict[str, dict[str, Any]] = {
    "picky": {"authorization": "Bearer me"},
    "busy": {"status": 429},
    "broken": {"status": 500},
    "starting": {"status": 503},
    "slow": {"hang": True},
    "moved": {"paths": {"/metrics": {"redirect": "https://login.example.com/"}}},
}
"""What is wrong with an app, by the name of its service."""
WORLD: dict[str, Any] = {
    "projects": {
        "demo": {
            "number": 1,
            "services": [
                {"name": "api", "region": "us-central1"},
                {"name": "shop", "region": "us-central1"},
                {"name": "closed", "region": "us-central1", "invokers": []},
                {"name": "behind-iap", "region": "us-central1", "iap_enabled": True},
                *(
                    {"name": name, "region": "us-central1", "app": app}
                    for name, app in APPS.items()
                ),
            ],
        }
    }
}
SHOP_FAILS = {"issuers": [{"kind": "service_account", "audience": "https://shop-*", "status": 503}]}
SECRET = "s3cr et+/%"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Started once: Prometheus takes some 5 s until it scrapes what is in its configuration."""
    directory = tmp_path_factory.mktemp("scene")
    secret = directory / "secret"
    secret.write_text(f"{SECRET}\n")
    with contextlib.ExitStack() as stack:
        google = stack.enter_context(Emulator(WORLD | {"faults": SHOP_FAILS}, directory))
        env = google.env("service_account")
        anyone = stack.enter_context(running(directory, COMMAND, env=env))
        guarded = stack.enter_context(
            running(directory, COMMAND, "--client-secret-file", secret, env=env)
        )
        jobs = [*example(google, anyone), *ours(google, guarded)]
        config = {"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}
        api = stack.enter_context(prometheus(directory, config))
        eventually(lambda: len(targets(api)) == len(jobs), f"scraped targets:\n{guarded.log}")
        yield Scene(api, google, anyone, guarded)


def example(google: Emulator, proxy: Proxy) -> list[dict[str, Any]]:
    """The jobs of the example, with the service and the port of this test."""
    service = url_of(google, "api").removeprefix("https://")
    text = EXAMPLE.read_text().replace(PLACEHOLDER, service)
    text = text.replace("localhost:7777", f"localhost:{proxy.address[1]}")
    return [reaching(google, job) for job in yaml.safe_load(text)["scrape_configs"]]


def ours(google: Emulator, proxy: Proxy) -> list[dict[str, Any]]:
    """Jobs that fail, each in a way of its own."""

    def job(name: str, service: str, path: str = "/metrics", **oauth2: Any) -> dict[str, Any]:
        url = url_of(google, service)
        defaults = {
            "client_id": "prometheus",
            "client_secret": SECRET,
            "token_url": f"{proxy.url}/token",
            "endpoint_params": {"audience": url},
        }
        content = {
            "scheme": "https",
            "metrics_path": path,
            "follow_redirects": False,
            "oauth2": defaults | oauth2,
            "static_configs": [{"targets": [url.removeprefix("https://") + ":443"]}],
        }
        return reaching(google, {"job_name": name} | content)

    return [
        job("wrong secret", "api", client_secret="wrong"),
        job("wrong audience", "api", endpoint_params={"audience": "https://api.example.com"}),
        job("google fails", "shop"),
        job("no proxy", "api", token_url="http://127.0.0.1:1/token"),
        job("no role", "closed"),
        job("no such path", "api", "/nowhere"),
        job("iap", "behind-iap"),
        *(job(name, name) for name in APPS),
    ]


def test_a_configuration_for_another_token_proxy(scene: Scene) -> None:
    """gcp-oidc-token-proxy's README configuration works unchanged: POST /, any client, a key."""
    for job in ("cloudrun-service", "gcp-oidc-token-proxy"):
        eventually(
            lambda job=job: scene.target(job).get("health") == "up",  # type: ignore[misc]
            f"{job} up:\n{scene.open_to_all.log}",
        )
    minted = scene.open_to_all.log.count("INFO minted ")
    assert minted == 1, "one token, however often it is scraped"


def test_the_targets_page_tells_the_remedy(scene: Scene) -> None:
    """What is wrong, and what to do, stands where people look: on Prometheus' targets page."""
    for job, error, remedy in (
        ("wrong secret", "invalid_client", "--client-secret-file"),
        ("wrong audience", "invalid_target", "--allow-audience"),
        ("google fails", "temporarily_unavailable", "503"),
    ):
        shown = scene.target(job)["lastError"]
        assert error in shown
        assert remedy in shown
    assert "s3cr" not in scene.guarded.log


UNSEEN = {
    "`no fallback_scrape_protocol specified` (Prometheus 3)",
    "`expected a valid start token`, or `expected equal, got`, or `is not a valid start token`",
    "`403`, `407`, `502`, `503`, `504` from the gateway",
    "`invalid_request` … `no audience`",
    "`dial tcp: lookup` … `no such host`",
    "`proxyconnect tcp: dial tcp` … `connection refused`",
    '`/metrics": dial tcp` … `connection refused`',
    "`server returned HTTP status 504 Gateway Timeout`",
}
"""What this Prometheus does not say, or tests/doctor/test_causes.py sees."""


def test_the_manual_has_what_the_targets_page_says(scene: Scene) -> None:
    """Each row of the manual's troubleshooting table is an error that is seen, and the reverse."""
    aside = [
        scene.guarded.token(headers={"Host": "elsewhere.example"}).text,
        scene.guarded.token(headers={"X-Forwarded-For": "192.0.2.1"}).text,
    ]
    page = {job: target["lastError"] for job, target in targets(scene.api).items()}
    errors = [error for error in page.values() if error] + aside
    rows = [row for row in symptoms(PROXY) if row not in UNSEEN]
    assert [row for row in rows if not any(shows(row, error) for error in errors)] == []
    assert [error for error in errors if sum(shows(row, error) for row in rows) != 1] == []


def test_it_heals_by_itself(scene: Scene) -> None:
    """Once Google answers again the job is up, with nobody's help."""
    assert scene.target("google fails")["health"] == "down"
    scene.google.update(WORLD)
    eventually(
        lambda: scene.target("google fails").get("health") == "up",
        f"a good scrape:\n{scene.guarded.log}",
    )


def test_promtool_has_nothing_to_say(emulator: Emulator, start_proxy: StartProxy) -> None:
    """`promtool check metrics` accepts /metrics without a remark, warm and failing."""
    proxy = start_proxy(command=COMMAND, env=emulator.env("metadata"))
    assert proxy.token(url_of(emulator, "api")).status == 200
    assert proxy.token("https://other.example").status == 400
    metrics = proxy.get("/metrics").body
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
