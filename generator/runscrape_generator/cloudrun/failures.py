"""Scopes that could not be listed: why, what to do about it, and the lines that tell of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from runscrape_generator.cloudrun.credentials import Access
from runscrape_generator.cloudrun.remedies import (
    Circumstances,
    concerns_all_calls,
    explain,
    of_project,
    of_search,
)
from runscrape_generator.cloudrun.retries import unwrapped
from runscrape_generator.config.settings import Settings
from runscrape_generator.model import ScopeFailure

_NAMED = 3
"""Regions named in a folded line; the rest are counted."""


def circumstances(settings: Settings, access: Access) -> Circumstances:
    """Collect what the remedies of a run may have to name."""
    return Circumstances(
        member=access.member,
        quota_project=access.quota_project,
        endpoint=access.address.target,
        plaintext=access.address.plaintext and not access.address.loopback,
        timeout=settings.timeout,
    )


def failure(
    error: Exception, project: str, region: str | None, about: Circumstances
) -> ScopeFailure:
    """Explain ``error``, met while listing a project: in one region, or (None) in all of them."""
    call, cause = unwrapped(error)
    reason, remedy = explain(cause, of_project(project, region), about)
    if region is None and call == "locations.list" and not concerns_all_calls(cause):
        remedy = f"{remedy}, or name the regions with --region"
    return _failure(project, region, reason, remedy, call)


def search_failure(error: Exception, container: str, about: Circumstances) -> ScopeFailure:
    """Explain ``error``, met while searching ``folders/ID`` or ``organizations/ID``."""
    call, cause = unwrapped(error)
    reason, remedy = explain(cause, of_search(container), about)
    return _failure(container, None, reason, remedy, call)


def _failure(project: str, region: str | None, reason: str, remedy: str, call: str) -> ScopeFailure:
    where = f" ({call})" if call else ""
    return ScopeFailure(
        project=project, region=region, reason=f"{reason.rstrip('.')}{where}", remedy=remedy
    )


def folded(failures: Iterable[ScopeFailure]) -> tuple[tuple[str, tuple[ScopeFailure, ...]], ...]:
    """Tell the failures: one line, with its failures, for those that are alike.

    A refusal of 40 regions of a project is one line, with the first regions named and the others
    counted; so is one of many projects.
    """
    ordered = sorted(failures, key=lambda one: (one.project, one.region or "", one.reason))
    regions = _grouped(ordered, lambda one: (one.project, one.region is None, *_alike(one)))
    projects = _grouped([group[0] for group in regions if group[0].region is None], _alike)
    many = {one.project for group in projects if len(group) > _NAMED for one in group}
    lines = [group for group in regions if group[0].region or group[0].project not in many]
    lines += [group for group in projects if group[0].project in many]
    return tuple((_line(group), tuple(group)) for group in lines)


def _grouped(
    failures: Iterable[ScopeFailure], key: Callable[[ScopeFailure], Hashable]
) -> list[list[ScopeFailure]]:
    groups: dict[Hashable, list[ScopeFailure]] = {}
    for one in failures:
        groups.setdefault(key(one), []).append(one)
    return list(groups.values())


def _alike(one: ScopeFailure) -> tuple[str, str]:
    """Give what is the same for failures of one kind: reason and remedy, without the place."""
    place = one.region or one.project
    return one.reason.replace(place, "*"), one.remedy.replace(place, "*")


def _line(group: list[ScopeFailure]) -> str:
    first = group[0]
    subject = _subject(first)
    if first.region is not None:
        subject += f", {_listed('region', [str(one.region) for one in group])}"
    elif len(group) > 1:
        subject = _listed("project", [one.project for one in group])
    return f"{subject}: {first.reason}; {first.remedy}"


def _listed(noun: str, names: list[str]) -> str:
    """``region a``, ``regions a, b, c and 37 more``."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{noun}{'s' if len(names) > 1 else ''} {', '.join(names[:_NAMED])}{more}"


def _subject(one: ScopeFailure) -> str:
    """``project demo``, ``folder 12``."""
    container, slash, number = one.project.partition("/")
    return f"{container.removesuffix('s')} {number}" if slash else f"project {one.project}"
