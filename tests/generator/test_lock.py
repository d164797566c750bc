"""One run at a time on a file, and none shut out for longer than that."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
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


def test_wait(tmp_path: Path) -> None:
    """A lock that is let go in time is taken by whoever waits; one that is not is refused."""
    path = tmp_path / "out.yml"
    other = lock.held(path)
    other.__enter__()
    with pytest.raises(LockedError), lock.held(path, wait=0.1):
        pass
    release = threading.Timer(0.1, lambda: other.__exit__(None, None, None))
    release.start()
    with lock.held(path, wait=60):
        pass
    release.join()


def test_folder_that_takes_no_lock_file(tmp_path: Path) -> None:
    """Where there can be no lock file the run ends, and says why."""
    with pytest.raises(WriteError, match="make the folder first"), lock.held(tmp_path / "a" / "b"):
        pass


def test_the_folder_that_takes_none_is_named(tmp_path: Path) -> None:
    """That of the inventory, where the lock is, and not the output, which may well be writable."""
    state = tmp_path / "state"
    with pytest.raises(WriteError, match=f"cannot write {state}/"):  # noqa: SIM117
        with lock.held(tmp_path / "out.yml", state):
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


@pytest.mark.parametrize("make", [os.mkfifo, lambda name: os.link(name.with_name("other"), name)])
def test_planted_file_is_not_taken(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A pipe is not waited for; a file that has another name elsewhere is not given away."""
    other = tmp_path / "other"
    other.touch()
    other.chmod(0o640)
    if os.getuid() == 0:
        os.chown(tmp_path, 12345, 23456)
    make(tmp_path / ".out.yml.runscrape-lock")
    with pytest.raises(WriteError, match="remove it"), lock.held(tmp_path / "out.yml"):
        pass
    status = other.stat()
    assert (status.st_uid, status.st_mode & 0o777) == (os.getuid(), 0o640)


@pytest.mark.parametrize("old", [None, 0o644, 0o666])
def test_nobody_else_may_lock_it(tmp_path: Path, old: int | None) -> None:
    """Whoever may open the file may lock it, so that is its owner alone; older ones are mended."""
    name = tmp_path / ".out.yml.runscrape-lock"
    if old is not None:
        name.touch()
        name.chmod(old)
    with lock.held(tmp_path / "out.yml"):
        assert name.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_a_run_as_root_shuts_nobody_out(tmp_path: Path) -> None:
    """A lock file that root makes belongs to whom the folder belongs."""
    os.chown(tmp_path, 12345, 23456)
    with lock.held(tmp_path / "out.yml"):
        pass
    status = (tmp_path / ".out.yml.runscrape-lock").stat()
    assert (status.st_uid, status.st_gid) == (12345, 23456)
