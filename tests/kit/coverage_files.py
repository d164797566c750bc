"""Delete the coverage data files that a killed process left half-written.

``coverage combine`` ends at the first of them, and what all others measured would be lost.
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from pathlib import Path


def is_whole(file: Path) -> bool:
    """Whether SQLite can read all of a data file."""
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        try:
            found = database.execute("PRAGMA quick_check").fetchall()
            database.execute("SELECT * FROM coverage_schema").fetchall()
        except sqlite3.Error:
            return False
    return found == [("ok",)]


def clean(folder: Path) -> None:
    """Delete those in the folder that are not whole, and name them on stderr."""
    for file in folder.glob(".coverage.*"):
        if not is_whole(file):
            sys.stderr.write(f"{file.name}: half-written by a process that was killed; left out\n")
            file.unlink()


if __name__ == "__main__":
    clean(Path())
