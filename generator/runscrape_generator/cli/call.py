"""A command that was called: its arguments, its settings, and the console that it writes to."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from runscrape_generator.cli import flags
from runscrape_generator.cli.console import Console
from runscrape_generator.cli.output import result
from runscrape_generator.config.load import Loaded, load
from runscrape_generator.config.settings import Settings
from runscrape_generator.signals import Hangup

if TYPE_CHECKING:
    from runscrape_generator.publish.prometheus_version import Found

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """A command that was called, with its settings read."""

    command: str
    flags: Mapping[str, object]
    """The settings among them."""
    own: Mapping[str, Any]
    """All arguments and options by name, those that are no settings included."""
    loaded: Loaded
    console: Console
    hangup: Hangup

    @property
    def settings(self) -> Settings:
        """What is in force."""
        return self.loaded.settings

    def reload(self) -> Settings:
        """Read the settings again, and from now on log as they say."""
        settings = load(self.command, self.flags, os.environ).settings
        self.console.configure(settings.verbosity, settings.log_format)
        return settings

    def resolved(self) -> tuple[Settings, Found | None]:
        """Find out what ``--prometheus-version auto`` stands for, for commands that write jobs."""
        from runscrape_generator.publish import prometheus_version  # noqa: PLC0415 (slow to import)

        if self.command == "targets":
            return self.settings, None
        return prometheus_version.resolved(self.settings)


def with_settings(body: Callable[[Call], int]) -> Callable[[click.Context], int]:
    """Read the settings of a command, then do *body* or print them (``--print-config``)."""

    def run(context: click.Context) -> int:
        call = begin(context, str(context.command.name), flags.given(context))
        return _print_config(call) if context.params["print_config"] else body(call)

    return run


def begin(context: click.Context, name: str, given: Mapping[str, object]) -> Call:
    """Read the settings, and from now on log as they say."""
    loaded = load(name, given, os.environ)
    settings, hangup = loaded.settings, context.obj
    console = Console(sys.stderr, verbosity=settings.verbosity, log_format=settings.log_format)
    console.install()
    if name not in {"generate", "targets"} or settings.watch is None:
        hangup.release()
    for warning in loaded.warnings:
        log.warning(warning)
    return Call(name, given, context.params, loaded, console, hangup)


def _print_config(call: Call) -> int:
    from runscrape_generator.config import printing  # noqa: PLC0415 (only here)

    _, version = call.resolved()
    notes = {"prometheus_version": f": {version.version}, {version.told_by}"} if version else {}
    with result() as stdout:
        stdout.write(printing.config(call.command, call.loaded, notes))
    return 0
