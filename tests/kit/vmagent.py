"""A real vmagent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.kit.ports import free_port
from tests.kit.programs import running
from tests.kit.prometheus import get


@contextlib.contextmanager
def vmagent(folder: Path, *flags: str, program: str | Path = "vmagent") -> Iterator[str]:
    """Run it on ``main.yml`` of the folder until the block is over; gives its address."""
    address = f"127.0.0.1:{free_port()}"
    command = [
        program,
        f"-promscrape.config={folder}/main.yml",
        "-remoteWrite.url=http://127.0.0.1:9/",
        f"-remoteWrite.tmpDataPath={folder}/data",
        f"-httpListenAddr={address}",
        *flags,
    ]
    with running(command, folder / "vmagent.log") as started:
        started.until(lambda: get(f"http://{address}/health"), "vmagent to answer")
        yield f"http://{address}"
        started.kill()
