"""Building blocks of the settings' types: how a value is read, and its JSON Schema.

Each is put into ``Annotated`` beside the Python type: ``Annotated[str, Text("a project id", …)]``.
A value that is wrong raises ValueError with a message that says what to write instead. What can be
said as a regular expression is, because then the JSON Schema says the same (its patterns are those
of ECMA-262; the expressions here mean the same in Python and ECMAScript).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from runscrape_generator.config.messages import expected, quoted
from runscrape_generator.text import SURROGATES


@dataclass(frozen=True, slots=True)
class Reading:
    """How values are written where they come from; the context of pydantic's validation.

    Without one values are as Python has them: seconds are numbers, files are paths, and what a text
    may hold is not checked.
    """

    base: Path = Path()
    """The folder that relative paths are relative to."""
    as_text: bool = False
    """Whether numbers and switches come as text, as in flags and variables."""
    separated: bool = False
    """Whether several values stand in one text, with commas or blanks between them."""


class Marker:
    """What a type says about itself beyond its Python type."""

    metavar = ""
    """What ``--help`` shows for a value; empty if that is nothing, or said by an inner marker."""

    def check(self, kind: Any, value: Any, info: ValidationInfo) -> Any:
        """Give what the Python type *kind* is made of; raises ValueError."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check a value before pydantic does."""
        return core_schema.with_info_before_validator_function(
            partial(self.check, source), handler(source)
        )


@dataclass(frozen=True, slots=True)
class Text(Marker):
    """Text that matches *pattern* whole; *what* completes ``'…' is not …``.

    *convert* is given the text and the folder of the file, and may refuse with a ValueError;
    *hint* adds a remedy to the message.
    """

    what: str
    pattern: str
    metavar: str = "TEXT"
    convert: Callable[[str, Path], Any] | None = None
    hint: Callable[[str], str] = lambda _: ""
    any_bytes: bool = False
    """Whether it may be other than Unicode, as names of files may: it goes into no file."""

    def check(self, kind: Any, value: Any, info: ValidationInfo) -> Any:
        """Match the text, then convert it."""
        if value is None or (info.context is None and kind is str):
            return value  # a null in a file is told by its reader
        if not isinstance(value, str):
            if info.context is None:
                return value
            raise ValueError(expected(self.what, value) + self._quotes(value))
        if not re.fullmatch(self.pattern, value):
            if not value.strip(" "):
                raise ValueError(f"is empty: expected {self.what}")
            raise ValueError(f"{quoted(value)} is not {self.what}{self.hint(value)}")
        if not self.any_bytes and SURROGATES.search(value):
            raise ValueError(f"{quoted(value)} is not {self.what}: it is no Unicode text")
        if self.convert is None:
            return value
        return self.convert(value, info.context.base if info.context else Path())

    def _quotes(self, data: object) -> str:
        """Suggest quotes where YAML made something else of what was meant as text (2.50, say)."""
        number = isinstance(data, int) and re.fullmatch(self.pattern, str(data))
        return ": put it in quotes" if number or isinstance(data, float) else ""

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Give the pattern."""
        return {"type": "string", "pattern": f"^(?:{self.pattern})$"}


@dataclass(frozen=True, slots=True)
class Scalar(Text):
    """Text, or a number or boolean in its place: Prometheus reads ``regex: 404`` as text too."""

    def check(self, kind: Any, value: Any, info: ValidationInfo) -> Any:
        """Match what Prometheus would read."""
        if isinstance(value, bool):
            value = str(value).lower()
        text = str(value) if isinstance(value, int | float) else value
        return Text.check(self, kind, text, info)

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Give the pattern, which JSON Schema applies to text alone."""
        return {"type": ["string", "number", "boolean"], "pattern": f"^(?:{self.pattern})$"}


@dataclass(frozen=True, slots=True)
class Number(Marker):
    """A number from *low* to *high*, a whole one for ``int``; *what* completes ``expected …``."""

    what: str
    low: float
    high: float
    metavar: str = "N"

    def check(self, kind: Any, value: Any, info: ValidationInfo) -> Any:
        """Take numbers, and from flags and variables their text."""
        texts = info.context and info.context.as_text and isinstance(value, str)
        number: Any = _number(value) if texts else value
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if not is_number or not self.low <= number <= self.high:
            raise ValueError(expected(self.what, number))
        # JSON Schema too takes 32.0 for an integer.
        if kind is int and number != int(number):
            raise ValueError(expected(self.what, number))
        return kind(number)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Give the bounds."""
        return handler(schema) | {"minimum": self.low, "maximum": self.high}


def _number(text: str) -> object:
    if re.fullmatch(r"-?[0-9]{1,9}", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?[0-9]{1,9}\.[0-9]{1,9}", text) else text


@dataclass(frozen=True, slots=True)
class Switch(Marker):
    """True or false."""

    def check(self, _kind: Any, value: Any, info: ValidationInfo) -> Any:
        """Take booleans, and from variables their text."""
        if info.context and info.context.as_text and isinstance(value, str):
            value = {"true": True, "false": False}.get(value.lower(), value)
        if not isinstance(value, bool):
            raise ValueError(expected("true or false", value))  # noqa: TRY004 - pydantic's way
        return value


class OneOrMany(Marker):
    """A list; a value by itself is a list of one, and a variable's text is split."""

    def check(self, _kind: Any, value: Any, info: ValidationInfo) -> tuple[Any, ...]:
        """Make a tuple of whatever is given."""
        if info.context and info.context.separated and isinstance(value, str):
            words = tuple(value.replace(",", " ").split())
            if not words:
                raise ValueError("holds commas and blanks alone: name something, or leave it empty")
            return words
        return tuple(value) if isinstance(value, list | tuple) else (value,)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Allow one or a list."""
        many = handler(schema)
        return {"anyOf": [many["items"], many]}


@dataclass(frozen=True, slots=True)
class Pairs(Marker):
    """A mapping, or ``KEY=VALUE`` as the type *texts* has them, which are made into one."""

    texts: Any
    metavar = "KEY=VALUE"

    def check(self, _kind: Any, value: Any, info: ValidationInfo) -> Any:
        """Make a mapping of texts."""
        if isinstance(value, Mapping):
            return value
        texts = TypeAdapter(self.texts).validate_python(value, context=info.context)
        found: dict[str, str] = {}
        for key, item in (text.split("=", 1) for text in texts):
            if found.setdefault(key, item) != item:
                raise ValueError(f"{key!r} cannot be both {found[key]!r} and {item!r}")
        return found

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Allow both."""
        return {"anyOf": [handler(schema), TypeAdapter(self.texts).json_schema()]}
