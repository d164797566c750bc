"""Killed between any two steps: every file is whole, and the next run heals."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runscrape_generator.errors import ReloadError
from runscrape_generator.publish.publish import Reloading, publish
from runscrape_generator.publish.reload import Answer, Outcome
from runscrape_generator.render.into import take_apart
from tests.generator.publishing_kit import (
    BY_HAND,
    block_documents,
    documents,
    inventory_of,
    output_of,
    visible,
)

DOCUMENTS: dict[str, Callable[..., tuple[Any, Any]]] = {
    "whole": documents,
    "block": block_documents,
}

KILLER = """
import os, shutil, signal, sys
from pathlib import Path
from runscrape_generator.publish.publish import Reloading, publish
from runscrape_generator.publish.reload import Answer, Outcome
from tests.generator.publishing_kit import block_documents, documents
from tests.generator.recorder import Recorder

DOCUMENTS = {
    "whole": documents,
    "block": block_documents,
}
EVENTS = {"open", "os.rename", "os.link", "os.remove", "os.chmod", "os.chown", "os.setxattr",
          "os.scandir", "runscrape.reload", "runscrape.fsync"}
base, refuse = Path(sys.argv[1]), sys.argv[2] == "refuse"
fsync = os.fsync

def audited_fsync(descriptor):
    sys.audit("runscrape.fsync")
    fsync(descriptor)

def attempt(folder, number):
    running = folder / "running"
    count = 0

    def hook(event, args):
        nonlocal count
        if event in EVENTS:
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    def reload():
        text = (folder / "etc" / "out.yml").read_bytes()
        sys.audit("runscrape.reload")
        if refuse and b"second" in text:
            return Answer(Outcome.REFUSED, "no")
        running.write_bytes(text)
        return Answer(Outcome.DONE)

    os.fsync = audited_fsync
    sys.addaudithook(hook)
    try:
        publish(
            *DOCUMENTS[sys.argv[3]](
                folder / sys.argv[4] / "inventory.json", folder / "etc" / "out.yml", "second"
            ),
            reloading=Reloading(reload, ("x",)),
        )
    except Exception:
        pass

number = 0
while True:
    number += 1
    folder = base / str(number)
    shutil.copytree(base / "start", folder)
    child = os.fork()
    if child == 0:
        attempt(folder, number)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
print(number)
"""


@dataclass(frozen=True)
class Layout:
    """What is published, and where its inventory and all that is remembered lie."""

    documents: str
    state: str

    @property
    def words(self) -> list[str]:
        return [self.documents, self.state]

    def begin(self, folder: Path) -> None:
        """Publish a first version, in a folder whose file ``running`` is Prometheus."""
        for name in {"etc", self.state}:
            (folder / name).mkdir(parents=True)
        if self.documents == "block":
            (folder / "etc" / "out.yml").write_bytes(BY_HAND)
        self.publish(folder, "first")

    def publish(self, folder: Path, version: str) -> None:
        """Publish as the killed child does; nobody refuses."""

        def reload() -> Answer:
            (folder / "running").write_bytes((folder / "etc" / "out.yml").read_bytes())
            return Answer(Outcome.DONE)

        inventory, output = folder / self.state / "inventory.json", folder / "etc" / "out.yml"
        publish(
            *DOCUMENTS[self.documents](inventory, output, version),
            reloading=Reloading(reload, ("x",)),
        )

    def kill(self, folder: Path, answer: str) -> int:
        """Make a copy of ``start`` for each step, killed there; gives how many there are."""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", KILLER, str(folder), answer, *self.words],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        )
        return int(done.stdout)


LAYOUTS = [Layout("whole", "etc"), Layout("whole", "state"), Layout("block", "state")]


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
@pytest.mark.parametrize("answer", ["accept", "refuse"])
def test_killed_at_every_step(tmp_path: Path, answer: str, layout: Layout) -> None:
    """At each step of a publish a SIGKILL leaves whole files, and the next run puts all right.

    With the inventory elsewhere nothing but the output is left beside it, also by a kill.
    """
    layout.begin(tmp_path / "start")
    steps = layout.kill(tmp_path, answer)
    assert steps > 20  # stage, keep, rename, sync for each file; reload; note
    seen = set()
    for number in range(1, steps):
        folder = tmp_path / str(number)
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
    last = (tmp_path / str(steps) / "running").read_bytes()
    assert (b"first" in last, b"second" in last) == (answer == "refuse", answer == "accept")


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_killed_before_the_reload(tmp_path: Path, layout: Layout) -> None:
    """Killed between rename and reload, the next run reloads the file that it need not write."""
    layout.begin(tmp_path / "start")
    layout.kill(tmp_path, "accept")
    behind = [
        folder
        for folder in tmp_path.iterdir()
        if (folder / "etc" / "out.yml").read_bytes() != (folder / "running").read_bytes()
    ]
    assert behind
    for folder in behind:
        layout.publish(folder, "second")
        assert b"second" in (folder / "running").read_bytes()


def test_killed_and_then_refused(tmp_path: Path) -> None:
    """What a killed run replaced can still be put back by the next one, which finds it refused."""
    layout = LAYOUTS[-1]
    layout.begin(tmp_path / "start")
    layout.kill(tmp_path, "accept")
    behind = [
        folder
        for folder in tmp_path.iterdir()
        if (folder / "etc" / "out.yml").read_bytes() != (folder / "running").read_bytes()
    ]
    for folder in behind:
        output = folder / "etc" / "out.yml"
        output.write_bytes(output.read_bytes() + b"# saved since\n")

        def refuse(output: Path = output) -> Answer:
            good = b"second" not in output.read_bytes()
            return Answer(Outcome.DONE) if good else Answer(Outcome.REFUSED, "no")

        with pytest.raises(ReloadError, match="put back, and Prometheus reloaded it"):
            publish(
                *block_documents(folder / "state" / "inventory.json", output, "second"),
                reloading=Reloading(refuse, ("x",)),
            )
        assert take_apart(output.read_bytes(), "").block.count("version first") == 1
        assert output.read_bytes().endswith(b"# saved since\n")
