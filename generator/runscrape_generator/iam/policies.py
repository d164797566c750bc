"""What is there already (``--diff``), as far as it may be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runscrape_generator.iam.needs import INVOKER
from runscrape_generator.model import Service

_EVERYBODY = frozenset({"allUsers", "allAuthenticatedUsers"})
_WIDE = frozenset({INVOKER, "roles/run.admin", "roles/editor", "roles/owner"})
"""Roles that hold run.routes.invoke: on a project they open every service."""

Bindings = Mapping[str, frozenset[str]]
"""Members by role, of bindings without a condition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPolicy:
    """The policy of one project, and whether our role is there."""

    role: bool
    bindings: Bindings

    def holds(self, role: str, member: str) -> bool:
        """Whether ``member`` has ``role`` on the project."""
        return member in self.bindings.get(role, frozenset())

    def wide(self, member: str) -> tuple[tuple[str, str], ...]:
        """Give member and role of each binding that lets it call every service."""
        return tuple(
            (member, role)
            for role in sorted(_WIDE & set(self.bindings))
            if self.holds(role, member)
        )


@dataclass(frozen=True, slots=True)
class Present:
    """What could be read; all else counts as not there."""

    projects: Mapping[str, ProjectPolicy] = field(default_factory=dict)
    invokers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Who has roles/run.invoker on a service, by its id."""

    def of_project(self, project: str) -> ProjectPolicy | None:
        """Give a project's policy; None where it could not be read."""
        return self.projects.get(project)

    def invokes(self, service: Service, member: str) -> bool:
        """Whether ``member`` may call a service by that service's own policy."""
        found = self.invokers.get(service.id, frozenset())
        return member in found or bool(found & _EVERYBODY)


def bindings(policy: Mapping[str, object]) -> Bindings:
    """Read the JSON of a policy (``google.iam.v1.Policy``); conditions make no sure grant."""
    found: dict[str, set[str]] = {}
    entries = policy.get("bindings")
    for each in entries if isinstance(entries, list) else ():
        if isinstance(each, dict) and not each.get("condition"):
            found.setdefault(str(each.get("role")), set()).update(_texts(each.get("members")))
    return {role: frozenset(members) for role, members in found.items()}


def _texts(value: object) -> Iterable[str]:
    return (str(each) for each in value) if isinstance(value, list) else ()
