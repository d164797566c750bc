"""Changes in a bundle's folder: all of them or none, and no link followed (:mod:`.folder`)."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import TracebackType
from typing import Self

from runscrape_generator.bootstrap.folder import DIRECTORY, Folder, Owner
from runscrape_generator.errors import ConfigError
from runscrape_generator.publish.files import failure

_TEMPORARY = ".runscrape-new"
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class Changes:
    """Files and folders to be made in a :class:`Folder`, all of them or none.

    Files are written under temporary names first; :meth:`commit` renames them in the order in which
    they were given. What fails before that leaves nothing behind.
    """

    folder: Folder
    _staged: list[tuple[str, str]] = field(default_factory=list)
    """Name, and temporary name beside it; an empty one where the file is to go."""
    _made: list[tuple[str, int, Owner | None]] = field(default_factory=list)
    """Folders that were not there before: name, descriptor, and who is to have it in the end."""
    _new: list[str] = field(default_factory=list)
    """Files that were not there before and are in place by now."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for name, temporary in self._staged:
            if temporary:
                self._unlink(name, temporary)
        if kind is not None:
            for name in self._new:
                self._unlink(name, PurePosixPath(name).name)
        for name, descriptor, _ in reversed(self._made):
            os.close(descriptor)
            if kind is not None:
                with contextlib.suppress(OSError), self.folder.parent(name) as parent:
                    os.rmdir(PurePosixPath(name).name, dir_fd=parent)

    def make_folder(self, name: str, mode: int = 0o755, owner: Owner | None = None) -> None:
        """Make a folder and those above it; one that is there stays as it is."""
        above = str(PurePosixPath(name).parent)
        if above != ".":
            self.make_folder(above)
        try:
            with self.folder.parent(f"{name}/x"):
                return
        except FileNotFoundError:
            pass
        try:
            self._make_folder(name, mode, owner)
        except OSError as error:
            raise failure(self.folder.path / name, error) from error

    def _make_folder(self, name: str, mode: int, owner: Owner | None) -> None:
        last = PurePosixPath(name).name
        with self.folder.parent(name) as parent:
            os.mkdir(last, mode, dir_fd=parent)
            descriptor = os.open(last, DIRECTORY, dir_fd=parent)
        self._made.append((name, descriptor, owner))
        if os.fstat(descriptor).st_uid != os.geteuid() or os.listdir(descriptor):  # noqa: PTH208 - a descriptor
            raise ConfigError(
                f"{self.folder.path / name}: somebody put another folder in its place"
            )

    def write(self, name: str, data: bytes, mode: int = 0o644, owner: Owner | None = None) -> None:
        """Have the file written; one that is there is replaced, and its mode and owner kept."""
        above = str(PurePosixPath(name).parent)
        if above != ".":
            self.make_folder(above)
        old = self.folder.status(name)
        if old is not None:
            mode = (old.st_mode & 0o777) | (mode & 0o111)
            owner = owner or (old.st_uid, old.st_gid)
        try:
            self._stage(name, data, mode, owner)
        except OSError as error:
            raise failure(self.folder.path / name, error) from error

    def _stage(self, name: str, data: bytes, mode: int, owner: Owner | None) -> None:
        last = PurePosixPath(name).name
        temporary = f".{last}.{secrets.token_hex(4)}{_TEMPORARY}"
        with self.folder.parent(name) as parent:
            self._sweep(parent, last)
            descriptor = os.open(temporary, _CREATE, 0o600, dir_fd=parent)
            self._staged.append((name, temporary))
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                if owner and owner != (os.geteuid(), os.getegid()):
                    with contextlib.suppress(PermissionError):  # only root gives files away
                        os.fchown(descriptor, *owner)
                os.fchmod(descriptor, mode)
                os.fsync(descriptor)

    def _sweep(self, parent: int, last: str) -> None:
        """Remove temporary files that killed runs left; those of this run are still needed."""
        ours = {temporary for _, temporary in self._staged}
        for entry in os.listdir(parent):
            if entry.startswith(f".{last}.") and entry.endswith(_TEMPORARY) and entry not in ours:
                with contextlib.suppress(OSError):
                    os.unlink(entry, dir_fd=parent)

    def remove(self, name: str) -> None:
        """Have the file removed; a folder that is empty then stays."""
        self._staged.append((name, ""))

    def commit(self) -> None:
        """Put everything in its place, in order, then hand over the new folders.

        Raises WriteError.
        """
        while self._staged:
            name, temporary = self._staged[0]
            if temporary:
                self._rename(name, temporary)
            else:
                self._unlink(name, PurePosixPath(name).name)
            self._staged.pop(0)
        for name, descriptor, owner in self._made:
            if owner:
                try:
                    os.fchown(descriptor, *owner)
                except OSError as error:
                    raise failure(self.folder.path / name, error) from error

    def _rename(self, name: str, temporary: str) -> None:
        is_new = self.folder.status(name) is None
        try:
            with self.folder.parent(name) as parent:
                os.rename(temporary, PurePosixPath(name).name, src_dir_fd=parent, dst_dir_fd=parent)
                with contextlib.suppress(OSError):  # some file systems sync no folder
                    os.fsync(parent)
        except OSError as error:
            raise failure(self.folder.path / name, error) from error
        if is_new:
            self._new.append(name)

    def _unlink(self, name: str, entry: str) -> None:
        with contextlib.suppress(OSError), self.folder.parent(name) as parent:
            os.unlink(entry, dir_fd=parent)
