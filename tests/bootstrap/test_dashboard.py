"""The Grafana dashboard: JSON that Grafana reads, and queries that Prometheus has data for."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

from runscrape_generator.bootstrap import templates as bootstrap_templates


def dashboard() -> dict[str, Any]:
    text = bootstrap_templates.render("common/dashboard.json", stale_after=900)
    content: dict[str, Any] = json.loads(text)
    return content


def queries() -> list[tuple[str, str]]:
    return [
        (panel["title"], target["expr"])
        for panel in dashboard()["panels"]
        for target in panel["targets"]
    ]


def test_its_shape() -> None:
    """Each panel has an id of its own, a title, a description, a place that is only its own, and
    the data source that the user chooses.
    """
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        columns = range(place["x"], place["x"] + place["w"])
        cells = set(itertools.product(columns, range(place["y"], place["y"] + place["h"])))
        assert not cells & taken, panel["title"]
        taken |= cells
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
        assert panel["targets"]


def test_its_variables() -> None:
    """Every variable in a query is one of the dashboard's."""
    known = {each["name"] for each in dashboard()["templating"]["list"]}
    used = set(re.findall(r"\$(\w+)", " ".join(expression for _, expression in queries())))
    assert used <= known
