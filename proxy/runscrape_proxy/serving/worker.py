"""Gunicorn's threaded worker, with what a token proxy needs beyond it.

Its threads get whole requests only (:mod:`runscrape_proxy.serving.polling`), and have a time for
each. A thread or a file descriptor too many does not end the process; what is no HTTP is answered
in JSON and not quoted in the log.
"""

from __future__ import annotations

import contextlib
import io
import logging
import selectors
import signal
import socket
import threading
import time
from collections import deque
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final

from gunicorn import util
from gunicorn.http import errors as http_errors
from gunicorn.http.body import ChunkedReader, LengthReader

from runscrape_proxy.gateway.request import seconds_for
from runscrape_proxy.gateway.scrape import PARKED, WAIT_SECONDS, Parked, Scrape
from runscrape_proxy.serving.answers import BodyBreaksOff, BodyTooLarge, plain_answer, status_of
from runscrape_proxy.serving.polling import TICK_SECONDS, PollingWorker
from runscrape_proxy.serving.receiving import MAX_BODY, audience_in
from runscrape_proxy.serving.threads import Threads
from runscrape_proxy.settings import WARM_THREADS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future
    from types import FrameType
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from runscrape_proxy.serving.waiting import ClientConnection

log = logging.getLogger(__name__)

REQUEST_SECONDS = 15.0
"""From a whole request to its answer's last byte, on top of the mint timeout or the scrape's."""

SERVICE_SECONDS: Final = 0.1
"""For which a thread waits for a service, while there are few: most have answered by then."""

STUCK_SECONDS: Final = 0.5
"""An answer that its client has not read for so long is cut off once its thread is needed."""

MAX_STUCK: Final = 64
"""How many such answers are held at once, whose threads nobody needs."""

COLD_AT_ONCE: Final = 8
"""Requests for tokens that are not held whose threads work, and do not wait for Google yet."""

COLD_SECONDS: Final = 0.002
"""How soon it is looked at again whether there is room for the next of them; one always gets it."""

PASSED_ON: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
"""Signals that gunicorn's first process passes on to the worker; a terminal sends them to both."""

TOLD_TIMEOUT: Final = "X-PROMETHEUS-SCRAPE-TIMEOUT-SECONDS"


