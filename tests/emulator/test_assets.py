"""Cloud Asset Inventory's search: where services are, as far as it knows."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from emulator import Emulator
from tests.conftest import MakeEmulator
from tests.emulator.support import session

SERVICE = "run.googleapis.com/Service"


def organisation(count: int = 3, **sections: Any) -> dict[str, Any]:
    """*count* projects in two folders, one service each."""
    projects = {
        f"project-{n}": {
            "number": 1000 + n,
            "folders": ["12" if n % 2 else "34", "1"],
            "services": [{"name": "api", "region": "us-central1", "labels": {"team": "a"}}],
        }
        for n in range(count)
    }
    return {"projects": projects} | sections


def search(emulator: Emulator, scope: str, **query: str) -> requests.Response:
    url = f"{emulator.api}/v1/{scope}:searchAllResources"
    return requests.get(url, {"assetTypes": SERVICE} | query, timeout=10)


def found(emulator: Emulator, scope: str, **query: str) -> list[list[str]]:
    """The projects of the services found, page by page."""
    token, pages = "", []
    while True:
        answer = search(emulator, scope, pageToken=token, **query).json()
        pages.append([result["name"].split("/")[4] for result in answer["results"]])
        token = answer.get("nextPageToken", "")
        if not token:
            return pages


@pytest.mark.parametrize(
    ("scope", "projects"),
    [
        ("organizations/481516234200", ["project-0", "project-1", "project-2"]),
        ("folders/1", ["project-0", "project-1", "project-2"]),
        ("folders/34", ["project-0", "project-2"]),
        ("projects/project-1", ["project-1"]),
        ("projects/1001", ["project-1"]),
    ],
)
def test_scopes(make_emulator: MakeEmulator, scope: str, projects: list[str]) -> None:
    """A search finds what is in the scope: organisation, folder at any depth, or project."""
    assert found(make_emulator(organisation()), scope) == [projects]


def test_fields(make_emulator: MakeEmulator) -> None:
    """A result's project is a number, its name has the project's id; readMask leaves fields out."""
    emulator = make_emulator(organisation(1))
    (result,) = search(emulator, "folders/1").json()["results"]
    name = "//run.googleapis.com/projects/project-0/locations/us-central1/services/api"
    assert (result["name"], result["project"]) == (name, "projects/1000")
    assert (result["folders"], result["location"]) == (["folders/34", "folders/1"], "us-central1")
    (short,) = search(emulator, "folders/1", readMask="name,location").json()["results"]
    assert short == {"name": name, "location": "us-central1"}


def test_pages_are_capped(make_emulator: MakeEmulator) -> None:
    """No page has more than 500 results, whatever is asked for, and 100 if nothing is."""
    emulator = make_emulator(organisation(501))
    assert [len(page) for page in found(emulator, "folders/1", pageSize="1000")] == [500, 1]
    assert len(search(emulator, "folders/1").json()["results"]) == 100


def test_short_pages(make_emulator: MakeEmulator) -> None:
    """Pages may be short or empty and still not be the last."""
    emulator = make_emulator(organisation(8, assets={"short_pages": True}))
    pages = found(emulator, "folders/1", pageSize="4")
    assert [len(page) for page in pages] == [2, 0, 4, 2]
    assert len({project for page in pages for project in page}) == 8


def test_it_lags_behind(make_emulator: MakeEmulator) -> None:
    """The search may not know new services yet, and may still find those that are gone."""
    lag = {"not_yet": ["project-0/*"], "still": ["project-1/us-east1/old"]}
    emulator = make_emulator(organisation(2, assets=lag))
    assert found(emulator, "folders/1") == [["project-1", "project-1"]]


def test_refusals(make_emulator: MakeEmulator) -> None:
    """No permission, an unknown scope, and a disabled API (of the calling project) are 403."""
    emulator = make_emulator(organisation(assets={"viewers": []}))
    for scope in ("folders/1", "folders/999"):
        error = search(emulator, scope).json()["error"]
        assert "cloudasset.assets.searchAllResources" in error["message"]
        assert error["details"][0]["reason"] == "IAM_PERMISSION_DENIED"
    emulator.update(organisation(assets={"api_disabled": True}))
    error = search(emulator, "folders/1").json()["error"]
    assert error["message"].startswith("Cloud Asset API has not been used in project 1000 before")
    info = error["details"][0]
    assert (info["reason"], info["metadata"]["service"]) == (
        "SERVICE_DISABLED",
        "cloudasset.googleapis.com",
    )


def test_quota(make_emulator: MakeEmulator) -> None:
    """A fault answers as the quota does, for as many calls as it says."""
    fault = {"project": "folders/*", "code": "RESOURCE_EXHAUSTED", "first": 1}
    emulator = make_emulator(organisation(1, faults={"search": [fault]}))
    assert [search(emulator, "folders/1").status_code for _ in range(2)] == [429, 200]
    assert emulator.counts()["searches"] == {"folders/1": {"200": 1, "429": 1}}


def test_over_https(make_emulator: MakeEmulator) -> None:
    """At Google's own name the search wants an access token."""
    emulator = make_emulator(organisation(1))
    url = "https://cloudasset.googleapis.com/v1/folders/1:searchAllResources"
    with session(emulator) as http:
        assert http.get(url, timeout=10).status_code == 401
        headers = {"Authorization": f"Bearer {emulator.access_token()}"}
        assert http.get(url, headers=headers, timeout=10).status_code == 200
