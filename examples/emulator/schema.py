"""The base of all that a world is made of: pydantic models that take nothing but what they name.

A fault that nobody reads never fires, and a test that relies on it proves nothing; so an unknown
key or a value of the wrong type is an error that names the place, e.g.
``world.projects.demo.services[2]: unknown key 'lables'``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class WorldError(ValueError):
    """The world cannot be built; the message names the places and what is wrong, one a line."""


class Part(BaseModel):
    """A mapping of the world; immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Many = Annotated[
    tuple[T, ...], BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
]
"""A list in YAML, a tuple in the model."""


def build(cls: type[M], value: object, where: str) -> M:
    """Make the model of *value*; raises WorldError with every mistake."""
    if not isinstance(value, Mapping):
        raise WorldError(f"{where}: expected a mapping, got {type(value).__name__}")
    try:
        return cls.model_validate(dict(value))
    except ValidationError as error:
        raise WorldError("\n".join(_line(one, where) for one in error.errors())) from None


def _line(error: Mapping[str, Any], where: str) -> str:
    *place, last = error["loc"]
    if error["type"] == "extra_forbidden":
        return f"{where}{_path(place)}: unknown key {last!r}"
    if error["type"] == "missing":
        return f"{where}{_path(place)}: {last!r} is missing"
    said = error["msg"].removeprefix("Input should be ").replace("a valid tuple", "a list")
    return f"{where}{_path(error['loc'])}: expected {said}, got {_short(error['input'])}"


def _path(place: Any) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)


def _short(value: object) -> str:
    return repr(value)[:80]
