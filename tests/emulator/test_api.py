"""The Run Admin API, asked by Google's own client and by plain HTTP."""

from __future__ import annotations

import socket
import threading
from typing import Any

import grpc
import pytest
import requests
from google.api_core import exceptions

from emulator import Emulator
from tests.conftest import MakeEmulator
from tests.emulator.support import PARENT, many_services, one_service, run_client, world
from tests.kit.waiting import until


def names(emulator: Emulator, parent: str = PARENT, **request: Any) -> list[str]:
    with run_client(emulator) as client:
        listed = client.list_services(request={"parent": parent} | request, retry=None, timeout=10)
        return [service.name.rpartition("/")[2] for service in listed]


def locations(emulator: Emulator, project: str = "demo", **query: str) -> requests.Response:
    return requests.get(f"{emulator.api}/v1/projects/{project}/locations", query, timeout=10)


def test_lists_one_scope(emulator: Emulator) -> None:
    """ListServices gives the services of that project and region only, newest first."""
    assert names(emulator) == ["shop", "api"]


def test_project_by_number(emulator: Emulator) -> None:
    """A project may be named by its number, and resource names still carry its id."""
    with run_client(emulator) as client:
        listed = list(client.list_services(parent=PARENT.replace("demo", "123456789012")))
    assert listed[0].name == f"{PARENT}/services/shop"


def test_pages(make_emulator: MakeEmulator) -> None:
    """Pages are as large as asked for, and together hold every service exactly once."""
    emulator = make_emulator(many_services(25))
    assert names(emulator, page_size=10) == [f"svc-{n:03}" for n in range(24, -1, -1)]
    assert emulator.counts()["list_services"] == {"demo/us-central1": {"1": 1, "2": 1, "3": 1}}


def test_page_size_is_capped(make_emulator: MakeEmulator) -> None:
    """A page never holds more than the cap, whatever page size is asked for."""
    emulator = make_emulator(many_services(25) | {"settings": {"page_size_cap": 5}})
    assert len(names(emulator, page_size=1000)) == 25
    assert len(emulator.counts()["list_services"]["demo/us-central1"]) == 5


def test_negative_page_size(emulator: Emulator) -> None:
    """A negative page size is an invalid argument."""
    with pytest.raises(exceptions.InvalidArgument):
        names(emulator, page_size=-1)


def test_page_token_belongs_to_its_parent(make_emulator: MakeEmulator) -> None:
    """A page token of another region, or a made-up one, is an invalid argument."""
    emulator = make_emulator(many_services(3))
    with run_client(emulator) as client:
        request = {"parent": PARENT, "page_size": 1}
        token = client.list_services(request=request).next_page_token
    assert token
    other = PARENT.replace("us-central1", "europe-west1")
    for parent, wrong in ((other, token), (PARENT, "nonsense")):
        with pytest.raises(exceptions.InvalidArgument):
            names(emulator, parent, page_token=wrong)


@pytest.mark.parametrize("region", ["atlantis-west1", "asia-east1"])
def test_no_such_region(emulator: Emulator, region: str) -> None:
    """Regions that the project does not have are invalid arguments."""
    with pytest.raises(exceptions.InvalidArgument):
        names(emulator, f"projects/demo/locations/{region}")


def test_unknown_project(emulator: Emulator) -> None:
    """An unknown project looks like a forbidden one, and the permission is named."""
    with pytest.raises(exceptions.PermissionDenied, match=r"run\.services\.list") as caught:
        names(emulator, "projects/nobody/locations/us-central1")
    assert caught.value.reason == "IAM_PERMISSION_DENIED"
    answer = locations(emulator, "nobody")
    assert answer.status_code == 403
    assert answer.json()["error"]["status"] == "PERMISSION_DENIED"


def test_disabled_api(make_emulator: MakeEmulator) -> None:
    """A project without the API says SERVICE_DISABLED in an ErrorInfo, in both protocols."""
    disabled = world()
    disabled["projects"]["demo"]["api_disabled"] = True
    emulator = make_emulator(disabled)
    with pytest.raises(exceptions.PermissionDenied, match="has not been used") as caught:
        names(emulator)
    assert caught.value.reason == "SERVICE_DISABLED"
    assert caught.value.metadata["service"] == "run.googleapis.com"
    assert locations(emulator).json()["error"]["details"][0]["reason"] == "SERVICE_DISABLED"


def test_locations(make_emulator: MakeEmulator) -> None:
    """locations.list names the project's regions, in pages."""
    paged = world(settings={"locations_page_size": 1})
    emulator = make_emulator(paged)
    first = locations(emulator).json()
    second = locations(emulator, pageToken=first["nextPageToken"]).json()
    third = locations(emulator, pageToken=second["nextPageToken"]).json()
    assert [page["locations"][0]["locationId"] for page in (first, second, third)] == [
        "europe-west1",
        "us-central1",
        "me-central2",
    ]
    assert first["locations"][0]["name"] == "demo/locations/europe-west1"  # no "projects/" in v1
    assert "nextPageToken" not in third
    assert locations(emulator, pageToken="nonsense").status_code == 400


