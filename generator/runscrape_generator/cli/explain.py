"""``runscrape explain``: list and decide as a run would, and show what came of it.

The exit code is 3 where not all could be listed.
"""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING

import click

from runscrape_generator.cli import flags
from runscrape_generator.cli.call import Call, with_settings
from runscrape_generator.cli.output import result

if TYPE_CHECKING:
    from runscrape_generator.cloudrun.recall import Recalled
    from runscrape_generator.config.settings import Settings
    from runscrape_generator.model import Decision
    from runscrape_generator.progress import Progress

log = logging.getLogger(__name__)

_HEADING = "What to show"


def parameters(command: str) -> list[click.Parameter]:
    """Give its own argument and option, and the settings."""
    return [
        flags.Argument(
            "services",
            metavar="[SERVICE]...",
            nargs=-1,
            heading=_HEADING,
            help="Services to show in full, every setting with where it came from: names, "
            "PROJECT/REGION/NAME, or globs.",
        ),
        flags.switch("--json", "as_json", heading=_HEADING, help="Print JSON."),
        *flags.flags(command),
    ]


@with_settings
def run(call: Call) -> int:
    """Write what became of every service, or of those that were named in full."""
    from runscrape_generator.cli import details, overview  # noqa: PLC0415 (slow to import)
    from runscrape_generator.selection.jobs import assemble  # noqa: PLC0415

    settings, version = call.resolved()
    recalled, decisions = _decided(settings, call.console.progress)
    found = overview.Overview(
        decisions=decisions,
        jobs=assemble(decisions),
        stale=recalled.stale,
        missing=recalled.missing,
        version=version,
    )
    names = call.own["services"]
    named = details.named(names, decisions, settings, call.loaded.origins) if names else None
    with result() as stdout:
        if call.own["as_json"]:
            stdout.write(overview.as_json(found, named))
        elif named is not None:
            stdout.write(details.text(named))
            if version is not None:
                stdout.write(overview.version_line(version) + "\n")
        else:
            columns = shutil.get_terminal_size().columns if stdout.isatty() else None
            stdout.write(overview.table(found, width=columns))
    return 0 if recalled.whole else 3


def _decided(settings: Settings, progress: Progress) -> tuple[Recalled, tuple[Decision, ...]]:
    """List and decide as ``runscrape generate`` would."""
    from runscrape_generator.pipeline import around_the_jobs, recalled_now  # noqa: PLC0415 (slow)
    from runscrape_generator.selection.decide import decide  # noqa: PLC0415
    from runscrape_generator.selection.rules import unmatched  # noqa: PLC0415

    usual, others = around_the_jobs(settings)
    recalled, _ = recalled_now(settings, progress, settings.inventory_path)
    for line in unmatched(recalled.services, settings):
        log.warning(line)
    return recalled, decide(recalled.services, usual, others)
