"""A gateway in front of odd services, and what asks it for scrapes."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
from typing import TYPE_CHECKING, Any

from tests.proxy.harness import PATIENCE, Answer, Proxy, fake, read_all, running
from tests.proxy.odd_services import Services

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SECRET = "s3cr et+/%"
OWN = "Bearer of-the-app"
NAMES = ("*.a.run.app", "metrics.example.com", "shared.example.com")


def basic(secret: str = SECRET, username: str = "prometheus") -> str:
    """Credentials as basic_auth sends them: not percent-encoded, unlike oauth2's."""
    return "Basic " + base64.b64encode(f"{username}:{secret}".encode()).decode()


def service(name: str, **fields: Any) -> dict[str, Any]:
    host = f"{name}.a.run.app"
    known = {
        "name": name,
        "project": "demo",
        "region": "us-central1",
        "state": "kept",
        "job": f"cloudrun/{name}",
        "audience": f"https://{host}",
        "scheme": "https",
        "target": f"{host}:443",
        "metrics_path": "/metrics",
    }
    return known | fields


def endpoints(one: dict[str, Any], *fields: dict[str, Any]) -> dict[str, Any]:
    common = {key: one[key] for key in ("job", "audience", "scheme", "target", "metrics_path")}
    return one | {"endpoints": [common | each for each in fields]}


KEPT = [
    service("api"),
    service("shop"),
    service("public", audience=None),
    service("hang", audience="https://hang.a.run.app"),
    service("fail", audience="https://fail.a.run.app"),
    service("unreachable"),
    service("brief"),
    service("silent"),
    service("custom", target="metrics.example.com:8443"),
    service("tagged", target="canary---tagged-x7k2mq4wza-uc.a.run.app:443"),
    service("untrusted", target="untrusted.example.com:443"),
    endpoints(service("app"), {"token_header": "X-Serverless-Authorization"}),
    endpoints(service("own"), {"app_credentials": "own.authorization"}),
    endpoints(service("none"), {"app_credentials": "none"}),
    endpoints(service("odd"), {"app_credentials": "odd"}),
    endpoints(service("pipe"), {"app_credentials": "pipe"}),
    endpoints(service("public-own", audience=None), {"app_credentials": "own.authorization"}),
    endpoints(service("outside"), {"app_credentials": "../secret"}),
    endpoints(
        service("shared", target="shared.example.com:443"),
        {"metrics_path": "/a", "audience": "https://a.a.run.app"},
        {"metrics_path": "/b", "audience": "https://b.a.run.app"},
    ),
    *(service(f"many{number}") for number in range(40)),
]
SKIPPED = service("skipped", state="skipped", reason="opted out")


def write_inventory(path: Path, *services: dict[str, Any]) -> Path:
    scopes = {"demo/us-central1": list(services or (*KEPT, SKIPPED))}
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps({"version": 1, "scopes": scopes}))
    temporary.replace(path)
    return path


class Gateway:
    """A running gateway and the services behind it."""

    def __init__(self, proxy: Proxy, services: Services, inventory: Path) -> None:
        self.proxy = proxy
        self.services = services
        self.inventory = inventory

    def scrape(self, url: str, *, timeout: str = "10", **headers: str) -> Answer:
        """One scrape as Prometheus makes it; a header is named with _ for -."""
        fields = {
            "User-Agent": "Prometheus/2.42.0",
            "Accept": "application/openmetrics-text;version=1.0.0",
            "Accept-Encoding": "gzip",
            "Authorization": basic(),
            "X-Prometheus-Scrape-Timeout-Seconds": timeout,
        }
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.proxy.request("GET", url, headers={k: v for k, v in fields.items() if v})

    def bytes_of(self, url: str, timeout: str = "10") -> bytes:
        """All bytes of the answer to one scrape, until the gateway closes the connection."""
        authority = url.removeprefix("http://").partition("/")[0]
        head = (
            f"GET {url} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: {basic()}\r\n"
            f"X-Prometheus-Scrape-Timeout-Seconds: {timeout}\r\nConnection: close\r\n\r\n"
        )
        with socket.create_connection(self.proxy.address, timeout=PATIENCE) as connection:
            connection.sendall(head.encode())
            return read_all(connection)

    def metric(self, name: str) -> float:
        """One of the proxy's own metrics, 0 where it is not there (yet)."""
        for line in self.proxy.get("/metrics").text.splitlines():
            if line.startswith(f"runscrape_proxy_{name} "):
                return float(line.split()[1])
        return 0.0


@contextlib.contextmanager
def gateway(
    directory: Path,
    *arguments: str | Path,
    command: Sequence[str] = fake(),
    wants_secret: bool = True,
) -> Iterator[Gateway]:
    """Run a gateway that wants the secret, or none."""
    secret = directory / "secret"
    secret.write_text(SECRET + "\n")
    (directory / "apps").mkdir(exist_ok=True)
    (directory / "apps" / "own.authorization").write_text(f"{OWN}\n")
    os.mkfifo(directory / "apps" / "pipe")
    (directory / "apps" / "odd").write_text(f"{OWN}\n{OWN}\n")
    inventory = write_inventory(directory / "inventory.json")
    options: tuple[str | Path, ...] = ("--gateway", "--inventory", inventory)
    options += ("--client-secret-file", secret) if wants_secret else ()
    options += ("--gateway-credentials", directory / "apps") if wants_secret else ()
    with (
        Services(directory, NAMES) as services,
        running(
            directory,
            command,
            *options,
            *("--ca-file", services.ca_file),
            *arguments,
            env={"HTTPS_PROXY": services.proxy_url},
        ) as proxy,
    ):
        yield Gateway(proxy, services, inventory)
