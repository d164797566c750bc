"""Regions that a listing of all regions leaves open, and regions where there is no such listing."""

from __future__ import annotations

import time
from typing import Any

import pytest

from runscrape_generator.cloudrun.address import api_address
from runscrape_generator.cloudrun.credentials import Access
from runscrape_generator.cloudrun.failures import failure
from runscrape_generator.cloudrun.regions import list_regions
from runscrape_generator.cloudrun.remedies import Circumstances
from runscrape_generator.cloudrun.retries import Retries
from runscrape_generator.model import Scope
from tests.conftest import MakeEmulator
from tests.generator import odd_google
from tests.generator.discovery_kit import US, calls, found, known, names, only, world
from tests.generator.recorder import Recorder

API = {"name": "api", "region": "us-central1"}
HELLO = {"name": "hello", "region": "europe-west1"}
BOTH = {"demo/europe-west1": ["hello"], "demo/us-central1": ["api"]}
REFUSED = {"region": "-", "code": "UNIMPLEMENTED"}


def of_services(*faults: dict[str, Any], **more: Any) -> dict[str, Any]:
    return world(
        API, HELLO, faults={"list_services": list(faults)} | more.pop("faults", {}), **more
    )


@pytest.mark.parametrize("form", ["resource name", "region"])
def test_an_unreachable_region_is_listed_by_itself(make_emulator: MakeEmulator, form: str) -> None:
    """Only the region's own answer counts, whichever way the listing of all regions names it."""
    settings = {"unreachable_as": form, "wildcard_unreachable": ["", "", "us-central1"]}
    fault = {"region": "us-central1", "unreachable": True, "first": 1}
    emu = make_emulator(of_services(fault, settings=settings))
    discovery = found(emu)
    assert (names(discovery), discovery.failures) == (BOTH, ())
    assert calls(emu) == {"demo/-": 1, "demo/us-central1": 1, "demo/me-central2": 1}


def test_a_region_that_stays_down_fails_alone(make_emulator: MakeEmulator) -> None:
    """A region that is unreachable, and cannot be listed by itself either, is one failure."""
    emu = make_emulator(of_services({"region": "us-central1", "code": "INTERNAL"}))
    discovery = found(emu, timeout=2.4)
    assert names(discovery) == {"demo/europe-west1": ["hello"]}
    assert only(discovery).where == "demo/us-central1"
    assert "Google answered 500" in only(discovery).reason


def test_no_service_goes_for_want_of_a_mention(make_emulator: MakeEmulator) -> None:
    """A region that has services in the inventory is asked for by itself if it has none now."""
    emu = make_emulator(of_services({"region": "us-central1", "omitted": True}))
    assert names(found(emu)) == {"demo/europe-west1": ["hello"]}
    assert "demo/us-central1" not in calls(emu)
    discovery = found(emu, known=known(old=US))
    assert names(discovery) == BOTH
    assert calls(emu)["demo/us-central1"] == 1


def test_a_region_that_is_empty_now(make_emulator: MakeEmulator) -> None:
    """Where the services of the inventory are gone, the region says so, and stays as empty."""
    emu = make_emulator(world(HELLO))
    first = found(emu, known=known(gone=US))
    assert names(first) == {"demo/europe-west1": ["hello"], "demo/us-central1": []}
    assert calls(emu)["demo/us-central1"] == 1
    assert names(found(emu, known=first.scopes)) == names(first)
    assert calls(emu)["demo/us-central1"] == 1  # it was empty, and nothing says otherwise


def test_a_project_without_services(make_emulator: MakeEmulator) -> None:
    """It has been listed, and has no scopes."""
    discovery = found(make_emulator(world()))
    assert (discovery.scopes, discovery.failures, discovery.listed) == ({}, (), True)


def test_a_region_that_is_not_available(make_emulator: MakeEmulator) -> None:
    """It is nothing, unless --region or the inventory names it: no role would help then."""
    emu = make_emulator(of_services())
    closed = Scope("demo", "me-central2")
    assert found(emu).failures == ()
    assert found(emu, known=known(closed)).failures == ()
    for discovery in (
        found(emu, regions=("us-central1", "me-central2")),
        found(emu, known=known(old=closed)),
    ):
        assert "demo/us-central1" in names(discovery)
        assert closed not in discovery.scopes
        assert only(discovery).where == "demo/me-central2"
        assert only(discovery).reason.startswith("the region is not available to the project: ")
        assert only(discovery).remedy.startswith("no role changes that")
        assert "roles/" not in only(discovery).remedy


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED"])
def test_region_by_region(make_emulator: MakeEmulator, code: str) -> None:
    """Where all regions cannot be listed at once, each that Google names is listed."""
    talk = Recorder()
    settings = {"locations_page_size": 1}
    emu = make_emulator(of_services({"region": "-", "code": code}, settings=settings))
    discovery = found(emu, talk)
    assert (names(discovery), discovery.failures) == (BOTH, ())
    assert emu.counts()["locations"] == {"demo": {"200": 3}}
    assert calls(emu)["demo/-"] == 1
    bars = [(label, total, sum(steps)) for label, total, steps in talk.bars]
    assert bars == [("projects", 1, 1), ("regions", 3, 3)]


