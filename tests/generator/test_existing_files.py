"""What a file that is there holds: what kind it is, and which targets of ours."""

from __future__ import annotations

import pytest

from runscrape_generator.config.settings import Format, Mode
from runscrape_generator.model import Scope
from runscrape_generator.publish import guard, inventory
from runscrape_generator.publish.file_kinds import FileKind, kind_of

from .services import render, service, targets

LABELS = "labels: {service_name: s, project_id: p, location: r}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", set()),
        ("{", set()),
        ("\x00", set()),
        ("scrape_configs:", set()),
        ("[1, [], {static_configs: 3}]", set()),
        ("global: {}", set()),
        ("scrape_configs: [{job_name: node, static_configs: [{targets: ['n:9100']}]}]", set()),
        (
            f"[{{metrics_path: /m, static_configs: [{{targets: ['h:1'], {LABELS}}}]}}]",
            {("p/r/s", "h:1", "/m")},
        ),
        (f"[{{targets: ['h:1', 'h:2'], {LABELS}}}]", {("p/r/s", "h:1", ""), ("p/r/s", "h:2", "")}),
    ],
)
def test_read_back(text: str, expected: set[tuple[str, str, str]]) -> None:
    """Whatever the file holds, targets of services are found, and others are not."""
    assert guard.targets_in(text.encode()) == expected


def test_not_unicode() -> None:
    """Bytes that are no text list nothing."""
    assert guard.targets_in(b"\xff\xfe\xfa") == frozenset()


@pytest.mark.parametrize("each", Format)
@pytest.mark.parametrize("mode", Mode)
def test_jobs_are_known_for_jobs(each: Format, mode: Mode) -> None:
    """Every format of generate is told from a list of targets and from an inventory."""
    assert kind_of(render([service()], format=each, mode=mode).encode()) is FileKind.JOBS


@pytest.mark.parametrize("yaml", [True, False])
def test_targets_are_known_for_targets(yaml: bool) -> None:  # noqa: FBT001 (a parameter)
    """JSON or YAML, a list of targets is told from a configuration."""
    assert kind_of(targets([service()], as_yaml=yaml).encode()) is FileKind.TARGETS


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("global:\n  scrape_interval: 15s\nscrape_configs:\n- job_name: node\n", FileKind.JOBS),
        ("# by hand\nscrape_configs: []\n", FileKind.JOBS),
        ("- targets: ['n:9100']\n  labels: {job_name: x}\n", FileKind.TARGETS),
        ('[ {"labels": {}, "targets": []} ]', FileKind.TARGETS),
        (inventory.render([], [Scope("demo", "us-central1")]).decode(), FileKind.INVENTORY),
        ('{"version":1,"scopes":{}}', FileKind.INVENTORY),
        ("", None),
        ("[]\n", None),
        ("# some text\n", None),
        ("\ufeff\xff", None),
    ],
)
def test_kind_of_what_others_wrote(text: str, kind: FileKind | None) -> None:
    """What people wrote by hand is known as well; what could be anything is nothing."""
    assert kind_of(text.encode()) is kind
