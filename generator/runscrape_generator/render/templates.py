"""Jinja2: the packaged templates, and the user's own, in which one marker stands for the jobs.

``{{ cloud_run_jobs }}`` stands alone on its line, at the column where the list belongs; there has
to be one, and no more. A template may include files of its own folder, and uses what Jinja2 has.
Whoever writes it is trusted, as whoever writes ``runscrape.yaml`` is: Jinja2's sandbox keeps it
from Python's own attributes, and nothing bounds the time and memory that it takes.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import Environment, FileSystemLoader, PackageLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from runscrape_generator.errors import ConfigError
from runscrape_generator.render.yaml import to_yaml

MARKER = "cloud_run_jobs"

_STAND_IN = "\x00cloud run jobs\x00"
"""What the marker renders to; a NUL is in no YAML, so nothing else can be taken for it."""

_NO_JOBS = "# There are no Cloud Run jobs."


@cache
def packaged() -> Environment:
    """The templates of ``runscrape_generator.templates``, compiled once per process."""
    made = Environment(
        loader=PackageLoader("runscrape_generator.templates", ""),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 (escapes HTML; to_yaml quotes YAML)
    )
    made.filters["to_yaml"] = to_yaml
    return made


def fill(template: str, **values: Any) -> str:
    """A packaged template with *values*, and a newline at the end."""
    return packaged().get_template(template).render(**values) + "\n"


def fill_users_own(path: Path, entries: list[dict[str, Any]]) -> str:
    """The template at *path* with *entries* of ``scrape_configs`` where its marker stands.

    Raises ConfigError with FILE:LINE for a template that cannot be read, parsed or rendered, and
    where the marker is missing, there twice, or beside something else on its line.
    """
    text = _guarded(path, lambda: _rendered(path))
    lines = text.splitlines(keepends=True)
    marked = [index for index, line in enumerate(lines) if _STAND_IN in line]
    if len(marked) != 1 or lines[marked[0]].count(_STAND_IN) != 1:
        found = "there more than once" if marked else "missing"
        raise ConfigError(f"{path}: {{{{ {MARKER} }}}} is {found}; it has to be there once")
    line = lines[marked[0]]
    if line.strip() != _STAND_IN:
        raise ConfigError(f"{path}: {{{{ {MARKER} }}}} has to stand alone on its line")
    indent = line[: len(line) - len(line.lstrip(" "))]
    jobs = to_yaml(entries) if entries else _NO_JOBS
    lines[marked[0]] = line.replace(_STAND_IN, jobs.replace("\n", "\n" + indent))
    return "".join(lines)


def _rendered(path: Path) -> str:
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(path.parent), undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters["to_yaml"] = to_yaml
    return environment.get_template(path.name).render({MARKER: _STAND_IN})


def _guarded(path: Path, work: Callable[[], str]) -> str:
    """*work*, with every way in which a template can fail told as FILE:LINE."""
    try:
        return work()
    except jinja2.TemplateSyntaxError as error:
        where = error.filename or path
        raise ConfigError(f"{where}:{error.lineno}: {error.message}") from error
    except jinja2.TemplateNotFound as error:
        raise ConfigError(f"{path}: template {error} cannot be read") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error
    except Exception as error:  # a template may raise whatever Python does
        message = re.sub(r"\s+", " ", str(error)) or type(error).__name__
        raise ConfigError(f"{_place(error, path)}: {message}") from error


def _place(error: Exception, path: Path) -> str:
    """FILE:LINE of the innermost frame in a template: Jinja2 gives its frames those names."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).parent == path.parent:
            return f"{frame.filename}:{frame.lineno}"
    return str(path)
