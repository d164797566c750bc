"""What the log says of scrapes: each trouble of a host when it begins and when it is over."""

from __future__ import annotations

import logging
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from runscrape_proxy.access.audiences import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscrape_proxy.errors import ScrapeError
    from runscrape_proxy.gateway.targets import Target

log = logging.getLogger("runscrape_proxy.gateway.app")

MAX_HOSTS: Final = 50_000
"""Troubles remembered at once; an inventory has fewer services."""

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
    """Logs a host's trouble once, and again when it is another one or over; with -v each time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._troubles: dict[str, str] = {}

    def refused(self, host: str, error: ScrapeError, environ: Mapping[str, object]) -> None:
        """Log an answer of the gateway's own; ``host`` is empty where none was admitted."""
        fields: dict[str, object] = {"status": error.status.value}
        if client := environ.get("REMOTE_ADDR"):
            fields["client"] = client
        if not host:
            fields["request"] = printable(str(environ.get("RAW_URI", "")).partition("?")[0])
        level = self._level(host, f"{error.status.value} {error.reason}")
        log.log(level, "not scraped: %s", error.reason, extra={"fields": fields})

    def answered(self, target: Target, status: int) -> None:
        """Log what a service answered, where that needs somebody's attention."""
        likely = _CAUSES.get(status)
        if likely is None:
            if status < HTTPStatus.BAD_REQUEST and self._troubles and self._forget(target.host):
                log.info("%s is scraped again", target.host, extra={"fields": {"status": status}})
            return
        if target.audience is None and status != HTTPStatus.NOT_FOUND:
            likely = _PUBLIC
        reason = likely.format(audience=target.audience)
        level = self._level(target.host, f"{status} {reason}")
        log.log(level, "%s answered %d: %s", target.host, status, reason, extra={"fields": {}})

    def _level(self, host: str, trouble: str) -> int:
        """WARNING for what is new about ``host``, else DEBUG."""
        if not host:
            return logging.WARNING
        with self._lock:
            if self._troubles.get(host) == trouble:
                return logging.DEBUG
            if host in self._troubles or len(self._troubles) < MAX_HOSTS:
                self._troubles[host] = trouble
        return logging.WARNING

    def _forget(self, host: str) -> bool:
        with self._lock:
            return self._troubles.pop(host, None) is not None
