"""Folders and organisations: found by a search that lags behind, listed by the Run Admin API."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from emulator import Emulator
from runscrape_generator.cloudrun.address import api_address
from runscrape_generator.cloudrun.credentials import Access
from runscrape_generator.cloudrun.failures import search_failure
from runscrape_generator.cloudrun.remedies import Circumstances
from runscrape_generator.cloudrun.retries import CallFailedError, Retries
from runscrape_generator.cloudrun.search import Hit, search_page
from runscrape_generator.model import Discovery, Scope
from tests.conftest import UseCredentials
from tests.generator import odd_google
from tests.generator.discovery_kit import calls, found, known, names, only
from tests.generator.recorder import Recorder
from tests.kit.odd_server import OddServer, answers

ORGANIZATION = "481516234200"


def org(**parts: Any) -> dict[str, Any]:
    """A folder 12 with two projects, one of them in folder 34 inside it, and one beside it."""
    projects: dict[str, Any] = {
        "shop-prod": {"folders": ["12"], "services": [service("api"), service("web", "us-east1")]},
        "shop-test": {"folders": ["34", "12"], "services": [service("api")]},
        "elsewhere": {"folders": ["56"], "services": [service("api")]},
    }
    for name, more in parts.pop("projects", {}).items():
        projects[name] = {**projects.get(name, {}), **more}
    for number, project in enumerate(projects.values(), 1):
        project["number"] = number
    return {"projects": projects, **parts}


def service(name: str, region: str = "us-central1") -> dict[str, Any]:
    return {"name": name, "region": region}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(org(), tmp_path_factory.mktemp("google")) as running:
        yield running


def listed(emu: Emulator, world: dict[str, Any], **settings: Any) -> Discovery:
    emu.update(world)
    emu.reset_counts()
    given = {"projects": (), "folders": ("12",)} | settings
    return found(emu, **given)


SHOP = {
    "shop-prod/us-central1": ["api"],
    "shop-prod/us-east1": ["web"],
    "shop-test/us-central1": ["api"],
}


def test_a_folder(searched: Emulator) -> None:
    """Every project of a folder that has services is listed, those of folders in it as well."""
    talk = Recorder()
    discovery = listed(searched, org(), talk=talk)
    assert (names(discovery), discovery.failures) == (SHOP, ())
    assert searched.counts()["searches"] == {"folders/12": {"200": 1}}
    assert calls(searched) == {"shop-prod/-": 1, "shop-test/-": 1}
    bars = [(label, total, sum(steps)) for label, total, steps in talk.bars]
    assert bars == [("searching", 1, 1), ("projects", 2, 2)]


def test_an_organization_and_more(searched: Emulator) -> None:
    """Organisation, folders and projects add up, each project listed once."""
    more = {"alone": {"services": [service("own")]}}
    everything = listed(
        searched,
        org(projects=more),
        organizations=(ORGANIZATION,),
        folders=("12", "34"),
        projects=("alone", "elsewhere"),
    )
    assert set(names(everything)) == {
        *SHOP,
        "alone/us-central1",
        "elsewhere/us-central1",
    }
    assert all(n == 1 for scope, n in calls(searched).items() if scope.endswith("/-"))


def test_pages_may_be_short(searched: Emulator) -> None:
    """The search's pages are read to the last, also those that are empty."""
    world = org(assets={"page_size": 2, "short_pages": True})
    assert names(listed(searched, world)) == SHOP
    assert searched.counts()["searches"]["folders/12"]["200"] > 1


def test_regions_of_a_search(searched: Emulator) -> None:
    """With --region only the regions where a project has services are asked for."""
    discovery = listed(searched, org(), regions=("us-east1", "us-central1", "europe-west1"))
    assert names(discovery) == SHOP
    assert set(calls(searched)) == set(SHOP)


def test_the_search_proves_nothing(searched: Emulator) -> None:
    """A project of the inventory is listed though the search does not find it, and that is said."""
    talk = Recorder()
    lagging = org(assets={"not_yet": ["shop-test/*"]})
    discovery = listed(
        searched, lagging, talk=talk, known=known(api=Scope("shop-test", "us-central1"))
    )
    assert names(discovery) == SHOP
    (warning,) = talk.of("warning")
    assert warning.startswith("project shop-test: the search does not find it and it has services")
    assert set(names(listed(searched, lagging))) == {"shop-prod/us-central1", "shop-prod/us-east1"}


