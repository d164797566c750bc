"""The closed list of causes (``causes.yaml``), and what is said of one that was met at a target.

``causes.yaml`` is the one place that says what mends what. Its remedies and commands hold
``{placeholders}``, which :func:`finding` fills in, so that a command is safe to paste.
"""

from __future__ import annotations

import shlex
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runscrape_generator.render.yaml import from_yaml
from runscrape_generator.text import printable

Value = str | Sequence[str]
"""What stands for a placeholder: a text or, for ``{*name}``, words of a command."""
Values = Mapping[str, Value]

_MAY_BE_EMPTY = {"working_path"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One entry of the list; ``causes.yaml`` says what each field is for."""

    name: str
    title: str
    remedy: str
    commands: tuple[tuple[str, ...], ...] = ()
    """Word by word."""
    source: str
    warning: bool = False


def _cause(name: str, *, commands: Sequence[str] = (), **entry: Any) -> Cause:
    words = tuple(tuple(shlex.split(command)) for command in commands)
    return Cause(name=name, commands=words, **entry)


def _read(path: Path) -> tuple[Cause, ...]:
    (content,) = from_yaml(path.read_text("utf-8"))
    return tuple(_cause(name, **entry) for name, entry in content.items())


CAUSES = _read(Path(__file__).with_name("causes.yaml"))
"""The worst first: what concerns every target comes before the rest."""
BY_NAME: Mapping[str, Cause] = {cause.name: cause for cause in CAUSES}
RANK: Mapping[str, int] = {cause.name: number for number, cause in enumerate(CAUSES)}
"""Their order, by name."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What was found at a target: a cause by name, what was seen, and what only the finder knows.

    ``values`` are named as the cause's placeholders are.
    """

    cause: str
    detail: str = ""
    values: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is said of a fault."""

    cause: Cause
    detail: str = ""
    """What was seen, on one line."""
    remedy: str = ""
    commands: tuple[tuple[str, ...], ...] = ()
    """Word by word: :func:`shlex.join` makes a line of them."""


def finding(fault: Fault, values: Values) -> Finding:
    """Fill the placeholders of a fault's cause; the fault's own values come before *values*."""
    cause, known = BY_NAME[fault.cause], {**values, **fault.values}
    return Finding(
        cause=cause,
        detail=printable(" ".join(fault.detail.split())),
        remedy=_filled_text(cause.remedy, known),
        commands=tuple(
            _filled_words(each, known) for each in cause.commands if _usable(each, known)
        ),
    )


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


def _filled_text(text: str, values: Values) -> str:
    """Fill a remedy; a value that nobody knows is named by what it is, in capitals."""
    shown = {}
    for name in _placeholders((text,)):
        value = str(values.get(name, ""))
        shown[name] = printable(value) if value or name in _MAY_BE_EMPTY else name.upper()
    return text.format(**shown)


def _filled_words(words: tuple[str, ...], values: Values) -> tuple[str, ...]:
    filled: list[str] = []
    for word in words:
        if word.startswith("{*"):
            filled.extend(values[word[2:-1]])
        else:
            filled.append(word.format_map(values))
    return tuple(filled)
