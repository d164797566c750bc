"""Both files change together, or neither does; what was there comes back if it has to."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runscrape_generator.errors import ReloadError, ValidationError, WriteError
from runscrape_generator.publish import files
from runscrape_generator.publish.publish import Published, publish
from runscrape_generator.publish.reload import Outcome, Reloading, ReloadResult
from tests.generator.publishing_kit import (
    contents,
    documents,
    inventory_of,
    output_of,
    state,
    visible,
)
from tests.generator.recorder import Recorder

DONE = ReloadResult(Outcome.DONE)
REFUSED = ReloadResult(Outcome.REFUSED, "bad file")
UNKNOWN = ReloadResult(Outcome.UNKNOWN, "nobody there")


@dataclass
class Stage:
    """A folder with an output and an inventory, and somebody who is asked to reload."""

    folder: Path
    answers: Iterator[ReloadResult] = field(default_factory=lambda: iter(()))
    talk: Recorder = field(default_factory=Recorder)
    reloaded: list[bytes] = field(default_factory=list)
    """What the output was at each reload."""
    force: bool = False

    @property
    def output(self) -> Path:
        return self.folder / "out.yml"

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory.json"

    def answer(self, *answers: ReloadResult) -> None:
        self.answers = iter(answers)

    def _reload(self) -> ReloadResult:
        self.reloaded.append(self.output.read_bytes() if self.output.exists() else b"(none)")
        return next(self.answers)

    def publish(
        self,
        version: str,
        *,
        inventory: str | None = None,
        check: Callable[[Path], None] | None = None,
        reload: bool = True,
    ) -> Published:
        known, _ = documents(self.inventory, self.output, inventory or version)
        _, output = documents(self.inventory, self.output, version)
        return publish(
            known,
            dataclasses.replace(output, force=self.force),
            check=check,
            reloading=Reloading(self._reload, ("http://x",)) if reload else None,
        )

    def holds(self, version: str) -> bool:
        return self.output.read_bytes() == output_of(version) and (
            self.inventory.read_bytes() == inventory_of(version)
        )

    def notes(self) -> list[str]:
        """Name the hidden files, the note of the last reload left out."""
        return sorted(
            path.name
            for path in self.folder.iterdir()
            if path.name.startswith(".") and not path.name.endswith("-reloaded")
        )


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
def live(stage: Stage) -> Stage:
    """Publish version 1 and have it confirmed."""
    stage.answer(DONE)
    stage.publish("1")
    stage.reloaded.clear()
    return stage


def test_first_publish(stage: Stage) -> None:
    """Both files are written, Prometheus is told once, and nothing is left beside them."""
    stage.answer(DONE)
    assert stage.publish("1") == Published((stage.inventory, stage.output), Outcome.DONE)
    assert stage.holds("1")
    assert stage.reloaded == [output_of("1")]
    assert stage.notes() == []


def test_unchanged_is_untouched(live: Stage) -> None:
    """The same content again writes nothing at all and reloads nothing."""
    before, folder = state(live.folder), live.folder.stat().st_mtime_ns
    assert live.publish("1") == Published()
    assert (state(live.folder), live.folder.stat().st_mtime_ns) == (before, folder)
    assert live.reloaded == []


def test_what_a_killed_run_left_goes(live: Stage) -> None:
    """Also where nothing has changed since."""
    files.stage(live.output, b"half")
    assert live.publish("1") == Published()
    assert live.notes() == []


def test_changed_inventory_alone_reloads_nothing(live: Stage) -> None:
    """Facts that only the inventory holds change it alone; Prometheus does not read it."""
    before = state(live.folder)["out.yml"]
    assert live.publish("1", inventory="2") == Published((live.inventory,))
    assert state(live.folder)["out.yml"] == before
    assert live.reloaded == []


def test_refused_reload_brings_back_both_files(live: Stage) -> None:
    """After a refusal every file has its old bytes, mtime and mode, and is reloaded."""
    live.output.chmod(0o640)
    before = contents(live.folder)
    live.answer(REFUSED, DONE)
    with pytest.raises(ReloadError, match=r"bad file.*put back, and Prometheus reloaded it"):
        live.publish("2")
    assert contents(live.folder) == before
    assert live.reloaded == [output_of("2"), output_of("1")]


def test_refused_first_publish_leaves_no_file(stage: Stage) -> None:
    """Where there was no file before, there is none after a refusal."""
    stage.answer(REFUSED, DONE)
    with pytest.raises(ReloadError, match=r"made was removed, and Prometheus reloaded$"):
        stage.publish("1")
    assert visible(stage.folder) == []
    assert stage.notes() == []


def test_second_refusal_is_told(live: Stage) -> None:
    """When the old file is not reloaded either, the error has both reasons."""
    live.answer(REFUSED, UNKNOWN)
    with pytest.raises(ReloadError, match=r"bad file.*but reloading it did not work.*nobody"):
        live.publish("2")
    assert live.holds("1")


def test_refused_then_mended(live: Stage) -> None:
    """After a refusal the next good version is published as if nothing had been."""
    live.answer(REFUSED, DONE, DONE)
    with pytest.raises(ReloadError):
        live.publish("2")
    assert live.publish("3").reload is Outcome.DONE
    assert live.holds("3")
    assert live.notes() == []


def test_unreachable_keeps_the_new_file_and_asks_again(live: Stage) -> None:
    """Nobody answers: the new file stays, a warning says so, the next run asks again."""
    live.answer(UNKNOWN, DONE)
    assert live.publish("2").reload is Outcome.UNKNOWN
    assert live.holds("2")
    assert "nobody there" in live.talk.of("warning")[0]
    assert live.publish("2") == Published((), Outcome.DONE)
    assert live.publish("2") == Published()
    assert live.reloaded == [output_of("2")] * 2
    assert live.notes() == []


def test_refused_after_unreachable_brings_back_what_was_confirmed(live: Stage) -> None:
    """Two unconfirmed versions later, a refusal brings back the last one that was confirmed."""
    before = contents(live.folder)
    live.answer(UNKNOWN, UNKNOWN, REFUSED, DONE)
    live.publish("2")
    live.publish("3")
    with pytest.raises(ReloadError, match="put back"):
        live.publish("4")
    assert contents(live.folder) == before


def test_late_refusal_of_an_unchanged_file(live: Stage) -> None:
    """A version that was never confirmed and is refused later goes back, though nothing changed."""
    live.answer(UNKNOWN, REFUSED, DONE)
    live.publish("2")
    with pytest.raises(ReloadError, match="put back"):
        live.publish("2")
    assert live.holds("1")


def test_first_file_is_not_deleted_by_a_late_refusal(stage: Stage) -> None:
    """A first file, published while Prometheus was down, may be the one it started with since."""
    stage.answer(UNKNOWN, REFUSED)
    stage.publish("1")
    with pytest.raises(ReloadError, match="nothing to put back"):
        stage.publish("1")
    assert stage.holds("1")


def test_publish_by_hand_is_reloaded_later(live: Stage) -> None:
    """A run without --reload changes the file; the next run with it tells Prometheus."""
    live.publish("2", reload=False)
    assert live.reloaded == []
    live.answer(DONE)
    assert live.publish("2") == Published((), Outcome.DONE)


def test_failed_check_leaves_everything(live: Stage) -> None:
    """The check sees the new content in a temporary file beside the output; its no is final."""
    before = state(live.folder)

    def refuse(path: Path) -> None:
        assert path.parent == live.folder
        assert path.read_bytes() == output_of("2")
        raise ValidationError("no")

    with pytest.raises(ValidationError):
        live.publish("2", check=refuse)
    assert state(live.folder) == before
    assert live.reloaded == []


def test_second_rename_that_fails_undoes_the_first(live: Stage, tmp_path: Path) -> None:
    """When the output cannot be replaced, the inventory is as it was: bytes, mtime, mode."""
    before = contents(live.folder)
    new = documents(live.inventory, tmp_path / "missing" / "out.yml", "2")
    with pytest.raises(WriteError):
        publish(*new)
    assert contents(live.folder) == before


def test_interrupted_between_the_renames(live: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal between the two renames leaves both files as they were."""
    before = contents(live.folder)
    replace = Path.replace

    def interrupted(self: Path, target: Path) -> Path:
        if target == live.output:
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            live.publish("2")
    assert contents(live.folder) == before


