"""The commands of ``runscrape``: what each is called, and is about.

What a command takes and does is in a module of its own, which is imported when the command is
called or its own page is read, so that ``runscrape --help`` needs no settings and no pydantic.
What is slower still (Google's clients, gRPC, Jinja2, PyYAML) those modules import when they begin
to work, so that a mistyped flag is told at once.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import click

from runscrape_generator.cli import pages
from runscrape_generator.cli.console import PROGRAM

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_EPILOG = (
    "Every option can also be set by a variable (RUNSCRAPE_TOKEN_URL for --token-url; several "
    "values with commas or blanks between them), or as a key of the --config file (token_url). A "
    "flag beats the variable, which beats the file."
)


@cache
def group() -> click.Group:
    """Build the ``runscrape`` command."""
    commands = (
        _Command(
            "generate",
            "Find Cloud Run services, and write Prometheus scrape jobs for them.",
            example="runscrape generate --project my-project --output prometheus.yml",
            module="write",
        ),
        _Command(
            "targets",
            "Find Cloud Run services, and write them as targets for file_sd_configs.",
            example="runscrape targets --project my-project --mode gateway --output targets.json",
            module="write",
        ),
        _Command(
            "explain",
            "Show what would be scraped, and why the rest is not; writes nothing.",
            example="runscrape explain --project my-project",
        ),
        _Command(
            "doctor",
            "Ask for tokens and scrape as Prometheus would: why is a target down, and what mends "
            "it.",
            example="runscrape doctor --config runscrape.yaml api",
        ),
        _Command(
            "iam",
            "Print the least that the two identities need, as gcloud commands or Terraform.",
            example="runscrape iam --config runscrape.yaml --terraform",
        ),
        _Command(
            "bootstrap",
            "Write a folder with everything to run Prometheus and runscrape from.",
            example="runscrape bootstrap ./monitoring --platform compose --project my-project",
        ),
    )
    return pages.Group(
        PROGRAM,
        commands={str(command.name): command for command in commands},
        params=[pages.version_option()],
        no_args_is_help=False,
        help="Let Prometheus scrape Cloud Run services that require authentication.",
        context_settings=_CONTEXT,
    )


class _Command(pages.Command):
    """A command; its module (by default of its name) has what it takes, and does."""

    def __init__(self, name: str, about: str, *, example: str, module: str = "") -> None:
        super().__init__(
            name,
            help=f"{about}\n\n\b\nExample:\n  {example}",
            short_help=about,
            epilog=_EPILOG,
            context_settings=_CONTEXT,
        )
        self._module = f"runscrape_generator.cli.{module or name}"

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Make the parameters when they are asked for."""
        self.params = self.params or import_module(self._module).parameters(self.name)
        return super().get_params(ctx)

    def invoke(self, ctx: click.Context) -> Any:
        """Do the work, and give the exit code."""
        return import_module(self._module).run(ctx)
