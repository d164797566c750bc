"""Listing services: the Run Admin API, v1 and v2, REST and gRPC; Cloud Asset Inventory's search."""

from __future__ import annotations

import json
from typing import Any

import requests
from google.api_core import exceptions

from tests.google.belief import CannotAskError, DiffersError, belief, equal, expect, need
from tests.google.site import Site

RUN_V2 = "run.v2 discovery document; firebase/firebase-tools src/gcp/runv2.ts"
RUN_V1 = "run.v1 discovery document; gcloud's global_methods.py"
CLOSED = "me-central2"


def error_of(answer: requests.Response) -> dict[str, Any]:
    """``error`` of Google's JSON, with the details by the last part of their type."""
    error: dict[str, Any] = answer.json()["error"]
    details = {each["@type"].rpartition(".")[2]: each for each in error.get("details", ())}
    return error | {"details": details}


def is_closed(site: Site) -> requests.Response:
    """The refusal of a region that is not for everybody."""
    answer = site.api(f"/v2/projects/{site.project}/locations/{CLOSED}/services")
    if answer.status_code == requests.codes.ok:
        raise CannotAskError(f"{CLOSED} is open to this project")
    return answer


@belief("listing.all-regions-rest", RUN_V2, "B")
def all_regions(site: Site) -> None:
    """REST v2 lists the services of all regions of a project with location ``-``."""
    names = [each["name"] for each in site.services]
    expect(f"{site.parent}/services/{site.name}" in names, f"{len(names)} services without it")


@belief("listing.all-regions-grpc", RUN_V2 + "; one program does it", "C")
def all_regions_grpc(site: Site) -> None:
    """ListServices of gRPC v2 takes location ``-`` too, and gives what REST gives."""
    pages = site.grpc_pages(f"projects/{site.project}/locations/-")
    found = sorted(service.name for page in pages for service in page.services)
    equal(found, sorted(each["name"] for each in site.services), "names by gRPC")


@belief("listing.nothing-is-missing", "our reading of the above", "U")
def nothing_missing(site: Site) -> None:
    """A region listed by itself has the same services as in the listing of all regions."""
    by_region = [
        each["name"] for page in site.pages(site.parent) for each in page.get("services", ())
    ]
    together = [each["name"] for each in site.services if each["name"].startswith(site.parent)]
    equal(sorted(by_region), sorted(together), "names of the region")


@belief("listing.pages", RUN_V2, "A")
def paged(site: Site) -> None:
    """Pages are as small as asked for, and together hold each service once."""
    need(len(site.services) > 1, "two services")
    pages = list(site.pages(f"projects/{site.project}/locations/-", page_size=1))
    expect(max(len(page.get("services", ())) for page in pages) == 1, "a page of more than one")
    found = sorted(each["name"] for page in pages for each in page.get("services", ()))
    equal(found, sorted(each["name"] for each in site.services), "names of all pages")


@belief("listing.unreachable-on-every-page", "reports of several tools", "C")
def unreachable_everywhere(site: Site) -> None:
    """``unreachable`` is the same on every page."""
    pages = list(site.pages(f"projects/{site.project}/locations/-", page_size=1))
    told = {tuple(sorted(page.get("unreachable", ()))) for page in pages}
    equal(len(told), 1, "different lists")


@belief("listing.unreachable-form", "AIP-217", "U")
def unreachable_form(site: Site) -> None:
    """``unreachable`` of v2 holds resource names, ``projects/P/locations/R``."""
    for page in site.pages(f"projects/{site.project}/locations/-"):
        for each in need(page.get("unreachable"), "a region that is unreachable"):
            expect(each.startswith("projects/") and "/locations/" in each, each)
        return


@belief("listing.closed-region-is-unreachable", "recorded answers", "B")
def closed_is_unreachable(site: Site) -> None:
    """A region that is closed to the project (me-central2) stands in ``unreachable``."""
    is_closed(site)
    page = next(site.pages(f"projects/{site.project}/locations/-"))
    told = page.get("unreachable", [])
    expect([each for each in told if each.endswith(CLOSED)], told)


@belief("listing.closed-region-is-refused", "recorded answers", "B")
def closed_is_refused(site: Site) -> None:
    """A closed region is 403 LOCATION_POLICY_VIOLATED, with a Help entry; for owners too."""
    answer = is_closed(site)
    equal(answer.status_code, 403, "status")
    error = error_of(answer)
    equal(error["status"], "PERMISSION_DENIED")
    words = f"Permission denied on 'locations/{CLOSED}' (or it may not exist)."
    equal(error["message"], words, "message")
    info = error["details"].get("ErrorInfo", {})
    equal(info.get("reason"), "LOCATION_POLICY_VIOLATED", "reason")
    equal(info.get("domain"), "googleapis.com", "domain")
    equal(sorted(info.get("metadata", {})), ["consumer", "location", "service"], "metadata")
    links = error["details"].get("Help", {}).get("links", [{}])
    expect("contact our sales team" in links[0].get("description", ""), links)


@belief("listing.v1-locations", "run.v1; projectdiscovery/cloudlist#747", "B")
def v1_locations(site: Site) -> None:
    """v1 locations.list names me-central2 to everybody, and names have no ``projects/``."""
    answer = site.api(f"/v1/projects/{site.project}/locations?pageSize=100")
    equal(answer.status_code, 200, "status")
    locations = answer.json()["locations"]
    ids = [each["locationId"] for each in locations]
    expect(site.region in ids and CLOSED in ids, ids)
    expect(not locations[0]["name"].startswith("projects/"), locations[0]["name"])


