"""The settings as flags of a command line, and the flags that are no settings."""

from __future__ import annotations

from functools import partial
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from runscrape_generator.cli.pages import OTHER
from runscrape_generator.config.settings import BY_KEY, OPTIONS, Option
from runscrape_generator.errors import ConfigError

MESSAGES = "Messages"


class Argument(click.Argument):
    """An argument, with what ``--help`` says of it and the heading for that."""

    def __init__(self, name: str, *, metavar: str, help: str, heading: str, **more: Any) -> None:  # noqa: A002 - as click has it
        super().__init__([name], metavar=metavar, **more)
        self.heading = heading
        self.text = help

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:  # noqa: ARG002 - click's
        """Give what is shown: click before 8.5 shows no arguments."""
        return str(self.metavar), self.text


class Flag(click.Option):
    """An option with the heading under which ``--help`` shows it."""

    def __init__(self, *names: str, heading: str = OTHER, **more: Any) -> None:
        super().__init__(names, **more)
        self.heading = heading


def flags(command: str) -> list[click.Option]:
    """Make the flags of *command*: its settings, and what every command has besides."""
    return [
        *(_flag(option) for option in OPTIONS if _has_flag(option, command)),
        Flag(
            *("-v", "--verbose"), count=True, heading=MESSAGES, help="Show every step; -vv, more."
        ),
        switch("-q", "--quiet", heading=MESSAGES, help="Show problems only."),
        Flag(
            "--config",
            metavar="FILE",
            shell_complete=partial(_complete, "FILE"),
            help="Read settings from this YAML file (also RUNSCRAPE_CONFIG).",
        ),
        switch("--print-config", help="Print the settings in force, and exit."),
    ]


def own(*names: str, **more: Any) -> Flag:
    """Make an option that is no setting: one that is given has a value."""
    return Flag(*names, callback=_not_empty, **more)


def _not_empty(
    _context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    if value is not None and not value.strip():
        raise ConfigError(f"{parameter.opts[0]}: is empty: leave it out, or give its value")
    return value


def switch(*names: str, **more: Any) -> Flag:
    """Make a flag without a value."""
    return Flag(*names, is_flag=True, **more)


def _has_flag(option: Option, command: str) -> bool:
    """Whether *command* has it; verbosity is ``-v`` and ``-q``."""
    return command in option.commands and not option.file_only and option.key != "verbosity"


def _flag(option: Option) -> Flag:
    """Make the flag of *option*; all texts stay texts, to be read with the other settings."""
    names = [option.flag, *([option.short] if option.short else [])]
    more: dict[str, Any] = {"metavar": option.metavar, "multiple": option.repeatable}
    more["shell_complete"] = partial(_complete, option.metavar)
    if option.switch:
        names, more = [f"{option.flag}/--no-{option.flag[2:]}"], {"is_flag": True}
    return Flag(*names, option.key, default=None, help=_help(option), heading=option.group, **more)


def _complete(
    metavar: str, _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Suggest files, or the words that a value may be."""
    if metavar == "FILE":
        return [CompletionItem(incomplete, type="file")]
    words = (word for word in metavar.split("|") if word.islower())
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def _help(option: Option) -> str:
    several = " Repeatable." if option.repeatable else ""
    shown = f" [default: {option.default}]" if option.default else ""
    return option.help + several + shown


def given(context: click.Context) -> dict[str, object]:
    """Give the settings that were given as flags, by key, and ``config`` where that was."""
    values = {
        name: value
        for name, value in context.params.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    verbose, quiet = values.pop("verbose", 0), values.pop("quiet", False)
    if verbose and quiet:
        raise click.UsageError("-v and -q exclude each other", context)
    keys = {"config", *BY_KEY}
    flags = {name: value for name, value in values.items() if name in keys}
    if verbose or quiet:
        flags["verbosity"] = -1 if quiet else min(verbose, 2)
    return flags
