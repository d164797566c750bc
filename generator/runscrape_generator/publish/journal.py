"""What was there before, kept until Prometheus has confirmed what replaced it.

Before a file is replaced it is copied, with its mode and times, to a hidden name beside it, so that
also a run which follows a killed one can put it back. What is there already stays: it is older, and
the last that Prometheus confirmed.

Which content Prometheus confirmed is in a hash beside the output, written only after a successful
reload: a file that was replaced but never reloaded (killed, Prometheus down) is reloaded by the
next run.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from runscrape_generator.publish import files

_PREVIOUS = ".runscrape-previous"
_RELOADED = ".runscrape-reloaded"
_SAVED = ".orig"


def keep(path: Path) -> Path | None:
    """Copy the file as it is, and give the copy; None where there is no file.

    Where an older one is kept, the copy gets a temporary name. Raises WriteError.
    """
    if not path.exists():
        return None
    kept = files.beside(path, _PREVIOUS)
    if kept.exists():
        kept = files.temporary_name(path)
    files.copy(path, kept)
    return kept


def undo(path: Path, kept: Path | None) -> None:
    """Put back what :func:`keep` gave; None: there was no file. Raises WriteError."""
    try:
        if kept is None:
            path.unlink(missing_ok=True)
        elif path.exists() and path.read_bytes() == kept.read_bytes():
            kept.unlink()  # it was never replaced
        else:
            kept.replace(path)
    except OSError as error:
        raise files.failure(path, error) from error


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


def save_foreign(path: Path) -> Path | None:
    """Keep a file that we did not write as ``NAME.orig``, for good, before it is replaced.

    An older ``.orig`` is never overwritten; None where one with the same content is there.
    Raises WriteError.
    """
    data, number = path.read_bytes(), 1
    while True:
        other = path.with_name(path.name + _SAVED + (f".{number}" if number > 1 else ""))
        if not other.exists():
            files.copy(path, other)
            return other
        if files.read(other) == data:
            return None
        number += 1
