"""The containers' user as an attacker: bootstrap as root follows nothing that is put in its way."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runscrape_generator.bootstrap.changes import Changes
from runscrape_generator.bootstrap.folder import Folder
from runscrape_generator.bootstrap.platforms import MANIFEST
from runscrape_generator.errors import RunscrapeError
from tests.bootstrap.conftest import Google
from tests.bootstrap.test_bundle import run
from tests.kit import file_calls

PRIVATE = "root's own"
NOBODY = (65532, 65532)


class Outside:
    """What nobody may touch: a folder beside the bundle, with files that only root reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file, self.folder = path / "shadow", path / "etc"
        self.folder.mkdir(parents=True)
        names = (
            "prometheus.yml",
            "inventory.json",
            "client-secret",
            "alerts.yml",
            "runscrape.yaml",
        )
        for file in (self.file, *(self.folder / name for name in names)):
            file.write_text(PRIVATE)
            file.chmod(0o600)
        self._before = self._snapshot()

    def _snapshot(self) -> dict[str, tuple[object, ...]]:
        found: dict[str, tuple[object, ...]] = {}
        for path in (self.path, *self.path.rglob("*")):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else sorted(path.iterdir())
            found[str(path)] = (status.st_uid, status.st_gid, status.st_mode, content)
        return found

    def check(self, bundle: Path) -> None:
        """Nothing outside has changed, and nothing of it is in the bundle."""
        assert self._snapshot() == self._before
        for path in bundle.rglob("*"):
            if path.is_file() and not path.is_symlink() and path.stat().st_nlink == 1:
                assert PRIVATE not in path.read_text(errors="replace"), path


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    return Outside(tmp_path / "outside")


def link_to_file(path: Path, outside: Outside) -> None:
    path.symlink_to(outside.file)


def link_to_folder(path: Path, outside: Outside) -> None:
    path.symlink_to(outside.folder)


def hard_link(path: Path, outside: Outside) -> None:
    path.hardlink_to(outside.file)


def pipe(path: Path, _outside: Outside) -> None:
    os.mkfifo(path)


def unix_socket(path: Path, _outside: Outside) -> None:
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


KINDS = (link_to_file, link_to_folder, hard_link, pipe, unix_socket)
NAMES = (
    "state",
    "state/prometheus.yml",
    "state/inventory.json",
    "state/metrics",
    "secrets",
    "secrets/client-secret",
    "data",
    "data/prometheus",
    "config",
    "config/runscrape.yaml",
    "config/rules/alerts.yml",
    "compose.yaml",
    f".{MANIFEST}.runscrape-lock",
    MANIFEST,
)


@pytest.fixture
def within_minutes() -> Iterator[None]:
    """End with an error where bootstrap waits for somebody to write into a pipe."""
    signal.alarm(300)
    yield
    signal.alarm(0)


@pytest.mark.usefixtures("within_minutes")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_put_in_the_way(
    google: Google,
    tmp_path: Path,
    outside: Outside,
    kind: Callable[[Path, Outside], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever of the bundle is exchanged for a link, a hard link, a pipe or a socket: it is named,
    exit 2, or is none of bootstrap's business; nothing outside is read, written or given away.
    """
    bundle = google.write(tmp_path / "b", "--platform", "compose")
    for name in NAMES:
        for arguments in ([], ["--diff"]) if kind in {link_to_file, pipe} else ([],):
            victim = bundle / name
            victim.rename(tmp_path / "moved-away")
            kind(victim, outside)
            code = run(google, bundle, *arguments)
            outside.check(bundle)
            victim.unlink()
            (tmp_path / "moved-away").rename(victim)
            err = capsys.readouterr().err
            if arguments != ["--diff"]:  # which makes no folders
                assert code == 2, (name, err)
                assert str(victim) in err
                assert "move it away" in err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_only_what_is_new_is_handed_over(google: Google, tmp_path: Path, outside: Outside) -> None:
    """A second run gives away nothing that was there: not what somebody moved into the folders."""
    bundle = google.write(tmp_path / "b", "--platform", "compose")
    for folder in ("state", "state/metrics", "data/prometheus", "secrets"):
        moved = bundle / folder / "moved"
        shutil.copy(outside.file, moved)
    (bundle / "state/link").symlink_to(outside.file)
    (bundle / "state/prometheus.yml").unlink()
    assert run(google, bundle) == 0
    outside.check(tmp_path / "none")
    assert (bundle / "state/prometheus.yml").stat().st_uid == 65532
    for folder in ("state", "state/metrics", "data/prometheus", "secrets"):
        assert (bundle / folder / "moved").stat().st_uid == 0


class Attack:
    """Does something at the n-th look or change of a file, between any check and its use."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.do: Callable[[], None] = lambda: None

    def see(self, _call: str, _arguments: object) -> None:
        if self.left is None:
            return
        self.left -= 1
        if self.left < 0:
            self.left = None
            self.do()


@pytest.fixture
def attack() -> Iterator[Attack]:
    attack = Attack()
    with file_calls.told(attack.see):
        yield attack


def bring(bundle: Path) -> None:
    """Do what bootstrap does to a folder, on one that the attacker owns."""
    with Folder(bundle) as folder, Changes(folder) as changes:
        folder.read("state/inventory.json")
        changes.make_folder("state/metrics", owner=NOBODY)
        changes.write("state/prometheus.yml", b"ours", owner=NOBODY)
        changes.write("state/inventory.json", b"ours", owner=NOBODY)
        changes.remove("state/targets.json")
        changes.commit()


@pytest.mark.parametrize("kind", [link_to_file, link_to_folder, hard_link])
@pytest.mark.parametrize(
    "name", ["state", "state/metrics", "state/prometheus.yml", "state/inventory.json"]
)
def test_at_any_moment(
    tmp_path: Path,
    outside: Outside,
    attack: Attack,
    name: str,
    kind: Callable[[Path, Outside], None],
) -> None:
    """The same exchanges between any two steps of a run, on what is checked and not yet used: the
    run fails or succeeds, and nothing outside is read, written or given away.
    """
    moments = 0
    came = True
    while came:
        bundle = tmp_path / str(moments)
        (bundle / "state").mkdir(parents=True)
        for file in ("prometheus.yml", "inventory.json", "targets.json"):
            (bundle / "state" / file).write_text("before")
        victim = bundle / name

        def exchange(victim: Path = victim, bundle: Path = bundle) -> None:
            if victim.exists():
                victim.rename(bundle / "moved-away")
            kind(victim, outside)

        attack.do, attack.left = exchange, moments
        with contextlib.suppress(RunscrapeError):
            bring(bundle)
        came, attack.left = attack.left is None, None
        outside.check(bundle)
        moments += 1
    assert moments > 20
