"""What the table "Tested with" of README.md says."""

from __future__ import annotations

from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def front_page_table() -> dict[str, list[str]]:
    """Read the table: a consumer and its version, such as ``Prometheus 3.5`` → its cells."""
    text = README.read_text("utf-8").partition("## Tested with\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return {name.strip(): [cell.strip() for cell in cells] for name, *cells in rows[1:]}
