"""Kinds of values: how each is read, what is wrong with a bad one, and its JSON Schema.

A :class:`Kind` is the only place that knows a kind of value. The parser, the JSON Schema, the help
and the mistakes all come from it, so they cannot disagree. What a kind can express as a regular
expression it does, because then the schema says the same (JSON Schema patterns are ECMA-262; the
expressions here mean the same in Python and ECMAScript).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runscrape_generator.config.values import Mistakes, Value, expected, quoted, suggestion

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of value."""

    metavar: str
    """What ``--help`` shows for it; empty for a switch."""
    read: Callable[[Value, Mistakes], Any]
    """Give what the settings hold; None if it is wrong."""
    schema: Schema
    from_text: Callable[[str], Any] = str
    """The text of a flag or variable, as YAML would have read the same value."""
    show: Callable[[Value], Any] = Value.plain
    """The plain data that means the same wherever the file lies."""
    repeatable: bool = False
    switch: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A key of a mapping in the file."""

    key: str
    kind: Kind
    help: str
    required: bool = False


def text(
    what: str,
    pattern: str,
    *,
    metavar: str = "TEXT",
    convert: Callable[[str], Any] = str,
    hint: Callable[[str], str] = lambda _: "",
) -> Kind:
    """Text that matches *pattern* whole; *what* completes ``'…' is not …``.

    *convert* may refuse the rest with a ValueError; *hint* adds a remedy to the message.
    """
    matcher = re.compile(pattern)

    def read(value: Value, mistakes: Mistakes) -> object:
        if not isinstance(value.data, str):
            mistakes.add(value, expected(what, value.data) + _quotes(value.data, matcher))
            return None
        if not value.data:
            mistakes.add(value, f"is empty; expected {what}")
        elif not matcher.fullmatch(value.data):
            mistakes.add(value, f"{quoted(value.data)} is not {what}{hint(value.data)}")
        else:
            return _converted(convert, value, mistakes)
        return None

    return Kind(
        metavar=metavar, read=read, schema={"type": "string", "pattern": f"^(?:{pattern})$"}
    )


def _converted(convert: Callable[[str], Any], value: Value, mistakes: Mistakes) -> object:
    try:
        return convert(value.data)
    except ValueError as error:
        mistakes.add(value, str(error))
        return None


def _quotes(data: object, matcher: re.Pattern[str]) -> str:
    """Suggest quotes where YAML made something else of what was meant as text (2.50, say)."""
    meant = isinstance(data, float) or (isinstance(data, int) and matcher.fullmatch(str(data)))
    return ": put it in quotes" if meant else ""


def choice(names: type[Any] | tuple[str, ...]) -> Kind:
    """One of a few words, or of the members of a StrEnum."""
    words = [str(name) for name in names]

    def read(value: Value, mistakes: Mistakes) -> object:
        if value.data in words:
            return value.data if isinstance(names, tuple) else names(value.data)
        near = suggestion(value.data, words) if isinstance(value.data, str) else ""
        mistakes.add(value, expected(f"one of {', '.join(words)}", value.data) + near)
        return None

    return Kind(metavar="|".join(words), read=read, schema={"enum": words})


def number(what: str, low: float, high: float, *, whole: bool, metavar: str) -> Kind:
    """A number from *low* to *high*; *what* completes ``expected …``."""
    kind = int if whole else float

    def read(value: Value, mistakes: Mistakes) -> object:
        data = value.data
        is_number = isinstance(data, int | float) and not isinstance(data, bool)
        # JSON Schema too takes 32.0 for an integer.
        if is_number and low <= data <= high and (data == int(data) or not whole):
            return kind(data)
        mistakes.add(value, expected(what, data))
        return None

    def from_text(text: str) -> object:
        pattern = r"-?[0-9]{1,9}" if whole else r"-?[0-9]{1,9}(\.[0-9]{1,9})?"
        return kind(text) if re.fullmatch(pattern, text) else text

    schema = {"type": "integer" if whole else "number", "minimum": low, "maximum": high}
    return Kind(metavar=metavar, read=read, schema=schema, from_text=from_text)


def _read_switch(value: Value, mistakes: Mistakes) -> object:
    if isinstance(value.data, bool):
        return value.data
    mistakes.add(value, expected("true or false", value.data))
    return None


SWITCH = Kind(
    metavar="",
    read=_read_switch,
    schema={"type": "boolean"},
    from_text=lambda text: {"true": True, "false": False}.get(text.lower(), text),
    switch=True,
)


def list_of(item: Kind, *, least: int = 0, single: bool = True) -> Kind:
    """A list of *item* with *least* entries; with *single*, also one by itself.

    A variable has them with commas or blanks between, which no kind that is listed holds.
    """

    def read(value: Value, mistakes: Mistakes) -> tuple[Any, ...]:
        if not isinstance(value.data, list) and not single:
            mistakes.add(value, expected("a list", value.data))
            return ()
        values = value.data if isinstance(value.data, list) else [value]
        if len(values) < least:
            mistakes.add(value, "is empty: leave the key out, or list something")
        return tuple(item.read(each, mistakes) for each in values)

    many = {"type": "array", "items": item.schema} | ({"minItems": least} if least else {})
    return Kind(
        metavar=item.metavar,
        read=read,
        schema={"anyOf": [item.schema, many]} if single else many,
        from_text=lambda text: text.replace(",", " ").split(),
        repeatable=True,
    )


def mapping_of(item: Kind, key: Kind) -> Kind:
    """A mapping with keys of one kind of text and values of another kind."""

    def read(value: Value, mistakes: Mistakes) -> dict[str, Any]:
        if not isinstance(value.data, Mapping):
            mistakes.add(value, expected("a mapping", value.data))
            return {}
        for name, each in value.data.items():
            key.read(Value(name, each.place, each.path, line=each.line), mistakes)
        return {name: item.read(each, mistakes) for name, each in value.data.items()}

    names = key.schema.get("pattern", "")
    schema = {"type": "object", "additionalProperties": item.schema}
    return Kind(
        metavar=f"{key.metavar}={item.metavar}",
        read=read,
        schema=schema | ({"propertyNames": {"pattern": names}} if names else {}),
    )


def record(fields: Sequence[Field], make: Callable[..., Any]) -> Kind:
    """A mapping with the keys of *fields*, given to *make* by keyword where they are set."""
    known = {field.key: field for field in fields}

    def read(value: Value, mistakes: Mistakes) -> object:
        if not isinstance(value.data, Mapping):
            mistakes.add(value, expected("a mapping", value.data))
            return None
        before = len(mistakes.found)
        parsed = read_fields(value, known, mistakes)
        if len(mistakes.found) > before:
            return None
        try:
            return make(**parsed)
        except ValueError as error:
            mistakes.add(value, str(error))
            return None

    return Kind(metavar="", read=read, schema=record_schema(fields))


def read_fields(value: Value, known: Mapping[str, Field], mistakes: Mistakes) -> dict[str, Any]:
    """Read each known key of the mapping *value*; unknown and missing keys are mistakes."""
    for key, each in value.data.items():
        if key not in known:
            mistakes.add(each, f"unknown key{suggestion(key, known)}")
    for key, field in known.items():
        if field.required and key not in value.data:
            mistakes.add(value, f"{key!r} is missing: {field.help}")
    return {
        key: known[key].kind.read(each, mistakes)
        for key, each in value.data.items()
        if key in known
    }


def record_schema(fields: Sequence[Field]) -> dict[str, Any]:
    """Give the schema of a mapping with exactly these keys."""
    required = [field.key for field in fields if field.required]
    properties = {field.key: {"description": field.help, **field.kind.schema} for field in fields}
    schema: dict[str, Any] = {"type": "object", "additionalProperties": False}
    return schema | {"properties": properties} | ({"required": required} if required else {})
