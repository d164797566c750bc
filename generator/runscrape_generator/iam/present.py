"""What is there already (``--diff``), as far as it may be read."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from runscrape_generator.cloudrun.policies import INVOKER, Bindings, Policies, UnreadableError
from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import ConfigError
from runscrape_generator.iam.needs import LISTER, Needs
from runscrape_generator.model import Service
from runscrape_generator.text import one_line

log = logging.getLogger(__name__)

_EVERYBODY = frozenset({"allUsers", "allAuthenticatedUsers"})
_WIDE = frozenset({INVOKER, "roles/run.admin", "roles/editor", "roles/owner"})
"""Roles that hold run.routes.invoke: on a project they open every service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The policy of one project, and whether our role is there."""

    role: bool
    bindings: Bindings

    def holds(self, role: str, member: str) -> bool:
        """Whether ``member`` has ``role`` on the project."""
        return member in self.bindings.get(role, frozenset())

    def wide(self, member: str) -> tuple[str, ...]:
        """Give the roles with which ``member`` may call every service."""
        return tuple(role for role in sorted(_WIDE) if self.holds(role, member))


@dataclass(frozen=True, slots=True)
class Present:
    """What could be read; all else counts as not there."""

    projects: Mapping[str, Project] = field(default_factory=dict)
    invokers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Who has roles/run.invoker on a service, by its id."""

    def invokes(self, service: Service, member: str) -> bool:
        """Whether ``member`` may call a service by that service's own policy."""
        found = self.invokers.get(service.id, frozenset())
        return member in found or bool(found & _EVERYBODY)


def present(needs: Needs, settings: Settings) -> Present:
    """Read what may be read; of the rest it is said that it counts as not there."""
    try:
        policies = Policies(settings)
    except UnreadableError as error:
        raise ConfigError(f"--diff reads policies: {error}") from None
    projects, invokers = {}, {}
    for project in needs.projects:
        try:
            found = policies.of_project(project)
            projects[project] = Project(role=policies.has_role(project, LISTER), bindings=found)
        except UnreadableError as error:
            log.warning(f"project {project}: its policy cannot be read: {error}")
    of_services = policies.of_services(needs.services, settings.concurrency)
    for key, policy in sorted(of_services.items()):
        if isinstance(policy, Exception):
            log.warning(f"{key}: its policy cannot be read: {one_line(policy)}")
        else:
            invokers[key] = policy.get(INVOKER, frozenset())
    return Present(projects, invokers)
