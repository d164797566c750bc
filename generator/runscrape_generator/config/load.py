"""Flags, environment variables and runscrape.yaml made into Settings, with all mistakes at once.

A flag beats a variable (``RUNSCRAPE_…``; an empty one counts as unset), which beats the file of
``--config``. There is no implicit file. A relative path in the file is relative to the file, as in
Prometheus' configuration; elsewhere to the current folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import rebuild_dataclass
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from runscrape_generator.config import checks, scrape_config, unsupported
from runscrape_generator.config.messages import Place, expected, suggestion
from runscrape_generator.config.option import fields
from runscrape_generator.config.rules import EndpointRule, Match, Rule
from runscrape_generator.config.settings import BY_KEY, BY_VARIABLE, OPTIONS, PREFIX, Settings
from runscrape_generator.config.sources import (
    CONFIG_VARIABLE,
    Mistakes,
    Source,
    from_file,
    from_flags,
    from_variables,
)
from runscrape_generator.errors import ConfigError

_PROXY_PREFIX = PREFIX + "PROXY_"
_SERVICE_LINK = re.compile(PREFIX + r"(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_[0-9]+_.*)?)")
"""What Kubernetes sets in every pod beside a Service that is called runscrape."""

_KINDS = {
    **dict.fromkeys(("dict_type", "dataclass_type", "model_type"), "a mapping"),
    **dict.fromkeys(("tuple_type", "list_type"), "a list"),
}
"""What should be there, by pydantic's type of error."""
_RECORDS: Mapping[str, Any] = {
    "rules": Rule,
    "match": Match,
    "endpoints": EndpointRule,
    "scrape_config": scrape_config.JobFields,
    "oauth2": scrape_config.OAuth2,
    "http_headers": scrape_config.Header,
    **dict.fromkeys(("tls_config", "proxy_tls_config"), scrape_config.TlsConfig),
    **dict.fromkeys(("relabel_configs", "metric_relabel_configs"), scrape_config.Relabeling),
}
"""Which keys a mapping may have, by the last of these names that lead to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What is in force for one command, and where each part of it came from."""

    settings: Settings
    origins: Mapping[str, str]
    """Key → ``default``, ``--flag``, ``RUNSCRAPE_VARIABLE`` or ``FILE:LINE``."""
    shown: Mapping[str, Any]
    """Key → the value as plain data for YAML; keys that are not set are left out."""
    warnings: tuple[str, ...]


def load(command: str, flags: Mapping[str, object], environ: Mapping[str, str]) -> Loaded:
    """Read the settings of *command*; raises ConfigError with every mistake, one line each.

    *flags* has the flags that were given, by key, and ``config`` where that was; texts are as
    typed, repeatable ones as tuples, switches as booleans.
    """
    mistakes = Mistakes()
    typed = from_flags(flags)
    values: dict[str, Any] = {}
    origin_of: dict[str, Source] = {}
    file = from_file(flags, environ, mistakes)
    for source in (file, from_variables(environ), typed):
        values |= _read(source, mistakes)
        origin_of |= dict.fromkeys(source.data, source)
    usable = {BY_KEY[key].name: value for key, value in values.items() if key not in mistakes.keys}
    settings = Settings(**usable, lines=_lines(origin_of.get("rules")))
    origins = {
        key: origin_of[key].origin((key,)) if key in origin_of else "default" for key in BY_KEY
    }
    config = Path(file.file) if file.file else None
    context = checks.Context(command, settings, origins, config)
    for key, message in checks.find(context, frozenset(mistakes.keys)):
        mistakes.add(origin_of.get(key, typed), (key,), message, also=True)
    if not mistakes.keys & {"rules", "mode", "format"}:
        for place, message in unsupported.findings(settings, command):
            mistakes.add(origin_of["rules"], place, message)
    if mistakes.found:
        raise ConfigError("\n".join(mistakes.lines))
    return Loaded(
        settings=settings,
        origins=origins,
        shown=_shown(settings, origin_of),
        warnings=tuple(_unknown_variables(environ)),
    )


def _lines(rules: Source | None) -> dict[Place, str]:
    """Say where each part of the rules stands."""
    if rules is None:
        return {}
    return {place: rules.origin(place) for place in rules.lines if place[0] == "rules"}


def _read(source: Source, mistakes: Mistakes) -> dict[str, Any]:
    """Give each setting of *source* that is right, by key; note what is wrong with the others."""
    for key in (key for key in source.data if key not in BY_KEY):
        mistakes.add(source, (key,), f"unknown key{suggestion(key, BY_KEY)}")
        mistakes.keys.add(key)
    data = {key: value for key, value in source.data.items() if key in BY_KEY}
    try:
        read = _validated(data, source)
    except ValidationError as error:
        wrong = set()
        for each in error.errors(include_url=False):
            wrong.add(str(each["loc"][0]))
            if each["type"] != "too_short" or not each["input"]:  # else its entries are wrong
                mistakes.add(source, each["loc"], _message(each))
        mistakes.keys |= wrong
        data = {key: value for key, value in data.items() if key not in wrong}
        read = _validated(data, source)
    return {key: getattr(read, BY_KEY[key].name) for key in data}


def _validated(data: Mapping[str, Any], source: Source) -> Settings:
    return _adapter().validate_python(data, context=source.reading, by_name=False)


@cache
def _adapter() -> TypeAdapter[Settings]:
    """Build what validates settings, from the inside out: each is slow, and then built once."""
    inner_first: tuple[Any, ...] = (Match, Rule, Settings)
    for each in inner_first:
        rebuild_dataclass(each)
    return TypeAdapter(Settings)


def _message(error: ErrorDetails) -> str:
    """Put pydantic's error into words that say what to write instead."""
    kind, place, given = error["type"], error["loc"], error["input"]
    if kind in _KINDS:
        return expected(_KINDS[kind], given)
    if kind in {"literal_error", "enum"}:
        return _choose(re.findall("'([^']*)'", error["ctx"]["expected"]), given)
    if kind in {"unexpected_keyword_argument", "extra_forbidden"}:
        return f"unknown key{suggestion(place[-1], _known(place))}"
    if kind == "missing":
        return f"{place[-1]!r} is missing: {_known(place)[str(place[-1])].description}"
    if kind == "too_short":
        return "is empty: leave the key out, or list something"
    return str(error["ctx"]["error"]) if kind == "value_error" else error["msg"]


def _choose(choices: list[str], given: object) -> str:
    near = suggestion(given, choices) if isinstance(given, str) else ""
    return expected(f"one of {', '.join(choices)}", given) + near


def _known(place: Place) -> Mapping[str, FieldInfo]:
    """Give the fields, by key, of the mapping in which *place* is."""
    records = (_RECORDS[str(step)] for step in reversed(place[:-1]) if step in _RECORDS)
    record: Any = next(records, Settings)
    return {field.alias or name: field for name, field in fields(record).items()}


def _shown(settings: Settings, origin_of: Mapping[str, Source]) -> dict[str, Any]:
    """Give each value as one would write it into a file that lies anywhere."""
    shown: dict[str, Any] = {}
    for option in OPTIONS:
        key, value = option.key, getattr(settings, option.name)
        if isinstance(value, Path):
            shown[key] = str(value.absolute())
        elif isinstance(value, str):
            shown[key] = str(value)
        elif option.number:
            shown[key] = value
        elif value:
            shown[key] = origin_of[key].data[key] if key in origin_of else option.default
    return shown


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
