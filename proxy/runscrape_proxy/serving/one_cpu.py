"""One CPU for a process that can use no more.

Python runs one thread at a time. On several CPUs, a thread that waits takes over wherever another
one makes a system call, which then waits for its turn, with its data in another CPU's cache: a
thousand cold requests take 1.8 ms of CPU each on one CPU, and 2.6 ms on two (`make bench`).
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys

log = logging.getLogger(__name__)


def bind() -> None:
    """Bind this process, and what it starts, to one of the CPUs that it may use.

    To be called before there are other threads. Where that is not possible, nothing changes.
    """
    if sys.platform == "linux" and not (_child_survives() and _try()):
        log.debug("not bound to one CPU: the system does not allow it")


def _try() -> bool:
    """Do it; False where the system refuses."""
    try:
        cpu = random.choice(sorted(os.sched_getaffinity(0)))  # noqa: S311  no secret
        os.sched_setaffinity(0, {cpu})
    except OSError:
        return False
    return True


def _child_survives() -> bool:
    """Try it in a child process: a sandbox may end whoever makes these calls."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # whoever ignores it is not told how a child ends
    try:
        child = os.fork()
    except OSError:  # no more processes, or no memory for one
        return False
    if not child:
        code = 1
        try:
            code = 0 if _try() else 1
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0
