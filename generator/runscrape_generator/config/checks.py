"""Settings that are each fine, and wrong together.

Each check names the key to blame first. It runs only where the command has that option and none of
the check's keys is wrong in itself, and answers with what is wrong and the remedy, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runscrape_generator.config import durations
from runscrape_generator.config.settings import BY_KEY, Format, Mode, Settings, TargetsFrom

_PROMETHEUS_INTERVAL = "1m"
"""What Prometheus takes where nothing is set."""

_YAML = frozenset({".yml", ".yaml"})
"""Endings of what generate writes; targets may too, but only where that is said on the spot."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a check may look at."""

    command: str
    settings: Settings
    origins: Mapping[str, str]

    def given(self, key: str) -> bool:
        """Whether the user gave *key* on the command line."""
        return self.origins[key].startswith("-")


@dataclass(frozen=True, slots=True)
class Check:
    """One rule about several settings."""

    keys: tuple[str, ...]
    find: Callable[[Context], str | None]


def _never(keys: str, wrong: Callable[[Settings], object], message: str) -> Check:
    """Refuse settings for which *wrong* holds."""
    return Check(tuple(keys.split()), lambda each: message if wrong(each.settings) else None)


def _pointless(keys: str, wrong: Callable[[Settings], object], message: str) -> Check:
    """Refuse a flag that would have no effect; in a file or a variable it may be for other runs."""
    key, *_ = names = tuple(keys.split())
    return Check(names, lambda e: message if e.given(key) and wrong(e.settings) else None)


def _timeout(context: Context) -> str | None:
    interval = context.settings.scrape_interval or _PROMETHEUS_INTERVAL
    timeout = context.settings.scrape_timeout or "0"
    if durations.parse(timeout) <= durations.parse(interval):
        return None
    default = "" if context.settings.scrape_interval else ", Prometheus' default"
    return f"{timeout} is longer than the scrape interval ({interval}{default})"


def _output_name(context: Context) -> str | None:
    """Refuse names that Prometheus does not read, and those that may be the other command's."""
    output = context.settings.output
    if output is None:
        return None
    if context.command == "targets" and output.suffix not in {".json", *_YAML}:
        return "Prometheus reads target files only from names in .json, .yml or .yaml"
    if context.given("output"):
        return None
    if context.command == "targets" and output.suffix in _YAML:
        return "may be meant for runscrape generate: name a .json file, or add --output FILE"
    if context.command == "generate" and output.suffix == ".json":
        return "may be meant for runscrape targets: name a .yml file, or add --output FILE"
    return None


def _same_file(settings: Settings) -> bool:
    output, template = settings.output, settings.template
    return output is not None and template is not None and output.absolute() == template.absolute()


def _operator(settings: Settings) -> bool:
    return settings.format is Format.OPERATOR


def _no_gateway(settings: Settings) -> bool:
    return settings.mode is not Mode.GATEWAY


_NEEDS_A_FILE = "needs a file to write: add --output FILE or --into FILE"
_NEEDS_GATEWAY = "only matters with --mode gateway: add that, or leave it out"

CHECKS = (
    Check(("scrape_timeout", "scrape_interval"), _timeout),
    _never("watch output", lambda s: s.watch and s.output_path is None, _NEEDS_A_FILE),
    _never("dry_run output", lambda s: s.dry_run and s.output_path is None, _NEEDS_A_FILE),
    _never("reload output", lambda s: s.reload and s.output_path is None, _NEEDS_A_FILE),
    _never(
        "reload_command output",
        lambda s: s.reload_command and s.output_path is None,
        _NEEDS_A_FILE,
    ),
    _never(
        "into output",
        lambda s: s.into and s.output,
        "keeps a block in a file of yours, --output replaces one: choose one of them",
    ),
    _never(
        "into template",
        lambda s: s.into and s.template,
        "keeps a block in a file of yours, which needs no --template",
    ),
    _never(
        "into format",
        lambda s: s.into and _operator(s),
        "the operator's resources are no jobs in a list: choose another --format",
    ),
    _never(
        "reload_user reload",
        lambda s: s.reload_user and not s.reload,
        "needs --reload as well",
    ),
    _never(
        "reload_user reload_password_file",
        lambda s: s.reload_user and not s.reload_password_file,
        "needs --reload-password-file as well",
    ),
    _never(
        "reload_password_file reload_user",
        lambda s: s.reload_password_file and not s.reload_user,
        "needs --reload-user as well",
    ),
    _never("dry_run watch", lambda s: s.dry_run and s.watch, "shows one run: leave --watch out"),
    _never(
        "reload reload_command",
        lambda s: s.reload and s.reload_command,
        "choose one of reload and reload_command",
    ),
    _never(
        "template format",
        lambda s: s.template and _operator(s),
        "the operator's resources are no text for a template: choose another --format",
    ),
    _pointless("gateway_url mode", _no_gateway, _NEEDS_GATEWAY),
    _pointless("targets_file mode", _no_gateway, _NEEDS_GATEWAY),
    _pointless("targets_from mode", _no_gateway, _NEEDS_GATEWAY),
    _pointless(
        "targets_file targets_from",
        lambda s: s.targets_from is TargetsFrom.HTTP,
        "is not read with --targets-from http: leave one of them out",
    ),
    Check(("output",), _output_name),
    _never(
        "metrics_file",
        lambda s: s.metrics_file and s.metrics_file.suffix != ".prom",
        "node_exporter reads only names in .prom",
    ),
    _never("output template", _same_file, "would overwrite the template: name another file"),
)


def find(context: Context, wrong: frozenset[str]) -> list[tuple[str, str]]:
    """Give the key to blame and what is wrong; *wrong* are keys already found bad."""
    return [
        (check.keys[0], message)
        for check in CHECKS
        if context.command in BY_KEY[check.keys[0]].commands and not wrong & {*check.keys}
        if (message := check.find(context))
    ]
