"""The commands of ``runscrape``.

Whatever is slow to import (Google's clients, gRPC, Jinja2, PyYAML) is imported by the command that
needs it, so that ``--help`` and a mistyped flag answer at once.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource

from runscrape_generator.bootstrap import command as bootstrap_command
from runscrape_generator.cli import doctor, explain, flags, iam
from runscrape_generator.cli import help as pages
from runscrape_generator.cli.call import Call, begin
from runscrape_generator.cli.console import PROGRAM
from runscrape_generator.cli.output import result
from runscrape_generator.config.sources import CONFIG_VARIABLE

if TYPE_CHECKING:
    from runscrape_generator.config.load import Loaded
    from runscrape_generator.progress import Progress

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_EPILOG = (
    "Every option can also be set by a variable (RUNSCRAPE_TOKEN_URL for --token-url; several "
    "values with commas or blanks between them), or as a key of the --config file (token_url). A "
    "flag beats the variable, which beats the file."
)
_EXAMPLES = {
    "generate": "runscrape generate --project my-project --output prometheus.yml",
    "targets": "runscrape targets --project my-project --mode gateway --output targets.json",
    "explain": "runscrape explain --project my-project",
    "doctor": "runscrape doctor --config runscrape.yaml api",
    "iam": "runscrape iam --config runscrape.yaml --terraform",
    "bootstrap": "runscrape bootstrap ./monitoring --platform compose --project my-project",
}


@cache
def group() -> click.Group:
    """Build the ``runscrape`` command."""
    commands = (
        _command(
            "generate",
            "Find Cloud Run services, and write Prometheus scrape jobs for them.",
            _write,
        ),
        _command(
            "targets",
            "Find Cloud Run services, and write them as targets for file_sd_configs.",
            _write,
        ),
        _command("explain", explain.ABOUT, explain.run, *explain.parameters()),
        _command("doctor", doctor.ABOUT, doctor.run, *doctor.parameters()),
        _command("iam", iam.ABOUT, iam.run, *iam.parameters()),
        _bootstrap(),
    )
    return pages.Group(
        PROGRAM,
        commands={str(command.name): command for command in commands},
        params=[pages.version_option()],
        no_args_is_help=False,
        help="Let Prometheus scrape Cloud Run services that require authentication.",
        context_settings=_CONTEXT,
    )


def _command(
    name: str, about: str, body: Callable[[Call], int], *more: click.Parameter
) -> click.Command:
    """Make a command that reads its settings, then does *body* or prints them."""

    @click.pass_context
    def callback(context: click.Context, /, **own: Any) -> int:
        call = begin(context, name, flags.given(context))
        return _print_config(call) if own["print_config"] else body(call)

    return _page(name, about, callback, [*more, *flags.flags(name)])


def _page(
    name: str, about: str, callback: Callable[..., int], params: list[click.Parameter]
) -> click.Command:
    return pages.Command(
        name,
        callback=callback,
        params=params,
        help=f"{about}\n\n\b\nExample:\n  {_EXAMPLES[name]}",
        short_help=about,
        epilog=_EPILOG,
        context_settings=_CONTEXT,
    )


def _print_config(call: Call) -> int:
    from runscrape_generator.config import printing  # noqa: PLC0415 (see the module's docstring)

    _, version = call.resolved()
    notes = {"prometheus_version": f": {version.version}, {version.told_by}"} if version else {}
    with result() as stdout:
        stdout.write(printing.config(call.command, call.loaded, notes))
    return 0


def _write(call: Call) -> int:
    """Run ``generate`` or ``targets`` once, or again and again."""
    from runscrape_generator import run, watch  # noqa: PLC0415 (see the module's docstring)

    command: Literal["generate", "targets"] = "targets" if call.command == "targets" else "generate"
    progress = call.console.progress
    with result(wanted=call.settings.output_path is None or call.settings.dry_run) as stdout:
        if call.settings.watch is not None:
            watch.watch(command, call.reload, progress, stdout=stdout, hangup=call.hangup)
        with _without_collector():
            return run.once(command, call.settings, progress, stdout=stdout).exit_code


@contextmanager
def _without_collector() -> Iterator[None]:
    """Look for no cycles in what one run makes: it has few, and the search is a tenth of it."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


_NOT_FOR_BUNDLES = {"inventory", "print_config"}


def _bootstrap() -> click.Command:
    """Make the command that lays down a bundle: what decides jobs, and options of its own."""
    own = bootstrap_command.parameters()
    for each in own:
        each.heading = bootstrap_command.GROUP  # type: ignore[attr-defined] # as Flag has it

    @click.pass_context
    def callback(context: click.Context, /, **_values: Any) -> int:
        chosen = {str(each.name): _on_command_line(context, str(each.name)) for each in own}
        given = flags.given(context)

        def read(own_config: str | None) -> tuple[Loaded, Progress]:
            named = "config" in given or os.environ.get(CONFIG_VARIABLE)
            config = {"config": own_config} if own_config and not named else {}
            call = begin(context, "explain", given | config)
            return call.loaded, call.console.progress

        with result() as stdout:
            return bootstrap_command.run(chosen, read, stdout=stdout)

    shared = [each for each in flags.flags("explain") if each.name not in _NOT_FOR_BUNDLES]
    shared += [each for each in flags.flags("generate") if each.name == "prometheus_version"]
    return _page("bootstrap", bootstrap_command.ABOUT, callback, [*own, *shared])


def _on_command_line(context: click.Context, name: str) -> Any:
    """What was given for a parameter on the command line; None where nothing was."""
    is_given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    return context.params[name] if is_given else None
