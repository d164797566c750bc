"""Text in columns: wrapped, and coloured only where somebody looks at a terminal."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from runscrape_generator.text import cut, width

USUAL = 100
"""Columns where nothing says how many there are (a file, a pipe)."""
NARROWEST = 40


_JOINED = " \\"
"""At the end of a line that goes on."""


def _parts(words: Sequence[str]) -> Iterator[str]:
    """Quote the words, each option together with the word that follows it."""
    option = ""
    for word in map(shlex.quote, words):
        if word.startswith("--"):
            yield from filter(None, (option,))
            option = word
        else:
            yield f"{option} {word}".lstrip()
            option = ""
    yield from filter(None, (option,))


@dataclass(frozen=True, slots=True)
class Layout:
    """How wide the page is, and whether it has colours."""

    columns: int = USUAL
    colour: bool = False

    def style(self, text: str, **how: Any) -> str:
        """Colour a text, as :func:`click.style` does, where that is wanted."""
        return click.style(text, **how) if self.colour and text else text

    def wrapped(self, text: str, indent: int, hanging: int = 0) -> Iterator[str]:
        """Break a text into lines, every one indented, those after the first a little more."""
        first, later = " " * indent, " " * (indent + hanging)
        yield from textwrap.wrap(
            text,
            max(self.columns, NARROWEST),
            initial_indent=first,
            subsequent_indent=later,
            break_on_hyphens=False,
            break_long_words=False,
        )

    def command(self, words: Sequence[str], indent: int) -> Iterator[str]:
        """Break a command into lines that a shell joins again; an option keeps its value."""
        pad, line = " " * indent, ""
        for part in _parts(words):
            if line and width(pad) + width(line) + width(part) + len(" " + _JOINED) > self.columns:
                yield f"{pad}{line}{_JOINED}"
                pad, line = " " * (indent + 2), part
            else:
                line = f"{line} {part}" if line else part
        yield pad + line

    def names(self, names: Sequence[str], room: int) -> str:
        """List names in *room* columns, those that do not fit as a number."""
        shown = ", ".join(names)
        if width(shown) <= room:
            return shown
        for count in range(len(names) - 1, 0, -1):
            shown = f"{', '.join(names[:count])} and {len(names) - count} more"
            if width(shown) <= room:
                return shown
        return cut(f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else names[0], room)
