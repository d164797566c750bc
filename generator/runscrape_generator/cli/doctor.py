"""``runscrape doctor``: its own options, and exit codes 0, 1 and 2 (1: something is not well)."""

from __future__ import annotations

import os
from pathlib import Path

import click

from runscrape_generator.cli import flags
from runscrape_generator.cli.call import Call, with_settings
from runscrape_generator.cli.output import ReaderGoneError, result
from runscrape_generator.config.sources import CONFIG_VARIABLE
from runscrape_generator.errors import ConfigError, RunscrapeError

_HEADING = "What to check, and how"


def parameters(command: str) -> list[click.Parameter]:
    """Give its own argument and options, and the settings."""
    return [
        flags.Argument(
            "services",
            nargs=-1,
            metavar="[SERVICE]...",
            heading=_HEADING,
            help="Services to check; by default all.",
        ),
        _option(
            "--prometheus-config",
            metavar="FILE",
            help="Check the jobs of this prometheus.yml, as Prometheus reads it, hand-written ones "
            "too; by default those that runscrape writes.",
        ),
        _option(
            "--prometheus",
            metavar="URL",
            help="Ask this running Prometheus what it sees, and say where that differs.",
        ),
        flags.switch(
            "--mint",
            heading=_HEADING,
            help="Mint tokens with the credentials that are here, without the proxy.",
        ),
        _option(
            "--impersonate-service-account",
            metavar="EMAIL",
            help="Mint as this account (with --mint).",
        ),
        flags.switch(
            "--probe-paths",
            heading=_HEADING,
            help="Where a path has no metrics, try the usual ones.",
        ),
        flags.switch("--json", "as_json", heading=_HEADING, help="Print JSON."),
        *flags.flags(command),
    ]


def _option(name: str, *, metavar: str, help: str) -> flags.Flag:  # noqa: A002 - as click has it
    return flags.own(name, metavar=metavar, help=help, heading=_HEADING)


@with_settings
def run(call: Call) -> int:
    """Check, and say what was found: 0 if all is well, 1 if something is not.

    Raises ConfigError, which is 2, where doctor cannot do its work.
    """
    from runscrape_generator.doctor import run as doctor  # noqa: PLC0415 (slow to import)

    own = call.own
    config = own["prometheus_config"]
    options = doctor.Options(
        services=own["services"],
        prometheus_config=Path(config) if config else None,
        prometheus=own["prometheus"] or "",
        mint=own["mint"],
        impersonate=own["impersonate_service_account"] or "",
        probe_paths=own["probe_paths"],
        as_json=own["as_json"],
    )
    try:
        with result() as stdout:
            file = own["config"] or os.environ.get(CONFIG_VARIABLE, "")
            return doctor.run(options, call.settings, file, call.console.progress, stdout)
    except ReaderGoneError:
        raise
    except RunscrapeError as error:
        raise ConfigError(str(error)) from error
