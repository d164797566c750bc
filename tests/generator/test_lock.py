"""One run at a time on a file, and none shut out for longer than that."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runscrape_generator.errors import LockedError, WriteError
from runscrape_generator.publish import lock
from tests.generator.publishing_kit import state

HOLD = """
import sys
from pathlib import Path
from runscrape_generator.publish import lock
with lock.held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_second_run_is_refused_at_once(tmp_path: Path) -> None:
    """While one process holds the lock, another is refused and told the file."""
    path = tmp_path / "out.yml"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(LockedError, match=r"at work on .*out\.yml"), lock.held(path):
            pass
        other.kill()
    with lock.held(path):
        pass


def test_patience(tmp_path: Path) -> None:
    """With patience a lock that is let go in time is taken; one that is not is refused."""
    path = tmp_path / "out.yml"
    other = lock.held(path)
    other.__enter__()
    with pytest.raises(LockedError), lock.held(path, patience=0.1):
        pass
    release = threading.Timer(0.1, lambda: other.__exit__(None, None, None))
    release.start()
    with lock.held(path, patience=60):
        pass
    release.join()


def test_folder_that_takes_no_lock_file(tmp_path: Path) -> None:
    """Where there can be no lock file the run ends, and says why."""
    with pytest.raises(WriteError, match="make the folder first"), lock.held(tmp_path / "a" / "b"):
        pass


def test_taking_it_again_changes_no_file(tmp_path: Path) -> None:
    """The lock file stays and is not written to, so no watcher of the folder wakes up."""
    with lock.held(tmp_path / "out.yml"):
        pass
    before, folder = state(tmp_path), tmp_path.stat().st_mtime_ns
    with lock.held(tmp_path / "out.yml"):
        pass
    assert (state(tmp_path), tmp_path.stat().st_mtime_ns) == (before, folder)


def test_lock_is_let_go_after_a_failure(tmp_path: Path) -> None:
    """Whatever ends the block, the lock is free again."""
    path = tmp_path / "out.yml"
    with pytest.raises(KeyboardInterrupt), lock.held(path):
        raise KeyboardInterrupt
    with lock.held(path):
        pass


def test_planted_link_is_not_followed(tmp_path: Path) -> None:
    """A symbolic link in the lock file's place is refused: it could make a file elsewhere."""
    (tmp_path / ".out.yml.runscrape-lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WriteError), lock.held(tmp_path / "out.yml"):
        pass
    assert not (tmp_path / "elsewhere").exists()
