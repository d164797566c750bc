"""What the emulator's servers share: the live world, tokens, counts, the end."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from emulator.counts import Counts
from emulator.model import Service, World
from emulator.schema import WorldError
from emulator.tokens import Tokens
from emulator.wire import Request
from emulator.world import load

_LOG = logging.getLogger("emulator")


class Index:
    """Finds services by the hosts they answer on; made anew for each world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._services: dict[str, Service] = {}
        for project in world.projects.values():
            for service in project.services:
                for place in places_of(service):
                    self._services[place] = service

    def find(self, request: Request) -> tuple[Service | None, Request]:
        """Find the service that a request is for, and give the request as the service sees it.

        A function's host is its project's and region's; the first part of the path names it.
        """
        if not request.host.endswith(".cloudfunctions.net"):
            return self._services.get(request.host), request
        name, slash, rest = request.target.removeprefix("/").partition("/")
        service = self._services.get(f"{request.host}/{name.partition('?')[0]}")
        return service, dataclasses.replace(request, target=f"/{rest}" if slash else "/")

    def knows(self, host: str) -> bool:
        """Tell whether a service answers on the host."""
        return host in self._services


def places_of(service: Service) -> list[str]:
    """Every host (of a function: host and path) that leads to the service.

    The default URLs do not if those are disabled.
    """
    if service.deleted:
        return []
    urls: list[str] = []
    if not service.default_uri_disabled:
        urls += [service.uri or "", *(service.urls or ())]
        urls += [target.uri for target in service.traffic]
    return [url.removeprefix("https://").lower() for url in urls if url] + list(service.domains)


def policies(world: World) -> dict[str, tuple[str, ...]]:
    """The members of every policy: invokers of services, token creators of accounts."""
    services = (service for project in world.projects.values() for service in project.services)
    found = {f"service {service.key}": service.invokers or () for service in services}
    accounts = (world.accounts or {}).items()
    return found | {f"account {email}": account.token_creators for email, account in accounts}


class State:
    """The live world and what goes with it. Thread-safe: a new world is swapped in whole."""

    def __init__(self, source: Mapping[str, Any] | Path, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.counts = Counts()
        self.closing = threading.Event()
        self.last_requests: dict[str, Request] = {}
        self.app_requests: dict[str, Request] = {}
        self.on_update: list[Callable[[World], None]] = []
        self.tokens: Tokens
        self._lock = threading.RLock()
        self._file = source if isinstance(source, Path) else None
        self._stamp = self._file_stamp()
        self._index = Index(load(source))
        self._before: dict[str, tuple[float, tuple[str, ...]]] = {}

    @property
    def index(self) -> Index:
        """The live world's services by host; the world's file is re-read if it changed."""
        self.refresh()
        return self._index

    @property
    def world(self) -> World:
        """The live world; its file is re-read if it changed."""
        return self.index.world

    def update(self, source: Mapping[str, Any] | Path) -> None:
        """Swap the world; raises WorldError and keeps the old one if the new one is bad."""
        index = Index(load(source))
        with self._lock:
            self._file = source if isinstance(source, Path) else None
            self._stamp = self._file_stamp()
            self._swap(index)

    def refresh(self) -> None:
        """Re-read the world's file if its time or size changed; a bad file keeps the old world."""
        if self._file is None or self._file_stamp() == self._stamp:
            return
        with self._lock:
            stamp = self._file_stamp()
            if self._file is None or stamp in (self._stamp, None) or stamp[1] == 0:
                return  # an editor that empties a file is about to fill it
            self._stamp = stamp
            try:
                self._swap(Index(load(self._file)))
            except (OSError, WorldError) as error:
                for line in str(error).splitlines():
                    _LOG.warning("the world is kept as it was: %s", line)

    def wait(self, seconds: float) -> None:
        """Sleep, but not past the end."""
        if seconds > 0:
            self.closing.wait(seconds)

    def invokers(self, service: Service) -> tuple[str, ...]:
        """Who may invoke the service, as far as IAM has noticed."""
        return self._noticed(f"service {service.key}", service.invokers or ())

    def token_creators(self, email: str) -> tuple[str, ...]:
        """Who may make tokens of the account, as far as IAM has noticed."""
        account = (self.world.accounts or {}).get(email)
        return self._noticed(f"account {email}", account.token_creators if account else ())

    def _noticed(self, policy: str, now: tuple[str, ...]) -> tuple[str, ...]:
        until, before = self._before.get(policy, (0.0, now))
        return before if self.clock() < until else now

    def _swap(self, index: Index) -> None:
        delay = index.world.settings.iam_delay
        if delay:
            until, after = self.clock() + delay, policies(index.world)
            for policy, members in policies(self._index.world).items():
                if after.get(policy) != members:
                    self._before[policy] = until, self._noticed(policy, members)
            for policy in after.keys() - policies(self._index.world).keys():
                self._before[policy] = until, ()
        self._index = index
        for listener in self.on_update:
            listener(index.world)

    def _file_stamp(self) -> tuple[int, int, int] | None:
        if self._file is None:
            return None
        try:
            stat = self._file.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
