"""One Google and one proxy for every consumer, the settings files that runs share, and health."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

from demo.processes import get_json
from emulator import Emulator
from runscrape_generator.cli import main as cli
from tests.e2e.gateway_stack import world
from tests.kit import fast_yaml as yaml
from tests.kit.waiting import until
from tests.proxy import harness

EXAMPLES = Path(__file__).parents[2] / "examples"
SECRET = "s3cr et+/%"
AUDIENCE = "https://metrics.example.com"
"""The custom audience that the services of examples/file-sd share."""

PARAM = "${HOME}%{HOME}"
"""What some consumers would put a variable of their environment in the place of."""
LITERAL = urlencode({"a": PARAM})

PAGES: Mapping[str, Mapping[str, Any]] = {
    "/metrics": {},
    "/login": {"body": "<html>log in</html>", "content_type": "text/html"},
    "/login-as-text": {"body": "<html>log in</html>"},
    "/blank": {"content_type": None},
}
"""What one service answers, by path."""
SERVICES: Mapping[str, Mapping[str, Any]] = {
    "api": {"labels": {"team": "web"}, "app": {"paths": PAGES}},
    "shop": {},
    "hello": {"invoker_iam_disabled": True},
    "untyped": {"app": {"paths": {"/metrics": {"content_type": None}}}},
    "often": {"annotations": {"prometheus.io/interval": "5s"}},
    "patient": {"annotations": {"prometheus.io/timeout": "20s", "prometheus.io/param-a": PARAM}},
    "double": {"app": {"paths": {"/metrics": {}, "/stats": {}}}},
}
"""A service for each thing that has cost a target in some consumer."""
RULE = {"match": {"service": "double"}, "endpoints": ["/metrics", "/stats"]}
UP = dict.fromkeys([*(f"{name}/metrics" for name in SERVICES), "double/stats"], "up")
"""The targets of these services, by name and path, all of them well."""
LATER = {name: extra for name, extra in SERVICES.items() if name != "shop"} | {"late": {}}
"""The services after one is gone and one has come."""
UP_LATER = {name: "up" for name in UP if name != "shop/metrics"} | {"late/metrics": "up"}


@dataclass(frozen=True)
class Refused:
    """What came of a run whose reload the server refused."""

    code: int
    said: str
    changed: bool


def refused_run(run: Callable[[], int], file: Path) -> Refused:
    """Do a run that is to be refused; ``file`` is what it would change."""
    before = file.read_bytes()
    with contextlib.redirect_stderr(io.StringIO()) as said:
        code = run()
    return Refused(code, said.getvalue(), changed=file.read_bytes() != before)


Health = dict[str, str]
T = TypeVar("T")


class HasAddress(Protocol):
    """A server."""

    @property
    def address(self) -> str:
        """Its URL, without a path."""


def cloud(services: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Make the world with these services, each with the shared audience."""
    shared = {"custom_audiences": [AUDIENCE]}
    return world({name: {**shared, **extra} for name, extra in services.items()})


@dataclass(frozen=True)
class Scene:
    """The emulator, the proxy, and the folder with what all consumers share."""

    folder: Path
    google: Emulator
    proxy: harness.Proxy

    def run(self, command: str, settings: str, *flags: str | Path) -> int:
        """Run ``runscrape``, in this process; gives its exit code."""
        file = self.folder / f"{settings}.yaml"
        return cli.main([command, "--config", str(file), "--quiet", *map(str, flags)])

    @property
    def way(self) -> dict[str, Any]:
        """How a job of its own reaches the emulator's services, which are on no internet."""
        ca_file = str(self.google.ca_file)
        return {"proxy_url": self.google.proxy_url, "tls_config": {"ca_file": ca_file}}

    def write_settings(self) -> None:
        """Write a settings file for jobs, for the gateway, and for one shared audience."""
        secret = str(self.folder / "secret")
        shared = {
            "project": ["my-project"],
            "api_endpoint": self.google.api,
            "scrape_interval": "6s",  # and a timeout of as much, above the interval of "often"
            "client_secret_file": secret,
            "token_url": f"{self.proxy.url}/token",
            "inventory": "inventory.json",
            "rules": [RULE],
        }
        several: dict[str, dict[str, Any]] = {
            "jobs": {"rules": [RULE, {"scrape_config": self.way}]},
            "gateway": {"mode": "gateway", "targets_file": str(self.folder / "gateway.json")},
            "file-sd": {"audience": "custom", "inventory": "file-sd-inventory.json"},
        }
        for name, own in several.items():
            settings = shared | own
            if name == "file-sd":
                del settings["client_secret_file"], settings["token_url"]
            (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(settings))

    def write_targets(self) -> None:
        """Write both target files, as a refresh job does."""
        assert self.run("targets", "gateway", "--output", self.folder / "gateway.json") == 0
        assert self.run("targets", "file-sd", "--output", self.folder / "file-sd.json") == 0


