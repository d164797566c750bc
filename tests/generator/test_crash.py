"""Killed between any two steps: every file is whole, and the next run heals."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runscrape_generator.errors import ReloadError
from runscrape_generator.publish.publish import publish
from runscrape_generator.publish.reload import Answer, Outcome, Reloading
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
import os, shutil, signal, sys, tempfile
from pathlib import Path
from runscrape_generator.publish.publish import publish
from runscrape_generator.publish.reload import Answer, Outcome, Reloading
from tests.generator.publishing_kit import block_documents, documents

DOCUMENTS = {
    "whole": documents,
    "block": block_documents,
}
EVENTS = {"os.rename", "os.link", "os.remove", "os.chmod", "os.chown", "os.setxattr",
          "runscrape.reload", "runscrape.fsync"}
fsync = os.fsync
steps = tempfile.TemporaryFile("w+")

def audited_fsync(descriptor):
    sys.audit("runscrape.fsync")
    fsync(descriptor)

def changes_a_file(event, args):
    if event == "open":
        return args[2] & (os.O_WRONLY | os.O_RDWR)  # its flags
    return event in EVENTS

def attempt(folder, number, answer, what, state):
    running = folder / "running"
    count = 0

    def hook(event, args):
        nonlocal count
        if changes_a_file(event, args):
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            if not number:
                print(event, *args[1:2], file=steps, flush=True)

    def reload():
        text = (folder / "etc" / "out.yml").read_bytes()
        sys.audit("runscrape.reload")
        if answer == "refuse" and b"second" in text:
            return Answer(Outcome.REFUSED, "no")
        running.write_bytes(text)
        return Answer(Outcome.DONE)

    os.fsync = audited_fsync
    sys.addaudithook(hook)
    try:
        publish(
            *DOCUMENTS[what](
                folder / state / "inventory.json", folder / "etc" / "out.yml", "second"
            ),
            reloading=Reloading(reload, ("x",)),
        )
    except Exception:
        pass

def kill_at(number, base, *how):
    folder = base / str(number)
    shutil.copytree(base / "start", folder)
    child = os.fork()
    if child == 0:
        attempt(folder, number, *how)
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0

def kill_at_every_step(base, *how):
    number = 1
    while kill_at(number, base, *how):
        number += 1

def kill_before_the_reload(base, *how):
    steps.seek(0)
    steps.truncate()
    kill_at(0, base, *how)  # is not killed, and tells its steps
    shutil.rmtree(base / "0")
    steps.seek(0)
    events = steps.read().splitlines()
    reloaded = events.index("runscrape.reload") + 2  # where running is opened
    renamed = [n for n, event in enumerate(events, 1) if event.endswith("/etc/out.yml")]
    for number in range(max(n for n in renamed if n < reloaded) + 1, reloaded + 1):
        kill_at(number, base, *how)

for line in sys.argv[1:]:
    when, base, *how = line.split()
    {"every": kill_at_every_step, "reload": kill_before_the_reload}[when](Path(base), *how)
steps.close()
"""
"""Kills before each call that changes a file: before one that only reads, it would find the same.

Each argument is when to kill, a folder, with ``start`` in it, and how to publish there: what
Prometheus answers to the reload, the kind of documents, and the folder of the state. Leaves a
folder for each step at which a run was killed, named by its number; where that is at ``every`` one,
the last was not killed. ``reload`` is between the rename of the output and the reload.
"""


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


LAYOUTS = [Layout("whole", "etc"), Layout("whole", "state"), Layout("block", "state")]
ROUNDS = [
    *(("at every step", answer, layout) for answer in ("accept", "refuse") for layout in LAYOUTS),
    *(("before the reload", "accept", layout) for layout in LAYOUTS),
    ("then refused", "accept", LAYOUTS[-1]),
]

Killed = dict[tuple[str, str, Layout], Path]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """The folders that the runs left which were killed, for each test its own."""
    folders = {each: tmp_path_factory.mktemp("killed") for each in ROUNDS}
    arguments = []
    for (name, answer, layout), folder in folders.items():
        layout.begin(folder / "start")
        when = "every" if name == "at every step" else "reload"
        arguments.append(f"{when} {folder} {answer} {layout.documents} {layout.state}")
    # Not measured: who is killed writes down nothing.
    environ = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    subprocess.run(
        [sys.executable, "-W", "error", "-c", KILLER, *arguments],
        check=True,
        cwd=Path(__file__).parents[2],
        env=environ,
    )
    return folders


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
def test_killed_at_every_step(killed: Killed, answer: str, layout: Layout) -> None:
    """At each step of a publish a SIGKILL leaves whole files, and the next run puts all right.

    With the inventory elsewhere nothing but the output is left beside it, also by a kill.
    """
    base = killed["at every step", answer, layout]
    steps = len(list(base.iterdir())) - 1
    assert steps > 20  # stage, keep, rename, sync for each file; reload; note
    seen = set()
    for number in range(1, steps):
        folder = base / str(number)
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
    last = (base / str(steps) / "running").read_bytes()
    assert (b"first" in last, b"second" in last) == (answer == "refuse", answer == "accept")


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_killed_before_the_reload(killed: Killed, layout: Layout) -> None:
    """Killed between rename and reload, the next run reloads the file that it need not write."""
    behind = [
        folder
        for folder in killed["before the reload", "accept", layout].iterdir()
        if (folder / "etc" / "out.yml").read_bytes() != (folder / "running").read_bytes()
    ]
    assert behind
    for folder in behind:
        layout.publish(folder, "second")
        assert b"second" in (folder / "running").read_bytes()


def test_killed_and_then_refused(killed: Killed) -> None:
    """What a killed run replaced can still be put back by the next one, which finds it refused."""
    behind = [
        folder
        for folder in killed["then refused", "accept", LAYOUTS[-1]].iterdir()
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
