"""One inventory for outputs with different settings: said when it costs something, else nothing."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator
from runscrape_generator import run
from runscrape_generator.config.settings import Match, Rule, Settings
from runscrape_generator.errors import ShrinkError
from tests.generator.commands_kit import make_settings, world
from tests.generator.recorder import Recorder

CUSTOM = {"custom_audiences": ["https://shared.example.com"]}


@pytest.fixture
def settings(tmp_path: Path, google: Emulator) -> Settings:
    return replace(make_settings(tmp_path, google), max_removed=100.0)


def warnings(settings: Settings) -> list[str]:
    talk = Recorder()
    run.once("generate", settings, talk, stdout=io.StringIO())
    return [line for line in talk.of("warning") if "--inventory" in line]


def other_output(settings: Settings, **more: Any) -> Settings:
    assert settings.output is not None
    return replace(settings, output=settings.output.with_name("other.yml"), **more)


@pytest.mark.parametrize(
    ("facts", "one", "other"),
    [
        ({}, {"regions": ("europe-west1",)}, {"regions": ("us-central1",)}),
        ({"invoker_iam_disabled": True}, {}, {"regions": ("us-central1",)}),
        (CUSTOM, {"audience": "uri"}, {"audience": "custom"}),
        (CUSTOM, {"audience": "custom"}, {"audience": "uri"}),
        ({}, {"include": ("svc-[ab]",)}, {"include": ("svc-[cd]",)}),
        ({}, {}, {"rules": (Rule(match=Match(service="svc-a"), audience="https://a.example"),)}),
    ],
    ids=["regions", "public", "custom", "uri", "include", "rule"],
)
def test_one_takes_from_the_other(
    settings: Settings, google: Emulator, facts: dict[str, Any], one: Any, other: Any
) -> None:
    """What the other's settings put there is named in one line, once for each time it goes."""
    google.update(world(**facts))
    first, second = replace(settings, **one), other_output(settings, **other)
    assert warnings(first) == []
    (told,) = warnings(second)
    assert told.startswith(f"other settings than these wrote {settings.inventory_path}: demo/")
    assert told.endswith("give each its own --inventory")
    assert warnings(second) == []


def test_an_inventory_each(settings: Settings, tmp_path: Path) -> None:
    """The remedy works."""
    own = other_output(settings, regions=("us-central1",), inventory=tmp_path / "other.json")
    assert [warnings(each) for each in (settings, own, settings, own)] == [[]] * 4


@pytest.mark.parametrize(
    "after",
    [
        world("ab"),
        world(annotations={"prometheus.io/scrape": "false"}),
        world(annotations={"prometheus.io/audience": "https://x.example"}),
        world(custom_audiences=["https://x.example"]),
        world(ingress="internal"),
        world(ready=False),
        world("abcdefgh"),
    ],
    ids=["gone", "opted-out", "annotation", "custom", "ingress", "unready", "more"],
)
def test_what_changed_at_google_is_no_warning(
    settings: Settings, google: Emulator, after: dict[str, Any]
) -> None:
    """Services that go, change or come are what a run is for."""
    custom = replace(settings, audience="custom")
    assert warnings(custom) == []
    google.update(after)
    assert warnings(custom) == []


def test_a_region_that_google_no_longer_names_is_no_warning(
    settings: Settings, google: Emulator
) -> None:
    """Only regions that the settings leave out are theirs."""
    warnings(settings)
    less = world("b", max_instances=1)
    less["projects"]["demo"]["regions"] = ["europe-west1"]
    google.update(less)
    assert warnings(settings) == []


def test_a_stale_scope_is_no_warning(settings: Settings, google: Emulator) -> None:
    """What the inventory stands in for has not gone."""
    warnings(settings)
    google.update(
        world(faults={"list_services": [{"region": "[eu]*", "code": "PERMISSION_DENIED"}]})
    )
    assert warnings(settings) == []


def test_a_renamed_job_is_no_warning(settings: Settings) -> None:
    """Settings that leave services and audiences alone may differ."""
    assert warnings(settings) == []
    assert warnings(other_output(settings, job_name="x/{service}")) == []


def test_it_explains_a_refusal(settings: Settings) -> None:
    """Where the guard refuses such a run, the line stands beside the refusal."""
    warnings(settings)
    talk = Recorder()
    few = other_output(settings, include=("svc-a",), max_removed=50.0)
    with pytest.raises(ShrinkError):
        run.once("generate", few, talk, stdout=io.StringIO())
    assert any(
        "demo/europe-west1/svc-c, demo/us-central1/svc-b, demo/us-central1/svc-d will" in told
        for told in talk.of("warning")
    )
