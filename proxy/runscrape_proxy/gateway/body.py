"""The body of an answer on its way through the gateway."""

from __future__ import annotations

import contextlib
import errno
import itertools
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from runscrape_proxy.errors import ScrapeError
from runscrape_proxy.gateway.metrics import BROKEN, GONE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import WSGIEnvironment

    from runscrape_proxy.gateway.client import ServiceAnswer
    from runscrape_proxy.gateway.log import GatewayLog
    from runscrape_proxy.gateway.metrics import GatewayMetrics
    from runscrape_proxy.gateway.scrape import Scrape

READ_AHEAD: Final = 64 * 1024
"""Bytes of a body that are read before the status is sent on."""


class Body:
    """The body of an answer on its way through: an iterable that a WSGI server closes."""

    def __init__(
        self,
        scrape: Scrape,
        answer: ServiceAnswer,
        environ: WSGIEnvironment,
        *,
        metrics: GatewayMetrics,
        log: GatewayLog,
    ) -> None:
        self._scrape = scrape
        self._answer = answer
        self._pieces = answer.pieces()
        self._ahead = b""
        self._metrics = metrics
        self._log = log
        self._environ = environ
        self._code = GONE

    def read_ahead(self) -> None:
        """Read the first of the body, so that what fails until then is answered with the reason.

        Of most services that is all of it. Raises ScrapeError; the caller closes the answer then.
        """
        ahead, size = [], 0
        for piece in self._pieces:
            ahead.append(piece)
            size += len(piece)
            if size >= READ_AHEAD:
                break
        self._ahead = b"".join(ahead)

    def __iter__(self) -> Iterator[bytes]:
        """Give the body. Raises ConnectionResetError, so that the server breaks the answer off."""
        client = self._environ.get("gunicorn.socket")
        try:
            for piece in itertools.chain([self._ahead] if self._ahead else [], self._pieces):
                self._ahead = b""
                with self._scrape.slot.sending(client):
                    yield piece
        except ScrapeError as error:
            self._code = BROKEN
            self._scrape.slot.in_time = error.status != HTTPStatus.GATEWAY_TIMEOUT
            self._log.refused(self._scrape.target.host, error, self._environ)
            self._break_off()
        self._code = str(self._answer.status)
        self._scrape.slot.in_time = True
        self._log.answered(self._scrape.target, self._answer.status)

    def close(self) -> None:
        """Give back slot and connection, whether or not the body was sent to its end."""
        self._answer.close()
        self._scrape.slot.give_back()
        self._metrics.answered(self._code, self._scrape.seconds)

    def _break_off(self) -> None:
        """Close towards the client at once: neither a last chunk nor the whole length was sent."""
        client = self._environ.get("gunicorn.socket")
        if isinstance(client, socket.socket):
            with contextlib.suppress(OSError):
                # Past the TLS layer, which would say a regular goodbye.
                socket.socket.shutdown(client, socket.SHUT_RDWR)
        raise ConnectionResetError(errno.ECONNRESET, "the service broke its answer off")
