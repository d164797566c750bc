"""Discovery against the emulator, and against answers that Google should never give."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.cloud import run_v2

from emulator import Emulator
from emulator.api import Api
from runscrape_generator.cloudrun import calls
from runscrape_generator.cloudrun.discovery import discover
from runscrape_generator.config.settings import Settings
from runscrape_generator.model import Discovery, Scope
from tests.conftest import MakeEmulator
from tests.generator import odd_google
from tests.generator.discovery_kit import EU, US, faulty, found, names, only, world
from tests.generator.recorder import Recorder
from tests.kit.programs import running


def test_every_region(emulator: Emulator) -> None:
    """Every service of a project is found by one call, and one for a region that it leaves open."""
    talk = Recorder()
    discovery = found(emulator, talk)
    assert discovery.failures == ()
    assert list(names(discovery).items()) == [
        ("demo/europe-west1", ["back-office", "hello"]),
        ("demo/us-central1", ["api", "shop"]),
    ]
    assert emulator.counts()["locations"] == {}
    assert emulator.counts()["list_services"] == {"demo/-": {"1": 1}, "demo/me-central2": {"1": 1}}
    details = talk.of("detail")
    assert any(d.startswith("demo: 4 services in 2 regions on 1 page in ") for d in details)
    assert "demo/me-central2: not available to this project" in details


def test_progress(emulator: Emulator) -> None:
    """A bar over the projects, then one over the regions that they left open, both to the end."""
    talk = Recorder()
    found(emulator, talk)
    assert [(label, total, sum(steps)) for label, total, steps in talk.bars] == [
        ("projects", 1, 1),
        ("regions", 1, 1),
    ]


def test_given_regions(emulator: Emulator) -> None:
    """With --region, only those regions are listed, each by itself."""
    talk = Recorder()
    discovery = found(emulator, talk, regions=("us-central1", "us-central1"))
    assert list(names(discovery)) == ["demo/us-central1"]
    assert emulator.counts()["list_services"] == {"demo/us-central1": {"1": 1}}
    assert talk.bars == [("regions", 1, [1])]
    assert talk.of("detail")[-1].startswith("demo/us-central1: 2 services on 1 page in ")


def test_pages(make_emulator: MakeEmulator) -> None:
    """All pages of services are read, each once, with one region or all."""
    services = [{"name": f"svc-{n}", "region": "us-central1"} for n in range(5)]
    emu = make_emulator(world(*services, settings={"page_size_cap": 2}))
    for regions, scope in (((), "demo/-"), (("us-central1",), "demo/us-central1")):
        discovery = found(emu, regions=regions)
        assert names(discovery)["demo/us-central1"] == [f"svc-{n}" for n in range(5)]
        assert emu.counts()["list_services"][scope] == {"1": 1, "2": 1, "3": 1}


def test_project_by_number(emulator: Emulator) -> None:
    """A project may be given by its number; scopes are named as they were asked for."""
    discovery = found(emulator, projects=("123456789012",))
    assert discovery.failures == ()
    assert "123456789012/us-central1" in names(discovery)


FACTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"ingress": "all", "launch_stage": "GA", "min_instances": 0, "max_instances": 0}),
    ({"ingress": "internal"}, {"ingress": "internal"}),
    (
        {"ingress": "internal-and-cloud-load-balancing"},
        {"ingress": "internal-and-cloud-load-balancing"},
    ),
    ({"ingress": "none"}, {"ingress": "none"}),
    ({"launch_stage": "BETA"}, {"launch_stage": "BETA"}),
    ({"min_instances": 1, "template_min_instances": 3}, {"min_instances": 3}),
    ({"min_instances": 2}, {"min_instances": 2}),
    ({"max_instances": 9, "template_max_instances": 4}, {"max_instances": 4}),
    ({"max_instances": 3, "template_max_instances": 40}, {"max_instances": 3}),
    ({"template_max_instances": 40}, {"max_instances": 40}),
    ({"max_instances": 9}, {"manual_instances": None}),
    ({"scaling_mode": "MANUAL", "manual_instances": 0}, {"manual_instances": 0}),
    ({"scaling_mode": "MANUAL", "manual_instances": 2}, {"manual_instances": 2}),
    ({"uri": None, "ready": False}, {"uri": "", "latest_ready_revision": "", "urls": ()}),
    ({"latest_ready_revision": "x-00007-abc"}, {"latest_ready_revision": "x-00007-abc"}),
    ({"default_uri_disabled": True}, {"default_uri_disabled": True}),
    ({"iap_enabled": True}, {"iap_enabled": True}),
    ({"invoker_iam_disabled": True}, {"invoker_iam_disabled": True}),
    ({"custom_audiences": ["https://a", "b"]}, {"custom_audiences": ("https://a", "b")}),
    ({"labels": {"team": "yes"}}, {"labels": {"team": "yes"}}),
    (
        {"annotations": {"prometheus.io/path": '"}\n{{ x }} #é'}},
        {"annotations": {"prometheus.io/path": '"}\n{{ x }} #é'}},
    ),
]


def test_facts(make_emulator: MakeEmulator) -> None:
    """Each fact that selection looks at comes through as Google says it, hostile text too."""
    services = [
        {"name": f"svc-{n:02}", "region": "us-central1"} | given
        for n, (given, _) in enumerate(FACTS)
    ]
    listed = found(make_emulator(world(*services))).scopes[US]
    expected = [facts for _, facts in FACTS]
    assert [
        {field: getattr(one, field) for field in facts}
        for one, facts in zip(listed, expected, strict=True)
    ] == expected
    assert listed[0].uri.startswith("https://svc-00-")
    assert listed[0].uri in listed[0].urls
    assert listed[0].uid


@pytest.mark.parametrize("code", ["UNAVAILABLE", "INTERNAL", "RESOURCE_EXHAUSTED", "ABORTED"])
def test_passing_failure(make_emulator: MakeEmulator, code: str) -> None:
    """A call that fails in passing is made again, and nothing is lost."""
    fault = {"region": "us-central1", "page": 2, "code": code, "first": 1}
    emu = make_emulator(faulty("list_services", fault, page_size_cap=2))
    for regions, scope in (((), "demo/-"), (("us-central1",), "demo/us-central1")):
        emu.update(faulty("list_services", fault | {"region": scope[5:]}, page_size_cap=2))
        discovery = found(emu, regions=regions)
        assert discovery.failures == ()
        assert len(discovery.scopes[US]) == 5
        assert emu.counts()["list_services"][scope]["2"] == 2


def test_hang_then_answer(make_emulator: MakeEmulator) -> None:
    """A call that hangs once is given up in time to be made again."""
    emu = make_emulator(faulty("list_services", {"hang": True, "region": "us*", "first": 1}))
    assert found(emu, timeout=3.0, regions=("us-central1",)).failures == ()


@pytest.mark.parametrize(
    ("code", "reason", "calls"),
    [
        ("PERMISSION_DENIED", "permission denied: ", 1),
        ("NOT_FOUND", "not found: ", 1),
        ("INVALID_ARGUMENT", "invalid: ", 1),
        ("UNAUTHENTICATED", "not authenticated: ", 1),
        ("UNIMPLEMENTED", "not served: ", 1),
    ],
)
@pytest.mark.usefixtures("nobody")  # who is not known is asked to log in
def test_refused_page(make_emulator: MakeEmulator, code: str, reason: str, calls: int) -> None:
    """A scope that is refused on any page fails whole, at once; the others are listed."""
    fault = {"region": "us-central1", "page": 2, "code": code}
    emu = make_emulator(faulty("list_services", fault, page_size_cap=2))
    discovery = found(emu, regions=("europe-west1", "us-central1"))
    assert list(names(discovery)) == ["demo/europe-west1"]
    assert only(discovery).region == "us-central1"
    assert only(discovery).reason.startswith(reason)
    assert only(discovery).reason.endswith("(ListServices, page 2)")
    assert emu.counts()["list_services"]["demo/us-central1"]["2"] == calls


def test_failure_that_stays(make_emulator: MakeEmulator) -> None:
    """Regions that stay down cost their own timeout, side by side, and no other region."""
    down: dict[str, tuple[dict[str, Any], str]] = {
        "us-east1": ({"hang": True}, "no answer within 2.4 s (ListServices, page 1)"),
        "us-east4": ({"code": "UNAVAILABLE"}, "The service is currently unavailable"),
        "us-west1": ({"code": "RESOURCE_EXHAUSTED"}, "quota exceeded: "),
    }
    faults = [fault | {"region": region} for region, (fault, _) in down.items()]
    regions = ["europe-west1", *down]
    service = {"name": "api", "region": "europe-west1"}
    demo = {"regions": regions}
    emu = make_emulator(world(service, demo=demo, faults={"list_services": faults}))
    begun = time.monotonic()
    discovery = found(emu, timeout=2.4)
    assert time.monotonic() - begun < 3 * 4
    assert list(names(discovery)) == ["demo/europe-west1"]
    reasons = {failure.region: failure.reason for failure in discovery.failures}
    assert list(reasons) == list(down)
    for region, (_, reason) in down.items():
        assert reason in reasons[region]


def test_unknown_project_and_region(emulator: Emulator) -> None:
    """What does not exist fails by name, and does not disturb what does."""
    discovery = found(emulator, projects=("demo", "nope"), regions=("us-central1", "mars-1"))
    assert list(names(discovery)) == ["demo/us-central1"]
    reasons = {(f.project, f.region): (f.reason, f.remedy) for f in discovery.failures}
    assert "Location 'mars-1' is not valid" in reasons["demo", "mars-1"][0]
    assert "gcloud run regions list --project demo" in reasons["demo", "mars-1"][1]
    assert "run.services.list" in reasons["nope", "us-central1"][0]
    assert "roles/run.viewer on project nope" in reasons["nope", "us-central1"][1]


def test_disabled_api(make_emulator: MakeEmulator) -> None:
    """A project without the API is told how to enable it, by either protocol."""
    emu = make_emulator(world(demo={"api_disabled": True}))
    for regions in ((), ("us-central1",)):
        failure = only(found(emu, regions=regions))
        assert failure.reason.startswith("the Cloud Run Admin API is not enabled")
        assert "gcloud services enable run.googleapis.com --project demo" in failure.remedy


def page(*services: run_v2.Service, token: str = "", **more: Any) -> run_v2.ListServicesResponse:
    return run_v2.ListServicesResponse(services=services, next_page_token=token, **more)


def service(name: str, scope: Scope = US, **fields: Any) -> run_v2.Service:
    full = f"projects/{scope.project}/locations/{scope.region}/services/{name}"
    return run_v2.Service(name=full, **fields)


def oddly(pages: dict[str, run_v2.ListServicesResponse]) -> Discovery:
    with odd_google.services(pages) as endpoint:
        settings = Settings(projects=("demo",), regions=("us-central1",), api_endpoint=endpoint)
        return discover(settings, {}, Recorder())


@pytest.mark.parametrize(
    ("pages", "reason"),
    [
        ({"": page(token="2"), "2": page(token="2")}, "page 2 leads back to an earlier page"),
        (
            {"": page(token="2"), "2": page(token="3"), "3": page(token="2")},
            "page 3 leads back to an earlier page",
        ),
        ({"": page(unreachable=["us-central1"])}, "Google could not reach us-central1"),
        ({"": page(run_v2.Service(name="api"))}, "'api' is not the name of a service"),
        ({"": page(service("api", EU))}, "which is not in demo/us-central1"),
        ({"": page(service("api", Scope("other", "us-central1")))}, "which is not in demo/"),
    ],
    ids=["same page", "circle", "unreachable", "no name", "other region", "other project"],
)
def test_odd_pages(pages: dict[str, run_v2.ListServicesResponse], reason: str) -> None:
    """An answer that makes no whole list fails its scope, with the reason."""
    discovery = oddly(pages)
    assert discovery.scopes == {}
    assert reason in only(discovery).reason


def test_unreachable_is_read_on_every_page() -> None:
    """That a later page has services of a region does not make the region's listing whole."""
    pages = {
        "": page(service("b", EU), token="2", unreachable=["projects/demo/locations/us-central1"]),
        "2": page(service("a")),
    }
    with odd_google.services(pages) as endpoint:  # the region by itself gets the same answer
        settings = Settings(projects=("demo",), api_endpoint=endpoint)
        discovery = discover(settings, {}, Recorder())
    assert names(discovery) == {"demo/europe-west1": ["b"]}
    assert only(discovery).where == "demo/us-central1"