def test_a_project_that_is_gone(searched: Emulator) -> None:
    """Neither found nor listed: beside the refusal stands how to have it forgotten."""
    talk = Recorder()
    gone = known(old=Scope("long-gone", "us-central1"))
    assert only(listed(searched, org(), talk=talk, known=gone)).where == "long-gone"
    (warning,) = talk.of("warning")
    assert warning.startswith("project long-gone: the search does not find it")


def test_a_search_that_fails_finds_nothing_missing(searched: Emulator) -> None:
    """Nobody is told to forget a project because the search was refused."""
    talk = Recorder()
    there = known(api=Scope("shop-test", "us-central1"))
    refused = org(assets={"viewers": []})
    assert only(listed(searched, refused, talk=talk, known=there)).where == "folders/12"
    assert talk.of("warning") == []


def test_the_search_finds_what_is_gone(searched: Emulator) -> None:
    """Where the search still finds a service, the region is asked, and its answer counts."""
    discovery = listed(searched, org(assets={"still": ["shop-test/europe-west1/old"]}))
    assert names(discovery) == SHOP | {"shop-test/europe-west1": []}
    assert calls(searched)["shop-test/europe-west1"] == 1


def test_unreachable_regions_of_a_search(searched: Emulator) -> None:
    """A region is asked by itself only where there should be services, so that calls are few."""
    fault = {"project": "shop-prod", "region": "us-*", "unreachable": True, "first": 2}
    discovery = listed(searched, org(faults={"list_services": [fault]}))
    assert discovery.failures == ()
    assert names(discovery) == SHOP
    assert not any("me-central2" in scope for scope in calls(searched))


def test_region_by_region_in_a_search(searched: Emulator) -> None:
    """Where all regions cannot be listed at once, those that the search named are listed."""
    refused = {"region": "-", "code": "INVALID_ARGUMENT"}
    discovery = listed(searched, org(faults={"list_services": [refused]}))
    assert (names(discovery), discovery.failures) == (SHOP, ())
    assert searched.counts()["locations"] == {}


@pytest.mark.parametrize("is_known", [False, True])
def test_a_project_whose_api_is_off(searched: Emulator, *, is_known: bool) -> None:
    """One that a search found has no services then, unless the inventory has some."""
    scope = Scope("shop-test", "us-central1")
    world = org(projects={"shop-test": {"api_disabled": True}})
    discovery = listed(searched, world, known=known(api=scope) if is_known else None)
    assert {scope.project for scope in discovery.scopes} == {"shop-prod"}
    assert [one.where for one in discovery.failures] == (["shop-test"] if is_known else [])


def test_a_named_project_whose_api_is_off(searched: Emulator) -> None:
    """One that --project names is a failure, with the command that enables the API."""
    world = org(projects={"shop-test": {"api_disabled": True}})
    discovery = listed(searched, world, projects=("shop-test",))
    assert "gcloud services enable run.googleapis.com --project shop-test" in only(discovery).remedy


def test_a_project_without_the_role(searched: Emulator) -> None:
    """It fails by itself, with the grant that it needs; the others are listed."""
    discovery = listed(searched, org(projects={"shop-test": {"viewers": []}}))
    assert set(names(discovery)) == {"shop-prod/us-central1", "shop-prod/us-east1"}
    assert only(discovery).where == "shop-test"
    assert "roles/run.viewer on project shop-test" in only(discovery).remedy


def test_a_quota_is_waited_out(searched: Emulator) -> None:
    """429 is repeated within the time allowed."""
    faults = {"search": [{"code": "RESOURCE_EXHAUSTED", "first": 2}]}
    assert names(listed(searched, org(faults=faults))) == SHOP
    assert searched.counts()["searches"] == {"folders/12": {"200": 1, "429": 2}}


