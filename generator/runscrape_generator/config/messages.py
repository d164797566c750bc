"""How mistakes in settings are put into words: what is wrong, and what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

Place = tuple[str | int, ...]
"""Keys and positions that lead to a value: ``("rules", 0, "match")``."""

_USER_AND_PASSWORD = re.compile("//.*@")


def quoted(text: str) -> str:
    """Give *text* in quotes, without the user and password of a URL."""
    return repr(_USER_AND_PASSWORD.sub("//***@", text))


def expected(what: str, data: object) -> str:
    """Say that *what* should be there in place of *data*."""
    return f"expected {what}, got {describe(data)}"


def describe(data: object) -> str:
    """Name *data* as a message does: its text in quotes, or what kind of thing it is."""
    if isinstance(data, bool):
        return f"the boolean {str(data).lower()}"
    if isinstance(data, int | float):
        whole = isinstance(data, float) and data.is_integer()
        return f"the number {int(data) if whole else data}"
    if isinstance(data, list | tuple):
        return "a list"
    if isinstance(data, Mapping):
        return "a mapping"
    return quoted(str(data))


def suggestion(word: object, known: Iterable[str], prefix: str = "") -> str:
    """Give ``; did you mean 'x'?`` for a near miss of a known name, else nothing.

    ``prefix`` is put before the name that is given.
    """
    near = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.7)
    return f"; did you mean {prefix + near[0]!r}?" if near else ""


def dotted(place: Place) -> str:
    """Write a place as people do: ``rules[0].match``."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return "".join(steps).removeprefix(".")
