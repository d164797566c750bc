"""``runscrape``: runs a command, and makes errors into messages and exit codes."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import shell_complete

from runscrape_generator.cli import commands
from runscrape_generator.cli.console import PROGRAM, Console
from runscrape_generator.cli.output import ReaderGoneError
from runscrape_generator.errors import ConfigError, RunscrapeError
from runscrape_generator.signals import Hangup, Interrupted, behind, raising

log = logging.getLogger(__name__)

COMPLETE = "_RUNSCRAPE_COMPLETE"
"""Set by the shell where it asks for completions: ``bash_source`` gives the script that does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that *arguments* (by default those of the process) ask for.

    Gives the exit code; see :mod:`runscrape_generator.errors` for what each means.
    """
    _occupy_standard_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    _log_until_settings_are_read(words, os.environ)
    hangup = Hangup()
    try:
        if instruction := os.environ.get(COMPLETE):
            return shell_complete(commands.group(), {}, PROGRAM, COMPLETE, instruction)
        with raising(), hangup.installed():
            return _invoke(words, hangup)
    except KeyboardInterrupt as error:
        return error.exit_code if isinstance(error, Interrupted) else Interrupted.exit_code
    except Exception as error:  # noqa: BLE001 (the one place where errors become messages)
        ended = behind(error)
        return ended.exit_code if isinstance(ended, Interrupted) else report(error)


def _invoke(words: list[str], hangup: Hangup) -> int:
    command = commands.group()
    try:
        with command.make_context(PROGRAM, words, obj=hangup) as context:
            return int(command.invoke(context))
    except click.exceptions.Exit as ended:  # --help and --version
        return ended.exit_code


def report(error: Exception) -> int:
    """Say what went wrong, in words for the user, and give the exit code."""
    if isinstance(error, ReaderGoneError):
        return error.exit_code
    if isinstance(error, RunscrapeError):
        _say(str(error))
        return error.exit_code
    if isinstance(error, click.ClickException):
        _say(_usage(error))
        return ConfigError.exit_code
    if isinstance(error, FileNotFoundError) and not _has_folder():
        _say("the current folder is gone: change to another one, or give whole paths")
        return ConfigError.exit_code
    _say(_unexpected(error))
    return RunscrapeError.exit_code


def _has_folder() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _say(message: str) -> None:
    """Log what ends the run; of several mistakes each is a line."""
    for line in message.splitlines() or [""]:
        log.error(line)


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else PROGRAM
    return f"{error.format_message()} (try {command} --help)"


def _unexpected(error: Exception) -> str:
    """Name the error and its place; what it says may hold anything, so that is for ``-v``."""
    if log.isEnabledFor(logging.DEBUG):
        return "".join(traceback.format_exception(error))
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    return f"unexpected {type(error).__name__} in {where}, a bug: -v shows the traceback"


def _log_until_settings_are_read(words: Sequence[str], environ: Mapping[str, str]) -> None:
    """Log as the command line seems to ask, in case the settings cannot be read."""
    joined = " ".join(words).replace("--log-format=", "--log-format ")
    as_json = "--log-format json" in joined or environ.get("RUNSCRAPE_LOG_FORMAT") == "json"
    verbose = any(word == "--verbose" or word.startswith("-v") for word in words)
    log_format = "json" if as_json else "text"
    Console(sys.stderr, verbosity=int(verbose), log_format=log_format).install()


def _occupy_standard_streams() -> None:
    """Open a closed 0, 1 or 2, lest the next file get that number and a library write into it."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)
