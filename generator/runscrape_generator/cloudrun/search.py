"""Where an organisation or folder has services: Cloud Asset Inventory's ``searchAllResources``.

It lags behind by minutes, so it says where to look, and is never proof that a service is gone.
Reference: docs.cloud.google.com/asset-inventory/docs/reference/rest/v1/TopLevel/searchAllResources.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Any

from runscrape_generator.cloudrun.credentials import Access
from runscrape_generator.cloudrun.rest import ListingError, get_json
from runscrape_generator.cloudrun.retries import Retries

PAGE_SIZE = 500
"""The most that a page may hold."""

_QUERY = {
    "assetTypes": "run.googleapis.com/Service",
    "readMask": "name,project,location",
    "pageSize": str(PAGE_SIZE),
}
_NAME = re.compile(r"//run\.googleapis\.com/projects/([^/]+)/locations/([^/]+)/services/[^/]+")
_WHAT = "the result of the search"


@dataclass(frozen=True, slots=True)
class Hit:
    """A project and region that has a service."""

    project: str
    """Its id; its number where the service's name has no id."""
    number: str
    """Its number; empty if Google did not say."""
    region: str


@dataclass(frozen=True, slots=True)
class SearchPage:
    """One page of hits, each pair of project and region once."""

    hits: frozenset[Hit]
    next_token: str


def search_page(
    access: Access, retries: Retries, container: str, token: str, until: float
) -> SearchPage:
    """Get one page of a search in ``folders/ID`` or ``organizations/ID``.

    Raises CallFailedError or ListingError, as :func:`list_regions` does.
    """
    url = f"{access.address.of_api('cloudasset')}/v1/{container}:searchAllResources"
    params = _QUERY | ({"pageToken": token} if token else {})
    once = partial(get_json, access, url, params, _WHAT)
    answer = retries.call("searchAllResources", until, once)
    results = answer.get("results", [])
    following = answer.get("nextPageToken") or ""
    if not isinstance(results, list) or not isinstance(following, str):
        raise ListingError(f"{_WHAT} is not a list of pages")
    return SearchPage(frozenset(filter(None, map(_hit, results))), following)


def _hit(result: Any) -> Hit | None:
    """Read one result; None for a resource that is not Cloud Run's."""
    name = result.get("name") if isinstance(result, dict) else None
    if not isinstance(name, str):
        raise ListingError(f"{_WHAT} has an entry without a name")
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    project, region = match.groups()
    number = str(result.get("project") or "").removeprefix("projects/")
    return Hit(project, number if number.isdigit() else "", region)
