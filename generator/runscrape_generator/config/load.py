"""Flags, environment variables and runscrape.yaml made into Settings, with all mistakes at once.

A flag beats a variable (``RUNSCRAPE_…``; an empty one counts as unset), which beats the file of
``--config``. There is no implicit file. A relative path in the file is relative to the file, as in
Prometheus' configuration; elsewhere to the current folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runscrape_generator.config import checks
from runscrape_generator.config.options import BY_KEY, BY_VARIABLE, OPTIONS, PREFIX, Option
from runscrape_generator.config.settings import Settings
from runscrape_generator.config.values import Mistakes, Value, suggestion
from runscrape_generator.errors import ConfigError

CONFIG_VARIABLE = PREFIX + "CONFIG"
_PROXY_PREFIX = PREFIX + "PROXY_"
_SERVICE_LINK = re.compile(PREFIX + r"(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_[0-9]+_.*)?)")
"""What Kubernetes sets in every pod beside a Service that is called runscrape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What is in force for one command, and where each part of it came from."""

    settings: Settings
    origins: Mapping[str, str]
    """Key → ``default``, ``--flag``, ``RUNSCRAPE_VARIABLE`` or ``FILE:LINE``."""
    shown: Mapping[str, Any]
    """Key → the value as plain data for YAML; keys that are not set are left out."""
    rule_places: tuple[str, ...] = ()
    """Where each of the rules stands."""
    warnings: tuple[str, ...] = ()


def load(command: str, flags: Mapping[str, object], environ: Mapping[str, str]) -> Loaded:
    """Read the settings of *command*; raises ConfigError with every mistake, one line each.

    *flags* has the flags that were given, by key, and ``config`` where that was; texts are as
    typed, repeatable ones as tuples, switches as booleans.
    """
    mistakes = Mistakes()
    sources = (_file(flags, environ, mistakes), _variables(environ), _flags(flags))
    values: dict[str, Value] = {}
    read: dict[str, Any] = {}
    wrong: set[str] = set()
    for source in sources:
        for key, value in source.items():
            before = mistakes.calls
            read[key] = _read(key, value, mistakes)
            values[key] = value
            wrong |= {key} if mistakes.calls > before else set()
    return _loaded(command, values, read, _Wrong(frozenset(wrong), mistakes), environ)


@dataclass(frozen=True, slots=True)
class _Wrong:
    keys: frozenset[str]
    mistakes: Mistakes


def _loaded(
    command: str,
    values: Mapping[str, Value],
    read: Mapping[str, Any],
    wrong: _Wrong,
    environ: Mapping[str, str],
) -> Loaded:
    given = {BY_KEY[key].name: read[key] for key in read if key in BY_KEY and key not in wrong.keys}
    settings = Settings(**given)
    origins = {
        option.key: values[option.key].place if option.key in values else "default"
        for option in OPTIONS
    }
    for key, message in checks.find(checks.Context(command, settings, origins), wrong.keys):
        place = values.get(key, Value(None, BY_KEY[key].flag))
        wrong.mistakes.found.append((place.line, f"{place.where}: {message}"))
    if "rules" in values and not wrong.keys & {"rules", "mode", "format"}:
        _check_rules(command, settings, values["rules"], wrong.mistakes)
    if wrong.mistakes.found:
        raise ConfigError("\n".join(wrong.mistakes.lines))
    shown = {option.key: _shown(option, values.get(option.key)) for option in OPTIONS}
    return Loaded(
        settings=settings,
        origins=origins,
        shown={key: value for key, value in shown.items() if value not in (None, ())},
        rule_places=tuple(rule.place for rule in values["rules"].data) if "rules" in values else (),
        warnings=tuple(_unknown_variables(environ)),
    )


def _check_rules(command: str, settings: Settings, rules: Value, mistakes: Mistakes) -> None:
    """Find what the output cannot say, at its own place in the file."""
    from runscrape_generator.config import limits  # noqa: PLC0415 (only where there are rules)

    for value, rule in zip(rules.data, settings.rules, strict=True):
        for place, message in limits.findings(rule, settings, command):
            at = value
            for step in place:
                at = at.data[step]
            mistakes.add(at, message)


def _shown(option: Option, value: Value | None) -> object:
    return option.default if value is None else option.kind.show(value)


def _read(key: str, value: Value, mistakes: Mistakes) -> object:
    if key in BY_KEY:
        return BY_KEY[key].kind.read(value, mistakes)
    mistakes.add(value, f"unknown key{suggestion(key, BY_KEY)}")
    return None


def _file(
    flags: Mapping[str, object], environ: Mapping[str, str], mistakes: Mistakes
) -> Mapping[str, Value]:
    name = flags.get("config", environ.get(CONFIG_VARIABLE))
    if not name:
        return {}
    from runscrape_generator.config import yaml_file as yaml_source  # noqa: PLC0415 (PyYAML only where it is needed)

    data: Mapping[str, Value] = yaml_source.read(Path(str(name)), mistakes).data
    return data


def _variables(environ: Mapping[str, str]) -> Mapping[str, Value]:
    return {
        option.key: _value(option.kind.from_text(environ[name]), name)
        for name, option in BY_VARIABLE.items()
        if environ.get(name)
    }


def _flags(flags: Mapping[str, object]) -> Mapping[str, Value]:
    given = {key: raw for key, raw in flags.items() if key != "config"}
    return {key: _value(_typed(BY_KEY[key], raw), BY_KEY[key].flag) for key, raw in given.items()}


def _typed(option: Option, raw: object) -> object:
    """Read a flag's text; a repeatable one is not split, unlike a variable's."""
    if isinstance(raw, str):
        return option.kind.from_text(raw)
    return list(raw) if isinstance(raw, tuple) else raw


def _value(raw: object, place: str) -> Value:
    data = [Value(item, place) for item in raw] if isinstance(raw, list) else raw
    return Value(data, place)


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Warn of variables that look like ours: an error would let a stranger's variable stop us."""
    known = {*BY_VARIABLE, CONFIG_VARIABLE}
    own = [each.removeprefix(PREFIX) for each in known]  # the prefix makes all of them look alike
    return [
        f"{name}: no such setting, ignored{suggestion(name.removeprefix(PREFIX), own, PREFIX)}"
        for name in sorted(environ)
        if name.startswith(PREFIX)
        and name not in known
        and not name.startswith(_PROXY_PREFIX)
        and not _SERVICE_LINK.fullmatch(name)
    ]
