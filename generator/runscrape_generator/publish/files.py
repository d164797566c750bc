"""Files that are whole at every moment: a new one takes the old one's place in one rename.

What is written goes to a temporary file, is synced, and is renamed over the old file, whose mode,
owner and extended attributes (ACLs) it takes. Temporary files, and whatever else is remembered of a
file, lie in its own folder or in another one that the caller names, because Prometheus may read all
of a folder (``scrape_config_files: ['dir/*']``), hidden files too. No name that we make up ends in
``.json``, ``.yml``, ``.yaml`` or ``.prom``.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from pathlib import Path

from runscrape_generator.errors import WriteError
from runscrape_generator.regular_file import read_regular

NEW_FILE = 0o644
"""The mode of a file that was not there, less the umask."""

MAX_BYTES = 256 * 1024 * 1024
"""Twice the inventory of 100,000 services, and more than any file that Prometheus reads: what is
larger is something else. The proxy takes inventories as large."""

_PART = 1 << 20
"""Bytes of a file that are read at once."""
_NEW = ".runscrape-new"
_FIRST_RELEASE = (".runscrape-lock", ".runscrape-reloaded", ".runscrape-previous")
"""What the first release left beside every output."""
_REMEDIES = {
    errno.EBUSY: "it is mounted by itself, as a single file: mount its folder instead, because "
    "only a file in a folder can be replaced whole",
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room in that user's quota",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
    errno.EROFS: "mount the folder writable, or write elsewhere",
    errno.EACCES: "let this user write in that folder: files are replaced, not rewritten",
    errno.EPERM: "let this user write in that folder: files are replaced, not rewritten",
    errno.ENOENT: "make the folder first",
    errno.ENOTDIR: "what should be its folder is a file",
    errno.ELOOP: "its symbolic links lead in a circle",
    errno.ENAMETOOLONG: "choose a shorter name: temporary files beside it have longer ones",
}


def failure(path: Path, error: OSError) -> WriteError:
    """Turn the system's error into ours: the file, the reason, and what to do about it."""
    reason = error.strerror or str(error)
    remedy = _REMEDIES.get(error.errno or 0)
    return WriteError(f"cannot write {path}: {reason}" + (f" ({remedy})" if remedy else ""))


def resolve(path: Path) -> Path:
    """Follow symbolic links to the file to replace, so that a link stays a link.

    Raises WriteError where that is no place for a file: a folder, a device, a pipe, or a folder
    that is missing. The file itself may be missing.
    """
    real = Path(os.path.realpath(path))
    try:
        _require_folder(real.parent)
        # /dev/stdout leads to a pipe, whose real path names no file.
        mode = (path if path.exists() else real).stat().st_mode
    except FileNotFoundError as error:
        if error.filename == os.fspath(real):
            return real
        raise failure(real, error) from error  # of a link, the folder is that of its file
    except OSError as error:
        raise failure(path, error) from error
    if stat.S_ISDIR(mode):
        raise WriteError(f"cannot write {path}: it is a folder; name a file in it")
    if not stat.S_ISREG(mode) or _is_of_the_system(path.parent):
        raise WriteError(
            f"cannot write {path}: it is no regular file and cannot be replaced whole "
            "(without --output the result goes to standard output)"
        )
    return real


def _is_of_the_system(folder: Path) -> bool:
    """Whether names there are no files: ``/dev/stdout`` leads to what is open, be it a file."""
    real = Path(os.path.realpath(folder))
    return real == Path("/dev") or real.is_relative_to("/proc")


def _require_folder(folder: Path) -> None:
    if not stat.S_ISDIR(folder.stat().st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fspath(folder))


def hidden(path: Path, suffix: str, folder: Path | None = None) -> Path:
    """Name a hidden file of ours about ``path``, beside it or in another ``folder``."""
    if folder is None or folder == path.parent:
        return path.with_name(f".{path.name}{suffix}")
    place = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
    return folder / f".{path.name}.{place}{suffix}"


def temporary_name(path: Path, folder: Path | None = None) -> Path:
    """Name a temporary file for ``path``, one that :func:`sweep` knows as ours."""
    return hidden(path, f".{secrets.token_hex(4)}{_NEW}", folder)


