"""What targets are called on a page: as short as still tells them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from runscrape_generator.doctor.targets import Target
from runscrape_generator.text import printable


class Names:
    """Service names; with the region, the project or the path where one name means several."""

    def __init__(self, targets: Iterable[Target]) -> None:
        every = list(targets)
        self._counts = [Counter(form(each) for each in every) for form in _FORMS]

    def of(self, target: Target) -> str:
        """Give the shortest name that no other target has."""
        for form, counts in zip(_FORMS, self._counts, strict=True):
            name = form(target)
            if counts[name] == 1:
                return printable(name)
        return printable(_FORMS[-1](target))


def _with_region(target: Target) -> str:
    _, region, name = target.place
    return f"{region}/{name}" if name else target.name


def _with_project(target: Target) -> str:
    project, region, name = target.place
    return f"{project}/{region}/{name}" if name else f"{target.job} {target.name}"


_FORMS: tuple[Callable[[Target], str], ...] = (
    lambda target: target.name,
    _with_region,
    _with_project,
    lambda target: _with_project(target) + target.path,
    lambda target: f"{_with_project(target)}{target.path} ({target.job})",
)
