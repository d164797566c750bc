"""The part of the worker that waits for clients: in the poller, where a connection costs no thread.

New connections, TLS handshakes, requests that are still coming, idle connections and those whose
client is to close: all of them wait here, each until a time of its own, and the oldest of the peer
that has the most are given up when room is short.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import resource
import selectors
import socket
import ssl
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from gunicorn import util
from gunicorn.http.parser import RequestParser
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker
from urllib3.util import wait_for_read

from runscrape_proxy.serving.answers import plain_answer
from runscrape_proxy.serving.receiving import HeadTooLarge, next_request
from runscrape_proxy.serving.threads import Threads
from runscrape_proxy.serving.tls import go_on_with_handshake
from runscrape_proxy.serving.waiting import ClientConnection, Phase, Waiting
from runscrape_proxy.troubles import Troubles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

log = logging.getLogger(__name__)

RECEIVE_SECONDS = 5.0
"""For a TLS handshake and the request after it to be whole."""

MAX_RECEIVING = 2048
"""Connections whose request is not whole: some 50 KiB each in a TLS handshake."""

LINGER_SECONDS = 1.0
"""After the last answer on a connection, for the client to read it and to close too."""

MAX_DRAINED: Final = 64 * 1024
"""Bytes that a client may go on sending meanwhile."""

TICK_SECONDS: Final = 0.25
"""How often it is looked at whose time is over."""

ACCEPTED_AT_ONCE: Final = 64
HANDSHAKES_AT_ONCE: Final = os.cpu_count() or 1
NO_ROOM: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
NO_ROOM_PAUSE: Final = 0.02


class OneRequest(RequestParser):  # type: ignore[misc]  # gunicorn has no types
    """The parser of one request, which it gives each time that it is asked."""

    def __next__(self) -> Any:
        return self.mesg or super().__next__()


class PollingWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Gunicorn's worker, whose threads get whole requests only."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.waiting = Waiting()
        self.troubles = Troubles()
        self._max_receiving = max(1, min(MAX_RECEIVING, self.worker_connections // 2))
        self._handshakes = Threads(HANDSHAKES_AT_ONCE)
        self._next_tick = 0.0

    def accept(self, listener: socket.socket) -> None:
        """Accept what has come; where the system has no room, others go or it comes later."""
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted, address = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                self._no_room(error)
                return
            self.nr_conns += 1
            # What a client of a Unix socket bound its own end to is any bytes that it likes.
            client = address if isinstance(address, tuple) else ""
            connection = ClientConnection(self.cfg, accepted, client, listener.getsockname())
            connection.until = time.monotonic() + RECEIVE_SECONDS
            self._wait(connection, Phase.RECEIVING)
            self._make_room()

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001  gunicorn's own
        """Listen, or not; a worker that stops takes what has come, and refuses what comes later.

        Gunicorn by itself would let new clients wait until the process ends, and cut them off.
        """
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            for listener in self.sockets:
                self.accept(listener)
                listener.close()
            self.sockets.clear()  # it may be told twice

    def is_parent_alive(self) -> bool:
        """Whether gunicorn's first process lives; a worker that has lost it stops as for SIGTERM.

        Gunicorn by itself would keep the port until the last request is answered, so that a proxy
        that is started in its place finds it taken.
        """
        if super().is_parent_alive():
            return True
        self.alive = False
        return False

    def finish_request(self, conn: ClientConnection, fs: Future[Any]) -> None:
        """Go on with a connection whose request is served; runs in the thread that polls.

        Gunicorn by itself would wait here for up to 2 s until the client closes, each client that
        does not, and answer nobody meanwhile.
        """
        with self.dropped_on_error(conn):
            conn.sock.setblocking(False)
            if fs.cancelled() or fs.exception() or not fs.result():
                self._start_closing(conn)
                return
            conn.phase = Phase.IDLE
            idle = self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER
            conn.until = time.monotonic() + idle
            self._receive(conn)

    def murder_keepalived(self, force: bool = False) -> None:  # noqa: FBT001, FBT002  gunicorn's own
        """Give up the connections whose time is over (or all); gunicorn calls it all the time."""
        now = time.monotonic()
        if force:
            for connection in list(self.waiting):
                self.drop(connection)
        elif now >= self._next_tick:
            self._next_tick = now + TICK_SECONDS
            self.tick(now)

    def tick(self, now: float) -> None:
        """Give up the connections whose time is over."""
        for connection in [each for each in self.waiting if each.until <= now]:
            with self.dropped_on_error(connection):
                if wait_for_read(connection.sock, timeout=0.0):
                    continue  # it was this process that was late: what has come is read first
                if connection.phase is Phase.RECEIVING and connection.received:
                    self.refuse(connection, "408 Request Timeout")
                else:
                    self.drop(connection)

    def _cap_keepalive(self, deadline: float) -> None:
        # A worker that stops gives its clients no longer than that.
        for connection in self.waiting:
            connection.until = min(connection.until, deadline)

    def begin(self, connection: ClientConnection, request: bytes) -> None:  # noqa: ARG002  for subclasses
        """Have a whole request served."""
        self.serve(connection)

    def serve(self, connection: ClientConnection) -> bool:
        """Give a whole request a thread; False, and an answer, if there is not a single one."""
        try:
            self.enqueue_req(connection)
        except RuntimeError:
            self._no_thread()
            self.refuse(connection, "503 Service Unavailable")
            return False
        return True

    def drop(self, connection: ClientConnection) -> None:
        """Close a connection at once."""
        if connection.dropped:
            return
        connection.dropped = True
        self._stop_waiting(connection)
        self.nr_conns -= 1
        util.close(connection.sock)

    def refuse(self, connection: ClientConnection, status: str) -> None:
        """Answer a request that no thread gets, as far as the client takes it, and close."""
        with contextlib.suppress(OSError):
            connection.sock.send(plain_answer(status))
        self._start_closing(connection)

    def _wait(
        self, connection: ClientConnection, phase: Phase, event: int = selectors.EVENT_READ
    ) -> None:
        if connection.polled:
            self.waiting.remove(connection)
        else:
            self.poller.register(connection.sock, event, partial(self._ready, connection))
            connection.polled = True
        connection.phase = phase
        self.waiting.add(connection)

    def _stop_waiting(self, connection: ClientConnection) -> None:
        if connection.polled:
            connection.polled = False
            self.waiting.remove(connection)
            with contextlib.suppress(OSError, ValueError, KeyError):
                self.poller.unregister(connection.sock)

    def _make_room(self) -> None:
        while self.waiting.count(Phase.RECEIVING) > self._max_receiving:
            self._give_up(Phase.RECEIVING)
        while self.nr_conns >= self.worker_connections and self._give_up():
            pass

    def _give_up(self, *phases: Phase) -> bool:
        connection = self.waiting.first_to_go(*phases)
        if connection is None:
            return False
        if self.troubles.is_new(f"room {connection.peer}", "given up"):
            log.warning(
                "too many connections wait for their clients: the oldest of %s are given up, of"
                " which there are most",
                connection.peer,
            )
        self.drop(connection)
        return True

    def _no_room(self, error: OSError) -> None:
        if not self._give_up():
            time.sleep(NO_ROOM_PAUSE)
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if self.troubles.is_new("accept", error.strerror or ""):
            log.error("cannot accept a connection: %s (ulimit -n: %d)", error.strerror, limit)

    def _ready(self, connection: ClientConnection, _sock: object) -> None:
        """The client has sent something, or closed."""
        with self.dropped_on_error(connection):
            if connection.phase is Phase.CLOSING:
                self._drain(connection)
            elif connection.secured:
                self._receive(connection)
            else:
                self._stop_waiting(connection)
                self._start_handshake(connection)

    def _receive(self, connection: ClientConnection) -> None:
        """Read what has come, and serve it if it is a whole request."""
        try:
            request = next_request(connection)
        except HeadTooLarge:
            self.refuse(connection, "431 Request Header Fields Too Large")
            return
        if request is None:
            phase = connection.phase
            if phase is Phase.IDLE and connection.received:
                phase = Phase.RECEIVING
                connection.until = time.monotonic() + RECEIVE_SECONDS
            self._wait(connection, phase)
            return
        self._stop_waiting(connection)
        connection.initialized = True
        connection.parser = OneRequest(self.cfg, [request], connection.client)
        self.begin(connection, request)

    def _start_handshake(self, connection: ClientConnection) -> None:
        try:
            self._handshakes.submit(self._shake_hands, connection)
        except RuntimeError:
            self._no_thread()
            self.drop(connection)

    def _no_thread(self) -> None:
        if self.troubles.is_new("threads", "none"):
            log.error("no thread can be started: requests are refused")

    def _shake_hands(self, connection: ClientConnection) -> None:
        """Go on with a TLS handshake; runs in a thread of its own."""
        event = 0
        try:
            event = go_on_with_handshake(connection, self.cfg)
        except OSError as error:
            reason = getattr(error, "reason", None) or error.strerror
            if self.troubles.is_new(f"TLS {connection.peer}", str(reason)):
                log.info("a TLS handshake with %s failed: %s", connection.peer, reason)
        except Exception:
            log.exception("a TLS handshake failed in a way that it must not")
        self.method_queue.defer(self._shaken_hands, connection, event)

    def _shaken_hands(self, connection: ClientConnection, event: int) -> None:
        with self.dropped_on_error(connection):
            if not event:
                self.drop(connection)
            elif connection.secured:
                self._receive(connection)
            else:
                self._wait(connection, Phase.RECEIVING, event)
                self._make_room()

    def _start_closing(self, connection: ClientConnection) -> None:
        """Tell the client that nothing more comes, and let it read the last answer.

        A socket that is closed with unread data on it would take the answer away from the client
        (RFC 9112, section 9.6).
        """
        try:
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.drop(connection)
            return
        connection.until = time.monotonic() + LINGER_SECONDS
        connection.received.clear()
        connection.drained = 0
        self._wait(connection, Phase.CLOSING)

    def _drain(self, connection: ClientConnection) -> None:
        try:
            data = connection.sock.recv(8192)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        connection.drained += len(data)
        if not data or connection.drained > MAX_DRAINED:
            self.drop(connection)

    @contextlib.contextmanager
    def dropped_on_error(self, connection: ClientConnection) -> Iterator[None]:
        """Let nothing about a connection end the loop that serves all of them."""
        try:
            yield
        except OSError:  # the client is gone
            self.drop(connection)
        except Exception:
            log.exception("a connection failed in a way that it must not")
            self.drop(connection)