@pytest.mark.parametrize(("wait", "tries"), [("3600", 1), ("0", 2), ("soon", 2)])
def test_retry_after_is_honoured(wait: str, tries: int) -> None:
    """What asks for more time than there is, is not tried again; else it is, and not before."""
    with OddServer(otherwise=answers(429, {}, Retry_After=wait)) as server:
        access = Access(api_address(server.url))
        with pytest.raises(CallFailedError):
            search_page(access, Retries(), "folders/1", "", time.monotonic() + 1)
        assert min(len(server.asked), 2) == tries


REFUSALS: list[tuple[dict[str, Any], str, str]] = [
    (
        {"assets": {"viewers": []}},
        "permission denied: ",
        "grant roles/cloudasset.viewer, and roles/run.viewer to list what it finds, on folder 12",
    ),
    (
        {"assets": {"api_disabled": True}},
        "the Cloud Asset API is not enabled",
        "gcloud services enable cloudasset.googleapis.com --project ",
    ),
    (
        {"faults": {"search": [{"hang": True}]}},
        "no answer within 2.4 s (searchAllResources)",
        "raise --timeout",
    ),
]


@pytest.mark.parametrize(("parts", "reason", "remedy"), REFUSALS)
def test_a_search_that_fails(
    searched: Emulator, parts: dict[str, Any], reason: str, remedy: str
) -> None:
    """What is known besides is listed all the same: named projects, and those of the inventory."""
    before = known(api=Scope("shop-test", "us-central1"))
    discovery = listed(searched, org(**parts), projects=("elsewhere",), known=before, timeout=2.4)
    assert names(discovery) == {"elsewhere/us-central1": ["api"], "shop-test/us-central1": ["api"]}
    failure = only(discovery)
    assert (failure.where, failure.is_search) == ("folders/12", True)
    assert failure.reason.startswith(reason)
    assert remedy in failure.remedy


def test_nothing_found(searched: Emulator) -> None:
    """A folder without services has been listed."""
    discovery = listed(searched, org(assets={"not_yet": ["*"]}))
    assert (discovery.scopes, discovery.failures, discovery.listed) == ({}, (), True)


def test_a_number_becomes_the_id(searched: Emulator) -> None:
    """A project that is named by its number and found by its id is listed once, by its id."""
    discovery = listed(searched, org(), projects=("2",))
    assert names(discovery) == SHOP


@pytest.mark.usefixtures("nobody")
def test_a_search_needs_credentials(searched: Emulator, use_credentials: UseCredentials) -> None:
    """On loopback the search gets a token if it asks for one, as listing does."""
    use_credentials(searched, "service_account")
    world = org(settings={"require_credentials": True})
    assert names(listed(searched, world, timeout=10.0)) == SHOP


def page(body: Any, token: str = "") -> frozenset[Hit]:
    with odd_google.rest(200, body) as endpoint:
        access = Access(api_address(endpoint))
        until = time.monotonic() + 20
        return search_page(access, Retries(), "folders/1", token, until).hits


def test_other_resources_are_not_ours() -> None:
    """Whatever else a search answers with is passed over."""
    of_run = "//run.googleapis.com/projects/a/locations/r/services/s"
    results = [
        {"name": of_run, "project": "projects/7", "location": "r"},
        {"name": "//compute.googleapis.com/projects/a/zones/z/instances/i"},
        {"name": of_run.replace("services", "jobs")},
    ]
    assert page({"results": results}) == {Hit("a", "7", "r")}
    assert page({}) == set()


@pytest.mark.parametrize("body", [[], {"results": {}}, {"results": [1]}, {"results": [{}]}])
def test_odd_searches(body: Any) -> None:
    """An answer that is no result of a search fails, and is never an empty organisation."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - what it says is looked at
        page(body)
    failure = search_failure(caught.value, "folders/1", Circumstances())
    assert failure.reason.startswith("the result of the search ")


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        (None, "https://cloudasset.googleapis.com:443"),
        ("us-central1-run.googleapis.com", "https://cloudasset.googleapis.com:443"),
        ("https://run-corp.p.googleapis.com", "https://cloudasset-corp.p.googleapis.com:443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://google.example", "https://google.example:443"),
    ],
)
def test_where_is_searched(endpoint: str | None, url: str) -> None:
    """At Google's own Cloud Asset API; beside an API of one's own, there."""
    assert api_address(endpoint).of_api("cloudasset") == url