def test_failure_over_an_unconfirmed_version_keeps_that_one(
    live: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed write leaves the files of before this run, not those last confirmed."""
    live.answer(UNKNOWN)
    live.publish("2")
    before = contents(live.folder)
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if target == live.output:
            raise OSError(28, os.strerror(28))
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(WriteError, match="make room on that disk"):
            live.publish("3")
    assert contents(live.folder) == before


def test_order_of_the_steps(live: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is synced before it is renamed, and its folder after that; the old one first."""
    steps: list[str] = []
    fsync, rename = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        steps.append(f"sync {name.split('.')[1] if name.startswith('.') else 'folder'}")
        fsync(descriptor)

    def renamed(self: Path, target: Path) -> Path:
        name = Path(target).name
        steps.append(
            f"{'keep' if name.startswith('.') else 'rename'} {name.strip('.').split('.')[0]}"
        )
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    live.publish("2", reload=False)
    assert steps == [
        *("sync inventory", "sync out"),
        *("sync inventory", "keep inventory", "sync folder", "rename inventory", "sync folder"),
        *("sync out", "keep out", "sync folder", "rename out", "sync folder"),
    ]


@pytest.mark.parametrize("first_run", [False, True])
def test_what_is_there_cannot_be_kept(
    live: Stage, monkeypatch: pytest.MonkeyPatch, *, first_run: bool
) -> None:
    """Where the old file cannot be kept, it is not replaced either."""
    if first_run:
        live.inventory.unlink()
        live.output.write_bytes(b"my precious")
        live.force = True
    before = contents(live.folder)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(os, "utime", full)
        with pytest.raises(WriteError, match="make room on that disk"):
            live.publish("2")
    assert contents(live.folder) == before


@pytest.mark.parametrize("again", [False, True])
def test_hand_written_file_is_kept(stage: Stage, *, again: bool) -> None:
    """With --force a hand-written file is kept, once, and an older .orig is not overwritten."""
    stage.force = True
    stage.output.write_bytes(b"my precious")
    stage.output.chmod(0o600)
    if again:
        (stage.folder / "out.yml.orig").write_bytes(b"older")
    stage.publish("1", reload=False)
    kept = stage.folder / ("out.yml.orig.2" if again else "out.yml.orig")
    assert (kept.read_bytes(), kept.stat().st_mode & 0o777) == (b"my precious", 0o600)
    assert str(kept) in stage.talk.of("warning")[0]
    stage.publish("2", reload=False)
    assert len(visible(stage.folder)) == 3 + again


def test_refused_first_run_over_a_hand_written_file(stage: Stage) -> None:
    """A refusal puts a hand-written file back and leaves no second name of it."""
    stage.force = True
    stage.output.write_bytes(b"my precious")
    before = contents(stage.folder)
    stage.answer(REFUSED, DONE)
    with pytest.raises(ReloadError):
        stage.publish("1")
    assert contents(stage.folder) == before


def test_our_own_file_without_inventory_is_not_kept(stage: Stage) -> None:
    """A file that we wrote is just replaced, also when its inventory is lost."""
    stage.publish("1", reload=False)
    stage.inventory.unlink()
    stage.publish("2", reload=False)
    assert visible(stage.folder) == ["inventory.json", "out.yml"]


def test_another_prometheus_is_told(live: Stage) -> None:
    """With another --reload URL the unchanged file is news to whom it names."""
    asked: list[int] = []

    def call() -> ReloadResult:
        asked.append(1)
        return DONE

    for _ in range(2):
        reloading = Reloading(call, ("http://y",))
        publish(*documents(live.inventory, live.output, "1"), reloading=reloading)
    assert asked == [1]
