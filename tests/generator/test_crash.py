"""Killed between any two steps: every file is whole, and the next run heals.

A process that is killed leaves its files as they are just then. So a run that nobody kills has them
copied before each step that changes one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runscrape_generator.errors import ReloadError
from runscrape_generator.publish.publish import publish
from runscrape_generator.publish.reload import Outcome, Reloading, ReloadResult
from runscrape_generator.render.into import take_apart
from tests.generator.publishing_kit import (
    BY_HAND,
    block_documents,
    documents,
    inventory_of,
    output_of,
    visible,
)
from tests.kit import file_calls

DOCUMENTS: dict[str, Callable[..., tuple[Any, Any]]] = {
    "whole": documents,
    "block": block_documents,
}


@dataclass(frozen=True)
class Layout:
    """What is published, and where its inventory and all that is remembered lie."""

    documents: str
    state: str

    def begin(self, folder: Path) -> None:
        """Publish a first version, in a folder whose file ``running`` is Prometheus."""
        for name in {"etc", self.state}:
            (folder / name).mkdir(parents=True)
        if self.documents == "block":
            (folder / "etc" / "out.yml").write_bytes(BY_HAND)
        self.publish(folder, "first")

    def publish(self, folder: Path, version: str, *, refused: bool = False) -> None:
        """Publish a version; Prometheus may refuse the second."""
        inventory, output = folder / self.state / "inventory.json", folder / "etc" / "out.yml"

        def reload() -> ReloadResult:
            text = output.read_bytes()
            if refused and b"second" in text:
                return ReloadResult(Outcome.REFUSED, "no")
            (folder / "running").write_bytes(text)
            return ReloadResult(Outcome.DONE)

        publish(
            *DOCUMENTS[self.documents](inventory, output, version),
            reloading=Reloading(reload, ("x",)),
        )


LAYOUTS = [Layout("whole", "etc"), Layout("whole", "state"), Layout("block", "state")]
CHANGES = ("chmod", "fchmod", "remove", "rmdir", "setxattr", "truncate", "unlink")


def changes(call: str, arguments: tuple[Any, ...]) -> bool:
    """Whether a call changes a file or folder."""
    if call == "open":
        return len(arguments) > 1 and bool(set(arguments[1]) & set("wax+"))
    return call != "os.open" or bool(arguments[1] & (os.O_WRONLY | os.O_RDWR))


def killed(base: Path, layout: Layout, *, refused: bool = False) -> list[Path]:
    """Publish a second version in ``run``; gives copies, as a kill before each step leaves it."""
    layout.begin(base / "run")
    left: list[Path] = []
    copying = False

    def copy(call: str, arguments: tuple[Any, ...]) -> None:
        nonlocal copying
        if changes(call, arguments) and not copying:
            copying = True
            left.append(base / f"{len(left)} before {call}")
            shutil.copytree(base / "run", left[-1])
            copying = False

    expected = pytest.raises(ReloadError) if refused else contextlib.nullcontext()
    with file_calls.told(copy, *CHANGES), expected:
        layout.publish(base / "run", "second", refused=refused)
    return left


def put_back(copy: Path) -> Path:
    """Put a copy where the run was: what is remembered is named by the path of the output."""
    run = copy.with_name("run")
    shutil.rmtree(run)
    return copy.rename(run)


def version(folder: Path, layout: Layout) -> tuple[str, str]:
    """Which version inventory and output hold, both whole; the user's part is as it was."""
    known = (folder / layout.state / "inventory.json").read_bytes()
    output = (folder / "etc" / "out.yml").read_bytes()
    held = [each for each in ("first", "second", "third") if known == inventory_of(each)]
    for each in ("first", "second", "third"):
        if layout.documents == "whole" and output == output_of(each):
            held.append(each)
        if layout.documents == "block" and f'- job_name: "version {each}"\n'.encode() in output:
            assert take_apart(output, "out.yml").outside.encode() == BY_HAND
            held.append(each)
    one, other = held
    return one, other


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("refused", [False, True], ids=["accept", "refuse"])
def test_killed_at_every_step(tmp_path: Path, layout: Layout, *, refused: bool) -> None:
    """At each step of a publish a SIGKILL leaves whole files, and the next run puts all right.

    With the inventory elsewhere nothing but the output is left beside it, also by a kill.
    """
    left = killed(tmp_path, layout, refused=refused)
    assert len(left) > 15  # stage, keep and rename for each file; reload; note or put back
    last = (tmp_path / "run" / "running").read_bytes()
    assert (b"first" in last, b"second" in last) == (refused, not refused)
    seen = set()
    for folder in map(put_back, left):
        seen.add(version(folder, layout))
        if layout.state == "state":
            assert [path.name for path in (folder / "etc").iterdir()] == ["out.yml"]
        layout.publish(folder, "third")
        assert version(folder, layout) == ("third", "third")
        assert (folder / "running").read_bytes() == (folder / "etc" / "out.yml").read_bytes()
        state = folder / layout.state
        assert set(visible(state)) == {"inventory.json"} | ({"out.yml"} & {*visible(state)})
        hidden = [path.name for path in state.iterdir() if path.name.startswith(".")]
        assert all(name.endswith(".runscrape-reloaded") for name in hidden)
    assert seen == {("first", "first"), ("second", "first"), ("second", "second")}


def not_reloaded(base: Path, layout: Layout) -> list[Path]:
    """What a kill between the rename of the output and the reload leaves."""
    return [
        folder
        for folder in killed(base, layout)
        if (folder / "etc" / "out.yml").read_bytes() != (folder / "running").read_bytes()
    ]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_killed_before_the_reload(tmp_path: Path, layout: Layout) -> None:
    """Killed between rename and reload, the next run reloads the file that it need not write."""
    behind = not_reloaded(tmp_path, layout)
    assert behind
    for folder in map(put_back, behind):
        layout.publish(folder, "second")
        assert b"second" in (folder / "running").read_bytes()


def test_killed_and_then_refused(tmp_path: Path) -> None:
    """What a killed run replaced can still be put back by the next one, which finds it refused."""
    behind = not_reloaded(tmp_path, LAYOUTS[-1])
    assert behind
    for folder in map(put_back, behind):
        output = folder / "etc" / "out.yml"
        output.write_bytes(output.read_bytes() + b"# saved since\n")

        def refuse(output: Path = output) -> ReloadResult:
            good = b"second" not in output.read_bytes()
            return ReloadResult(Outcome.DONE) if good else ReloadResult(Outcome.REFUSED, "no")

        with pytest.raises(ReloadError, match="put back, and Prometheus reloaded it"):
            publish(
                *block_documents(folder / "state" / "inventory.json", output, "second"),
                reloading=Reloading(refuse, ("x",)),
            )
        assert take_apart(output.read_bytes(), "").block.count("version first") == 1
        assert output.read_bytes().endswith(b"# saved since\n")
