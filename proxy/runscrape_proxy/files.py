"""A file that is read again when it changes, and whose last good content stays when it breaks."""

from __future__ import annotations

import logging
import os
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

from runscrape_proxy.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")
Signature = tuple[int, int, int]

log = logging.getLogger(__name__)

MAX_BYTES = 256 * 1024 * 1024


class WatchedFile(Generic[T]):
    """The parsed content of one file: ``value`` is None until it could be read once.

    ``parse`` turns bytes into the value and raises ValueError for a bad file. Nothing is read
    until :meth:`load` or :meth:`refresh`. Values are swapped in whole, so readers need no lock.
    """

    def __init__(self, path: Path, parse: Callable[[bytes], T], *, what: str) -> None:
        self.path = path
        self.value: T | None = None
        self.error = "not read yet"
        """Why the newest reading failed, in one line; empty after a good one."""
        self.modified_at: float | None = None
        """When the file that ``value`` came from was written, in seconds since the epoch."""
        self._parse = parse
        self._what = what
        self._seen: Signature | None = None
        self._lock = Lock()

    def load(self) -> T:
        """Read now. Raises StartError in one line if that fails."""
        self.refresh(quiet=True)
        if self.value is None:
            raise StartError(f"{self._what} {self.path}: {self.error}")
        return self.value

    def refresh(self, *, quiet: bool = False) -> bool:
        """Read again if the file is another one than last time; True if ``value`` is new.

        A bad file is named in the log once (unless ``quiet``), and the old value stays.
        """
        with self._lock:
            try:
                content, signature, modified_at = self._read()
                if content is None:
                    return False
                value = self._parse(content)
            except (OSError, ValueError, RecursionError) as error:
                self._failed(_reason(error), quiet=quiet)
                return False
            if self.error and self.value is not None:
                log.info("%s %s is good again", self._what, self.path)
            self._seen, self.error, self.modified_at = signature, "", modified_at
            changed = value != self.value
            self.value = value
            return changed

    def _read(self) -> tuple[bytes | None, Signature, float]:
        with self.path.open("rb") as file:
            stat = os.fstat(file.fileno())
            signature = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if signature == self._seen:
                return None, signature, stat.st_mtime
            # A bad file is judged once: what fails from here on is not read again until it changes.
            self._seen = signature
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError("larger than 256 MiB")
        return content, signature, stat.st_mtime

    def _failed(self, reason: str, *, quiet: bool) -> None:
        if reason != self.error and not quiet:
            kept = "; the one read before stays in force" if self.value is not None else ""
            log.error("%s %s: %s%s", self._what, self.path, reason, kept)
        self.error = reason


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return " ".join(str(error).split())
