"""Where settings are written (flags, variables, a file), and the mistakes that are found there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runscrape_generator.config.fields import Reading
from runscrape_generator.config.messages import Place, dotted
from runscrape_generator.config.settings import BY_KEY, BY_VARIABLE, PREFIX
from runscrape_generator.errors import ConfigError

CONFIG_VARIABLE = PREFIX + "CONFIG"
"""Names the file, as ``--config`` does."""


@dataclass(frozen=True, slots=True)
class Source:
    """Settings as they are written in one place: by flags, in variables, or in a file."""

    data: Mapping[str, Any]
    reading: Reading
    names: Mapping[str, str] = field(default_factory=dict)
    """The flag or variable of each key."""
    file: str = ""
    lines: Mapping[Place, int] = field(default_factory=dict)

    def origin(self, place: Place) -> str:
        """``--flag``, ``RUNSCRAPE_VARIABLE`` or ``FILE:LINE``."""
        if self.file:
            return f"{self.file}:{self.line(place)}"
        return self.names[str(place[0])]

    def line(self, place: Place) -> int:
        """The line of a value; of what it stands in, where it has none of its own."""
        return self.lines.get(self.known(place), 0)

    def known(self, place: Place) -> Place:
        """The part of *place* that stands in the file: pydantic adds steps of its own."""
        while place and place not in self.lines:
            place = place[:-1]
        return place

    def where(self, place: Place) -> str:
        """How a message begins."""
        if not self.file:
            return self.origin(place)
        return f"{self.origin(place)}: {dotted(self.known(place))}"


@dataclass(slots=True)
class Mistakes:
    """Everything that is wrong, so that one run shows it all."""

    found: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Where → line and message. Of one value in a file only the first mistake counts, because
    later ones usually follow from it; of settings wrong together each counts."""
    keys: set[str] = field(default_factory=set)
    """The settings that cannot be used."""

    def add(self, source: Source, place: Place, message: str, *, also: bool = False) -> None:
        """Note a mistake; with *also*, even where there is one already."""
        where = source.where(place)
        text = f"{where}: {message}"
        self.found.setdefault(
            text if also or not source.file else where, (source.line(place), text)
        )

    @property
    def lines(self) -> list[str]:
        """One line each, in the order of the file."""
        return [text for _, text in sorted(self.found.values(), key=lambda mistake: mistake[0])]


def from_file(
    flags: Mapping[str, object], environ: Mapping[str, str], mistakes: Mistakes
) -> Source:
    """Read the file that ``--config``, or else the variable, names; raises ConfigError."""
    if flags.get("config") == "":
        raise ConfigError("--config: is empty: expected the path of a file")
    name = flags.get("config", environ.get(CONFIG_VARIABLE))
    if not name:
        return Source({}, Reading())
    from runscrape_generator.config import yaml_file  # noqa: PLC0415 (PyYAML only where needed)

    path = Path(str(name))
    document = yaml_file.read(path)
    source = Source(document.data, Reading(base=path.parent), file=str(path), lines=document.lines)
    for place, message in document.mistakes:
        mistakes.add(source, place, message)
        mistakes.keys.add(str(place[0]))
    return source


def from_variables(environ: Mapping[str, str]) -> Source:
    """Take what is set in the environment; an empty variable counts as unset."""
    given = {each.key: each.variable for each in BY_VARIABLE.values() if environ.get(each.variable)}
    return Source(
        {key: environ[name] for key, name in given.items()},
        Reading(as_text=True, separated=True),
        names=given,
    )


def from_flags(flags: Mapping[str, object]) -> Source:
    """Take the flags that were given, by key."""
    return Source(
        {key: value for key, value in flags.items() if key != "config"},
        Reading(as_text=True),
        names={key: option.flag for key, option in BY_KEY.items()},
    )
