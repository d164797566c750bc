"""Signals as exceptions in the main thread, so that they end even a slow listing at once.

SIGINT and SIGTERM always raise where the program is: every file is whole at every moment, so there
is no moment at which they must wait. SIGHUP (only in ``--watch``) raises where the main thread
waits for Google or for the next run, and is remembered elsewhere: what it asks for is a new run,
and this process has to be whole for that.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from types import FrameType
from typing import Any, ClassVar, NoReturn


class Interrupted(KeyboardInterrupt):
    """SIGINT: the run ends with 130, as shells report it."""

    number: ClassVar = signal.SIGINT
    exit_code: ClassVar[int] = 128 + signal.SIGINT


class Terminated(Interrupted):
    """SIGTERM: the run ends with 143."""

    number = signal.SIGTERM
    exit_code = 128 + signal.SIGTERM


class Reread(BaseException):
    """SIGHUP: read the settings again and run now. No Exception: no library may swallow it."""

    number: ClassVar = signal.SIGHUP


def behind(error: BaseException) -> Interrupted | None:
    """What broke off the call that failed with *error*: a lock that it holds may complain of it."""
    while error.__context__ is not None:
        error = error.__context__
        if isinstance(error, Interrupted):
            return error
    return None


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Interrupted


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


_SOON = 0.01
"""Seconds, after which the main thread should be out of what dropped an exception."""


def _send_again(dropped: Any, show: Callable[[Any], object]) -> None:
    """Send a signal once more whose exception came in a destructor, where Python drops it."""
    if not issubclass(dropped.exc_type, Interrupted | Reread):
        show(dropped)
        return
    again = threading.Timer(_SOON, os.kill, (os.getpid(), dropped.exc_type.number))
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


class Hangup:
    """SIGHUP for ``--watch``: raises :class:`Reread` in :func:`waiting`, else is remembered.

    It is installed before anybody knows whether the run is to watch, because until then a SIGHUP
    would end it; :meth:`release` is for those that do not.
    """

    current: ClassVar[Hangup | None] = None
    """The one that is installed."""

    def __init__(self) -> None:
        self._armed = False
        self._waits = False
        self._pending = False
        self._before: Any = signal.SIG_DFL

    @contextmanager
    def installed(self) -> Iterator[Hangup]:
        """Handle SIGHUP inside the block."""
        before = self._before = signal.signal(signal.SIGHUP, self._handle)
        outer, Hangup.current = Hangup.current, self
        try:
            yield self
        finally:
            Hangup.current = outer
            signal.signal(signal.SIGHUP, before)

    def release(self) -> None:
        """Handle SIGHUP as before again, also one that has come in the meantime."""
        signal.signal(signal.SIGHUP, self._before)
        if self._pending:
            self._pending = False
            signal.raise_signal(signal.SIGHUP)

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Let :class:`Reread` come inside the block, at once for a SIGHUP that came before."""
        self._armed = True
        try:
            self.heed()
            yield
        finally:
            self._armed = False

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """See the function of that name."""
        self._waits = True
        try:
            self.heed()
            yield
        finally:
            self._waits = False

    def heed(self) -> None:
        """Raise :class:`Reread` if a SIGHUP has come; used inside :meth:`armed`."""
        if self._armed and self._pending:
            self._pending = False
            raise Reread

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._pending = True
        if self._waits:
            self.heed()


def waiting() -> AbstractContextManager[None]:
    """Let a SIGHUP end the block, in which the main thread does nothing but wait.

    Anywhere else it could leave a lock held (of logging, of gRPC), on which the next run waits.
    """
    return Hangup.current.waiting() if Hangup.current is not None else nullcontext()
