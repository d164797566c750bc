"""``runscrape bootstrap``: what decides the jobs, and options of its own."""

from __future__ import annotations

import os
from typing import Any

import click
from click.core import ParameterSource

from runscrape_generator.bootstrap import command as bootstrap
from runscrape_generator.cli import flags
from runscrape_generator.cli.call import begin
from runscrape_generator.cli.output import result
from runscrape_generator.config.load import Loaded
from runscrape_generator.config.sources import CONFIG_VARIABLE
from runscrape_generator.progress import Progress

_NOT_FOR_BUNDLES = {"inventory", "print_config"}


def parameters(_command: str) -> list[click.Parameter]:
    """Give its own argument and options, and the settings that a bundle may have."""
    own = bootstrap.parameters()
    for each in own:
        each.heading = bootstrap.GROUP  # type: ignore[attr-defined] # as Flag has it
    shared = [each for each in flags.flags("explain") if each.name not in _NOT_FOR_BUNDLES]
    shared += [each for each in flags.flags("generate") if each.name == "prometheus_version"]
    return [*own, *shared]


def run(context: click.Context) -> int:
    """Write the bundle."""
    names = [str(each.name) for each in bootstrap.parameters()]
    given = flags.given(context)

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
