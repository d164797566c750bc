"""What the emulator's servers share: the live world, tokens, counts, the end."""

from __future__ import annotations

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
        self.hosts: dict[str, Service] = {}
        for project in world.projects.values():
            for service in project.services:
                for host in hosts_of(service):
                    self.hosts[host] = service

    def audiences(self, service: Service) -> tuple[str, ...]:
        """Audiences that the service accepts."""
        return (*service.urls, *service.custom_audiences) if service.urls else ()


def hosts_of(service: Service) -> list[str]:
    """Every host name that leads to the service (the default URLs not if those are disabled)."""
    urls: list[str] = []
    if service.deleted:
        return []
    if not service.default_uri_disabled:
        urls += [service.uri or "", *(service.urls or ())]
        urls += [target.uri for target in service.traffic]
    return [url.removeprefix("https://").lower() for url in urls if url] + list(service.domains)


class State:
    """The live world and what goes with it. Thread-safe: a new world is swapped in whole."""

    def __init__(self, source: Mapping[str, Any] | Path, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.counts = Counts()
        self.closing = threading.Event()
        self.last_requests: dict[str, Request] = {}
        self.on_update: list[Callable[[World], None]] = []
        self.tokens: Tokens
        self._lock = threading.RLock()
        self._file = source if isinstance(source, Path) else None
        self._stamp = self._file_stamp()
        self._index = Index(load(source))

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
            if self._file is None or stamp in (self._stamp, None):
                return
            self._stamp = stamp
            try:
                self._swap(Index(load(self._file)))
            except (OSError, WorldError) as error:
                _LOG.warning("world kept as it was: %s", error)

    def wait(self, seconds: float) -> None:
        """Sleep, but not past the end."""
        if seconds > 0:
            self.closing.wait(seconds)

    def _swap(self, index: Index) -> None:
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
