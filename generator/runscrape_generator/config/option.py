"""One option: what it is called as a flag, a variable and a key, and where it applies."""

from __future__ import annotations

from dataclasses import dataclass

from runscrape_generator.config.kinds import Field

PREFIX = "RUNSCRAPE_"
"""Of the environment variables."""

COMMANDS = ("generate", "targets", "explain")
"""Those that the table of options makes flags for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option(Field):
    """A setting, as the user gives it."""

    field: str = ""
    """Its name in ``Settings``, where that is not the key."""
    group: str
    """The heading in ``--help``."""
    commands: tuple[str, ...] = COMMANDS
    """Those that have the flag; a file or variable may set it for any command."""
    default: object = None
    """As YAML would write it; None where nothing is set."""
    short: str | None = None
    file_only: bool = False
    """Only a key of the file: no flag, no variable."""

    @property
    def name(self) -> str:
        """The attribute of Settings."""
        return self.field or self.key

    @property
    def flag(self) -> str:
        """``--scrape-interval`` for the key ``scrape_interval``."""
        return "--" + self.key.replace("_", "-")

    @property
    def variable(self) -> str:
        """``RUNSCRAPE_SCRAPE_INTERVAL`` for the key ``scrape_interval``."""
        return PREFIX + self.key.upper()
