"""The connections that no thread is busy with, and which of them go when room is short."""

from __future__ import annotations

import functools
import ipaddress
from enum import IntEnum
from math import inf
from typing import TYPE_CHECKING, Any

from gunicorn.workers.gthread import TConn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscrape_proxy.gateway.scrape import Scrape


class Phase(IntEnum):
    """What a connection waits for; those of the first kind are given up first."""

    CLOSING = 0
    """The last answer is sent: for the client to read it and to close too."""
    RECEIVING = 1
    """For the rest of a TLS handshake or of a request."""
    IDLE = 2
    """For the next request."""


class ClientConnection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """One client's connection. ``peer`` is what counts as one client."""

    def __init__(self, cfg: Any, sock: Any, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.peer = peer_of(client)
        self.phase = Phase.RECEIVING
        self.until = 0.0
        """When it is given up, by the monotonic clock."""
        self.received = bytearray()
        """What has come and is not served yet."""
        self.secured = not cfg.is_ssl
        """Whether the TLS handshake is over, or there is none."""
        self.polled = False
        """Whether the poller looks at it now."""
        self.dropped = False
        self.ended = False
        """Whether the client has said that it sends no more."""
        self.continued = False
        """Whether the client was told to go on with the body that it announced."""
        self.drained = 0
        """Bytes that were read and thrown away after the last answer."""
        self.parked: Scrape | None = None
        """The scrape that a request is, while no thread serves it."""
        self.answered_at = inf
        """Since when the answer to the request that a thread serves is being sent."""


def peer_of(client: object) -> str:
    """Say whom a connection counts for: an IPv4 address, or the network of an IPv6 one.

    Whoever has one IPv6 address has the 64 bits below its network (RFC 6177). All clients of a
    Unix socket are one peer.
    """
    return _network_of(str(client[0])) if isinstance(client, tuple) else "unix"


@functools.lru_cache(maxsize=4096)
def _network_of(host: str) -> str:
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


class Waiting:
    """All connections that wait for their client, by phase and peer, in the order they came."""

    def __init__(self) -> None:
        self._by_phase: dict[Phase, dict[str, dict[ClientConnection, None]]] = {
            phase: {} for phase in Phase
        }
        self._sizes = dict.fromkeys(Phase, 0)

    def __iter__(self) -> Iterator[ClientConnection]:
        for by_peer in self._by_phase.values():
            for connections in by_peer.values():
                yield from connections

    def count(self, phase: Phase) -> int:
        """How many there are."""
        return self._sizes[phase]

    def add(self, connection: ClientConnection) -> None:
        """Take a connection in."""
        by_peer = self._by_phase[connection.phase]
        by_peer.setdefault(connection.peer, {})[connection] = None
        self._sizes[connection.phase] += 1

    def remove(self, connection: ClientConnection) -> bool:
        """Take a connection out; False if it was not there."""
        by_peer = self._by_phase[connection.phase]
        of_peer = by_peer.get(connection.peer, {})
        if connection not in of_peer:
            return False
        del of_peer[connection]
        if not of_peer:
            del by_peer[connection.peer]
        self._sizes[connection.phase] -= 1
        return True

    def first_to_go(self, *phases: Phase) -> ClientConnection | None:
        """Choose among phases: the oldest of the peer that has the most, in the first that has any.

        Behind one address (a NAT, a pod) everybody is one peer: there the oldest goes, and a client
        that sends its request in one piece never gets old.
        """
        for phase in phases or Phase:
            by_peer = self._by_phase[phase]
            if by_peer:
                fullest = max(by_peer, key=lambda peer: len(by_peer[peer]))
                return next(iter(by_peer[fullest]))
        return None
