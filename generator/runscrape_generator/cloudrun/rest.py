"""Google's APIs over REST: GET one page of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
from google.api_core import exceptions

from runscrape_generator.cloudrun.credentials import Access


class ListingError(Exception):
    """Google's answer makes no whole list: what is wrong with it, in one line."""


def get_json(
    access: Access, url: str, params: Mapping[str, str], what: str, seconds: float
) -> dict[str, Any]:
    """Get a JSON object; ``what`` names it in messages ("the list of regions").

    Raises a GoogleAPICallError for an answer that is not 200, ListingError for one that is no JSON
    object, and what requests and google-auth raise for a call that fails.
    """
    with access.network.session(access.headers()) as session:
        answer = session.get(url, params=params, timeout=seconds, allow_redirects=False)
    if answer.status_code != requests.codes.ok:
        raise _refused(answer)
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ListingError(f"{what} is not a JSON object")
    return body


def _refused(answer: requests.Response) -> Exception:
    read: Any = exceptions.from_http_response
    error: Exception = read(answer)
    return error
