"""The commands of ``runscrape``, with the flags that the table of options gives them.

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
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import click
from click.core import ParameterSource

from runscrape_generator.bootstrap import command as bootstrap_cli
from runscrape_generator.cli import help as help_pages
from runscrape_generator.cli.console import PROGRAM, Console
from runscrape_generator.cli.output import result
from runscrape_generator.config import load as configuration
from runscrape_generator.config.load import Loaded
from runscrape_generator.config.options import OPTIONS, Option
from runscrape_generator.config.settings import Settings
from runscrape_generator.progress import Progress
from runscrape_generator.signals import Hangup

log = logging.getLogger(__name__)

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_EPILOG = (
    "Each option is also an environment variable (--token-url: RUNSCRAPE_TOKEN_URL; several values "
    "with commas or blanks between) and a key of the file that --config names (token_url). A flag "
    "beats the variable, which beats the file."
)
_ABOUT = {
    "generate": "Find Cloud Run services and write Prometheus scrape jobs for them.",
    "targets": "Find Cloud Run services and write file_sd targets for them.",
    "explain": "Show every service found: its job, or why it has none.",
}


@dataclass(slots=True)
class Session:
    """What the place that turns errors into messages knows of the run."""

    verbosity: int = 0
    hangup: Hangup = field(default_factory=Hangup)


_GROUPS = {option.key: option.group for option in OPTIONS} | {
    **{str(parameter.name): bootstrap_cli.GROUP for parameter in bootstrap_cli.parameters()},
    "verbose": "How to talk",
    "quiet": "How to talk",
}


class _Command(help_pages.Command):
    """One with the headings of the table of options."""

    groups = _GROUPS


def group() -> click.Group:
    """Build the ``runscrape`` command."""
    commands = {
        "generate": _command("generate", partial(_write, "generate")),
        "targets": _command("targets", partial(_write, "targets")),
        "explain": _command("explain", _explain, _switch("--json", "as_json", "Print JSON.")),
        "bootstrap": _bootstrap(),
    }
    return help_pages.Group(
        PROGRAM,
        commands=commands,
        params=[help_pages.version_option()],
        no_args_is_help=False,
        help="Let Prometheus scrape Cloud Run services that require authentication.",
        context_settings=_CONTEXT,
    )


def _command(name: str, body: Callable[..., int], *more: click.Option) -> click.Command:
    """Make a command that reads its settings, then does *body* or prints them."""

    @click.pass_context
    def callback(context: click.Context, /, **given: object) -> int:
        print_config, own = given.pop("print_config"), {}
        if "as_json" in given:
            own["as_json"] = given.pop("as_json")
        else:
            own["hangup"] = context.obj.hangup
        flags = _flags(context, given)
        loaded, console = _begin(context, name, flags)
        if print_config:
            return _print_config(name, loaded)
        return body(
            loaded.settings, console.progress, partial(_reload_settings, name, flags), **own
        )

    return _Command(
        name,
        callback=callback,
        params=[*_parameters(name), *more],
        help=_ABOUT[name],
        short_help=_ABOUT[name],
        epilog=_EPILOG,
        context_settings=_CONTEXT,
    )


def _bootstrap() -> click.Command:
    """Make the command that lays down a bundle: what decides jobs, and options of its own."""
    own = bootstrap_cli.parameters()

    @click.pass_context
    def callback(context: click.Context, /, **given: object) -> int:
        chosen = {name: given.pop(name) for name in [str(each.name) for each in own]}
        for name in chosen:
            if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
                chosen[name] = None
        flags = _flags(context, given)

        def load(own_config: str | None) -> tuple[Loaded, Progress]:
            named = "config" in flags or os.environ.get(configuration.CONFIG_VARIABLE)
            own = {"config": own_config} if own_config and not named else {}
            loaded, console = _begin(context, "explain", flags | own)
            return loaded, console.progress

        with result() as stdout:
            return bootstrap_cli.run(chosen, load, stdout=stdout)

    shared = [each for each in _parameters("explain") if each.name not in _NOT_FOR_BUNDLES]
    shared += [each for each in _parameters("generate") if each.name == "prometheus_version"]
    return _Command(
        "bootstrap",
        callback=callback,
        params=[*own, *shared],
        help=bootstrap_cli.ABOUT,
        short_help=bootstrap_cli.ABOUT,
        epilog=_EPILOG,
        context_settings=_CONTEXT,
    )


_NOT_FOR_BUNDLES = {"inventory", "print_config"}


def _begin(
    context: click.Context, name: str, flags: Mapping[str, object]
) -> tuple[Loaded, Console]:
    """Read the settings, and from now on log as they say."""
    loaded = configuration.load(name, flags, os.environ)
    console = _console(loaded.settings)
    console.install()
    context.obj.verbosity = loaded.settings.verbosity
    if name == "explain" or loaded.settings.watch is None:
        context.obj.hangup.release()
    for warning in loaded.warnings:
        log.warning(warning)
    return loaded, console


def _console(settings: Settings) -> Console:
    return Console(sys.stderr, verbosity=settings.verbosity, log_format=settings.log_format)


def _reload_settings(name: str, flags: Mapping[str, object]) -> Settings:
    return configuration.load(name, flags, os.environ).settings


def _print_config(name: str, loaded: Loaded) -> int:
    from runscrape_generator.config import printing  # noqa: PLC0415 (see the module's docstring)

    with result() as stdout:
        stdout.write(printing.config(name, loaded))
    return 0


def _write(
    command: Literal["generate", "targets"],
    settings: Settings,
    progress: Progress,
    load: Callable[[], Settings],
    *,
    hangup: Hangup,
) -> int:
    """Run ``generate`` or ``targets`` once, or again and again."""
    from runscrape_generator import run, watch  # noqa: PLC0415 (see the module's docstring)

    with result() as stdout:
        if settings.watch is not None:
            watch.watch(command, load, progress, stdout=stdout, hangup=hangup)
        with _without_collector():
            return run.once(command, settings, progress, stdout=stdout).exit_code


@contextmanager
def _without_collector() -> Iterator[None]:
    """Look for no cycles in what one run makes: it has few, and the search is a tenth of it."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _explain(
    settings: Settings, progress: Progress, _load: Callable[[], Settings], *, as_json: bool
) -> int:
    """List and decide as a run would, and show it; 3 where the inventory had to stand in."""
    from runscrape_generator.cli import explain  # noqa: PLC0415 (see the module's docstring)
    from runscrape_generator.cloudrun.discovery import discover  # noqa: PLC0415
    from runscrape_generator.cloudrun.recall import recall  # noqa: PLC0415
    from runscrape_generator.publish import inventory  # noqa: PLC0415
    from runscrape_generator.selection.decide import decide  # noqa: PLC0415
    from runscrape_generator.selection.jobs import assemble  # noqa: PLC0415

    path = settings.inventory_path
    before = inventory.load(path) if path is not None else None
    known = before.scopes if before is not None else {}
    recalled = recall(discover(settings, known, progress), known)
    decisions = decide(recalled.services, settings)
    assembled = assemble(decisions, settings)
    with result() as stdout:
        if as_json:
            text = explain.as_json(decisions, assembled, recalled.stale)
        else:
            columns = shutil.get_terminal_size().columns if stdout.isatty() else None
            text = explain.table(decisions, assembled, recalled.stale, width=columns)
        stdout.write(text)
    return 3 if recalled.stale else 0


