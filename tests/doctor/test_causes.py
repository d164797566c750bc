"""Every cause is produced, by the emulated Google or by our own mistake, and recognised."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.processes import get_json
from runscrape_generator.doctor.causes import BY_NAME, CAUSES
from tests.docs.reference import PROXY
from tests.docs.tables import shows, symptoms
from tests.doctor.clinic import (
    IDENTITY,
    NUMBER,
    Case,
    Clinic,
    app,
    by_name,
    clinic,
    diagnosed,
    page,
    place,
    uri,
    with_jobs,
    words_of,
)
from tests.doctor.jobs_by_hand import JOBS, hand_made
from tests.doctor.test_minting import MINTED, REFUSED
from tests.kit import consumers
from tests.kit import fast_yaml as yaml
from tests.kit.prometheus import prometheus
from tests.kit.waiting import until
from tests.proxy.test_prometheus import UNSEEN

GRANT = f"--member serviceAccount:{IDENTITY} --role roles/run.invoker"
UPDATE, BIND = "gcloud run services update", "gcloud run services add-iam-policy-binding"
LOGS = "gcloud logging read --project demo"
TAG = {"tag": "canary", "uri": "https://canary---tag-x7k2mq4wza-uc.a.run.app"}
SLOW = {"scrape_timeout": "2s"}

SERVICES = {
    "well": Case(""),
    # what stands between Prometheus and the service
    "reserved": Case(
        "reserved-path",
        was={"annotations": {"prometheus.io/path": "/healthz"}},
        says=("/healthz answers 404", "another path than /healthz"),
    ),
    "gone": Case("service-gone", None, ("demo/us-central1/gone", "runscrape generate --config")),
    "no-url": Case(
        "default-url-disabled",
        {"default_uri_disabled": True},
        (f"{UPDATE} {place('no-url')} --default-url",),
    ),
    "inside": Case(
        "ingress",
        {"ingress": "internal"},
        ("its ingress is internal", f"{UPDATE} {place('inside')} --ingress all"),
    ),
    "moved-on": Case(
        "address-differs",
        {"uri": "https://moved-on-aaaaaaaaaa-uc.a.run.app"},
        (uri("moved-on").removeprefix("https://"), "https://moved-on-aaaaaaaaaa-uc.a.run.app"),
    ),
    "unlisted": Case("not-served", {"ingress": "internal"}, project="hidden"),
    "perimeter": Case("service-controls", {"perimeter": True}, project="fenced"),
    "behind-iap": Case("iap", {"iap_enabled": True}, ("401", uri("behind-iap"))),
    "past-iap": Case(
        "iap-no-access",
        {"iap_enabled": True, "iap_clients": [uri("past-iap")], "iap_accessors": []},
        ("--service past-iap", f"--member serviceAccount:{IDENTITY}", "httpsResourceAccessor"),
    ),
    "iap-agent": Case(
        "iap-agent",
        {"iap_enabled": True, "iap_clients": [uri("iap-agent")], "iap_agent": False},
        (f"serviceAccount:service-{NUMBER}@gcp-sa-iap.iam.gserviceaccount.com",),
    ),
    "tag": Case(
        "audience-is-tag",
        was={"traffic": [TAG]},
        rule={"audience": TAG["uri"]},
        says=(TAG["uri"], f"own URL ({uri('tag')})"),
    ),
    "other-audience": Case(
        "audience-differs",
        rule={"audience": "https://shop.example.com"},
        says=(
            f"the token is for https://shop.example.com; the service takes {uri('other-audience')}",
            f"{UPDATE} {place('other-audience')} --add-custom-audiences https://shop.example.com",
        ),
    ),
    "was-public": Case(
        "not-public", {"invoker_iam_disabled": False}, was={"invoker_iam_disabled": True}
    ),
    "forbidden": Case(
        "no-invoker",
        {"invokers": ["somebody@example.com"]},
        (f"as {IDENTITY}", f"{BIND} {place('forbidden')} {GRANT}", "takes minutes"),
    ),
    # no instance answers
    "by-hand": Case(
        "scaled-to-none",
        {"scaling_mode": "MANUAL", "manual_instances": 0},
        (f"{UPDATE} {place('by-hand')} --scaling 1",),
    ),
    "unready": Case(
        "not-ready",
        {"ready": False, "failure": {"message": "Image not found."}},
        ("Image not found.", f"gcloud run services describe {place('unready')}"),
    ),
    "busy": Case(
        "max-instances",
        {"trouble": "busy"},
        ("maxInstances is 1", f"{UPDATE} {place('busy')} --max-instances 2"),
    ),
    "cannot-start": Case("start-failed", {"trouble": "start-failure"}, (LOGS, "cannot-start")),
    "no-billing": Case(
        "no-instance", {"trouble": "unavailable"}, ("gcloud billing projects describe demo",)
    ),
    "crashing": Case("crashed", {"trouble": "crash"}, (LOGS,)),
    "endless": Case("request-timeout", {"trouble": "timeout"}, (LOGS,)),
    # the app
    "own-login": Case("app-wants-credentials", app(verifies_tokens=True), ("the app says no",)),
    "own-403": Case("app-forbids", app(status=403), ("403", LOGS)),
    "elsewhere": Case(
        "wrong-path",
        app(paths={"/actuator/prometheus": {}}),
        ("404", "(/actuator/prometheus works)"),
    ),
    "stats": Case(
        "wrong-path",
        app(paths={"/prometheus": {}}),
        (f"{UPDATE} {place('stats')} --update-labels prometheus-path=prometheus",),
    ),
    "moved": Case(
        "redirect",
        page(redirect="/stats"),
        ("302 to", f"{UPDATE} {place('moved')} --update-labels prometheus-path=stats"),
    ),
    "own-500": Case("app-error", app(status=500), ("500: the app is not well", LOGS)),
    "waking": Case(
        "cold-start",
        app(cold_start=3.0),
        (f"{UPDATE} {place('waking')} --min-instances 1", "the scrape timeout is 2 s"),
        rule=SLOW,
    ),
    "slow": Case(
        "too-slow",
        app(latency=2.2),
        ("it took 2.", f"{UPDATE} {place('slow')} --update-labels prometheus-timeout="),
        rule=SLOW,
    ),
    "near": Case(
        "near-timeout",
        app(latency=2.1),
        ("of 4 s", "raise the scrape timeout to"),
        rule={"scrape_timeout": "4s"},
    ),
    "silent": Case(
        "hangs", app(hang=True), ("no answer within 2", LOGS), rule={"scrape_timeout": "1s"}
    ),
    "cut": Case("broken-off", app(drop=True), ("before the end", LOGS)),
    # what it serves
    "html": Case("not-metrics", page(odd="html"), ("a page: Sign in",)),
    "json": Case("not-metrics", page(odd="json"), ("JSON: ",)),
    "malformed": Case("malformed", page(odd="malformed"), ("line 3",)),
    "no-eof": Case(
        "malformed",
        page(body="a 1\n", content_type="application/openmetrics-text; version=1.0.0"),
        ("the last line has to be # EOF",),
    ),
    "large": Case(
        "body-too-large",
        app(paths={"/metrics": {"body_mb": 0.01}}),
        ("and body_size_limit is 1024",),
        rule={"scrape_config": {"body_size_limit": "1KB"}},
    ),
    "many": Case(
        "too-many-samples",
        page(metrics={f"m{n}": n for n in range(9)}),
        ("11 samples, and sample_limit is 10", "above 11"),
        rule={"scrape_config": {"sample_limit": 10}},
    ),
    "labels": Case(
        "labels-over-limit",
        says=("label_value_length_limit is 60",),
        broken=page(body=f'a{{x="{"y" * 61}"}} 1\n'),
        rule={"scrape_config": {"label_value_length_limit": 60}},
    ),
    # worth a look, although up
    "update-failed": Case(
        "update-failed",
        {"failure": {"message": "The container exited."}},
        ("The container exited.", "gcloud run revisions describe update-failed-"),
    ),
    "no-type": Case("content-type-for-3", page(content_type=None)),
    "twice": Case("duplicate-samples", page(odd="duplicate"), ("odd_total", "line 2")),
    "old": Case("timestamps-off", page(odd="old"), ("behind",)),
    "future": Case("timestamps-off", page(odd="future"), ("ahead",)),
    "empty": Case("no-samples", page(body="# nothing\n")),
    "scaled": Case(
        "many-instances",
        {"max_instances": 7},
        ("maxInstances is 7", f"{UPDATE} {place('scaled')} --max-instances 1"),
    ),
    "idle": Case(
        "scales-to-zero", {"min_instances": 0}, (f"{UPDATE} {place('idle')} --min-instances 1",)
    ),
    "newcomer": Case("not-in-proxy-inventory", says=("runscrape-proxy --listen", "inventory.json")),
}

WARNINGS = {cause.name for cause in CAUSES if cause.warning}


@dataclass
class Found:
    """What one run of doctor found on all of it, and what a Prometheus sees of it after that."""

    site: Clinic
    code: int
    content: dict[str, Any]
    seen: dict[tuple[str, str], dict[str, Any]]
    """Prometheus' targets, by job and URL."""
    prometheus: tuple[str, ...]
    """What has doctor ask that Prometheus, by the configuration that it has read."""

    @property
    def targets(self) -> dict[str, dict[str, Any]]:
        return by_name(self.content)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    """Let doctor look at everything at once."""
    folder = tmp_path_factory.mktemp("clinic")
    version = consumers.installed("prometheus").version
    ours = clinic(folder, SERVICES, "newcomer", prometheus_version=version)
    with ours as site, hand_made(site) as jobs:
        path = with_jobs(site, jobs)
        code, content = looked_at(site, path)
        config = quicker(path)
        with prometheus(config, "--scrape.discovery-reload-interval=100ms") as address:
            seen = until(lambda: scraped(address, content), "Prometheus to see the same", pause=0.5)
            words = ("--prometheus", address, "--prometheus-config", str(config))
            yield Found(site, code, content, seen, words)


