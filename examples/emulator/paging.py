"""Pages of ListServices: opaque tokens, and services as messages, made once for all calls."""

from __future__ import annotations

import base64
import threading
from typing import Any, NamedTuple

from emulator.errors import GoogleError
from emulator.model import Service, World
from emulator.protobuf import service_message


class Record(NamedTuple):
    """A service, and the same as a run.v2 message."""

    service: Service
    message: Any

    @property
    def region(self) -> str:
        """Where it runs."""
        return self.service.region


class Pages:
    """Services by project and region, made once a world."""

    def __init__(self) -> None:
        self._world: World | None = None
        self._records: dict[tuple[str, str, bool], list[Record]] = {}
        self._lock = threading.Lock()

    def records(self, world: World, project: str, region: str, *, deleted: bool) -> list[Record]:
        """Give a region's services (``-``: all regions'), the newest first as Google has it."""
        with self._lock:
            if self._world is not world:
                self._world, self._records = world, {}
            key = (project, region, deleted)
            if key not in self._records:
                self._records[key] = [
                    Record(service, service_message(service, order))
                    for order, service in enumerate(world.projects[project].services)
                    if region in ("-", service.region) and (deleted or not service.deleted)
                ][::-1]
            return self._records[key]


def page_token(parent: str, number: int, offset: int) -> str:
    return base64.urlsafe_b64encode(f"{number}|{offset}|{parent}".encode()).decode()


def page_start(token: str, parent: str) -> tuple[int, int]:
    """Give the page's number, from 1, and the offset of its first entry."""
    if not token:
        return 1, 0
    try:
        number, offset, of = base64.urlsafe_b64decode(token.encode()).decode().split("|", 2)
        if of == parent:
            return int(number), int(offset)
    except ValueError:
        pass
    raise GoogleError("INVALID_ARGUMENT", "The page token is invalid.")
