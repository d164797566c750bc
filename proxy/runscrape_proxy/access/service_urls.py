"""Which service a URL means: its own ones in any spelling, and what was nearly meant by another.

Cloud Run answers on several URLs of a service, but a token is for one audience. Those that the
Admin API lists as the service's own (``uri``, ``urls``) may be asked for; the URL of a tag
(``https://TAG---NAME-…``) is no audience that Cloud Run takes.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runscrape_proxy.inventory import Service

TAG: Final = "---"
"""Between a traffic tag and the name of the service, in the host name."""

_URL: Final = re.compile(r"https://([A-Za-z0-9._-]+)(?::443)?/?", re.ASCII)
_HOST: Final = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*", re.ASCII)
_LONGEST: Final = 512
_SAME_START: Final = 12
_MOST_COMPARED: Final = 300
_LIKENESS: Final = 0.85


def normal(audience: str) -> str | None:
    """Spell a service's URL as Google does: lower case, no port, no slash; None if it is none."""
    found = _URL.fullmatch(audience) if len(audience) <= _LONGEST else None
    return f"https://{found[1].lower()}" if found else None


def aliases(services: Iterable[Service]) -> dict[str, str]:
    """Map each URL of a service to its audience; one that two services claim means neither."""
    found: dict[str, str] = {}
    claimed_twice = set[str]()
    for service in services:
        if service.audience is None:
            continue
        for url in filter(None, map(normal, service.urls)):
            if found.setdefault(url, service.audience) != service.audience:
                claimed_twice.add(url)
    return {url: audience for url, audience in found.items() if url not in claimed_twice}


def nearest(audience: str, known: Mapping[str, str]) -> tuple[str, str] | None:
    """Say what is wrong with an audience that is not known, and which is probably meant.

    ``known`` maps the URLs of services to their audiences. None where nothing is near.
    """
    text = unquote(audience).lower() if len(audience) <= _LONGEST else ""
    for host in _HOST.findall(text):
        if (meant := known.get(f"https://{host}")) is not None:
            return "an audience is https:// and the service's host name, and no more", meant
        if TAG in host and (meant := known.get(f"https://{host.partition(TAG)[2]}")) is not None:
            return "the URL of a tag is no audience", meant
    start = audience[:_SAME_START]
    candidates = [url for url in known if url.startswith(start)][:_MOST_COMPARED]
    similar = difflib.get_close_matches(audience, candidates, n=1, cutoff=_LIKENESS)
    return ("the inventory has one that is much like it", known[similar[0]]) if similar else None
