"""Builds dataclasses from plain YAML values, strictly.

A fault that nobody reads never fires, and a test that relies on it proves nothing; so an unknown
key or a value of the wrong type is an error that names the place, e.g.
``projects.demo.services[2]: unknown key 'lables'``.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

T = TypeVar("T")


class WorldError(ValueError):
    """The world cannot be built; the message names the place and what is wrong."""


def build(cls: type[T], value: object, where: str) -> T:
    """Make the dataclass *cls* of the mapping *value*; raises WorldError."""
    if not isinstance(value, Mapping):
        raise WorldError(f"{where}: expected a mapping, got {type(value).__name__}")
    hints = _hints(typing.cast("Any", cls))
    for key in value:
        if key not in hints:
            raise WorldError(f"{where}: unknown key {key!r}")
    parsed = {key: convert(hints[key], item, f"{where}.{key}") for key, item in value.items()}
    try:
        return cls(**parsed)
    except TypeError as error:  # a required field is missing
        raise WorldError(f"{where}: {str(error).partition('() ')[2]}") from None


def convert(hint: Any, value: object, where: str) -> Any:
    """Check *value* against the type *hint*, building nested dataclasses; raises WorldError."""
    if dataclasses.is_dataclass(hint):
        return build(typing.cast("type[Any]", hint), value, where)
    origin = get_origin(hint)
    if origin in _CONTAINERS:
        return _CONTAINERS[origin](hint, value, where)
    return _scalar(hint, value, where)


def _scalar(hint: Any, value: object, where: str) -> object:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise WorldError(f"{where}: expected {hint.__name__}, got {value!r}")
    return value


def _union(hint: Any, value: object, where: str) -> object:
    if value is None:
        if type(None) in get_args(hint):
            return None
        raise WorldError(f"{where}: expected a value, got null")
    options = [option for option in get_args(hint) if option is not type(None)]
    return convert(options[0], value, where)


def _choice(hint: Any, value: object, where: str) -> object:
    if value not in get_args(hint):
        allowed = ", ".join(map(str, get_args(hint)))
        raise WorldError(f"{where}: expected one of {allowed}, got {value!r}")
    return value


def _tuple(hint: Any, value: object, where: str) -> object:
    if not isinstance(value, list | tuple):
        raise WorldError(f"{where}: expected a list, got {value!r}")
    item = get_args(hint)[0]
    return tuple(convert(item, entry, f"{where}[{n}]") for n, entry in enumerate(value))


def _mapping(hint: Any, value: object, where: str) -> object:
    if not isinstance(value, Mapping):
        raise WorldError(f"{where}: expected a mapping, got {value!r}")
    of_keys, of_values = get_args(hint)
    return {
        convert(of_keys, key, f"{where} (key)"): convert(of_values, entry, f"{where}.{key}")
        for key, entry in value.items()
    }


_CONTAINERS: dict[Any, Callable[[Any, object, str], object]] = {
    types.UnionType: _union,
    typing.Union: _union,
    Literal: _choice,
    tuple: _tuple,
    dict: _mapping,
}


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    """Type hints of the fields that a world may set (those of ``init=False`` it may not)."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}
