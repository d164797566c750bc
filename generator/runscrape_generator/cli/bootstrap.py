"""``runscrape bootstrap``: what decides the jobs, and options of its own."""

from __future__ import annotations

import os
from typing import Any

import click
from click.core import ParameterSource

from runscrape_generator.bootstrap import command as bootstrap
from runscrape_generator.bootstrap.options import OPTIONS, BundleOption
from runscrape_generator.bootstrap.platforms import Platform
from runscrape_generator.cli import flags
from runscrape_generator.cli.call import begin
from runscrape_generator.cli.output import result
from runscrape_generator.config.load import Loaded
from runscrape_generator.config.sources import CONFIG_VARIABLE
from runscrape_generator.progress import Progress

_HEADING = "What the bundle is for"
_NOT_FOR_BUNDLES = {"inventory", "print_config"}


def parameters(_command: str) -> list[click.Parameter]:
    """Give its own argument and options, and the settings that a bundle may have."""
    shared = [each for each in flags.flags("explain") if each.name not in _NOT_FOR_BUNDLES]
    shared += [each for each in flags.flags("generate") if each.name == "prometheus_version"]
    return [*own_parameters(), *shared]


def own_parameters() -> list[click.Parameter]:
    """Give the argument and the options that only bootstrap has.

    A default counts only where no earlier run was given another value.
    """
    return [
        flags.Argument("directory", metavar="DIR", help="", heading=_HEADING),
        flags.Flag(
            "--platform",
            type=click.Choice([platform.value for platform in Platform]),
            heading=_HEADING,
            help="Where it is to run; needed once.",
        ),
        flags.switch(
            "--diff",
            "show",
            heading=_HEADING,
            help="Print what would change, and write nothing.",
        ),
        flags.Flag(
            "--max-removed",
            type=click.FloatRange(0, 100),
            metavar="PERCENT",
            heading=_HEADING,
            help="How many percent of the jobs this run may remove; by default as settings say.",
        ),
        *map(_flag, OPTIONS),
    ]


def _flag(option: BundleOption) -> flags.Flag:
    if isinstance(option.default, bool):
        name = f"{option.flag}/--no-{option.flag[2:]}"
        return flags.switch(name, default=option.default, help=option.help, heading=_HEADING)
    several = isinstance(option.default, tuple)
    shown = f" [default: {option.default}]" if option.default else ""
    return flags.Flag(
        option.flag,
        default=option.default,
        help=option.help + (" Repeatable." if several else shown),
        metavar=option.metavar,
        multiple=several,
        heading=_HEADING,
    )


def run(context: click.Context) -> int:
    """Write the bundle."""
    names = [str(each.name) for each in own_parameters()]
    given = {key: value for key, value in flags.given(context).items() if key not in names}

    def read(own_config: str | None) -> tuple[Loaded, Progress]:
        named = "config" in given or os.environ.get(CONFIG_VARIABLE)
        config = {"config": own_config} if own_config and not named else {}
        call = begin(context, "explain", given | config)
        return call.loaded, call.console.progress

    with result() as stdout:
        chosen = {name: _on_command_line(context, name) for name in names}
        return bootstrap.run(chosen, read, stdout=stdout)


def _on_command_line(context: click.Context, name: str) -> Any:
    """What was given for a parameter on the command line; None where nothing was."""
    is_given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    return context.params[name] if is_given else None
