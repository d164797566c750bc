"""Settings that are each fine, and wrong together.

Each check names the key to blame first. It counts only where the command has that option and none
of the check's keys is wrong in itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runscrape_generator.config import durations
from runscrape_generator.config.settings import BY_KEY, Format, Mode, Settings, TargetsFrom

_YAML = frozenset({".yml", ".yaml"})
"""Endings of what generate writes; targets may too, but only where that is said on the spot."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a check may look at."""

    command: str
    settings: Settings
    origins: Mapping[str, str]
    config: Path | None = None
    """The file that the settings are read from."""

    def given(self, key: str) -> bool:
        """Whether the user gave *key* on the command line."""
        return self.origins[key].startswith("-")


def _timeout(context: Context) -> str:
    interval = context.settings.scrape_interval or durations.DEFAULT_INTERVAL
    timeout = context.settings.scrape_timeout or "0"
    if durations.parse(timeout) <= durations.parse(interval):
        return ""
    default = "" if context.settings.scrape_interval else ", Prometheus' default"
    return f"{timeout} is longer than the scrape interval ({interval}{default})"


def _output_name(context: Context) -> str:
    """Refuse names that Prometheus does not read, and those that may be the other command's."""
    output = context.settings.output
    if output is None:
        return ""
    if context.command == "targets" and not _NAME_OF_TARGETS.search(output.name):
        return _NO_TARGETS
    if context.given("output"):
        return ""
    if context.command == "targets" and output.suffix in _YAML:
        return "may be meant for runscrape generate: name a .json file, or add --output FILE"
    if context.command == "generate" and output.suffix == ".json":
        return "may be meant for runscrape targets: name a .yml file, or add --output FILE"
    return ""


def _same_file(one: Path | None, other: Path | None) -> bool:
    """Whether two paths lead to one file; files that are not there yet have a name, too."""
    if one is None or other is None:
        return False
    return os.path.realpath(one) == os.path.realpath(other)


_NAME_OF_TARGETS = re.compile(r"\.(json|yml|yaml|JSON|YML|YAML)$")
"""As Prometheus has it."""
_NO_TARGETS = "Prometheus reads target files only from names in .json, .yml or .yaml"
_OVER_SETTINGS = "would overwrite the settings themselves: name another file"
_NEEDS_GATEWAY = "only matters with --mode gateway: add that, or leave it out"


def _checks(context: Context) -> tuple[tuple[str, object, str], ...]:
    """List the keys that each check looks at, whether something is wrong, and what to say then."""
    s, given = context.settings, context.given
    no_file = s.output_path is None
    no_gateway = s.mode is not Mode.GATEWAY
    operator = s.format is Format.OPERATOR
    timeout, name = _timeout(context), _output_name(context)
    into = " or --into FILE" if context.command == "generate" else ""
    needs_a_file = f"needs a file to write: add --output FILE{into}"
    return (
        ("scrape_timeout scrape_interval", timeout, timeout),
        ("watch output", s.watch and no_file, needs_a_file),
        ("dry_run output", s.dry_run and no_file, needs_a_file),
        ("reload output", s.reload and no_file, needs_a_file),
        ("reload_command output", s.reload_command and no_file, needs_a_file),
        (
            "into output",
            s.into and s.output,
            "keeps a block in a file of yours, --output replaces one: choose one of them",
        ),
        (
            "into template",
            s.into and s.template,
            "keeps a block in a file of yours, which needs no --template",
        ),
        (
            "into format",
            s.into and operator,
            "the operator's resources are no jobs in a list: choose another --format",
        ),
        ("reload_user reload", s.reload_user and not s.reload, "needs --reload as well"),
        (
            "reload_user reload_password_file",
            s.reload_user and not s.reload_password_file,
            "needs --reload-password-file as well",
        ),
        (
            "reload_password_file reload_user",
            s.reload_password_file and not s.reload_user,
            "needs --reload-user as well",
        ),
        ("dry_run watch", s.dry_run and s.watch, "shows one run: leave --watch out"),
        (
            "reload reload_command",
            s.reload and s.reload_command,
            "choose one of reload and reload_command",
        ),
        (
            "template format",
            s.template and operator,
            "the operator's resources are no text for a template: choose another --format",
        ),
        # A flag without effect is a mistake; in a file or a variable it may be for other runs.
        ("gateway_url mode", given("gateway_url") and no_gateway, _NEEDS_GATEWAY),
        ("targets_file mode", given("targets_file") and no_gateway, _NEEDS_GATEWAY),
        ("targets_from mode", given("targets_from") and no_gateway, _NEEDS_GATEWAY),
        (
            "vmagent_version format",
            given("vmagent_version") and s.format is not Format.VMAGENT,
            "only matters with --format vmagent: add that, or leave it out",
        ),
        (
            "targets_file",
            s.mode is Mode.GATEWAY
            and s.format is not Format.VMAGENT
            and not _NAME_OF_TARGETS.search(s.targets_file),
            _NO_TARGETS,
        ),
        (
            "targets_file targets_from",
            given("targets_file") and s.targets_from is TargetsFrom.HTTP,
            "is not read with --targets-from http: leave one of them out",
        ),
        ("output", name, name),
        (
            "metrics_file",
            s.metrics_file and s.metrics_file.suffix != ".prom",
            "node_exporter reads only names in .prom",
        ),
        (
            "output template",
            _same_file(s.output, s.template),
            "would overwrite the template: name another file",
        ),
        ("output", _same_file(s.output, context.config), _OVER_SETTINGS),
        ("into", _same_file(s.into, context.config), _OVER_SETTINGS),
        ("inventory", _same_file(s.inventory, context.config), _OVER_SETTINGS),
    )


def find(context: Context, wrong: frozenset[str]) -> list[tuple[str, str]]:
    """Give the key to blame and what is wrong; *wrong* are keys already found bad."""
    found = []
    for names, is_wrong, message in _checks(context):
        key, *others = names.split()
        if is_wrong and context.command in BY_KEY[key].commands and not wrong & {key, *others}:
            found.append((key, message))
    return found