@pytest.mark.parametrize(
    ("token", "status"), [(None, 401), ("made-up", 401), ("expired", 401), ("good", 200)]
)
def test_credentials_required(make_emulator: MakeEmulator, token: str | None, status: int) -> None:
    """Where credentials are required, only a live access token passes, in both protocols."""
    emulator = make_emulator(world(settings={"require_credentials": True}))
    values = {"good": emulator.access_token(), "expired": emulator.access_token(lifetime=-1)}
    headers = {"authorization": f"Bearer {values.get(token, token)}"} if token else {}
    url = f"{emulator.api}/v1/projects/demo/locations"
    assert requests.get(url, headers=headers, timeout=10).status_code == status
    with run_client(emulator) as client:
        metadata = list(headers.items())
        if status == 200:
            assert list(client.list_services(parent=PARENT, metadata=metadata))
        else:
            with pytest.raises(exceptions.Unauthenticated):
                client.list_services(parent=PARENT, metadata=metadata)


def test_viewers(make_emulator: MakeEmulator) -> None:
    """A project that lists its viewers is closed to every other identity."""
    closed = world()
    closed["projects"]["demo"]["viewers"] = ["auditor@demo.iam.gserviceaccount.com"]
    emulator = make_emulator(closed)
    url = f"{emulator.api}/v1/projects/demo/locations"
    for email, status in ((None, 403), ("auditor@demo.iam.gserviceaccount.com", 200)):
        headers = {"Authorization": f"Bearer {emulator.access_token(email)}"}
        assert requests.get(url, headers=headers, timeout=10).status_code == status


def test_every_field(make_emulator: MakeEmulator) -> None:
    """Whatever the world says of a service arrives in Google's own message type."""
    emulator = make_emulator(
        one_service(
            labels={"team": "a"},
            annotations={"prometheus.io/path": "/m"},
            ingress="internal-and-cloud-load-balancing",
            launch_stage="BETA",
            iap_enabled=True,
            invoker_iam_disabled=True,
            default_uri_disabled=True,
            custom_audiences=["mine"],
            max_instances=3,
            template_min_instances=1,
            traffic=[{"percent": 100}, {"tag": "canary"}],
            multi_region=["us-central1"],
        )
    )
    with run_client(emulator) as client:
        (service,) = client.list_services(parent=PARENT)
    uri = emulator.world.service("demo/us-central1/api").uri or ""
    assert (dict(service.labels), dict(service.annotations)) == (
        {"team": "a"},
        {"prometheus.io/path": "/m"},
    )
    assert service.ingress.name == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
    assert (service.launch_stage, service.custom_audiences) == (3, ["mine"])
    assert service.iap_enabled
    assert service.invoker_iam_disabled
    assert service.default_uri_disabled
    assert (service.scaling.max_instance_count, service.uri) == (3, uri)
    assert service.template.scaling.min_instance_count == 1
    assert service.traffic_statuses[1].uri == uri.replace("https://", "https://canary---")
    assert service.multi_region_settings.regions == ["us-central1"]
    assert service.urls == ["https://api-123456789012.us-central1.run.app", uri]
    assert service.terminal_condition.state.name == "CONDITION_SUCCEEDED"
    assert service.latest_ready_revision.startswith(f"{service.name}/revisions/api-00001-")


def test_never_ready(make_emulator: MakeEmulator) -> None:
    """A service that never was ready has a failed condition and no ready revision."""
    emulator = make_emulator(one_service(ready=False, uri=None))
    with run_client(emulator) as client:
        (service,) = client.list_services(parent=PARENT)
    assert (service.uri, list(service.urls), service.latest_ready_revision) == ("", [], "")
    assert service.terminal_condition.state.name == "CONDITION_FAILED"


def test_fault_on_one_page(make_emulator: MakeEmulator) -> None:
    """A fault on page 2 spares page 1 and other regions, with the code and message asked for."""
    fault = {"region": "us-*", "page": 2, "code": "INTERNAL", "message": "flux"}
    emulator = make_emulator(many_services(4) | {"faults": {"list_services": [fault]}})
    with run_client(emulator) as client:
        pages = client.list_services(request={"parent": PARENT, "page_size": 2}).pages
        assert len(next(pages).services) == 2
        with pytest.raises(exceptions.InternalServerError, match="flux"):
            next(pages)
    assert names(emulator, "projects/demo/locations/europe-west1") == []


