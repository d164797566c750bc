"""Connections that are kept for the next request."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runscrape_proxy.http_client.connection import Connection
    from runscrape_proxy.http_client.request import Origin


class IdleConnections:
    """At most ``per_host`` to each of the ``hosts`` hosts that were used last."""

    def __init__(self, per_host: int, hosts: int) -> None:
        self._per_host = per_host
        self._hosts = hosts
        self._lock = threading.Lock()
        self._idle: OrderedDict[Origin, list[Connection]] = OrderedDict()

    def take(self, origin: Origin) -> Connection | None:
        """Take the one that was used last; those that were closed meanwhile are dropped."""
        while True:
            with self._lock:
                idle = self._idle.get(origin)
                if not idle:
                    return None
                connection = idle.pop()
                if not idle:
                    del self._idle[origin]
            if not connection.is_stale():
                return connection
            connection.close()

    def close(self) -> None:
        """Close them all."""
        with self._lock:
            idle = [connection for each in self._idle.values() for connection in each]
            self._idle.clear()
        for connection in idle:
            connection.close()

    def give(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection; close those that are too many."""
        with self._lock:
            idle = self._idle.setdefault(origin, [])
            self._idle.move_to_end(origin)
            idle.append(connection)
            surplus = idle[: -self._per_host]
            del idle[: -self._per_host]
            while len(self._idle) > self._hosts:
                surplus += self._idle.popitem(last=False)[1]
        for each in surplus:
            each.close()