def _parameters(command: str) -> list[click.Option]:
    table = [
        _parameter(option)
        for option in OPTIONS
        if command in option.commands and not option.file_only and option.key != "verbosity"
    ]
    verbose = click.Option(["-v", "--verbose"], count=True, help="Show every step; -vv, more.")
    config = click.Option(
        ["--config"],
        metavar="FILE",
        help="Read settings from this YAML file (also RUNSCRAPE_CONFIG).",
    )
    return [
        *table,
        verbose,
        _switch("-q/--quiet", "quiet", "Show problems only."),
        config,
        _switch("--print-config", "print_config", "Print the settings in force, and exit."),
    ]


def _switch(flag: str, name: str, text: str) -> click.Option:
    return click.Option([*flag.split("/"), name], is_flag=True, help=text)


def _parameter(option: Option) -> click.Option:
    """Make the flag of *option*; all texts stay texts, and configuration reads them."""
    names = [option.flag, *([option.short] if option.short else [])]
    more: dict[str, Any] = {"metavar": option.kind.metavar, "multiple": option.kind.repeatable}
    if option.kind.switch:
        names, more = [f"{option.flag}/--no-{option.flag[2:]}"], {"is_flag": True}
    return click.Option([*names, option.key], default=None, help=_help(option), **more)


def _help(option: Option) -> str:
    several = " Repeatable." if option.kind.repeatable else ""
    shown = option.default not in (None, (), False)
    return option.help + several + (f" [default: {option.default}]" if shown else "")


def _flags(context: click.Context, given: dict[str, object]) -> dict[str, object]:
    """Keep the flags that were given; -v and -q are two faces of one setting."""
    verbose, quiet = given.pop("verbose"), given.pop("quiet")
    if verbose and quiet:
        raise click.UsageError("-v and -q exclude each other", context)
    flags = {key: value for key, value in given.items() if value not in (None, ())}
    if verbose or quiet:
        flags["verbosity"] = -1 if quiet else min(int(str(verbose)), 2)
    return flags
