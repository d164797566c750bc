"""One run at a time on a file: an advisory lock (flock) on a hidden file about it.

The kernel drops the lock with the process, however that ends. The lock file stays: removing it
would race with the next run, and each change in the folder makes Prometheus re-read its file_sd
files there.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from runscrape_generator.errors import LockedError, WriteError
from runscrape_generator.publish import files

_SUFFIX = ".runscrape-lock"
_MODE = 0o600
_POLL = 0.05
"""Seconds between two tries: waiting in the kernel would have no end."""


@contextmanager
def held(path: Path, folder: Path | None = None, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock of ``path`` (resolved) inside the block; its file lies in ``folder``.

    Raises LockedError where another run has it, after ``wait`` seconds, and WriteError where
    there can be no lock file. Nobody else may open that (0600), for whoever can may lock it; one
    that root makes belongs to the folder's owner, whose own runs it would shut out otherwise.
    """
    name = files.hidden(path, _SUFFIX, folder)
    # Without O_NONBLOCK it would wait for a writer, had somebody put a pipe there.
    flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        file = open(os.open(name, flags, _MODE), "rb")  # noqa: PTH123, SIM115 - closed below
    except PermissionError as error:
        if not name.exists():
            raise files.failure(name, error) from error
        raise WriteError(
            f"cannot lock {path}: {name}: {error.strerror}; where it belongs to another user, who "
            "ran runscrape there before, remove it, or run as that user"
        ) from error
    except OSError as error:
        raise files.failure(name, error) from error
    with file:
        _require_our_file(file.fileno(), path, name)
        _keep_others_out(file.fileno(), name.parent)
        deadline = time.monotonic() + wait
        while not _taken(file, name):
            if time.monotonic() >= deadline:
                raise LockedError(
                    f"another run of runscrape is at work on {path} (it holds {name}); "
                    "nothing was done, try again when it is over"
                )
            time.sleep(_POLL)
        yield


def _require_our_file(descriptor: int, path: Path, name: Path) -> None:
    """Raise WriteError for a pipe, and for a file of another name that somebody linked there.

    That file would be given to the owner of the folder otherwise.
    """
    now = os.fstat(descriptor)
    if not stat.S_ISREG(now.st_mode) or now.st_nlink > 1:
        raise WriteError(
            f"cannot lock {path}: {name} is no regular file with this one name; remove it"
        )


def _keep_others_out(descriptor: int, folder: Path) -> None:
    """Mend mode and owner, also of a lock file that an older release made with 0644."""
    now = os.fstat(descriptor)
    if os.geteuid() == 0 and now.st_uid == 0 != (owner := folder.stat()).st_uid:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    if stat.S_IMODE(now.st_mode) != _MODE and os.geteuid() in {0, now.st_uid}:
        os.fchmod(descriptor, _MODE)


def _taken(file: BinaryIO, name: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise files.failure(name, error) from error
    return True