def read(path: Path) -> bytes | None:
    """Read the file; None where there is none. Raises WriteError: what cannot be read is kept."""
    try:
        return read_regular(path, MAX_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> WriteError:
    return WriteError(
        f"cannot compare with {path}: {error.strerror}; let this user read it, or move it away"
    )


def holds(path: Path, data: bytes) -> bool:
    """Whether the file has just this content, without a second copy of it; raises WriteError."""
    try:
        if path.stat().st_size != len(data):
            return False
        with path.open("rb") as file:
            return all(
                file.read(_PART) == data[start : start + _PART]
                for start in range(0, len(data) + 1, _PART)
            )
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unreadable(path, error) from error


def replace(path: Path, data: bytes) -> None:
    """Put ``data`` in the file's place, whole or not at all; raises WriteError."""
    sweep(path)
    commit(stage(path, data), path)
    sync_folder(path)


def copy(path: Path, other: Path) -> None:
    """Copy the file, with its rights and times, whole or not at all; raises WriteError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise failure(path, error) from error
    commit(stage(path, data, folder=other.parent, like=path), other)
    sync_folder(other)


def stage(
    path: Path,
    data: bytes,
    *,
    folder: Path | None = None,
    like: Path | None = None,
    mode: int = NEW_FILE,
) -> Path:
    """Write ``data`` to a temporary file that is to become ``path``, with the old file's rights.

    It is synced, and lies beside ``path`` or in ``folder``. With ``like`` it takes the rights and
    times of that file. A new file gets ``mode`` less the umask. Raises WriteError, and then leaves
    nothing behind.
    """
    temporary, model = temporary_name(path, folder), like or path
    try:
        old = model.stat() if model.exists() else None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with open(os.open(temporary, flags, 0o600 if old else mode), "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(data)
            if old:
                _take_rights(file.fileno(), model, old)
                _refuse_to_lock_out(os.fstat(file.fileno()), old)
            file.flush()
            if old and like:
                os.utime(file.fileno(), ns=(old.st_atime_ns, old.st_mtime_ns))
            os.fsync(file.fileno())
    except OSError as error:
        discard(temporary)
        raise failure(path, error) from error
    except BaseException:
        discard(temporary)
        raise
    return temporary


def _take_rights(descriptor: int, path: Path, old: os.stat_result) -> None:
    """Give the new file the old one's owner, ACLs and mode, as far as this user may."""
    now = os.fstat(descriptor)
    if (now.st_uid, now.st_gid) != (old.st_uid, old.st_gid):
        for owner in (old.st_uid, -1):  # no root: at least the group, if it is one of ours
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, owner, old.st_gid)
                break
    with contextlib.suppress(OSError):  # a file system without extended attributes
        for name in os.listxattr(path):
            with contextlib.suppress(OSError):  # security.… may be root's alone
                os.setxattr(descriptor, name, os.getxattr(path, name))
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _refuse_to_lock_out(new: os.stat_result, old: os.stat_result) -> None:
    """Raise PermissionError if whoever could read the old file could not read the new one."""
    if old.st_mode & stat.S_IROTH:
        return
    by_group = old.st_mode & stat.S_IRGRP
    # Without the group only the owner could read it, and root always can.
    if old.st_gid != new.st_gid if by_group else old.st_uid not in {new.st_uid, 0}:
        raise PermissionError(
            errno.EPERM, f"its owner and group ({old.st_uid}:{old.st_gid}) cannot be kept"
        )


def commit(temporary: Path, path: Path) -> None:
    """Rename the temporary file over ``path``; raises WriteError and removes it if that fails.

    A temporary file on another file system is copied beside ``path`` first.
    """
    try:
        try:
            temporary.replace(path)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            stage(path, temporary.read_bytes(), like=temporary).replace(path)
            temporary.unlink()
    except OSError as error:
        discard(temporary)
        raise failure(path, error) from error


def sync_folder(path: Path) -> None:
    """Make renames in the folder of ``path`` last over a power cut; raises WriteError."""
    try:
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EACCES):  # some file systems sync no folder,
            raise failure(path, error) from error  # and write-only folders cannot be opened


def discard(path: Path) -> None:
    """Remove a file of ours; that it is not there, or stays there, is no error."""
    with contextlib.suppress(OSError):
        path.unlink()


def sweep(path: Path, folder: Path | None = None) -> None:
    """Remove temporary files of ``path`` that killed runs left; call it under the lock.

    They are looked for in ``folder``, and beside ``path``; there also for what the first release
    kept of it, if that has its place in ``folder`` now.
    """
    _sweep(path.parent, f".{path.name}.")
    if folder is not None and folder != path.parent:
        _sweep(folder, hidden(path, ".", folder).name)
        for suffix in _FIRST_RELEASE:
            discard(hidden(path, suffix))


def _sweep(folder: Path, prefix: str) -> None:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(prefix) and entry.name.endswith(_NEW):
                discard(Path(entry.path))
