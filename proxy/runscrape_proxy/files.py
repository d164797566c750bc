"""Files that are read again when they change, and whose last good content stays when they break."""

from __future__ import annotations

import errno
import logging
import os
import stat
from threading import Lock
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from runscrape_proxy.errors import StartError, printed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

T = TypeVar("T")
Version = tuple[tuple[int, int, int, int], ...]
"""Of each file: when it and its inode changed (ns), its size and its inode."""

log = logging.getLogger(__name__)

NULL_DEVICE: Final = os.makedev(1, 3)
MEBIBYTE: Final = 1024 * 1024
MAX_BYTES: Final = MEBIBYTE
"""Secrets and credentials have some thousand, a bundle of certificate authorities a quarter."""


class Watched(Generic[T]):
    """What is made of one or several files: ``value`` is None until they could be read once.

    ``load`` reads them and raises OSError or ValueError where they are bad. Nothing is read until
    :meth:`load` or :meth:`refresh`. Values are swapped in whole, so readers need no lock.
    """

    def __init__(self, paths: Sequence[Path], load: Callable[[], T], *, what: str) -> None:
        self.paths = tuple(paths)
        self.value: T | None = None
        self.error = "not read yet"
        """Why the files cannot be used as they are now, in one line; empty where they can."""
        self.modified_at: float | None = None
        """When the files that ``value`` came from were written, in seconds since the epoch."""
        self._load = load
        self._name = f"{what} {', '.join(map(str, self.paths))}"
        self._judged: Version | None = None
        self._verdict = ""
        """What was wrong with the version that was judged; empty if it was good."""
        self._lock = Lock()

    def load(self) -> T:
        """Read now. Raises StartError in one line if that fails."""
        self.refresh(quiet=True)
        return self.held

    @property
    def held(self) -> T:
        """The value. Raises StartError in one line while there is none."""
        if self.value is None:
            raise StartError(f"{self._name}: {self.error}")
        return self.value

    def refresh(self, *, quiet: bool = False) -> bool:
        """Read again if the files are others than last time; True if ``value`` is new.

        A bad file is named in the log once (unless ``quiet``), and the old value stays.
        """
        with self._lock:
            before = self.value
            error = self._read_changes()
            if error and error != self.error and not quiet:
                kept = "; what was read before stays in force" if self.value is not None else ""
                log.error("%s: %s%s", self._name, error, kept)
            elif self.error and not error and before is not None:
                log.info("%s: good again", self._name)
            self.error = error
            return self.value != before

    def _read_changes(self) -> str:
        """Read what is new. Returns what is wrong now; empty for nothing.

        Content is judged once for each version of the files. What keeps them from being read at
        all (a file that is away, no file descriptors) is no verdict: the next look tries again.
        """
        try:
            version = tuple(_version_of(path) for path in self.paths)
            if version != self._judged:
                self._judge(version)
        except (OSError, MemoryError) as error:
            return _reason(error)
        return self._verdict

    def _judge(self, version: Version) -> None:
        try:
            value = self._load()
        except (ValueError, RecursionError) as error:
            self._verdict = _reason(error)
        else:
            self._verdict = ""
            self.modified_at = max(modified for modified, *_ in version) / 1e9
            if value != self.value:
                self.value = value
        self._judged = version


class WatchedFile(Watched[T]):
    """One file; ``parse`` turns its bytes into the value, or raises ValueError."""

    def __init__(
        self, path: Path, parse: Callable[[bytes], T], *, what: str, limit: int = MAX_BYTES
    ) -> None:
        super().__init__([path], lambda: parse(read_regular(path, limit)), what=what)
        self.path = path


def read_regular(path: Path, limit: int = MAX_BYTES) -> bytes:
    """Read a file of at most ``limit`` bytes; links are followed.

    Raises OSError, and ValueError for a larger file or for what is no regular file: a pipe could
    hang, a device never end. Only /dev/null is taken, as an empty file.
    """
    _check(path.stat(), limit)
    # Without O_NONBLOCK it would wait for a writer, had it become a pipe since.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        _check(os.fstat(file.fileno()), limit)
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(_too_large(limit))
    return content


def warn_of_readers(path: Path, *, mode: int) -> None:
    """Log that every user of this machine can read a file with a secret in it, if that is so."""
    if path.stat().st_mode & stat.S_IROTH:
        log.warning(
            "%s holds a secret, and every user of this machine can read it: chmod %o", path, mode
        )


def _check(status: os.stat_result, limit: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode) and status.st_rdev != NULL_DEVICE:
        raise ValueError("not a regular file")
    if status.st_size > limit:
        raise ValueError(_too_large(limit))


def _too_large(limit: int) -> str:
    return (
        f"larger than {limit // 1024} KiB"
        if limit < MEBIBYTE
        else f"larger than {limit // MEBIBYTE} MiB"
    )


def _version_of(path: Path) -> tuple[int, int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _reason(error: Exception) -> str:
    match error:
        case OSError():
            return error.strerror or type(error).__name__
        case RecursionError():
            return "nested too deeply"
        case MemoryError():
            return "not enough memory to read it"
    return printed(" ".join(str(error).split()))
