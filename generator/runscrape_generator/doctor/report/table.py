"""All targets by cause, the worst first, each cause with its remedy; how many are well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from runscrape_generator.doctor.causes import RANK, Cause, Finding
from runscrape_generator.doctor.diagnose import Diagnosis
from runscrape_generator.doctor.report.layout import Layout
from runscrape_generator.doctor.targets import Target
from runscrape_generator.text import plural, printable

_INDENT = 5
_CAUSE = 22
"""Columns of the causes' names."""


@dataclass(frozen=True, slots=True)
class CauseGroup:
    """Targets with the same cause."""

    cause: Cause
    members: tuple[tuple[str, Finding], ...]
    """Name and finding of each, by name."""

    @property
    def usual(self) -> int:
        """How many of the members are shown in detail, unless all are asked for."""
        return 1 if self.cause.warning else 3


def table(
    diagnoses: Sequence[Diagnosis], layout: Layout, *, notes: Iterable[str] = (), all_: bool = False
) -> str:
    """Give the whole page; ``all_`` shows every command and what was seen at each target."""
    names = Names(each.evidence.target for each in diagnoses)
    lines: list[str] = []
    groups = _groups(diagnoses, names)
    for warning, heading in ((False, "NOT WELL"), (True, "WORTH A LOOK")):
        found = [group for group in groups if group.cause.warning is warning]
        if found:
            lines += [layout.style(heading, bold=True), ""]
        for group in found:
            lines += [*_group(group, layout, all_=all_), ""]
    for note in notes:
        lines += layout.wrapped(note, 0, 2)
    return "\n".join([*lines, summary(diagnoses, layout)]) + "\n"


def summary(diagnoses: Sequence[Diagnosis], layout: Layout) -> str:
    """Say how many targets are well."""
    well = sum(each.cause is None for each in diagnoses)
    number = len(diagnoses)
    if not number:
        return "no targets: there is nothing to look at"
    verb = "is" if number == 1 else "are"
    text = f"{well} of {plural(number, 'target')} {verb} well"
    return layout.style(text, fg="green" if well == number else "red")


def _groups(diagnoses: Sequence[Diagnosis], names: Names) -> list[CauseGroup]:
    """Group the findings by cause, the worst first."""
    members: dict[str, list[tuple[str, Finding]]] = {}
    for each in diagnoses:
        for found in (*filter(None, (each.cause,)), *each.warnings):
            name = names.of(each.evidence.target)
            members.setdefault(found.cause.name, []).append((name, found))
    groups = [
        CauseGroup(found[0][1].cause, tuple(sorted(found, key=lambda pair: pair[0])))
        for found in members.values()
    ]
    return sorted(groups, key=lambda group: RANK[group.cause.name])


def _group(group: CauseGroup, layout: Layout, *, all_: bool) -> Iterator[str]:
    name, colour = group.cause.name, "yellow" if group.cause.warning else "red"
    start = layout.style(f"{len(group.members):>3}  {name}", fg=colour)
    start += " " * max(_CAUSE - len(name), 1)
    room = layout.columns - _INDENT - max(_CAUSE, len(name) + 1)
    yield start + layout.names([name for name, _ in group.members], room)
    yield from layout.wrapped(group.cause.title, _INDENT)
    yield from _details(group, layout, all_=all_)
    yield from _remedies(group, layout, all_=all_)


def _details(group: CauseGroup, layout: Layout, *, all_: bool) -> Iterator[str]:
    """Show what was seen: once where it was the same, else at each target, or the first one."""
    seen = Counter(found.detail for _, found in group.members if found.detail)
    if not seen:
        return
    if len(seen) == 1:
        yield from layout.wrapped(f"seen: {next(iter(seen))}", _INDENT, 2)
        return
    shown = group.members if all_ else group.members[: group.usual]
    for name, found in shown:
        yield from layout.wrapped(f"{name}: {found.detail}", _INDENT, 2)


def _remedies(group: CauseGroup, layout: Layout, *, all_: bool) -> Iterator[str]:
    """Show what to do, then the commands, each once."""
    for remedy in dict.fromkeys(found.remedy for _, found in group.members):
        yield from layout.wrapped(f"do: {remedy}", _INDENT, 4)
        if not all_:
            break
    commands = list(dict.fromkeys(each for _, found in group.members for each in found.commands))
    usual = max(group.usual, len(group.members[0][1].commands))
    limit = len(commands) if all_ else min(usual, len(commands))
    for words in commands[:limit]:
        yield from layout.command(words, _INDENT + 2)
    if rest := len(commands) - limit:
        yield f"{' ' * (_INDENT + 2)}# and {rest} more like it: -v shows all"


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
