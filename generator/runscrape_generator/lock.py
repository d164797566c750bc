"""One run at a time on a file: an advisory lock (flock) on a hidden file beside it.

The kernel drops the lock with the process, however that ends. The lock file stays: removing it
would race with the next run, and each change in the folder makes Prometheus re-read its file_sd
files there.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runscrape_generator import files
from runscrape_generator.errors import LockedError

_SUFFIX = ".runscrape-lock"


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock of ``path`` (resolved) inside the block.

    Raises LockedError at once where another run has it, WriteError where there can be no lock file.
    Open for reading and 0644, so that a run as root does not shut out later ones as another user.
    """
    name = files.beside(path, _SUFFIX)
    flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        file = open(os.open(name, flags, 0o644), "rb")  # noqa: PTH123, SIM115 - closed below
    except OSError as error:
        raise files.failure(path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(
                f"another run of runscrape is at work on {path} (it holds {name}); "
                "nothing was done, try again when it is over"
            ) from None
        except OSError as error:
            raise files.failure(name, error) from error
        yield
