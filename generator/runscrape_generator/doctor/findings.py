"""From a fault that was found to what is said of it, with commands that are safe to paste."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runscrape_generator.doctor.causes import BY_NAME, Cause
from runscrape_generator.text import printable

Value = str | Sequence[str]
"""What stands for a placeholder: a text or, for ``{*name}``, words of a command."""
Values = Mapping[str, Value]

_MAY_BE_EMPTY = {"working_path"}


@dataclass(frozen=True, slots=True)
class Fault:
    """A cause by name, what was seen, and values for its remedy that only the finder knows."""

    cause: str
    detail: str = ""
    values: Values = field(default_factory=dict)


def found(cause: str, detail: str = "", **values: Value) -> Fault:
    """Make a fault of what was found; values are named as the cause's placeholders are."""
    return Fault(cause, detail, values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A cause, met at one target."""

    cause: Cause
    detail: str = ""
    """What was seen there, on one line."""
    remedy: str = ""
    commands: tuple[tuple[str, ...], ...] = ()
    """Word by word: :func:`shlex.join` makes a line of them."""


def finding(fault: Fault, values: Values) -> Finding:
    """Fill the placeholders of a fault's cause; the fault's own values come before *values*."""
    cause, known = BY_NAME[fault.cause], {**values, **fault.values}
    return Finding(
        cause=cause,
        detail=printable(" ".join(fault.detail.split())),
        remedy=cause.remedy.format_map(_Texts(known)),
        commands=tuple(_filled(each, known) for each in cause.commands if _usable(each, known)),
    )


class _Texts(dict[str, str]):
    """Values for a text; one that nobody knows is named by what it is, in capitals."""

    def __init__(self, values: Values) -> None:
        super().__init__(
            {
                name: printable(value)
                for name, value in values.items()
                if isinstance(value, str) and (value or name in _MAY_BE_EMPTY)
            }
        )

    def __missing__(self, name: str) -> str:
        return name.upper()


def is_known(value: Value) -> bool:
    """Whether a command may hold a value: not one that a terminal, or a program's options, act on.

    Names may be a stranger's (labels of a configuration written by hand): ``--account=…`` as the
    name of a service would be an option of gcloud's.
    """
    if not isinstance(value, str):
        return bool(value)
    return bool(value) and value == printable(value) and not value.startswith("-")


def _usable(words: tuple[str, ...], values: Values) -> bool:
    return all(is_known(values.get(name, "")) for name in _placeholders(words))


def _placeholders(words: tuple[str, ...]) -> Iterator[str]:
    for word in words:
        for _, name, _, _ in string.Formatter().parse(word):
            if name is not None:
                yield name.removeprefix("*")


def _filled(words: tuple[str, ...], values: Values) -> tuple[str, ...]:
    filled: list[str] = []
    for word in words:
        if word.startswith("{*"):
            filled.extend(values[word[2:-1]])
        else:
            filled.append(word.format_map(values))
    return tuple(filled)
