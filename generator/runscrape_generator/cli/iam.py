"""``runscrape iam``: its own options."""

from __future__ import annotations

import click

from runscrape_generator.cli import flags
from runscrape_generator.cli.call import Call, with_settings
from runscrape_generator.cli.output import result
from runscrape_generator.errors import ConfigError

_HEADING = "Who needs it, and how to say it"


def parameters(command: str) -> list[click.Parameter]:
    """Give its own options, and the settings."""
    return [
        flags.own(
            "--generator-identity",
            metavar="EMAIL",
            heading=_HEADING,
            help="Who lists the services; by default whose credentials are here.",
        ),
        flags.own(
            "--proxy-identity",
            metavar="EMAIL",
            heading=_HEADING,
            help="Who calls the services; by default whose tokens the proxy gives.",
        ),
        flags.switch("--terraform", heading=_HEADING, help="Print Terraform."),
        flags.switch(
            "--diff", heading=_HEADING, help="Leave out what is there already, if it may be read."
        ),
        *flags.flags(command),
    ]


@with_settings
def run(call: Call) -> int:
    """Print what is needed."""
    from runscrape_generator.iam import run as iam  # noqa: PLC0415 (slow to import)

    own = call.own
    if own["terraform"] and own["diff"]:
        raise ConfigError(
            "--diff and --terraform exclude each other: Terraform itself leaves out what is there"
        )
    options = iam.Options(
        generator=own["generator_identity"] or "",
        proxy=own["proxy_identity"] or "",
        terraform=own["terraform"],
        diff=own["diff"],
    )
    with result() as stdout:
        stdout.write(iam.text(options, call.settings, call.console.progress))
    return 0
