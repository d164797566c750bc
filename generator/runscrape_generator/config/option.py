"""What a setting is besides its type and default: its flag, variable and key, and its help."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, get_args, get_origin

from pydantic import Field
from pydantic.fields import FieldInfo

from runscrape_generator.config.fields import Marker, Number, OneOrMany, Pairs, Switch

PREFIX = "RUNSCRAPE_"
"""Of the environment variables."""

COMMANDS = ("generate", "targets", "explain", "doctor", "iam")
"""Those whose flags are made from the settings."""


@dataclass(frozen=True, slots=True)
class _Notes:
    """What pydantic keeps for us with a field; it calls this to add to the JSON Schema."""

    heading: str
    commands: tuple[str, ...]
    short: str | None
    file_only: bool

    def __call__(self, schema: dict[str, Any]) -> None:
        """Add nothing: none of it is for the schema."""


def setting(
    heading: str,
    text: str,
    /,
    *,
    default: object = None,
    key: str | None = None,
    commands: tuple[str, ...] = COMMANDS,
    short: str | None = None,
    file_only: bool = False,
) -> Any:
    """Declare a setting of the class ``Settings``: its place in ``--help``, and what it says there.

    *default* is as one writes it in the file; *key* is its name there, if that is not the
    attribute's. The flag, for *commands*, and the variable are made from the key; *file_only* has
    neither. A file or a variable may set it for any command.
    """
    notes: Any = _Notes(heading, commands, short, file_only)
    return Field(default, alias=key, description=text, json_schema_extra=notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A setting as the user gives it."""

    name: str
    """The attribute of ``Settings``."""
    key: str
    """In the file."""
    help: str
    group: str
    """The heading in ``--help``."""
    commands: tuple[str, ...]
    """Those that have the flag."""
    default: Any
    """As one writes it in the file; None or empty where nothing is set."""
    short: str | None
    file_only: bool
    """Only a key of the file: no flag, no variable."""
    metavar: str
    """What ``--help`` shows for a value; empty for a switch."""
    switch: bool
    number: bool
    """A number or a switch: the settings hold it as the file does."""
    repeatable: bool

    @property
    def flag(self) -> str:
        """``--scrape-interval`` for the key ``scrape_interval``."""
        return "--" + self.key.replace("_", "-")

    @property
    def variable(self) -> str:
        """``RUNSCRAPE_SCRAPE_INTERVAL`` for the key ``scrape_interval``."""
        return PREFIX + self.key.upper()


def fields(model: Any) -> dict[str, FieldInfo]:
    """Give the fields of a pydantic dataclass, by attribute."""
    found: dict[str, FieldInfo] = model.__pydantic_fields__
    return found


def option(name: str, field: FieldInfo) -> Option:
    """Give the option of the attribute *name* that :func:`setting` has declared."""
    notes: Any = field.json_schema_extra
    markers = [*field.metadata, *_markers(field.annotation)]
    return Option(
        name=name,
        key=field.alias or name,
        help=field.description or "",
        group=notes.heading,
        commands=notes.commands,
        default=field.default,
        short=notes.short,
        file_only=notes.file_only,
        metavar=_metavar(field.annotation, markers),
        switch=any(isinstance(each, Switch) for each in markers),
        number=any(isinstance(each, Number | Switch) for each in markers),
        repeatable=any(isinstance(each, OneOrMany | Pairs) for each in markers),
    )


def _markers(annotation: Any) -> Iterator[object]:
    """Everything that stands beside the Python types in *annotation*, however deep."""
    for part in get_args(annotation):
        yield part
        yield from _markers(part)


def _metavar(annotation: Any, markers: list[object]) -> str:
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return "|".join(annotation)
    shown = (each.metavar for each in markers if isinstance(each, Marker))
    return next(filter(None, shown), "")
