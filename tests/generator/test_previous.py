"""Reading an output back never fails, and counts only what is ours."""

from __future__ import annotations

import pytest

from runscrape_generator import previous

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
    assert previous.targets(text.encode()) == expected


def test_not_unicode() -> None:
    """Bytes that are no text list nothing."""
    assert previous.targets(b"\xff\xfe\xfa") == frozenset()
