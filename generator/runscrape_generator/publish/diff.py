"""What ``--dry-run`` prints: the unified diff from the file that is there to the one to come."""

from __future__ import annotations

import difflib
import io
from pathlib import Path

_NO_NEWLINE = "\n\\ No newline at end of file\n"


def unified(path: Path, old: bytes | None, new: bytes) -> str:
    """Render the difference as ``patch`` reads it; empty where there is none.

    ``old`` None is a file that does not exist yet. Bytes that are not UTF-8 show as U+FFFD.
    """
    lines = difflib.unified_diff(
        _lines(old or b""),
        _lines(new),
        fromfile=str(path) if old is not None else "/dev/null",
        tofile=str(path),
    )
    return "".join(line if line.endswith("\n") else line + _NO_NEWLINE for line in lines)


def _lines(data: bytes) -> list[str]:
    """The lines as ``patch`` counts them; a text's splitlines() ends one at U+2028, too."""
    return [line.decode(errors="replace") for line in io.BytesIO(data)]
