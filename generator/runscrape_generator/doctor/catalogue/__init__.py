"""The closed list of causes, the worst first: what concerns every target comes before the rest."""

from __future__ import annotations

from collections.abc import Mapping

from runscrape_generator.doctor.catalogue import scrapes, services, tokens, warnings
from runscrape_generator.doctor.causes import Cause

__all__ = ["BY_NAME", "CAUSES", "RANK"]

CAUSES: tuple[Cause, ...] = (
    *tokens.CAUSES,
    *services.CAUSES,
    *scrapes.CAUSES,
    *warnings.CAUSES,
)
BY_NAME: Mapping[str, Cause] = {cause.name: cause for cause in CAUSES}
RANK: Mapping[str, int] = {cause.name: number for number, cause in enumerate(CAUSES)}
"""Their order, by name."""
