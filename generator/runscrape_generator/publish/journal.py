"""What was there before, kept until Prometheus has confirmed what replaced it.

Before a file is replaced it is copied, with its mode and times, to a hidden file, so that also a
run which follows a killed one can put it back. A copy that is there already stays: it is older, and
the last that Prometheus confirmed.

Which content Prometheus confirmed is in a hash, written only after a successful reload: a file that
was replaced but never reloaded (killed, Prometheus down) is reloaded by the next run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from runscrape_generator.publish import files
from runscrape_generator.regular_file import read_regular

_PREVIOUS = ".runscrape-previous"
_RELOADED = ".runscrape-reloaded"
_SAVED = ".orig"
_LARGEST_NOTE = 4096


@dataclass(frozen=True, slots=True)
class Journal:
    """What is remembered of one file, and the folder where it is."""

    path: Path
    folder: Path

    @property
    def previous(self) -> Path:
        """The copy of the last content that is known to work; there only until a newer one is."""
        return files.hidden(self.path, _PREVIOUS, self.folder)

    @property
    def _reloaded(self) -> Path:
        return files.hidden(self.path, _RELOADED, self.folder)

    def keep(self) -> Path | None:
        """Copy the file as it is, and give the copy; None where there is no file.

        Where an older one is kept, the copy gets a temporary name. Raises WriteError.
        """
        if not self.path.exists():
            return None
        kept = self.previous
        if kept.exists():
            kept = files.temporary_name(self.path, self.folder)
        files.copy(self.path, kept)
        return kept

    def undo(self, kept: Path | None) -> None:
        """Put back what :meth:`keep` gave; None: there was no file. Raises WriteError."""
        try:
            if kept is None:
                self.path.unlink(missing_ok=True)
            elif self.path.exists() and self.path.read_bytes() == kept.read_bytes():
                kept.unlink()  # it was never replaced
            else:
                files.commit(kept, self.path)
        except OSError as error:
            raise files.failure(self.path, error) from error

    def forget(self) -> None:
        """Let go of the copy: the new file works, or nobody can tell."""
        files.discard(self.previous)

    def confirmed(self, fingerprint: str) -> bool:
        """Whether the last successful reload was of just this content."""
        try:
            return read_regular(self._reloaded, _LARGEST_NOTE).decode().strip() == fingerprint
        except (OSError, ValueError):
            return False

    def confirm(self, fingerprint: str) -> None:
        """Note that the reload was successful; raises WriteError."""
        files.replace(self._reloaded, f"{fingerprint}\n".encode("ascii"))

    def save(self) -> Path | None:
        """Keep a file that we did not write as ``NAME.orig``, for good.

        An older ``.orig`` is never overwritten; None where one with the same content is there.
        Raises WriteError.
        """
        data, number = files.read(self.path), 1
        while True:
            name = self.path.name + _SAVED + (f".{number}" if number > 1 else "")
            other = self.folder / name
            if not other.exists():
                files.copy(self.path, other)
                return other
            if files.read(other) == data:
                return None
            number += 1


def fingerprint(data: bytes, *about: str | None) -> str:
    """Hash the content, and who was told of it: another ``--reload`` must be told anew."""
    digest = hashlib.sha256()
    for part in (*(text or "" for text in about), ""):
        digest.update(part.encode() + b"\0")
    digest.update(data)
    return digest.hexdigest()
