"""One audience of the ledger, and where it stands."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import Enum, auto
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from runscrape_proxy.model import Token


LANDED: Final = threading.Event()
"""The event of every audience that has no mint queued or in flight: set, and shared."""
LANDED.set()


class State(Enum):
    """Where an audience stands."""

    IDLE = auto()
    QUEUED = auto()
    RUNNING = auto()


class Lane(Enum):
    """Why a mint is queued."""

    ASKED = auto()
    RETRIES = auto()
    RENEWALS = auto()


class Pool(Enum):
    """Whose slots a mint uses."""

    COLD = auto()
    RENEWING = auto()


@dataclass(slots=True, eq=False)
class Entry:
    """One audience. Times are in seconds, by the clock that the ledger is called with."""

    audience: str
    asked_at: float
    token: Token | None = None
    held_as: int = 0
    """Which of the identities that there were has the token; :attr:`minting_as` likewise."""
    minting_as: int = 0
    prewarmed: bool = False
    """It is to have a token though nobody has asked for it (--prewarm)."""
    state: State = State.IDLE
    lane: Lane = Lane.ASKED
    due_at: float = inf
    failures: int = 0
    last_error: str = ""
    last_error_at: float = 0.0
    started_at: float = 0.0
    wanted_until: float = 0.0
    """Nobody waits any more after this: it ends a mint that somebody asked for."""
    begin_by: float = 0.0
    """A mint still queued by then is dropped: there is no time left for Google to answer."""
    landed: threading.Event = LANDED
    """Set when the mint that is queued or in flight has ended, however; not if it never began."""

    def seconds_left(self) -> float:
        """What the mint that was just taken may take: forever, unless somebody asked for it."""
        return self.wanted_until - self.started_at if self.lane is Lane.ASKED else inf

    def is_resting(self, now: float) -> bool:
        """Whether it failed and is not to be tried again yet."""
        return self.state is State.IDLE and self.failures > 0 and self.due_at > now
