"""What was there before, kept until the change is known to work, so that it can be put back.

Before a file is replaced, a hard link keeps its inode under a hidden name beside it; putting it
back is one rename, after which bytes, mode, owner, mtime and inode are as before. A run that is
killed leaves the link, and with it the last state that Prometheus confirmed.

Which content that was is in a hash beside the output, written only after a successful reload: a
file that was renamed but never reloaded (killed, Prometheus down) is reloaded by the next run.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path

from runscrape_generator.publish import files

_PREVIOUS = ".runscrape-previous"
_RELOADED = ".runscrape-reloaded"
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_SAVED = ".orig"


def keep(path: Path) -> Path | None:
    """Keep the file as it is under a hidden name, and give that; None where there is no file.

    What was kept before stays: it is older, and the last that Prometheus confirmed; then this one
    gets a passing name. Where hard links are not possible it is a copy. Raises WriteError.
    """
    if not path.exists():
        return None
    kept = files.beside(path, _PREVIOUS)
    if kept.exists():
        kept = files.passing(path)
    try:
        link(path, kept)
    except OSError as error:
        raise files.failure(path, error) from error
    return kept


def undo(path: Path, kept: Path | None) -> None:
    """Put back what :func:`keep` gave; None: there was no file. Raises WriteError."""
    try:
        if kept is None:
            path.unlink(missing_ok=True)
        else:
            if not (path.exists() and _same(path, kept)):
                kept.replace(path)
            files.discard(kept)
    except OSError as error:
        raise files.failure(path, error) from error


def link(path: Path, other: Path) -> None:
    """Give the file a second name, or copy it with its mode and times; raises OSError."""
    try:
        os.link(path, other, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if other.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        temporary = files.stage(path, path.read_bytes())  # has the rights already, and is whole
        shutil.copystat(path, temporary)
        temporary.replace(other)


def _same(path: Path, kept: Path) -> bool:
    """Whether the file was never replaced: a rename would do nothing, or fail as the first did."""
    return path.samefile(kept) or path.read_bytes() == kept.read_bytes()


def put_back(path: Path, *, existed: bool) -> bool:
    """Put back what was kept; a file that did not exist before this run goes.

    False where nothing was kept and nothing was changed. Raises WriteError.
    """
    kept = files.beside(path, _PREVIOUS)
    if not kept.exists() and existed:
        return False
    undo(path, kept if kept.exists() else None)
    return True


def forget(path: Path) -> None:
    """Let go of what was kept: the new file works, or nobody can tell."""
    files.discard(files.beside(path, _PREVIOUS))


def confirmed(path: Path, fingerprint: str) -> bool:
    """Whether the last successful reload was of just this content."""
    try:
        return files.beside(path, _RELOADED).read_text(encoding="ascii").strip() == fingerprint
    except (OSError, ValueError):
        return False


def confirm(path: Path, fingerprint: str) -> None:
    """Note that the reload was successful; raises WriteError."""
    files.replace(files.beside(path, _RELOADED), f"{fingerprint}\n".encode("ascii"))


def fingerprint(data: bytes, *about: str | None) -> str:
    """Hash the content, and who was told of it: another ``--reload`` must be told anew."""
    digest = hashlib.sha256()
    for part in (*(text or "" for text in about), ""):
        digest.update(part.encode() + b"\0")
    digest.update(data)
    return digest.hexdigest()


def save_foreign(path: Path, data: bytes) -> Path | None:
    """Keep a file that we did not write as ``NAME.orig``, for good, before it is replaced.

    An older ``.orig`` is never overwritten; None where one with the same content is there.
    Raises WriteError.
    """
    number = 1
    while True:
        other = path.with_name(path.name + _SAVED + (f".{number}" if number > 1 else ""))
        try:
            link(path, other)
        except FileExistsError:
            if files.read(other) == data:
                return None
            number += 1
        except OSError as error:
            raise files.failure(other, error) from error
        else:
            return other
