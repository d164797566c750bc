"""One scrape, from its slot on; and how it waits without a thread."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from runscrape_proxy.gateway.slots import Slot
    from runscrape_proxy.gateway.targets import Target
    from runscrape_proxy.http_client import Call, Deadline

WAIT_SECONDS: Final = "runscrape.wait_seconds"
"""In the WSGI environment of a server that takes Parked for what it is: the seconds for which a
thread may wait for a service before it raises that."""

PARKED: Final = "runscrape.parked"
"""In the WSGI environment of a request that is called again: the scrape that was parked."""


class Scrape:
    """A scrape that is under way."""

    __slots__ = ("began", "call", "deadline", "slot", "target")

    def __init__(self, target: Target, slot: Slot, deadline: Deadline) -> None:
        self.target = target
        self.slot = slot
        self.deadline = deadline
        self.call: Call
        """Set once the service is asked."""
        self.began = time.monotonic()

    def give_up(self) -> None:
        """End it while it waits for its service."""
        self.call.close()
        self.slot.give_back()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self.began


class Parked(BaseException):
    """No error: the service has not answered yet, and the thread can do something else.

    The request is to be called again, with ``scrape`` as PARKED in the environment, once there is
    something to read for it, or its deadline is over.
    """

    def __init__(self, scrape: Scrape) -> None:
        super().__init__()
        self.scrape = scrape
