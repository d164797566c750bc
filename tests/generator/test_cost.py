"""What a run costs, in counts: calls of Google's API, reads of the inventory, steps a service."""

from __future__ import annotations

import io
import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from emulator import Emulator
from runscrape_generator import run
from runscrape_generator.config.settings import Settings
from runscrape_generator.model import Service
from runscrape_generator.publish import file_kinds, inventory
from runscrape_generator.publish.file_kinds import FileKind
from runscrape_generator.render import formats
from runscrape_generator.selection.decide import decide
from runscrape_generator.selection.jobs import assemble
from tests.generator.commands_kit import make_settings
from tests.generator.recorder import Recorder
from tests.kit import file_calls

PROJECTS, SERVICES, PAGE = 3, 12, 5
WORLD: dict[str, Any] = {
    "settings": {"page_size_cap": PAGE},
    "projects": {
        f"project-{number}": {
            "number": number + 1,
            "regions": ["europe-west1", "us-central1", "us-east1"],
            "services": [{"name": f"svc-{n:02}", "region": "us-east1"} for n in range(SERVICES)],
        }
        for number in range(PROJECTS)
    },
}


@contextmanager
def opened() -> Iterator[Counter[str]]:
    """Count how often each path is opened."""
    paths: Counter[str] = Counter()

    def see(name: str, arguments: tuple[Any, ...]) -> None:
        if name in {"open", "os.open"}:
            paths[str(arguments[0])] += 1

    with file_calls.told(see):
        yield paths


@pytest.fixture
def settings(tmp_path: Path, google: Emulator) -> Settings:
    """A site of many projects, whose first run has been."""
    made = make_settings(tmp_path, google)
    google.update(WORLD)
    made = replace(made, projects=tuple(WORLD["projects"]))
    once(made)
    google.reset_counts()
    return made


def once(settings: Settings) -> None:
    run.once("generate", settings, Recorder(), stdout=io.StringIO())


def test_calls_are_the_pages_of_the_projects(settings: Settings, google: Emulator) -> None:
    """A run asks once for each page of each project, and for the region that each leaves open."""
    once(settings)
    pages = {str(number): 1 for number in range(1, 1 + -(-SERVICES // PAGE))}
    counts = google.counts()
    assert counts["list_services"] == {
        scope: calls
        for name in WORLD["projects"]
        for scope, calls in ((f"{name}/-", pages), (f"{name}/me-central2", {"1": 1}))
    }
    assert not counts["locations"]
    assert not counts["searches"]


def test_an_unchanged_run_reads_each_file_a_few_times(settings: Settings) -> None:
    """It looks whose files they are, reads the inventory, and compares: no other pass over them."""
    assert settings.output is not None
    assert settings.inventory_path is not None
    with opened() as paths:
        once(settings)
    assert paths[str(settings.inventory_path)] == 3
    assert paths[str(settings.output)] == 2


def test_an_inventory_is_known_by_its_beginning(settings: Settings) -> None:
    """Whose file it is takes no look at the services in it."""
    assert settings.inventory_path is not None
    data = settings.inventory_path.read_bytes()
    steps = steps_of(lambda: file_kinds.is_ours(data, FileKind.INVENTORY))
    assert file_kinds.kind_of(data) is FileKind.INVENTORY
    assert steps < 10


def test_no_step_of_a_run_grows_faster_than_the_services() -> None:
    """Deciding, rendering, checking, and writing and reading the inventory cost each alike."""
    few, some, many = (steps_of(partial(whole, size)) for size in (40, 80, 160))
    assert many - some <= 2.1 * (some - few)


def whole(count: int) -> None:
    """All that a run does with services, but for calls and files."""
    settings = Settings()
    found = [
        Service(
            project=f"project-{number % 4}",
            region="us-east1",
            name=f"svc-{number:03}",
            uri=f"https://svc-{number:03}.a.run.app",
            latest_ready_revision="r",
            custom_audiences=("https://shared.example.com",),
            labels={"team": "a"},
        )
        for number in range(count)
    ]
    decisions = decide(found, settings)
    formats.render(assemble(decisions), settings)
    formats.render_targets(decisions, settings, yaml=False)
    read = inventory.parse(inventory.render(decisions, ()))
    assert sum(map(len, read.scopes.values())) == count


def steps_of(work: Callable[[], object]) -> int:
    """How many functions are called, Python's and C's: a cost that no other load changes."""
    calls = itertools.count()

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        if event in {"call", "c_call"}:
            next(calls)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return next(calls)
