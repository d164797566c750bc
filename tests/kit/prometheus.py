"""A real Prometheus, and what it says of its targets."""

from __future__ import annotations

import contextlib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.kit.ports import free_port
from tests.kit.programs import running

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Past any proxy of the environment."""


def fetch(url: str) -> str:
    """Fetch a page; raises OSError."""
    with DIRECT.open(url, timeout=30) as answer:
        return str(answer.read().decode())


def get(url: str) -> str:
    """Fetch a page; empty while nobody answers, or answers with an error."""
    try:
        return fetch(url)
    except OSError:
        return ""


@contextlib.contextmanager
def prometheus(
    config: Path, *flags: str, port: int = 0, program: str | Path = "prometheus"
) -> Iterator[str]:
    """Run a real Prometheus on the file until the block is over; gives its address."""
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    command = [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={config.parent.parent / f'prometheus-{port}'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *flags,
    ]
    with running(command, config.parent.parent / f"prometheus-{port}.log") as started:
        started.until(lambda: get(f"{address}/-/ready"), "Prometheus to be ready")
        yield address
        started.kill()  # nothing of its data is wanted afterwards