@pytest.mark.parametrize("name", ["-", "projects/demo", "us central1", "Us-Central1"])
def test_unreachable_without_a_region(name: str) -> None:
    """Where nobody knows what Google did not reach, nothing of the project counts as whole."""
    with odd_google.services({"": page(service("b", EU), unreachable=[name])}) as endpoint:
        settings = Settings(projects=("demo",), api_endpoint=endpoint)
        discovery = discover(settings, {}, Recorder())
    assert discovery.scopes == {}
    assert only(discovery).reason == f"Google could not reach {name}"


def test_twice_and_deleted() -> None:
    """A service that moves to the next page meanwhile counts once, a deleted one not at all."""
    gone = service("gone", delete_time={"seconds": 1})
    pages = {"": page(service("b"), service("a"), token="2"), "2": page(service("b"), gone)}
    assert names(oddly(pages)) == {"demo/us-central1": ["a", "b"]}


def test_future_values() -> None:
    """Ingress and stages that this version does not know lose no service."""
    odd = service("a", ingress=99, launch_stage=99, latest_ready_revision="r-1")
    (one,) = oddly({"": page(odd)}).scopes[US]
    assert (one.ingress, one.launch_stage, one.latest_ready_revision) == ("all", "GA", "r-1")


def test_a_tags_url_is_none_of_the_services() -> None:
    """Cloud Run takes no token that is made for it, whatever list it stands in."""
    own, tag = "https://a-x7k2mq4wza-uc.a.run.app", "https://canary---a-x7k2mq4wza-uc.a.run.app"
    traffic = [{"percent": 100}, {"tag": "canary", "uri": tag}]
    (one,) = oddly({"": page(service("a", urls=[own, tag], traffic_statuses=traffic))}).scopes[US]
    assert (one.urls, one.tag_urls) == ((own,), (tag,))


