"""A value as the user wrote it, with the place it came from, and the mistakes found on the way.

Flags, environment variables and the YAML file all become trees of :class:`Value`, so each setting
is checked by one piece of code wherever it came from.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_USER_INFO = re.compile("//.*@")


@dataclass(frozen=True, slots=True)
class Value:
    """One node: a scalar, a list of nodes, or a mapping of text to nodes."""

    data: Any
    place: str
    """``FILE:LINE``, ``--flag`` or ``RUNSCRAPE_VARIABLE``."""
    path: str = ""
    """Where in the file, such as ``rules[0].match``; empty for flags and variables."""
    base: Path = Path()
    """The folder that a relative path is relative to."""
    line: int = 0

    @property
    def where(self) -> str:
        """How a message begins."""
        return f"{self.place}: {self.path}" if self.path else self.place

    def plain(self) -> Any:
        """Give the data without its places, as a YAML loader would have."""
        if isinstance(self.data, list):
            return [item.plain() for item in self.data]
        if isinstance(self.data, Mapping):
            return {key: item.plain() for key, item in self.data.items()}
        return self.data


@dataclass(slots=True)
class Mistakes:
    """Everything that is wrong, gathered, so that one run shows it all.

    Of one place in a file only the first mistake counts: what follows is mostly its echo.
    """

    found: list[tuple[int, str]] = field(default_factory=list)
    calls: int = 0
    """How often something was found wrong, echoes included."""
    _places: set[str] = field(default_factory=set)

    def add(self, value: Value, message: str) -> None:
        """Note that *value* is wrong, in words that say what to write instead."""
        self.calls += 1
        if value.path and value.where in self._places:
            return
        self._places.add(value.where)
        self.found.append((value.line, f"{value.where}: {message}"))

    @property
    def lines(self) -> list[str]:
        """One line each, in the order of the file."""
        return [text for _, text in sorted(self.found, key=lambda mistake: mistake[0])]


def quoted(text: str) -> str:
    """Give *text* in quotes, but not the user and password of a URL."""
    return repr(_USER_INFO.sub("//***@", text))


def expected(what: str, data: object) -> str:
    """Say that *what* should be there in place of *data*."""
    if data is None:
        return f"has no value: expected {what}"
    return f"expected {what}, got {describe(data)}"


def describe(data: object) -> str:
    """Name *data* as a message does: its text in quotes, or what kind of thing it is."""
    if isinstance(data, bool):
        return f"the boolean {str(data).lower()}"
    if isinstance(data, int | float):
        whole = isinstance(data, float) and data.is_integer()
        return f"the number {int(data) if whole else data}"
    if isinstance(data, list):
        return "a list"
    if isinstance(data, Mapping):
        return "a mapping"
    return "nothing" if data is None else quoted(str(data))


def suggestion(word: str, known: Iterable[str], prefix: str = "") -> str:
    """Give ``; did you mean 'x'?`` for a near miss of a known name, else nothing.

    ``prefix`` is put before the name that is given.
    """
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f"; did you mean {prefix + near[0]!r}?" if near else ""
