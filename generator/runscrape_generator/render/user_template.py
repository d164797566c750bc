"""``--template FILE``: the user's own Jinja2 template, in which the jobs are one marker.

``{{ cloud_run_jobs }}`` stands alone on its line, at the column where the list belongs; there has
to be one, and no more. The template may include its neighbours. It is the user's own, so the
sandbox is against accidents: it reaches no Python attributes, reads no file outside its folder,
and runs out at :data:`LARGEST` characters instead of out of memory.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from runscrape_generator.errors import ConfigError
from runscrape_generator.render.templates import FILTERS

MARKER = "cloud_run_jobs"
LARGEST = 64 * 1024 * 1024
"""Characters of output without the jobs; Prometheus takes many seconds for a tenth of that."""

LARGEST_EXPONENT = 64

_STAND_IN = "\x00cloud run jobs\x00"
"""What the marker renders to; a NUL is in no YAML, so nothing else can be taken for it."""

_NO_JOBS = "# There are no Cloud Run jobs."


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, with a bound on what one expression may grow to."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(
        self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any
    ) -> Any:
        """Refuse what multiplies to more than :data:`LARGEST` characters or digits."""
        if operator == "%" and isinstance(left, str):
            raise jinja2.TemplateRuntimeError("% formatting is not available here, ~ joins text")
        if operator == "*" and _repeated(left, right) > LARGEST:
            raise jinja2.TemplateRuntimeError("a product too large to render")
        if operator == "**" and abs(right) > LARGEST_EXPONENT:
            raise jinja2.TemplateRuntimeError("a power too large to render")
        return super().call_binop(context, operator, left, right)


def _repeated(left: object, right: object) -> int:
    """How long text or a list becomes by being repeated; 0 for a product of numbers."""
    for one, times in ((left, right), (right, left)):
        if isinstance(one, str | list | tuple) and isinstance(times, int):
            return len(one) * times
    return 0


def render(path: Path, jobs: str) -> str:
    """The template at *path* with *jobs* (at column 0) in it.

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
    lines[marked[0]] = line.replace(indent + _STAND_IN, _indented(jobs or _NO_JOBS, indent))
    return "".join(lines)


def _indented(jobs: str, indent: str) -> str:
    """*jobs* with *indent* before each line; a value is on one line, so nothing else is touched."""
    return indent + jobs.replace("\n", "\n" + indent)


def _rendered(path: Path) -> str:
    environment = _Environment(
        loader=FileSystemLoader(path.parent), undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters.update(FILTERS)
    parts: list[str] = []
    size = 0
    for part in environment.get_template(path.name).generate({MARKER: _STAND_IN}):
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise ConfigError(f"{path}: renders to more than {LARGEST} characters")
    return "".join(parts)


def _guarded(path: Path, work: Callable[[], str]) -> str:
    """*work*, with every way in which a template can fail told as FILE:LINE."""
    try:
        return work()
    except ConfigError:
        raise
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
    folder = str(path.parent)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename == str(path) or Path(frame.filename).parent == Path(folder):
            return f"{frame.filename}:{frame.lineno}"
    return str(path)