def test_manual_scaling() -> None:
    """Manual scaling fixes the number of instances, whatever the limits say."""
    scaling = {"scaling_mode": 2, "manual_instance_count": 3, "max_instance_count": 9}
    (one,) = oddly({"": page(service("a", scaling=scaling))}).scopes[US]
    assert (one.min_instances, one.max_instances) == (3, 3)


def test_nothing_listens() -> None:
    """An endpoint that refuses connections is named, by either protocol."""
    for regions in ((), ("us-central1",)):
        settings = Settings(
            projects=("demo",), regions=regions, api_endpoint="http://127.0.0.1:9", timeout=0.5
        )
        failure = only(discover(settings, {}, Recorder()))
        assert failure.reason.startswith("cannot reach 127.0.0.1:9: ")


class Peak:
    """Counts what is under way at once."""

    def __init__(self) -> None:
        self.now = self.highest = 0
        self._lock = threading.Lock()

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any) -> Any:
            with self._lock:
                self.now += 1
                self.highest = max(self.highest, self.now)
            try:
                return call(*args)
            finally:
                with self._lock:
                    self.now -= 1

        return counted


def test_side_by_side(make_emulator: MakeEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Projects are listed side by side, up to --concurrency at once and never more."""
    peak = Peak()
    monkeypatch.setattr(Api, "list_services", peak.around(Api.list_services))
    content = world(faults={"list_services": [{"latency": 0.3}]})
    projects = tuple(f"p-{n}" for n in range(20))
    content["projects"] = dict.fromkeys(projects, content["projects"]["demo"])
    emu = make_emulator(content)
    assert found(emu, projects=projects, concurrency=5).failures == ()
    assert peak.highest == 5
    peak.highest = 0
    assert found(emu, projects=projects, concurrency=32).failures == ()
    assert peak.highest > 10


def test_slow_project_holds_up_nobody(make_emulator: MakeEmulator) -> None:
    """A project is listed to the end while another is still awaited."""
    content = world({"name": "api", "region": "us-central1"})
    content["projects"]["slow"] = content["projects"]["demo"] | {"number": 2}
    content["faults"] = {
        "list_services": [
            {"project": "slow", "hang": True},
            {"project": "demo", "region": "-", "code": "NOT_FOUND"},
        ]
    }
    discovery = found(make_emulator(content), projects=("slow", "demo"), timeout=2.4)
    assert names(discovery)["demo/us-central1"] == ["api"]
    assert {one.project for one in discovery.failures} == {"slow"}


def test_google_out_of_reach(make_emulator: MakeEmulator) -> None:
    """Once as many calls as are made at once all time out, the rest is spared its own timeouts."""
    content = world(faults={"list_services": [{"code": "UNAVAILABLE"}]})
    projects = tuple(f"p-{n}" for n in range(20))
    content["projects"] = dict.fromkeys(projects, content["projects"]["demo"])
    emu, talk = make_emulator(content), Recorder()
    discovery = found(emu, talk, projects=projects, concurrency=4, timeout=1.0)
    assert [one.where for one in discovery.failures] == sorted(projects)
    assert len(emu.counts()["list_services"]) < 10
    assert [(total, sum(steps)) for _, total, steps in talk.bars] == [(20, 20)]


def test_part_of_google_out_of_reach(make_emulator: MakeEmulator) -> None:
    """Once a scope was answered, every scope gets its chance, however many time out in a row."""
    fault = {"code": "UNAVAILABLE", "region": "us*"}
    content = world({"name": "api", "region": "us-central1"}, faults={"list_services": [fault]})
    projects = ("p-0", "p-1")
    content["projects"] = dict.fromkeys(projects, content["projects"]["demo"])
    discovery = found(make_emulator(content), projects=projects, concurrency=1, timeout=2.4)
    assert [f.region for f in discovery.failures] == ["us-central1"] * 2


def test_calls_are_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that ignores its deadline costs its time and the grace, and not the run."""
    monkeypatch.setattr(calls, "GRACE", 0.05)
    ever = threading.Event()
    pool: calls.CallPool[str, bool] = calls.CallPool(1, 0.05)
    pool.submit("stuck", lambda _: ever.wait())
    pool.submit("fine", lambda _: True)
    outcomes = dict(pool.outcomes())
    ever.set()
    assert isinstance(outcomes["stuck"], TimeoutError)
    assert outcomes["fine"] is True


INTERRUPTED = """
import signal, sys
from runscrape_generator.cloudrun.discovery import discover
from runscrape_generator.config.settings import Settings
from tests.generator.recorder import Recorder

def end(*_):
    raise SystemExit(143)

signal.signal(signal.SIGTERM, end)
discover(Settings(projects=("demo",), api_endpoint=sys.argv[1], timeout=300), {}, Recorder())
"""


@pytest.mark.parametrize("kind", ["list_services", "locations"])
def test_sigterm_while_hanging(make_emulator: MakeEmulator, kind: str, tmp_path: Path) -> None:
    """A signal ends a listing that hangs at once, and no thread holds up the exit."""
    refused = {"region": "-", "code": "UNIMPLEMENTED"}
    emu = make_emulator(world(faults={"list_services": [refused]} | {kind: [{"hang": True}]}))
    command = [sys.executable, "-c", INTERRUPTED, emu.api]
    with running(command, tmp_path / "log", env=os.environ, forked=True) as program:
        program.until(lambda: emu.counts()[kind], why="the listing to hang")
        program.send(signal.SIGTERM)
        assert program.process.wait(100) == 143  # not the 300 s of the timeout
