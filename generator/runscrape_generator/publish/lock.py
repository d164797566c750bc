"""One run at a time on a file: an advisory lock (flock) on a hidden file beside it.

The kernel drops the lock with the process, however that ends. The lock file stays: removing it
would race with the next run, and each change in the folder makes Prometheus re-read its file_sd
files there.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from runscrape_generator.errors import LockedError
from runscrape_generator.publish import files

_SUFFIX = ".runscrape-lock"
_POLL = 0.05
"""Seconds between two tries: waiting in the kernel would have no end."""


@contextmanager
def held(path: Path, *, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock of ``path`` (resolved) inside the block.

    Raises LockedError where another run has it, after ``patience`` seconds, and WriteError where
    there can be no lock file. That is opened for reading and made with 0644, so that a run as root
    does not shut out later ones as another user.
    """
    name = files.beside(path, _SUFFIX)
    flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        file = open(os.open(name, flags, 0o644), "rb")  # noqa: PTH123, SIM115 - closed below
    except OSError as error:
        raise files.failure(path, error) from error
    with file:
        deadline = time.monotonic() + patience
        while not _taken(file, name):
            if time.monotonic() >= deadline:
                raise LockedError(
                    f"another run of runscrape is at work on {path} (it holds {name}); "
                    "nothing was done, try again when it is over"
                )
            time.sleep(_POLL)
        yield


def _taken(file: BinaryIO, name: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise files.failure(name, error) from error
    return True
