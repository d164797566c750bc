"""The plan and the judgement of ``make soak``; the run itself takes ten minutes."""

from __future__ import annotations

from itertools import pairwise

import pytest
import requests

from emulator import Emulator
from emulator.world import load
from tests.conftest import MakeEmulator
from tests.soak import plan
from tests.soak.judge import ARRIVAL, Look, all_losses, bad_looks, cause, growth, look, losses
from tests.soak.plan import BASE, INTERVAL, KINDS, OTHERS, STALLED, Fault

TARGET = ("gateway", "one", "api")
GOOD = [(3.0 * n, True) for n in range(1, 10)]
"""Nine scrapes in 30 s, all good."""


def test_a_seed_is_a_plan() -> None:
    """The same seed plans the same faults; another seed plans others."""
    assert plan.plan(7, 600) == plan.plan(7, 600) != plan.plan(8, 600)


@pytest.mark.parametrize("seed", range(20))
def test_what_a_plan_holds(seed: int) -> None:
    """Ten minutes hold every kind; all others one at a time, the early ones in the first half."""
    planned = plan.plan(seed, 600)
    assert {fault.kind for fault in planned} == KINDS.keys() - {STALLED}
    others = [fault for fault in planned if fault.kind in OTHERS]
    for fault, later in pairwise(others):
        assert fault.end + KINDS[fault.kind].after <= later.begin
    assert all(fault.end < 300 for fault in planned if KINDS[fault.kind].early)
    assert max(fault.end for fault in planned) < 600
    assert len(plan.plan(seed, 60)) >= 3


def test_every_world_is_one() -> None:
    """Google is made of whatever is on; services are there from when they come until they go."""
    planned = plan.plan(1, 600)
    for number, fault in enumerate(planned):
        load(plan.world(planned, [fault], planned[:number], number))
    comes = next(fault for fault in planned if fault.kind == "service-comes")
    goes = next(fault for fault in planned if fault.kind == "service-goes")
    first = load(plan.world(planned, [], [], 0)).projects["one"].services
    last = load(plan.world(planned, [], planned, 9)).projects["one"].services
    names = {service.name for service in first} - {service.name for service in last}
    assert goes.service in names
    assert comes.service in {service.name for service in last} - {service.name for service in first}
    assert {service.name for service in first} >= set(BASE)


def test_only_the_service_that_is_meant_has_a_fault() -> None:
    """A service's namesake in the other project is well, so its scrapes must be good."""
    fault = Fault("service-hangs", 1, 2, "api")
    world = load(plan.world([fault], [fault], [], 0))
    hanging = [
        f"{project}/{service.name}"
        for project, each in world.projects.items()
        for service in each.services
        if service.app.hang
    ]
    assert hanging == ["one/api"]


def test_nothing_lost() -> None:
    """A target that was scraped all the time, with a little jitter, has lost nothing."""
    assert losses(TARGET, GOOD, 0, 30) == []
    assert losses(TARGET, [(at + 0.4, up) for at, up in GOOD], 0, 30) == []


def test_down_and_missing() -> None:
    """Each scrape that was down is lost, and each that was due and is missing, at the ends too."""
    samples = [(at, at != 9) for at, _ in GOOD if at not in (3, 15, 18, 27)]
    found = [(loss.at, loss.missing) for loss in losses(TARGET, samples, 0, 30)]
    assert found == [(3, True), (9, False), (15, True), (18, True), (27, True)]
    assert len(losses(TARGET, [], 0, 30)) == 9
    assert [loss.at for loss in losses(TARGET, samples, 8, 13)] == [9]


def lost(at: float, mode: str = "gateway", project: str = "one", service: str = "api") -> str:
    """Name what explains a loss by a hanging api, and by an outage of the issuer later."""
    episodes = [
        Fault("service-hangs", 100, 110, "api"),
        Fault("issuer-error", 120, 130),
        Fault("issuer-outage", 200, 290),
        Fault("proxy-killed", 500, 502),
    ]
    (loss,) = losses((mode, project, service), [(at, False)], at, at)
    episode = cause(loss, episodes)
    return episode.kind if episode else ""