class ProxyWorker(PollingWorker):
    """The worker process. ``app.proxy`` is the :class:`~runscrape_proxy.proxy.TokenProxy`."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._ends: dict[ClientConnection, float] = {}
        """When each request that has a thread is cut off."""
        self._serving = threading.local()
        self._parked: dict[ClientConnection, Scrape] = {}
        """Scrapes that wait for their services, without a thread."""
        self._cold: deque[ClientConnection] = deque()
        """Requests for tokens that are not held, before they get a thread."""

    def get_thread_pool(self) -> Threads:
        """Make the pool that requests run in."""
        return Threads(max_workers=self.cfg.threads)

    def init_signals(self) -> None:
        """Add SIGHUP, which the arbiter passes on."""
        super().init_signals()
        signal.signal(signal.SIGHUP, self._hang_up)
        signal.siginterrupt(signal.SIGHUP, False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)

    def load_wsgi(self) -> None:
        """Have it noted when the application has an answer."""
        self.wsgi: WSGIApplication = partial(self._call, self.app.wsgi())

    def tick(self, now: float) -> None:
        """Cut off what takes too long."""
        super().tick(now)
        for connection, end in list(self._ends.items()):
            if end < now:
                cut_off(connection)
        for connection, scrape in list(self._parked.items()):
            if scrape.deadline.left <= 0:
                self._resume(connection)
        stuck = [each for each in list(self._ends) if each.answered_at < now - STUCK_SECONDS]
        stuck.sort(key=lambda connection: connection.answered_at)
        for connection in stuck[: max(self.tpool.queued, len(stuck) - MAX_STUCK)]:
            cut_off(connection)

    def begin(self, connection: ClientConnection, request: bytes) -> None:
        """Serve a request; one for a token that is not held comes after those that are under way.

        Else a thousand of them at once, as when Prometheus starts, would hold up all others.
        """
        audience = audience_in(request)
        if audience and not self.app.proxy.tokens.holds(audience):
            self._cold.append(connection)
        else:
            super().begin(connection, request)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Serve what has come, then some of what has to wait."""
        seconds = COLD_SECONDS if self._cold else min(timeout, TICK_SECONDS)
        super().wait_for_and_dispatch_events(seconds)
        if not self._cold:
            return
        working = len(self._ends) + self.tpool.queued - self.app.proxy.tokens.waiting
        for _ in range(min(len(self._cold), max(1, COLD_AT_ONCE - working))):
            connection = self._cold.popleft()
            with self.dropped_on_error(connection):
                self.serve(connection)

    def handle(self, conn: ClientConnection) -> bool | Scrape:
        """Serve one request of a connection, in a thread of the pool.

        Returns whether the connection goes on, or the scrape that waits for its service.
        """
        self._ends[conn] = time.monotonic() + REQUEST_SECONDS + self.app.settings.mint_timeout
        self._serving.connection = conn
        try:
            return bool(super().handle(conn))
        except Parked as parked:
            return parked.scrape
        finally:
            conn.answered_at = inf
            self._ends.pop(conn, None)

    def finish_request(self, conn: ClientConnection, fs: Future[Any]) -> None:
        """Go on with a connection whose request is served, or waits for a service."""
        scrape = None if fs.cancelled() or fs.exception() else fs.result()
        if not isinstance(scrape, Scrape):
            super().finish_request(conn, fs)
            return
        conn.parked = self._parked[conn] = scrape
        try:
            self.poller.register(
                scrape.call.sock, selectors.EVENT_READ, lambda _sock: self._resume(conn)
            )
        except (OSError, ValueError):  # cut off meanwhile
            self._resume(conn)

    def handle_request(self, req: Any, conn: ClientConnection) -> Any:
        """Serve a request whose head is read; a scrape may take as long as its client says."""
        if conn.parked is None:
            req._expected_100_continue = False  # noqa: SLF001  the body is here, or is refused
            read_body(req, ended=conn.ended)
        if self._is_scrape(req.uri):
            told = dict(req.headers).get(TOLD_TIMEOUT)
            self._ends[conn] = time.monotonic() + REQUEST_SECONDS + seconds_for(told)
        return super().handle_request(req, conn)

    def handle_error(self, req: object, client: Any, addr: object, exc: Exception) -> None:  # noqa: ARG002  gunicorn's own
        """Answer what could not be read as HTTP; nothing of it goes into the log."""
        if isinstance(exc, http_errors.ParseException):
            peer = self._serving.connection.peer
            if self.troubles.is_new(f"HTTP {peer}", type(exc).__name__):
                log.warning(
                    "refused: not HTTP as it must be (%s)",
                    type(exc).__name__,
                    extra={"fields": {"client": peer}},
                )
            status = status_of(exc)
        else:
            log.error("a request failed in a way that it must not", exc_info=exc)
            status = "500 Internal Server Error"
        try:
            util.write(client, plain_answer(status))
        except OSError:
            log.debug("the client is gone")

    def _hang_up(self, _signal: int, _frame: FrameType | None) -> None:
        self.app.proxy.reload()

    def _resume(self, conn: ClientConnection) -> None:
        """Have a scrape go on: its service has answered, or its time is over."""
        scrape = self._parked.pop(conn, None)
        if scrape is None:
            return
        with contextlib.suppress(OSError, ValueError, KeyError):
            self.poller.unregister(scrape.call.sock)
        if not self.serve(conn):
            scrape.give_up()

    def _is_scrape(self, uri: str) -> bool:
        return self.app.settings.gateway and not uri.startswith("/")

    def _call(
        self, app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        conn = self._serving.connection
        environ[WAIT_SECONDS] = SERVICE_SECONDS if len(self._ends) <= WARM_THREADS else 0.0
        environ[PARKED], conn.parked = conn.parked, None
        answer = app(environ, start_response)
        if not self._is_scrape(environ["RAW_URI"]):  # whose slots see to it
            conn.answered_at = time.monotonic()
        return answer


def cut_off(connection: ClientConnection) -> None:
    """End both directions, past the TLS layer, which another thread is using."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)


def read_body(req: Any, *, ended: bool) -> None:
    """Read a body that came in chunks; let the connection end where a body did not come whole.

    So no application meets a body that breaks off, and no rest of one is taken for a request.
    Raises gunicorn's ParseException. ``ended`` says that the client sends no more.
    """
    reader = req.body.reader
    if isinstance(reader, ChunkedReader):
        req.force_close()
        try:
            req.body = io.BytesIO(req.body.read(MAX_BODY + 1))
        except http_errors.NoMoreData:
            raise (BodyBreaksOff if ended else BodyTooLarge) from None
    elif isinstance(reader, LengthReader) and reader.length != len(req.unreader.buf.getvalue()):
        req.force_close()
