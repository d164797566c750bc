"""Gunicorn's threaded worker, with what a token proxy needs beyond it.

A request that trickles in does not hold a thread for ever, nor a client that does not close the
process; a thread or file descriptor too many does not end it; what is no HTTP is answered in JSON
and not quoted in the log.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import selectors
import signal
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from gunicorn import util
from gunicorn.http import errors as http_errors
from gunicorn.workers.gthread import ThreadWorker

from runscrape_proxy.gateway.request import seconds_for

if TYPE_CHECKING:
    from types import FrameType

log = logging.getLogger(__name__)

REQUEST_SECONDS = 15.0
"""From a request's first byte to its answer's last, on top of the mint timeout or the scrape's."""

TOLD_TIMEOUT = "X-PROMETHEUS-SCRAPE-TIMEOUT-SECONDS"

LINGER_SECONDS = 1.0
"""After the last answer on a connection, for the client to read it and to close too."""

NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
NO_ROOM_PAUSE = 0.02

_STATUS = {
    http_errors.LimitRequestLine: "414 URI Too Long",
    http_errors.LimitRequestHeaders: "431 Request Header Fields Too Large",
    http_errors.UnsupportedTransferCoding: "501 Not Implemented",
}


class Pool(ThreadPoolExecutor):
    """A pool that goes on with the threads it has where the system gives no more."""

    def _adjust_thread_count(self) -> None:
        # The work is queued before this is called, so that a running thread will take it up.
        try:
            super()._adjust_thread_count()
        except RuntimeError:
            if not self._threads:
                raise
            log.warning("no more threads from the system: %d serve", len(self._threads))


class ProxyWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """The worker process. ``app.service`` is the :class:`~runscrape_proxy.proxy.Service`."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._ends: dict[Any, float] = {}

    def get_thread_pool(self) -> Pool:
        """Make the pool that requests run in."""
        return Pool(max_workers=self.cfg.threads)

    def init_signals(self) -> None:
        """Add SIGHUP, which the arbiter passes on."""
        super().init_signals()
        signal.signal(signal.SIGHUP, self._hang_up)
        signal.siginterrupt(signal.SIGHUP, False)

    def _hang_up(self, _signal: int, _frame: FrameType | None) -> None:
        self.app.service.reload()

    def notify(self) -> None:
        """Tell the arbiter that we live, about once a second; cut off what takes too long."""
        super().notify()
        now = time.monotonic()
        for connection, end in list(self._ends.items()):
            if end < now and self._ends.pop(connection, 0.0):
                with contextlib.suppress(OSError):
                    # Past the TLS layer, which another thread is using.
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection; where the system has no room, later."""
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            log.error("cannot accept a connection: %s", error.strerror)  # noqa: TRY400  no bug
            time.sleep(NO_ROOM_PAUSE)

    def enqueue_req(self, conn: Any) -> None:
        """Give a connection a thread once there is something to read on it.

        Gunicorn by itself lets a thread wait up to 5 s for a new connection's first byte.
        """
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + self.cfg.keepalive
        self.pending_conns.append(conn)
        readable = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, readable)

    def handle(self, conn: Any) -> Any:
        """Serve one request of a connection, in a thread of the pool."""
        self._ends[conn] = time.monotonic() + REQUEST_SECONDS + self.app.settings.mint_timeout
        try:
            kept = super().handle(conn)
        finally:
            self._ends.pop(conn, None)
        if not kept:
            util.close_graceful(conn.sock, timeout=LINGER_SECONDS)
        return kept

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Go on with a connection whose request is done; runs in the thread that serves all.

        Gunicorn by itself would wait here for up to 2 s until the client closes, each client that
        does not, and answer nobody meanwhile. :meth:`handle` has done that, in its own thread.
        """
        if fs.cancelled() or fs.exception() or not fs.result():
            self.nr_conns -= 1
            util.close(conn.sock)
        else:
            super().finish_request(conn, fs)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Serve a request whose head is read; a scrape may take as long as its client says."""
        if self.app.settings.gateway and not req.uri.startswith("/"):
            told = dict(req.headers).get(TOLD_TIMEOUT)
            self._ends[conn] = time.monotonic() + REQUEST_SECONDS + seconds_for(told)
        return super().handle_request(req, conn)

    def handle_error(self, req: object, client: Any, addr: object, exc: Exception) -> None:  # noqa: ARG002  gunicorn's own
        """Answer what could not be read as HTTP; nothing of it goes into the log."""
        if isinstance(exc, ssl.SSLError):
            log.info("a TLS handshake failed: %s", exc.reason)
            return
        if isinstance(exc, http_errors.ParseException):
            log.warning("refused: not HTTP as it must be (%s)", type(exc).__name__)
            status, error = _STATUS.get(type(exc), "400 Bad Request"), "invalid_request"
        else:
            log.error("a request failed in a way that it must not", exc_info=exc)
            status, error = "500 Internal Server Error", "server_error"
        body = json.dumps({"error": error, "error_description": status[4:]})
        try:
            util.write(client, _PLAIN_ANSWER.format(status, len(body), body).encode())
        except OSError:
            log.debug("the client is gone")


_PLAIN_ANSWER = (
    "HTTP/1.1 {}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    "Cache-Control: no-store\r\nContent-Length: {}\r\n\r\n{}"
)
