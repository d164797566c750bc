"""Signals as exceptions in the main thread, so that they end even a slow listing at once.

SIGINT and SIGTERM always raise where the program is: every file is whole at every moment, so there
is no moment at which they must wait. SIGHUP (only in ``--watch``) raises while a run lists or
sleeps, and waits while a run publishes: what it asks for is a new run, not the loss of this one.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, ClassVar, NoReturn


class Interrupted(KeyboardInterrupt):
    """SIGINT: the run ends with 130, as shells report it."""

    exit_code: ClassVar[int] = 128 + signal.SIGINT


class Terminated(Interrupted):
    """SIGTERM: the run ends with 143."""

    exit_code = 128 + signal.SIGTERM


class Reread(BaseException):
    """SIGHUP: read the settings again and run now. No Exception: no library may swallow it."""


def behind(error: BaseException) -> Interrupted | Reread | None:
    """What broke off the call that failed with *error*: a lock that it holds may complain of it."""
    while error.__context__ is not None:
        error = error.__context__
        if isinstance(error, Interrupted | Reread):
            return error
    return None


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Interrupted


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


_SOON = 0.01
"""Seconds, after which the main thread should be out of what dropped an exception."""


def _send_again(dropped: Any, show: Callable[[Any], object]) -> None:
    """Send a signal once more whose exception came in a destructor, where Python drops it.

    :class:`Reread` needs none of that: :meth:`Hangup.heed` raises it until it has arrived.
    """
    if not issubclass(dropped.exc_type, Interrupted | Reread):
        show(dropped)
    elif issubclass(dropped.exc_type, Interrupted):
        number = dropped.exc_type.exit_code - 128
        again = threading.Timer(_SOON, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()


@contextmanager
def raising() -> Iterator[None]:
    """Raise :class:`Interrupted` on SIGINT and :class:`Terminated` on SIGTERM inside the block.

    A SIGINT that the parent has chosen to ignore (``nohup``, a shell's ``&``) stays ignored.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if before[signal.SIGINT] is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _terminate)
    show = sys.unraisablehook
    sys.unraisablehook = partial(_send_again, show=show)
    try:
        yield
    finally:
        sys.unraisablehook = show
        for number, handler in before.items():
            signal.signal(number, handler)


_WITH_LOCKS = frozenset(
    {"contextlib", "grpc", "importlib", "logging", "queue", "threading", "weakref", "_weakrefset"}
)
"""Packages whose code may just have taken a lock. The waiting itself is done in ours."""


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


class Hangup:
    """SIGHUP for ``--watch``: raises :class:`Reread` inside :meth:`armed`, else is remembered.

    It is installed before anybody knows whether the run is to watch, because until then a SIGHUP
    would end it; :meth:`release` is for those that do not.
    """

    def __init__(self) -> None:
        self._armed = False
        self._pending = False
        self._before: Any = signal.SIG_DFL

    @contextmanager
    def installed(self) -> Iterator[Hangup]:
        """Handle SIGHUP inside the block."""
        before = self._before = signal.signal(signal.SIGHUP, self._handle)
        alarm = signal.signal(signal.SIGALRM, self._look_again)
        try:
            yield self
        finally:
            signal.signal(signal.SIGHUP, before)
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, alarm)

    def release(self) -> None:
        """Handle SIGHUP as before again, also one that has come in the meantime."""
        signal.signal(signal.SIGHUP, self._before)
        if self._pending:
            self._pending = False
            signal.raise_signal(signal.SIGHUP)

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Raise :class:`Reread` at once inside the block, also for a SIGHUP that came before."""
        self._armed = True
        try:
            self.heed()
            yield
        except Reread:
            self._pending = False
            raise
        finally:
            self._armed = False

    @contextmanager
    def disarmed(self) -> Iterator[None]:
        """Remember a SIGHUP for :meth:`heed`; used around publishing."""
        before, self._armed = self._armed, False
        try:
            yield
        finally:
            self._armed = before

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._pending = True
        self._look_again(number, frame)

    def _look_again(self, _number: int, frame: FrameType | None) -> None:
        """Raise; a moment later where that would leave a lock held, which the next run needs."""
        if not (self._armed and self._pending):
            return
        if frame is not None and _package(frame) in _WITH_LOCKS:
            signal.setitimer(signal.ITIMER_REAL, _SOON)
        else:
            self.heed()

    def heed(self) -> None:
        """Raise :class:`Reread` if a SIGHUP has come; used inside :meth:`armed`.

        Also where one was raised before, and did not arrive. Another one does not come in between
        this one and whoever takes it.
        """
        if self._pending:
            self._armed = False
            raise Reread