def test_first_fault_decides(make_emulator: MakeEmulator) -> None:
    """Of several faults that fire, the first that is more than slow decides."""
    slow, hang = {"latency": 0.01}, {"hang": True, "first": 1}
    faults = {"list_services": [slow, hang, {"code": "INTERNAL", "first": 2}]}
    emulator = make_emulator(world(faults=faults))
    with run_client(emulator) as client:
        with pytest.raises(exceptions.DeadlineExceeded):
            client.list_services(parent=PARENT, retry=None, timeout=0.3)
        with pytest.raises(exceptions.InternalServerError):
            client.list_services(parent=PARENT, retry=None, timeout=10)
        assert len(list(client.list_services(parent=PARENT))) == 2


def test_fault_unreachable(make_emulator: MakeEmulator) -> None:
    """An unreachable region is an answer without services that names the region."""
    faults = {"list_services": [{"region": "us-*", "unreachable": True}]}
    emulator = make_emulator(world(faults=faults))
    with run_client(emulator) as client:
        (page,) = client.list_services(parent=PARENT).pages
    assert (len(page.services), page.unreachable) == (0, [PARENT])


def test_fault_first_calls(make_emulator: MakeEmulator) -> None:
    """A fault limited to two calls lets the third pass."""
    fault = {"code": "UNAVAILABLE", "first": 2}
    faults = {"list_services": [fault], "locations": [fault]}
    emulator = make_emulator(world(faults=faults))
    for _ in range(2):
        with pytest.raises(exceptions.ServiceUnavailable):
            names(emulator)
    assert names(emulator) == ["shop", "api"]
    assert [locations(emulator).status_code for _ in range(3)] == [503, 503, 200]
    counted = emulator.counts()
    assert counted["list_services_errors"] == {"demo/us-central1": {"UNAVAILABLE": 2}}
    assert counted["locations"] == {"demo": {"200": 1, "503": 2}}


def test_fault_latency(make_emulator: MakeEmulator) -> None:
    """A slow call takes at least the latency asked for."""
    faults = {"list_services": [{"latency": 0.3}], "locations": [{"latency": 0.3}]}
    emulator = make_emulator(world(faults=faults))
    with run_client(emulator) as client, pytest.raises(exceptions.DeadlineExceeded):
        client.list_services(parent=PARENT, retry=None, timeout=0.1)
    url = f"{emulator.api}/v1/projects/demo/locations"
    with pytest.raises(requests.ReadTimeout):
        requests.get(url, timeout=0.1)
    assert requests.get(url, timeout=10).elapsed.total_seconds() >= 0.3


def test_fault_hang(make_emulator: MakeEmulator) -> None:
    """A hanging call ends with the client's deadline, and does not hold up others or the end."""
    faults = {"list_services": [{"region": "us-*", "hang": True}], "locations": [{"hang": True}]}
    emulator = make_emulator(world(faults=faults))
    with run_client(emulator) as client, pytest.raises(exceptions.DeadlineExceeded):
        client.list_services(parent=PARENT, retry=None, timeout=0.2)
    assert names(emulator, "projects/demo/locations/europe-west1") == ["back-office", "hello"]
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{emulator.api}/v1/projects/demo/locations", timeout=0.2)


def test_closing_ends_a_hanging_call(make_emulator: MakeEmulator) -> None:
    """close() breaks off a call that hangs, and leaves no thread behind."""
    before = threading.active_count()
    emulator = make_emulator(world(faults={"list_services": [{"hang": True}]}))
    failures: list[grpc.RpcError] = []

    def ask() -> None:
        channel = grpc.insecure_channel(emulator.api.removeprefix("http://"))
        try:
            channel.unary_unary("/google.cloud.run.v2.Services/ListServices")(
                b"\x0a" + bytes([len(PARENT)]) + PARENT.encode(), timeout=30
            )
        except grpc.RpcError as error:
            failures.append(error)
        channel.close()

    thread = threading.Thread(target=ask)
    thread.start()
    while not emulator.counts()["list_services"]:
        thread.join(0.01)
    emulator.close()
    thread.join(10)
    assert failures
    until(lambda: threading.active_count() <= before, "every thread to end")


def test_update_is_seen_at_once(emulator: Emulator) -> None:
    """The next call after update() sees the new world."""
    assert names(emulator) == ["shop", "api"]
    emulator.update(many_services(1))
    assert names(emulator) == ["svc-000"]


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/3\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_bad_request(emulator: Emulator, sent: bytes) -> None:
    """Bytes that are no request that the emulator reads get 400 and the end of the connection."""
    host, _, port = emulator.api.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(sent)
        with connection.makefile("rb") as answer:
            assert answer.read().startswith(b"HTTP/1.1 400 ")


def test_nothing_else_is_there(emulator: Emulator) -> None:
    """Other methods are unimplemented and other paths 404, as at Google."""
    with run_client(emulator) as client, pytest.raises(exceptions.MethodNotImplemented):
        client.get_service(name=f"{PARENT}/services/api")
    assert requests.get(f"{emulator.api}/v1/projects", timeout=10).status_code == 404