@belief("listing.v1-name-is-no-parent", "projectdiscovery/cloudlist#747", "B")
def v1_name_as_parent(site: Site) -> None:
    """A v1 location's name taken for a parent gives 200 and an empty list."""
    answer = site.api(f"/v1/{site.project}/locations/{site.region}/services")
    equal((answer.status_code, answer.json().get("items", [])), (200, []), "answer")


@belief("listing.no-resource-name-is-unimplemented", "googleapis/python-run#66", "B")
def no_resource_name(site: Site) -> None:
    """GRPC v2 answers UNIMPLEMENTED for a parent that is no resource name."""
    try:
        site.grpc_pages(f"{site.project}/locations/{site.region}")
    except exceptions.MethodNotImplemented as error:
        equal(error.message, "Operation is not implemented, or supported, or enabled.", "message")
    except exceptions.GoogleAPICallError as error:
        raise DiffersError(f"{error.grpc_status_code}: {error.message}") from None
    else:
        raise DiffersError("an answer")


@belief("listing.v1-all-regions", RUN_V1, "A")
def v1_all_regions(site: Site) -> None:
    """REST v1 lists all regions in one answer, with the region as label, URLs as annotation."""
    answer = site.api(f"/v1/projects/{site.project}/locations/-/services")
    equal(answer.status_code, 200, "status")
    items = {each["metadata"]["name"]: each for each in answer.json()["items"]}
    meta = items[site.name]["metadata"]
    expect("cloud.googleapis.com/location" in meta["labels"], sorted(meta["labels"]))
    urls = json.loads(meta["annotations"]["run.googleapis.com/urls"])
    expect(items[site.name]["status"]["url"] in urls, f"{len(urls)} URLs without status.url")


@belief("listing.urls", RUN_V2, "A")
def urls(site: Site) -> None:
    """``urls`` holds ``uri`` and the form with the project's number."""
    listed = site.service["urls"]
    expect(site.uri in listed, "uri is not in urls")
    number = f".{site.region}.run.app"
    expect([each for each in listed if each.endswith(number)], f"no URL ends in {number}")


@belief("listing.no-such-project", "recorded answers", "B")
def no_such_project(site: Site) -> None:
    """A project that is not there is 403 and names the permission run.services.list."""
    answer = site.api(f"/v2/projects/{site.nonsense}/locations/-/services")
    error = error_of(answer)
    equal((answer.status_code, error["status"]), (403, "PERMISSION_DENIED"), "answer")
    expect(
        "Permission 'run.services.list' denied on resource" in error["message"], error["message"]
    )


@belief("listing.no-permission-reason", "fixtures of other programs", "B")
def no_permission_reason(site: Site) -> None:
    """That refusal has an ErrorInfo with reason IAM_PERMISSION_DENIED."""
    error = error_of(site.api(f"/v2/projects/{site.nonsense}/locations/-/services"))
    reason = error["details"].get("ErrorInfo", {}).get("reason")
    equal(reason, "IAM_PERMISSION_DENIED", "reason")


@belief("listing.no-such-region", "nothing found", "U")
def no_such_region(site: Site) -> None:
    """A region that does not exist is INVALID_ARGUMENT."""
    answer = site.api(f"/v2/projects/{site.project}/locations/nowhere-west1/services")
    equal((answer.status_code, error_of(answer)["status"]), (400, "INVALID_ARGUMENT"), "answer")


@belief("listing.bad-page-token", "nothing found", "U")
def bad_page_token(site: Site) -> None:
    """A page token that was made up is INVALID_ARGUMENT."""
    answer = site.api(f"/v2/{site.parent}/services?pageToken=nonsense")
    equal((answer.status_code, error_of(answer)["status"]), (400, "INVALID_ARGUMENT"), "answer")


@belief("listing.no-credentials", "google.api.ErrorReason", "C")
def no_credentials(site: Site) -> None:
    """Without an access token, or with garbage for one, the API answers 401 UNAUTHENTICATED."""
    for token in ("", "garbage"):
        answer = site.api(f"/v2/{site.parent}/services", token=token)
        told = (answer.status_code, error_of(answer)["status"])
        equal(told, (401, "UNAUTHENTICATED"), "answer")


@belief("search.finds-the-service", "cloudasset.v1 discovery document", "A")
def search(site: Site) -> None:
    """SearchAllResources finds services; ``project`` is a number, ``name`` has the project's id."""
    path = f"/v1/projects/{site.project}:searchAllResources?assetTypes=run.googleapis.com/Service"
    answer = site.api(path, host="cloudasset")
    if answer.status_code == requests.codes.forbidden:
        reason = error_of(answer)["details"].get("ErrorInfo", {}).get("reason")
        raise CannotAskError(f"Cloud Asset API or its permission ({reason})")
    results = answer.json()["results"]
    name = f"//run.googleapis.com/{site.parent}/services/{site.name}"
    (found,) = need([each for each in results if each["name"] == name], "the service in the index")
    expect(found["project"].removeprefix("projects/").isdecimal(), found["project"])
    equal(found["location"], site.region, "location")
