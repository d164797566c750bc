"""The bundle's templates, and the filters that quote for each kind of file.

Jinja2 with delimiters of its own (``[[ value ]]``, ``[% statement %]``), because the files have
``{{ … }}`` in them: Prometheus' in the alerts, Grafana's in the dashboard.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
"""Words that systemd.service(5) takes as they are; ``%`` is for its specifiers."""


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("runscrape_generator.templates", "bootstrap"),
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - no HTML; values are quoted by the filters
    )
    made.filters.update(json=as_json, compose=as_compose, unit=as_unit, shell=shlex.join)
    return made


def render(template: str, **values: Any) -> str:
    """Fill in the template, named without its ``.j2``."""
    return _environment().get_template(f"{template}.j2").render(**values)


def as_json(value: object) -> str:
    """Quote text, or a list of texts, for YAML: whatever is JSON is YAML as well."""
    return json.dumps(value, ensure_ascii=False)


def as_compose(value: object) -> str:
    """Quote for a Compose file, where ``$`` stands for a variable and ``$$`` for itself."""
    return as_json(value).replace("$", "$$")


def as_unit(words: Sequence[str]) -> str:
    """Write an argument list for a unit file; raises ValueError for what needs more than quotes."""
    return " ".join(map(_unit_word, words))


def _unit_word(word: str) -> str:
    if _PLAIN.fullmatch(word):
        return word
    if _PLAIN.fullmatch(word.replace(" ", "")):
        return f'"{word}"'
    raise ValueError(f"{word!r} cannot stand in a unit file")
