"""Listings of all regions at once, and the region that Google names and refuses."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.cloud import run_v2
from google.rpc import error_details_pb2  # type: ignore[import-untyped] # none shipped

from emulator import Emulator
from tests.conftest import MakeEmulator
from tests.emulator.support import many_services, one_service, run_client, world

ALL = "projects/demo/locations/-"
CLOSED = "projects/demo/locations/me-central2"


def pages(emulator: Emulator, **request: Any) -> list[run_v2.ListServicesResponse]:
    with run_client(emulator) as client:
        pager = client.list_services(request={"parent": ALL} | request, retry=None, timeout=20)
        return list(pager.pages)


def names(page: run_v2.ListServicesResponse) -> list[str]:
    return [service.name.removeprefix("projects/demo/locations/") for service in page.services]


def test_all_regions_in_one_paged_answer(emulator: Emulator) -> None:
    """Location ``-`` lists every region's services, the newest first, page by page."""
    found = pages(emulator, page_size=3)
    assert [names(page) for page in found] == [
        [
            "europe-west1/services/back-office",
            "europe-west1/services/hello",
            "us-central1/services/shop",
        ],
        ["us-central1/services/api"],
    ]
    assert [list(page.unreachable) for page in found] == [[CLOSED], [CLOSED]]
    assert emulator.counts()["list_services"] == {"demo/-": {"1": 1, "2": 1}}


def test_region_that_is_closed(emulator: Emulator) -> None:
    """me-central2 is refused with a reason and a help link of its own, in both protocols."""
    with run_client(emulator) as client, pytest.raises(exceptions.PermissionDenied) as caught:
        client.list_services(parent=CLOSED)
    text = "Permission denied on 'locations/me-central2' (or it may not exist)."
    assert (caught.value.message, caught.value.reason) == (text, "LOCATION_POLICY_VIOLATED")
    assert caught.value.domain == "googleapis.com"
    assert caught.value.metadata == {
        "location": "me-central2",
        "consumer": "projects/123456789012",
        "service": "",
    }
    (help_detail,) = (d for d in caught.value.details if isinstance(d, error_details_pb2.Help))
    assert "Please contact our sales team" in help_detail.links[0].description
    for version in ("v1", "v2"):
        answer = requests.get(f"{emulator.api}/{version}/{CLOSED}/services", timeout=10)
        error = answer.json()["error"]
        assert (answer.status_code, error["message"]) == (403, text)
        assert [d["@type"].rpartition(".")[2] for d in error["details"]] == ["ErrorInfo", "Help"]


def test_region_that_was_opened(make_emulator: MakeEmulator) -> None:
    """A project whose regions have me-central2 may list it, and the wildcard reaches it."""
    emulator = make_emulator(one_service(region="me-central2"))
    with run_client(emulator) as client:
        assert len(list(client.list_services(parent=CLOSED))) == 1
    (page,) = pages(emulator)
    assert (len(page.services), list(page.unreachable)) == (1, [])


@pytest.mark.parametrize("fault", [{"unreachable": True}, {"code": "UNAVAILABLE"}, {"hang": True}])
def test_one_region_that_is_down(make_emulator: MakeEmulator, fault: dict[str, Any]) -> None:
    """A region that fails leaves the rest of the answer whole, and is named in every page."""
    faults = {"list_services": [{"region": "us-*"} | fault]}
    emulator = make_emulator(world(faults=faults))
    found = pages(emulator, page_size=1)
    assert [len(page.services) for page in found] == [1, 1, 0, 0]
    down = "projects/demo/locations/us-central1"
    assert [list(page.unreachable) for page in found] == [[down, CLOSED]] * 4


def test_region_that_is_forgotten(make_emulator: MakeEmulator) -> None:
    """An omitted region is missing without a word, and its own listing has its services."""
    faults = {"list_services": [{"region": "us-*", "omitted": True}]}
    emulator = make_emulator(world(faults=faults))
    (page,) = pages(emulator)
    assert (len(page.services), list(page.unreachable)) == (2, [CLOSED])
    with run_client(emulator) as client:
        parent = "projects/demo/locations/us-central1"
        assert len(list(client.list_services(parent=parent))) == 2


