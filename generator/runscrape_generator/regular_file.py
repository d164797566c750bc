"""Reading ordinary files only: no pipe is waited for, and no gigabyte held in memory."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_regular(path: Path, limit: int) -> bytes:
    """Read a file of at most ``limit`` bytes; links are followed.

    Raises OSError, also for what is no regular file and for a larger one.
    """
    require_regular(path, limit)
    # Without O_NONBLOCK it would wait for a writer, had it become a pipe since.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise _too_large(path, limit)
    return content


def require_regular(path: Path, limit: int) -> None:
    """Raise OSError where the path is no regular file of at most ``limit`` bytes."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    if status.st_size > limit:
        raise _too_large(path, limit)


def _too_large(path: Path, limit: int) -> OSError:
    return OSError(errno.EFBIG, f"larger than {limit} bytes", str(path))
