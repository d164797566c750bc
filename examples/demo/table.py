"""The demo's result: every service, its job, whether it is up, and how many samples came."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .scrapes import Key, Scrape

HEADINGS = ("SERVICE", "REGION", "JOB", "UP", "SAMPLES")


@dataclass(frozen=True, slots=True)
class Row:
    """One service of the inventory, with its scrape if it is to have one."""

    service: str
    region: str
    job: str
    kept: bool
    scrape: Scrape | None

    @property
    def up(self) -> bool:
        """Whether samples arrived."""
        return self.scrape is not None and self.scrape.up and self.scrape.samples > 0

    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        if not self.kept:
            return (self.service, self.region, f"none: {self.job}", "-", "-")
        if self.scrape is None:
            return (self.service, self.region, self.job, "waiting", "-")
        state = "yes" if self.up else f"NO: {self.scrape.error}"
        return (self.service, self.region, self.job, state, str(self.scrape.samples))


def rows(inventory: Path, scrapes: Mapping[Key, Scrape]) -> list[Row]:
    """Join the inventory with what was scraped."""
    scopes: Mapping[str, list[dict[str, Any]]] = json.loads(inventory.read_text("utf-8"))["scopes"]
    return [
        _row(service, scrapes) for _, services in sorted(scopes.items()) for service in services
    ]


def _row(service: Mapping[str, Any], scrapes: Mapping[Key, Scrape]) -> Row:
    kept = service["state"] == "kept"
    return Row(
        service=service["name"],
        region=service["region"],
        job=service["job"] if kept else service["reason"].partition(":")[0],
        kept=kept,
        scrape=scrapes.get((service["job"], service["metrics_path"])) if kept else None,
    )


def render(table: list[Row]) -> str:
    """Align the columns."""
    cells = [HEADINGS, *(row.cells() for row in table)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
