"""``runscrape generate`` and ``runscrape targets``: one run, or run after run."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import click

from runscrape_generator.cli import flags
from runscrape_generator.cli.call import Call, with_settings
from runscrape_generator.cli.output import result


def parameters(command: str) -> list[click.Parameter]:
    """Give the settings."""
    return [*flags.flags(command)]


@with_settings
def run(call: Call) -> int:
    """Run once, or again and again."""
    from runscrape_generator import run as runs  # noqa: PLC0415 (slow; a mistyped flag needs none)
    from runscrape_generator import watch  # noqa: PLC0415

    command: Literal["generate", "targets"] = "targets" if call.command == "targets" else "generate"
    progress = call.console.progress
    with result(wanted=call.settings.output_path is None or call.settings.dry_run) as stdout:
        if call.settings.watch is not None:
            watch.watch(command, call.reload, progress, stdout=stdout, hangup=call.hangup)
        with _without_collector():
            return runs.once(command, call.settings, progress, stdout=stdout).exit_code


@contextmanager
def _without_collector() -> Iterator[None]:
    """Look for no cycles in what one run makes: it has few, and the search is a tenth of it."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
