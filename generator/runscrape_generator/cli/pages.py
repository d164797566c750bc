"""``--help`` and ``--version``: pages with a heading for each group of options.

click would print them itself, and then take a full disk or a closed pipe for a bug of ours.
"""

from __future__ import annotations

import sys
from importlib import metadata

import click

from runscrape_generator.cli.console import PROGRAM
from runscrape_generator.cli.output import result

OTHER = "Other"
"""The heading of options that have none of their own."""


def version_option() -> click.Option:
    """Make ``--version``."""
    return click.Option(
        ["--version"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_version,
        help="Show the version and exit.",
    )


def _version(context: click.Context, _parameter: click.Parameter, value: object) -> None:
    if value:
        _show(context, f"{PROGRAM} {metadata.version(PROGRAM)}")


def _help(context: click.Context, _parameter: click.Parameter, value: object) -> None:
    if value and not context.resilient_parsing:
        _show(context, context.get_help())


def _show(context: click.Context, page: str) -> None:
    """Print *page* and end the program; where there is no standard output, nobody wants it."""
    if sys.stdout is not None:
        with result() as stdout:
            stdout.write(page + "\n")
    context.exit()


class _Page(click.Command):
    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _help
        return option


class Group(_Page, click.Group):
    """``runscrape`` itself."""


class Command(_Page):
    """A command whose options are listed under their headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each heading, in the order of the options."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                heading = getattr(parameter, "heading", OTHER)
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)
