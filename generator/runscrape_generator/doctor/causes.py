"""The closed list of causes, as ``causes.yaml`` has it: the one place that says what mends what."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runscrape_generator.render.yaml import from_yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One entry of the list. Remedy and commands hold ``{placeholders}``."""

    name: str
    """Stable: for ``--json``, scripts, the manual."""
    title: str
    """What is wrong, for all targets that have it: no placeholders."""
    remedy: str
    """What to do, in words."""
    commands: tuple[tuple[str, ...], ...] = ()
    """What to type, word by word; ``{*name}`` stands for several words."""
    source: str
    """Where the rule is from."""
    warning: bool = False
    """Whether the target may be up nevertheless."""


def _read(path: Path) -> tuple[Cause, ...]:
    (content,) = from_yaml(path.read_text("utf-8"))
    return tuple(_cause(name, **entry) for name, entry in content.items())


def _cause(name: str, *, commands: Sequence[str] = (), **entry: Any) -> Cause:
    words = tuple(tuple(shlex.split(command)) for command in commands)
    return Cause(name=name, commands=words, **entry)


CAUSES = _read(Path(__file__).with_name("causes.yaml"))
"""The worst first: what concerns every target comes before the rest."""
BY_NAME: Mapping[str, Cause] = {cause.name: cause for cause in CAUSES}
RANK: Mapping[str, int] = {cause.name: number for number, cause in enumerate(CAUSES)}
"""Their order, by name."""
