"""A full disk and a file that is mounted by itself, for real: in a mount namespace of our own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PUBLISH = """
import sys
from pathlib import Path
from runscrape_generator.publish import publish as publishing
from runscrape_generator.errors import RunscrapeError
from runscrape_generator.publish.publish import Document
from tests.generator.publishing_kit import contents
from tests.generator.recorder import Recorder

folder = Path(sys.argv[1])
before = contents(folder)
try:
    publishing.publish(
        Document(folder / "inventory.json", b"new" * 10),
        Document(folder / "out.yml", b"new" * int(sys.argv[2])),
    )
except RunscrapeError as error:
    print(error.exit_code, error)
assert contents(folder) == before, contents(folder).keys()
"""


def publish_in(folder: Path, mount: str, size: int) -> str:
    """Publish in a folder under the mounts that a shell command makes; gives what was said."""
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare")
    fill = f"cd {folder}; echo old > inventory.json; test -s out.yml || echo old > out.yml; cd -"
    script = f'{mount} || exit 99; {{ {fill}; }} > {os.devnull}; exec "$@"'
    child = [sys.executable, "-W", "error", "-c", PUBLISH, str(folder), str(size)]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *child],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    if done.returncode == 99 or "unshare:" in done.stderr:
        pytest.skip(f"this machine lets nobody mount: {done.stderr.strip()}")
    assert done.stderr == ""
    return done.stdout


def test_full_disk(tmp_path: Path) -> None:
    """On a full disk both files stay as they were, and nothing is left beside them."""
    said = publish_in(tmp_path, f"mount -t tmpfs -o size=64k none {tmp_path}", 1_000_000)
    assert said.startswith(f"7 cannot write {tmp_path}/out.yml: No space left on device (make room")


def test_single_file_mount(tmp_path: Path) -> None:
    """A file mounted by itself, as in containers, is refused with the remedy, inventory and all."""
    (tmp_path / "out.yml").touch()
    real = tmp_path.with_name(f"{tmp_path.name}-real")
    real.write_text("old\n")
    said = publish_in(tmp_path, f"mount --bind {real} {tmp_path}/out.yml", 10)
    assert said.startswith(f"7 cannot write {tmp_path}/out.yml: Device or resource busy")
    assert "mount its folder instead" in said
