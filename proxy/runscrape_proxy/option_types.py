"""What the values of command-line options may be, beyond click's own types.

click calls a function with what was given, and names it in the help by the function's name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click

MIN_SIZE: Final = 1024
MIN_MINT_TIMEOUT, MAX_MINT_TIMEOUT = 0.1, 60.0

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART: Final = r"(\d+)(ms|[smhd])"
_SIZE: Final = re.compile(r"(\d{1,12})(?:B|(?:([KMGT])i?B))?", re.ASCII)
_BYTES: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_MODE: Final = re.compile(r"0?[0-7]{3}", re.ASCII)


def parse_duration(text: str) -> float:
    """Turn a Prometheus duration (``500ms``, ``4s``, ``1m30s``) into seconds.

    Raises click.BadParameter for anything else, a bare number included.
    """
    if not re.fullmatch(f"({_PART})+", text, re.ASCII):
        raise click.BadParameter(f"{text!r} is not a duration such as 4s or 1m30s")
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(_PART, text, re.ASCII))


def duration(text: str) -> float:
    """Take a duration that is sensible for a mint, in seconds."""
    seconds = parse_duration(text)
    if not MIN_MINT_TIMEOUT <= seconds <= MAX_MINT_TIMEOUT:
        raise click.BadParameter("not between 100ms and 1m")
    return seconds


def size(text: str) -> int:
    """Take a size as Prometheus writes it (``64MB``, ``256MiB``, ``1024``), in bytes.

    All units are powers of 1024, as there.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a size such as 64MB or 256MiB")
    number = int(match[1]) * _BYTES.get(match[2], 1)
    if number < MIN_SIZE:
        raise click.BadParameter("less than 1KiB")
    return number


def mode(text: str) -> int:
    """Take the permissions of a file, in octal."""
    if not _MODE.fullmatch(text):
        raise click.BadParameter(f"{text!r} is not a mode such as 0660")
    return int(text, 8)


class Item(click.types.StringParamType):
    """One value of a repeatable option; a variable holds several, with commas or blanks between."""

    def split_envvar_value(self, rv: str) -> list[str]:
        """Split what a variable holds."""
        return [item for item in re.split(r"[,\s]+", rv) if item]


class Files(click.Path):
    """Files, one of which a repeatable option takes; in a variable as other items are."""

    def split_envvar_value(self, rv: str) -> list[str]:
        """Split what a variable holds."""
        return ITEM.split_envvar_value(rv)


FILE, FILES = click.Path(path_type=Path), Files(path_type=Path)
ITEM = Item()
