"""What the values of command-line options may be, beyond click's own types."""

from __future__ import annotations

import re
from pathlib import Path

import click

from runscrape_proxy.settings import parse_duration, parse_size

MIN_SIZE = 1024
MIN_MINT_TIMEOUT, MAX_MINT_TIMEOUT = 0.1, 60.0


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.5
    """A Prometheus duration, in seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse; fails on what is no duration, or no sensible one for a mint."""
        try:
            seconds = value if isinstance(value, float) else parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not MIN_MINT_TIMEOUT <= seconds <= MAX_MINT_TIMEOUT:
            self.fail("not between 100ms and 1m", param, ctx)
        return seconds


class Size(click.ParamType):  # type: ignore[type-arg]  # as above
    """A size as Prometheus writes it, in bytes."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Parse; fails on what is no size of at least a kibibyte."""
        try:
            size = value if isinstance(value, int) else parse_size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if size < MIN_SIZE:
            self.fail("less than 1KiB", param, ctx)
        return size


class Mode(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.5
    """The permissions of a file, in octal."""

    name = "mode"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Parse; fails on what is no mode."""
        if isinstance(value, int):
            return value
        if not re.fullmatch(r"0?[0-7]{3}", str(value), re.ASCII):
            self.fail(f"{value!r} is not a mode such as 0660", param, ctx)
        return int(str(value), 8)


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
