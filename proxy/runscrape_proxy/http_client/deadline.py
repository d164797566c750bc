"""One moment by which a call has to be done."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

from urllib3.util.ssltransport import SSLTransport

from runscrape_proxy.http_client.errors import CutOff, TooSlow

if TYPE_CHECKING:
    from collections.abc import Iterator

Socket = socket.socket | SSLTransport
"""SSLTransport is TLS within the TLS of a proxy."""


class Deadline:
    """A moment ``seconds`` after this was made, by the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._cut_off = False
        self._waited_on: Socket | None = None
        self._interruptible = True

    @property
    def left(self) -> float:
        """Seconds until then; negative once it has passed."""
        return self._at - time.monotonic()

    def check(self) -> None:
        """Raise CutOff or TooSlow if there is no time left."""
        if self._cut_off:
            raise CutOff("given up in favour of other calls")
        if self.left <= 0:
            raise self.missed()

    def missed(self) -> TooSlow:
        """The error to raise where the deadline came first."""
        return TooSlow(f"no answer within {self.seconds:.3g} s")

    @contextlib.contextmanager
    def over(self, sock: Socket, share: float = 1.0) -> Iterator[None]:
        """Let what is done to a socket take this share of what is left.

        Raises CutOff, and TooSlow if the deadline has come (TimeoutError if only the share is
        over).
        """
        self._waited_on = sock
        self.renew(sock, share)
        try:
            yield
        except TimeoutError:
            self.check()
            if share == 1:
                raise self.missed() from None
            raise
        except OSError:
            self.check()
            raise

    def renew(self, sock: Socket, share: float = 1.0) -> None:
        """Let the next step on a socket take what is left now. Raises CutOff and TooSlow."""
        left = self._at - time.monotonic()
        if left <= 0 or self._cut_off:
            self.check()
        sock.settimeout(max(left * share, 0.001))  # 0 would mean not to block

    def release(self) -> None:
        """Let go of the socket: it may serve another call now."""
        with self._lock:
            self._waited_on = None

    @contextlib.contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """Say that nothing can end what is done now, so that :meth:`cut` does not try."""
        with self._lock:
            self._interruptible = False
        try:
            yield
        finally:
            self._interruptible = True

    def cut(self) -> bool:
        """Give the call up from another thread: now, or before it next waits on a socket.

        False where its thread could not be had back.
        """
        with self._lock:
            if not self._interruptible:
                return False
            self._cut_off = True
            if self._waited_on is not None:
                shut(self._waited_on)
            return True


def shut(sock: Socket) -> None:
    """End both directions at once, past the TLS layer, which another thread may be using."""
    plain = sock.socket if isinstance(sock, SSLTransport) else sock
    with contextlib.suppress(OSError):
        socket.socket.shutdown(plain, socket.SHUT_RDWR)
