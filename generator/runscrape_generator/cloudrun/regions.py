"""The regions of a project: Run Admin API v1 ``projects.locations.list``, over REST.

Version 2 of the API has no such method, and the client library no version 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

import requests
from google.api_core import exceptions
from google.auth.transport.requests import AuthorizedSession

from runscrape_generator.cloudrun.client import PAGE_SIZE, ListingError
from runscrape_generator.cloudrun.credentials import Access
from runscrape_generator.cloudrun.retries import Retries


def list_regions(access: Access, retries: Retries, project: str, until: float) -> tuple[str, ...]:
    """List the regions where ``project`` may have services, sorted; never none.

    ``until``: the deadline on ``time.monotonic``, retries included. Raises CallFailedError for a
    call, ListingError for an answer, that did not come to a whole list.
    """
    url = f"{access.address.url}/v1/projects/{quote(project, safe=':')}/locations"
    found: set[str] = set()
    token, tokens = "", {""}
    with _session(access) as session:
        while True:
            params = {"pageSize": str(PAGE_SIZE)} | ({"pageToken": token} if token else {})
            once = partial(_page, session, url, params)
            answer = retries.call("locations.list", until, once)
            found.update(_location_ids(answer))
            token = answer.get("nextPageToken") or ""
            if not token:
                break
            if token in tokens:
                raise ListingError("the list of regions leads back to an earlier page")
            tokens.add(token)
    if not found:
        raise ListingError("the list of regions is empty")
    return tuple(sorted(found))


def _session(access: Access) -> requests.Session:
    if access.address.plaintext:
        return _plain_session(access.headers())
    authorized: Any = AuthorizedSession
    session: requests.Session = authorized(access.credentials)
    return session


def _plain_session(headers: Mapping[str, str]) -> requests.Session:
    """Make a session that shows a token to nobody but the server: past any proxy, and .netrc."""
    session = requests.Session()
    session.headers.update(headers)
    session.trust_env = not headers
    return session


def _page(
    session: requests.Session, url: str, params: Mapping[str, str], seconds: float
) -> dict[str, Any]:
    answer = session.get(url, params=params, timeout=seconds, allow_redirects=False)
    if answer.status_code != requests.codes.ok:
        raise _refused(answer)
    return _json_object(answer)


def _refused(answer: requests.Response) -> Exception:
    read: Any = exceptions.from_http_response
    error: Exception = read(answer)
    return error


def _json_object(answer: requests.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ListingError("the list of regions is not a JSON object")
    return body


def _location_ids(answer: dict[str, Any]) -> list[str]:
    try:
        ids = [place["locationId"] for place in answer.get("locations", [])]
    except (TypeError, KeyError, AttributeError):
        ids = [None]
    if not all(isinstance(i, str) and i for i in ids):
        raise ListingError("the list of regions has an entry without locationId")
    return ids