SLOW_ONES = ("waking", "slow", "near", "silent")


def looked_at(site: Clinic, path: Path) -> tuple[int, dict[str, Any]]:
    """Let doctor look at what is slow by itself first: nothing else makes it slower."""
    _, slow = diagnosed(site, *SLOW_ONES)
    content = yaml.safe_load(path.read_text())
    content["scrape_configs"] = [
        job for job in content["scrape_configs"] if not job["job_name"].endswith(SLOW_ONES)
    ]
    others = path.with_name("others.yml")
    others.write_text(yaml.safe_dump(content))
    code, found = diagnosed(site, "--prometheus-config", str(others), "--probe-paths")
    targets = [*slow["targets"], *found["targets"]]
    both = {"targets": targets, "total": len(targets), "well": slow["well"] + found["well"]}
    return code, found | both


def quicker(path: Path) -> Path:
    """Give the configuration with short intervals, timeouts as they are, in a folder of its own."""
    content = yaml.safe_load(path.read_text())
    for job in content["scrape_configs"]:
        job["scrape_interval"] = job.setdefault("scrape_timeout", "2s")
    file = path.parent / "prometheus" / path.name
    file.parent.mkdir()
    file.write_text(yaml.safe_dump(content))
    return file


def scraped(address: str, content: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Give Prometheus' targets once all were scraped, and those that are well are up."""
    found = get_json(f"{address}/api/v1/targets?state=active")["data"]["activeTargets"]
    seen = {(each["labels"]["job"], each["scrapeUrl"]): each for each in found}
    for target in content["targets"]:
        if target["job"] == "ca-missing":
            continue  # Prometheus makes no target of it; doctor cannot know whose file is missing
        health = seen.get((target["job"], target["url"]), {}).get("health")
        if target["url"] and health != "up" and (target["well"] or health != "down"):
            return {}
        if health == "up" and target["cause"] and target["cause"]["name"] == "too-many-samples":
            return {}  # Debian's 2.53 has it down and up in turns
    return seen


@pytest.mark.parametrize("name", SERVICES)
def test_service(name: str, found: Found) -> None:
    """A fault of a service is named, with what was seen and the command that mends it."""
    cause = SERVICES[name].cause
    if cause == "content-type-for-3" and consumers.installed("prometheus").release >= (3, 0):
        cause = ""  # jobs for a Prometheus 3 have fallback_scrape_protocol
    recognised(found.targets[name], cause, SERVICES[name].says)


@pytest.mark.parametrize("name", JOBS)
def test_job(name: str, found: Found) -> None:
    """A fault of a job, of the proxy or of a token is named likewise."""
    recognised(found.targets[name], JOBS[name].cause, JOBS[name].says)


def recognised(target: dict[str, Any], cause: str, says: tuple[str, ...]) -> None:
    if cause in WARNINGS or not cause:
        assert target["cause"] is None
        assert target["well"]
        (warning,) = target["warnings"] or [None]
        assert (warning["name"] if warning else "") == cause
        findings = [warning] if warning else []
    else:
        assert target["cause"]["name"] == cause, target
        findings = [target["cause"]]
    for finding in findings:
        for words in says:
            assert words in words_of(finding)


def test_the_rest(found: Found) -> None:
    """One run sees all of it, and says how many targets are well."""
    assert found.code == 1
    causes = [case.cause for case in SERVICES.values()] + [case.cause for case in JOBS.values()]
    up = [cause for cause in causes if cause in WARNINGS | {""}]
    assert found.content["total"] == len(SERVICES) + len(JOBS)
    assert found.content["well"] == len(up)
    assert found.content["causes"]["unknown"] == 3
    notes = "\n".join(found.content["notes"])
    assert "permission denied" in notes
    assert "VPC Service Controls" in notes


def test_every_cause_is_met() -> None:
    """The tables of these tests, taken together, produce every cause of the list."""
    met = {case.cause for case in SERVICES.values()} | {job.cause for job in JOBS.values()}
    met |= {cause for *_, cause, _ in MINTED.values()} | {cause for _, cause in REFUSED.values()}
    met |= {
        "other-file",
        "not-loaded",
        "reload-refused",
        "old-job",
        "old-token",
        "prometheus-differs",
    }
    met |= {"prometheus-has-it-up"}
    met |= {"no-content-type", "content-type-for-3"}  # test_prometheus.py
    met |= {"grant-not-in-force"}  # test_minting.py
    assert met == {"", *BY_NAME}


WARM = {"cold-start"}
"""What is over once somebody has scraped."""
OTHER_WORDS = {
    *("no-address", "no-connection", "tls-untrusted", "tls-wrong-name", "tls-failed"),
    "tls-out-of-date",
    *("http-proxy-refused", "proxy-unreachable", "proxy-tls", "secret-unreadable", "not-the-proxy"),
    *("malformed", "body-too-large", "too-many-samples", "labels-over-limit"),
    *("token-answer-unusable", "broken-off", "unknown", "load-balancer", "gateway-wants-http"),
    "app-forbids",
}
"""Causes that Prometheus has words of its own for, which say what is wrong."""


def test_prometheus_sees_the_same(found: Found) -> None:
    """A real Prometheus has up what doctor finds well, and down what it does not."""
    theirs = {place: each["health"] == "up" for place, each in found.seen.items()}
    ours = {
        (each["job"], each["url"]): each["well"]
        for each in found.content["targets"]
        if each["url"] and each["job"] != "ca-missing"
    }
    warm = {
        (each["job"], each["url"])
        for each in found.content["targets"]
        if each["cause"] and each["cause"]["name"] in WARM
    }
    for each, well in ours.items():
        assert theirs[each] is (well or each in warm), (each, found.seen[each]["lastError"])


def test_a_prometheus_that_runs(found: Found) -> None:
    """Asked itself, it has what doctor finds well up, and no job that came after it was loaded."""
    (well,) = diagnosed(found.site, "cloudrun/*/well", *found.prometheus)[1]["targets"]
    assert well["well"]
    (step,) = (each for each in well["steps"] if each["step"] == "Prometheus")
    assert step["seen"].startswith("up, ")
    path = Path(found.prometheus[-1])
    before = path.read_text()
    content = yaml.safe_load(before)
    content["scrape_configs"].append(found.site.job("new", uri("well").removeprefix("https://")))
    path.write_text(yaml.safe_dump(content))
    (new,) = diagnosed(found.site, "new", *found.prometheus)[1]["targets"]
    path.write_text(before)
    assert new["cause"]["name"] == "not-loaded"


def test_the_manual_has_what_prometheus_says(found: Found) -> None:
    """What Prometheus shows for a fault is a row of the manual's troubleshooting table."""
    rows = symptoms(PROXY)
    missing, met = set(), set()
    for each in found.content["targets"]:
        place = each["job"], each["url"]
        if place not in found.seen or not each["cause"] or each["cause"]["name"] in OTHER_WORDS:
            continue
        error = found.seen[place]["lastError"]
        these = {row for row in rows if shows(row, error) or by_gateway(row, each, error)}
        met |= these
        if error and not these:
            missing.add((each["job"], error))
    assert not missing
    assert {row for row in UNSEEN if "(Prometheus 3)" not in row} <= met


def by_gateway(row: str, target: dict[str, Any], error: str) -> bool:
    """Whether a row is about the gateway's own answers, and has the status of this one."""
    status = re.search(r"status (\d+)", error)
    own = target["job"].startswith("gateway") and "from the gateway" in row
    return bool(own and status and f"`{status[1]}`" in row)


LAYERS: dict[str, Any] = {
    "reserved-path": {"annotations": {"prometheus.io/path": "/healthz"}},
    "ingress": {"ingress": "internal"},
    "iap": {"iap_enabled": True},
    "no-invoker": {"invokers": ["somebody@example.com"]},
    "not-ready": {"ready": False},
    "app-error": app(status=500),
    "malformed": page(odd="malformed"),
}
"""A fault for each part of the way, in the order in which a request comes to it."""


def both(first: str, second: str) -> Case:
    """Give a service with two faults."""
    broken = LAYERS[first] | LAYERS[second]
    if {first, second} == {"app-error", "malformed"}:
        broken = app(status=500, paths={"/metrics": {"odd": "malformed"}})
    was = {"annotations": broken["annotations"]} if "annotations" in broken else {}
    return Case(first, broken, was=was)


PAIRS = {f"pair{n}": both(*pair) for n, pair in enumerate(itertools.combinations(LAYERS, 2))}


def test_pairs(tmp_path: Path) -> None:
    """Of two faults the one that is first in the way is named; a wrong secret before all others."""
    with clinic(tmp_path, PAIRS) as site:
        _, content = diagnosed(site)
        found = {name: each["cause"]["name"] for name, each in by_name(content).items()}
        assert found == {name: case.cause for name, case in PAIRS.items()}
        (tmp_path / "secret").write_text("another")
        _, content = diagnosed(site)
        assert content["causes"] == {"wrong-secret": len(PAIRS)}
