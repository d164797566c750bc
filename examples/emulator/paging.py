"""Pages of ListServices: opaque tokens, and services serialised once for all calls."""

from __future__ import annotations

import base64
import threading

from emulator.errors import GoogleError
from emulator.model import World
from emulator.protobuf import service_bytes


class Pages:
    """Serialised services by project and region, made once a world."""

    def __init__(self) -> None:
        self._world: World | None = None
        self._records: dict[tuple[str, str], list[bytes]] = {}
        self._lock = threading.Lock()

    def records(self, world: World, project: str, region: str) -> list[bytes]:
        """``services`` fields of a ListServicesResponse, newest service first as Google has it."""
        with self._lock:
            if self._world is not world:
                self._world, self._records = world, {}
            key = (project, region)
            if key not in self._records:
                self._records[key] = [
                    _field(1, service_bytes(service, order))
                    for order, service in enumerate(world.projects[project].services)
                    if service.region == region
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


def _field(number: int, data: bytes) -> bytes:
    """A length-delimited protobuf field."""
    length, head = len(data), bytearray([number << 3 | 2])
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + data


def string_field(number: int, text: str) -> bytes:
    return _field(number, text.encode()) if text else b""
