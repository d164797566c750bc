"""The commands of ``runscrape``.

Whatever is slow to import (Google's clients, gRPC, Jinja2, PyYAML) is imported by the command that
needs it, so that ``--help`` and a mistyped flag answer at once.
"""

from __future__ import annotations

import gc
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource

from runscrape_generator.bootstrap import command as bootstrap_command
from runscrape_generator.cli import doctor, flags, iam
from runscrape_generator.cli import help as pages
from runscrape_generator.cli.console import PROGRAM, Console
from runscrape_generator.cli.output import result
from runscrape_generator.config.load import Loaded, load
from runscrape_generator.config.settings import Settings
from runscrape_generator.config.sources import CONFIG_VARIABLE
from runscrape_generator.progress import Progress
from runscrape_generator.signals import Hangup

if TYPE_CHECKING:
    from runscrape_generator.publish.prometheus_version import Found

log = logging.getLogger(__name__)

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
        _command(
            "explain",
            "Show what would be scraped, and why the rest is not; writes nothing.",
            _explain,
            flags.Argument(
                "services",
                metavar="[SERVICE]...",
                nargs=-1,
                heading="What to show",
                help="Services to show in full, every setting with where it came from: names, "
                "PROJECT/REGION/NAME, or globs.",
            ),
            flags.switch("--json", "as_json", heading="What to show", help="Print JSON."),
        ),
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
        call = _begin(context, name, flags.given(context))
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


def _begin(context: click.Context, name: str, given: Mapping[str, object]) -> Call:
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
    from runscrape_generator.config import printing  # noqa: PLC0415 (see the module's docstring)

    _, version = _resolved(call)
    notes = {"prometheus_version": f": {version.version}, {version.told_by}"} if version else {}
    with result() as stdout:
        stdout.write(printing.config(call.command, call.loaded, notes))
    return 0


def _resolved(call: Call) -> tuple[Settings, Found | None]:
    """Find out what ``--prometheus-version auto`` stands for, for commands that write jobs."""
    from runscrape_generator.publish import prometheus_version  # noqa: PLC0415

    if call.command == "targets":
        return call.settings, None
    return prometheus_version.resolved(call.settings)


def _write(call: Call) -> int:
    """Run ``generate`` or ``targets`` once, or again and again."""
    from runscrape_generator import run, watch  # noqa: PLC0415 (see the module's docstring)

    command: Literal["generate", "targets"] = "targets" if call.command == "targets" else "generate"
    progress = call.console.progress
    with result() as stdout:
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


def _explain(call: Call) -> int:
    """List and decide as a run would, and show it; 3 where not all could be listed."""
    from runscrape_generator.cli import details, explain  # noqa: PLC0415 (see the module's docstring)
    from runscrape_generator.cloudrun.discovery import discover  # noqa: PLC0415
    from runscrape_generator.cloudrun.recall import recall  # noqa: PLC0415
    from runscrape_generator.publish import files, inventory  # noqa: PLC0415
    from runscrape_generator.render.formats import other_jobs  # noqa: PLC0415
    from runscrape_generator.selection.decide import decide  # noqa: PLC0415
    from runscrape_generator.selection.jobs import assemble  # noqa: PLC0415
    from runscrape_generator.selection.rules import unmatched  # noqa: PLC0415

    settings, version = _resolved(call)
    path = settings.inventory_path
    before = inventory.load(path) if path is not None else None
    known = before.scopes if before is not None else {}
    recalled = recall(discover(settings, known, call.console.progress), known)
    output = files.read(settings.into) if settings.into is not None else None
    decisions = decide(recalled.services, settings, other_jobs(settings, output or b""))
    assembled = assemble(decisions)
    for line in unmatched(recalled.services, settings):
        log.warning(line)
    names = call.own["services"]
    named = details.named(names, decisions, settings, call.loaded.origins) if names else None
    with result() as stdout:
        if call.own["as_json"]:
            text = explain.as_json(
                decisions,
                assembled,
                recalled.stale,
                named,
                missing=recalled.missing,
                version=version,
            )
        elif named is not None:
            text = details.text(named)
        else:
            columns = shutil.get_terminal_size().columns if stdout.isatty() else None
            text = explain.table(
                decisions, assembled, recalled.stale, width=columns, missing=recalled.missing
            )
        stdout.write(text)
        if version is not None and not call.own["as_json"]:
            stdout.write(f"for Prometheus {version.version}: {version.told_by}\n")
    return 0 if recalled.whole else 3


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
            call = _begin(context, "explain", given | config)
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
