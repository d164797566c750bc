"""What the log says of scrapes: each trouble of a service or a client, once."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from runscrape_proxy.access.audiences import printable
from runscrape_proxy.access.refusals import Trouble
from runscrape_proxy.troubles import Troubles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscrape_proxy.access.refusals import Refusals
    from runscrape_proxy.errors import ScrapeError
    from runscrape_proxy.gateway.targets import Target

log = logging.getLogger(__name__)

MAX_OF_CLIENTS: Final = 1000
"""Different refusals of clients that are told in an hour: hosts can be invented without end."""

_CAUSES: Final[Mapping[int, str]] = {
    HTTPStatus.UNAUTHORIZED: (
        "the service does not take a token for audience {audience}: it must be its URL or one of"
        " its custom audiences; or the app itself wants other credentials"
    ),
    HTTPStatus.FORBIDDEN: (
        "grant roles/run.invoker on the service to the identity of this proxy (see its page); a"
        " new grant takes minutes"
    ),
    HTTPStatus.NOT_FOUND: (
        "nothing there at this path (annotation prometheus.io/path), or the service's ingress is"
        " internal and this machine is outside of its VPC"
    ),
}
_PUBLIC: Final = "the service is public in the inventory, so no token was sent: run runscrape again"


class GatewayLog:
    """Logs a trouble when it begins, when it changes and when it is over; with -v each time.

    ``refusals`` hears of those that are the clients' own, for the page.
    """

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals
        self._troubles = Troubles()
        self._of_clients = Troubles(MAX_OF_CLIENTS)

    def refused(self, host: str, error: ScrapeError, environ: Mapping[str, object]) -> None:
        """Log an answer of the gateway's own; ``host`` is empty where none was admitted."""
        address = str(environ.get("REMOTE_ADDR", ""))
        client = address or "unix"
        fields: dict[str, object] = {"status": error.status.value, "client": client}
        status = str(error.status.value)
        if host:
            new = self._troubles.is_new(host, f"{status} {error.reason}")
        else:
            fields["request"] = printable(str(environ.get("RAW_URI", "")).partition("?")[0])
            new = self._of_clients.is_new(f"{client} {error.reason}", status)
            trouble = Trouble(address, "", error.status.value, error.reason)
            self._refusals.note(trouble, error.reason)
        level = logging.WARNING if new else logging.DEBUG
        log.log(level, "not scraped: %s", error.reason, extra={"fields": fields})

    def answered(self, target: Target, status: int) -> None:
        """Log what a service answered, where that needs somebody's attention."""
        likely = _CAUSES.get(status)
        if likely is None:
            if status < HTTPStatus.BAD_REQUEST and self._troubles.is_over(target.host):
                log.info("%s is scraped again", target.host, extra={"fields": {"status": status}})
            return
        if target.audience is None and status != HTTPStatus.NOT_FOUND:
            likely = _PUBLIC
        reason = likely.format(audience=target.audience)
        new = self._troubles.is_new(target.host, f"{status} {reason}")
        level = logging.WARNING if new else logging.DEBUG
        log.log(level, "%s answered %d: %s", target.host, status, reason)
