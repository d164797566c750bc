"""The bundle's folder and nothing outside of it: no symbolic link in it is ever followed.

The folders ``state``, ``secrets`` and ``data`` belong to the containers' user, and root may run
bootstrap again. Whatever that user puts there in the meantime (links, pipes, hard links to the
files of others) must not make root read, write or give away a file elsewhere. So each path is
opened one name at a time, relative to the folder above (``openat``, ``O_NOFOLLOW``), what was
opened is looked at and not its name, and only what this process has just made gets another owner.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from runscrape_generator.errors import ConfigError, WriteError
from runscrape_generator.publish.files import failure

LIMIT = 256 * 2**20
"""Bytes of the largest file that is read."""

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a pipe waits for somebody to write into it.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_LINK = "is a symbolic link, and bootstrap follows none inside a bundle"

Owner = tuple[int, int]
"""User and group, by number."""


class Folder:
    """A folder by its path, which may not exist yet; names below it are relative, with slashes.

    Symbolic links in ``path`` itself are followed: whoever runs the command has named it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        with contextlib.suppress(FileNotFoundError):
            self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> None:
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            self._descriptor = os.open(self.path, flags)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise failure(self.path, error) from error

    @contextlib.contextmanager
    def created(self, lock_file: str) -> Iterator[None]:
        """Have the folder there; if the block fails, what was made for it is removed again.

        ``lock_file`` is the name of what the block itself leaves in a folder that is new.
        """
        missing = [path for path in (self.path, *self.path.parents) if not path.exists()]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise failure(self.path, error) from error
        try:
            if self._descriptor is None:
                self._open()
            yield
        except BaseException:
            with contextlib.suppress(OSError):
                if missing:
                    os.unlink(lock_file, dir_fd=self._descriptor)
                for path in missing:
                    path.rmdir()
            raise

    def read(self, name: str) -> bytes | None:
        """Read a file; None where there is none.

        Raises ConfigError for what is no regular file with this one name, or too large.
        """
        with self._opened(name) as descriptor:
            if descriptor is None:
                return None
            with os.fdopen(os.dup(descriptor), "rb") as file:
                data = file.read(LIMIT + 1)
        if len(data) > LIMIT:
            raise ConfigError(f"{self.path / name}: is larger than {LIMIT >> 20} MiB")
        return data

    def status(self, name: str) -> os.stat_result | None:
        """Look at a file; None where there is none. Raises ConfigError as ``read`` does."""
        try:
            with self.parent(name) as parent:
                last = PurePosixPath(name).name
                found = os.stat(last, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refusal(name, error) from error
        self._require_own(name, found, folders=False)
        return found

    def owner(self, name: str) -> Owner | None:
        """Say who owns a folder; None where there is none."""
        with self._opened(name, folders=True) as descriptor:
            found = None if descriptor is None else os.fstat(descriptor)
        return None if found is None else (found.st_uid, found.st_gid)

    def files(self, name: str) -> list[str]:
        """Name the regular files below a folder, sorted; links and what else is there left out."""
        found: list[str] = []
        with self._opened(name, folders=True) as descriptor:
            if descriptor is None:
                return found
            with os.scandir(descriptor) as entries:
                inside = sorted(
                    (entry.name, entry.stat(follow_symlinks=False)) for entry in entries
                )
        for entry, status in inside:
            if stat.S_ISDIR(status.st_mode):
                found += self.files(f"{name}/{entry}")
            elif stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                found.append(f"{name}/{entry}")
        return found

    @contextlib.contextmanager
    def _opened(self, name: str, *, folders: bool = False) -> Iterator[int | None]:
        """Open a file for reading; gives None where there is none."""
        with contextlib.ExitStack() as stack:
            try:
                parent = stack.enter_context(self.parent(name))
                descriptor = os.open(PurePosixPath(name).name, _READ, dir_fd=parent)
            except FileNotFoundError:
                yield None
                return
            except OSError as error:
                raise self._refusal(name, error) from error
            stack.callback(os.close, descriptor)
            self._require_own(name, os.fstat(descriptor), folders=folders)
            yield descriptor

    @contextlib.contextmanager
    def parent(self, name: str) -> Iterator[int]:
        """Open the folder that a name is in, from the top, a name at a time.

        Raises FileNotFoundError where one is missing, ConfigError where one is no folder.
        """
        if self._descriptor is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
        above = PurePosixPath(name).parent
        current = os.dup(self._descriptor)
        try:
            for depth, part in enumerate(above.parts, 1):
                try:
                    below = os.open(part, DIRECTORY, dir_fd=current)
                except FileNotFoundError:
                    raise
                except OSError as error:
                    raise self._refusal("/".join(above.parts[:depth]), error) from error
                os.close(current)
                current = below
            yield current
        finally:
            os.close(current)

    def _require_own(self, name: str, found: os.stat_result, *, folders: bool) -> None:
        """Raise ConfigError unless it is a regular file with one name (or a folder)."""
        if stat.S_ISDIR(found.st_mode):
            if folders:
                return
            what = "is a folder"
        elif stat.S_ISLNK(found.st_mode):
            what = _LINK
        elif not stat.S_ISREG(found.st_mode):
            what = "is no regular file"
        elif found.st_nlink > 1:
            what = "has a second name (a hard link), perhaps outside of the bundle"
        else:
            return
        raise ConfigError(f"{self.path / name}: {what}; move it away, or put a plain copy there")

    def _refusal(self, name: str, error: OSError) -> Exception:
        """Explain why a name was not opened; Linux says ELOOP or ENOTDIR for a symbolic link."""
        path = self.path / name
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            return ConfigError(f"{path}: {_LINK}, or a file where a folder belongs; move it away")
        if error.errno == errno.ENXIO:
            return ConfigError(f"{path}: is a socket; move it away")
        return WriteError(f"{path}: cannot be read: {error.strerror}; let this user read it")
