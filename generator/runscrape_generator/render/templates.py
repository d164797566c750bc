"""The packaged Jinja2 templates, and the filters by which alone a value reaches them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from runscrape_generator.render.yaml import block, key, quoted

FILTERS: dict[str, Callable[..., str]] = {"quoted": quoted, "key": key, "block": block}


@cache
def environment() -> Environment:
    """The templates of ``runscrape_generator.templates``, compiled once per process."""
    made = Environment(
        loader=PackageLoader("runscrape_generator.templates", ""),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 (escapes HTML; YAML is quoted by the filters)
    )
    made.filters.update(FILTERS)
    return made


def fill(template: str, **values: Any) -> str:
    """*template* with *values*, and a newline at the end."""
    return environment().get_template(template).render(**values) + "\n"


def jobs_text(entries: list[dict[str, Any]]) -> str:
    """The entries of ``scrape_configs`` at column 0, without a newline at the end."""
    module = environment().get_template("jobs.yml.j2").module
    return str(getattr(module, "jobs")(entries)).lstrip("\n")  # noqa: B009 (unknown to mypy)
