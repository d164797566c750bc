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


def _timeout(context: Context) -> str | None:
    interval = context.settings.scrape_interval or _PROMETHEUS_INTERVAL
    timeout = context.settings.scrape_timeout or "0"
    if durations.parse(timeout) <= durations.parse(interval):
        return None
    default = "" if context.settings.scrape_interval else ", Prometheus' default"
    return f"{timeout} is longer than the scrape interval ({interval}{default})"


def _needs_output(what: str) -> Callable[[Context], str | None]:
    def find(context: Context) -> str | None:
        if context.settings.output_path is None and getattr(context.settings, what):
            return "needs a file to write: add --output FILE or --into FILE"
        return None

    return find


def _into(context: Context) -> str | None:
    """A block of jobs goes into one file, in which there is a list of jobs."""
    settings = context.settings
    if settings.into is None:
        return None
    if settings.output is not None:
        return "keeps a block in a file of yours, --output replaces one: choose one of them"
    if settings.template is not None:
        return "keeps a block in a file of yours, which needs no --template"
    if settings.format is Format.OPERATOR:
        return "the operator's resources are no jobs in a list: choose another --format"
    return None


def _needs(what: str, other: str) -> Callable[[Context], str | None]:
    def find(context: Context) -> str | None:
        if getattr(context.settings, what) is None or getattr(context.settings, other) is not None:
            return None
        return f"needs --{other.replace('_', '-')} as well"

    return find


def _dry_watch(context: Context) -> str | None:
    settings = context.settings
    return "shows one run: leave --watch out" if settings.dry_run and settings.watch else None


def _one_reload(context: Context) -> str | None:
    both = context.settings.reload and context.settings.reload_command
    return "choose one of reload and reload_command" if both else None


def _template(context: Context) -> str | None:
    settings = context.settings
    if settings.template is None or settings.format is not Format.OPERATOR:
        return None
    return "the operator's resources are no text for a template: choose another --format"


def _gateway_only(key: str) -> Callable[[Context], str | None]:
    def find(context: Context) -> str | None:
        if context.given(key) and context.settings.mode is not Mode.GATEWAY:
            return "only matters with --mode gateway: add that, or leave it out"
        return None

    return find


def _targets_from(context: Context) -> str | None:
    over_http = context.settings.targets_from is TargetsFrom.HTTP
    if context.given("targets_file") and over_http:
        return "is not read with --targets-from http: leave one of them out"
    return None


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


def _metrics_name(context: Context) -> str | None:
    path = context.settings.metrics_file
    if path is None or path.suffix == ".prom":
        return None
    return "node_exporter reads only names in .prom"


def _over_template(context: Context) -> str | None:
    output, template = context.settings.output, context.settings.template
    if output is None or template is None or output.absolute() != template.absolute():
        return None
    return "would overwrite the template: name another file"


CHECKS = (
    Check(("scrape_timeout", "scrape_interval"), _timeout),
    Check(("watch", "output"), _needs_output("watch")),
    Check(("dry_run", "output"), _needs_output("dry_run")),
    Check(("reload", "output"), _needs_output("reload")),
    Check(("reload_command", "output"), _needs_output("reload_command")),
    Check(("into", "output", "template", "format"), _into),
    Check(("reload_user", "reload"), _needs("reload_user", "reload")),
    Check(("reload_user", "reload_password_file"), _needs("reload_user", "reload_password_file")),
    Check(("reload_password_file", "reload_user"), _needs("reload_password_file", "reload_user")),
    Check(("dry_run", "watch"), _dry_watch),
    Check(("reload", "reload_command"), _one_reload),
    Check(("template", "format"), _template),
    Check(("gateway_url", "mode"), _gateway_only("gateway_url")),
    Check(("targets_file", "mode"), _gateway_only("targets_file")),
    Check(("targets_from", "mode"), _gateway_only("targets_from")),
    Check(("targets_file", "targets_from"), _targets_from),
    Check(("output",), _output_name),
    Check(("metrics_file",), _metrics_name),
    Check(("output", "template"), _over_template),
)


def find(context: Context, wrong: frozenset[str]) -> list[tuple[str, str]]:
    """Give the key to blame and what is wrong; *wrong* are keys already found bad."""
    return [
        (check.keys[0], message)
        for check in CHECKS
        if context.command in BY_KEY[check.keys[0]].commands and not wrong & {*check.keys}
        if (message := check.find(context))
    ]
