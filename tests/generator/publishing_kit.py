"""What the tests of publishing share: the state of a folder."""

from __future__ import annotations

from pathlib import Path

from tests.kit.ports import free_port
from tests.kit.prometheus import get, prometheus
from tests.kit.waiting import QUIET as PATIENCE
from tests.kit.waiting import until

__all__ = ["PATIENCE", "free_port", "get", "prometheus", "until"]

State = dict[str, tuple[bytes, int, int, int]]


def state(folder: Path) -> State:
    """Every file under the folder: bytes, mtime in ns, inode, mode; of links those of the link."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        if not path.is_dir():
            data = bytes(path.readlink()) if path.is_symlink() else path.read_bytes()
            found[str(path.relative_to(folder))] = (
                data,
                status.st_mtime_ns,
                status.st_ino,
                status.st_mode,
            )
    return found


def contents(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Bytes, mtime and mode of every file: what is put back is a copy, with an inode of its own."""
    return {name: (data, mtime, mode) for name, (data, mtime, _, mode) in state(folder).items()}


def visible(folder: Path) -> list[str]:
    """Name the files that are no lock and no note of ours."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