def test_one_region_that_hangs_is_no_reason_to_lose_the_others(make_emulator: MakeEmulator) -> None:
    """Where the listing of all regions gets no answer in time, each is asked by itself."""
    hangs = ({"region": "-", "hang": True}, {"region": "us-central1", "hang": True})
    discovery = found(make_emulator(of_services(*hangs)), timeout=2.4)
    assert names(discovery) == {"demo/europe-west1": ["hello"]}
    assert only(discovery).where == "demo/us-central1"


def test_all_regions_down_is_nothing_listed(make_emulator: MakeEmulator) -> None:
    """That Google named what it could not reach makes it no listing."""
    emu = make_emulator(of_services({"region": "[eu]*", "code": "PERMISSION_DENIED"}))
    discovery = found(emu)
    assert {one.where for one in discovery.failures} == set(BOTH)
    assert (discovery.scopes, discovery.listed) == ({}, False)


def test_a_permission_is_no_reason_to_ask_each_region(make_emulator: MakeEmulator) -> None:
    """Who may not list all regions is told so, in one failure and one call."""
    emu = make_emulator(of_services({"region": "-", "code": "PERMISSION_DENIED"}))
    assert only(found(emu)).where == "demo"
    assert "roles/run.viewer" in only(found(emu)).remedy
    assert set(calls(emu)) == {"demo/-"}


def test_region_by_region_names_what_the_inventory_has(make_emulator: MakeEmulator) -> None:
    """A region with services is listed also where Google's list of regions leaves it out."""
    emu = make_emulator(of_services(REFUSED))
    discovery = found(emu, known=known(old=Scope("demo", "us-east1")))
    assert names(discovery) == BOTH
    assert only(discovery).where == "demo/us-east1"


def test_regions_not_listed(make_emulator: MakeEmulator) -> None:
    """A project whose regions cannot be listed is one failure, and --region a way out."""
    down: dict[str, tuple[dict[str, Any], str]] = {
        "denied": ({"code": "PERMISSION_DENIED"}, "permission denied: "),
        "hung": ({"hang": True}, "no answer within 2.5 s (locations.list)"),
        "lost": ({"code": "UNAVAILABLE"}, "cannot reach "),
    }
    faults = [f | {"project": p} for p, (f, _) in down.items()]
    content = of_services(REFUSED, faults={"locations": faults})
    content["projects"] = dict.fromkeys(("demo", *down), content["projects"]["demo"])
    discovery = found(make_emulator(content), projects=("demo", *down), timeout=2.5)
    assert {scope.project for scope in discovery.scopes} == {"demo"}
    assert [(each.project, each.region) for each in discovery.failures] == [
        (project, None) for project in down
    ]
    for one in discovery.failures:
        assert one.reason.startswith(down[one.project][1])
        assert "--region" in one.remedy


def test_regions_listed_at_last(make_emulator: MakeEmulator) -> None:
    """The list of regions is asked for again after a failure in passing."""
    faults = {"locations": [{"code": "INTERNAL", "first": 1}]}
    emu = make_emulator(of_services(REFUSED, faults=faults))
    assert found(emu).failures == ()
    assert emu.counts()["locations"]["demo"] == {"200": 1, "500": 1}


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, {}, "the list of regions is empty"),
        (200, b"<html>log in</html>", "the list of regions is not a JSON object"),
        (200, [], "the list of regions is not a JSON object"),
        (200, {"locations": [{}]}, "has an entry without locationId"),
        (200, {"locations": [1]}, "has an entry without locationId"),
        (200, {"nextPageToken": "x"}, "the list of regions leads back to an earlier page"),
        (302, b"", "Google answered 302"),
        (404, b"<html>", "not found: <html>"),
        (400, {"error": {"message": "bad"}}, "invalid: bad"),
    ],
)
def test_odd_regions(status: int, body: Any, reason: str) -> None:
    """An answer that is no whole list of regions is a failure, and never an empty project."""
    with odd_google.rest(status, body) as endpoint:
        access = Access(api_address(endpoint))
        with pytest.raises(Exception) as caught:  # noqa: PT011 - what it says is looked at
            list_regions(access, Retries(), "demo", time.monotonic() + 20)
    assert reason in failure(caught.value, "demo", None, Circumstances()).reason
