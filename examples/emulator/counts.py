"""What the emulator was asked, counted."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any


class Counts:
    """Nested counters by path, e.g. ``add("mints", "metadata", audience)``. Thread-safe."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, ...], int] = {}
        self._running: dict[str, int] = {}
        self._lock = threading.Lock()

    def add(self, *path: str) -> None:
        """Count one more under *path*."""
        with self._lock:
            self._values[path] = self._values.get(path, 0) + 1

    @contextlib.contextmanager
    def running(self, kind: str) -> Iterator[None]:
        """Count what is being answered at the same time; the highest stands under ``peaks``."""
        with self._lock:
            now = self._running[kind] = self._running.get(kind, 0) + 1
            self._values["peaks", kind] = max(now, self._values.get(("peaks", kind), 0))
        try:
            yield
        finally:
            with self._lock:
                self._running[kind] -= 1

    def reset(self) -> None:
        """Start again at nothing."""
        with self._lock:
            self._values.clear()

    def tree(self) -> dict[str, Any]:
        """All counts as nested dictionaries; every section is there, if empty."""
        with self._lock:
            values = sorted(self._values.items())
        tree: dict[str, Any] = {section: {} for section in SECTIONS}
        for path, count in values:
            node = tree
            for name in path[:-1]:
                node = node.setdefault(name, {})
            node[path[-1]] = count
        return tree


SECTIONS = (
    "mints",  # ID tokens given: issuer kind → audience → n
    "access_tokens",  # access tokens given: issuer kind → n
    "requests",  # requests for an ID token, answered or not: issuer kind → audience → n
    "issuers",  # requests: issuer kind → HTTP status (or hang, drop) → n
    "peaks",  # issuer kind → the most requests that were being answered at once
    "list_services",  # project/region (or project/-) → page → n
    "list_services_errors",  # project/region → gRPC code → n
    "locations",  # project → HTTP status → n
    "searches",  # scope, such as folders/12 → HTTP status → n
    "scrapes",  # project/region/service → HTTP status → n
    "refused_tokens",  # project/region/service → what is wrong with the ID token → n
    "proxy",  # CONNECT: accepted or refused → host → n
)
"""The sections of ``Emulator.counts()``."""
