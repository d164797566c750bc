"""What was found wrong: the name of a cause, what was seen, and values for its remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runscrape_generator.doctor.causes import Value


@dataclass(frozen=True, slots=True)
class Fault:
    """A cause by name, before its remedy is filled in."""

    cause: str
    detail: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)


def fault(cause: str, detail: str = "", **values: Value) -> Fault:
    """Make a fault; values are named as the cause's placeholders are."""
    return Fault(cause, detail, values)
