"""Where the gateway may go: the places of the kept services, as the inventory names them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runscrape_proxy.gateway.app_credentials import NAME
from runscrape_proxy.gateway.request import DEFAULT_PORT, is_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

HTTPS_PORT: Final = 443
AUTHORIZATION: Final = "Authorization"
SERVERLESS: Final = "X-Serverless-Authorization"
"""The other header that Cloud Run takes an ID token from, for apps that use the first."""

_TARGET = re.compile(r"([A-Za-z0-9_.-]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Target:
    """One place to scrape, over https; ``audience`` is None where no token is asked for."""

    host: str
    port: int
    audience: str | None
    token_header: str = AUTHORIZATION
    credentials: str | None = None
    """The file with what the app itself wants in Authorization."""


Places = dict[tuple[str, int], dict[str, Target]]
"""By host and port, then by path: services may share a custom domain."""


def collect(endpoints: Iterable[Mapping[str, object]]) -> Places:
    """Gather the targets of an inventory's endpoints; what the gateway cannot reach is left out.

    That is what is not https, or has no name: nothing that a token should go to. Nor is anything
    scraped whose credentials have a name that leads elsewhere.
    """
    places: Places = {}
    for path, target in _targets(endpoints):
        places.setdefault((target.host, target.port), {}).setdefault(path, target)
    return places


def find(places: Places, host: str, port: int, path: str) -> Target | None:
    """Find the target that a request means: port 80 stands for 443, and for itself.

    Where services with different tokens share the place, only the paths that the inventory names
    tell which is meant; None for any other.
    """
    ports = (HTTPS_PORT, port) if port == DEFAULT_PORT else (port,)
    for candidate in ports:
        by_path = places.get((host, candidate))
        if by_path is not None:
            return by_path.get(path) or _only(by_path)
    return None


def _only(by_path: Mapping[str, Target]) -> Target | None:
    different = set(by_path.values())
    return different.pop() if len(different) == 1 else None


def _targets(endpoints: Iterable[Mapping[str, object]]) -> Iterator[tuple[str, Target]]:
    for entry in endpoints:
        match = _TARGET.fullmatch(str(entry.get("target", "")))
        audience, credentials = entry.get("audience"), entry.get("app_credentials")
        if entry.get("scheme") != "https" or match is None or not is_name(match[1].lower()):
            continue
        if credentials is not None and not NAME.fullmatch(str(credentials)):
            continue
        yield (
            str(entry.get("metrics_path")),
            Target(
                host=match[1].lower(),
                port=int(match[2]),
                audience=audience if isinstance(audience, str) else None,
                token_header=SERVERLESS if credentials else _header(entry.get("token_header")),
                credentials=None if credentials is None else str(credentials),
            ),
        )


def _header(named: object) -> str:
    return SERVERLESS if str(named).lower() == SERVERLESS.lower() else AUTHORIZATION
