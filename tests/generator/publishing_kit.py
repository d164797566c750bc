"""What the tests of publishing share: the state of a folder, patience, a real Prometheus."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds; far more than anything here takes, even on a busy machine."""


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


def visible(folder: Path) -> list[str]:
    """Name the files that are no lock and no note of ours."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def until(what: Callable[[], T], *, why: str) -> T:
    """Poll until it gives something true."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if result := what():
            return result
        time.sleep(0.02)
    raise AssertionError(f"waited {PATIENCE:g} s for {why}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def get(url: str) -> str:
    """Fetch a page; empty while nobody answers, or answers with an error."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


@contextmanager
def prometheus(config: Path, *flags: str, port: int = 0) -> Iterator[str]:
    """Run a real Prometheus on the file until the block is over; gives its address."""
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    data = config.parent.parent / f"prometheus-{port}"
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
        *flags,
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: get(f"{address}/-/ready"), why="Prometheus to be ready")
            yield address
        finally:
            process.kill()