@pytest.mark.parametrize("mode", plan.MODES)
def test_a_fault_explains_its_own_losses_only(mode: str) -> None:
    """A loss is explained by a fault of that service that was on while it was scraped."""
    assert lost(105, mode) == lost(100 - INTERVAL, mode) == "service-hangs"
    assert lost(110 + INTERVAL, mode) == "service-hangs"
    assert lost(90, mode) == lost(114, mode) == ""
    assert lost(105, mode, service="shop") == lost(105, mode, project="two") == ""


def test_faults_that_may_cost_nothing() -> None:
    """An issuer that is away for less than a token lives explains no loss, nor does a long outage
    at its begin; a killed proxy explains those of every service.
    """
    assert lost(125) == lost(210) == lost(240) == lost(400) == ""
    assert lost(260) == lost(350) == "issuer-outage"
    assert lost(501, service="shop", project="two") == "proxy-killed"
    assert lost(450) == lost(510) == ""


def test_a_run_without_a_loss_and_one_with() -> None:
    """A whole run is judged: one scrape of one target that is down, without a fault, is found."""
    over = [Fault("service-comes", 50, 50, "guest-1"), Fault("service-goes", 60, 60, "leaver-1")]
    times = [3.0 * n for n in range(1, 100)]
    ends = {"guest-1": (50 + ARRIVAL, 300), "leaver-1": (0, 60)}
    samples = {
        (mode, project, name): [
            (at, True)
            for at in times
            if ends.get(name, (0, 300))[0] <= at <= ends.get(name, (0, 300))[1]
        ]
        for mode in plan.MODES
        for project in plan.PROJECTS
        for name in (*BASE, *ends)
    }
    assert all_losses(samples, over, 0, 300) == []
    target = ("gateway", "two", "guest-1")
    samples[target] = [(at, at != 150) for at, _ in samples[target]]
    (loss,) = all_losses(samples, over, 0, 300)
    assert ((loss.mode, loss.project, loss.service), loss.at) == (target, 150)
    assert cause(loss, over) is None
    del samples[target]
    assert len(all_losses(samples, over, 0, 300)) > 60, "a target that never came"


def test_files() -> None:
    """A broken file and a service that goes early are told; one that has to go is not."""
    jobs = "- job_name: oauth2/one/us-central1/api\n- job_name: oauth2/one/us-central1/leaver\n"
    whole = look("prometheus.yml", 1, jobs)
    assert whole.services == frozenset({"one/api", "one/leaver"})
    looks = [whole, Look("b", 2, whole.services), Look("b", 3, None), Look("b", 4, whole.services)]
    looks += [look("prometheus.yml", 6, jobs[:39]), Look("b", 7, frozenset({"one/leaver"}))]
    later = [Fault("service-goes", 9, 9, "leaver")]
    assert bad_looks(looks, [Fault("service-goes", 5, 5, "leaver")]) == [
        "b is broken",
        "b lost one/api",
    ]
    assert bad_looks(looks, later) == [
        "b is broken",
        "prometheus.yml lost one/leaver",
        "b lost one/api",
    ]


def test_half_a_file() -> None:
    """What is not whole is broken."""
    assert look("targets.json", 1, '[{"targets": [').services is None
    assert look("prometheus.yml", 1, "scrape_configs: [").services is None


def test_growth() -> None:
    """What grows all the time is told, however it jumps; what goes up and comes back is not."""
    assert growth([(t, 100 + t / 10 + t % 7) for t in range(200)]) == pytest.approx(20, abs=1)
    assert abs(growth([(t, 100.0 + 50 * (90 < t < 110)) for t in range(200)])) < 1
    assert growth([(1, 5)]) == 0


def test_a_token_for_another_service_is_seen(make_emulator: MakeEmulator) -> None:
    """Google's emulator counts each token that reaches a service for which it is not."""
    google: Emulator = make_emulator(plan.world([], [], [], 0))
    api, shop = (
        google.world.service(f"one/{where}") for where in ("us-central1/api", "europe-west1/shop")
    )
    with requests.Session() as client:
        client.trust_env = False
        client.proxies, client.verify = {"https": google.proxy_url}, str(google.ca_file)
        for audience in (api.uri, shop.uri):
            token = google.id_token(str(audience))
            client.get(
                f"{api.uri}/metrics", headers={"Authorization": f"Bearer {token}"}, timeout=30
            )
    assert google.counts()["refused_tokens"] == {api.key: {"wrong audience": 1}}
