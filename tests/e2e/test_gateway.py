"""The gateway under a real Prometheus: one job for every service, and no reload ever."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.gateway_stack import (
    APP,
    EXAMPLE,
    SECRET,
    Prometheus,
    Site,
    site,
    targets_of,
    world,
)
from tests.kit import consumers
from tests.kit import fast_yaml as yaml
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Prometheus")

MANY = 20
NAMES: dict[str, dict[str, Any]] = {
    "api": {"app": {"authorization": APP}},
    "shop": {"labels": {"team": "sales"}},
    "packed": {"app": {"gzip": True}},
    "hello": {"invoker_iam_disabled": True},
}
UP = dict.fromkeys(NAMES, "up")
TEAMS: list[dict[str, Any]] = [
    {"match": {"labels": {"team": team}}, "labels": {"team": team}} for team in ("sales", "buying")
]
RULES = [*TEAMS, {"match": {"service": "api"}, "app_credentials": "api.authorization"}]


@dataclass(frozen=True)
class Large:
    """A site of many services, and a server that scrapes them."""

    site: Site
    server: Prometheus
    services: dict[str, dict[str, Any]]
    loaded_at: str
    ending: contextlib.ExitStack


@pytest.fixture(scope="module", name="large")
def large_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Large]:
    """Started first and looked at later: Prometheus takes 5 s until it scrapes at all."""
    services: dict[str, dict[str, Any]] = {f"service-{n:03}": {} for n in range(MANY - 1)}
    services["large"] = {
        "annotations": {"prometheus.io/interval": "10s", "prometheus.io/timeout": "10s"},
        "app": {"paths": {"/metrics": {"body_mb": 10}}},
    }
    with contextlib.ExitStack() as ending:
        folder = tmp_path_factory.mktemp("large")
        running = ending.enter_context(site(folder, world(services), scrape_interval="3s"))
        running.run("generate")
        running.run("targets", "--mode", "oauth2")  # the gateway's job takes these as well
        assert targets_of(running.targets) == MANY
        server = ending.enter_context(running.prometheus())
        yield Large(running, server, services, server.reloaded_at(), ending)


@pytest.fixture(scope="module", name="small")
def small_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("gateway"), world(NAMES | {"api": {}})) as running:
        yield running


@pytest.fixture(scope="module", name="switched")
def server_switched_from_jobs(large: Large, small: Site) -> Iterator[Switched]:
    """A server that had a job for each service, and was switched to the gateway by one reload."""
    assert large, "runs meanwhile"
    jobs = {"mode": "oauth2", "gateway_url": None, "targets_file": None}
    rules = [rule | {"scrape_config": way(small)} for rule in (*TEAMS, {})]
    small.settings = {"scrape_interval": "1s", "rules": rules} | jobs
    small.run("generate")
    with small.prometheus() as server:
        seen = server.until_health(**UP)
        assert len({each["scrapePool"] for each in seen.values()}) == len(NAMES)
        before = labels_of(server)
        small.settings = {"scrape_interval": "1s", "rules": RULES}
        small.run("targets")
        small.run("generate")
        server.reload()
        with small.watch():
            yield Switched(server, before)


@dataclass(frozen=True)
class Switched:
    server: Prometheus
    before: list[dict[str, str]]
    """The labels of the services' series before the switch."""


@pytest.fixture
def web(small: Site, switched: Switched) -> Prometheus:
    """The server, with all of the beginning up."""
    small.google.update(world(NAMES))
    switched.server.until_health(**UP)
    return switched.server


def test_from_jobs_to_the_gateway(switched: Switched, web: Prometheus) -> None:
    """Switching a running set-up keeps every series: same job, same instance, same labels."""
    seen = web.seen()
    assert {each["scrapePool"] for each in seen.values()} == {"cloudrun"}
    assert len(switched.before) == len(NAMES)
    assert labels_of(web) == switched.before


