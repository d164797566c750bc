"""The regions of a project: Run Admin API v1 ``projects.locations.list``, over REST.

Version 2 of the API has no such method, and the client library no version 1.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import quote

from runscrape_generator.cloudrun.credentials import Access
from runscrape_generator.cloudrun.rest import ListingError, get_json
from runscrape_generator.cloudrun.retries import Retries

PAGE_SIZE = 100
"""What gcloud asks for; there are about 45 regions."""

_WHAT = "the list of regions"


def list_regions(access: Access, retries: Retries, project: str, until: float) -> tuple[str, ...]:
    """List the regions that ``project`` is shown, sorted; never none.

    Google names regions that the project may not use, too (me-central2): listing
    services there is refused. ``until``: the deadline on ``time.monotonic``, retries included.
    Raises CallFailedError for a call, ListingError for an answer, that did not come to a whole
    list.
    """
    url = f"{access.address.url}/v1/projects/{quote(project, safe=':')}/locations"
    found: set[str] = set()
    token, tokens = "", {""}
    while True:
        params = {"pageSize": str(PAGE_SIZE)} | ({"pageToken": token} if token else {})
        once = partial(get_json, access, url, params, _WHAT)
        answer = retries.call("locations.list", until, once)
        found.update(_location_ids(answer))
        token = answer.get("nextPageToken") or ""
        if not token:
            break
        if token in tokens:
            raise ListingError(f"{_WHAT} leads back to an earlier page")
        tokens.add(token)
    if not found:
        raise ListingError(f"{_WHAT} is empty")
    return tuple(sorted(found))


def _location_ids(answer: dict[str, Any]) -> list[str]:
    """Take the ids: ``name`` comes without ``projects/``, and as a parent lists nothing at all."""
    try:
        ids = [place["locationId"] for place in answer.get("locations", [])]
    except (TypeError, KeyError, AttributeError):
        ids = [None]
    if not all(isinstance(i, str) and i for i in ids):
        raise ListingError(f"{_WHAT} has an entry without locationId")
    return ids
