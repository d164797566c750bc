"""Stand-ins for Google that a test turns by hand: time, latency, outages. No network."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runscrape_proxy.errors import MintError
from runscrape_proxy.model import CredentialKind, Minted

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Seconds since any moment, moved by the test."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Issued:
    """A token that an issuer has made."""

    value: str
    ends_at: float


@dataclass
class Issuer:
    """What each way to mint answers with: a key mints anew, the metadata server repeats itself."""

    repeats: bool = False
    lifetime: float = 3600.0
    repeats_until_left: float = 300.0
    mints: Counter[str] = field(default_factory=Counter)
    held: dict[str, Issued] = field(default_factory=dict)

    def issue(self, audience: str, now: float) -> Minted:
        self.mints[audience] += 1
        held = self.held.get(audience)
        if not self.repeats or held is None or held.ends_at - now <= self.repeats_until_left:
            value = f"token {self.mints[audience]} of {audience}"
            held = self.held[audience] = Issued(value, now + self.lifetime)
        return Minted(held.value, held.ends_at - now, repeats=self.repeats)


class Minter:
    """A minter for real threads; ``gate`` closed is a Google that hangs."""

    kind = CredentialKind.SERVICE_ACCOUNT
    identity = "prometheus@demo.iam.gserviceaccount.com"

    def __init__(self, clock: Callable[[], float], issuer: Issuer | None = None) -> None:
        self.clock = clock
        self.issuer = issuer or Issuer()
        self.gate = threading.Event()
        self.gate.set()
        self.overstay: float | None = None  # how long it hangs whatever its timeout
        self.fault: Exception | None = None
        self.at_once = 0
        self.most_at_once = 0
        self.timeouts: list[float] = []
        self._lock = threading.Lock()

    def mint(self, audience: str, *, timeout: float) -> Minted:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self.timeouts.append(timeout)
            fault = self.fault
        try:
            if not self.gate.wait(self.overstay or timeout):
                raise MintError(f"Google did not answer within {timeout:g} s")
            if fault is not None:
                raise fault
            with self._lock:
                return self.issuer.issue(audience, self.clock())
        finally:
            with self._lock:
                self.at_once -= 1