def test_the_example_is_what_generate_writes(small: Site, switched: Switched) -> None:
    """examples/gateway/prometheus.yml is a generated one, but for the places in it."""
    assert switched
    text = (EXAMPLE / "prometheus.yml").read_text()
    text = text.replace("127.0.0.1:7777", "{}:{}".format(*small.proxy.address))
    text = text.replace("/etc/prometheus/runscrape.secret", str(small.folder / "secret"))
    example = yaml.safe_load(text.replace("/var/lib/runscrape/targets.json", str(small.targets)))
    made = yaml.safe_load(small.config.read_text())
    assert made.pop("global") == {"scrape_interval": "1s"}
    job = made["scrape_configs"][-1]
    assert [job.pop(f"scrape_{time}") for time in ("interval", "timeout")] == ["1s", "1s"]
    fallback = "PrometheusText0.0.4" if consumers.installed("promtool").release >= (3, 0) else ""
    assert job.pop("fallback_scrape_protocol", "") == fallback
    assert made == example


def test_the_readme_command(small: Site, web: Prometheus) -> None:
    """The README's curl, by proxy user and password, sees what Prometheus sees."""
    assert web
    (line,) = re.findall(r"^    curl (.*)$", (EXAMPLE / "README.md").read_text(), re.MULTILINE)
    uri = small.google.world.service("my-project/us-central1/api").uri
    assert uri
    words = line.replace("http://127.0.0.1:7777", small.proxy.url)
    words = words.replace("SERVICE-HOST", uri.removeprefix("https://"))
    words = words.replace("$(cat /etc/prometheus/runscrape.secret)", SECRET)
    match = re.fullmatch(r"-x (\S+) -U (.*) (http://\S+)", words)
    assert match
    command = ["curl", "-sS", "-x", match[1], "-U", match[2], match[3]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert "emulator_scrapes_total" in done.stdout, done


def test_one_job_for_every_kind(web: Prometheus) -> None:
    """Private, public and compressing services are up in one job, with the labels of job mode."""
    seen = web.seen()
    assert {each["scrapePool"] for each in seen.values()} == {"cloudrun"}
    labels = seen["shop"]["labels"]
    assert labels == {
        "job": "cloudrun/my-project/us-central1/shop",
        "instance": seen["shop"]["discoveredLabels"]["__address__"].removesuffix(":80"),
        "project_id": "my-project",
        "location": "us-central1",
        "service_name": "shop",
        "team": "sales",
    }


def test_services_that_fail_and_return(small: Site, web: Prometheus) -> None:
    """A service that fails, hangs, drips or drops half an answer is down, alone, until it is well.

    Half an answer is never taken for a whole one, not even a compressed one.
    """
    faults: dict[str, dict[str, Any]] = {
        "api": {"app": {"drop": True}},
        "shop": {"labels": {"team": "sales"}, "app": {"hang": True}},
        "packed": {"app": {"gzip": True, "drop": True, "paths": {"/metrics": {"body_mb": 1}}}},
        "hello": {"invoker_iam_disabled": True},
    }
    small.google.update(world(faults))
    seen = web.until_health(api="down", shop="down", packed="down", hello="up")
    errors = {name: each["lastError"] for name, each in seen.items()}
    assert "502" in errors["api"]
    assert "EOF" in errors["packed"]
    until(lambda: "504" in web.seen()["shop"]["lastError"], why="a timeout that tells so")
    other = {"app": {"drip": True}}, {"app": {"status": 500}}
    small.google.update(world(faults | {"api": other[0], "packed": other[1]}))
    until(lambda: "504" in web.seen()["api"]["lastError"], why="a dripping service to time out")
    until(lambda: "500" in web.seen()["packed"]["lastError"], why="the service's own status")
    small.google.update(world(NAMES))
    web.until_health(**UP)


def test_refusals_of_the_service(small: Site, web: Prometheus) -> None:
    """A 401, 403 or 404 of the service shows as such, and the log says what to do."""
    refusing = NAMES | {
        "api": {"invokers": []},
        "shop": {"labels": {"team": "sales"}, "app": {"paths": {"/other": {}}}},
    }
    small.google.update(world(refusing))
    until(lambda: "403" in web.seen()["api"]["lastError"], why="a 403")
    until(lambda: "404" in web.seen()["shop"]["lastError"], why="a 404")
    until(lambda: "answered 404: nothing there" in small.proxy.log, why="the log")
    assert "answered 403: grant roles/run.invoker" in small.proxy.log


def test_google_fails(small: Site, web: Prometheus) -> None:
    """While the API and the issuer fail, what is known is scraped with the tokens at hand."""
    broken = world(
        NAMES,
        list_services=[{"code": "UNAVAILABLE", "message": "later"}],
        issuers=[{"kind": "*", "status": 503}],
    )
    small.google.update(broken)
    scrapes = small.google.counts()["scrapes"]["my-project/us-central1/api"]["200"]

    def scraped_on() -> bool:
        now = small.google.counts()["scrapes"]["my-project/us-central1/api"]["200"]
        return bool(now >= scrapes + 2)

    until(scraped_on, why="two more scrapes")
    web.until_health(**UP)


def test_many_services_in_one_job(large: Large) -> None:
    """Many services and a body of 10 MB, in one job and without a reload, are all up.

    Also where ``--mode gateway`` was forgotten as the targets were written.
    """
    with large.ending:
        large.server.until_health(**dict.fromkeys(large.services, "up"))
        assert large.server.reloaded_at() == large.loaded_at
        assert len(large.server.series("emulator_scrapes_total")) == MANY
        until(
            lambda: fewest_scrapes(large.site) >= 3,
            why="three rounds",
            changing=lambda: scrapes_of(large.site),
        )
        connections = sum(large.site.google.counts()["proxy"]["accepted"].values())
        # Where this machine is too busy for a scrape in time, it costs a connection.
        assert connections < scrapes_of(large.site) / 2, "kept for the next rounds"


def test_an_app_that_uses_authorization_itself(small: Site, web: Prometheus) -> None:
    """By a rule alone: the app gets what the named file says, the token goes the other way."""
    assert {each["scrapePool"] for each in web.seen().values()} == {"cloudrun"}
    seen = small.google.last_headers("my-project/us-central1/api")
    assert seen["authorization"] == APP
    others = small.google.last_headers("my-project/us-central1/shop")["authorization"]
    assert others.startswith("Bearer eyJ"), "its own ID token"
    assert "answered 401" not in small.proxy.log


def test_services_come_go_and_change(small: Site, web: Prometheus) -> None:
    """A service is added, removed, relabelled by the target file alone: no reload.

    Without a token the new one is down with a 503, and up by itself when the issuer returns.
    """
    before = web.reloaded_at()
    changed = {name: extra for name, extra in NAMES.items() if name != "api"}
    changed |= {
        "shop": {"labels": {"team": "buying"}},
        "late": {
            "annotations": {"prometheus.io/path": "/stats"},
            "app": {"paths": {"/stats": {}}},
        },
    }
    small.google.update(world(changed, issuers=[{"kind": "*", "status": 503}]))
    until(lambda: "503" in web.seen().get("late", {}).get("lastError", ""), why="a 503")
    seen = web.until_health(shop="up", packed="up", hello="up", late="down")
    assert seen["shop"]["labels"]["team"] == "buying"
    assert seen["late"]["scrapeUrl"].endswith(":80/stats")
    small.google.update(world(changed))
    web.until_health(**dict.fromkeys(changed, "up"))
    assert web.reloaded_at() == before


def test_nothing_secret_is_told(small: Site, switched: Switched) -> None:
    """After all of it neither the secret nor a token is in a log, a metric or on the page."""
    assert switched.server.seen()
    told = small.proxy.log + (small.folder / "watch.log").read_text()
    told += small.proxy.get("/").text + small.proxy.get("/metrics").text
    assert SECRET not in told
    assert "eyJ" not in told


def scrapes_of(running: Site) -> int:
    """How many scrapes there were in all."""
    scrapes: dict[str, dict[str, int]] = running.google.counts()["scrapes"]
    return sum(sum(outcomes.values()) for outcomes in scrapes.values())


def fewest_scrapes(running: Site) -> int:
    """How often the service was scraped that was scraped least, but for the large one."""
    time.sleep(0.2)
    scrapes: dict[str, dict[str, int]] = running.google.counts()["scrapes"]
    return min(sum(each.values()) for name, each in scrapes.items() if "large" not in name)


def way(running: Site) -> dict[str, Any]:
    """How jobs of their own reach the emulator's services."""
    ca_file = str(running.google.ca_file)
    return {"proxy_url": running.google.proxy_url, "tls_config": {"ca_file": ca_file}}


def labels_of(server: Prometheus) -> list[dict[str, str]]:
    """The labels of every series that the services gave, but for the metric's own ones."""
    found = [each["metric"] for each in server.series("emulator_scrapes_total")]
    return sorted(found, key=lambda labels: labels["service_name"])
