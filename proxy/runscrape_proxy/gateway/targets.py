"""Where the gateway may go: the endpoints of the kept services, as the inventory names them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from runscrape_proxy.gateway.app_credentials import NAME
from runscrape_proxy.gateway.request import DEFAULT_PORT, is_name, two_readings

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from runscrape_proxy.inventory import Endpoint

HTTPS_PORT: Final = 443
AUTHORIZATION: Final = "Authorization"
SERVERLESS: Final = "X-Serverless-Authorization"
"""The other header that Cloud Run takes an ID token from, for apps that use the first."""

_TAGGED = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*---([a-z0-9.-]+\.run\.app)")
"""``TAG---SERVICE….run.app``, where Cloud Run serves a revision that has a tag."""

_AS_IT_IS = "$&+,/:;=@~"
"""What Go leaves as it is in a path, besides letters, digits and ``-_.``."""

_HOST_AND_PORT = re.compile(r"([A-Za-z0-9_.-]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Target:
    """One service to scrape, over https; ``audience`` is None where no token is asked for."""

    host: str
    port: int
    audience: str | None
    token_header: str = AUTHORIZATION
    credentials: str | None = None
    """The file with what the app itself wants in Authorization."""
    paths: frozenset[str] = field(default=frozenset(), compare=False)
    """The paths that the inventory names at this host and port, as Prometheus asks for them."""

    def is_named_by(self, path: str) -> bool:
        """Say whether the inventory names this path, and not only the host."""
        return _named(self.paths, path) is not None


Index = dict[tuple[str, int], dict[str, Target]]
"""By host and port, then by path as Prometheus asks for it: services may share a custom domain."""


def index(endpoints: Iterable[Endpoint]) -> Index:
    """Make the index of an inventory's endpoints; what the gateway cannot reach is left out.

    That is what is not https, or has no name: nothing that a token should go to. Nor is anything
    scraped whose credentials have a name that leads elsewhere. Of two that share host, port and
    path the first counts. A service is found by its other URLs too.
    """
    found: Index = {}
    others: list[tuple[str, str, Target]] = []
    for endpoint in endpoints:
        target = _target(endpoint)
        if target is None:
            continue
        path = _as_asked_for(endpoint.metrics_path or "")
        found.setdefault((target.host, target.port), {}).setdefault(path, target)
        others += [(host, path, target) for host in _other_hosts(endpoint, target)]
    own = set(found)
    for host, path, target in others:
        if (host, HTTPS_PORT) not in own:
            by_path = found.setdefault((host, HTTPS_PORT), {})
            by_path.setdefault(path, replace(target, host=host))
    for by_path in found.values():
        paths = frozenset(by_path)
        for path, target in by_path.items():
            by_path[path] = replace(target, paths=paths)
    return found


def find(targets: Index, host: str, port: int, path: str) -> Target | None:
    """Find the target that a request means: port 80 stands for 443, and for itself.

    The URL of a service's tag is the service, and takes the same token (its own URL would be
    refused as an audience). Where services with different tokens share host and port, only the
    paths that the inventory names tell which is meant; None for any other. So it is everywhere for
    a path that has two readings.
    """
    by_path = _at(targets, host, port)
    if by_path is not None:
        return _choose(by_path, path)
    tagged = _TAGGED.fullmatch(host)
    by_path = _at(targets, tagged[1], port) if tagged else None
    target = _choose(by_path, path) if by_path is not None else None
    return replace(target, host=host) if target is not None else None


def _at(targets: Index, host: str, port: int) -> dict[str, Target] | None:
    https = targets.get((host, HTTPS_PORT)) if port == DEFAULT_PORT else None
    return https or targets.get((host, port))


def _choose(by_path: Mapping[str, Target], path: str) -> Target | None:
    named = _named(by_path, path)
    if named is not None:
        return by_path[named]
    different = set(by_path.values())
    return different.pop() if len(different) == 1 and not two_readings(path) else None


def _named(paths: Container[str], path: str) -> str | None:
    """Find a path among those that the inventory names: as Prometheus asks for it, or vmagent."""
    return next((each for each in (path, _as_asked_for(path)) if each in paths), None)


def _as_asked_for(path: str) -> str:
    """Give what Prometheus asks for where ``__metrics_path__`` is ``path``.

    It takes a ``%`` for itself: of ``/a%20b`` it makes ``/a%2520b``. vmagent takes ``/a%20b`` for
    what it says.
    """
    return quote(f"/{path}" if path and not path.startswith("/") else path, safe=_AS_IT_IS)


def _target(endpoint: Endpoint) -> Target | None:
    match = _HOST_AND_PORT.fullmatch(endpoint.target or "")
    host = match[1].lower() if match else ""
    credentials = endpoint.app_credentials
    if match is None or endpoint.scheme != "https" or not is_name(host):
        return None
    if credentials is not None and not NAME.fullmatch(credentials):
        return None
    return Target(
        host=host,
        port=int(match[2]),
        audience=endpoint.audience,
        token_header=SERVERLESS if credentials else _token_header(endpoint.token_header),
        credentials=credentials,
    )


def _other_hosts(endpoint: Endpoint, target: Target) -> list[str]:
    """Give the other hosts of a service that is scraped at one of those that Google gave it."""
    hosts = [url.removeprefix("https://").lower() for url in endpoint.urls]
    if target.port != HTTPS_PORT or target.host not in hosts:
        return []
    return [host for host in hosts if host != target.host and is_name(host)]


def _token_header(named: str | None) -> str:
    return SERVERLESS if (named or "").lower() == SERVERLESS.lower() else AUTHORIZATION