@contextlib.contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """Start the emulator and the proxy, which serves tokens, targets and the gateway."""
    (folder / "secret").write_text(SECRET + "\n")
    with contextlib.ExitStack() as ending:
        google = ending.enter_context(Emulator(cloud(SERVICES), folder / "google"))
        flags: list[str | Path] = ["--gateway", "--inventory", folder / "inventory.json"]
        flags += ["--client-secret-file", folder / "secret", "--allow-audience", AUDIENCE]
        proxy = ending.enter_context(
            harness.running(folder, harness.COMMAND, *flags, env=google.env("service_account"))
        )
        made = Scene(folder, google, proxy)
        made.write_settings()
        made.write_targets()
        yield made


def refused(scene: Scene) -> list[dict[str, Any]]:
    """Jobs that fail: refused a token, or a scrape through the gateway, or with odd answers."""
    uri = scene.google.world.service("my-project/us-central1/api").uri
    assert uri
    host = uri.removeprefix("https://")
    right = {
        "client_id": "prometheus",
        "client_secret": SECRET,
        "token_url": f"{scene.proxy.url}/token",
        "endpoint_params": {"audience": uri},
    }

    def job(name: str, host: str, **fields: Any) -> dict[str, Any]:
        return {"job_name": name, "static_configs": [{"targets": [host]}], **fields}

    def by_token(name: str, path: str = "/metrics", **wrong: Any) -> dict[str, Any]:
        way = {"scheme": "https", "metrics_path": path, **scene.way}
        return job(name, f"{host}:443", oauth2=right | wrong, **way)

    def by_gateway(name: str, host: str, password: str) -> dict[str, Any]:
        login = {"username": "prometheus", "password": password}
        return job(name, f"{host}:80", proxy_url=scene.proxy.url, basic_auth=login)

    return [
        by_token("invalid_client", client_secret="wrong"),
        by_token("invalid_target", endpoint_params={"audience": f"{uri}/x"}),
        *(by_token(path, path) for path in PAGES if path != "/metrics"),
        by_gateway("407", host, "wrong"),
        by_gateway("403", "api.example.com", SECRET),
    ]


def targets_of(address: str) -> list[dict[str, Any]]:
    """Everything that a Prometheus or a vmagent scrapes now."""
    answer = get_json(f"{address}/api/v1/targets?state=active")
    active: list[dict[str, Any]] = answer["data"]["activeTargets"] or []
    return active


def until_error(address: str, job: str, shown: str) -> str:
    """Wait until a job's only target says that this is wrong; gives all that it says."""

    def error() -> str:
        found = [each for each in targets_of(address) if each["labels"].get("job") == job]
        return str(found[0]["lastError"]) if found else ""

    until(lambda: shown in error(), why=shown, changing=error, pause=0.1)
    return error()


def url_of(address: str, service: str) -> str:
    """What is scraped of a service with one target."""
    (found,) = (
        each for each in targets_of(address) if each["labels"].get("service_name") == service
    )
    return str(found["scrapeUrl"])


def health_of(address: str) -> Health:
    """What each Cloud Run target is, by name and path."""
    found = {}
    for each in targets_of(address):
        if name := each["labels"].get("service_name"):
            path = "/" + each["scrapeUrl"].partition("?")[0].split("/", 3)[3]
            found[name + path] = each["health"]
    return found


def of_all(health: Health) -> str:
    """Say how many targets are up, of those that there should be: ``8/8``."""
    return f"{sum(health.get(name) == 'up' for name in UP)}/{len(UP)}"


def until_health(servers: Mapping[T, HasAddress], wanted: Health) -> dict[T, Health]:
    """Wait until all servers have these targets, and no others, each up once; gives what they have.

    On a busy machine a target may be down again before the last one was up.
    """
    seen: dict[T, Health] = {each: {} for each in servers}

    def as_wanted() -> bool:
        for each in [name for name, health in seen.items() if health != wanted]:
            now = health_of(servers[each].address)
            seen[each] = now | {name: "up" for name in now if seen[each].get(name) == "up"}
        return all(health == wanted for health in seen.values())

    with contextlib.suppress(AssertionError):  # the comparison shows more
        until(as_wanted, why="all targets to be up", changing=lambda: copy.copy(seen), pause=1.0)
    return seen
