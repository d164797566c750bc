"""A belief about Google: what it says, where it comes from, how sure it is, how it is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tests.google.site import Site

Sureness = Literal["A", "B", "C", "U"]
"""A: Google's documentation or source. B: somebody recorded request and answer. C: one indirect
report. U: unconfirmed, our own guess."""


class DiffersError(AssertionError):
    """Google (or the emulator) does something else; the message says what was seen."""


class CannotAskError(Exception):
    """The site does not have what the belief is about; the message says what is missing."""


@dataclass(frozen=True)
class Belief:
    """One case. ``name`` is stable: the report and issues speak of it."""

    name: str
    says: str
    source: str
    sure: Sureness
    check: Callable[[Site], None]


BELIEFS: list[Belief] = []
"""Every case, in the order of their modules."""


def belief(
    name: str, source: str, sure: Sureness
) -> Callable[[Callable[[Site], None]], Callable[[Site], None]]:
    """Register a check; its docstring is what the belief says."""

    def register(check: Callable[[Site], None]) -> Callable[[Site], None]:
        says = " ".join((check.__doc__ or "").split())
        BELIEFS.append(Belief(name, says, source, sure, check))
        return check

    return register


def expect(holds: object, seen: Any) -> None:
    """Go on where the belief holds; raise DiffersError with what was seen where it does not."""
    if not holds:
        raise DiffersError(str(seen))


def equal(seen: Any, believed: Any, what: str = "") -> None:
    """Expect a value."""
    expect(seen == believed, f"{what or 'value'}: {seen!r}, not {believed!r}")


def need(value: Any, what: str) -> Any:
    """Give a value that the check cannot do without; raise CannotAskError where it is missing."""
    if not value:
        raise CannotAskError(what)
    return value
