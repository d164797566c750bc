"""The troubleshooting tables of the manuals: what they say that people see."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.reference import prose


def symptoms(manual: Path) -> list[str]:
    """Give the first cell of each row of the table below ``Troubleshooting``, once.

    ``the same, …`` is another cause of the row before.
    """
    _, section = re.split(r"^#+ Troubleshooting\n", prose(manual), flags=re.MULTILINE)
    table = re.split(r"^#", section, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| (.*?) \|", table, re.MULTILINE)
    return [row for row in rows[1:] if not row.startswith("the same,")]


def shows(symptom: str, text: str) -> bool:
    """Whether a text has the pieces of one of the cell's alternatives (``, or``), in their order.

    Pieces are what stands in backticks; ``…`` in them, and words between them, stand for anything.
    """
    return any(_shows(alternative, text) for alternative in symptom.split(", or "))


def _shows(alternative: str, text: str) -> bool:
    quoted = re.findall(r"`([^`]+)`", alternative)
    pieces = [piece.strip() for part in quoted for piece in part.split("…")]
    return bool(pieces) and bool(re.search(".*".join(map(re.escape, pieces)), text, re.DOTALL))