def test_what_else_may_stand_in_unreachable(make_emulator: MakeEmulator) -> None:
    """Empty strings, duplicates and bare region names come as the world says them."""
    odd = ["", "us-west1", "us-west1"]
    settings = {"wildcard_unreachable": odd, "unreachable_as": "region"}
    (page,) = pages(make_emulator(world(settings=settings)))
    assert list(page.unreachable) == ["me-central2", *odd]


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "UNIMPLEMENTED"])
def test_an_api_without_the_wildcard(make_emulator: MakeEmulator, code: str) -> None:
    """A fault of region ``-`` refuses the wildcard and leaves each region alone."""
    faults = {"list_services": [{"region": "-", "code": code}]}
    emulator = make_emulator(world(faults=faults))
    with pytest.raises((exceptions.InvalidArgument, exceptions.MethodNotImplemented)):
        pages(emulator)
    assert emulator.counts()["list_services_errors"] == {"demo/-": {code: 1}}
    with run_client(emulator) as client:
        assert len(list(client.list_services(parent="projects/demo/locations/us-central1"))) == 2


def test_a_parent_that_is_no_resource_name(emulator: Emulator) -> None:
    """The v1 name of a location is no parent: UNIMPLEMENTED in gRPC, an empty list in REST v1."""
    with run_client(emulator) as client, pytest.raises(exceptions.MethodNotImplemented):
        client.list_services(parent="demo/locations/us-central1")
    answer = requests.get(f"{emulator.api}/v1/demo/locations/us-central1/services", timeout=10)
    assert (answer.status_code, answer.json().get("items", [])) == (200, [])


def test_rest_v2(make_emulator: MakeEmulator) -> None:
    """REST v2 gives the same services as JSON, with 64-bit integers as strings."""
    emulator = make_emulator(many_services(3))
    url = f"{emulator.api}/v2/{ALL}/services"
    first = requests.get(url, {"pageSize": "2"}, timeout=10).json()
    second = requests.get(url, {"pageToken": first["nextPageToken"]}, timeout=10).json()
    assert [len(page["services"]) for page in (first, second)] == [2, 1]
    assert (first["unreachable"], second["unreachable"]) == ([CLOSED], [CLOSED])
    assert first["services"][0]["generation"] == "1"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/projects/demo/locations/-/services",
        "/apis/serving.knative.dev/v1/namespaces/demo/services",
    ],
)
def test_rest_v1(make_emulator: MakeEmulator, path: str) -> None:
    """REST v1 gives Knative's JSON in one answer, in pages only with ``limit``."""
    emulator = make_emulator(one_service(ingress="internal", max_instances=3))
    whole = requests.get(emulator.api + path, timeout=10).json()
    (item,) = whole["items"]
    assert item["metadata"]["labels"]["cloud.googleapis.com/location"] == "us-central1"
    annotations = item["metadata"]["annotations"]
    assert annotations["run.googleapis.com/ingress"] == "internal"
    assert annotations["run.googleapis.com/maxScale"] == "3"
    assert item["status"]["url"] == emulator.world.service("demo/us-central1/api").uri
    assert (whole["metadata"], whole["unreachable"]) == ({}, ["me-central2"])
    emulator.update(many_services(3))
    paged = requests.get(emulator.api + path, {"limit": "2"}, timeout=10).json()
    rest = {"continue": paged["metadata"]["continue"]}
    assert len(requests.get(emulator.api + path, rest, timeout=10).json()["items"]) == 1


def test_deleted_services(make_emulator: MakeEmulator) -> None:
    """A deleted service is listed only where deleted ones are asked for, with its time."""
    emulator = make_emulator(one_service(deleted=True))
    assert [len(page.services) for page in pages(emulator)] == [0]
    ((service,),) = (page.services for page in pages(emulator, show_deleted=True))
    assert service.delete_time
    assert service.expire_time > service.delete_time


def test_manual_scaling(make_emulator: MakeEmulator) -> None:
    """Manual scaling to nothing is told apart from no word on scaling."""
    emulator = make_emulator(one_service(scaling_mode="MANUAL", manual_instances=0))
    ((service,),) = (page.services for page in pages(emulator))
    assert service.scaling.scaling_mode.name == "MANUAL"
    assert "manual_instance_count" in service.scaling
