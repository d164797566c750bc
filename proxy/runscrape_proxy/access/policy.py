"""Who may do what: where a request comes from, who asks, and for what.

The rules only read what they are given, so that the token endpoint and the gateway share them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runscrape_proxy.access.refusals import Refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscrape_proxy.access.audiences import Audiences
    from runscrape_proxy.access.callers import Clients
    from runscrape_proxy.access.origin import Origins


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules, and what was refused by them of late."""

    origin: Origins
    clients: Clients
    audiences: Audiences
    refusals: Refusals = field(default_factory=Refusals)

    def check_reader(self, environ: Mapping[str, Any]) -> None:
        """Check whoever wants to read what is known of services: anybody on this machine.

        Where others reach the listener they have to be clients. Raises InvalidClient.
        """
        if self.origin.is_open(environ):
            self.clients.check_basic(environ.get("HTTP_AUTHORIZATION"))
