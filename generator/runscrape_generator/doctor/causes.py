"""What a cause is, and how it becomes a finding about one target, with commands safe to paste."""

from __future__ import annotations

import shlex
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from runscrape_generator.text import printable

Value = str | Sequence[str]
"""What stands for a placeholder: a text or, for ``{*name}``, words of a command."""
Values = Mapping[str, Value]


class Severity(StrEnum):
    """Whether the target is down for it."""

    BROKEN = "broken"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One entry of the closed list of causes. Texts and commands hold ``{placeholders}``."""

    name: str
    """Stable: for ``--json``, scripts, the manual."""
    title: str
    """What is wrong, for all targets that have it: no placeholders."""
    remedy: str
    """What to do, in words."""
    commands: tuple[tuple[str, ...], ...] = ()
    """What to type, word by word; ``{*name}`` stands for several words. One that holds a value that
    nobody knows is left out."""
    source: str
    """Where the rule is from."""
    severity: Severity = Severity.BROKEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A cause, met at one target."""

    cause: Cause
    detail: str = ""
    """What was seen there, on one line."""
    remedy: str = ""
    commands: tuple[tuple[str, ...], ...] = ()
    """Word by word; :func:`shell` makes a line of them."""


def finding(cause: Cause, values: Values, detail: str = "") -> Finding:
    """Fill the placeholders of *cause*."""
    known = _Known(values)
    return Finding(
        cause=cause,
        detail=printable(" ".join(detail.split())),
        remedy=string.Formatter().vformat(cause.remedy, (), known),
        commands=tuple(_filled(each, values) for each in cause.commands if _usable(each, values)),
    )


_MAY_BE_EMPTY = {"working_path"}


class _Known(dict[str, str]):
    """Values for a text; one that nobody knows is named by what it is, in capitals."""

    def __init__(self, values: Values) -> None:
        super().__init__(
            {
                name: printable(value)
                for name, value in values.items()
                if isinstance(value, str) and (value or name in _MAY_BE_EMPTY)
            }
        )

    def __getitem__(self, name: str) -> str:
        return self.get(name, name.upper())


def _placeholders(words: tuple[str, ...]) -> Iterator[str]:
    for word in words:
        for _, name, _, _ in string.Formatter().parse(word):
            if name is not None:
                yield name.removeprefix("*")


def _usable(words: tuple[str, ...], values: Values) -> bool:
    return all(_is_known(values.get(name, "")) for name in _placeholders(words))


def _is_known(value: Value) -> bool:
    """Whether a command may hold a value: not one that a terminal, or a program's options, act on.

    Names may be a stranger's (labels of a configuration written by hand): ``--account=…`` as the
    name of a service would be an option of gcloud's.
    """
    if not isinstance(value, str):
        return bool(value)
    return bool(value) and value == printable(value) and not value.startswith("-")


def _filled(words: tuple[str, ...], values: Values) -> tuple[str, ...]:
    filled: list[str] = []
    for word in words:
        if word.startswith("{*"):
            filled.extend(values[word[2:-1]])
        else:
            filled.append(string.Formatter().vformat(word, (), values))
    return tuple(filled)


def shell(words: Sequence[str]) -> str:
    """Make a line for a shell; whatever a word holds stays one word."""
    return shlex.join(words)
