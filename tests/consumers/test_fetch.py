"""Fetching newer consumers: where that cannot be, it is said soon, and nothing half is left."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

FETCH = Path(__file__).with_name("fetch")
PROGRAMS = {"trixie": "prometheus promtool vmagent quadlet", "forky": "prometheus promtool vmagent"}


def fetch(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", FETCH, folder],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    """Once everything is there, nothing is asked of anybody, and nothing is missing any more."""
    for release, names in PROGRAMS.items():
        (tmp_path / release).mkdir()
        for name in names.split():
            (tmp_path / release / name).touch()
    (tmp_path / "missing").write_text("an earlier run\n")
    done = fetch(tmp_path, PATH=os.environ["PATH"])
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["forky", "trixie"]


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="there is no apt-get here")
def test_a_mirror_that_hangs(tmp_path: Path) -> None:
    """A mirror that never answers takes no longer than it may, and is named for each release,
    without the password that it wants; no program is left, and no temporary file.
    """
    with socket.create_server(("127.0.0.1", 0)) as mirror:
        address = f"127.0.0.1:{mirror.getsockname()[1]}/debian"
        done = fetch(tmp_path, DEBIAN_MIRROR=f"http://me:secret@{address}", FETCH_SECONDS="1")
    if "nothing fetched" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 1
    for release in PROGRAMS:
        said = f"Debian {release} cannot be had from http://{address}: E: not done after 1 s"
        assert said in done.stderr
        assert said in (tmp_path / "missing").read_text()
    assert "secret" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "missing"]


def test_no_debian(tmp_path: Path) -> None:
    """Without apt nothing is fetched, which is said in one line."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "mkdir", "flock", "rm", "sed", "tee"):
        (programs / name).symlink_to(shutil.which(name) or name)
    done = fetch(tmp_path / "it", PATH=str(programs))
    assert done.returncode == 1
    assert done.stderr == "tests/consumers: nothing fetched: there is no apt-get here\n"
